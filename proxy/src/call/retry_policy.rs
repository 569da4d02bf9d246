//! The retry policy: what a provider's failure to give a good answer means, and whether and where to try again. Pure.

use std::time::{Duration, SystemTime};

use http::{HeaderMap, StatusCode};
use sluicegate_config::RetryOn;
use sluicegate_dialects::hub::{ErrorKind, ProviderError};

use crate::account::{AttemptEnd, ErrorSource};
use crate::errors::X_SHOULD_RETRY;
use crate::upstream::{SendError, SendErrorKind, SendPhase};

use super::{retry_after, vendor_limits};

/// The cooldown of an endpoint that limits the gateway and does not say for how long.
const LIMITED: Duration = Duration::from_secs(15);
/// A `retry-after` up to this is waited for inside the call, when nobody else can serve.
pub(super) const SHORT_WAIT: Duration = Duration::from_secs(10);
/// However long a cooldown a provider asks for, it is tried again after this.
const LONGEST_PAUSE: Duration = Duration::from_secs(3600);

/// The decision about an attempt that gave no good answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct RetryDecision {
    /// The place where another attempt is worth it.
    pub(super) retry: Retry,
    /// The end of the attempt, by what it says to the caller.
    pub(super) end: AttemptEnd,
    /// True if it counts against the endpoint's circuit.
    pub(super) counts_against_circuit: bool,
    /// The cooldown of its endpoint.
    pub(super) cooldown: Cooldown,
}

impl RetryDecision {
    /// The same about a call that has come round. `is_callers`: by its own word it had done so before.
    pub(super) const fn of_ring(self, is_callers: bool) -> Self {
        let end = if is_callers { AttemptEnd::ClientError } else { AttemptEnd::ServerError };
        Self { retry: Retry::No, end, counts_against_circuit: false, cooldown: Cooldown::None }
    }

    /// The end that the attempt is counted with: that a key of the gateway's is refused is no mistake of the caller's.
    pub(super) const fn counted(&self) -> AttemptEnd {
        match (self.end, self.cooldown) {
            (AttemptEnd::ClientError, Cooldown::CredentialRefused) => AttemptEnd::KeyRefused,
            (end, _) => end,
        }
    }

    /// True if another key of the same provider may do better: this one is limited or refused.
    pub(super) fn is_about_the_key(&self) -> bool {
        let is_refused = self.end == AttemptEnd::ClientError && self.retry == Retry::OtherEndpoint;
        self.end == AttemptEnd::RateLimited || is_refused || self.retry == Retry::OtherAccount
    }
}

impl Retry {
    /// True if the attempt is none of those that a pool makes: what was refused is not asked for again, or not there.
    pub(super) const fn is_uncounted(self) -> bool {
        matches!(self, Self::Mended | Self::OtherAccount)
    }
}

/// The places where another attempt may be worth it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Retry {
    /// Nowhere: the caller's own fault, and everybody would say so.
    No,
    /// At another provider; the same one would say the same again.
    OtherEndpoint,
    /// At another provider, or after a while at the same.
    Anywhere,
    /// At the same provider too, at once: the call goes without what was refused. It is none of the attempts that a pool makes.
    Mended,
    /// At another account, which may read what this one can not. It is none of the attempts that a pool makes either.
    OtherAccount,
}

/// The cooldown that an endpoint gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cooldown {
    /// None.
    None,
    /// For so long: it asked for it.
    Requested(Duration),
    /// For so long, most likely.
    Guessed(Duration),
    /// It refused the gateway's credential, or its money.
    CredentialRefused,
}

/// Decides about an answer's status that is not a success, with its headers and the error in its body.
pub(super) fn status(
    status: StatusCode,
    headers: &HeaderMap,
    (error, body): (&ProviderError, &[u8]),
    on: &RetryOn,
) -> RetryDecision {
    let wait = vendor_limits::wanted(error.kind, headers, body, SystemTime::now());
    let judged = by_code(meant(status, error.kind), error, wait, on);
    // The provider itself says that it would say the same again; another one may still do better.
    let once = headers.get(X_SHOULD_RETRY).is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"false"));
    let retry = if once && judged.retry == Retry::Anywhere { Retry::OtherEndpoint } else { judged.retry };
    RetryDecision { retry, ..judged }
}

