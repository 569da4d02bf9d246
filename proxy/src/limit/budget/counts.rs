//! The part of budgets that all workers of this process share: what was spent where nobody else counts, what Redis last said and what was taken
//! without it since, and the counts of what became of it all.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use sluicegate_config::BudgetUnit;
use sluicegate_config::rollout::{BudgetUse, Exceeded, SubjectsUse};

use super::super::fleet::Fleet;
use super::super::key_map::KeyMap;
use super::super::prepared::LimitKey;
use super::later::LateCalls;
use super::period::BudgetPlace;
use super::prepared::{AboutBudget, PreparedBudget};
use super::subjects::{SUBJECT_MARK, SubjectGroups};
use crate::count::Count;

const SHARDS: usize = 16;
/// The most budgets of a shard: as many as a configuration has, of which a process of some gigabytes holds fewer.
const MOST_KEYS: usize = 65_536;
/// The most budgets whose alerts are told by name.
const MOST_NAMED: usize = 1_000;
/// Clocks that are right differ by less, in seconds.
const AHEAD: i64 = 60;

/// The counts of what became of checks and reservations.
#[derive(Debug, Default)]
pub(super) struct BudgetCounts {
    /// Checks that there was room for, those that were refused, and those that were let in all the same, by unit.
    pub(super) checks: [[Count; 3]; 2],
    pub(super) unanswered: Count,
    pub(super) expired: Count,
    pub(super) lost: Count,
}

/// The outcome of a check.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum CheckOutcome {
    Admitted,
    Refused,
    Exceeded,
}

/// The part that all workers share.
#[derive(Debug)]
pub struct SharedBudgets {
    shards: [Mutex<KeyMap<LimitKey, BudgetCount>>; SHARDS],
    pub(super) counts: BudgetCounts,
    pub(super) fleet: Arc<Fleet>,
    alerts: Mutex<BTreeMap<(Arc<str>, u8), u64>>,
    /// The time since when this process has counted, in seconds since 1970.
    begun: i64,
    /// The reservations that are settled when something is fetched.
    late: Mutex<LateCalls>,
    /// The latest time that was looked at, in milliseconds since 1970.
    latest: AtomicI64,
}

/// This process's count of one budget.
#[derive(Debug, Default)]
struct BudgetCount {
    start: i64,
    /// All that is spent or reserved: by this process if it counts alone, else by all as Redis last said.
    spent: u128,
    /// The part of it that is reserved, where this process counts alone.
    reserved: u128,
    /// The part that was taken since without asking Redis, or while it may not have heard of all.
    since: u128,
    /// The number of thresholds that were told of, where nobody else counts.
    told: usize,
    /// The tokens of a typical answer; 0: not known.
    typical: u64,
    /// The names of it; `None`: nothing is told of it yet.
    about: Option<Arc<AboutBudget>>,
    /// The sum that all proxies share, as it was last read, and when; 0: this process counts alone.
    sum: (u64, u64),
    /// The highest percentage to be told of that was reached.
    reached: u8,
    /// The first call that there was no room for.
    exceeded: Option<Exceeded>,
}

impl SharedBudgets {
    /// Those of a process among others.
    pub(crate) fn new(fleet: Arc<Fleet>) -> Self {
        Self {
            shards: std::array::from_fn(|_| Mutex::default()),
            counts: BudgetCounts::default(),
            fleet,
            alerts: Mutex::default(),
            begun: jiff::Timestamp::now().as_second(),
            late: Mutex::default(),
            latest: AtomicI64::new(i64::MIN / 2),
        }
    }

    /// Checks by unit and outcome.
    pub fn checks(&self) -> impl Iterator<Item = (&'static str, &'static str, u64)> {
        let units = ["usd", "tokens"].into_iter().zip(&self.counts.checks);
        units.flat_map(|(unit, [admitted, refused, exceeded])| {
            [("admitted", admitted), ("refused", refused), ("exceeded", exceeded)]
                .map(|(outcome, count)| (unit, outcome, count.get()))
        })
    }

    /// Checks that Redis has not answered, reservations that nobody settled in time, and settlements that could not be told.
    #[must_use]
    pub fn troubles(&self) -> [u64; 3] {
        [&self.counts.unanswered, &self.counts.expired, &self.counts.lost].map(Count::get)
    }

    /// The thresholds that were crossed, by budget and percentage.
    #[must_use]
    pub fn alerts(&self) -> Vec<(Arc<str>, u8, u64)> {
        let alerts = self.alerts.lock().unwrap_or_else(PoisonError::into_inner);
        alerts.iter().map(|((of, percent), count)| (Arc::clone(of), *percent, *count)).collect()
    }

