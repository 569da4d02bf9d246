//! The refusals of calls that a rate limit has no room for, in words.

use std::borrow::Cow;
use std::time::Duration;

use sluicegate_dialects::hub::ErrorKind;

use crate::errors::Problem;
use crate::limit::{Demand, LimitRefusal, Per, PreparedLimit};

use super::inbound::InboundCall;

/// Callers wait no longer by themselves: what has room later than this is not to be asked for again.
const LONGEST_WAIT: Duration = Duration::from_secs(120);

/// The refusal of a call by one of its limits.
pub(super) fn refused(call: &InboundCall, demands: &[Demand<'_>], refused: LimitRefusal) -> Problem {
    let limit = demands.get(refused.at).map(|demand| demand.limit);
    limit.iter().for_each(|limit| call.context.note(|entry| entry.limited(&limit.name)));
    limit.map_or_else(unavailable, |limit| refusal(limit, refused))
}

/// The limit in its caller's words.
fn limit_in_words(limit: &PreparedLimit) -> Cow<'static, str> {
    let (amount, window) = (limit.unit.written(limit.amount), &limit.window);
    match &limit.per {
        Per::Consumer => format!("{amount} per {window} for each consumer").into(),
        Per::Route => format!("{amount} per {window} for this route").into(),
        Per::Header(name) => format!("{amount} per {window} for each `{name}`").into(),
        Per::Provider => format!("{amount} per {window} of this gateway at its provider").into(),
    }
}

fn refusal(limit: &PreparedLimit, refused: LimitRefusal) -> Problem {
    if refused.is_unavailable {
        return unavailable();
    }
    let Some(after) = refused.after else { return larger(limit, limit.amount) };
    no_room(limit, after)
}

/// There is none until then.
pub(super) fn no_room(limit: &PreparedLimit, after: Duration) -> Problem {
    let seconds = (after.as_secs_f64() * 1_000.0).ceil() / 1_000.0;
    let message =
        format!("Rate limit reached: the limit is {}. Please try again in {seconds}s.", limit_in_words(limit));
    limited(message).retry(after <= LONGEST_WAIT, Some(after))
}

/// The call may use so much, and there is never so much room.
pub(super) fn larger(limit: &PreparedLimit, most: u64) -> Problem {
    let message = format!(
        "This request is too large: it may use {}, and the limit is {}. Send less, or set a lower limit on the answer's tokens.",
        limit.unit.written(most),
        limit_in_words(limit)
    );
    limited(message).retry(false, None)
}

/// The refusal of a call that may use more than there ever is.
pub(super) fn too_large(call: &InboundCall, limit: &PreparedLimit, most: u64) -> Problem {
    call.context.note(|entry| entry.limited(&limit.name));
    larger(limit, most)
}

fn limited(message: String) -> Problem {
    Problem::client(ErrorKind::RateLimit, message).code("rate_limit_exceeded")
}

/// The refusal of a call whose limits nobody can be asked for.
pub(super) fn unavailable() -> Problem {
    let message = "This gateway can not look up the rate limits of this call now; please try again.";
    Problem::gateway(ErrorKind::Unavailable, message).retry(true, Some(Duration::from_secs(1)))
}
