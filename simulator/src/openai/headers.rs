//! The headers OpenAI answers with.

use std::time::Duration;

use http::HeaderMap;

use crate::clock::go_duration;
use crate::fault::Fault;
use crate::heads::put;
use crate::limits::Quota;

/// The tokens a minute that are shown; they are not enforced.
const TOKENS: u64 = 2_000_000;

/// The headers of every answer.
pub(crate) fn answer(headers: &mut HeaderMap, id: &str, quota: &Quota, took: Duration) {
    put(headers, "x-request-id", id);
    put(headers, "openai-version", "2020-10-01");
    put(headers, "openai-organization", "simulated");
    put(headers, "openai-processing-ms", &took.as_millis().to_string());
    put(headers, "x-ratelimit-limit-requests", &quota.limit.to_string());
    put(headers, "x-ratelimit-remaining-requests", &quota.remaining.to_string());
    put(headers, "x-ratelimit-reset-requests", &go_duration(quota.reset));
    put(headers, "x-ratelimit-limit-tokens", &TOKENS.to_string());
    put(headers, "x-ratelimit-remaining-tokens", &TOKENS.to_string());
    put(headers, "x-ratelimit-reset-tokens", "0s");
}

/// The headers an error has besides: OpenAI gives seconds, and milliseconds for its own SDKs.
pub(crate) fn fault(headers: &mut HeaderMap, fault: &Fault) {
    if let Some(after) = fault.retry_after {
        put(headers, "retry-after", &after.as_millis().div_ceil(1000).to_string());
        put(headers, "retry-after-ms", &after.as_millis().to_string());
    }
    if let Some(retry) = fault.should_retry {
        put(headers, "x-should-retry", if retry { "true" } else { "false" });
    }
}
