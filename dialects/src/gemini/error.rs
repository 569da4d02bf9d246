//! Error answers: one table of kinds, status codes and status words.
//!
//! The words are those of google.rpc.Code, as ai.google.dev/gemini-api/docs/troubleshooting lists them.

use std::time::Duration;

use serde_json::{Value, json};

use crate::hub::{ErrorKind, ProviderError};
use crate::json::Writer;
use crate::not_callers;
use crate::overflow;

/// Messages are cut here (bytes).
const LONGEST_MESSAGE: usize = 4096;

const INVALID: &str = "INVALID_ARGUMENT";

/// Kind, status code, status word. The first row with a word or status is the one it is read as.
const TABLE: [(ErrorKind, u16, &str); 19] = [
    (ErrorKind::InvalidRequest, 400, INVALID),
    (ErrorKind::Authentication, 401, "UNAUTHENTICATED"),
    (ErrorKind::Permission, 403, "PERMISSION_DENIED"),
    (ErrorKind::NotFound, 404, "NOT_FOUND"),
    (ErrorKind::Conflict, 409, "ABORTED"),
    (ErrorKind::RateLimit, 429, "RESOURCE_EXHAUSTED"),
    (ErrorKind::Internal, 500, "INTERNAL"),
    (ErrorKind::Overloaded, 503, "UNAVAILABLE"),
    (ErrorKind::Timeout, 504, "DEADLINE_EXCEEDED"),
    // The rest are told in the nearest word, and never read of one.
    (ErrorKind::Billing, 402, "FAILED_PRECONDITION"),
    (ErrorKind::Method, 405, "UNIMPLEMENTED"),
    (ErrorKind::RequestTimeout, 408, "CANCELLED"),
    (ErrorKind::TooLarge, 413, INVALID),
    (ErrorKind::MediaType, 415, INVALID),
    (ErrorKind::Unprocessable, 422, INVALID),
    (ErrorKind::Quota, 429, "RESOURCE_EXHAUSTED"),
    (ErrorKind::HeadersTooLarge, 431, INVALID),
    (ErrorKind::BadGateway, 502, "INTERNAL"),
    (ErrorKind::Unavailable, 503, "UNAVAILABLE"),
];

/// The status code Google would answer with.
pub(crate) fn status(kind: ErrorKind) -> u16 {
    TABLE.iter().find(|row| row.0 == kind).map_or(500, |row| row.1)
}

fn word(kind: ErrorKind) -> &'static str {
    TABLE.iter().find(|row| row.0 == kind).map_or("INTERNAL", |row| row.2)
}

