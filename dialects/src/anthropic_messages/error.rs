//! Error answers: one table of kinds, status codes and type words.
//!
//! The words and codes are those of platform.claude.com/docs/en/api/errors; the kinds that page has no word for take
//! `invalid_request_error`, which it gives to all other 4xx.

use crate::codec::NO_THREADS;
use crate::hub::{ErrorKind, ProviderError};
use crate::not_callers;
use crate::overflow;
use serde::{Deserialize, Serialize};
use std::borrow::Cow;

/// Kind, status code, type word. The first row with a word or status is the one it is read as.
const TABLE: [(ErrorKind, u16, &str); 19] = [
    (ErrorKind::InvalidRequest, 400, INVALID),
    (ErrorKind::Authentication, 401, "authentication_error"),
    (ErrorKind::Billing, 402, "billing_error"),
    (ErrorKind::Permission, 403, "permission_error"),
    (ErrorKind::NotFound, 404, "not_found_error"),
    (ErrorKind::Method, 405, INVALID),
    (ErrorKind::RequestTimeout, 408, INVALID),
    (ErrorKind::Conflict, 409, "conflict_error"),
    (ErrorKind::TooLarge, 413, "request_too_large"),
    (ErrorKind::MediaType, 415, INVALID),
    (ErrorKind::Unprocessable, 422, INVALID),
    (ErrorKind::RateLimit, 429, "rate_limit_error"),
    (ErrorKind::Quota, 429, "rate_limit_error"),
    (ErrorKind::HeadersTooLarge, 431, INVALID),
    (ErrorKind::Internal, 500, API),
    (ErrorKind::BadGateway, 502, API),
    (ErrorKind::Overloaded, 529, "overloaded_error"),
    (ErrorKind::Timeout, 504, "timeout_error"),
    // Said by the gateway, and never read of a provider's answer.
    (ErrorKind::Unavailable, 503, API),
];
const INVALID: &str = "invalid_request_error";
const API: &str = "api_error";

#[derive(Deserialize)]
struct Answer<'a> {
    #[serde(borrow)]
    error: Fault<'a>,
}

#[derive(Deserialize)]
struct Fault<'a> {
    #[serde(borrow, default)]
    r#type: Cow<'a, str>,
    #[serde(borrow, default)]
    message: Cow<'a, str>,
}

/// Reads a provider's error answer; anything at all gives an error, if need be only by its status.
#[must_use]
pub(crate) fn decode(status: u16, body: &[u8]) -> ProviderError {
    let Ok(Answer { error: Fault { r#type, message } }) = serde_json::from_slice(body) else {
        // Not in the dialect: a proxy's page or nothing, not to be shown to a caller.
        return ProviderError::unreadable(by_status(status), status);
    };
    let kind = match &*r#type {
        // This word covers every 4xx without one of its own, so the status knows better.
        INVALID if (400..500).contains(&status) => by_status(status),
        API if status >= 400 => by_status(status),
        word => by_word(word).unwrap_or_else(|| by_status(status)),
    };
    overflow::recognised(not_callers::recognised(ProviderError {
        kind,
        message: message.into_owned(),
        r#type: (!r#type.is_empty()).then(|| r#type.into_owned()),
        code: None,
        param: None,
    }))
}

/// True if an error body says that a prompt does not fit, as clients know it: by words in its message.
#[must_use]
pub(crate) fn tells_overflow(body: &[u8]) -> bool {
    serde_json::from_slice(body).is_ok_and(|Answer { error }| overflow::is_told(&error.message))
}

/// Reads the error of an `error` event in mid-stream, where no status can help.
pub(super) fn in_stream(data: &str) -> ProviderError {
    decode(500, data.as_bytes())
}

#[derive(Serialize)]
struct ErrorBody<'a> {
    r#type: &'static str,
    error: WireError<'a>,
    request_id: Option<&'a str>,
}

#[derive(Serialize)]
struct WireError<'a> {
    r#type: &'static str,
    message: Cow<'a, str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    details: Option<ErrorDetails>,
}

#[derive(Serialize)]
struct ErrorDetails {
    error_code: &'static str,
    unsupported: [&'static str; 1],
}

/// Writes an error body; an empty `request_id` is written as `null`.
#[must_use]
pub(crate) fn encode(error: &ProviderError, request_id: &str) -> Vec<u8> {
    let ProviderError { kind, message, r#type: _, code, param } = error;
    let message = match param {
        // Anthropic says it in its message alone, by which agents know it.
        _ if error.is_context_overflow() => overflow::in_anthropics_words(message),
        // The dialect has no field for it.
        Some(param) if !message.contains(&**param) => Cow::Owned(format!("{param}: {message}")),
        _ => Cow::Borrowed(&**message),
    };
    let details = (code.as_deref() == Some(NO_THREADS))
        .then_some(ErrorDetails { error_code: NO_THREADS, unsupported: ["thread"] });
    let said = WireError { r#type: word(*kind), message, details };
    let body = ErrorBody { r#type: "error", error: said, request_id: Some(request_id).filter(|id| !id.is_empty()) };
    serde_json::to_vec(&body).unwrap_or_default()
}

/// The status code Anthropic would answer with.
#[must_use]
pub(crate) fn status(kind: ErrorKind) -> u16 {
    TABLE.iter().find(|row| row.0 == kind).map_or(500, |row| row.1)
}

fn word(kind: ErrorKind) -> &'static str {
    TABLE.iter().find(|row| row.0 == kind).map_or(API, |row| row.2)
}

fn by_word(word: &str) -> Option<ErrorKind> {
    TABLE.iter().find(|row| row.2 == word).map(|row| row.0)
}

fn by_status(status: u16) -> ErrorKind {
    let row = TABLE.iter().find(|row| row.1 == status && row.0 != ErrorKind::Unavailable).map(|row| row.0);
    row.unwrap_or(match status {
        503 => ErrorKind::Overloaded,
        501 | 505..=599 => ErrorKind::Internal,
        400..=499 => ErrorKind::InvalidRequest,
        _ => ErrorKind::BadGateway,
    })
}
