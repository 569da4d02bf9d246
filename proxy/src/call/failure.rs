//! An attempt that gave no good answer, and what its caller is told of it.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderMap, HeaderValue, StatusCode};
use sluicegate_config::FallbackReason;
use sluicegate_dialects::hub::{ErrorKind, Event, ProviderError};
use sluicegate_dialects::{Dialect, Refusal};

use crate::account::{AttemptEnd, End};
use crate::endpoint::LiveKey;
use crate::errors::{self, Problem, X_SHOULD_RETRY};
use crate::memory::Exhausted;
use crate::state::Provider;

use super::exchange::{Exchange, Whole};
use super::hops;
use super::inbound::InboundCall;
use super::retry_after;
use super::retry_policy::{self, Cooldown, Retry, RetryDecision};
use super::transcoder;

/// The failure of an attempt, or one before an attempt could be made.
pub(super) struct Failure {
    pub(super) retry: Retry,
    /// The key that it is about, where its provider has several.
    pub(super) about_key: Option<AboutKey>,
    end: AttemptEnd,
    said: FailureCause,
}

/// One of several keys, with which an attempt got no answer.
pub(super) struct AboutKey {
    pub(super) key: Arc<LiveKey>,
    /// True if it was refused and not limited, perhaps for what the call asks for.
    pub(super) is_refused: bool,
}

enum FailureCause {
    /// The provider answered with an error.
    Error { answer: ErrorAnswer, is_about_us: bool, provider: Arc<Provider> },
    /// The provider said an error where its stream should begin.
    InStream { error: ProviderError, provider: Arc<Provider> },
    /// The provider gave no answer.
    Nothing(Problem),
    /// The call can not be put into the provider's dialect.
    Refused(Refusal),
    /// The caller has sent no key of its own.
    NoKey(Problem),
    /// A rate limit of the provider or of its key has no room. Boxed: it is rare.
    UsedUp(Box<UsedUpLimit>),
}

/// A rate limit of a provider without room.
struct UsedUpLimit {
    problem: Problem,
    /// Its name.
    limit: Arc<str>,
    /// The time after which it may have room.
    after: Duration,
}

/// An error answer as it came.
pub(super) struct ErrorAnswer {
    pub(super) dialect: Dialect,
    pub(super) status: StatusCode,
    /// Those for the caller, with the time after which the provider wants to be asked again, wherever it has said that.
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
    /// The error that it is. Boxed: it is rare.
    pub(super) said: Box<SaidError>,
}

/// An error that a provider has answered with.
pub(super) struct SaidError {
    pub(super) error: ProviderError,
    /// The time after which the provider wants to be asked again, where it has said that.
    pub(super) after: Option<Duration>,
}

/// Reads a provider's error answer, whose name may stand in a header.
pub(super) fn read(dialect: Dialect, (status, headers): (StatusCode, &HeaderMap), body: &[u8]) -> ProviderError {
    let header = dialect.habits().error_header;
    let name = header.and_then(|header| headers.get(header.name)).and_then(|name| name.to_str().ok());
    dialect.decode_named_error(status.as_u16(), name, body)
}

impl Failure {
    /// The provider answered with an error.
    ///
    /// `is_about_us`: what it was called with was refused, and not what was asked.
    pub(super) fn answered(
        decision: &RetryDecision,
        (answer, is_about_us): (ErrorAnswer, bool),
        provider: &Arc<Provider>,
    ) -> Self {
        let provider = Arc::clone(provider);
        Self {
            retry: decision.retry,
            about_key: None,
            end: decision.end,
            said: FailureCause::Error { answer, is_about_us, provider },
        }
    }

    /// The provider said an error where its stream should begin.
    pub(super) fn in_stream(decision: &RetryDecision, error: ProviderError, provider: &Arc<Provider>) -> Self {
        let provider = Arc::clone(provider);
        Self {
            retry: decision.retry,
            about_key: None,
            end: decision.end,
            said: FailureCause::InStream { error, provider },
        }
    }

    /// The provider gave no answer.
    pub(super) const fn nothing(decision: &RetryDecision, problem: Problem) -> Self {
        Self { retry: decision.retry, about_key: None, end: decision.end, said: FailureCause::Nothing(problem) }
    }

    /// The gateway has no memory for the call: that is nobody else's matter.
    pub(super) fn no_room(full: Exhausted) -> Self {
        Self { retry: Retry::No, about_key: None, end: AttemptEnd::Cancelled, said: FailureCause::Nothing(full.into()) }
    }

