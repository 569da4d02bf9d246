//! Tokens that no provider behind a model counts: estimated, and marked as that.

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use sluicegate_dialects::estimate;

use crate::account::End;
use crate::errors::Problem;

use super::exchange::{Exchange, Whole};
use super::inbound::InboundCall;

/// Says of an answer that the gateway estimated it.
const X_SLUICEGATE_ESTIMATED: HeaderName = HeaderName::from_static("x-sluicegate-estimated");

/// An answer to `count_tokens` without a provider.
///
/// # Errors
/// The body is no call.
pub(super) fn estimated(call: &InboundCall) -> Result<Exchange, Problem> {
    let (fields, name) = call.dialect().habits().counted;
    let tokens = estimate::tokens_of_messages(&call.body, fields)?;
    let mut headers = HeaderMap::with_capacity(2);
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(X_SLUICEGATE_ESTIMATED, HeaderValue::from_static(name));
    let body = Bytes::from(call.dialect().count(tokens));
    Ok(Exchange::Whole(Whole { status: StatusCode::OK, headers, body, end: End::Done }))
}
