//! Anthropic's error body.

use serde_json::{Value, json};

use crate::fault::Fault;

/// The body of an error.
pub(crate) fn body(fault: &Fault, request_id: &str) -> Value {
    json!({ "type": "error", "error": inner(fault), "request_id": request_id })
}

/// The data of an `error` event in a stream.
pub(crate) fn event(fault: &Fault) -> Value {
    json!({ "type": "error", "error": inner(fault) })
}

fn inner(fault: &Fault) -> Value {
    let word = match fault.status {
        401 => "authentication_error",
        402 => "billing_error",
        403 => "permission_error",
        404 => "not_found_error",
        413 => "request_too_large",
        429 => "rate_limit_error",
        504 => "timeout_error",
        529 => "overloaded_error",
        500..=599 => "api_error",
        _ => "invalid_request_error",
    };
    let mut error = json!({ "type": word, "message": fault.message });
    if let (Some(details), Some(fields)) = (&fault.details, error.as_object_mut()) {
        fields.insert("details".to_owned(), details.clone());
    }
    error
}
