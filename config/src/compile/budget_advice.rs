//! Advice on the budgets of a route's rules, and on their limits of cost: models that they refuse for want of a price, and a way out
//! that leads nowhere.

use std::collections::BTreeSet;

use super::allowed::Reachable;
use super::report::Report;
use super::verdict::Reason;
use crate::{
    Budget, BudgetExceeded, BudgetUnit, FallbackReason, LimitUnit, Match, ModelMatch, Pool, Provider, RateLimit, Route,
    Rule, Target,
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
        // Nothing is counted of calls by their path.
        let is_of_paths = !rule.matches.is_empty() && rule.matches.iter().all(|one| one.path.is_some());
        if is_of_paths || !budget && !limit {
            continue;
        }
        let targets = rule.targets.iter().filter(|target| target.weight > 0).chain(&rule.fallbacks);
        let unpriced: BTreeSet<(&str, Unpriced<'_>)> = targets
            .filter_map(|target| Some((target, pools.get(&target.pool)?)))
            .flat_map(|(target, pool)| {
                unpriced(rule, target, pool).into_iter().map(|unpriced| (target.pool.0.as_str(), unpriced))
            })
            .collect();
        if unpriced.is_empty() {
            continue;
        }
        let mut named: Vec<String> = unpriced.iter().map(|(pool, unpriced)| unpriced.of(pool)).collect();
        let more = named.len().saturating_sub(MOST_NAMED);
        named.truncate(MOST_NAMED);
        let what = if budget { "budget" } else { "limit" };
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        let message = format!(
            "a {what} in dollars refuses calls of this rule that may go to a model without a price, here {}{more}: write its \
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

/// The models that have no price.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Unpriced<'a> {
    /// One.
    Model(&'a str),
    /// All that this provider is asked for.
    AllOf(&'a str),
}

impl Unpriced<'_> {
    fn of(&self, pool: &str) -> String {
        match self {
            Self::Model(model) => format!("{model:?} of {pool}"),
            Self::AllOf(provider) => format!("any of the provider {provider:?} of {pool}, which lists no models"),
        }
    }
}

/// The models that a rule may ask a target for, and that a provider of its pool serves without a price: those that it lists so, and all
/// where it lists none.
fn unpriced<'a>(rule: &'a Rule, target: &'a Target, pool: &'a Pool) -> Vec<Unpriced<'a>> {
    let named: Option<Vec<&str>> = match &target.model {
        Some(model) => Some(vec![model]),
        None => names(rule),
    };
    let asked = |model: &str| named.as_ref().is_none_or(|named| named.contains(&model));
    let of = |provider: &'a Provider| -> Vec<Unpriced<'a>> {
        if !provider.models.is_empty() {
            let unpriced = provider.models.iter().filter(|(_, model)| model.price.is_none());
            return unpriced.filter(|(name, _)| asked(name)).map(|(name, _)| Unpriced::Model(name)).collect();
        }
        match &named {
            Some(named) => named.iter().map(|model| Unpriced::Model(model)).collect(),
            None => vec![Unpriced::AllOf(&provider.name)],
        }
    };
    pool.providers.iter().filter(|provider| provider.weight > 0).flat_map(of).collect()
}

/// The models that a rule takes calls for; `None`: nobody can list them.
fn names(rule: &Rule) -> Option<Vec<&str>> {
    let exact = |one| match one {
        &Match { model: Some(ModelMatch::Exact(ref name)), .. } => Some(name.as_str()),
        _ => None,
    };
    let matches = || rule.matches.iter().filter(|one| one.path.is_none());
    if rule.matches.is_empty() { None } else { matches().map(exact).collect() }
}

#[cfg(test)]
mod tests {
    use crate::compile::{compile, manifests};

    /// The warnings of a route with these rules over a pool `any`, which lists no models, and `priced`, which lists one with its price.
    fn warnings(limits: &str, rules: &str) -> Vec<String> {
        let pool = |name: &str, models: &str| {
            format!(
                "apiVersion: sluicegate.dev/v1alpha1\nkind: ProviderPool\nmetadata: {{name: {name}}}\nspec: {{providers: [{{name: v, type: OpenAI, \
                 url: \"https://x\"{models}}}]}}\n---\n"
            )
        };
        let price = ", models: [{name: m, price: {inputPerMillion: '1', outputPerMillion: '1'}}]";
        let route = format!(
            "apiVersion: sluicegate.dev/v1alpha1\nkind: LLMRoute\nmetadata: {{name: r}}\nspec: {{limits: {limits}, rules: {rules}}}\n"
        );
        let text = pool("any", "") + &pool("priced", price) + &route;
        let (inputs, findings) = manifests::read(&[("p.yaml".to_owned(), text)]);
        assert!(findings.is_empty(), "{findings:?}");
        compile(&inputs).verdicts.iter().map(|verdict| verdict.message.clone()).collect()
    }

    #[test]
    fn a_pool_that_lists_no_models_is_told_of_before_money_is_counted() {
        let limits = [
            "{budgets: [{amount: '10', period: Daily}]}",
            "{rate: [{per: Route, unit: Cost, amount: '10', window: 1h}]}",
        ];
        let any = r#"here any of the provider "v" of default/any, which lists no models"#;
        for limit in limits {
            for (rules, expected) in [
                ("[{name: a, targets: [{poolRef: {name: any}}]}]", Some(any)),
                ("[{name: a, matches: [{model: {prefix: gpt}}], targets: [{poolRef: {name: any}}]}]", Some(any)),
                (
                    "[{name: a, matches: [{model: {exact: gpt-4o}}], targets: [{poolRef: {name: any}}]}]",
                    Some(r#"here "gpt-4o" of default/any"#),
                ),
                ("[{name: a, targets: [{poolRef: {name: any}, model: x}]}]", Some(r#"here "x" of default/any"#)),
                ("[{name: a, targets: [{poolRef: {name: priced}}], fallbacks: [{poolRef: {name: any}}]}]", Some(any)),
                ("[{name: a, targets: [{poolRef: {name: priced}}]}]", None),
                ("[{name: a, matches: [{path: {exact: /v1/x}}], targets: [{poolRef: {name: any}}]}]", None),
                ("[{name: a, targets: [{poolRef: {name: priced}}, {poolRef: {name: any}, weight: 0}]}]", None),
            ] {
                let said = warnings(limit, rules);
                assert_eq!(said.len(), usize::from(expected.is_some()), "{rules}: {said:?}");
                assert!(expected.is_none_or(|expected| said[0].contains(expected)), "{rules}: {said:?}");
            }
        }
        let free = "{budgets: [{amount: '10', period: Daily, unknownPrice: Free}]}";
        assert!(warnings(free, "[{name: a, targets: [{poolRef: {name: any}}]}]").is_empty());
    }
}