/// The status of an answer as it is meant: some vendors say 400 of a key or a model that they do not know, or of an account without money,
/// others 403 of what their content filter refuses, and Amazon says 424 of a model that has failed.
pub(super) fn meant(status: StatusCode, kind: ErrorKind) -> StatusCode {
    let is_no_bad_request = matches!(
        kind,
        ErrorKind::Authentication
            | ErrorKind::Billing
            | ErrorKind::Permission
            | ErrorKind::Quota
            | ErrorKind::RateLimit
            | ErrorKind::NotFound
    );
    if is_credential(status) && kind == ErrorKind::InvalidRequest {
        return StatusCode::BAD_REQUEST;
    }
    let has_failed =
        status == StatusCode::FAILED_DEPENDENCY && matches!(kind, ErrorKind::Internal | ErrorKind::BadGateway);
    if !has_failed && (status != StatusCode::BAD_REQUEST || !is_no_bad_request) {
        return status;
    }
    StatusCode::from_u16(kind.status()).unwrap_or(status)
}

/// True if a status is about what the provider was called with, and not about the call.
pub(super) const fn is_credential(status: StatusCode) -> bool {
    matches!(status.as_u16(), 401..=403)
}

/// The beginning of what is said of one request that is larger than a whole window's share.
const ALONE_TOO_LARGE: &str = "Request too large";

/// The decision about a model that a provider does not have (any more), though its pool says that it serves it: another one may have it.
/// `is_for_anybody`: it asks for an answer, and of no provider alone.
pub(super) const fn of_missing_model(
    decision: RetryDecision,
    (status, is_for_anybody): (StatusCode, bool),
) -> RetryDecision {
    match (status.as_u16(), decision.retry) {
        (404 | 410, Retry::No) if is_for_anybody => RetryDecision { retry: Retry::OtherEndpoint, ..decision },
        _ => decision,
    }
}

/// True if a status is about the connection that the gateway has made, of which the caller knows nothing.
pub(super) const fn is_about_connection(status: StatusCode) -> bool {
    matches!(status.as_u16(), 407 | 421 | 425)
}

fn by_code(status: StatusCode, error: &ProviderError, wait: Option<Duration>, on: &RetryOn) -> RetryDecision {
    if error.is_context_overflow() {
        // The caller alone can shorten its prompt, whatever the status says.
        return RetryDecision {
            retry: Retry::No,
            end: AttemptEnd::ClientError,
            counts_against_circuit: false,
            cooldown: Cooldown::None,
        };
    }
    let wait = wait.map(|wait| wait.min(LONGEST_PAUSE));
    let lists = |status: u16| on.statuses.binary_search(&status).is_ok();
    // Cloudflare and others in front of vendors have numbers of their own (520 to 527, 530): no list can name them all.
    let is_another = !matches!(status.as_u16(), 500..=504 | 529) && status.is_server_error() && lists(500);
    let listed = lists(status.as_u16()) || is_another;
    let anywhere = allowed(listed);
    match status.as_u16() {
        429 => limited(error, wait, anywhere),
        // The caller sent no credential of this provider's: it is the gateway's that is refused. A 403 may be about one
        // model or one beta header: no caller's wish pushes a provider aside for all.
        401..=403 => RetryDecision {
            retry: Retry::OtherEndpoint,
            end: AttemptEnd::ClientError,
            counts_against_circuit: false,
            cooldown: if status == StatusCode::FORBIDDEN { Cooldown::None } else { Cooldown::CredentialRefused },
        },
        // It can not do what this call asks for, or not on this connection (RFC 9110 15.5.8 and 15.5.20, RFC 8470 5.2), and is well.
        407 | 421 | 425 | 501 => RetryDecision {
            retry: Retry::OtherEndpoint,
            end: AttemptEnd::ServerError,
            counts_against_circuit: false,
            cooldown: Cooldown::None,
        },
        // The account is held up (Fireworks).
        412 => RetryDecision {
            retry: Retry::OtherEndpoint,
            end: AttemptEnd::ClientError,
            counts_against_circuit: false,
            cooldown: Cooldown::None,
        },
        // Groq says so of a request that is larger than a minute's share.
        413 if error.message.starts_with(ALONE_TOO_LARGE) => limited(error, wait, anywhere),
        // No room at the tier that was asked for (Groq).
        498 if !error.is_content_refusal() => RetryDecision {
            retry: allowed(lists(503)),
            end: AttemptEnd::ServerError,
            counts_against_circuit: false,
            cooldown: Cooldown::None,
        },
        code @ (408 | 500..=599) => RetryDecision {
            retry: anywhere,
            end: if code == 408 { AttemptEnd::TimedOut } else { AttemptEnd::ServerError },
            // Some say so of a request that they can not read.
            counts_against_circuit: error.r#type.as_deref() != Some("invalid_request_error"),
            cooldown: wait.filter(|_| matches!(code, 503 | 529)).map_or(Cooldown::None, Cooldown::Requested),
        },
        // A redirect, or a success that carries no answer.
        100..=399 => malformed(),
        _ => RetryDecision {
            retry: anywhere,
            end: AttemptEnd::ClientError,
            counts_against_circuit: false,
            cooldown: Cooldown::None,
        },
    }
}

