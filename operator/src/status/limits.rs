//! The part of a status that says how much of an object's limits of rate and concurrency is used. Pure: what proxies told and what was said
//! before go in.

use sluicegate_config::{CountedLimit, CountedTerms, LimitPer, RateLimit, limit_amount};
use sluicegate_crds::{self as crds, LimitStatus, LimitStatusUnit};

use crate::rollout::FleetUse;

use super::moment::{moment, seconds};

/// The use of these limits of an object.
/// `before`: what its status says; it stands for what no proxy has told since. `now`: in seconds since 1970.
#[must_use]
pub fn limits(
    of: &[CountedLimit],
    before: &[LimitStatus],
    used: impl Fn(&str) -> Option<FleetUse>,
    now: i64,
) -> Vec<LimitStatus> {
    of.iter().map(|limit| one(limit, before, used(&limit.identity()), now)).collect()
}

/// The tightest of them in a few words; `None`: there is none.
pub(super) fn summary(limits: &[LimitStatus]) -> Option<String> {
    let tightest = limits.iter().max_by_key(|limit| (limit.exceeded_since.is_some(), limit.percent))?;
    let over = if tightest.exceeded_since.is_some() { ", exceeded" } else { "" };
    let LimitStatus { used, amount, unit, .. } = tightest;
    let unit = match unit {
        LimitStatusUnit::Requests => "requests",
        LimitStatusUnit::Tokens => "tokens",
        LimitStatusUnit::InputTokens => "input tokens",
        LimitStatusUnit::OutputTokens => "output tokens",
        LimitStatusUnit::Cost => "USD",
        LimitStatusUnit::Concurrency => "calls at once",
    };
    let window = tightest.window.as_deref().map_or_else(String::new, |window| format!(" per {window}"));
    let each = tightest.proxies.filter(|proxies| *proxies > 1);
    let each = each.map_or_else(String::new, |proxies| format!(" in each of {proxies} proxies"));
    Some(format!("{used} of {amount} {unit}{window}{each}{over}"))
}

fn one(limit: &CountedLimit, before: &[LimitStatus], told: Option<FleetUse>, now: i64) -> LimitStatus {
    let fresh = unused(limit);
    let before = before.iter().find(|before| is_same_count(before, &fresh));
    let status = match told {
        Some(told) => said(limit, fresh, told),
        // What was used in a window that is over counts no longer.
        None => match before.filter(|before| still_counts(limit, before, now)) {
            Some(before) => LimitStatus {
                used: before.used.clone(),
                percent: if before.amount == fresh.amount { before.percent } else { 0 },
                exceeded_since: before.exceeded_since.clone().filter(|_| before.amount == fresh.amount),
                proxies: before.proxies,
                ..fresh
            },
            None => fresh,
        },
    };
    let status = LimitStatus { as_of: before.and_then(|before| before.as_of.clone()), ..status };
    // What says the same was so then already.
    if before == Some(&status) || (before.is_none() && told.is_none()) {
        return status;
    }
    let at = told.and_then(|told| told.at).unwrap_or(now);
    LimitStatus { as_of: seconds(status.as_of.as_deref()).max(Some(at)).and_then(moment), ..status }
}

fn said(limit: &CountedLimit, fresh: LimitStatus, told: FleetUse) -> LimitStatus {
    let FleetUse { spent, alone, exceeded, begun, .. } = told;
    let (amount, used, exceeded) = match &limit.terms {
        CountedTerms::Rate(rate) => {
            (rate.amount, limit_amount(rate.unit, spent), exceeded.filter(|one| one.amount == rate.amount))
        }
        CountedTerms::Concurrency(max) => (u64::from(*max), spent.to_string(), None),
    };
    let counts_alone = match &limit.terms {
        CountedTerms::Rate(_) => alone > 0,
        // Each tells of its own places. Only where they are not leased has it all of them.
        CountedTerms::Concurrency(_) => alone > 0 && begun > 0,
    };
    LimitStatus {
        used,
        percent: i32::try_from(u128::from(spent) * 100 / u128::from(amount.max(1))).unwrap_or(i32::MAX),
        exceeded_since: exceeded.and_then(|one| moment(one.at)),
        proxies: i32::try_from(alone).ok().filter(|_| counts_alone),
        ..fresh
    }
}

/// A limit of which nothing is used.
fn unused(limit: &CountedLimit) -> LimitStatus {
    let (unit, amount, rate) = match &limit.terms {
        CountedTerms::Rate(rate) => (unit_of(rate), limit_amount(rate.unit, rate.amount), Some(&**rate)),
        CountedTerms::Concurrency(max) => (LimitStatusUnit::Concurrency, max.to_string(), None),
    };
    let per = rate.and_then(|rate| match &rate.per {
        LimitPer::Consumer => Some((crds::LimitPer::Consumer, None)),
        LimitPer::Route => Some((crds::LimitPer::Route, None)),
        LimitPer::Header(name) => Some((crds::LimitPer::Header, Some(name.clone()))),
        // Its name says it.
        LimitPer::Provider => None,
    });
    LimitStatus {
        name: limit.part.clone(),
        unit,
        amount,
        window: rate.map(RateLimit::window_in_words),
        per: per.as_ref().map(|(per, _)| *per),
        header: per.and_then(|(_, header)| header),
        used: "0".to_owned(),
        percent: 0,
        exceeded_since: None,
        proxies: None,
        as_of: None,
    }
}

