//! Times as the vendors write them.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use jiff::Timestamp;

/// Seconds since 1970.
pub(crate) fn unix_seconds() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

/// A time as RFC 3339 in UTC, to the second (Anthropic's rate-limit headers).
pub(crate) fn rfc3339(seconds: u64) -> String {
    let at = i64::try_from(seconds).ok().and_then(|seconds| Timestamp::from_second(seconds).ok());
    format!("{:.0}", at.unwrap_or_default())
}

/// A time span as OpenAI's `x-ratelimit-reset-*` writes it: `12ms`, `1s`, `6m0s`.
pub(crate) fn go_duration(span: Duration) -> String {
    let seconds = span.as_secs();
    if seconds == 0 {
        format!("{}ms", span.as_millis())
    } else if seconds < 60 {
        format!("{}s", span.as_millis().div_ceil(1000))
    } else {
        format!("{}m{}s", seconds / 60, seconds % 60)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates() {
        assert_eq!(rfc3339(0), "1970-01-01T00:00:00Z");
        assert_eq!(rfc3339(951_782_400), "2000-02-29T00:00:00Z");
        assert_eq!(rfc3339(1_795_392_061), "2026-11-23T00:01:01Z");
    }

    #[test]
    fn spans() {
        let spans = [6, 1000, 1500, 360_000].map(|ms| go_duration(Duration::from_millis(ms)));
        assert_eq!(spans, ["6ms", "1s", "2s", "6m0s"]);
    }
}
