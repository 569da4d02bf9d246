//! The part of a status that says how an object's budgets stand. Pure: what proxies told and what was said before go in.

use k8s_openapi::jiff::tz::TimeZone;
use sluicegate_config::compile::{Period, period_at, period_of, zone};
use sluicegate_config::{Budget, BudgetPeriod, BudgetUnit, ObjectId};
use sluicegate_crds::{self as crds, BudgetStatus, SubjectStatus, SubjectsStatus};

use crate::rollout::{FleetSubjects, FleetUse};

use super::moment::{moment, seconds};

/// The state of these budgets of an object.
/// `before`: what its status says; it stands for what no proxy has told since. `now`: in seconds since 1970.
#[must_use]
pub fn budgets(
    (object, of): (&ObjectId, &[Budget]),
    before: &[BudgetStatus],
    told: impl Fn(&str) -> (Option<FleetUse>, Option<FleetSubjects>),
    now: i64,
) -> Vec<BudgetStatus> {
    of.iter().map(|budget| one((object, budget), before, told(&budget.identity()), now)).collect()
}

/// The tightest of them in a few words; `None`: there is none.
pub(super) fn summary(budgets: &[BudgetStatus]) -> Option<String> {
    let enforced = budgets.iter().filter(|budget| budget.mode.is_none());
    let tightest = enforced.max_by_key(|budget| (budget.exceeded_since.is_some(), budget.percent))?;
    let over = match &tightest.subjects {
        Some(subjects) => format!(
            " by the most used of {} subjects{}",
            subjects.known,
            if subjects.exceeded > 0 { format!(", {} exceeded", subjects.exceeded) } else { String::new() }
        ),
        None if tightest.exceeded_since.is_some() => ", exceeded".to_owned(),
        None => String::new(),
    };
    // What was spent before all of those who count began to is not known.
    let each = tightest.proxies.filter(|proxies| *proxies > 1);
    let each = each.map_or_else(String::new, |proxies| format!(" in each of {proxies} proxies"));
    let at_least = if tightest.counted_since.is_some() { "at least " } else { "" };
    Some(format!("{at_least}{}% of {}{each}{over}", tightest.percent, in_words(tightest)))
}

/// The end of the first of these periods in which anything was used, in seconds since 1970.
#[must_use]
pub fn renewal(budgets: &[BudgetStatus]) -> Option<i64> {
    let in_use = budgets.iter().filter(|budget| budget.used != "0" || budget.exceeded_since.is_some());
    in_use.filter_map(|budget| seconds(budget.until.as_deref())).min()
}

/// A budget of a status in words: `10 USD per day`.
pub(crate) fn in_words(budget: &BudgetStatus) -> String {
    let unit = if budget.unit == crds::BudgetUnit::Usd { "USD" } else { "tokens" };
    let each = if budget.subjects.is_some() { " for each subject" } else { "" };
    match budget.period {
        crds::BudgetPeriod::Total => format!("{} {unit} in total{each}", budget.amount),
        period => format!("{} {unit} per {}{each}", budget.amount, period_of(period).label()),
    }
}

/// True if two entries are about one count.
pub(crate) fn is_same_count(one: &BudgetStatus, other: &BudgetStatus) -> bool {
    let identity = |status: &BudgetStatus| {
        (status.name.clone(), status.unit, status.period, status.time_zone.clone(), status.mode)
    };
    identity(one) == identity(other)
}

