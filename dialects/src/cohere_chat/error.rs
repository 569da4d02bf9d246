//! Error answers: `{"message": …, "id": …}` beside a status.

use serde_json::Value;

use crate::content_policy::REFUSED;
use crate::hub::{ErrorKind, ProviderError};
use crate::json::Writer;
use crate::openai_chat;

/// Reads a provider's error answer. The vendor has statuses of its own: 498 is a text with a token that it denies, and none of a key,
/// 499 a caller that left.
pub(super) fn decode(status: u16, body: &[u8]) -> ProviderError {
    let error = openai_chat::error::decode(status, body);
    match status {
        498 => ProviderError { kind: ErrorKind::InvalidRequest, code: Some(REFUSED.to_owned()), ..error },
        499 => ProviderError { kind: ErrorKind::RequestTimeout, ..error },
        _ => error,
    }
}

/// Writes one. A prompt that does not fit is said in words by which it is known.
pub(super) fn encode(error: &ProviderError, request_id: &str) -> Vec<u8> {
    let mut json = Writer::with_capacity(error.message.len() + 64);
    json.open(b'{');
    json.text_field("id", request_id);
    json.text_field("message", &told(error));
    json.close(b'}');
    json.into_bytes()
}

/// The message.
pub(super) fn told(error: &ProviderError) -> String {
    let message = &error.message;
    let plain = Value::from(message.as_str()).to_string();
    let known = || decode(400, format!("{{\"message\":{plain}}}").as_bytes()).is_context_overflow();
    if error.is_context_overflow() && !known() {
        format!("context length exceeded: {message}")
    } else {
        message.clone()
    }
}

/// True if an error body says that a prompt does not fit.
pub(super) fn tells_overflow(body: &[u8]) -> bool {
    decode(400, body).is_context_overflow()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statuses_of_its_own_are_known() {
        for (status, kind) in [
            (400, ErrorKind::InvalidRequest),
            (401, ErrorKind::Authentication),
            (498, ErrorKind::InvalidRequest),
            (429, ErrorKind::RateLimit),
            (503, ErrorKind::Overloaded),
        ] {
            let error = decode(status, br#"{"id":"x","message":"because"}"#);
            assert_eq!((error.kind, error.message.as_str()), (kind, "because"), "{status}");
        }
        assert!(decode(498, b"{}").is_content_refusal());
        let long = br#"{"message":"too many tokens: size limit exceeded by 11326 tokens. Try using shorter or fewer inputs."}"#;
        assert!(decode(400, long).is_context_overflow());
    }
}
