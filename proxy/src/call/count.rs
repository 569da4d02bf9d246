//! Tokens that no provider behind a model counts: estimated, and marked as that.

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use sluicegate_dialects::{Dialect, estimate};

use crate::account::{End, Operation};
use crate::errors::Problem;

use super::caller::Addressed;
use super::exchange::{Exchange, Whole};
use super::inbound::InboundCall;

/// Says of an answer that the gateway estimated it.
const X_SLUICEGATE_ESTIMATED: HeaderName = HeaderName::from_static("x-sluicegate-estimated");

/// The call whose tokens are to be counted, and its dialect: at Bedrock it stands in an envelope.
///
/// # Errors
/// There is none in it.
pub(super) fn asked(dialect: Dialect, addressed: &mut Addressed, body: Bytes) -> Result<(Dialect, Bytes), Problem> {
    if addressed.operation != Operation::CountTokens {
        return Ok((dialect, body));
    }
    let (inner, body) = dialect.counted_input(&body)?;
    if inner != dialect {
        addressed.envelope = inner.habits().envelope;
    }
    Ok((inner, body))
}

/// The count, or an estimate where the provider does not have such a thing as counting.
///
/// # Errors
/// Those of the provider, or the body is no call.
pub(super) fn or_estimated(call: &InboundCall, outcome: Result<Exchange, Problem>) -> Result<Exchange, Problem> {
    let lacks =
        |status| matches!(status, StatusCode::NOT_FOUND | StatusCode::METHOD_NOT_ALLOWED | StatusCode::NOT_IMPLEMENTED);
    match outcome {
        Ok(Exchange::Whole(Whole { status, .. })) if lacks(status) => estimated(call),
        outcome => outcome,
    }
}

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