fn one(
    (object, budget): (&ObjectId, &Budget),
    before: &[BudgetStatus],
    (used, subjects): (Option<FleetUse>, Option<FleetSubjects>),
    now: i64,
) -> BudgetStatus {
    let zone = zone(&budget.time_zone).unwrap_or(TimeZone::UTC);
    let mut period = period_at(budget.period, &zone, now);
    if let Some(used) = used.filter(|used| used.start > period.start) {
        // By its clock it has begun already.
        period = period_at(budget.period, &zone, used.start);
    }
    let fresh = begun((object, budget), period);
    let before = before.iter().find(|before| is_same_count(before, &fresh) && before.since == fresh.since);
    let used = used.filter(|used| used.start == period.start);
    let is_older = |before: &&BudgetStatus| {
        let at = used.and_then(|used| used.at);
        at.is_some() && seconds(before.as_of.as_deref()) > at
    };
    let subjects = subjects.filter(|told| told.start == period.start).map(|told| of_subjects(budget, &told));
    let spent = match (used, before.filter(is_older)) {
        (_, Some(before)) => number(budget.unit, &before.used),
        (Some(used), None) => used.spent,
        (None, None) => before.map_or(0, |before| number(budget.unit, &before.used)),
    };
    let before_exceeded = before.filter(|before| number(budget.unit, &before.amount) >= budget.amount);
    let exceeded = [
        used.and_then(|used| used.exceeded).filter(|one| one.amount >= budget.amount).map(|one| one.at),
        before_exceeded.and_then(|before| seconds(before.exceeded_since.as_deref())),
    ];
    let reached = [used.map(|used| i32::from(used.reached)), before.and_then(|before| before.reached)];
    let status = BudgetStatus {
        used: budget.unit.written(spent),
        left: budget.unit.written(budget.amount.saturating_sub(spent)),
        percent: percent(spent, budget.amount),
        reached: reached.into_iter().flatten().max().filter(|reached| *reached > 0),
        exceeded_since: exceeded.into_iter().flatten().min().and_then(moment),
        proxies: match used {
            Some(used) => i32::try_from(used.alone).ok().filter(|alone| *alone > 0),
            None => before.and_then(|before| before.proxies),
        },
        counted_since: match used {
            Some(used) => Some(used.begun).filter(|begun| used.alone > 0 && *begun > period.start).and_then(moment),
            None => before.and_then(|before| before.counted_since.clone()),
        },
        subjects: subjects.or_else(|| before.and_then(|before| before.subjects.clone())),
        as_of: before.and_then(|before| before.as_of.clone()),
        ..fresh
    };
    // What says the same was so then already.
    if before == Some(&status) {
        return status;
    }
    let at = used.map(|used| used.at.unwrap_or(now));
    let as_of = seconds(status.as_of.as_deref()).max(at);
    BudgetStatus { as_of: as_of.and_then(moment), ..status }
}

/// The use of a template's budget by its subjects.
fn of_subjects(budget: &Budget, told: &FleetSubjects) -> SubjectsStatus {
    let most = told.most.iter().map(|(name, used)| SubjectStatus {
        name: name.clone(),
        used: budget.unit.written(used.spent),
        percent: percent(used.spent, budget.amount),
        exceeded_since: used.exceeded.filter(|one| one.amount >= budget.amount).and_then(|one| moment(one.at)),
    });
    let most: Vec<SubjectStatus> = most.collect();
    let over = most.iter().filter(|subject| subject.exceeded_since.is_some()).count();
    // Those that found no room come first: where there are others too, these are all of them.
    let exceeded = if over == most.len() { told.exceeded } else { u64::try_from(over).unwrap_or(u64::MAX) };
    let count = |number: u64| i32::try_from(number).unwrap_or(i32::MAX);
    SubjectsStatus { known: count(told.known), exceeded: count(exceeded), most }
}

/// A budget whose period has begun, of which nothing is used.
fn begun((object, budget): (&ObjectId, &Budget), period: Period) -> BudgetStatus {
    let Budget { of, unit, amount, time_zone, shadow, .. } = budget;
    let name = of.split_once(&*object.0).map(|(_, rest)| rest.trim_start_matches(['/', ',', ' ']));
    BudgetStatus {
        name: name.filter(|name| !name.is_empty()).map(str::to_owned),
        unit: match unit {
            BudgetUnit::Usd => crds::BudgetUnit::Usd,
            BudgetUnit::Tokens => crds::BudgetUnit::Tokens,
        },
        amount: unit.written(*amount),
        period: match budget.period {
            BudgetPeriod::Hourly => crds::BudgetPeriod::Hourly,
            BudgetPeriod::Daily => crds::BudgetPeriod::Daily,
            BudgetPeriod::Weekly => crds::BudgetPeriod::Weekly,
            BudgetPeriod::Monthly => crds::BudgetPeriod::Monthly,
            BudgetPeriod::Yearly => crds::BudgetPeriod::Yearly,
            BudgetPeriod::Total => crds::BudgetPeriod::Total,
        },
        time_zone: (!time_zone.is_empty()).then(|| time_zone.clone()),
        mode: shadow.then_some(crds::BudgetMode::Shadow),
        used: "0".to_owned(),
        left: unit.written(*amount),
        percent: 0,
        since: period.end.and_then(|_| moment(period.start)),
        until: period.end.and_then(moment),
        reached: None,
        exceeded_since: None,
        proxies: None,
        counted_since: None,
        subjects: None,
        as_of: None,
    }
}

