//! The plan of one call: the provider's behaviour, with what the call itself is told laid over it.

use std::time::Duration;

use crate::behaviour::{Behaviour, Failure, FailureKind};
use crate::fault::Fault;
use crate::steer::Steer;

/// The plan of one call.
#[derive(Debug, Clone, Default)]
pub(crate) struct Plan {
    /// Before the first token.
    pub(crate) first_token: Duration,
    /// Between two tokens.
    pub(crate) token_interval: Duration,
    /// Tokens of a text answer.
    pub(crate) tokens: Option<u32>,
    /// The answer.
    pub(crate) text: Option<String>,
    /// The model refuses.
    pub(crate) refuse: bool,
    /// No answer at all.
    pub(crate) no_answer: Option<NoAnswer>,
    /// An error instead of an answer.
    pub(crate) fault: Option<Box<Fault>>,
    /// The answer breaks.
    pub(crate) breakage: Option<Breakage>,
    /// Bytes of a write.
    pub(crate) chunk: Option<usize>,
}

/// A way of not answering.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NoAnswer {
    /// The connection is reset.
    Reset,
    /// Silence.
    Silent,
}

/// A way in which an answer breaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Breakage {
    /// The kind of failure.
    pub(crate) kind: FailureKind,
    /// After how many tokens.
    pub(crate) after: u64,
}

/// Lays out a call. `strikes`: the behaviour's failure hits this call. `steer_spent`: what the header says about
/// failing has been shown often enough.
pub(crate) fn lay_out(behaviour: &Behaviour, strikes: bool, steer: Steer, steer_spent: bool) -> Plan {
    let mut plan = Plan {
        first_token: steer.first_token.unwrap_or(behaviour.first_token),
        token_interval: steer.interval.unwrap_or(behaviour.token_interval),
        tokens: steer.tokens.or(behaviour.tokens),
        text: steer.text.or_else(|| behaviour.text.clone()),
        refuse: steer.refuse,
        chunk: steer.chunk,
        ..Plan::default()
    };
    if steer.status.is_some() || steer.fail.is_some() {
        if steer_spent {
            return plan;
        }
        if let Some(status) = steer.status {
            plan.fault = Some(told(status, steer.quota, steer.retry_after, steer.should_retry));
        }
        if let Some(kind) = steer.fail {
            let failure = Failure { kind, percent: 100, status: None, after_tokens: steer.after };
            apply(&mut plan, &failure);
        }
    } else if let (true, Some(failure)) = (strikes, &behaviour.failure) {
        apply(&mut plan, failure);
    }
    plan
}

fn apply(plan: &mut Plan, failure: &Failure) {
    let after = u64::from(failure.after_tokens.unwrap_or(0));
    match failure.kind {
        FailureKind::Reset if failure.after_tokens.is_none() => plan.no_answer = Some(NoAnswer::Reset),
        FailureKind::Silent => plan.no_answer = Some(NoAnswer::Silent),
        FailureKind::Status => plan.fault = Some(told(failure.status.unwrap_or(500), false, None, None)),
        kind => plan.breakage = Some(Breakage { kind, after }),
    }
}

/// An error the simulator was told to give.
fn told(status: u16, quota: bool, retry_after: Option<Duration>, should_retry: Option<bool>) -> Box<Fault> {
    let mut fault = match status {
        429 if quota => Fault::new(429, "You exceeded your current quota, please check your plan and billing details.")
            .typed("insufficient_quota")
            .coded("insufficient_quota"),
        429 => Fault::new(429, "Rate limit reached: the simulated provider was told to answer so.")
            .coded("rate_limit_exceeded"),
        529 => Fault::new(529, "Overloaded"),
        500 => Fault::new(500, "The server had an error while processing your request (simulated)."),
        503 => Fault::new(503, "The engine is currently overloaded, please try again later (simulated)."),
        _ => Fault::new(status, format!("The simulated provider was told to answer {status}.")),
    };
    // Vendors say when to come back after too many calls, and seldom otherwise.
    fault.retry_after = retry_after.or((status == 429 && !quota).then_some(Duration::from_secs(1)));
    fault.should_retry = should_retry;
    fault
}
