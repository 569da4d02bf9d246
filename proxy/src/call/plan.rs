//! In which order a rule's pools are asked: one target by weight, then the others, then the fallbacks.

use rand::{Rng, RngExt};

use crate::state::{Rule, Target};

/// The pools of a rule, in the order in which this call asks them.
pub(super) fn order<'a>(rule: &'a Rule, rng: &mut impl Rng) -> impl Iterator<Item = &'a Target> + use<'a> {
    let first = first(&rule.targets, rng);
    let others = rule.targets.iter().enumerate();
    // A target of weight 0 takes no calls, not even for others.
    let others = others.filter(move |(at, target)| Some(*at) != first && target.weight > 0).map(|(_, target)| target);
    first.and_then(|at| rule.targets.get(at)).into_iter().chain(others).chain(&rule.fallbacks)
}

fn first(targets: &[Target], rng: &mut impl Rng) -> Option<usize> {
    if let [only] = targets {
        return (only.weight > 0).then_some(0);
    }
    let total: u64 = targets.iter().map(|target| u64::from(target.weight)).sum();
    if total == 0 {
        return None;
    }
    let mut drawn = rng.random_range(0..total);
    targets.iter().position(|target| {
        let weight = u64::from(target.weight);
        let here = drawn < weight;
        drawn = drawn.saturating_sub(weight);
        here
    })
}
