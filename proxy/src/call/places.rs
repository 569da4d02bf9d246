//! The places of a call under limits of concurrency: those of its consumer and of its rule are taken before any provider is asked,
//! those of a provider and an endpoint with each attempt. A call that finds none free waits in a queue, or is refused in its
//! caller's dialect.

use std::time::{Duration, Instant};

use sluicegate_dialects::hub::ErrorKind;

use crate::concurrency::{Applicant, CallPlace, Flow, NoPlace, PlaceRefusal, PreparedGate};
use crate::consumer::KnownConsumer;
use crate::errors::Problem;
use crate::state::{Provider, Rule};

use super::inbound::InboundCall;
use super::plan;

/// Callers wait no longer by themselves: what may have a place later than this is not to be asked for again.
const LONGEST_WAIT: Duration = Duration::from_secs(120);

/// True if any limit of concurrency is the call's, beside those of providers. Without one this is all that it costs.
/// One that leads a second flight has its places already.
pub(super) fn apply(call: &InboundCall, rule: &Rule) -> bool {
    (rule.concurrency.is_some() || own(call).is_some()) && !call.context.has_places()
}

fn own(call: &InboundCall) -> Option<&PreparedGate> {
    call.context.consumer().and_then(|consumer| consumer.concurrency.as_ref())
}

/// Takes the call's places, to be held until nobody works on it any longer.
///
/// # Errors
/// One limit has none, and the call can not wait for it, or has waited too long.
pub(super) async fn take(call: &InboundCall, rule: &Rule) -> Result<(), Problem> {
    // Always in this order: no two calls wait for each other.
    let until = call.context.arrived + plan::total(&call.context.ready, rule);
    for gate in own(call).into_iter().chain(&rule.concurrency) {
        let place = asked(call, gate, until).await;
        call.context.has_place(place.map_err(|refused| refusal(call, gate, refused))?);
    }
    Ok(())
}

/// A place, and a note of how long the call has waited for it: until then at the longest, for its time is over by that.
async fn asked(call: &InboundCall, gate: &PreparedGate, until: Instant) -> Result<CallPlace, PlaceRefusal> {
    let since = Instant::now();
    let place = gate.gate.take(applicant(call, gate), until).await;
    call.context.note(|entry| entry.queued(since.elapsed()));
    place
}

/// Further places for a second attempt beside the first, if the call's limits have them free: nobody waits for those.
pub(super) fn free_again(call: &InboundCall, rule: &Rule) -> Option<Vec<CallPlace>> {
    let flow = flow(call.context.consumer());
    own(call).into_iter().chain(&rule.concurrency).map(|gate| gate.gate.try_take(flow)).collect()
}

/// Places at a provider if all of its limits have one free.
pub(super) fn free_at(call: &InboundCall, provider: &Provider) -> Option<Vec<CallPlace>> {
    provider.gates.iter().map(|gate| gate.gate.try_take(flow(call.context.consumer()))).collect()
}

/// A place under this limit, if it has one free.
pub(super) fn try_place(call: &InboundCall, gate: &PreparedGate) -> Option<CallPlace> {
    gate.gate.try_take(flow(call.context.consumer()))
}

/// True if the call may wait for a place under this limit.
pub(super) fn lets_wait(call: &InboundCall, gate: &PreparedGate) -> bool {
    gate.gate.lets_in(applicant(call, gate))
}

/// True if the call may wait for its places at a provider and with this key of it: all of its limits have one free, or a queue with room.
pub(super) fn may_wait_at(call: &InboundCall, provider: &Provider, key: Option<usize>) -> bool {
    gates_at(provider, key).all(|gate| lets_wait(call, gate))
}

fn gates_at(provider: &Provider, key: Option<usize>) -> impl Iterator<Item = &PreparedGate> {
    let of_key = key.and_then(|key| provider.keys.get(key)?.gate.as_deref());
    provider.gates.iter().chain(of_key)
}

/// The refusal of a call that has no place at a provider.
pub(super) struct NoPlaceThere {
    pub(super) problem: Problem,
    /// True if it has waited for one as long as it may.
    pub(super) has_waited: bool,
}

/// Places at a provider and with one of its keys, as soon as it is the call's turn.
///
/// # Errors
/// As those of [`take`].
pub(super) async fn wait_at(
    call: &InboundCall,
    (provider, key): (&Provider, Option<usize>),
    until: Instant,
) -> Result<Vec<CallPlace>, NoPlaceThere> {
    let mut places = Vec::with_capacity(provider.gates.len());
    for gate in gates_at(provider, key) {
        let place = asked(call, gate, until).await.map_err(|refused| NoPlaceThere {
            has_waited: matches!(refused.why, NoPlace::Waited(_)),
            problem: refusal(call, gate, refused),
        })?;
        places.push(place);
    }
    Ok(places)
}

/// The call as one that wants a place.
pub(super) fn applicant(call: &InboundCall, gate: &PreparedGate) -> Applicant {
    let consumer = call.context.consumer();
    let priority = gate.chosen(&call.headers).or_else(|| consumer.map(|consumer| consumer.priority));
    Applicant {
        flow: flow(consumer),
        priority: priority.unwrap_or_default(),
        bytes: u64::try_from(call.body.len()).unwrap_or(u64::MAX),
    }
}

/// Stands for a consumer among those that wait.
fn flow(consumer: Option<&KnownConsumer>) -> Flow {
    let identity = consumer.map(KnownConsumer::identity);
    identity.and_then(|digest| digest.first_chunk().map(|part| Flow::from_le_bytes(*part))).unwrap_or_default()
}

fn refusal(call: &InboundCall, gate: &PreparedGate, refused: PlaceRefusal) -> Problem {
    call.context.note(|entry| entry.limited(&gate.name));
    let (max, of) = (gate.gate.max(), gate.of);
    let calls = if max == 1 { "call" } else { "calls" };
    let seconds = refused.after.as_secs_f64().ceil();
    let problem = match refused.why {
        NoPlace::Full => {
            let message =
                format!("Too many calls at once: the limit is {max} {calls} {of}. Please try again in {seconds}s.");
            Problem::client(ErrorKind::RateLimit, message).code("rate_limit_exceeded")
        }
        NoPlace::Unanswered => {
            let message = format!(
                "There is no place for this call: the limit is {max} {calls} at once {of}, and Redis, where the gateway's proxies share it, does not answer. Please try again in {seconds}s."
            );
            Problem::gateway(ErrorKind::Overloaded, message)
        }
        NoPlace::Waited(waited) => {
            let waited = (waited.as_secs_f64() * 10.0).round() / 10.0;
            let message = format!(
                "This call has waited {waited}s for its turn: the limit is {max} {calls} at once {of}. Please try again in {seconds}s."
            );
            Problem::gateway(ErrorKind::Overloaded, message)
        }
    };
    problem.retry(refused.after <= LONGEST_WAIT, Some(refused.after))
}