    /// The gateway has no token for the provider: nothing was tried.
    pub(super) fn no_token(provider: &Provider) -> Self {
        let message = format!(
            "This gateway has no token for provider `{}` now; its operator has to look after the provider's credentials.",
            provider.name
        );
        let problem = Problem::gateway(ErrorKind::Unavailable, message).retry(true, Some(Duration::from_secs(1)));
        Self {
            retry: Retry::OtherEndpoint,
            about_key: None,
            end: AttemptEnd::Gateway,
            said: FailureCause::Nothing(problem),
        }
    }

    /// The provider has no place for the call: nothing was tried.
    pub(super) const fn no_place(problem: Problem) -> Self {
        Self {
            retry: Retry::OtherEndpoint,
            about_key: None,
            end: AttemptEnd::Gateway,
            said: FailureCause::Nothing(problem),
        }
    }

    /// A rate limit of the provider has no room until then: nothing was tried.
    pub(super) fn used_up(problem: Problem, (limit, after): (&Arc<str>, Duration)) -> Self {
        Self {
            retry: Retry::OtherEndpoint,
            about_key: None,
            end: AttemptEnd::Gateway,
            said: FailureCause::UsedUp(Box::new(UsedUpLimit { problem, limit: Arc::clone(limit), after })),
        }
    }

    /// The provider is called with the caller's own key, and it has sent none: nothing was tried.
    pub(super) fn no_key(provider: &Provider) -> Self {
        let message = format!(
            "Provider `{}` is called with your own key, and you sent none. Send it as `Authorization: Bearer KEY` or where your SDK puts it.",
            provider.name
        );
        let problem = Problem::client(ErrorKind::Authentication, message).code("invalid_api_key").retry(false, None);
        Self {
            retry: Retry::OtherEndpoint,
            about_key: None,
            end: AttemptEnd::ClientError,
            said: FailureCause::NoKey(problem),
        }
    }

    /// The call can not be put into the provider's dialect: nothing was tried.
    pub(super) const fn unsayable(refusal: Refusal) -> Self {
        Self {
            retry: Retry::OtherEndpoint,
            about_key: None,
            end: AttemptEnd::ClientError,
            said: FailureCause::Refused(refusal),
        }
    }

    /// It is about this key, if the decision is about a key at all.
    pub(super) fn with_key(self, decision: &RetryDecision, key: Option<&Arc<LiveKey>>) -> Self {
        // A purse that is empty is said as a limit is, and holds as a refusal does.
        let is_refused =
            decision.end != AttemptEnd::RateLimited || matches!(decision.cooldown, Cooldown::CredentialRefused);
        let is_refused = is_refused && decision.retry != Retry::OtherAccount;
        let about = |key| AboutKey { key: Arc::clone(key), is_refused };
        Self { about_key: key.filter(|_| decision.is_about_the_key()).map(about), ..self }
    }

    /// The reason for which a fallback may be asked, where everybody else would say the same.
    pub(super) fn reason(&self) -> Option<FallbackReason> {
        let of = |error: &ProviderError| match () {
            () if error.is_context_overflow() => Some(FallbackReason::ContextWindow),
            () if error.is_content_refusal() => Some(FallbackReason::ContentPolicy),
            () => None,
        };
        match &self.said {
            FailureCause::Error { answer, .. } => of(&answer.said.error),
            FailureCause::InStream { error, .. } => of(error),
            FailureCause::Nothing(_) | FailureCause::Refused(_) | FailureCause::NoKey(_) | FailureCause::UsedUp(_) => {
                None
            }
        }
    }

    /// True if the caller is rather told this than what was there before: what weighs more, of equals the last, and of several whose
    /// limits are used up the one that has room first: its caller is to come again when somebody is there.
    pub(super) fn says_more_than(&self, before: &Self) -> bool {
        says_more((self.weight(), self.limit()), (before.weight(), before.limit()))
    }

    /// The time after which a limit of the provider has room that is used up; `Some(None)`: that is not known.
    fn limit(&self) -> Option<Option<Duration>> {
        let is_limited = self.end == AttemptEnd::RateLimited;
        match &self.said {
            FailureCause::UsedUp(used_up) => Some(Some(used_up.after)),
            FailureCause::Error { answer, .. } => is_limited.then_some(answer.said.after),
            FailureCause::InStream { error, .. } => is_limited.then(|| retry_after::told_in_stream(error)),
            FailureCause::Nothing(_) | FailureCause::Refused(_) | FailureCause::NoKey(_) => None,
        }
    }

