//! In which order a rule's pools are asked: one target by its share, then the others, then the fallbacks.

use std::sync::atomic::Ordering;

use crate::state::{Ready, RouteTarget, Rule, TargetRef};

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
    targets.chain(rule.fallbacks.iter().filter_map(fallback))
}
