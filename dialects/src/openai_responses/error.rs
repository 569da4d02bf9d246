//! Errors: over HTTP they are those of Chat Completions; in a stream they are two events, of which one tells a whole answer
//! that failed.

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::hub::{ErrorKind, ProviderError};
use crate::json::Writer;
use crate::openai_chat;

pub(super) use crate::openai_chat::error::decode;

/// The code that clients act on, in a failed answer's `error`.
pub(super) fn code(error: &ProviderError) -> &str {
    match (error.code.as_deref(), error.kind) {
        (Some(code), _) => code,
        (None, ErrorKind::RateLimit) => "rate_limit_exceeded",
        (None, ErrorKind::Quota | ErrorKind::Billing) => "insufficient_quota",
        (None, ErrorKind::InvalidRequest | ErrorKind::Unprocessable | ErrorKind::TooLarge) => "invalid_prompt",
        // Another vendor that is overloaded may not be with the next try: upon OpenAI's own word for it Codex ends the turn.
        (None, _) => "server_error",
    }
}

/// Writes the members of the event `error`: the fields that are documented, and the object that SDKs raise.
pub(super) fn write_event(error: &ProviderError, json: &mut Writer) {
    json.text_field("code", code(error));
    json.text_field("message", &error.message);
    match error.param.as_deref() {
        Some(param) => json.text_field("param", param),
        None => json.value_field("param", "null"),
    }
    openai_chat::error::write_error(error, json);
}

/// Writes a failed answer's `error`.
pub(super) fn write_failure(error: &ProviderError, json: &mut Writer) {
    json.open_field("error", b'{');
    json.text_field("code", code(error));
    json.text_field("message", &error.message);
    json.close(b'}');
}

/// Reads an error that stands in a stream, or in an answer that failed: the event `error`, or a response's `error`.
pub(crate) fn decode_said(data: &[u8]) -> ProviderError {
    #[derive(Deserialize)]
    struct SaidError<'a> {
        #[serde(borrow)]
        error: Option<&'a RawValue>,
        #[serde(borrow)]
        response: Option<&'a RawValue>,
    }
    let said = serde_json::from_slice::<SaidError<'_>>(data).ok();
    let inner = said
        .as_ref()
        .and_then(|said| said.response)
        .and_then(|raw| serde_json::from_str::<SaidError<'_>>(raw.get()).ok());
    let object =
        inner.and_then(|inner| inner.error).or(said.and_then(|said| said.error)).filter(|raw| raw.get() != "null");
    let error = object.map_or_else(|| decode(0, data), |raw| decode(0, raw.get().as_bytes()));
    match (error.kind, error.code.as_deref()) {
        (ErrorKind::Internal, Some(code)) => ProviderError { kind: kind_of_code(code), ..error },
        _ => error,
    }
}

/// Codes that only failed answers have.
fn kind_of_code(code: &str) -> ErrorKind {
    match code {
        "server_is_overloaded" | "slow_down" => ErrorKind::Overloaded,
        "vector_store_timeout" => ErrorKind::Timeout,
        "invalid_prompt" | "bio_policy" | "cyber_policy" | "data_residency_mismatch" => ErrorKind::InvalidRequest,
        code if code.contains("image") => ErrorKind::InvalidRequest,
        _ => ErrorKind::Internal,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_in_streams_are_read_in_all_their_forms() {
        use ErrorKind as K;
        for (data, kind, message) in [
            (
                r#"{"type":"error","code":"server_error","message":"boom","param":null,"sequence_number":3}"#,
                K::Internal,
                "boom",
            ),
            (
                r#"{"type":"error","error":{"type":"tokens","code":"rate_limit_exceeded","message":"slow","param":null}}"#,
                K::RateLimit,
                "slow",
            ),
            (
                r#"{"type":"response.failed","response":{"id":"r","error":{"code":"server_is_overloaded","message":"busy"}}}"#,
                K::Overloaded,
                "busy",
            ),
            (
                r#"{"type":"response.failed","response":{"id":"r","error":{"code":"invalid_image_url","message":"bad"}}}"#,
                K::InvalidRequest,
                "bad",
            ),
            ("nonsense", K::Internal, "the provider reported an error in the stream without saying which"),
        ] {
            let error = decode_said(data.as_bytes());
            assert_eq!((error.kind, error.message.as_str()), (kind, message), "{data}");
        }
        let full = decode_said(br#"{"type":"response.failed","response":{"error":{"code":"context_length_exceeded","message":"Your input exceeds the context window"}}}"#);
        assert!(full.is_context_overflow());
    }
}