    /// The reservations that are settled when something is fetched, where this process counts alone.
    pub(super) fn late(&self) -> MutexGuard<'_, LateCalls> {
        self.late.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Now, in milliseconds since 1970, by Redis's clock as far as it is known.
    pub(super) fn now(&self) -> i64 {
        self.fleet.clock.now()
    }

    /// The same for a process that counts alone: a clock that is set back a little stands still, so that no period that is over begins
    /// once more.
    pub(super) fn steady_now(&self) -> i64 {
        let now = self.now();
        let latest = self.latest.fetch_max(now, Ordering::Relaxed).max(now);
        if latest - now <= AHEAD * 1_000 {
            return latest;
        }
        // What was later was wrong.
        self.latest.store(now, Ordering::Relaxed);
        now
    }

    /// Redis has said its time, in milliseconds since 1970.
    pub(super) fn set_clock(&self, redis: u64) {
        self.fleet.clock.heard(redis);
    }

    pub(super) fn count(&self, unit: BudgetUnit, outcome: CheckOutcome) {
        let [usd, tokens] = &self.counts.checks;
        let [admitted, refused, exceeded] = if unit == BudgetUnit::Usd { usd } else { tokens };
        match outcome {
            CheckOutcome::Admitted => admitted.add(),
            CheckOutcome::Refused => refused.add(),
            CheckOutcome::Exceeded => exceeded.add(),
        }
    }

    /// Thresholds were crossed: those from the one number to the other.
    pub(super) fn alert(&self, about: &AboutBudget, (told, crossed): (usize, usize)) {
        let budget = &*about.name;
        for (percent, _) in about.alerts.iter().take(crossed).skip(told) {
            match *percent {
                100 => tracing::warn!(budget, percent, "a budget is spent, or has no room left for a call"),
                _ => tracing::warn!(budget, percent, "a budget is spent to this part"),
            }
            let mut all = self.alerts.lock().unwrap_or_else(PoisonError::into_inner);
            let known = all.len() < MOST_NAMED || all.contains_key(&(budget.into(), *percent));
            let name = if known { budget } else { "other" };
            *all.entry((name.into(), *percent)).or_default() += 1;
        }
    }

    /// Takes where nobody else counts. Says what was spent before; `Err`: there is no room.
    pub(super) fn alone(&self, budget: &PreparedBudget, place: &BudgetPlace, cost: u64) -> Result<u64, u64> {
        let taken = self.with(place, |count| {
            let (before, after) = (clamped(count.spent), count.spent.saturating_add(cost.into()));
            if budget.refuses_to_spend(cost) && after > budget.amount.into() {
                return (Err(before), count.cross(&budget.about, (cost <= budget.amount).then_some(cost)));
            }
            count.spent = after;
            count.reserved = count.reserved.saturating_add(cost.into());
            (Ok(before), count.cross(&budget.about, None))
        });
        // There are more budgets than this process counts.
        let beyond = if budget.refuses_to_spend(cost) { Err(budget.amount) } else { Ok(0) };
        let (before, crossing) = taken.unwrap_or((beyond, (0, 0)));
        self.alert(&budget.about, crossing);
        before
    }

    /// A part that was taken where nobody else counts turns out to be another number.
    pub(super) fn settle_alone(&self, about: &Arc<AboutBudget>, place: &BudgetPlace, (reserved, used): (u64, u64)) {
        let crossing = self.with(place, |count| {
            count.spent = count.spent.saturating_sub(reserved.into()).saturating_add(used.into());
            count.reserved = count.reserved.saturating_sub(reserved.into());
            count.cross(about, None)
        });
        if let Some(crossing) = crossing {
            self.alert(about, crossing);
        }
    }

    /// The sum that all proxies share was read. Answers may come in another order than they were given.
    pub(super) fn look_at_sum(
        &self,
        (about, place): (&Arc<AboutBudget>, &BudgetPlace),
        (spent, at): (u64, u64),
        reached: u8,
    ) {
        self.with(place, |count| {
            if at >= count.sum.1 {
                count.sum = (spent, at);
            }
            count.reached = count.reached.max(reached);
            count.about = Some(Arc::clone(about));
        });
    }

    /// A call found no room.
    pub(super) fn exceeded(&self, budget: &PreparedBudget, place: &BudgetPlace) {
        let at = self.now().div_euclid(1_000);
        self.with(place, |count| {
            // With a larger amount it begins anew.
            if count.exceeded.is_none_or(|before| before.amount < budget.amount) {
                count.exceeded = Some(Exceeded { at, amount: budget.amount });
            }
            count.about = Some(Arc::clone(&budget.about));
        });
    }

