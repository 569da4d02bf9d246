//! Putting a header on an answer.

use http::header::{HeaderMap, HeaderName, HeaderValue};

/// Sets a header; what is no valid header is left out.
pub(crate) fn put(headers: &mut HeaderMap, name: &str, value: &str) {
    if let (Ok(name), Ok(value)) = (HeaderName::try_from(name), HeaderValue::try_from(value)) {
        headers.insert(name, value);
    }
}
