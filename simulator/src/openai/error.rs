//! OpenAI's error body.

use serde_json::{Value, json};

use crate::fault::Fault;

/// The body of an error; also the data of an error in a stream.
pub(crate) fn body(fault: &Fault) -> Value {
    let word = fault.r#type.unwrap_or(match fault.status {
        429 => "requests",
        500..=599 => "server_error",
        _ => "invalid_request_error",
    });
    let code = fault.code.or(match fault.status {
        401 => Some("invalid_api_key"),
        429 => Some("rate_limit_exceeded"),
        _ => None,
    });
    json!({ "error": { "message": fault.message, "type": word, "param": fault.param, "code": code } })
}
