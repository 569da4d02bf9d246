//! The time after which a provider wants to be asked again: in its headers, in its error's fields, or in its words.
//! Pure.

use std::time::{Duration, SystemTime};

use http::header::RETRY_AFTER;
use http::{HeaderMap, HeaderValue};
use serde_json::Value;
use sluicegate_dialects::hub::{ErrorKind, ProviderError};

/// The longest time that is believed if only prose says it: a message may repeat what its caller wrote.
const LONGEST_IN_WORDS: Duration = Duration::from_secs(300);

/// A provider that says more than this does not mean it.
const LONGEST: Duration = Duration::from_secs(366 * 86_400);

/// The same as `retry-after`, in milliseconds: the SDKs of OpenAI and Anthropic look at it first.
const RETRY_AFTER_MS: &str = "retry-after-ms";

/// The cooldown that a provider asks for: in its headers, else in the body of its error.
pub(super) fn wanted(headers: &HeaderMap, body: &[u8], now: SystemTime) -> Option<Duration> {
    in_headers(headers, now).or_else(|| in_body(body))
}

/// `retry-after-ms`, or `retry-after` in seconds or as a date.
fn in_headers(headers: &HeaderMap, now: SystemTime) -> Option<Duration> {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).map(str::trim);
    let millis = text(RETRY_AFTER_MS).and_then(|text| number(text, 0.001));
    millis.or_else(|| text(RETRY_AFTER.as_str()).and_then(|text| in_seconds(text, now)))
}

/// A value of `retry-after`: seconds, or a date.
fn in_seconds(text: &str, now: SystemTime) -> Option<Duration> {
    let by_date = || Some(httpdate::parse_http_date(text).ok()?.duration_since(now).unwrap_or_default());
    number(text, 1.0).or_else(by_date)
}

/// A number of so many seconds each; nobody means less than none, or what is no number.
fn number(text: &str, factor: f64) -> Option<Duration> {
    let seconds = text.parse::<f64>().ok().filter(|number| *number >= 0.0)? * factor;
    Duration::try_from_secs_f64(seconds).ok()
}

/// Takes out of the headers for a caller what says no time at all, or one in years: clients make of it whatever they like.
pub(super) fn drop_nonsense(headers: &mut HeaderMap, now: SystemTime) {
    let says = |value: &HeaderValue, read: &dyn Fn(&str) -> Option<Duration>| {
        value.to_str().ok().and_then(|text| read(text.trim())).is_some_and(|wait| wait <= LONGEST)
    };
    if headers.get(RETRY_AFTER).is_some_and(|value| !says(value, &|text| in_seconds(text, now))) {
        headers.remove(RETRY_AFTER);
    }
    if headers.get(RETRY_AFTER_MS).is_some_and(|value| !says(value, &|text| number(text, 0.001))) {
        headers.remove(RETRY_AFTER_MS);
    }
}

/// The time after which the caller is told to come again: whatever a provider says of a limit or of its load, OpenAI and Azure in
/// words alone; else in its headers, or in Google's `RetryInfo`.
pub(super) fn told(kind: ErrorKind, headers: &HeaderMap, body: &[u8], now: SystemTime) -> Option<Duration> {
    if says_later(kind) {
        return wanted(headers, body, now);
    }
    let in_details = || {
        let value: Value = serde_json::from_slice(body).ok()?;
        in_retry_info(value.get(0).unwrap_or(&value).get("error")?)
    };
    in_headers(headers, now).or_else(in_details)
}

/// The same for an error that a stream says, which has nothing but its words.
pub(super) fn told_in_stream(error: &ProviderError) -> Option<Duration> {
    if says_later(error.kind) { in_words(&error.message) } else { None }
}

/// True if an error says by its kind that the same call is well later.
pub(super) const fn says_later(kind: ErrorKind) -> bool {
    matches!(kind, ErrorKind::RateLimit | ErrorKind::Overloaded)
}

/// Google's `RetryInfo` among the details of an error.
fn in_retry_info(error: &Value) -> Option<Duration> {
    let details = error.get("details").and_then(Value::as_array).into_iter().flatten();
    details.filter_map(|detail| detail.get("retryDelay")?.as_str()).find_map(span)
}