fn unit_of(rate: &RateLimit) -> LimitStatusUnit {
    match rate.unit {
        sluicegate_config::LimitUnit::Requests => LimitStatusUnit::Requests,
        sluicegate_config::LimitUnit::Tokens => LimitStatusUnit::Tokens,
        sluicegate_config::LimitUnit::InputTokens => LimitStatusUnit::InputTokens,
        sluicegate_config::LimitUnit::OutputTokens => LimitStatusUnit::OutputTokens,
        sluicegate_config::LimitUnit::Cost => LimitStatusUnit::Cost,
    }
}

/// True if two entries are about one count.
fn is_same_count(one: &LimitStatus, other: &LimitStatus) -> bool {
    let identity = |status: &LimitStatus| {
        (status.name.clone(), status.unit, status.window.clone(), status.per, status.header.clone())
    };
    identity(one) == identity(other)
}

fn still_counts(limit: &CountedLimit, before: &LimitStatus, now: i64) -> bool {
    match &limit.terms {
        CountedTerms::Rate(rate) => {
            let window = i64::try_from(rate.window / 1_000).unwrap_or(i64::MAX);
            seconds(before.as_of.as_deref()).is_some_and(|at| at.saturating_add(window) > now)
        }
        CountedTerms::Concurrency(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use sluicegate_config::rollout::Exceeded;
    use sluicegate_config::{LimitUnit, OnUnavailable};

    use super::*;

    /// 2026-11-28T12:00:00Z.
    const NOON: i64 = 1_795_867_200;

    fn rate(unit: LimitUnit, amount: u64) -> CountedLimit {
        let on_unavailable = OnUnavailable::Share;
        let per = LimitPer::Consumer;
        let rate =
            RateLimit { per, unit, amount, window: 60_000, queue: None, unpriced_is_free: false, on_unavailable };
        CountedLimit { of: "LLMConsumer a/c".to_owned(), part: None, terms: CountedTerms::Rate(Box::new(rate)) }
    }

    fn told(spent: u64, at: Option<i64>) -> FleetUse {
        FleetUse { start: 0, spent, at, alone: usize::from(at.is_none()) * 2, reached: 0, exceeded: None, begun: 0 }
    }

    fn state(limit: &CountedLimit, before: &[LimitStatus], used: Option<FleetUse>, now: i64) -> LimitStatus {
        limits(std::slice::from_ref(limit), before, |_| used, now).remove(0)
    }

    #[test]
    fn who_is_over_what_is_said_as_long_as_it_is_so() {
        let limit = rate(LimitUnit::Requests, 60);
        let fresh = state(&limit, &[], None, NOON);
        assert_eq!((fresh.used.as_str(), fresh.percent, fresh.as_of.as_deref()), ("0", 0, None));
        assert_eq!(summary(std::slice::from_ref(&fresh)).unwrap(), "0 of 60 requests per 1m");
        let exceeded = Some(Exceeded { at: NOON - 7, amount: 60 });
        let full = state(&limit, &[fresh], Some(FleetUse { exceeded, ..told(60, Some(NOON)) }), NOON + 1);
        assert_eq!((full.percent, full.exceeded_since.as_deref()), (100, Some("2026-11-28T11:59:53Z")));
        assert_eq!((full.as_of.as_deref(), full.proxies), (Some("2026-11-28T12:00:00Z"), None));
        assert_eq!(summary(std::slice::from_ref(&full)).unwrap(), "60 of 60 requests per 1m, exceeded");
        // The same, later, is no news; nor is what nobody tells, until the window is over.
        let same = Some(FleetUse { exceeded, ..told(60, Some(NOON + 9)) });
        assert_eq!(state(&limit, std::slice::from_ref(&full), same, NOON + 10), full);
        assert_eq!(state(&limit, std::slice::from_ref(&full), None, NOON + 10), full);
        let over = state(&limit, std::slice::from_ref(&full), None, NOON + 60);
        assert_eq!((over.used.as_str(), over.exceeded_since.as_deref()), ("0", None));
        // Another amount, of which nobody has found too little yet.
        let more = state(&rate(LimitUnit::Requests, 90), &[full], same, NOON + 10);
        assert_eq!((more.used.as_str(), more.percent, more.exceeded_since), ("60", 66, None));
    }

    #[test]
    fn money_is_said_in_dollars_and_proxies_that_count_alone_are_counted() {
        let said = state(&rate(LimitUnit::Cost, 2_500_000_000), &[], Some(told(1_250_000_000, None)), NOON);
        assert_eq!(
            (said.amount.as_str(), said.used.as_str(), said.percent, said.proxies),
            ("2.50", "1.25", 50, Some(2))
        );
        assert_eq!(summary(&[said]).unwrap(), "1.25 of 2.50 USD per 1m in each of 2 proxies");
        let calls = CountedLimit {
            of: "ProviderPool a/p/one".to_owned(),
            part: Some("one".to_owned()),
            terms: CountedTerms::Concurrency(8),
        };
        let said = state(&calls, &[], Some(told(3, None)), NOON);
        assert_eq!((said.name.as_deref(), said.used.as_str(), said.proxies), (Some("one"), "3", None));
        assert_eq!(summary(&[said]).unwrap(), "3 of 8 calls at once");
        // Without leases each of the proxies has all eight.
        let said = state(&calls, &[], Some(FleetUse { begun: NOON - 60, ..told(12, None) }), NOON);
        assert_eq!((said.used.as_str(), said.percent, said.proxies), ("12", 150, Some(2)));
        assert_eq!(summary(&[said]).unwrap(), "12 of 8 calls at once in each of 2 proxies");
    }
}
