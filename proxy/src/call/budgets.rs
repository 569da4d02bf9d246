//! The budgets of a call: what it may cost at the dearest of its rule's targets, what a refusal says, what answers tell of them.

use std::sync::Arc;
use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue};
use jiff::Timestamp;
use sluicegate_config::{BudgetUnit, Price};
use sluicegate_dialects::hub::{ErrorKind, ServiceTier, Usage};

use crate::api::limit_headers::sends_a_bill;
use crate::errors::Problem;
use crate::limit::{BudgetDemand, BudgetRefusal, BudgetTold, FIRST_TYPICAL, MOST_OF_CALL, PreparedBudget};
use crate::pricing::cost;
use crate::state::{Provider, Rule, TargetRef};

use super::call_size::PricedExtras;
use super::inbound::InboundCall;
use super::stored_object::StoredObject;
use super::{background, outgoing, part_prices, plan};

/// The headers by which answers tell how the tightest budget stands: what it is, what is left, when it begins anew.
const DOLLARS: [HeaderName; 3] = [
    HeaderName::from_static("x-sluicegate-budget-limit"),
    HeaderName::from_static("x-sluicegate-budget-remaining"),
    HeaderName::from_static("x-sluicegate-budget-reset"),
];
const TOKENS: [HeaderName; 3] = [
    HeaderName::from_static("x-sluicegate-token-budget-limit"),
    HeaderName::from_static("x-sluicegate-token-budget-remaining"),
    HeaderName::from_static("x-sluicegate-token-budget-reset"),
];
/// Says that a budget has no room for the call, which was taken all the same.
const EXCEEDED: HeaderName = HeaderName::from_static("x-sluicegate-budget-exceeded");
/// A reservation stands for so much longer than its call may take: until then its proxy has settled it, or is gone.
const GRACE: Duration = Duration::from_secs(60);

/// The targets of a rule that a call may go to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum TargetReach {
    /// All of them.
    All,
    /// The fallbacks for that alone: a budget has no room for the others.
    Landing,
}

/// The budgets of a call: its key's, its consumer's, those of its groups, and its rule's.
pub(super) fn of<'a>(call: &'a InboundCall, rule: &'a Rule) -> impl Iterator<Item = &'a PreparedBudget> {
    call.context.budgets_of_caller().chain(&rule.budgets)
}

/// The parts that a call would reserve of its budgets.
///
/// # Errors
/// Nobody knows the price of a model that it may go to, and a budget does not take that for nothing: nobody can say what it may cost.
pub(super) fn demands<'a>(
    call: &'a InboundCall,
    rule: &'a Rule,
    reach: TargetReach,
) -> Result<Vec<BudgetDemand<'a>>, Problem> {
    if !call.operation.is_metered() {
        // What a batch used is told by its results; until then it takes what is needed to say no.
        let cost = call.object().and_then(StoredObject::reserves);
        return Ok(
            cost.map_or_else(Vec::new, |cost| of(call, rule).map(|budget| BudgetDemand { budget, cost }).collect())
        );
    }
    let input = call.prompt_tokens();
    let answers = if call.operation.generates() { call.answers() } else { 0 };
    let keeper = call.context.worker.limiter.budgets();
    let demand = |budget: &'a PreparedBudget| {
        let of = |output: u64| match budget.unit {
            BudgetUnit::Tokens => Ok(input.saturating_add(output.saturating_mul(answers))),
            BudgetUnit::Usd => {
                let tokens = (input, output.saturating_mul(answers));
                dearest(call, (rule, reach), tokens, budget.unpriced_is_free)
            }
        };
        let cost = match call.peek.max_tokens.filter(|_| answers > 0) {
            Some(asked) => of(asked)?,
            None if answers == 0 => of(0)?,
            None => {
                let learnt = keeper.shared().typical(budget);
                let whole = of(learnt.unwrap_or(FIRST_TYPICAL))?;
                // Mostly it is no part of what there is, and the prompt's part needs no look.
                let most = if learnt.is_some() { budget.amount } else { keeper.left(budget) };
                if whole <= most { whole } else { supposed((of(0)?, whole), most) }
            }
        };
        Ok(BudgetDemand { budget, cost: cost.min(MOST_OF_CALL) })
    };
    of(call, rule).map(demand).collect()
}

/// The part of a budget for a call that does not say how long its answer may be, of which there is at `most` so much: nobody has asked
/// for more, and refused for a guess alone it would be refused for ever. Its prompt is `sure`; what costs anything is not let in for
/// nothing.
fn supposed((sure, whole): (u64, u64), most: u64) -> u64 {
    whole.min(most).max(sure).max(whole.min(1))
}

