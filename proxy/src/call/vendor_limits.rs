//! A provider's own rate limits as its answers' headers tell them, and how long it is better to ask others. Pure.
//!
//! Most vendors mean a bucket that fills as time goes by: `reset` is when it is full again, not when something is in it. Others have
//! windows, of a day even, in which nothing comes back before they are over.

use std::time::{Duration, SystemTime};

use http::{HeaderMap, HeaderName, HeaderValue};
use serde_json::Value;
use sluicegate_dialects::hub::ErrorKind;

use super::retry_after;

/// Others are asked first when less than this share of a limit is left …
const LOW: f64 = 0.05;
/// … and until this share is.
const ENOUGH: f64 = 0.1;
/// A provider that has nothing left and does not say until when is let alone for so long.
const UNSAID: Duration = Duration::from_secs(1);
/// It is not worth the trouble for less than this …
const SHORTEST: Duration = Duration::from_millis(100);
/// … and nothing is believed for longer.
const LONGEST: Duration = Duration::from_secs(300);

/// So many headers are looked at that a body repeats.
const MOST_REPEATED: usize = 32;
/// A window that ends later than this is none: the longest are of a month.
const LONGEST_WINDOW: Duration = Duration::from_secs(31 * 86_400);
/// A number that is at least this is no span but a time since 1970, in seconds …
const SINCE_1970: f64 = 1e9;
/// … and from here on in milliseconds.
const SINCE_1970_IN_MS: f64 = 1e12;

/// The names of one limit: what there is of it, what is left, and when all of it is there again.
struct LimitNames {
    limit: HeaderName,
    remaining: HeaderName,
    reset: HeaderName,
}

const fn names(limit: &'static str, remaining: &'static str, reset: &'static str) -> LimitNames {
    LimitNames {
        limit: HeaderName::from_static(limit),
        remaining: HeaderName::from_static(remaining),
        reset: HeaderName::from_static(reset),
    }
}

/// OpenAI's, which Azure, Groq and most look-alikes say, too; Cerebras's by day and minute; Anthropic's.
static LIMITS: [LimitNames; 8] = [
    names("x-ratelimit-limit-requests", "x-ratelimit-remaining-requests", "x-ratelimit-reset-requests"),
    names("x-ratelimit-limit-tokens", "x-ratelimit-remaining-tokens", "x-ratelimit-reset-tokens"),
    names("x-ratelimit-limit-requests-day", "x-ratelimit-remaining-requests-day", "x-ratelimit-reset-requests-day"),
    names("x-ratelimit-limit-tokens-minute", "x-ratelimit-remaining-tokens-minute", "x-ratelimit-reset-tokens-minute"),
    names(
        "anthropic-ratelimit-requests-limit",
        "anthropic-ratelimit-requests-remaining",
        "anthropic-ratelimit-requests-reset",
    ),
    names(
        "anthropic-ratelimit-tokens-limit",
        "anthropic-ratelimit-tokens-remaining",
        "anthropic-ratelimit-tokens-reset",
    ),
    names(
        "anthropic-ratelimit-input-tokens-limit",
        "anthropic-ratelimit-input-tokens-remaining",
        "anthropic-ratelimit-input-tokens-reset",
    ),
    names(
        "anthropic-ratelimit-output-tokens-limit",
        "anthropic-ratelimit-output-tokens-remaining",
        "anthropic-ratelimit-output-tokens-reset",
    ),
];

/// The names of a window: what is left in it, and when it is over. OpenRouter's and Hugging Face's, those of an older draft of the IETF's,
/// Mistral's.
static WINDOWS: [(HeaderName, HeaderName); 3] = [
    (HeaderName::from_static("x-ratelimit-remaining"), HeaderName::from_static("x-ratelimit-reset")),
    (HeaderName::from_static("ratelimit-remaining"), HeaderName::from_static("ratelimit-reset")),
    (HeaderName::from_static("ratelimitbysize-remaining"), HeaderName::from_static("ratelimitbysize-reset")),
];

