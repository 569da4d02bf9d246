//! The providers of a pool as a call sees them: what balancing weighs of each, as far as the pool's strategy asks for it.

use std::sync::atomic::Ordering;
use std::time::Instant;

use sluicegate_config::Strategy;
use sluicegate_dialects::hub::Usage;

use crate::balance::{Candidate, Measure};
use crate::endpoint::{TimedAnswer, model_number};
use crate::pricing;
use crate::state::{Provider, RouteTarget};

use super::inbound::InboundCall;
use super::outgoing;
use super::room::Room;

/// The tokens that answers mostly have, where a call lets them have more.
const ANSWER: u64 = 512;

/// A call that looks at the providers of a pool.
pub(super) struct Weighing<'a> {
    call: &'a InboundCall,
    target: RouteTarget<'a>,
    room: Room,
    now: Instant,
    /// The tokens of the call and of its answer, about, where a price is asked for.
    tokens: Usage,
    /// The calls that the pool has had, where they are counted.
    calls: u64,
}

impl<'a> Weighing<'a> {
    pub(super) fn new(call: &'a InboundCall, (target, room): (RouteTarget<'a>, Room), now: Instant) -> Self {
        let (mut tokens, mut calls) = (Usage::default(), 0);
        match target.pool.strategy {
            Strategy::CostOptimized => tokens = likely(call),
            Strategy::LeastLatency => calls = target.pool.state.cursor.load(Ordering::Relaxed),
            Strategy::RoundRobin | Strategy::Weighted | Strategy::LeastRequest => {}
        }
        Self { call, target, room, now, tokens, calls }
    }

    /// A provider.
    pub(super) fn candidate(&self, provider: &Provider) -> Candidate {
        let (is_busy, told) = self.load(provider);
        Candidate {
            serves: fit(self.call, (self.target, self.room), provider),
            weight: provider.weight,
            priority: provider.priority,
            is_away: provider.is_away,
            is_below: self.is_below(provider),
            is_busy,
            health: provider.health_for(|| self.model(provider), self.now),
            in_flight: provider.endpoint.in_flight(),
            told,
            identity: provider.identity,
            measure: self.measure(provider),
        }
    }

    fn model(&self, provider: &Provider) -> u64 {
        model_number(outgoing::model(self.call, self.target, provider))
    }

    /// True if the model server there has said that it has too much to do, and the calls that it says it has.
    fn load(&self, provider: &Provider) -> (bool, u32) {
        let Some(server) = &provider.model_server else { return (false, 0) };
        let Some(load) = provider.endpoint.server_load(self.now) else { return (false, 0) };
        let is_full = load.cache_milli.is_some_and(|used| u32::from(used) > server.max_cache_percent * 10);
        (load.waiting > server.max_waiting || is_full, load.running.saturating_add(load.waiting))
    }

    /// True if the pool asks for better answers than the provider's model is said to give.
    fn is_below(&self, provider: &Provider) -> bool {
        self.target.pool.quality_floor_milli.is_some_and(|floor| {
            let model = provider.models.get(outgoing::routed_model(self.call, self.target));
            model.and_then(|model| model.quality_milli).is_none_or(|quality| quality < floor)
        })
    }

    fn measure(&self, provider: &Provider) -> Measure {
        match self.target.pool.strategy {
            Strategy::RoundRobin | Strategy::Weighted | Strategy::LeastRequest => Measure::None,
            Strategy::LeastLatency => {
                Measure::Latency(provider.endpoint.latency(form(self.call), self.now, self.calls))
            }
            Strategy::CostOptimized => {
                let model = provider.models.get(outgoing::routed_model(self.call, self.target));
                let price = model.and_then(|model| model.price.as_ref());
                Measure::Cost(price.and_then(|price| pricing::cost(&self.tokens, price)).map(|cost| cost.0))
            }
        }
    }

    /// Notes who takes the call.
    pub(super) fn chose(&self, provider: &Provider, candidate: &Candidate) {
        if let Measure::Latency(latency) = candidate.measure
            && latency.is_due
        {
            provider.endpoint.is_tried(self.calls);
        }
    }
}

/// The tokens that a call and its answer most likely have.
fn likely(call: &InboundCall) -> Usage {
    let answers = if call.operation.generates() { ANSWER } else { 0 };
    let output = call.peek.max_tokens.map_or(answers, |most| most.min(answers));
    Usage { input: call.prompt_estimate(), output, ..Usage::default() }
}

/// The cost that a call most likely has at a provider, in picodollars; `None`: nobody knows its price.
pub(super) fn likely_cost(call: &InboundCall, target: RouteTarget<'_>, provider: &Provider) -> Option<u64> {
    let price = provider.models.get(outgoing::routed_model(call, target))?.price.as_ref()?;
    pricing::cost(&likely(call), price).map(|cost| cost.0)
}

/// The form of a call's answer.
pub(super) fn form(call: &InboundCall) -> TimedAnswer {
    if call.streams() { TimedAnswer::Stream } else { TimedAnswer::Whole }
}

/// `true` for a provider that can take the call at all.
pub(super) fn fit(call: &InboundCall, (target, room): (RouteTarget<'_>, Room), provider: &Provider) -> bool {
    let routed = outgoing::routed_model(call, target);
    let spoken = provider.speaks(call.operation, call.dialect(), routed);
    if call.named().is_some() {
        return spoken.is_some();
    }
    if let Some(object) = call.object() {
        let is_asked_for = call.model().is_empty() || provider.serves(routed);
        return spoken.is_some() && object.is_kept_by(provider) && is_asked_for;
    }
    spoken.is_some_and(|spoken| call.may_go_to(provider, spoken))
        && provider.serves(routed)
        && room.lets(provider, routed)
}
