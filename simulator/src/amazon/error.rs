//! Amazon's errors: the exception's name in a header, a message in the body.

use serde_json::{Value, json};

use crate::fault::Fault;

/// The body of an error, and the payload of an exception.
pub(crate) fn body(fault: &Fault) -> Value {
    json!({ "message": fault.message })
}

/// The value of `x-amzn-errortype`.
pub(crate) fn name(fault: &Fault) -> &'static str {
    match fault.status {
        401 => "UnrecognizedClientException",
        403 => "AccessDeniedException",
        404 => "ResourceNotFoundException",
        408 => "ModelTimeoutException",
        429 => "ThrottlingException",
        500 => "InternalServerException",
        501..=599 => "ServiceUnavailableException",
        _ => "ValidationException",
    }
}

/// The status: Amazon has no 401.
pub(crate) const fn status(fault: &Fault) -> u16 {
    match fault.status {
        401 => 403,
        529 => 503,
        status => status,
    }
}