/// The decision where the caller's own key was sent: a refused key, an empty purse and a limit are that caller's, and no
/// other caller's call is kept from the endpoint by them.
pub(super) const fn with_callers_key(decision: RetryDecision, kind: ErrorKind) -> RetryDecision {
    let refused = matches!(kind, ErrorKind::Authentication | ErrorKind::Billing | ErrorKind::Permission);
    match decision.end {
        AttemptEnd::ClientError if refused => RetryDecision { retry: Retry::No, cooldown: Cooldown::None, ..decision },
        AttemptEnd::RateLimited => RetryDecision { retry: Retry::OtherEndpoint, cooldown: Cooldown::None, ..decision },
        _ => decision,
    }
}

/// The decision about a request that a provider may have had, at a path of which nobody here knows what it does: what may not be repeated
/// is not, and nothing is learnt from it of the calls that the endpoint is there for.
pub(super) const fn at_named_path(decision: RetryDecision, may_be_repeated: bool) -> RetryDecision {
    let retry = if may_be_repeated { decision.retry } else { Retry::No };
    RetryDecision { retry, counts_against_circuit: false, cooldown: Cooldown::None, ..decision }
}

/// A 429: it works, only not for us and not now. The pause says so, the circuit is for what is broken.
fn limited(error: &ProviderError, wait: Option<Duration>, retry: Retry) -> RetryDecision {
    let end = AttemptEnd::RateLimited;
    // One request that is larger than a minute's share: smaller ones pass.
    let alone_too_large = error.message.starts_with(ALONE_TOO_LARGE);
    match error.kind {
        ErrorKind::Quota => RetryDecision {
            retry: Retry::OtherEndpoint,
            end,
            counts_against_circuit: false,
            cooldown: Cooldown::CredentialRefused,
        },
        _ if alone_too_large => {
            RetryDecision { retry: Retry::OtherEndpoint, end, counts_against_circuit: false, cooldown: Cooldown::None }
        }
        _ => RetryDecision {
            retry,
            end,
            counts_against_circuit: false,
            cooldown: wait.map_or(Cooldown::Guessed(LIMITED), Cooldown::Requested),
        },
    }
}

/// The same, where the refusal may be of the gateway's own credential.
pub(super) const fn fault_of(end: AttemptEnd, is_ours: bool) -> ErrorSource {
    if is_ours { ErrorSource::Gateway } else { fault(end) }
}