/// Google's `RetryInfo`, a field of a look-alike's, or the error's message.
fn in_body(body: &[u8]) -> Option<Duration> {
    let value: Value = serde_json::from_slice(body).ok()?;
    let outer = value.get(0).unwrap_or(&value);
    let error = outer.get("error").unwrap_or(outer);
    let info = in_retry_info(error);
    let places = || [Some(error), error.get("metadata"), Some(outer)].into_iter().flatten();
    let number = |name: &str| places().find_map(|place| place.get(name)).and_then(seconds);
    let field = || {
        let millis = number("retry_after_ms").map(|millis| millis / 1_000.0);
        let said = millis.or_else(|| number("retry_after")).or_else(|| number("retry_after_seconds"))?;
        Duration::try_from_secs_f64(said.max(0.0)).ok()
    };
    let message = || match error {
        Value::String(text) => in_words(text),
        error => in_words(error.get("message")?.as_str()?),
    };
    info.or_else(field).or_else(message)
}

fn seconds(value: &Value) -> Option<f64> {
    value.as_f64().or_else(|| value.as_str()?.trim().trim_end_matches('s').parse().ok())
}

/// `retry in 52.4s`, `try again in 6m0s`, `Please retry after 26 seconds`.
pub(super) fn in_words(message: &str) -> Option<Duration> {
    let message = message.get(..message.floor_char_boundary(4096))?.to_ascii_lowercase();
    let after = ["retry in ", "try again in ", "retry after ", "try again after "]
        .iter()
        .find_map(|words| message.split_once(words).map(|(_, rest)| rest))?;
    span(after).map(|said| said.min(LONGEST_IN_WORDS))
}

