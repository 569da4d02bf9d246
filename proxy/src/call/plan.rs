//! In which order a rule's pools are asked: one target by its share, then the others, then the fallbacks; and the time that they give.

use std::sync::atomic::Ordering;
use std::time::Duration;

use sluicegate_config::Millis;

use crate::state::{Ready, RouteTarget, Rule, TargetRef};

use super::inbound::InboundCall;
use super::times::Times;

/// The time of calls whose rule has no pool that could say one.
const TOTAL: Duration = Duration::from_secs(600);

/// The most time that any of a rule's pools gives a call until it is answered.
pub(super) fn total(ready: &Ready, rule: &Rule) -> Duration {
    most(ready, rule, |times| times.total)
}

/// The same until its answer is over, however it comes.
pub(super) fn longest(call: &InboundCall, rule: &Rule) -> Duration {
    most(&call.context.ready, rule, |times| times.longest(call))
}

fn most(ready: &Ready, rule: &Rule, of: impl Fn(Times) -> Duration) -> Duration {
    let targets = rule.targets.iter().chain(&rule.fallbacks).filter_map(|target| ready.target(target));
    let of_pools = targets.map(|target| of(Times::of(rule.timeouts, target.pool.timeouts)));
    of_pools.max().unwrap_or_else(|| rule.timeouts.total.map_or(TOTAL, Millis::get))
}

/// The pools of a rule that are there, in the order in which this call asks them.
pub(super) fn order<'a>(ready: &'a Ready, rule: &'a Rule, lands_softly: bool) -> impl Iterator<Item = RouteTarget<'a>> {
    // A budget may have room for the fallbacks alone.
    let targets = if lands_softly { &[][..] } else { rule.targets.as_slice() };
    let first = match targets {
        [] => None,
        // Workers share the turn: where there is nothing to split, it is not touched.
        [only] => (only.weight > 0).then_some(0),
        _ => rule.split.at(rule.turn.fetch_add(1, Ordering::Relaxed)),
    };
    // A target of weight 0 takes no calls, not even for others.
    let others = targets.iter().enumerate().filter(move |(at, target)| Some(*at) != first && target.weight > 0);
    let first = first.and_then(|at| targets.get(at));
    let targets = first.into_iter().chain(others.map(|(_, target)| target)).filter_map(|target| ready.target(target));
    // Where a call lands by its budget, the fallbacks are its targets.
    let fallback = move |target: &'a TargetRef| {
        let reasons = (!lands_softly).then_some(target.reasons);
        Some(RouteTarget { reasons, ..ready.target(target)? })
    };
    let fallbacks = rule.fallbacks.iter().filter(move |fallback| !lands_softly || rule.is_landing(fallback));
    targets.chain(fallbacks.filter_map(fallback))
}