/// The IETF's own header for both, and Anthropic's for the windows of a subscription.
static RATE_LIMIT: HeaderName = HeaderName::from_static("ratelimit");
static UNIFIED_STATUS: HeaderName = HeaderName::from_static("anthropic-ratelimit-unified-status");
static UNIFIED_RESET: HeaderName = HeaderName::from_static("anthropic-ratelimit-unified-reset");

/// The time for which others are better asked first; `None`: there is enough left of everything, or nothing is said.
pub(super) fn nearly_used_up(headers: &HeaderMap, now: impl Fn() -> SystemTime) -> Option<Duration> {
    // Most answers of most providers say nothing of it: one pass tells.
    let says =
        |name: &HeaderName| name.as_str().starts_with("x-ratelimit-") || name.as_str().starts_with("anthropic-r");
    if !headers.keys().any(says) {
        return None;
    }
    longest(headers, &now, until_enough)
}

/// The time after which the caller of an answer that is an error is told to come again: as the provider says it, else until there is
/// enough again of the limit that its headers tell to be used up.
pub(super) fn told(kind: ErrorKind, headers: &HeaderMap, body: &[u8], now: SystemTime) -> Option<Duration> {
    let by_limits = || window(kind, headers, body, now).or_else(|| used_up_for(headers, || now));
    let by_limits = || if retry_after::says_later(kind) { by_limits() } else { None };
    retry_after::told(kind, headers, body, now).or_else(by_limits)
}

/// The cooldown that a provider asks for with an error: as it says it, else until the window is over that it tells to be used up.
pub(super) fn wanted(kind: ErrorKind, headers: &HeaderMap, body: &[u8], now: SystemTime) -> Option<Duration> {
    retry_after::wanted(headers, body, now).or_else(|| window(kind, headers, body, now))
}

/// The time until the window is over that an error of a limit tells to be used up: in its headers, or in those that its body repeats.
fn window(kind: ErrorKind, headers: &HeaderMap, body: &[u8], now: SystemTime) -> Option<Duration> {
    if !retry_after::says_later(kind) {
        return None;
    }
    let known = |wait: &Duration| (SHORTEST..=LONGEST_WINDOW).contains(wait);
    windows_in_headers(headers, now).or_else(|| windows_in_body(body, now)).filter(known)
}

/// The end of the last of the windows that are used up. One that does not say what is left in it is the one that an error is about.
fn windows_in_headers(headers: &HeaderMap, now: SystemTime) -> Option<Duration> {
    let text = |name: &HeaderName| headers.get(name)?.to_str().ok().map(str::trim);
    let is_used_up = |left: Option<&str>| left.is_none_or(|left| left.parse::<f64>().is_ok_and(|left| left <= 0.0));
    let named = WINDOWS.iter().filter(|(left, _)| is_used_up(text(left))).filter_map(|(_, over)| text(over));
    let unified = text(&UNIFIED_RESET).filter(|_| text(&UNIFIED_STATUS).is_none_or(|status| status == "rejected"));
    let ietf = text(&RATE_LIMIT).into_iter().flat_map(|text| text.split(',')).filter_map(|item| {
        let member = |name: &str| item.split(';').find_map(|part| part.trim().strip_prefix(name)?.strip_prefix('='));
        member("t").filter(|_| is_used_up(member("r")))
    });
    named.chain(unified).chain(ietf).filter_map(|over| reset(over, &|| now)).max()
}

/// OpenRouter repeats the headers in the error; ChatGPT's own limits are said in it alone.
fn windows_in_body(body: &[u8], now: SystemTime) -> Option<Duration> {
    let value: Value = serde_json::from_slice(body).ok()?;
    let error = value.get("error")?;
    let said = |name: &str| error.get(name)?.as_f64().filter(|said| *said > 0.0);
    if let Some(wait) = said("resets_in_seconds") {
        return Duration::try_from_secs_f64(wait).ok();
    }
    let repeated = error.get("metadata")?.get("headers")?.as_object()?;
    let line = |(name, value): (&String, &Value)| {
        let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        Some((HeaderName::try_from(name).ok()?, HeaderValue::try_from(value).ok()?))
    };
    windows_in_headers(&repeated.iter().take(MOST_REPEATED).filter_map(line).collect(), now)
}

