//! What a provider's answer, or its failure to give one, means: good, the caller's own fault, or worth another try. Pure.

use std::time::{Duration, SystemTime};

use http::header::RETRY_AFTER;
use http::{HeaderMap, StatusCode};
use sluicegate_config::RetryOn;
use sluicegate_dialects::hub::ErrorKind;

use crate::account::AttemptEnd;
use crate::errors::X_SHOULD_RETRY;
use crate::upstream::{Kind, Phase, SendError};

/// How long an endpoint that refuses our credential (or our money) is left alone.
const REFUSED_PAUSE: Duration = Duration::from_secs(30);
/// A `retry-after` up to this is waited for inside the call, when nobody else can serve.
pub(super) const SHORT_WAIT: Duration = Duration::from_secs(10);
/// However long a provider asks to be left alone, it is tried again after this.
const LONGEST_PAUSE: Duration = Duration::from_secs(3600);

/// What is to be done about an attempt that gave no good answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Verdict {
    /// Whether another attempt is worth it.
    pub(super) retry: Retry,
    /// How the attempt is counted.
    pub(super) end: AttemptEnd,
    /// Whether it counts against the endpoint's circuit.
    pub(super) blame: bool,
    /// Leave the endpoint alone for this long.
    pub(super) pause: Option<Duration>,
}

/// Where another attempt is worth it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Retry {
    /// Nowhere: the caller's own fault, and everybody would say so.
    No,
    /// At another provider; the same one would say the same again.
    Elsewhere,
    /// At another provider, or after a while at the same.
    Anywhere,
}

/// Judges an answer's status that is not a success.
pub(super) fn status(status: StatusCode, headers: &HeaderMap, on: &RetryOn) -> Verdict {
    let judged = by_code(status, headers, on);
    // The provider itself says that it would say the same again; another one may still do better.
    let once = headers.get(X_SHOULD_RETRY).is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"false"));
    let retry = if once && judged.retry == Retry::Anywhere { Retry::Elsewhere } else { judged.retry };
    Verdict { retry, ..judged }
}

fn by_code(status: StatusCode, headers: &HeaderMap, on: &RetryOn) -> Verdict {
    let wait = retry_after(headers, SystemTime::now());
    let listed = on.statuses.binary_search(&status.as_u16()).is_ok();
    match status.as_u16() {
        429 => Verdict {
            retry: if listed { Retry::Anywhere } else { Retry::No },
            end: AttemptEnd::RateLimited,
            // It works, only not for us and not now: the pause says so, the circuit is for what is broken.
            blame: false,
            pause: wait.map(|wait| wait.min(LONGEST_PAUSE)),
        },
        // The caller sent no credential of this provider's: it is the gateway's that is refused.
        401..=403 => Verdict {
            retry: Retry::Elsewhere,
            end: AttemptEnd::ClientError,
            blame: false,
            // A 403 may be about one model or one beta header: no caller's wish pushes a provider aside for all.
            pause: wait
                .or((status != StatusCode::FORBIDDEN).then_some(REFUSED_PAUSE))
                .map(|wait| wait.min(LONGEST_PAUSE)),
        },
        code @ (408 | 500..=599) => Verdict {
            retry: if listed { Retry::Anywhere } else { Retry::No },
            end: if code == 408 { AttemptEnd::TimedOut } else { AttemptEnd::ServerError },
            blame: true,
            pause: wait.filter(|_| matches!(code, 503 | 529)).map(|wait| wait.min(LONGEST_PAUSE)),
        },
        // A redirect, or a success that carries no answer.
        100..=399 => malformed(),
        _ => Verdict {
            retry: if listed { Retry::Anywhere } else { Retry::No },
            end: AttemptEnd::ClientError,
            blame: false,
            pause: None,
        },
    }
}

/// Judges an answer that makes no sense in its dialect.
pub(super) const fn malformed() -> Verdict {
    Verdict { retry: Retry::Anywhere, end: AttemptEnd::Malformed, blame: true, pause: None }
}

/// Judges an answer that broke off before its first token.
pub(super) const fn cut(on: &RetryOn) -> Verdict {
    Verdict { retry: allowed(on.reset), end: AttemptEnd::Reset, blame: true, pause: None }
}

