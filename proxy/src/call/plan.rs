//! In which order a rule's pools are asked: one target by its share, then the others, then the fallbacks.

use std::sync::atomic::Ordering;

use crate::state::{Ready, Rule, Target};

/// The pools of a rule that are there, in the order in which this call asks them.
pub(super) fn order<'a>(ready: &'a Ready, rule: &'a Rule) -> impl Iterator<Item = Target<'a>> {
    let first = match rule.targets.as_slice() {
        // Workers share the turn: where there is nothing to split, it is left alone.
        [only] => (only.weight > 0).then_some(0),
        _ => rule.split.at(rule.turn.fetch_add(1, Ordering::Relaxed)),
    };
    // A target of weight 0 takes no calls, not even for others.
    let others = rule.targets.iter().enumerate().filter(move |(at, aim)| Some(*at) != first && aim.weight > 0);
    let first = first.and_then(|at| rule.targets.get(at));
    let aims = first.into_iter().chain(others.map(|(_, aim)| aim)).chain(&rule.fallbacks);
    aims.filter_map(|aim| ready.target(aim))
}