/// Writes `{"error":{"code","message","status"}}`, with the field at fault among its details. The dialect has no request
/// id in the body.
pub(crate) fn encode(error: &ProviderError, _request_id: &str) -> Vec<u8> {
    let ProviderError { kind, message, r#type: _, code: _, param } = error;
    let mut json = Writer::with_capacity(message.len() + 96);
    json.open(b'{');
    json.open_field("error", b'{');
    json.value_field("code", status(*kind));
    json.text_field("message", &overflow::in_geminis_words(error));
    json.text_field("status", word(*kind));
    if let Some(param) = param {
        json.open_field("details", b'[');
        json.open(b'{');
        json.text_field("@type", "type.googleapis.com/google.rpc.BadRequest");
        json.open_field("fieldViolations", b'[');
        json.open(b'{');
        json.text_field("field", param);
        json.text_field("description", message);
        json.close(b'}');
        json.close(b']');
        json.close(b'}');
        json.close(b']');
    }
    json.close(b'}');
    json.close(b'}');
    json.into_bytes()
}

/// The same error, with when to come again among its details: Google's clients look for it nowhere else.
pub(crate) fn say_when(body: Vec<u8>, after: Duration) -> Vec<u8> {
    let Ok(mut value) = serde_json::from_slice::<Value>(&body) else { return body };
    let Some(Value::Object(error)) = value.get_mut("error") else { return body };
    let details = error.entry("details").or_insert_with(|| Value::Array(Vec::new()));
    let Some(details) = details.as_array_mut() else { return body };
    if details.iter().any(|detail| detail.get("retryDelay").is_some()) {
        return body;
    }
    let delay = format!("{}s", after.as_secs_f64());
    details.push(json!({ "@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": delay }));
    value.to_string().into_bytes()
}

/// Reads a provider's error answer, alone or in the one-element array that a stream's is; anything at all gives an error,
/// if need be only by its status. Status 0 stands for an error inside a stream, which has none.
pub(crate) fn decode(status: u16, body: &[u8]) -> ProviderError {
    let value: Value = serde_json::from_slice(body).unwrap_or(Value::Null);
    let outer = value.get(0).unwrap_or(&value);
    let inner = outer.get("error").unwrap_or(outer);
    let own = inner.get("code").and_then(Value::as_u64).and_then(|code| u16::try_from(code).ok());
    let status = if status == 0 { own.filter(|own| (400..=599).contains(own)).unwrap_or(500) } else { status };
    let text = |name: &str| inner.get(name).and_then(Value::as_str).filter(|text| !text.is_empty());
    let Some(message) = text("message") else {
        return ProviderError::unreadable(by_status(status), status);
    };
    let details = inner.get("details").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    // These two words stand for every status that has none of its own.
    let word = text("status").filter(|word| !matches!(*word, INVALID | "INTERNAL"));
    let kind = by_details(details).or_else(|| word.and_then(by_word)).unwrap_or_else(|| by_status(status));
    overflow::recognised(not_callers::recognised(ProviderError {
        kind,
        message: shortened(message),
        r#type: text("status").map(str::to_owned),
        code: None,
        param: violations(details, "fieldViolations").find_map(|one| Some(one.get("field")?.as_str()?.to_owned())),
    }))
}

/// The members of a list in any of the details.
fn violations<'a>(details: &'a [Value], name: &'a str) -> impl Iterator<Item = &'a Value> {
    details.iter().filter_map(move |detail| detail.get(name)?.as_array()).flatten()
}

/// The kind by the details, which say it more exactly than the word does.
fn by_details(details: &[Value]) -> Option<ErrorKind> {
    let reason = |detail: &Value| Some(detail.get("reason")?.as_str()?.to_owned());
    match details.iter().find_map(reason).as_deref() {
        Some("API_KEY_INVALID" | "ACCESS_TOKEN_EXPIRED" | "CREDENTIALS_MISSING") => {
            return Some(ErrorKind::Authentication);
        }
        Some("BILLING_DISABLED") => return Some(ErrorKind::Billing),
        _ => {}
    }
    // A day's quota is gone for longer than a client waits.
    let quota = |one: &Value| one.get("quotaId").and_then(Value::as_str).is_some_and(|id| id.contains("PerDay"));
    violations(details, "violations").any(quota).then_some(ErrorKind::Quota)
}

fn by_word(word: &str) -> Option<ErrorKind> {
    let row = TABLE.iter().take(9).find(|row| row.2 == word).map(|row| row.0);
    row.or(match word {
        "FAILED_PRECONDITION" | "OUT_OF_RANGE" => Some(ErrorKind::InvalidRequest),
        "ALREADY_EXISTS" => Some(ErrorKind::Conflict),
        "UNKNOWN" | "DATA_LOSS" => Some(ErrorKind::Internal),
        _ => None,
    })
}

fn by_status(status: u16) -> ErrorKind {
    let row = TABLE.iter().find(|row| row.1 == status && row.0 != ErrorKind::Unavailable).map(|row| row.0);
    row.unwrap_or(match status {
        400..=499 => ErrorKind::InvalidRequest,
        // Not Google's, but others' who stand where it would.
        529 => ErrorKind::Overloaded,
        500..=599 => ErrorKind::Internal,
        _ => ErrorKind::BadGateway,
    })
}

fn shortened(message: &str) -> String {
    if message.len() <= LONGEST_MESSAGE {
        return message.to_owned();
    }
    let end = message.floor_char_boundary(LONGEST_MESSAGE);
    format!("{}…", message.get(..end).unwrap_or_default())
}

/// True if an error body says that a prompt does not fit, as the dialect's clients know it: in Google's own words.
pub(crate) fn tells_overflow(body: &[u8]) -> bool {
    let value: Value = serde_json::from_slice(body).unwrap_or(Value::Null);
    let error = value.get(0).unwrap_or(&value).get("error");
    let message = error.and_then(|error| error.get("message")).and_then(Value::as_str);
    message.is_some_and(overflow::is_told_to_gemini)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_are_read_by_details_word_and_status() {
        use ErrorKind as K;
        for (status, body, kind) in [
            (400, r#"{"error":{"code":400,"message":"bad","status":"INVALID_ARGUMENT"}}"#, K::InvalidRequest),
            (
                400,
                r#"{"error":{"code":400,"message":"API key not valid. Please pass a valid API key.","status":"INVALID_ARGUMENT","details":[{"@type":"type.googleapis.com/google.rpc.ErrorInfo","reason":"API_KEY_INVALID"}]}}"#,
                K::Authentication,
            ),
            (429, r#"[{"error":{"code":429,"message":"slow","status":"RESOURCE_EXHAUSTED"}}]"#, K::RateLimit),
            (
                429,
                r#"{"error":{"code":429,"message":"q","status":"RESOURCE_EXHAUSTED","details":[{"violations":[{"quotaId":"GenerateRequestsPerDayPerProjectPerModel-FreeTier"}]}]}}"#,
                K::Quota,
            ),
            (0, r#"{"error":{"code":503,"message":"busy","status":"UNAVAILABLE"}}"#, K::Overloaded),
            (502, "<html>", K::BadGateway),
            (529, r#"{"error":{"code":529,"message":"busy","status":"INTERNAL"}}"#, K::Overloaded),
            (403, r#"{"error":{"message":"no","status":"PERMISSION_DENIED"}}"#, K::Permission),
        ] {
            assert_eq!(decode(status, body.as_bytes()).kind, kind, "{body}");
        }
        let long = "The input token count (1200000) exceeds the maximum number of tokens allowed (1048576).";
        let body = format!(r#"{{"error":{{"code":400,"message":"{long}","status":"INVALID_ARGUMENT"}}}}"#);
        assert!(decode(400, body.as_bytes()).is_context_overflow());
        assert!(tells_overflow(body.as_bytes()));
    }

    #[test]
    fn when_to_come_again_stands_among_the_details_once() {
        let body = say_when(br#"{"error":{"code":429,"message":"x"}}"#.to_vec(), Duration::from_millis(1500));
        let expected = r#"{"error":{"code":429,"message":"x","details":[{"@type":"type.googleapis.com/google.rpc.RetryInfo","retryDelay":"1.5s"}]}}"#;
        assert_eq!(String::from_utf8(body.clone()).unwrap(), expected);
        assert_eq!(say_when(body.clone(), Duration::from_secs(9)), body);
        assert_eq!(say_when(b"no JSON".to_vec(), Duration::from_secs(9)), b"no JSON");
    }

    #[test]
    fn errors_are_written_as_google_does() {
        let error = ProviderError {
            kind: ErrorKind::NotFound,
            message: "no".into(),
            r#type: None,
            code: None,
            param: Some("model".into()),
        };
        let body = String::from_utf8(encode(&error, "r")).unwrap();
        assert_eq!(
            body,
            r#"{"error":{"code":404,"message":"no","status":"NOT_FOUND","details":[{"@type":"type.googleapis.com/google.rpc.BadRequest","fieldViolations":[{"field":"model","description":"no"}]}]}}"#
        );
    }
}