/// The one at fault for an attempt that gave no good answer, whatever is done about it.
pub(super) const fn fault(end: AttemptEnd) -> ErrorSource {
    match end {
        AttemptEnd::ClientError => ErrorSource::Client,
        AttemptEnd::Gateway => ErrorSource::Gateway,
        _ => ErrorSource::Upstream,
    }
}

/// True if a call itself may have provoked this: an input that nobody can digest looks like a broken server everywhere.
/// Of a server's load (503, 529) that is not so.
pub(super) const fn may_be_provoked(status: u16) -> bool {
    matches!(status, 500 | 502)
}

/// True if a status tells of the server's load, whatever it was asked: then it is no caller's doing.
pub(super) const fn is_its_own(status: u16) -> bool {
    matches!(status, 503 | 529)
}

/// Decides about an answer that makes no sense in its dialect.
pub(super) const fn malformed() -> RetryDecision {
    RetryDecision {
        retry: Retry::Anywhere,
        end: AttemptEnd::Malformed,
        counts_against_circuit: true,
        cooldown: Cooldown::None,
    }
}

/// Decides about an answer that is larger than one may be: its caller asked for it.
pub(super) const fn too_large() -> RetryDecision {
    RetryDecision {
        retry: Retry::No,
        end: AttemptEnd::Malformed,
        counts_against_circuit: false,
        cooldown: Cooldown::None,
    }
}

/// Decides about an answer that broke off before its first token.
pub(super) const fn cut(on: &RetryOn) -> RetryDecision {
    RetryDecision {
        retry: allowed(on.reset),
        end: AttemptEnd::Reset,
        counts_against_circuit: true,
        cooldown: Cooldown::None,
    }
}

/// Decides about an error that a stream says under a good status, before its first token: as its status would be.
pub(super) fn said(error: &ProviderError, on: &RetryOn) -> RetryDecision {
    let code = StatusCode::from_u16(error.kind.status()).unwrap_or(StatusCode::BAD_GATEWAY);
    by_code(code, error, retry_after::in_words(&error.message), on)
}

/// Decides about a silence longer than the provider is given.
pub(super) const fn silence(on: &RetryOn) -> RetryDecision {
    RetryDecision {
        retry: allowed(on.timeout),
        end: AttemptEnd::TimedOut,
        counts_against_circuit: true,
        cooldown: Cooldown::None,
    }
}