    /// The weight of a failure among several, by what it says to the caller: a mistake that only it can mend, then what
    /// failed, then who is used up, then a refused credential, then what could not be said.
    fn weight(&self) -> u8 {
        match (&self.said, self.end) {
            (FailureCause::Refused(_), _) => 0,
            // The call has gone out without what was refused, or to whoever may read it.
            _ if self.retry.is_uncounted() => 0,
            (FailureCause::NoKey(_), _) => 1,
            (FailureCause::UsedUp(_), _) => 2,
            (FailureCause::Error { is_about_us: true, provider, .. }, AttemptEnd::ClientError)
                if !provider.takes_callers_key() =>
            {
                1
            }
            (FailureCause::InStream { error, provider }, AttemptEnd::ClientError)
                if is_about_us(error.kind) && !provider.takes_callers_key() =>
            {
                1
            }
            (FailureCause::Error { .. } | FailureCause::InStream { .. }, AttemptEnd::ClientError) => 4,
            _ => 3,
        }
    }

    /// The answer to the caller. `exhausted`: the gateway has tried what it could, and its caller's SDK need not.
    ///
    /// # Errors
    /// There is no provider's answer to pass on.
    pub(super) fn into_answer(self, call: &InboundCall, exhausted: bool) -> Result<Exchange, Problem> {
        let end = if self.end == AttemptEnd::ClientError { End::Refused } else { End::Failed };
        match self.said {
            FailureCause::Nothing(problem) | FailureCause::NoKey(problem) => Err(problem),
            FailureCause::UsedUp(used_up) => {
                call.context.note(|entry| entry.limited(&used_up.limit));
                Err(used_up.problem)
            }
            FailureCause::Refused(refusal) => Err(refusal.into()),
            FailureCause::Error { answer, is_about_us: true, provider } if !provider.takes_callers_key() => {
                Err(credential(&provider, (answer.said.error.kind, &format!(" (status {})", answer.status.as_u16()))))
            }
            FailureCause::InStream { error, provider } if is_about_us(error.kind) && !provider.takes_callers_key() => {
                Err(credential(&provider, (error.kind, "")))
            }
            // Only an error is passed on: a redirect would send the caller, and its key, somewhere else.
            FailureCause::Error { answer: ErrorAnswer { status, .. }, provider, .. }
                if !(status.is_client_error() || status.is_server_error())
                    || retry_policy::is_about_connection(status) =>
            {
                let message = format!(
                    "Provider `{}` answered with status {}, which is neither an answer nor an error.",
                    provider.name,
                    status.as_u16()
                );
                Err(Problem::upstream(ErrorKind::BadGateway, message))
            }
            FailureCause::Error { answer, .. } => {
                let error = answer.said.error.clone();
                if tells_in_stream(call, &error) {
                    return Ok(in_a_stream(call, &error, answer.headers));
                }
                let hopeless = exhausted || error.is_context_overflow();
                let whole = pass_on(call, &error, answer);
                Ok(finish(whole, end, hopeless))
            }
            FailureCause::InStream { error, .. } if tells_in_stream(call, &error) => {
                Ok(in_a_stream(call, &error, HeaderMap::new()))
            }
            FailureCause::InStream { error, .. } => {
                let hopeless = exhausted || error.is_context_overflow();
                let after = retry_after::told_in_stream(&error);
                let mut headers = HeaderMap::new();
                if let Some(after) = after {
                    errors::say_when(&mut headers, after);
                }
                let whole = written(call, &error, Headed { status: StatusCode::BAD_GATEWAY, headers, after });
                Ok(finish(whole, end, hopeless))
            }
        }
    }
}

/// A failure's weight, and what is known of its limit, if it is one.
type Weighed = (u8, Option<Option<Duration>>);

/// True if a failure says more to the caller than the one before it.
fn says_more((own, limit): Weighed, (other, before): Weighed) -> bool {
    match (limit, before) {
        (Some(Some(own)), Some(Some(other))) => own <= other,
        // Who says when says more.
        (Some(None), Some(Some(_))) if own == other => false,
        _ => own >= other,
    }
}

const fn is_about_us(kind: ErrorKind) -> bool {
    matches!(kind, ErrorKind::Authentication | ErrorKind::Billing | ErrorKind::Permission)
}

/// The problem that the provider refused the gateway's credential, or that it has none, or no money.
fn credential(provider: &Provider, (kind, status): (ErrorKind, &str)) -> Problem {
    let what = if kind == ErrorKind::Billing {
        format!("says that the gateway's account there has no money left{status}")
    } else if provider.credential.is_some() || !provider.keys.is_empty() {
        format!("refused the gateway's credential{status}")
    } else {
        format!("wants a credential, and this gateway has none for it{status}")
    };
    let message = format!("Provider `{}` {what}; the operator of this gateway has to look after it.", provider.name);
    Problem::gateway(ErrorKind::BadGateway, message).retry(false, None)
}

