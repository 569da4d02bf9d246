//! Moments as statuses write them: RFC 3339, to the second.

use k8s_openapi::jiff::Timestamp;

/// The seconds since 1970 of a moment; `None`: there is none, or it is not written so.
pub(super) fn seconds(text: Option<&str>) -> Option<i64> {
    text?.parse::<Timestamp>().ok().map(Timestamp::as_second)
}

/// The moment so many seconds after 1970 began.
pub(super) fn moment(seconds: i64) -> Option<String> {
    Timestamp::from_second(seconds).ok().map(|at| at.to_string())
}
