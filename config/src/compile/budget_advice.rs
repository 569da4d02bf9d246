//! Advice on the budgets of a route's rules, and on their limits of cost: models that they refuse for want of a price, and a way out
//! that leads nowhere.

use std::collections::BTreeSet;

use super::allowed::Reachable;
use super::report::Report;
use super::verdict::Reason;
use crate::{
    Budget, BudgetExceeded, BudgetUnit, FallbackReason, LimitUnit, ModelMatch, Pool, RateLimit, Route, Rule, Target,
};

/// So many models are named.
const MOST_NAMED: usize = 8;

/// Warns about both.
pub(super) fn give(route: &Route, pools: &Reachable<'_>, report: &mut Report<'_>) {
    for (index, rule) in route.rules.iter().enumerate() {
        let path = format!("spec.rules[{index}]");
        if !rule.fallbacks.iter().any(is_for_budgets) && rule.budgets.iter().any(lands_softly) {
            let message = "a budget of this rule says onExceeded: Fallback, and the rule has no fallbacks for that, so that calls without \
                           room are refused: write fallbacks that cost less, with reasons: [Budget] or none";
            report.warning(&path, Reason::Unreachable, message);
        }
        let (budget, limit) = (rule.budgets.iter().any(wants_prices), rule.limits.iter().any(limits_cost));
        if !budget && !limit {
            continue;
        }
        let targets = rule.targets.iter().filter(|target| target.weight > 0).chain(&rule.fallbacks);
        let unpriced: BTreeSet<(&str, &str)> = targets
            .filter_map(|target| Some((target, pools.get(&target.pool)?)))
            .flat_map(|(target, pool)| unpriced(rule, target, pool).map(|model| (target.pool.0.as_str(), model)))
            .collect();
        if unpriced.is_empty() {
            continue;
        }
        let mut named: Vec<String> = unpriced.iter().map(|(pool, model)| format!("{model:?} of {pool}")).collect();
        let more = named.len().saturating_sub(MOST_NAMED);
        named.truncate(MOST_NAMED);
        let what = if budget { "budget" } else { "limit" };
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        let message = format!(
            "a {what} in dollars refuses calls of this rule that may go to a model without a price, which {}{more} has not: write its \
             price in the pool, or unknownPrice: Free in the {what}",
            named.join(", ")
        );
        report.warning(&path, Reason::ModelUnpriced, message);
    }
}

/// True if calls that a budget has no room for may go there.
fn is_for_budgets(fallback: &Target) -> bool {
    let is_for_them = |reason: &FallbackReason| matches!(reason, FallbackReason::Budget | FallbackReason::Unavailable);
    fallback.reasons.is_empty() || fallback.reasons.iter().any(is_for_them)
}

fn lands_softly(budget: &Budget) -> bool {
    budget.on_exceeded == BudgetExceeded::Fallback && !budget.shadow
}

fn wants_prices(budget: &Budget) -> bool {
    budget.unit == BudgetUnit::Usd && !budget.unpriced_is_free
}

fn limits_cost(limit: &RateLimit) -> bool {
    limit.unit == LimitUnit::Cost && !limit.unpriced_is_free
}

/// The models that a rule may ask a target for, and that a provider of its pool serves without a price. What a pool serves without
/// naming it nobody can list.
fn unpriced<'a>(rule: &'a Rule, target: &'a Target, pool: &'a Pool) -> impl Iterator<Item = &'a str> {
    let exact = |model: &&str| {
        let is_it = |one: &crate::Match| matches!(&one.model, Some(ModelMatch::Exact(name)) if name == *model);
        rule.matches.iter().any(is_it)
    };
    let all_exact = rule.matches.iter().all(|one| matches!(&one.model, Some(ModelMatch::Exact(_))));
    let asked = move |model: &&str| match &target.model {
        Some(name) => name == *model,
        None => rule.matches.is_empty() || !all_exact || exact(model),
    };
    let models = pool.providers.iter().filter(|provider| provider.weight > 0).flat_map(|provider| &provider.models);
    let unpriced = models.filter(|(_, model)| model.price.is_none()).map(|(name, _)| name.as_str());
    unpriced.filter(asked)
}