/// The time until there is enough again of what an answer says that it lacks, where it says until when.
fn used_up_for(headers: &HeaderMap, now: impl Fn() -> SystemTime) -> Option<Duration> {
    longest(headers, &now, |remaining, limit, reset| until_enough(remaining, limit, Some(reset?)))
}

/// The longest of the times that limits want of which hardly anything is left.
fn longest(
    headers: &HeaderMap,
    now: &impl Fn() -> SystemTime,
    until: impl Fn(f64, Option<f64>, Option<Duration>) -> Option<Duration>,
) -> Option<Duration> {
    let waits = LIMITS.iter().filter_map(|names| {
        let text = |name: &HeaderName| headers.get(name)?.to_str().ok().map(str::trim);
        let number = |name: &HeaderName| text(name)?.parse::<f64>().ok().filter(|number| number.is_finite());
        let remaining = number(&names.remaining)?.max(0.0);
        let limit = number(&names.limit);
        // Some say so where there is no limit.
        if limit.is_some_and(|limit| limit <= 0.0) {
            return None;
        }
        let is_low = limit.map_or(remaining <= 0.0, |limit| remaining < (limit * LOW).max(1.0));
        // Most are not low: the time is read of those alone.
        if !is_low {
            return None;
        }
        until(remaining, limit, text(&names.reset).and_then(|text| reset(text, now)))
    });
    waits.max().map(|wait| wait.min(LONGEST)).filter(|wait| *wait >= SHORTEST)
}

/// The time until enough is there again.
fn until_enough(remaining: f64, limit: Option<f64>, reset: Option<Duration>) -> Option<Duration> {
    match (limit, reset) {
        (_, None) => (remaining <= 0.0).then_some(UNSAID),
        (None, Some(reset)) => Some(reset),
        (Some(limit), Some(reset)) => {
            let wanted = (limit * ENOUGH).max(1.0) - remaining;
            let missing = (limit - remaining).max(f64::MIN_POSITIVE);
            Duration::try_from_secs_f64(reset.as_secs_f64() * (wanted / missing).clamp(0.0, 1.0)).ok()
        }
    }
}

