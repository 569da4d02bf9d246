//! The headers Anthropic answers with.

use std::time::Duration;

use http::HeaderMap;

use crate::clock::{rfc3339, unix_seconds};
use crate::fault::Fault;
use crate::heads::put;
use crate::limits::Quota;

/// The headers of every answer.
pub(crate) fn answer(headers: &mut HeaderMap, id: &str, quota: &Quota, _took: Duration) {
    let reset = rfc3339(unix_seconds().saturating_add(quota.reset.as_millis().div_ceil(1000) as u64));
    put(headers, "request-id", id);
    put(headers, "anthropic-organization-id", "00000000-0000-4000-8000-000000000000");
    put(headers, "anthropic-ratelimit-requests-limit", &quota.limit.to_string());
    put(headers, "anthropic-ratelimit-requests-remaining", &quota.remaining.to_string());
    put(headers, "anthropic-ratelimit-requests-reset", &reset);
    // Tokens are shown, not enforced.
    for (kind, limit) in [("tokens", "2400000"), ("input-tokens", "2000000"), ("output-tokens", "400000")] {
        put(headers, &format!("anthropic-ratelimit-{kind}-limit"), limit);
        put(headers, &format!("anthropic-ratelimit-{kind}-remaining"), limit);
        put(headers, &format!("anthropic-ratelimit-{kind}-reset"), &reset);
    }
}

/// The headers an error has besides.
pub(crate) fn fault(headers: &mut HeaderMap, fault: &Fault) {
    if let Some(after) = fault.retry_after {
        put(headers, "retry-after", &after.as_millis().div_ceil(1000).to_string());
        // Only a wait below a second needs this: whole seconds are said above.
        if after.subsec_millis() > 0 {
            put(headers, "retry-after-ms", &after.as_millis().to_string());
        }
    }
    let retry = fault.should_retry.or(match fault.status {
        429 | 500..=599 => Some(true),
        _ => Some(false),
    });
    if let Some(retry) = retry {
        put(headers, "x-should-retry", if retry { "true" } else { "false" });
    }
}
