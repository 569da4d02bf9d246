//! Error answers: one table of kinds, status codes, type words and codes; every shape look-alikes use is read.
//!
//! Source of the words: OpenAI API reference, "Errors", and what its SDKs switch on.

use serde_json::Value;

use crate::content_policy;
use crate::hub::{CONTEXT_OVERFLOW, ErrorKind, ProviderError};
use crate::json::Writer;
use crate::not_callers;
use crate::overflow;

/// Messages are cut here (bytes): some providers quote the whole request back.
const LONGEST_MESSAGE: usize = 4096;

/// The type word and code of each kind.
fn words(kind: ErrorKind) -> (&'static str, Option<&'static str>) {
    const INVALID: &str = "invalid_request_error";
    match kind {
        ErrorKind::InvalidRequest => (INVALID, None),
        ErrorKind::Authentication => (INVALID, Some("invalid_api_key")),
        ErrorKind::Billing => ("insufficient_quota", Some("insufficient_quota")),
        ErrorKind::Permission => ("permission_error", None),
        ErrorKind::NotFound => (INVALID, None),
        ErrorKind::Method => (INVALID, None),
        ErrorKind::RequestTimeout => (INVALID, Some("request_timeout")),
        ErrorKind::Conflict => ("conflict_error", None),
        ErrorKind::TooLarge => (INVALID, Some("request_too_large")),
        ErrorKind::MediaType => (INVALID, None),
        ErrorKind::Unprocessable => (INVALID, None),
        ErrorKind::RateLimit => ("rate_limit_error", Some("rate_limit_exceeded")),
        ErrorKind::Quota => ("insufficient_quota", Some("insufficient_quota")),
        ErrorKind::HeadersTooLarge => (INVALID, None),
        ErrorKind::Internal => ("server_error", None),
        ErrorKind::BadGateway => ("server_error", Some("bad_gateway")),
        ErrorKind::Overloaded => ("server_error", Some("overloaded")),
        ErrorKind::Unavailable => ("server_error", Some("unavailable")),
        ErrorKind::Timeout => ("server_error", Some("timeout")),
    }
}

/// Writes `{"error":{"message","type","param","code"}}`. A provider's own type word and code are kept when they are
/// words of this dialect's table; another dialect's are replaced. OpenAI has no request id in the body; it goes in the
/// header `x-request-id`.
#[must_use]
pub(crate) fn encode(error: &ProviderError, _request_id: &str) -> Vec<u8> {
    let mut json = Writer::with_capacity(error.message.len() + 96);
    json.open(b'{');
    write_error(error, &mut json);
    json.close(b'}');
    json.into_bytes()
}

