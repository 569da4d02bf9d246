//! Google's error body.

use serde_json::{Value, json};

use crate::fault::Fault;

/// The body of an error; also the data of an error in a stream.
pub(crate) fn body(fault: &Fault) -> Value {
    let word = match fault.status {
        401 => "UNAUTHENTICATED",
        403 => "PERMISSION_DENIED",
        404 => "NOT_FOUND",
        409 => "ABORTED",
        429 => "RESOURCE_EXHAUSTED",
        499 => "CANCELLED",
        503 => "UNAVAILABLE",
        504 => "DEADLINE_EXCEEDED",
        500..=599 => "INTERNAL",
        _ => "INVALID_ARGUMENT",
    };
    let mut details = Vec::new();
    details.extend(fault.details.clone());
    if fault.code == Some("insufficient_quota") {
        let violation = json!({ "quotaId": "GenerateRequestsPerDayPerProjectPerModel-FreeTier" });
        let kind = "type.googleapis.com/google.rpc.QuotaFailure";
        details.push(json!({ "@type": kind, "violations": [violation] }));
    }
    // When to come back is said here, and in no header.
    if let Some(after) = fault.retry_after {
        let delay = format!("{}s", after.as_secs_f64());
        details.push(json!({ "@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": delay }));
    }
    let mut error = json!({ "code": fault.status, "message": fault.message, "status": word });
    if let (false, Some(fields)) = (details.is_empty(), error.as_object_mut()) {
        fields.insert("details".to_owned(), Value::Array(details));
    }
    json!({ "error": error })
}

/// The error of a key that is wrong, or of none: Google takes the first for an argument.
pub(crate) fn key(shown: bool) -> Box<Fault> {
    if !shown {
        let message = "Method doesn't allow unregistered callers (callers without established identity). Please use API Key or other form of API consumer identity to call this API.";
        return Fault::new(403, message);
    }
    let info = json!({
        "@type": "type.googleapis.com/google.rpc.ErrorInfo",
        "reason": "API_KEY_INVALID",
        "domain": "googleapis.com",
    });
    Fault::new(400, "API key not valid. Please pass a valid API key.").detailed(info)
}