/// Decides about a request that got no answer's head.
pub(super) fn send(error: &SendError, on: &RetryOn) -> RetryDecision {
    let made = matches!(error.phase, SendPhase::Write | SendPhase::Head);
    // One connection's end is one failure, however many calls it carried.
    let counts_against_circuit = error.fault() == crate::upstream::SendFault::Upstream && !error.echo;
    let end = match (made, error.kind) {
        (_, SendErrorKind::Busy | SendErrorKind::Exhausted | SendErrorKind::Local) => AttemptEnd::Gateway,
        (false, _) => AttemptEnd::ConnectFailed,
        (true, SendErrorKind::Protocol) => AttemptEnd::Malformed,
        (true, SendErrorKind::TimedOut) => AttemptEnd::TimedOut,
        (true, _) => AttemptEnd::Reset,
    };
    let retry = if made { allowed(on.reset) } else { allowed(on.connect) };
    // What can not be put on the wire for this provider may do for another one.
    let retry = if error.kind == SendErrorKind::Invalid { Retry::OtherEndpoint } else { retry };
    RetryDecision { retry, end, counts_against_circuit, cooldown: Cooldown::None }
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

#[cfg(test)]
mod tests {
    use super::*;
    use sluicegate_dialects::Dialect;

    fn on() -> RetryOn {
        let statuses = vec![408, 429, 500, 502, 503, 504, 529];
        RetryOn { connect: true, reset: true, timeout: true, statuses }
    }

    fn of(code: u16, headers: &HeaderMap, body: &str) -> RetryDecision {
        let error = Dialect::OpenAiChat.decode_error(code, body.as_bytes());
        status(StatusCode::from_u16(code).unwrap(), headers, (&error, body.as_bytes()), &on())
    }

    fn judged(code: u16) -> RetryDecision {
        of(code, &HeaderMap::new(), "")
    }

    fn error(kind: ErrorKind, message: &str) -> ProviderError {
        ProviderError { kind, message: message.to_owned(), r#type: None, code: None, param: None }
    }

    #[test]
    fn failures_move_on_and_the_callers_own_faults_do_not() {
        for code in [408, 429, 500, 502, 503, 504, 529] {
            assert_eq!(judged(code).retry, Retry::Anywhere, "{code}");
            assert_eq!(fault(judged(code).end), ErrorSource::Upstream, "{code}");
        }
        for code in [400, 404, 413, 422, 431] {
            assert_eq!((judged(code).retry, judged(code).cooldown), (Retry::No, Cooldown::None), "{code}");
            assert!(!judged(code).counts_against_circuit && fault(judged(code).end) == ErrorSource::Client, "{code}");
        }
        let denied = Dialect::CohereChat.decode_error(498, br#"{"message":"denied"}"#);
        let judged_denied = by_code(StatusCode::from_u16(498).unwrap(), &denied, None, &on());
        assert_eq!((judged(498).retry, judged_denied.retry), (Retry::Anywhere, Retry::No), "Cohere's is its filter's");
        for code in [401, 402, 403, 407, 421, 425] {
            assert_eq!(judged(code).retry, Retry::OtherEndpoint, "{code}");
        }
        for code in [505, 507, 520, 522, 525, 530, 598] {
            assert_eq!(judged(code).retry, Retry::Anywhere, "{code}");
            let without = RetryOn { statuses: vec![502], ..on() };
            let status = StatusCode::from_u16(code).unwrap();
            let judged = by_code(status, &error(ErrorKind::Internal, ""), None, &without);
            assert_eq!(judged.retry, Retry::No, "{code}: it is not listed");
        }
        assert_eq!(judged(302).end, AttemptEnd::Malformed);
        let nothing = RetryOn { statuses: Vec::new(), ..on() };
        let judged = by_code(StatusCode::BAD_GATEWAY, &error(ErrorKind::BadGateway, ""), None, &nothing);
        assert_eq!((judged.retry, fault(judged.end)), (Retry::No, ErrorSource::Upstream), "whatever is tried again");
    }

    #[test]
    fn what_a_caller_can_bring_about_leaves_the_endpoint_alone() {
        let large = r#"{"error":{"message":"Request too large for gpt-x on tokens per min: Limit 30000, Requested 50000","code":"rate_limit_exceeded"}}"#;
        let invalid = r#"{"error":{"message":"no","type":"invalid_request_error"}}"#;
        for (code, body) in [(403, ""), (429, large), (500, invalid), (501, ""), (400, ""), (413, ""), (431, "")] {
            let headers = HeaderMap::from_iter([(http::header::RETRY_AFTER, "30".parse().unwrap())]);
            let judged = of(code, &headers, body);
            assert_eq!((judged.counts_against_circuit, judged.cooldown), (false, Cooldown::None), "{code}");
        }
    }

    #[test]
    fn a_refused_credential_or_an_empty_purse_is_told_from_a_limit() {
        let quota = r#"{"error":{"message":"no money","code":"insufficient_quota"}}"#;
        for (code, body) in [(401, ""), (402, ""), (429, quota)] {
            let judged = of(code, &HeaderMap::new(), body);
            assert_eq!((judged.retry, judged.cooldown), (Retry::OtherEndpoint, Cooldown::CredentialRefused), "{code}");
            let counted = if code == 429 { AttemptEnd::RateLimited } else { AttemptEnd::KeyRefused };
            assert_eq!(judged.counted(), counted, "{code}");
        }
    }

    #[test]
    fn a_content_filter_that_says_403_refuses_the_call_and_no_credential() {
        let flagged = r#"{"code":"permission-denied","error":"Content violates usage guidelines. Failed check: SAFETY_CHECK_TYPE_BIO"}"#;
        let error = Dialect::OpenAiChat.decode_error(403, flagged.as_bytes());
        assert!(!is_credential(meant(StatusCode::FORBIDDEN, error.kind)));
        let judged = of(403, &HeaderMap::new(), flagged);
        assert_eq!((judged.retry, fault(judged.end)), (Retry::No, ErrorSource::Client));
    }

    #[test]
    fn a_vendor_that_says_400_of_the_gateways_key_or_money_means_them() {
        let of = |dialect: Dialect, body: &str| {
            let error = dialect.decode_error(400, body.as_bytes());
            status(StatusCode::BAD_REQUEST, &HeaderMap::new(), (&error, body.as_bytes()), &on())
        };
        let key = r#"{"error":{"code":400,"message":"API key not valid. Please pass a valid API key.","status":"INVALID_ARGUMENT"}}"#;
        let money =
            r#"{"error":{"type":"invalid_request_error","message":"Your credit balance is too low to access it."}}"#;
        let hard = r#"{"error":{"message":"Billing hard limit has been reached","code":"billing_hard_limit_reached"}}"#;
        for (dialect, body) in
            [(Dialect::Gemini, key), (Dialect::AnthropicMessages, money), (Dialect::OpenAiChat, hard)]
        {
            let judged = of(dialect, body);
            assert_eq!((judged.retry, judged.cooldown), (Retry::OtherEndpoint, Cooldown::CredentialRefused), "{body}");
            assert!(judged.is_about_the_key());
        }
        let place = r#"{"error":{"code":400,"message":"User location is not supported for the API use.","status":"FAILED_PRECONDITION"}}"#;
        let judged = of(Dialect::Gemini, place);
        assert_eq!((judged.retry, judged.cooldown), (Retry::OtherEndpoint, Cooldown::None));
    }

    #[test]
    fn a_vendor_that_says_400_of_a_model_it_has_no_longer_means_404() {
        let gone = r#"{"error":{"message":"Model Not Exist","type":"invalid_request_error","param":null,"code":"invalid_request_error"}}"#;
        let other = r#"{"error":{"message":"messages: must not be empty","type":"invalid_request_error"}}"#;
        for (body, meant_as, retry) in [(gone, 404, Retry::OtherEndpoint), (other, 400, Retry::No)] {
            let error = Dialect::OpenAiChat.decode_error(400, body.as_bytes());
            let meant = meant(StatusCode::BAD_REQUEST, error.kind);
            let judged = of_missing_model(of(400, &HeaderMap::new(), body), (meant, true));
            assert_eq!((meant.as_u16(), judged.retry), (meant_as, retry), "{body}");
            assert!(!judged.counts_against_circuit && judged.cooldown == Cooldown::None);
        }
    }

    #[test]
    fn another_key_is_for_what_is_limited_or_refused_and_for_nothing_else() {
        for code in 400..600 {
            assert_eq!(judged(code).is_about_the_key(), matches!(code, 401..=403 | 412 | 429), "{code}");
        }
    }

    #[test]
    fn what_is_said_of_a_callers_own_key_is_that_callers_alone() {
        let quota = r#"{"error":{"message":"no money","code":"insufficient_quota"}}"#;
        let judged = |code: u16, body: &str| {
            let error = Dialect::OpenAiChat.decode_error(code, body.as_bytes());
            let judged = with_callers_key(of(code, &HeaderMap::new(), body), error.kind);
            (judged.retry, judged.cooldown, judged.counts_against_circuit)
        };
        for (code, retry) in
            [(401, Retry::No), (402, Retry::No), (403, Retry::No), (429, Retry::OtherEndpoint), (400, Retry::No)]
        {
            assert_eq!(judged(code, ""), (retry, Cooldown::None, false), "{code}");
        }
        assert_eq!(judged(429, quota), (Retry::OtherEndpoint, Cooldown::None, false));
        assert_eq!(judged(500, ""), (Retry::Anywhere, Cooldown::None, true));
    }

    #[test]
    fn a_rate_limit_pauses_the_endpoint_and_leaves_its_circuit_alone() {
        let headers = HeaderMap::from_iter([(http::header::RETRY_AFTER, "30".parse().unwrap())]);
        let judged = of(429, &headers, "");
        assert_eq!(
            (judged.counts_against_circuit, judged.cooldown),
            (false, Cooldown::Requested(Duration::from_secs(30)))
        );
        assert_eq!(of(502, &headers, "").cooldown, Cooldown::None);
        let body = r#"{"error":{"message":"retry in 52.4s","details":[{"retryDelay":"52s"}]}}"#;
        for code in [429, 503] {
            assert_eq!(
                of(code, &HeaderMap::new(), body).cooldown,
                Cooldown::Requested(Duration::from_secs(52)),
                "{code}"
            );
        }
        assert_eq!(of(429, &HeaderMap::new(), "").cooldown, Cooldown::Guessed(LIMITED));
        assert_eq!(of(503, &HeaderMap::new(), "").cooldown, Cooldown::None);
    }

    #[test]
    fn an_error_in_a_stream_is_judged_as_its_status_would_be() {
        let judged = |kind, message| {
            let judged = said(&error(kind, message), &on());
            (judged.retry, judged.counts_against_circuit, judged.end)
        };
        assert_eq!(judged(ErrorKind::RateLimit, ""), (Retry::Anywhere, false, AttemptEnd::RateLimited));
        assert_eq!(judged(ErrorKind::Overloaded, ""), (Retry::Anywhere, true, AttemptEnd::ServerError));
        assert_eq!(judged(ErrorKind::Internal, ""), (Retry::Anywhere, true, AttemptEnd::ServerError));
        assert_eq!(judged(ErrorKind::InvalidRequest, ""), (Retry::No, false, AttemptEnd::ClientError));
        let limit = said(&error(ErrorKind::RateLimit, "try again in 7s"), &on());
        assert_eq!(limit.cooldown, Cooldown::Requested(Duration::from_secs(7)));
    }

    #[test]
    fn a_provider_that_asks_not_to_be_retried_is_not() {
        let judged = |code: u16, said: &'static str| {
            let headers = HeaderMap::from_iter([(X_SHOULD_RETRY, http::HeaderValue::from_static(said))]);
            of(code, &headers, "").retry
        };
        assert_eq!(judged(429, "false"), Retry::OtherEndpoint);
        assert_eq!(judged(503, "False"), Retry::OtherEndpoint);
        assert_eq!(judged(503, "true"), Retry::Anywhere);
        // It asks for less, never for more.
        assert_eq!(judged(400, "false"), Retry::No);
        assert_eq!(judged(400, "true"), Retry::No);
    }

    #[test]
    fn what_the_gateway_lacks_is_not_held_against_a_provider() {
        for kind in [SendErrorKind::Busy, SendErrorKind::Exhausted, SendErrorKind::Local] {
            for phase in [SendPhase::Resolve, SendPhase::Connect] {
                let error = SendError { phase, kind, ..SendError::sample() };
                let judged = send(&error, &on());
                assert_eq!(
                    (judged.counts_against_circuit, judged.cooldown, judged.end),
                    (false, Cooldown::None, AttemptEnd::Gateway)
                );
                assert_eq!((judged.retry, super::kind(judged.end)), (Retry::Anywhere, ErrorKind::Unavailable));
            }
        }
        let refused = SendError { phase: SendPhase::Connect, kind: SendErrorKind::Refused, ..SendError::sample() };
        assert!(send(&refused, &on()).counts_against_circuit);
    }

    #[test]
    fn no_provider_pauses_its_endpoint_for_ever() {
        // Beyond what an instant can hold: added to one unbounded, it would end the worker.
        let headers = HeaderMap::from_iter([(http::header::RETRY_AFTER, "18000000000000000000".parse().unwrap())]);
        for code in [429, 503, 529] {
            assert_eq!(of(code, &headers, "").cooldown, Cooldown::Requested(LONGEST_PAUSE), "{code}");
        }
    }
}
