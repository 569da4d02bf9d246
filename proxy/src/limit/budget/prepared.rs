//! A budget made ready: what it counts, under which key.

use std::sync::Arc;

use jiff::tz::TimeZone;
use sluicegate_config::compile::{Period, period_at, zone};
use sluicegate_config::{Budget, BudgetExceeded, BudgetPeriod, BudgetUnit, OnUnavailable};

use super::super::prepared::LimitKey;

/// The names of a budget, and what is told of it: all that outlives the calls that it counts.
#[derive(Debug)]
pub(super) struct AboutBudget {
    /// It, in the words of its resource.
    pub(super) name: Arc<str>,
    /// It, whatever its amount.
    pub(super) identity: Arc<str>,
    /// The percentages that are told of, each with what it stands for; ascending.
    pub(super) alerts: Box<[(u8, u64)]>,
}

impl AboutBudget {
    /// All of it, where that is told of.
    pub(super) fn whole(&self) -> Option<u64> {
        self.alerts.iter().find(|(percent, _)| *percent == 100).map(|(_, amount)| *amount)
    }

    /// The highest of so many percentages; 0: there is none.
    pub(super) fn reached(&self, crossed: usize) -> u8 {
        crossed.checked_sub(1).and_then(|last| self.alerts.get(last)).map_or(0, |(percent, _)| *percent)
    }
}

/// A budget, ready to run.
#[derive(Debug)]
pub(crate) struct PreparedBudget {
    pub(super) about: Arc<AboutBudget>,
    pub(crate) unit: BudgetUnit,
    pub(crate) amount: u64,
    pub(crate) period: BudgetPeriod,
    pub(crate) shadow: bool,
    pub(crate) on_exceeded: BudgetExceeded,
    pub(crate) unpriced_is_free: bool,
    pub(crate) on_unavailable: OnUnavailable,
    /// It in words: `12.50 USD per day`.
    pub(crate) in_words: Box<str>,
    pub(super) key: LimitKey,
    zone: TimeZone,
    /// The key whose calls alone it counts; empty: those by tokens. `None`: all.
    of_key: Option<Box<str>>,
}

impl PreparedBudget {
    /// Makes it ready. The amount is no part of its identity: raised or lowered, it goes on from what has been spent.
    pub(crate) fn of(gateway: &str, from: &Budget) -> Self {
        let mut identity = blake3::Hasher::new_derive_key("sluicegate identity of a budget v1");
        let unit = from.unit.label();
        let shadow = if from.shadow { "shadow" } else { "" };
        for part in [gateway, &from.of, unit, from.period.label(), &from.time_zone, shadow] {
            identity.update(&u64::try_from(part.len()).unwrap_or(u64::MAX).to_le_bytes());
            identity.update(part.as_bytes());
        }
        let mut key = [0; 16];
        identity.finalize_xof().fill(&mut key);
        let share = |percent: u8| u64::try_from(u128::from(from.amount) * u128::from(percent) / 100);
        let alerts = from.alert_at.iter().map(|percent| (*percent, share(*percent).unwrap_or(u64::MAX)));
        let in_words = from.in_words();
        let about = AboutBudget {
            name: format!("{}: {in_words}", from.of).into(),
            identity: from.identity().into(),
            alerts: alerts.collect(),
        };
        Self {
            about: Arc::new(about),
            in_words: in_words.into(),
            unit: from.unit,
            amount: from.amount,
            period: from.period,
            shadow: from.shadow,
            on_exceeded: from.on_exceeded,
            unpriced_is_free: from.unpriced_is_free,
            on_unavailable: from.on_unavailable,
            key: LimitKey(key),
            // The compiler has looked for it.
            zone: zone(&from.time_zone).unwrap_or(TimeZone::UTC),
            of_key: from.key.as_deref().map(Box::from),
        }
    }

    /// True if it counts the calls that come by a key; `None`: by a token.
    pub(crate) fn counts_calls_by(&self, key: Option<&str>) -> bool {
        self.of_key.as_deref().is_none_or(|own| own == key.unwrap_or_default())
    }

    /// True if it refuses a call of this cost when it has no room for it. What costs nothing always has room.
    pub(super) fn refuses_to_spend(&self, cost: u64) -> bool {
        cost > 0 && !self.shadow && self.on_exceeded != BudgetExceeded::Warn
    }

    /// True if what it has no room for may go to what costs less.
    pub(crate) fn lands_softly(&self) -> bool {
        self.on_exceeded == BudgetExceeded::Fallback
    }

    /// True if a proxy keeps to its part of it, for a call of this cost, while Redis is away.
    pub(super) fn shares_out(&self, cost: u64) -> bool {
        self.refuses_to_spend(cost) && self.on_unavailable == OnUnavailable::Share
    }

    /// The period that a moment lies in, in seconds since 1970.
    pub(super) fn period_at(&self, now: i64) -> Period {
        period_at(self.period, &self.zone, now)
    }

    /// It, in the words of its resource.
    pub(crate) fn name(&self) -> &Arc<str> {
        &self.about.name
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn budget(of: &str, amount: u64) -> Budget {
        Budget {
            of: of.to_owned(),
            key: None,
            unit: BudgetUnit::Usd,
            amount,
            period: BudgetPeriod::Daily,
            time_zone: String::new(),
            shadow: false,
            on_exceeded: BudgetExceeded::Reject,
            unpriced_is_free: false,
            on_unavailable: OnUnavailable::Share,
            alert_at: vec![50, 100],
        }
    }

    #[test]
    fn a_budget_is_itself_whatever_its_amount_and_no_other_one() {
        let first = budget("LLMConsumer a/b", 10_000_000_000_000);
        let key = |gateway: &str, from: &Budget| PreparedBudget::of(gateway, from).key;
        let own = key("", &first);
        assert_eq!(own, key("", &budget("LLMConsumer a/b", 1)));
        let others = [
            key("gw", &first),
            key("", &budget("LLMConsumer a/c", 1)),
            key("", &Budget { unit: BudgetUnit::Tokens, ..first.clone() }),
            key("", &Budget { period: BudgetPeriod::Weekly, ..first.clone() }),
            key("", &Budget { time_zone: "Asia/Tokyo".to_owned(), ..first.clone() }),
            key("", &Budget { shadow: true, ..first.clone() }),
        ];
        let all: std::collections::BTreeSet<_> = others.iter().chain([&own]).collect();
        assert_eq!(all.len(), others.len() + 1);
        let ready = PreparedBudget::of("", &first);
        assert_eq!(*ready.about.alerts, [(50, 5_000_000_000_000), (100, 10_000_000_000_000)]);
        assert_eq!(&**ready.name(), "LLMConsumer a/b: 10 USD per day");
    }
}