/// A provider's error in the caller's dialect: its own bytes where that is the same, unless nobody would know by them that
/// the prompt does not fit.
fn pass_on(call: &InboundCall, error: &ProviderError, answer: ErrorAnswer) -> Whole {
    let ErrorAnswer { dialect, status, headers, body, said } = answer;
    let after = said.after;
    let told = !error.is_context_overflow() || dialect.tells_overflow(&body);
    // A page of whatever stands before the provider is none of its errors.
    let is_page = body.trim_ascii_start().first().is_none_or(|byte| *byte == b'<');
    if dialect == call.dialect() && !is_page && told {
        return Whole { status, headers, body, end: End::Failed };
    }
    written(call, error, Headed { status, headers, after })
}

/// True if the caller acts on an error only where the stream that it asked for says it.
fn tells_in_stream(call: &InboundCall, error: &ProviderError) -> bool {
    call.streams() && error.is_context_overflow() && call.dialect().habits().overflow_in_stream
}

/// An error as the stream that was asked for, with the events that stand before it.
fn in_a_stream(call: &InboundCall, error: &ProviderError, mut headers: HeaderMap) -> Exchange {
    let id = call.context.caller.request_id.to_str().unwrap_or_default().to_owned();
    let mut encoder = call.dialect().stream_encoder(transcoder::options(call));
    let mut body = Vec::new();
    encoder.push(&Event::Start { id, model: call.model().to_owned(), created: transcoder::now() }, &mut body);
    encoder.error(error, &mut body);
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(call.context.stream_type()));
    headers.remove(CONTENT_ENCODING);
    Exchange::Whole(Whole { status: StatusCode::OK, headers, body: body.into(), end: End::Refused })
}

/// The parts of an error answer besides its body.
struct Headed {
    status: StatusCode,
    headers: HeaderMap,
    /// The time after which the provider wants to be asked again.
    after: Option<Duration>,
}

/// An error that was told in another dialect, in the caller's.
pub(super) fn retold(call: &InboundCall, from: Dialect, told: Whole) -> Whole {
    let Whole { status, mut headers, body, end } = told;
    headers.remove(CONTENT_LENGTH);
    let error = read(from, (status, &headers), &body);
    Whole { end, ..written(call, &error, Headed { status, headers, after: None }) }
}

/// An error in the caller's dialect.
fn written(call: &InboundCall, error: &ProviderError, headed: Headed) -> Whole {
    let Headed { status, mut headers, after } = headed;
    let dialect = call.dialect();
    let id = call.context.caller.request_id.to_str().unwrap_or_default();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.remove(CONTENT_ENCODING);
    errors::name_error(&mut headers, dialect, error.kind);
    // By that status gateways know what they have said themselves.
    let of_kind = StatusCode::from_u16(dialect.status(error.kind)).ok().filter(|_| !hops::is_of_ring(status));
    let status = of_kind.unwrap_or(status);
    let body = dialect.encode_error(error, id);
    let body = match after {
        Some(after) => errors::say_when_in_body(body, dialect, after),
        None => body,
    };
    let body = errors::as_asked(body.into(), call.context.caller.array);
    Whole { status, headers, body, end: End::Failed }
}

/// Says if the SDK may come again: it may when the provider says when; else the gateway's own retries were enough.
fn finish(mut whole: Whole, end: End, hopeless: bool) -> Exchange {
    if hopeless && !whole.headers.contains_key(RETRY_AFTER) {
        whole.headers.insert(X_SHOULD_RETRY, HeaderValue::from_static("false"));
    }
    Exchange::Whole(Whole { end, ..whole })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_several_that_are_limited_the_caller_is_told_when_the_first_has_room() {
        let limited = |seconds: u64| (3, Some(Some(Duration::from_secs(seconds))));
        let used_up = |seconds: u64| (2, Some(Some(Duration::from_secs(seconds))));
        let (unsaid, failed, mistaken) = ((3, Some(None)), (3, None), (4, None));
        for (before, later, is_later) in [
            (limited(20), limited(300), false),
            (limited(300), limited(20), true),
            (limited(20), limited(20), true),
            (used_up(5), limited(300), false),
            (used_up(300), limited(5), true),
            (limited(300), used_up(5), true),
            (limited(5), used_up(300), false),
            (limited(300), unsaid, false),
            (unsaid, limited(300), true),
            (unsaid, unsaid, true),
            (used_up(5), unsaid, true),
            (limited(5), failed, true),
            (failed, limited(5), true),
            (limited(5), mistaken, true),
            (mistaken, limited(5), false),
        ] {
            assert_eq!(says_more(later, before), is_later, "{before:?} {later:?}");
        }
    }
}
