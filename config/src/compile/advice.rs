//! What is valid and yet hardly meant: warnings, which change nothing of what serves.

use super::allowed::Reachable;
use super::report::Report;
use super::verdict::Reason;
use crate::{Match, ModelMatch, Route, Target};

/// Warns about rules that never match and models that nobody serves.
pub(super) fn give(route: &Route, pools: &Reachable<'_>, report: &mut Report<'_>) {
    let mut catch_all: Option<&str> = None;
    for (index, rule) in route.rules.iter().enumerate() {
        let path = format!("spec.rules[{index}]");
        if let Some(earlier) = catch_all {
            let message =
                format!("no call reaches this rule, since the rule {earlier:?} before it takes every call: move it up");
            report.warning(&path, Reason::Unreachable, message);
        }
        if rule.matches.is_empty() {
            catch_all = catch_all.or(Some(&rule.name));
        }
        for (list, targets) in [("targets", &rule.targets), ("fallbacks", &rule.fallbacks)] {
            for (at, target) in targets.iter().enumerate() {
                models(&rule.matches, target, &format!("{path}.{list}[{at}]"), pools, report);
            }
        }
    }
}

fn models(matches: &[Match], target: &Target, path: &str, pools: &Reachable<'_>, report: &mut Report<'_>) {
    let Some(pool) = pools.get(&target.pool) else { return };
    let serves = |model: &str| pool.providers.iter().any(|p| p.models.is_empty() || p.models.contains_key(model));
    let asked: Vec<&str> = match &target.model {
        Some(model) => vec![model],
        None => matches
            .iter()
            .filter_map(|condition| match &condition.model {
                Some(ModelMatch::Exact(model)) => Some(model.as_str()),
                _ => None,
            })
            .collect(),
    };
    for model in asked.into_iter().filter(|model| !serves(model)) {
        let message = format!(
            "no provider of ProviderPool {} serves the model {model:?}: add it to the models of one, or set model here to one that is served",
            target.pool.0
        );
        report.warning(path, Reason::ModelNotServed, message);
    }
}
