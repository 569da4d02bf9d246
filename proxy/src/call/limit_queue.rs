//! The wait of a call for room in the windows of its limits (`onExceeded: Queue`): in this process one after the other by priority, fairly,
//! and so that nobody starves. The first in the queue alone asks, when the limit has said that there is room, or when it is another one.

use std::sync::Arc;
use std::time::{Duration, Instant};

use rand::RngExt as _;
use tokio::time::sleep;

use crate::concurrency::{CallPlace, GateScope, NoPlace, PreparedGate};
use crate::errors::Problem;
use crate::limit::{Demand, Holds, LimitRefusal, Told};
use crate::state::{Ready, Rule};

use super::inbound::InboundCall;
use super::limit_refusal::{refused, unavailable};
use super::{places, plan};

/// The longest time between two looks of the first in a queue: what calls did not use is given back before their window is over, and amounts grow …
const LOOK_AT_USE: Duration = Duration::from_secs(1);
/// … and at calls, of which hardly any is given back.
const LOOK_AT_CALLS: Duration = Duration::from_secs(5);
/// The first in a queue looks this often whether the limit is another one by now.
const LOOK_AT_LIMITS: Duration = Duration::from_millis(50);
/// The first of other proxies' queues wait for the same room: they come by up to this much later, at random.
const SPREAD: Duration = Duration::from_millis(20);

/// The most calls that wait for room in one process, over all limits and all that each counts together. A limit has bounds of its own
/// for those that it counts together, and may count a great many apart.
const MOST_WAITING: u64 = 10_000;

/// The end of a wait.
pub(super) type Waited = (Vec<Told>, Result<Holds, Problem>);

/// A call's place in the queue of one limit.
struct LimitTurn {
    gate: PreparedGate,
    place: CallPlace,
}