fn percent(spent: u64, amount: u64) -> i32 {
    let percent = u128::from(spent) * 100 / u128::from(amount.max(1));
    i32::try_from(percent).unwrap_or(i32::MAX)
}

/// A number as it was written.
fn number(unit: BudgetUnit, text: &str) -> u64 {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let scale = if unit == BudgetUnit::Usd { 12 } else { 0 };
    format!("{whole}{fraction:0<scale$}").parse().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use sluicegate_config::rollout::Exceeded;
    use sluicegate_config::{BudgetExceeded, OnUnavailable};

    use super::*;

    const DOLLAR: u64 = 1_000_000_000_000;
    /// 2026-11-28T12:00:00Z.
    const NOON: i64 = 1_795_867_200;
    const DAY: i64 = 86_400;
    const MIDNIGHT: i64 = NOON - DAY / 2;

    fn object() -> ObjectId {
        ObjectId("a/r".to_owned())
    }

    fn budget(amount: u64) -> Budget {
        Budget {
            of: "LLMConsumer a/r".to_owned(),
            key: None,
            unit: BudgetUnit::Usd,
            amount,
            period: BudgetPeriod::Daily,
            time_zone: String::new(),
            shadow: false,
            on_exceeded: BudgetExceeded::Reject,
            unpriced_is_free: false,
            on_unavailable: OnUnavailable::Share,
            alert_at: vec![50],
        }
    }

    fn used(spent: u64, at: i64) -> FleetUse {
        FleetUse { start: MIDNIGHT, spent, at: Some(at), alone: 0, reached: 0, exceeded: None, begun: 0 }
    }

    fn state(amount: u64, before: &[BudgetStatus], used: Option<FleetUse>, now: i64) -> BudgetStatus {
        let of = [budget(amount)];
        let told = |identity: &str| (used.filter(|_| identity == of[0].identity()), None);
        budgets((&object(), &of), before, told, now).remove(0)
    }

    #[test]
    fn what_proxies_tell_is_said_to_the_last_digit() {
        let fresh = state(10 * DOLLAR, &[], None, NOON);
        assert_eq!((fresh.used.as_str(), fresh.left.as_str(), fresh.as_of.as_deref()), ("0", "10", None));
        assert_eq!(fresh.since.as_deref(), Some("2026-11-28T00:00:00Z"));
        assert_eq!(fresh.until.as_deref(), Some("2026-11-29T00:00:00Z"));
        let exceeded = Some(Exceeded { at: NOON, amount: 10 * DOLLAR });
        let told = FleetUse { reached: 50, exceeded, ..used(8 * DOLLAR + 1, NOON) };
        let said = state(10 * DOLLAR, &[fresh], Some(told), NOON);
        assert_eq!((said.used.as_str(), said.left.as_str()), ("8.000000000001", "1.999999999999"));
        assert_eq!((said.percent, said.reached), (80, Some(50)));
        assert_eq!(said.exceeded_since.as_deref(), Some("2026-11-28T12:00:00Z"));
        assert_eq!(summary(std::slice::from_ref(&said)).unwrap(), "80% of 10 USD per day, exceeded");
        assert_eq!(renewal(std::slice::from_ref(&said)), Some(MIDNIGHT + DAY));
        // The same, heard later, is no news.
        let later = FleetUse { at: Some(NOON + 99), ..told };
        assert_eq!(state(10 * DOLLAR, std::slice::from_ref(&said), Some(later), NOON + 100), said);
        // What nobody tells stands, and an older word does not take its place.
        assert_eq!(state(10 * DOLLAR, std::slice::from_ref(&said), None, NOON + 100), said);
        let older = used(DOLLAR, NOON - 1);
        assert_eq!(state(10 * DOLLAR, std::slice::from_ref(&said), Some(older), NOON + 100), said);
        // With more of it there is room.
        let more = state(20 * DOLLAR, std::slice::from_ref(&said), Some(told), NOON + 100);
        assert_eq!((more.exceeded_since, more.percent, more.used), (None, 40, said.used.clone()));
        // The next day nothing is used, whether anybody says so or not.
        for nothing in [None, Some(told)] {
            let next = state(10 * DOLLAR, std::slice::from_ref(&said), nothing, MIDNIGHT + DAY);
            assert_eq!((next.used.as_str(), next.exceeded_since, next.reached), ("0", None, None));
            assert_eq!(next.since.as_deref(), Some("2026-11-29T00:00:00Z"));
        }
        // A proxy whose day has begun.
        let ahead = FleetUse { start: MIDNIGHT + DAY, ..used(3, NOON) };
        let next = state(10 * DOLLAR, std::slice::from_ref(&said), Some(ahead), MIDNIGHT + DAY - 1);
        assert_eq!((next.used.as_str(), next.since.as_deref()), ("0.000000000003", Some("2026-11-29T00:00:00Z")));
    }

    #[test]
    fn proxies_that_count_by_themselves_are_counted() {
        let told = FleetUse { at: None, alone: 3, ..used(5 * DOLLAR, 0) };
        let said = state(10 * DOLLAR, &[], Some(told), NOON);
        assert_eq!((said.proxies, said.used.as_str()), (Some(3), "5"));
        let less = FleetUse { spent: DOLLAR, alone: 1, ..told };
        let said = state(10 * DOLLAR, &[said], Some(less), NOON + 60);
        assert_eq!((said.proxies, said.used.as_str()), (Some(1), "1"), "one that ended takes its count along");
    }

    #[test]
    fn where_each_began_to_count_within_the_period_the_rest_of_it_is_not_known() {
        let told = FleetUse { at: None, alone: 2, begun: NOON - 60, ..used(5 * DOLLAR, 0) };
        let said = state(10 * DOLLAR, &[], Some(told), NOON);
        assert_eq!(said.counted_since.as_deref(), Some("2026-11-28T11:59:00Z"));
        assert_eq!(
            summary(std::slice::from_ref(&said)).unwrap(),
            "at least 50% of 10 USD per day in each of 2 proxies"
        );
        assert_eq!(state(10 * DOLLAR, std::slice::from_ref(&said), None, NOON + 9), said, "nobody tells anything new");
        let before = FleetUse { begun: MIDNIGHT - 1, ..told };
        assert_eq!(state(10 * DOLLAR, &[], Some(before), NOON).counted_since, None);
        let shared = FleetUse { begun: NOON, ..used(DOLLAR, NOON) };
        assert_eq!(state(10 * DOLLAR, &[], Some(shared), NOON).counted_since, None);
    }

    #[test]
    fn of_a_template_it_is_said_who_is_over_what() {
        let exceeded = Some(Exceeded { at: NOON - 7, amount: 10 * DOLLAR });
        let over = FleetUse { exceeded, ..used(10 * DOLLAR, NOON) };
        let told = FleetSubjects {
            start: MIDNIGHT,
            known: 120,
            exceeded: 1,
            most: vec![("bob".to_owned(), over), ("ann".to_owned(), used(8 * DOLLAR, NOON))],
        };
        let of = |amount: u64, before: &[BudgetStatus], told: Option<FleetSubjects>, now: i64| {
            let used = told.as_ref().map(|told| told.most[0].1);
            budgets((&object(), &[budget(amount)]), before, |_| (used, told.clone()), now).remove(0)
        };
        let said = of(10 * DOLLAR, &[], Some(told.clone()), NOON);
        let subjects = said.subjects.as_ref().unwrap();
        assert_eq!((subjects.known, subjects.exceeded, subjects.most[0].name.as_str()), (120, 1, "bob"));
        assert_eq!((subjects.most[1].percent, subjects.most[1].exceeded_since.as_deref()), (80, None));
        assert_eq!(subjects.most[0].exceeded_since.as_deref(), Some("2026-11-28T11:59:53Z"));
        assert_eq!(
            summary(std::slice::from_ref(&said)).unwrap(),
            "100% of 10 USD per day for each subject by the most used of 120 subjects, 1 exceeded"
        );
        assert_eq!(of(10 * DOLLAR, std::slice::from_ref(&said), Some(told.clone()), NOON + 60), said, "no news");
        assert_eq!(of(10 * DOLLAR, std::slice::from_ref(&said), None, NOON + 60), said);
        // With a larger amount nobody is over it, and the next day nobody is.
        let more = of(20 * DOLLAR, std::slice::from_ref(&said), Some(told.clone()), NOON + 60);
        assert_eq!(more.subjects.map(|subjects| subjects.exceeded), Some(0));
        assert_eq!(of(10 * DOLLAR, &[said], Some(told), MIDNIGHT + DAY).subjects, None);
    }

    #[test]
    fn numbers_are_read_as_they_are_written() {
        for amount in [0, 1, 999, DOLLAR, 12_345_600_000_000, 9_000_000_000_000_000_000] {
            for unit in [BudgetUnit::Usd, BudgetUnit::Tokens] {
                assert_eq!(number(unit, &unit.written(amount)), amount);
            }
        }
    }
}