/// A span of time at the beginning of a text, in one or several units: `1h2m3.5s`, `20ms`, `26 seconds`.
pub(super) fn span(text: &str) -> Option<Duration> {
    let (mut rest, mut sum, mut some) = (text.trim_start(), 0.0, false);
    for _ in 0..4 {
        let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(rest.len());
        let (number, behind) = rest.split_at(end);
        let Ok(number) = number.trim_end_matches('.').parse::<f64>() else { break };
        let behind = behind.trim_start();
        let end = behind.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(behind.len());
        let (unit, further) = behind.split_at(end);
        let factor = match unit {
            "ms" | "millisecond" | "milliseconds" => 0.001,
            "" | "s" | "sec" | "secs" | "second" | "seconds" => 1.0,
            "m" | "min" | "mins" | "minute" | "minutes" => 60.0,
            "h" | "hour" | "hours" => 3_600.0,
            _ => break,
        };
        sum += number * factor;
        some = true;
        rest = further;
    }
    if some { Duration::try_from_secs_f64(sum).ok() } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_say_it_in_three_forms() {
        let of = |name: &'static str, value: &str| {
            let headers = HeaderMap::from_iter([(http::HeaderName::from_static(name), value.parse().unwrap())]);
            in_headers(&headers, SystemTime::UNIX_EPOCH)
        };
        assert_eq!(of("retry-after", "2"), Some(Duration::from_secs(2)));
        assert_eq!(of("retry-after", "0.5"), Some(Duration::from_millis(500)));
        assert_eq!(of("retry-after-ms", "250"), Some(Duration::from_millis(250)));
        assert_eq!(of("retry-after", "Thu, 01 Jan 1970 00:00:07 GMT"), Some(Duration::from_secs(7)));
        assert_eq!(of("retry-after", "soon"), None);
        for nonsense in ["-1", "-5", "NaN", "inf", "1e300", ""] {
            assert_eq!(of("retry-after", nonsense), None, "{nonsense}");
            assert_eq!(of("retry-after-ms", nonsense), None, "{nonsense}");
        }
    }

    #[test]
    fn what_says_no_time_is_not_passed_on() {
        let left = |seconds: &str, millis: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(RETRY_AFTER, seconds.parse().unwrap());
            headers.insert(RETRY_AFTER_MS, millis.parse().unwrap());
            drop_nonsense(&mut headers, SystemTime::UNIX_EPOCH);
            (headers.contains_key(RETRY_AFTER), headers.contains_key(RETRY_AFTER_MS))
        };
        for sense in ["0", "30", "0.5", "Thu, 01 Jan 1970 00:00:07 GMT"] {
            assert_eq!(left(sense, "250"), (true, true), "{sense}");
        }
        for nonsense in ["NaN", "-5", "inf", "abc", "99999999999999999999", "9999999999999", ""] {
            assert_eq!(left(nonsense, nonsense), (false, false), "{nonsense}");
        }
        assert_eq!(left("7", "soon"), (true, false));
    }

    #[test]
    fn callers_are_told_of_limits_in_any_words_and_of_others_by_headers_and_retry_infos() {
        use ErrorKind as K;
        let info = r#"{"error":{"details":[{"retryDelay":"1.5s"}]}}"#;
        let header = HeaderMap::from_iter([(RETRY_AFTER, http::HeaderValue::from_static("7"))]);
        let none = HeaderMap::new();
        let words = r#"{"error":{"message":"Please try again in 14.054s."}}"#;
        for (kind, headers, body, millis) in [
            (K::InvalidRequest, &none, info.to_owned(), Some(1_500)),
            (K::RateLimit, &none, format!("[{info}]"), Some(1_500)),
            (K::RateLimit, &header, info.to_owned(), Some(7_000)),
            (K::RateLimit, &none, words.to_owned(), Some(14_054)),
            (K::Overloaded, &none, words.to_owned(), Some(14_054)),
            // A message may repeat what its caller wrote.
            (K::InvalidRequest, &none, words.to_owned(), None),
            (K::Quota, &none, words.to_owned(), None),
            (K::RateLimit, &none, "no JSON".to_owned(), None),
        ] {
            let said = told(kind, headers, body.as_bytes(), SystemTime::UNIX_EPOCH);
            assert_eq!(said, millis.map(Duration::from_millis), "{kind:?} {body}");
        }
    }

    #[test]
    fn an_error_in_a_stream_says_it_in_words() {
        let error = |kind: ErrorKind, message: &str| {
            told_in_stream(&ProviderError { kind, message: message.to_owned(), r#type: None, code: None, param: None })
        };
        let openai =
            "Rate limit reached for gpt-5 on tokens per min (TPM): Limit 30000. Please try again in 14.054s. Visit";
        assert_eq!(error(ErrorKind::RateLimit, openai), Some(Duration::from_millis(14_054)));
        let azure = "Rate limit is exceeded. Try again in 26 seconds.";
        assert_eq!(error(ErrorKind::RateLimit, azure), Some(Duration::from_secs(26)));
        assert_eq!(error(ErrorKind::RateLimit, "Slow down."), None);
        assert_eq!(error(ErrorKind::Internal, azure), None);
    }

    #[test]
    fn bodies_say_it_in_fields_and_in_words() {
        let google = r#"{"error":{"code":429,"status":"RESOURCE_EXHAUSTED","message":"retry in 52.4s","details":[{"@type":"x"},{"@type":"type.googleapis.com/google.rpc.RetryInfo","retryDelay":"52s"}]}}"#;
        let say = |message: &str| format!(r#"{{"error":{{"message":"{message}"}}}}"#);
        for (body, millis) in [
            (google.to_owned(), Some(52_000)),
            (format!("[{google}]"), Some(52_000)),
            (say("Quota exceeded. Please retry in 52.4s."), Some(52_400)),
            (say("Rate limit reached. Please try again in 1.2s. Visit"), Some(1_200)),
            (say("Please try again in 20ms."), Some(20)),
            (say("Please try again in 6m0s."), Some(300_000)),
            (say("Please try again in 1m30.5s."), Some(90_500)),
            (say("Please retry after 26 seconds."), Some(26_000)),
            (say("Try again in 2 minutes"), Some(120_000)),
            (r#"{"error":"overloaded, retry after 3"}"#.to_owned(), Some(3_000)),
            (r#"{"error":{"message":"x","metadata":{"retry_after_seconds":7}}}"#.to_owned(), Some(7_000)),
            (r#"{"message":"x","retry_after":1.5}"#.to_owned(), Some(1_500)),
            (r#"{"error":{"retry_after_ms":"250"}}"#.to_owned(), Some(250)),
            (say("Please try again later."), None),
            (say("retry in a moment"), None),
            (say("retry in 1e300s"), None),
            ("not json, retry in 5s".to_owned(), None),
        ] {
            assert_eq!(in_body(body.as_bytes()), millis.map(Duration::from_millis), "{body}");
        }
    }
}