/// Writes the member `"error":{…}`.
pub(crate) fn write_error(error: &ProviderError, json: &mut Writer) {
    let ProviderError { kind, message, r#type, code, param } = error;
    let (default_type, default_code) = words(*kind);
    json.open_field("error", b'{');
    json.text_field("message", message);
    json.text_field("type", r#type.as_deref().filter(|word| is_our_word(word)).unwrap_or(default_type));
    for (name, value) in [("param", param.as_deref()), ("code", code.as_deref().or(default_code))] {
        match value {
            Some(text) => json.text_field(name, text),
            None => json.value_field(name, "null"),
        }
    }
    json.close(b'}');
}

/// True if a type word is one this dialect's clients know.
fn is_our_word(word: &str) -> bool {
    const WORDS: [&str; 9] = [
        "invalid_request_error",
        "insufficient_quota",
        "permission_error",
        "conflict_error",
        "rate_limit_error",
        "server_error",
        "requests",
        "tokens",
        "authentication_error",
    ];
    WORDS.contains(&word)
}

/// Reads a provider's error answer: OpenAI's shape, and look-alikes' (`"error"` a bare string; `message`, `detail`,
/// `msg` at the top; a list of `detail`s with `msg`; the object in a one-element array). Anything else gives an error
/// by its status alone. Status 0 stands for an error inside a stream, which has none.
#[must_use]
pub(crate) fn decode(status: u16, body: &[u8]) -> ProviderError {
    let value: Value = serde_json::from_slice(body).unwrap_or(Value::Null);
    decode_value(status, &value)
}

pub(super) fn decode_value(status: u16, value: &Value) -> ProviderError {
    let outer = value.get(0).unwrap_or(value);
    let inner = outer.get("error").filter(|error| !error.is_null()).unwrap_or(outer);
    let own_status = inner.get("code").or_else(|| inner.get("status")).and_then(Value::as_u64);
    let status = match (status, own_status.and_then(|code| u16::try_from(code).ok())) {
        (0, Some(own @ 400..=599)) => own,
        (status, _) => status,
    };
    let word = |name: &str| inner.get(name).and_then(Value::as_str).map(str::to_owned);
    let (r#type, code) = (word("type"), word("code"));
    let message = message_of(inner).or_else(|| message_of(outer)).unwrap_or_else(|| unsaid(status));
    // OpenRouter says there what its own provider's error was.
    let metadata = inner.get("metadata");
    let deeper = metadata.and_then(|metadata| metadata.get("error_type")).and_then(Value::as_str);
    let code = code.or_else(|| metadata.and_then(content_policy::flagged).map(str::to_owned));
    let words = [code.as_deref(), r#type.as_deref(), deeper];
    let kind = words.into_iter().flatten().find_map(kind_of_word).unwrap_or_else(|| kind_of_status(status));
    let error = ProviderError {
        kind,
        message: shortened(message),
        r#type,
        code,
        param: word("param").or_else(|| first_field(inner)),
    };
    overflow::recognised(not_callers::recognised(content_policy::recognised(error)))
}

/// True if an error body says that a prompt does not fit, as clients know it: by the code.
#[must_use]
pub(crate) fn tells_overflow(body: &[u8]) -> bool {
    let value: Value = serde_json::from_slice(body).unwrap_or(Value::Null);
    value.get("error").and_then(|error| error.get("code")).and_then(Value::as_str) == Some(CONTEXT_OVERFLOW)
}

fn message_of(value: &Value) -> Option<String> {
    let text = match value {
        Value::String(text) => text.as_str(),
        Value::Object(fields) => {
            let said = ["message", "detail", "msg", "error_description", "errors"]
                .iter()
                .find_map(|name| fields.get(*name))?;
            match said {
                Value::String(text) => text,
                Value::Array(list) => return listed(list),
                // Mistral's hold a list of validation errors there.
                Value::Object(deeper) => match deeper.get("message").or_else(|| deeper.get("detail"))? {
                    Value::Array(list) => return listed(list),
                    text => text.as_str()?,
                },
                _ => return None,
            }
        }
        _ => return None,
    };
    (!text.is_empty()).then(|| text.to_owned())
}

/// The words of a list of errors: FastAPI's validation errors have `msg` each, and the field at fault beside it, Cloudflare's `message`.
fn listed(list: &[Value]) -> Option<String> {
    const MOST: usize = 8;
    let one = |error: &Value| {
        let text = ["msg", "message"].iter().find_map(|name| error.get(*name)?.as_str()).or_else(|| error.as_str())?;
        Some(match field_of(error) {
            Some(field) => format!("{field}: {text}"),
            None => text.to_owned(),
        })
    };
    let said: Vec<String> = list.iter().filter_map(one).take(MOST).collect();
    Some(said.join("; ")).filter(|text| !text.is_empty())
}

/// The field at fault of a validation error.
fn field_of(error: &Value) -> Option<String> {
    let place = error.get("loc")?.as_array()?;
    let name = |step: &Value| step.as_str().map(str::to_owned).or_else(|| Some(step.as_u64()?.to_string()));
    let steps: Vec<String> = place.iter().filter_map(name).collect();
    let within = steps.strip_prefix(&["body".to_owned()]).unwrap_or(&steps);
    Some(within.join(".")).filter(|field| !field.is_empty())
}

/// The field at fault of the first of a list of validation errors.
fn first_field(value: &Value) -> Option<String> {
    let of = |list: &Value| field_of(list.get(0)?);
    ["message", "detail", "errors"]
        .iter()
        .filter_map(|name| value.get(*name))
        .find_map(|said| of(said).or_else(|| of(said.get("detail")?)))
}

fn unsaid(status: u16) -> String {
    match status {
        0 => "the provider reported an error in the stream without saying which".to_owned(),
        status => format!("the provider answered with status {status} and no error message"),
    }
}

fn shortened(mut message: String) -> String {
    if message.len() > LONGEST_MESSAGE {
        let end = message.floor_char_boundary(LONGEST_MESSAGE);
        message.truncate(end);
        message.push('…');
    }
    message
}

/// Words that say more than the status does.
fn kind_of_word(word: &str) -> Option<ErrorKind> {
    Some(match word {
        "insufficient_quota" | "billing_hard_limit_reached" | "billing_not_active" | "usage_limit_reached" => {
            ErrorKind::Quota
        }
        "rate_limit_exceeded" | "rate_limit_error" | "too_many_requests" => ErrorKind::RateLimit,
        "invalid_api_key" | "authentication_error" => ErrorKind::Authentication,
        "permission_error" => ErrorKind::Permission,
        "model_not_found" | "model_decommissioned" | "unavailable_model" | "invalid_model" | "not_found_error" => {
            ErrorKind::NotFound
        }
        "overloaded" | "overloaded_error" | "engine_overloaded" | "engine_overloaded_error" | "provider_overloaded" => {
            ErrorKind::Overloaded
        }
        "string_above_max_length" => ErrorKind::InvalidRequest,
        _ => return None,
    })
}

fn kind_of_status(status: u16) -> ErrorKind {
    match status {
        401 => ErrorKind::Authentication,
        402 => ErrorKind::Billing,
        403 => ErrorKind::Permission,
        404 => ErrorKind::NotFound,
        405 => ErrorKind::Method,
        408 => ErrorKind::RequestTimeout,
        409 => ErrorKind::Conflict,
        413 => ErrorKind::TooLarge,
        415 => ErrorKind::MediaType,
        422 => ErrorKind::Unprocessable,
        429 => ErrorKind::RateLimit,
        431 => ErrorKind::HeadersTooLarge,
        400..=499 => ErrorKind::InvalidRequest,
        502 => ErrorKind::BadGateway,
        503 | 529 => ErrorKind::Overloaded,
        504 => ErrorKind::Timeout,
        _ => ErrorKind::Internal,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_every_shape() {
        use ErrorKind as K;
        for (status, body, kind, message) in [
            (
                400,
                r#"{"error":{"message":"bad","type":"invalid_request_error","param":"n","code":null}}"#,
                K::InvalidRequest,
                "bad",
            ),
            (
                429,
                r#"{"error":{"message":"pay","type":"insufficient_quota","code":"insufficient_quota"}}"#,
                K::Quota,
                "pay",
            ),
            (429, r#"{"error":{"message":"slow","type":"tokens","code":"rate_limit_exceeded"}}"#, K::RateLimit, "slow"),
            (500, r#"{"error":"boom"}"#, K::Internal, "boom"),
            (404, r#"{"object":"error","message":"no model","code":404}"#, K::NotFound, "no model"),
            (401, r#"{"detail":"who"}"#, K::Authentication, "who"),
            (422, r#"{"detail":[{"loc":["body"],"msg":"field required"}]}"#, K::Unprocessable, "field required"),
            (
                422,
                r#"{"object":"error","message":{"detail":[{"type":"extra_forbidden","loc":["body","messages",0,"user","name"],"msg":"Extra inputs are not permitted"}]},"type":"invalid_request_error","param":null,"code":null}"#,
                K::Unprocessable,
                "messages.0.user.name: Extra inputs are not permitted",
            ),
            (
                422,
                r#"{"object":"Error","detail":[{"loc":["body","n"],"msg":"too large"}],"message":[{"loc":["body","n"],"msg":"too large"},{"loc":["body","tools"],"msg":"no"}],"code":3001}"#,
                K::Unprocessable,
                "n: too large; tools: no",
            ),
            (422, r#"{"detail":[{"loc":["body","tools"],"msg":"no"}]}"#, K::Unprocessable, "tools: no"),
            (401, r#"{"success":false,"errors":[{"code":10000,"message":"who"}]}"#, K::Authentication, "who"),
            (503, r#"[{"error":{"code":503,"message":"busy","status":"UNAVAILABLE"}}]"#, K::Overloaded, "busy"),
            (0, r#"{"error":{"code":503,"message":"busy"}}"#, K::Overloaded, "busy"),
            (
                0,
                r#"{"error":{"type":"too_many_requests","code":"too_many_requests","message":"Too Many Requests"}}"#,
                K::RateLimit,
                "Too Many Requests",
            ),
            (
                0,
                r#"{"error":{"type":"usage_limit_reached","message":"used up","resets_in_seconds":3600}}"#,
                K::Quota,
                "used up",
            ),
            (502, "<html>", K::BadGateway, "the provider answered with status 502 and no error message"),
        ] {
            let error = decode(status, body.as_bytes());
            assert_eq!((error.kind, error.message.as_str()), (kind, message), "{body}");
        }
        let listed = decode(422, br#"{"message":{"detail":[{"loc":["body","tools",0],"msg":"no"}]},"param":null}"#);
        assert_eq!(listed.param.as_deref(), Some("tools.0"));
        assert!(decode(400, format!("{{\"error\":\"{}\"}}", "é".repeat(5000)).as_bytes()).message.len() < 5000);
    }

    #[test]
    fn writes_the_shape_clients_read() {
        let error = ProviderError {
            kind: ErrorKind::Overloaded,
            message: "a \"b\"".into(),
            r#type: Some("overloaded_error".into()),
            code: None,
            param: None,
        };
        let body = String::from_utf8(encode(&error, "r1")).unwrap();
        assert_eq!(body, r#"{"error":{"message":"a \"b\"","type":"server_error","param":null,"code":"overloaded"}}"#);
        let again = decode(503, body.as_bytes());
        assert_eq!((again.kind, again.message), (error.kind, error.message));
    }
}
