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
    let Some(demand) = demands.get(refused.at) else { return unavailable() };
    call.context.note(|entry| entry.limited(&demand.limit.name));
    refusal(demand, refused)
}

/// The limit in its caller's words, with the amount that it has now.
fn limit_in_words((limit, amount): (&PreparedLimit, u64)) -> Cow<'static, str> {
    let (amount, window) = (limit.unit.written(amount), &limit.window);
    match &limit.per {
        Per::Consumer => format!("{amount} per {window} for each consumer").into(),
        Per::Route => format!("{amount} per {window} for this route").into(),
        Per::Header(name) => format!("{amount} per {window} for each `{name}`").into(),
        Per::Provider => format!("{amount} per {window} of this gateway at its provider").into(),
    }
}

fn refusal(demand: &Demand<'_>, refused: LimitRefusal) -> Problem {
    if refused.is_unavailable {
        return unavailable();
    }
    // Its amount may have become another one while the call waited.
    let limit = (demand.limit, demand.amount);
    match refused.after {
        Some(after) => no_room_of(limit, after),
        None => larger_of(limit, demand.cost),
    }
}

/// There is none until then.
pub(super) fn no_room(limit: &PreparedLimit, after: Duration) -> Problem {
    no_room_of((limit, limit.amount), after)
}

fn no_room_of(limit: (&PreparedLimit, u64), after: Duration) -> Problem {
    let seconds = (after.as_secs_f64() * 1_000.0).ceil() / 1_000.0;
    let message =
        format!("Rate limit reached: the limit is {}. Please try again in {seconds}s.", limit_in_words(limit));
    limited(message).retry(after <= LONGEST_WAIT, Some(after))
}

/// The call may use so much, and there is never so much room.
pub(super) fn larger(limit: &PreparedLimit, most: u64) -> Problem {
    larger_of((limit, limit.amount), most)
}

fn larger_of(limit: (&PreparedLimit, u64), most: u64) -> Problem {
    let message = format!(
        "This request is too large: it may use {}, and the limit is {}. Send less, or set a lower limit on the answer's tokens.",
        limit.0.unit.written(most),
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

#[cfg(test)]
mod tests {
    use sluicegate_config::{LimitPer, LimitUnit, OnUnavailable, RateLimit};

    use super::*;
    use crate::limit::LimitScope;

    #[test]
    fn a_refusal_names_the_amount_that_the_limit_has_by_now() {
        let from = RateLimit {
            unit: LimitUnit::Requests,
            amount: 1,
            window: 15_000,
            per: LimitPer::Route,
            on_unavailable: OnUnavailable::Share,
            unpriced_is_free: false,
            queue: None,
        };
        let limit = PreparedLimit::of("", LimitScope::Route("a/r", None), &from);
        let mut demand = Demand::of(&limit, limit.key(Some(std::iter::once(&b"x"[..]))), 1);
        let said = |demand: &Demand<'_>, after| {
            let refused = LimitRefusal { at: 0, after, is_unavailable: false, may_wait: false };
            refusal(demand, refused).message.to_string()
        };
        let after = Some(Duration::from_secs(3));
        assert!(said(&demand, after).contains("the limit is 1 request"), "{}", said(&demand, after));
        demand.becomes(Some(7));
        for after in [after, None] {
            assert!(said(&demand, after).contains("the limit is 7 requests"), "{}", said(&demand, after));
        }
    }
}