/// A span such as `6m0s`, `20ms` or `7.66` (seconds), or a time: as RFC 3339 has it, or since 1970.
fn reset(text: &str, now: &impl Fn() -> SystemTime) -> Option<Duration> {
    if let Ok(at) = text.parse::<jiff::Timestamp>() {
        return Some(SystemTime::from(at).duration_since(now()).unwrap_or_default());
    }
    if let Some(number) = text.parse::<f64>().ok().filter(|number| *number >= SINCE_1970) {
        let seconds = if number >= SINCE_1970_IN_MS { number / 1_000.0 } else { number };
        let now = now().duration_since(SystemTime::UNIX_EPOCH).ok()?;
        return Duration::try_from_secs_f64(seconds).ok().map(|at| at.saturating_sub(now));
    }
    // A date that is none is no span of years.
    retry_after::span(text).filter(|_| !text.contains('-'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(pairs: &[(&'static str, &'static str)]) -> Option<u128> {
        let pairs = pairs.iter().map(|(name, value)| (HeaderName::from_static(name), value.parse().unwrap()));
        let now = SystemTime::from("2026-01-01T00:00:00Z".parse::<jiff::Timestamp>().unwrap());
        nearly_used_up(&HeaderMap::from_iter(pairs), || now).map(|wait| wait.as_millis())
    }

    fn openai(limit: &'static str, remaining: &'static str, reset: &'static str) -> Option<u128> {
        of(&[
            ("x-ratelimit-limit-requests", limit),
            ("x-ratelimit-remaining-requests", remaining),
            ("x-ratelimit-reset-requests", reset),
        ])
    }

    #[test]
    fn a_bucket_is_waited_for_until_a_tenth_of_it_is_there() {
        assert_eq!(openai("100", "50", "30s"), None);
        assert_eq!(openai("100", "5", "57s"), None);
        assert_eq!(openai("100", "4", "96s"), Some(6_000), "six of 96 missing ones");
        assert_eq!(openai("100", "0", "1m40s"), Some(10_000));
        assert_eq!(openai("3", "1", "40s"), None, "one is enough for one");
        assert_eq!(openai("3", "0", "60s"), Some(20_000));
        assert_eq!(openai("10000", "0", "6m0s"), Some(36_000));
        assert_eq!(openai("100", "0", "20ms"), None, "not worth it");
        assert_eq!(openai("100", "0", "100h"), Some(300_000), "believed no longer");
    }

    #[test]
    fn the_caller_of_a_limited_answer_is_told_when_the_limit_has_room() {
        let of = |kind: ErrorKind, pairs: &[(&'static str, &'static str)], body: &str| {
            let pairs = pairs.iter().map(|(name, value)| (HeaderName::from_static(name), value.parse().unwrap()));
            let now = SystemTime::from("2026-01-01T00:00:00Z".parse::<jiff::Timestamp>().unwrap());
            told(kind, &HeaderMap::from_iter(pairs), body.as_bytes(), now).map(|wait| wait.as_millis())
        };
        let openai = [("x-ratelimit-remaining-tokens", "0"), ("x-ratelimit-reset-tokens", "25.5s")];
        let anthropic = [
            ("anthropic-ratelimit-tokens-remaining", "0"),
            ("anthropic-ratelimit-tokens-reset", "2026-01-01T00:00:40Z"),
        ];
        let words = r#"{"error":{"message":"Please try again in 3s."}}"#;
        assert_eq!(of(ErrorKind::RateLimit, &openai, "{}"), Some(25_500));
        assert_eq!(of(ErrorKind::RateLimit, &anthropic, "{}"), Some(40_000));
        assert_eq!(of(ErrorKind::RateLimit, &openai, words), Some(3_000), "what is said of this call goes before");
        assert_eq!(of(ErrorKind::RateLimit, &openai[..1], "{}"), None, "it does not say until when");
        assert_eq!(of(ErrorKind::InvalidRequest, &openai, "{}"), None);
    }

    #[test]
    fn a_window_is_waited_for_until_it_is_over() {
        let headers = |pairs: &[(&'static str, &'static str)]| {
            HeaderMap::from_iter(
                pairs.iter().map(|(name, value)| (HeaderName::from_static(name), value.parse().unwrap())),
            )
        };
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000);
        let of = |pairs: &[(&'static str, &'static str)], body: &str| {
            let headers = headers(pairs);
            let told = told(ErrorKind::RateLimit, &headers, body.as_bytes(), now);
            assert_eq!(told, wanted(ErrorKind::RateLimit, &headers, body.as_bytes(), now), "{pairs:?} {body}");
            assert_eq!(wanted(ErrorKind::Quota, &headers, body.as_bytes(), now), None, "{pairs:?} {body}");
            told.map(|wait| wait.as_millis())
        };
        let openrouter = r#"{"error":{"message":"Rate limit exceeded: free-models-per-day","code":429,"metadata":{"headers":{"X-RateLimit-Limit":"50","X-RateLimit-Remaining":"0","X-RateLimit-Reset":"1700007200000"}}}}"#;
        let (none, left) = (("x-ratelimit-remaining", "0"), ("x-ratelimit-remaining", "7"));
        assert_eq!(of(&[none, ("x-ratelimit-reset", "1700007200000")], "{}"), Some(7_200_000));
        assert_eq!(of(&[none, ("x-ratelimit-reset", "1700000120")], "{}"), Some(120_000));
        assert_eq!(of(&[none, ("x-ratelimit-reset", "2023-11-14T22:14:20Z")], "{}"), Some(60_000));
        assert_eq!(of(&[none, ("x-ratelimit-reset", "120")], "{}"), Some(120_000));
        assert_eq!(of(&[none, ("x-ratelimit-reset", "1m30s")], "{}"), Some(90_000));
        assert_eq!(of(&[("x-ratelimit-reset", "30")], "{}"), Some(30_000));
        assert_eq!(of(&[left, ("x-ratelimit-reset", "30")], "{}"), None, "another limit is used up");
        assert_eq!(of(&[], openrouter), Some(7_200_000));
        assert_eq!(of(&[], &openrouter.replace(r#""0""#, "7")), None);
        assert_eq!(of(&[], &openrouter.replace(r#""1700007200000""#, "1700007200000")), Some(7_200_000));
        assert_eq!(of(&[("ratelimit-remaining", "0"), ("ratelimit-reset", "50")], "{}"), Some(50_000));
        assert_eq!(of(&[("ratelimit", r#""burst";r=3;t=9, "day";r=0;t=120"#)], "{}"), Some(120_000));
        assert_eq!(of(&[("ratelimit", r#""burst";r=3;t=9"#)], "{}"), None);
        assert_eq!(of(&[("ratelimitbysize-reset", "42")], "{}"), Some(42_000));
        let unified = ("anthropic-ratelimit-unified-reset", "1700003600");
        assert_eq!(of(&[("anthropic-ratelimit-unified-status", "rejected"), unified], "{}"), Some(3_600_000));
        assert_eq!(of(&[("anthropic-ratelimit-unified-status", "allowed"), unified], "{}"), None);
        let chatgpt = r#"{"error":{"type":"usage_limit_reached","resets_in_seconds":7200}}"#;
        assert_eq!(of(&[], chatgpt), Some(7_200_000));
        // What is over is no reason to wait, and what makes no sense none either.
        for over in ["1600000000", "0", "-3", "soon", "1900000000", "NaN", "inf"] {
            assert_eq!(of(&[none, ("x-ratelimit-reset", over)], "{}"), None, "{over}");
        }
    }

    #[test]
    fn each_vendor_says_it_in_its_own_way() {
        // Groq's requests are of a day, and its spans have fractions.
        assert_eq!(openai("14400", "0", "24h0m0s"), Some(300_000));
        let tokens = ("x-ratelimit-remaining-tokens", "0");
        // Azure says no more than what is left.
        assert_eq!(of(&[tokens]), Some(1_000));
        assert_eq!(of(&[tokens, ("x-ratelimit-reset-tokens", "7.66s")]), Some(7_660));
        assert_eq!(of(&[tokens, ("x-ratelimit-reset-tokens", "12")]), Some(12_000));
        // Cerebras.
        let (limit, left) =
            (("x-ratelimit-limit-tokens-minute", "60000"), ("x-ratelimit-remaining-tokens-minute", "0"));
        assert_eq!(of(&[limit, left, ("x-ratelimit-reset-tokens-minute", "11.5")]), Some(1_150));
        let anthropic = |left: &'static str| {
            of(&[
                ("anthropic-ratelimit-requests-limit", "50"),
                ("anthropic-ratelimit-requests-remaining", "49"),
                ("anthropic-ratelimit-requests-reset", "2026-01-01T00:00:01Z"),
                ("anthropic-ratelimit-input-tokens-limit", "40000"),
                ("anthropic-ratelimit-input-tokens-remaining", left),
                ("anthropic-ratelimit-input-tokens-reset", "2026-01-01T00:01:00Z"),
            ])
        };
        assert_eq!((anthropic("39000"), anthropic("0")), (None, Some(6_000)));
    }

    #[test]
    fn what_makes_no_sense_says_nothing() {
        for (limit, remaining, reset) in
            [("0", "0", "x"), ("x", "x", "1s"), ("100", "-3", "soon"), ("NaN", "inf", "1s"), ("100", "200", "1s")]
        {
            let wait = openai(limit, remaining, reset);
            // A number below nothing is nothing.
            assert_eq!(wait, if remaining == "-3" { Some(1_000) } else { None }, "{limit} {remaining}");
        }
        assert_eq!(openai("100", "0", "2026-99-99T00:00:00Z"), Some(1_000), "a date that is none");
        assert_eq!(
            of(&[
                ("anthropic-ratelimit-requests-remaining", "0"),
                ("anthropic-ratelimit-requests-reset", "2025-01-01T00:00:00Z")
            ]),
            None
        );
        assert_eq!(of(&[("content-type", "text/plain")]), None);
    }
}
