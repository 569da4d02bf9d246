//! Calls from web pages of other origins (the Fetch standard's CORS protocol): off, unless origins are allowed.

use http::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, ACCESS_CONTROL_REQUEST_HEADERS,
    ACCESS_CONTROL_REQUEST_METHOD, ORIGIN, VARY,
};
use http::{HeaderMap, HeaderValue, Method};
use sluicegate_dialects::hub::ErrorKind;

use crate::errors::Problem;

/// The longest that browsers keep a preflight's answer, in seconds (Chromium).
const MAX_AGE: &str = "7200";
/// Stands for every origin.
const ANY: &str = "*";

/// The origin of the page that calls, if its calls are to be answered.
pub(super) fn allowed(headers: &HeaderMap, origins: &[String]) -> Option<HeaderValue> {
    if origins.is_empty() {
        return None;
    }
    let origin = headers.get(ORIGIN)?;
    let is = |allowed: &String| allowed == ANY || allowed.as_bytes().eq_ignore_ascii_case(origin.as_bytes());
    origins.iter().any(is).then(|| origin.clone())
}

/// True if a request is a browser's question before the call itself.
pub(super) fn is_preflight(method: &Method, headers: &HeaderMap) -> bool {
    *method == Method::OPTIONS && headers.contains_key(ORIGIN) && headers.contains_key(ACCESS_CONTROL_REQUEST_METHOD)
}

/// The answer to a preflight, beside what every answer says.
///
/// # Errors
/// The page's origin is not allowed.
pub(super) fn preflight(
    asked: &HeaderMap,
    allowed: Option<&HeaderValue>,
    methods: &'static str,
) -> Result<HeaderMap, Problem> {
    if allowed.is_none() {
        let message =
            "Pages of this origin may not call this gateway; its operator allows origins with --cors-origins.";
        return Err(Problem::client(ErrorKind::Permission, message));
    }
    let mut headers = HeaderMap::new();
    headers.insert(ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static(methods));
    headers.insert(ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static(MAX_AGE));
    // What an SDK sends changes with its version: whatever is asked for is allowed, and read or not as in any other call.
    for names in asked.get_all(ACCESS_CONTROL_REQUEST_HEADERS) {
        headers.append(ACCESS_CONTROL_ALLOW_HEADERS, names.clone());
    }
    Ok(headers)
}

/// Adds what every answer to such a page says, errors too.
pub(super) fn answer(headers: &mut HeaderMap, allowed: Option<&HeaderValue>) {
    if let Some(origin) = allowed {
        headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone());
        headers.insert(ACCESS_CONTROL_EXPOSE_HEADERS, HeaderValue::from_static(ANY));
        headers.append(VARY, HeaderValue::from_static("origin"));
    }
}