    /// The use of every budget that calls have asked for, by its identity.
    pub(crate) fn uses(&self) -> Vec<(Arc<str>, BudgetUse)> {
        let mut all = Vec::new();
        for shard in &self.shards {
            let shard = shard.lock().unwrap_or_else(PoisonError::into_inner);
            all.extend(shard.values().filter_map(|count| {
                let about = count.about.as_ref().filter(|about| !about.identity.contains(SUBJECT_MARK))?;
                Some((Arc::clone(&about.identity), count.tell(self.begun)))
            }));
        }
        all
    }

    /// The use of budgets by the consumers that were made of templates, by the identity of the template's budget.
    pub(crate) fn uses_of_subjects(&self) -> Vec<(Arc<str>, SubjectsUse)> {
        let mut groups = SubjectGroups::default();
        for shard in &self.shards {
            let shard = shard.lock().unwrap_or_else(PoisonError::into_inner);
            for count in shard.values() {
                let Some(about) = &count.about else { continue };
                groups.add(&about.identity, count.tell(self.begun));
            }
        }
        groups.told()
    }

    /// Redis has said what is spent.
    pub(super) fn heard(&self, place: &BudgetPlace, spent: u64) {
        self.with(place, |count| (count.spent, count.since) = (spent.into(), 0));
    }

    /// Takes while Redis is away: within this process's part of what was left. `Err`: there is no room.
    pub(super) fn share(&self, amount: u64, place: &BudgetPlace, cost: u64) -> Result<(), ()> {
        let taken = self.with(place, |count| {
            let part = self.fleet.share(amount.saturating_sub(clamped(count.spent)));
            let since = count.since.saturating_add(cost.into());
            (since <= part.into()).then(|| count.since = since)
        });
        taken.flatten().ok_or(())
    }

    /// A part that was taken without Redis turns out to be another number.
    pub(super) fn settle_share(&self, place: &BudgetPlace, (reserved, used): (u64, u64)) {
        self.with(place, |count| count.since = count.since.saturating_sub(reserved.into()).saturating_add(used.into()));
    }

    /// The part that this process last knew to be spent.
    pub(super) fn known(&self, place: &BudgetPlace) -> u64 {
        self.with(place, |count| clamped(count.spent.saturating_add(count.since))).unwrap_or_default()
    }

    /// The rest of this process's part of what was left.
    pub(super) fn left_of_share(&self, amount: u64, place: &BudgetPlace) -> u64 {
        let left = self.with(place, |count| {
            let part = self.fleet.share(amount.saturating_sub(clamped(count.spent)));
            part.saturating_sub(clamped(count.since))
        });
        left.unwrap_or_default()
    }

    /// The tokens of a typical answer to the calls of a budget; `None`: this process knows of none yet.
    pub(crate) fn typical(&self, budget: &PreparedBudget) -> Option<u64> {
        let typical = self.shard(&budget.key).get(&budget.key).map(|count| count.typical);
        typical.filter(|typical| *typical > 0)
    }

    /// Learns what an answer had.
    pub(super) fn learn(&self, key: &LimitKey, output: u64) {
        if let Some(count) = self.shard(key).get_mut(key) {
            let before = if count.typical == 0 { output } else { count.typical };
            count.typical = (before - before / 8).saturating_add(output / 8).max(1);
        }
    }

    /// `None`: it is of a period that is over, or there is no room for it.
    fn with<T>(&self, place: &BudgetPlace, ask: impl FnOnce(&mut BudgetCount) -> T) -> Option<T> {
        let mut shard = self.shard(&place.key);
        if shard.len() >= MOST_KEYS && !shard.contains_key(&place.key) {
            return None;
        }
        let count = shard.entry(place.key).or_default();
        // A period that is yet to come was begun by a clock that was wrong.
        let is_to_come = || count.start.saturating_sub(AHEAD) > self.now().div_euclid(1_000);
        if place.period.start > count.start || (place.period.start < count.start && is_to_come()) {
            *count = BudgetCount { start: place.period.start, typical: count.typical, ..BudgetCount::default() };
        }
        (place.period.start == count.start).then(|| ask(count))
    }

