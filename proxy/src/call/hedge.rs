//! Second attempts elsewhere: which calls may have one, and after which time.

use std::time::{Duration, Instant};

use sluicegate_config::Hedge;
use sluicegate_dialects::effects;

use crate::endpoint::HedgeBounds;
use crate::state::{Provider, RouteTarget, Rule};

use super::inbound::InboundCall;
use super::{outgoing, weigh};

/// A call that may have a second attempt.
pub(super) struct Hedging<'a> {
    call: &'a InboundCall,
    target: RouteTarget<'a>,
    hedge: Hedge,
    begun: Instant,
}

impl<'a> Hedging<'a> {
    /// A call's first attempt in a pool begins, at this provider; `None`: there is no second one beside it, or nobody could make it twice.
    pub(super) fn of(
        call: &'a InboundCall,
        rule: &Rule,
        (target, provider): (RouteTarget<'a>, &Provider),
    ) -> Option<Self> {
        let hedge = rule.hedge.filter(|_| call.operation.generates() && !effects::effects(&call.body).any())?;
        let begun = Instant::now();
        let cost = hedge.max_cost_percent.and_then(|_| weigh::likely_cost(call, target, provider));
        target.pool.state.hedges.call(cost.unwrap_or_default(), begun);
        Some(Self { call, target, hedge, begun })
    }

    /// The time after which the second attempt is due; `None`: nobody knows yet.
    pub(super) fn delay(&self) -> Option<Duration> {
        let after = self.hedge.after.map(|after| after.get());
        after.or_else(|| self.target.pool.state.answer_times.most_wait(self.key(), self.begun))
    }

    /// True if there may be one more, at this provider. Of one whose price nobody knows nobody knows whether it costs too much.
    pub(super) fn may(&self, provider: &Provider, now: Instant) -> bool {
        let mut bounds = HedgeBounds { percent: self.hedge.max_percent, cost: None };
        if let Some(percent) = self.hedge.max_cost_percent {
            let Some(cost) = weigh::likely_cost(self.call, self.target, provider) else { return false };
            bounds.cost = Some((percent, cost));
        }
        self.target.pool.state.hedges.try_hedge(bounds, now)
    }

    /// The first attempt's caller could be given something now, or it is not waited for any longer.
    pub(super) fn waited(&self) {
        if self.hedge.after.is_none() {
            let now = Instant::now();
            self.target.pool.state.answer_times.note(self.key(), now.saturating_duration_since(self.begun), now);
        }
    }

    fn key(&self) -> (&str, crate::endpoint::TimedAnswer) {
        (outgoing::routed_model(self.call, self.target), weigh::form(self.call))
    }
}