/// Judges an error that a stream says under a good status, before its first token.
pub(super) fn said(kind: ErrorKind, on: &RetryOn) -> Verdict {
    match kind {
        ErrorKind::RateLimit => by_code(StatusCode::TOO_MANY_REQUESTS, &HeaderMap::new(), on),
        _ => Verdict { end: AttemptEnd::ServerError, ..cut(on) },
    }
}

/// Judges a silence longer than the provider is given.
pub(super) const fn silence(on: &RetryOn) -> Verdict {
    Verdict { retry: allowed(on.timeout), end: AttemptEnd::TimedOut, blame: true, pause: None }
}

/// Judges a request that got no answer's head.
pub(super) fn send(error: &SendError, on: &RetryOn) -> Verdict {
    let made = matches!(error.phase, Phase::Write | Phase::Head);
    let blame = error.fault() == crate::upstream::Fault::Upstream;
    let end = match (made, error.kind) {
        (_, Kind::Busy | Kind::Exhausted | Kind::Local) => AttemptEnd::Gateway,
        (false, _) => AttemptEnd::ConnectFailed,
        (true, Kind::Protocol) => AttemptEnd::Malformed,
        (true, Kind::TimedOut) => AttemptEnd::TimedOut,
        (true, _) => AttemptEnd::Reset,
    };
    let retry = if made { allowed(on.reset) } else { allowed(on.connect) };
    // What can not be put on the wire for this provider may do for another one.
    let retry = if error.kind == Kind::Invalid { Retry::Elsewhere } else { retry };
    Verdict { retry, end, blame, pause: None }
}

const fn allowed(allowed: bool) -> Retry {
    if allowed { Retry::Anywhere } else { Retry::No }
}

/// The neutral kind of an attempt's failure that has no status of its own.
pub(super) const fn kind(end: AttemptEnd) -> ErrorKind {
    match end {
        AttemptEnd::TimedOut => ErrorKind::Timeout,
        AttemptEnd::RateLimited => ErrorKind::RateLimit,
        AttemptEnd::Gateway => ErrorKind::Unavailable,
        _ => ErrorKind::BadGateway,
    }
}