    fn shard(&self, key: &LimitKey) -> MutexGuard<'_, KeyMap<LimitKey, BudgetCount>> {
        let ([first, ..], [byte, ..]) = (&self.shards, key.0);
        let shard = self.shards.get(usize::from(byte) % SHARDS).unwrap_or(first);
        shard.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl BudgetCount {
    /// The numbers of thresholds that were told of, and are crossed. `refused`: so much was asked for, and there is no room for it: if what
    /// is spent leaves none, all of it is as good as spent.
    fn cross(&mut self, about: &Arc<AboutBudget>, refused: Option<u64>) -> (usize, usize) {
        // What is reserved is not spent yet.
        let mut spent = self.spent.saturating_sub(self.reserved);
        if let (Some(cost), Some(amount)) = (refused, about.whole())
            && spent.saturating_add(cost.into()) > amount.into()
        {
            spent = spent.max(amount.into());
        }
        let crossed = about.alerts.iter().filter(|(_, at)| u128::from(*at) <= spent).count();
        let told = self.told;
        self.told = told.max(crossed);
        self.reached = about.reached(self.told);
        self.about = Some(Arc::clone(about));
        (told, crossed)
    }

    fn tell(&self, begun: i64) -> BudgetUse {
        let alone = self.sum.1 == 0;
        let (spent, at) = if alone { (clamped(self.spent.saturating_add(self.since)), 0) } else { self.sum };
        let begun = if alone { begun } else { 0 };
        BudgetUse { start: self.start, spent, at, reached: self.reached, exceeded: self.exceeded, begun }
    }
}

fn clamped(sum: u128) -> u64 {
    u64::try_from(sum).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use sluicegate_config::compile::Period;

    use super::*;

    #[test]
    fn a_period_that_a_wrong_clock_began_ends_when_the_clock_is_right() {
        let budgets = SharedBudgets::new(Arc::new(Fleet::new("")));
        let of = |start| BudgetPlace { key: LimitKey([7; 16]), period: Period { start, end: Some(start + 1_000) } };
        budgets.set_clock(5_500_000);
        assert_eq!(budgets.share(10, &of(5_000), 6), Ok(()));
        assert_eq!(budgets.share(10, &of(4_000), 1), Err(()), "a period that is over");
        // It was wrong.
        budgets.set_clock(2_500_000);
        assert_eq!(budgets.share(10, &of(2_000), 6), Ok(()));
        assert_eq!(budgets.share(10, &of(2_000), 6), Err(()));
        budgets.set_clock(3_000_001);
        assert_eq!((budgets.share(10, &of(3_000), 6), budgets.share(10, &of(2_000), 1)), (Ok(()), Err(())));
    }

    fn budget(alert_at: Vec<u8>) -> PreparedBudget {
        let from = sluicegate_config::Budget {
            of: "LLMConsumer a/b".to_owned(),
            key: None,
            unit: BudgetUnit::Usd,
            amount: 100,
            period: sluicegate_config::BudgetPeriod::Daily,
            time_zone: String::new(),
            shadow: false,
            on_exceeded: sluicegate_config::BudgetExceeded::Reject,
            unpriced_is_free: false,
            on_unavailable: sluicegate_config::OnUnavailable::Share,
            alert_at,
        };
        PreparedBudget::of("", &from)
    }

    #[test]
    fn a_call_that_what_is_spent_leaves_no_room_for_is_told_as_all_of_it() {
        let (budgets, budget) = (SharedBudgets::new(Arc::new(Fleet::new(""))), budget(vec![50, 100]));
        let place = BudgetPlace { key: budget.key, period: Period { start: 0, end: None } };
        let told = || budgets.alerts().into_iter().map(|(_, percent, count)| (percent, count)).collect::<Vec<_>>();
        assert_eq!(budgets.alone(&budget, &place, 60), Ok(0));
        // What is only reserved may be given back, and what is more than all of it tells of nothing.
        assert_eq!(budgets.alone(&budget, &place, 50), Err(60));
        assert_eq!(budgets.alone(&budget, &place, 101), Err(60));
        assert!(told().is_empty());
        budgets.settle_alone(&budget.about, &place, (60, 60));
        assert_eq!(told(), [(50, 1)]);
        for _ in 0..2 {
            assert_eq!(budgets.alone(&budget, &place, 50), Err(60));
            assert_eq!(told(), [(50, 1), (100, 1)]);
        }
        assert_eq!(budgets.alone(&budget, &place, 40), Ok(60));
    }

    #[test]
    fn a_clock_that_is_set_back_a_little_stands_still() {
        let budgets = SharedBudgets::new(Arc::new(Fleet::new("")));
        for (clock, steady) in [
            (5_000_000, 5_000_000),
            (4_999_000, 5_000_000),
            (4_940_500, 5_000_000),
            (4_000_000, 4_000_000),
            (4_000_500, 4_000_500),
        ] {
            budgets.set_clock(clock);
            let now = budgets.steady_now();
            assert!((steady..steady + 400).contains(&now), "{clock}: {now}");
        }
    }
}
