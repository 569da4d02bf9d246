//! Error answers: one table of kinds, status codes and type words.

use crate::hub::{ErrorKind, ProviderError};

/// Reads a provider's error answer.
#[must_use]
pub fn decode(_status: u16, _body: &[u8]) -> ProviderError {
    ProviderError { kind: ErrorKind::Internal, message: String::new(), r#type: None, code: None, param: None }
}

/// Writes an error body.
#[must_use]
pub fn encode(_error: &ProviderError, _request_id: &str) -> Vec<u8> {
    Vec::new()
}

/// The status code the vendor would answer with.
#[must_use]
pub fn status(_kind: ErrorKind) -> u16 {
    500
}