/// Checks that what a call costs that is made later, as a part of a batch, will be known where it has to be.
///
/// # Errors
/// Nobody knows the price of a model that it may go to, and a budget or a limit does not take that for nothing.
pub(super) fn priced(call: &InboundCall, rule: &Rule) -> Result<(), Problem> {
    let in_money = of(call, rule).any(|budget| budget.unit == BudgetUnit::Usd && !budget.unpriced_is_free);
    if in_money { dearest(call, (rule, TargetReach::All), (0, 0), false).map(drop) } else { Ok(()) }
}

/// The most that a call of so many tokens may cost, in picodollars, whoever of its rule's providers takes it.
///
/// # Errors
/// Nobody knows the price of a model that it may go to, and that is not free.
pub(super) fn dearest(
    call: &InboundCall,
    (rule, reach): (&Rule, TargetReach),
    tokens: (u64, u64),
    unpriced_is_free: bool,
) -> Result<u64, Problem> {
    let mut most = 0;
    let reached = |(target, is_fallback): &(&TargetRef, bool)| {
        reach == TargetReach::All || (*is_fallback && rule.is_landing(target))
    };
    for (target_ref, is_fallback) in targets(rule).filter(reached) {
        let Some(target) = call.context.ready.target(target_ref).filter(|_| is_fallback || target_ref.weight > 0)
        else {
            continue;
        };
        let routed = outgoing::routed_model(call, target);
        let takes = |provider: &&Arc<Provider>| {
            provider.weight > 0
                && provider.serves(routed)
                && provider.speaks(call.operation, call.dialect(), routed).is_some()
        };
        for provider in target.pool.providers.iter().filter(takes) {
            most = most.max(at_most_of(call, (provider, routed), tokens, unpriced_is_free)?);
        }
    }
    Ok(most)
}

/// The most that so many tokens may cost of a provider: by the dearest of the models that the call names.
///
/// # Errors
/// Nobody knows the price of one of them, and that is not free.
pub(super) fn at_most_of(
    call: &InboundCall,
    (provider, routed): (&Provider, &str),
    tokens: (u64, u64),
    unpriced_is_free: bool,
) -> Result<u64, Problem> {
    let named = |price: Option<&Arc<Price>>, name: &str| match price {
        Some(price) => Ok(at_most(call, price, tokens)),
        None if unpriced_is_free => Ok(0),
        None => Err(unpriced(name)),
    };
    let mut most = named(provider.models.get(routed).and_then(|model| model.price.as_ref()), routed)?;
    // Of a call that is translated no other model is asked.
    let is_kin = || {
        let spoken = provider.speaks(call.operation, call.dialect(), routed);
        spoken.is_some_and(|spoken| spoken.is_kin(call.dialect()))
    };
    let others = call.others();
    if call.operation.generates() && others.are_priced() && is_kin() {
        for other in others.priced() {
            let price = part_prices::listed(&provider.models, other).and_then(|model| model.price.as_ref());
            most = most.max(named(price, other)?);
        }
    }
    Ok(most)
}

fn targets(rule: &Rule) -> impl Iterator<Item = (&TargetRef, bool)> {
    let targets = rule.targets.iter().map(|target| (target, false));
    targets.chain(rule.fallbacks.iter().map(|target| (target, true)))
}

/// The most that so many tokens cost: a provider may take the prompt for new, or write it to its cache; what the call sends or asks for
/// beside texts may be all of it, and a dearer tier may answer.
fn at_most(call: &InboundCall, price: &Price, (input, output): (u64, u64)) -> u64 {
    let PricedExtras { audio, images, hour, priority } = call.extras();
    let fresh = Usage { input, output, ..Usage::default() };
    let reasoned = Usage { reasoning: output, ..fresh };
    let written = Usage { cache_write: input, ..reasoned };
    let sound = audio.then_some(Usage { audio_input: input, audio_output: output, ..fresh });
    let pictures = (images && !audio).then_some(Usage { image_input: input, image_output: output, ..fresh });
    let for_an_hour = hour.then_some(Usage { cache_write_1h: input, ..written });
    let tiers = [Some(ServiceTier::Standard), priority.then_some(ServiceTier::Priority)];
    let ways = [Some(fresh), Some(reasoned), Some(written), sound, pictures, for_an_hour];
    let costs = ways
        .into_iter()
        .flatten()
        .flat_map(|usage| tiers.into_iter().flatten().map(move |tier| Usage { tier, ..usage }));
    costs.filter_map(|usage| cost(&usage, price)).map(|cost| cost.0).max().unwrap_or_default()
}

/// The time after which the reservations of a call are nobody's.
pub(super) fn lease(call: &InboundCall, rule: &Rule) -> Duration {
    let longest = plan::longest(call, rule) + GRACE;
    if background::is_asked_for(call) { longest.max(background::LONGEST) } else { longest }
}