/// The limit whose queue a call has to join before it may ask: others wait there.
pub(super) fn behind_others(call: &InboundCall, demands: &[Demand<'_>]) -> Option<usize> {
    let gates = &call.context.worker.limiter.shared().gates;
    let waits = |demand: &Demand<'_>| demand.limit.queue.is_some() && gates.window(&demand.key.slot_name()).is_some();
    demands.iter().position(waits)
}

/// Waits until all limits have room, and takes of them. Whoever lets go of it leaves the queue.
/// `at`: the limit to wait for; `after`: the time after which it may have room, if it has said so.
pub(super) async fn wait(
    call: &InboundCall,
    rule: &Rule,
    demands: &[Demand<'_>],
    (at, after): (usize, Option<Duration>),
) -> Waited {
    let since = Instant::now();
    let patience = demands.get(at).and_then(|demand| demand.limit.patience()).unwrap_or_default();
    let until = (since + patience).min(call.context.arrived + plan::total(&call.context.ready, rule));
    let (mut told, taken) = in_turn(call, demands, (at, after), until).await;
    call.context.note(|entry| entry.queued(since.elapsed()));
    // Whoever was refused before it asked is told how all stand as ever.
    if told.is_empty() {
        told = call.context.worker.limiter.look(demands).await;
    }
    (told, taken)
}

async fn in_turn(
    call: &InboundCall,
    demands: &[Demand<'_>],
    (mut at, mut after): (usize, Option<Duration>),
    until: Instant,
) -> Waited {
    let limiter = &call.context.worker.limiter;
    let (mut told, mut current) = (Vec::new(), CurrentDemands::of(call, demands));
    loop {
        let Some(demand) = current.demands.get(at) else { return (told, Err(unavailable())) };
        let standing = match stand(call, demand, &mut after, until).await {
            Ok(standing) => standing,
            Err(problem) => return (told, Err(problem)),
        };
        let no = loop {
            if let Some(wait) = after {
                standing.gate.gate.has_room_at(Instant::now() + wait);
            }
            if let Some(wait) = after.take().filter(|wait| !wait.is_zero())
                && !current.pause(at, wait, until).await
            {
                standing.gate.gate.was_late();
                let no = current.demands.get(at).map_or_else(unavailable, |demand| refusal(call, demand, wait));
                return (told, Err(no));
            }
            current.renew();
            let taken;
            (told, taken) = limiter.take(&current.demands).await;
            match taken {
                Ok(holds) => return (told, Ok(holds)),
                Err(no) if no.may_wait && no.at == at => after = no.after,
                Err(no) => break no,
            }
        };
        drop(standing.place);
        if !no.may_wait {
            return (told, Err(refused(call, &current.demands, no)));
        }
        // Another of its limits has room later: it waits there, and keeps nobody here.
        (at, after) = (no.at, no.after);
    }
}

/// The parts that a call that waits would take of its limits, which may be others by now: raised, lowered, gone.
struct CurrentDemands<'a> {
    call: &'a InboundCall,
    ready: Arc<Ready>,
    demands: Vec<Demand<'a>>,
}

impl<'a> CurrentDemands<'a> {
    /// As they were when the call began.
    fn of(call: &'a InboundCall, demands: &[Demand<'a>]) -> Self {
        Self { call, ready: Arc::clone(&call.context.ready), demands: demands.to_vec() }
    }

    /// Looks whether there is another configuration. `true`: a limit is another one.
    fn renew(&mut self) -> bool {
        let now = self.call.context.worker.ready();
        if Arc::ptr_eq(&now, &self.ready) {
            return false;
        }
        self.ready = now;
        let mut are_others = false;
        for demand in &mut self.demands {
            let limit = self.ready.current_limit(demand.limit, self.call.context.consumer());
            are_others |= demand.becomes(limit.map(|limit| limit.amount));
        }
        are_others
    }

    /// Waits for room in a limit, or until it is another one. `false`: it would come too late, and nothing is given back before.
    async fn pause(&mut self, at: usize, wait: Duration, until: Instant) -> bool {
        if self.renew() {
            return true;
        }
        let left = until.saturating_duration_since(Instant::now());
        let uses = self.demands.get(at).is_some_and(|demand| demand.limit.counts_use());
        if left.is_zero() || (!uses && wait > left) {
            return false;
        }
        let wait = wait.min(if uses { LOOK_AT_USE } else { LOOK_AT_CALLS });
        let spread = SPREAD.mul_f64(rand::rng().random::<f64>());
        let until = Instant::now() + (wait + spread).min(left);
        loop {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() || self.renew() {
                return true;
            }
            sleep(left.min(LOOK_AT_LIMITS)).await;
        }
    }
}

/// The first place in a limit's queue. `after` is forgotten where others went first.
async fn stand(
    call: &InboundCall,
    demand: &Demand<'_>,
    after: &mut Option<Duration>,
    until: Instant,
) -> Result<LimitTurn, Problem> {
    let gates = &call.context.worker.limiter.shared().gates;
    let key = demand.key.slot_name();
    let Some(queue) = &demand.limit.queue else { return Err(unavailable()) };
    let now = Instant::now();
    if gates.refuses_windows(MOST_WAITING) {
        return Err(refusal(call, demand, demand.limit.span()));
    }
    let before = gates.window(&key).unwrap_or_default();
    let gate = PreparedGate::of(gates, GateScope::Window(&key), queue);
    let least = demand.limit.least_wait(before, gate.gate.until_room(now)).unwrap_or_default();
    if least > until.saturating_duration_since(now) {
        gate.gate.was_late();
        return Err(refusal(call, demand, least));
    }
    if let Some(place) = places::try_place(call, &gate) {
        return Ok(LimitTurn { gate, place });
    }
    *after = None;
    match gate.gate.take(places::applicant(call, &gate), until).await {
        Ok(place) => Ok(LimitTurn { gate, place }),
        Err(no) => {
            let again = if no.why == NoPlace::Full { no.after } else { no.after.max(Duration::from_secs(1)) };
            // Those in front take the next room.
            Err(refusal(call, demand, again.max(least)))
        }
    }
}

/// The refusal of a call that can not wait, or has waited in vain.
fn refusal(call: &InboundCall, demand: &Demand<'_>, after: Duration) -> Problem {
    call.context.worker.limiter.count_refusal(demand);
    let no = LimitRefusal { at: 0, after: Some(after), is_unavailable: false, may_wait: true };
    refused(call, std::slice::from_ref(demand), no)
}
