//! Cohere's dialect, as its vendor serves it.

pub(crate) mod embed;
pub(crate) mod reply;
pub(crate) mod request;
pub(crate) mod stream;

use serde_json::{Value, json};

use crate::fault::Fault;

/// The body of an error.
pub(crate) fn error(fault: &Fault, id: &str) -> Value {
    json!({ "id": id, "message": fault.message })
}