/// How long the provider asks to be left alone: `retry-after-ms`, or `retry-after` in seconds or as a date.
pub(super) fn retry_after(headers: &HeaderMap, now: SystemTime) -> Option<Duration> {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).map(str::trim);
    let millis = text("retry-after-ms").and_then(|text| text.parse::<f64>().ok()).map(|millis| millis / 1_000.0);
    let seconds = || text(RETRY_AFTER.as_str()).and_then(|text| text.parse::<f64>().ok());
    if let Some(seconds) = millis.or_else(seconds) {
        return Duration::try_from_secs_f64(seconds.max(0.0)).ok();
    }
    let date = httpdate::parse_http_date(text(RETRY_AFTER.as_str())?).ok()?;
    Some(date.duration_since(now).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn on() -> RetryOn {
        let statuses = vec![408, 429, 500, 502, 503, 504, 529];
        RetryOn { connect: true, reset: true, timeout: true, statuses }
    }

    fn judged(code: u16) -> Verdict {
        status(StatusCode::from_u16(code).unwrap(), &HeaderMap::new(), &on())
    }

    #[test]
    fn failures_move_on_and_the_callers_own_faults_do_not() {
        for code in [408, 429, 500, 502, 503, 504, 529] {
            assert_eq!(judged(code).retry, Retry::Anywhere, "{code}");
        }
        for code in [400, 404, 413, 422] {
            assert_eq!(judged(code).retry, Retry::No, "{code}");
            assert!(!judged(code).blame, "{code}");
        }
        for code in [401, 402, 403] {
            assert_eq!(judged(code).retry, Retry::Elsewhere, "{code}");
        }
        assert_eq!(judged(302).end, AttemptEnd::Malformed);
    }

    #[test]
    fn a_refused_credential_pauses_the_endpoint_and_a_forbidden_wish_does_not() {
        assert_eq!(judged(401).pause, Some(REFUSED_PAUSE));
        assert_eq!(judged(402).pause, Some(REFUSED_PAUSE));
        assert_eq!(judged(403).pause, None);
    }

    #[test]
    fn a_rate_limit_pauses_the_endpoint_and_leaves_its_circuit_alone() {
        let headers = HeaderMap::from_iter([(RETRY_AFTER, "30".parse().unwrap())]);
        let judged = status(StatusCode::TOO_MANY_REQUESTS, &headers, &on());
        assert_eq!((judged.blame, judged.pause), (false, Some(Duration::from_secs(30))));
        assert!(super::status(StatusCode::BAD_GATEWAY, &headers, &on()).pause.is_none());
        // Said in a stream it is the same, and the caller is told so.
        let said = said(ErrorKind::RateLimit, &on());
        assert_eq!((said.retry, said.blame, kind(said.end)), (Retry::Anywhere, false, ErrorKind::RateLimit));
        let said = super::said(ErrorKind::Overloaded, &on());
        assert_eq!((said.retry, said.blame, kind(said.end)), (Retry::Anywhere, true, ErrorKind::BadGateway));
    }

    #[test]
    fn a_provider_that_asks_not_to_be_retried_is_not() {
        let judged = |code: StatusCode, said: &'static str| {
            let headers = HeaderMap::from_iter([(X_SHOULD_RETRY, http::HeaderValue::from_static(said))]);
            status(code, &headers, &on()).retry
        };
        assert_eq!(judged(StatusCode::TOO_MANY_REQUESTS, "false"), Retry::Elsewhere);
        assert_eq!(judged(StatusCode::SERVICE_UNAVAILABLE, "False"), Retry::Elsewhere);
        assert_eq!(judged(StatusCode::SERVICE_UNAVAILABLE, "true"), Retry::Anywhere);
        // It asks for less, never for more.
        assert_eq!(judged(StatusCode::BAD_REQUEST, "false"), Retry::No);
        assert_eq!(judged(StatusCode::BAD_REQUEST, "true"), Retry::No);
    }

    #[test]
    fn what_the_gateway_lacks_is_not_held_against_a_provider() {
        for kind in [Kind::Busy, Kind::Exhausted, Kind::Local] {
            for phase in [Phase::Resolve, Phase::Connect] {
                let error = SendError { phase, kind, ..SendError::sample() };
                let judged = send(&error, &on());
                assert_eq!((judged.blame, judged.pause, judged.end), (false, None, AttemptEnd::Gateway));
                assert_eq!((judged.retry, super::kind(judged.end)), (Retry::Anywhere, ErrorKind::Unavailable));
            }
        }
        let refused = SendError { phase: Phase::Connect, kind: Kind::Refused, ..SendError::sample() };
        assert!(send(&refused, &on()).blame);
    }

    #[test]
    fn no_provider_pauses_its_endpoint_for_ever() {
        // Beyond what an instant can hold: added to one unbounded, it would end the worker.
        let headers = HeaderMap::from_iter([(RETRY_AFTER, "18000000000000000000".parse().unwrap())]);
        for code in [401, 402, 403, 429, 503, 529] {
            let pause = status(StatusCode::from_u16(code).unwrap(), &headers, &on()).pause;
            assert_eq!(pause, Some(LONGEST_PAUSE), "{code}");
        }
    }

    #[test]
    fn retry_after_is_read_in_all_its_forms() {
        let of = |name: &'static str, value: &str| {
            let headers = HeaderMap::from_iter([(http::HeaderName::from_static(name), value.parse().unwrap())]);
            retry_after(&headers, SystemTime::UNIX_EPOCH)
        };
        assert_eq!(of("retry-after", "2"), Some(Duration::from_secs(2)));
        assert_eq!(of("retry-after", "0.5"), Some(Duration::from_millis(500)));
        assert_eq!(of("retry-after-ms", "250"), Some(Duration::from_millis(250)));
        assert_eq!(of("retry-after", "Thu, 01 Jan 1970 00:00:07 GMT"), Some(Duration::from_secs(7)));
        assert_eq!(of("retry-after", "soon"), None);
        assert_eq!(of("retry-after", "-1"), Some(Duration::ZERO));
        assert_eq!(of("retry-after", "1e300"), None);
    }
}