/// The refusal of a call to a model that nobody knows the price of.
fn unpriced(model: &str) -> Problem {
    let message = format!(
        "This gateway knows no price of the model `{model}`, and a budget or a limit of this call takes nothing for free: have its price \
         configured, or name another model."
    );
    let problem = Problem::client(ErrorKind::Permission, message).param("model".to_owned()).retry(false, None);
    problem.code("price_unknown")
}

/// The refusal of a call that a budget has no room for.
pub(super) fn refusal(call: &InboundCall, demand: &BudgetDemand<'_>, refused: BudgetRefusal) -> Problem {
    let Some(remaining) = refused.remaining else {
        let message = "This gateway can not look up the budgets of this call now; please try again.";
        return Problem::gateway(ErrorKind::Unavailable, message).retry(true, Some(Duration::from_secs(1)));
    };
    let BudgetDemand { budget, cost, .. } = demand;
    let unit = budget.unit.in_words();
    let left = budget.unit.written(remaining);
    // What may be more than is counted is no number that helps anybody.
    let may_use = match *cost {
        MOST_OF_CALL => "far more than all of it".to_owned(),
        cost => format!("{} {unit}", budget.unit.written(cost)),
    };
    let anew = refused.until.and_then(moment).map_or_else(String::new, |at| format!(" It begins anew at {at}."));
    let message = format!(
        "You exceeded your current budget, {}: {left} {unit} of it are left, and this request may use {may_use}.{anew}",
        budget.in_words
    );
    if sends_a_bill(call.dialect()) {
        Problem::client(ErrorKind::Billing, message).retry(false, None)
    } else {
        Problem::client(ErrorKind::Quota, message).code("insufficient_quota").retry(false, None)
    }
}

/// Says how the tightest budgets stand, those that nobody is told of left out.
pub(super) fn tell(headers: &mut HeaderMap, all: &[BudgetTold]) {
    for (unit, [limit, remaining, reset]) in [(BudgetUnit::Usd, DOLLARS), (BudgetUnit::Tokens, TOKENS)] {
        let own = all.iter().filter(|told| told.unit == unit && !told.is_shadow);
        let Some(told) = own.min_by_key(|told| told.remaining) else { continue };
        let number = |amount: u64| HeaderValue::try_from(unit.written(amount)).ok();
        let values = [number(told.amount), number(told.remaining), told.until.and_then(moment).and_then(value)];
        for (name, value) in [limit, remaining, reset].into_iter().zip(values) {
            value.into_iter().for_each(|value| {
                headers.insert(name.clone(), value);
            });
        }
    }
    if all.iter().any(|told| told.is_exceeded && !told.is_shadow) {
        headers.insert(EXCEEDED, HeaderValue::from_static("true"));
    }
}

fn moment(seconds: i64) -> Option<String> {
    Timestamp::from_second(seconds).ok().map(|at| at.to_string())
}

fn value(text: String) -> Option<HeaderValue> {
    HeaderValue::try_from(text).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_answer_is_supposed_to_cost_more_than_there_is() {
        for (sure, whole, most, taken) in [
            (10, 500, 1_000, 500),
            (10, 500, 400, 400),
            (10, 500, 5, 10),
            (10, 10, 0, 10),
            (0, 500, 0, 1),
            (0, 0, 0, 0),
        ] {
            assert_eq!(supposed((sure, whole), most), taken, "{sure} {whole} {most}");
        }
    }

    #[test]
    fn the_tightest_budget_of_each_unit_is_told_and_no_shadow() {
        let told = |unit: BudgetUnit, remaining: u64, is_shadow: bool| BudgetTold {
            unit,
            amount: 10_000_000_000_000,
            remaining,
            until: Some(1_795_910_400),
            is_shadow,
            is_exceeded: is_shadow,
        };
        let mut headers = HeaderMap::new();
        let all = [
            told(BudgetUnit::Usd, 4_000_000_000_000, false),
            told(BudgetUnit::Usd, 250_000_000_000, false),
            told(BudgetUnit::Usd, 0, true),
            told(BudgetUnit::Tokens, 77, false),
        ];
        tell(&mut headers, &all);
        let mut lines: Vec<_> = headers.iter().map(|(name, value)| format!("{name}: {value:?}")).collect();
        lines.sort_unstable();
        assert_eq!(
            lines,
            [
                r#"x-sluicegate-budget-limit: "10""#,
                r#"x-sluicegate-budget-remaining: "0.25""#,
                r#"x-sluicegate-budget-reset: "2026-11-29T00:00:00Z""#,
                r#"x-sluicegate-token-budget-limit: "10000000000000""#,
                r#"x-sluicegate-token-budget-remaining: "77""#,
                r#"x-sluicegate-token-budget-reset: "2026-11-29T00:00:00Z""#,
            ]
        );
        tell(&mut headers, &[BudgetTold { is_exceeded: true, ..told(BudgetUnit::Usd, 0, false) }]);
        assert_eq!(headers.get(EXCEEDED).unwrap(), "true");
    }
}
