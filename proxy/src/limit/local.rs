//! The part of limits that all workers share: this process's own counts, and what it knows of the others.
//!
//! They are the limits where there is no Redis. Where there is one they note what this process has taken of each, so that it can
//! go on within its share when Redis does not answer. Bounded: beyond the most keys, further ones of a shard count together.

use std::collections::HashMap;
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use sluicegate_config::Concurrency;
use sluicegate_config::rollout::{BudgetUse, Exceeded};

use super::budget::SharedBudgets;
use super::fleet::Fleet;
use super::key_map::KeyMap;
use super::prepared::{LimitKey, PreparedLimit};
use super::prompts::PromptRatios;
use super::window::{Full, SlidingWindow, TakenSlot, Terms};
use crate::concurrency::{GateScope, Gates, LeaseKeeper, PreparedGate};
use crate::count::Count;
use crate::redis::RedisClient;

const SHARDS: usize = 16;
/// The most keys of a shard.
const MOST_KEYS: usize = 4_096;
/// A full shard is looked through for what has left no more often, in microseconds.
const SWEEP: u64 = 1_000_000;
/// The tokens of an answer whose caller sets no limit, as long as no other is known.
pub(crate) const FIRST_TYPICAL: u64 = 512;

/// The counts of what became of checks.
#[derive(Debug, Default)]
pub(super) struct LimitCounts {
    /// Checks that there was room for, and those that there was none for, by unit.
    pub(super) checks: [[Count; 2]; 5],
    /// Those of attempts at providers, likewise.
    pub(super) provider_checks: [[Count; 2]; 5],
    /// Checks that Redis has not answered.
    pub(super) unanswered: Count,
    /// Uses of calls that could not be told.
    pub(super) lost: Count,
}

/// The part that all workers share.
#[derive(Debug)]
pub struct SharedLimits {
    shards: [Mutex<Shard>; SHARDS],
    pub(super) counts: LimitCounts,
    pub(super) fleet: Arc<Fleet>,
    /// The budgets.
    pub budgets: Arc<SharedBudgets>,
    /// The limits of concurrency.
    pub gates: Gates,
    /// The tokens of prompts against their estimates.
    pub(crate) prompts: Arc<PromptRatios>,
    /// True if there has been a limit.
    in_use: AtomicBool,
    gateway: Box<str>,
    started: Instant,
}

impl Default for SharedLimits {
    fn default() -> Self {
        Self::new("")
    }
}

#[derive(Debug, Default)]
struct Shard {
    keys: KeyMap<LimitKey, LocalCount>,
    /// Of keys that there is no room for.
    others: LocalCount,
    swept: u64,
}

/// This process's count of one key.
#[derive(Debug, Default)]
struct LocalCount {
    window: SlidingWindow,
    /// The longest that anything in it counts.
    span: u64,
    /// The sum that all proxies together had taken when Redis was last heard of it, and when that was.
    seen: Option<(u64, u64)>,
    /// Until then others may have taken what Redis does not know of: this process stays within its share.
    guarded_until: u64,
    /// The tokens of a typical answer; 0: not known.
    typical: u64,
    /// The limit, as statuses are told of it; `None`: no call has asked for room yet.
    of: Option<Arc<str>>,
    /// Calls that found no room, one after the other with less than a window between them: the first and the last, and the amount.
    refused: Option<(u64, u64, u64)>,
}

impl SharedLimits {
    /// Those of the proxies of a gateway.
    #[must_use]
    pub fn new(gateway: &str) -> Self {
        let fleet = Arc::new(Fleet::new(gateway));
        Self {
            shards: std::array::from_fn(|_| Mutex::default()),
            counts: LimitCounts::default(),
            budgets: Arc::new(SharedBudgets::new(Arc::clone(&fleet))),
            gates: Gates::default(),
            prompts: Arc::default(),
            fleet,
            in_use: AtomicBool::new(false),
            gateway: gateway.into(),
            started: Instant::now(),
        }
    }

    /// The gateway whose proxies share them.
    pub(crate) fn gateway(&self) -> &str {
        &self.gateway
    }

    /// There is a limit now.
    pub(crate) fn put_in_use(&self) {
        self.in_use.store(true, Relaxed);
    }

    /// A limit of concurrency, which begins or goes on.
    pub(crate) fn gate(&self, scope: GateScope<'_>, limit: &Concurrency) -> PreparedGate {
        self.put_in_use();
        PreparedGate::of(&self.gates, scope, limit)
    }

    /// A worker's keeper of the leases of limits of concurrency.
    pub(crate) fn lease_keeper(&self, redis: Option<RedisClient>) -> Rc<LeaseKeeper> {
        self.gates.keeper(redis, (&self.gateway, self.fleet.name()))
    }

    /// This process's part of what all proxies have together, while Redis is away.
    pub(crate) fn share_of(&self, whole: u64) -> u64 {
        self.fleet.share(whole)
    }

    /// True if there has been a limit.
    pub(super) fn is_in_use(&self) -> bool {
        self.in_use.load(Relaxed)
    }

    /// Proxies that share limits, as last heard.
    #[must_use]
    pub fn proxies(&self) -> u64 {
        self.fleet.size()
    }

    /// Checks by unit and outcome.
    pub fn checks(&self) -> impl Iterator<Item = (&'static str, &'static str, u64)> {
        by_unit(&self.counts.checks)
    }

    /// Checks of attempts at providers, likewise.
    pub fn provider_checks(&self) -> impl Iterator<Item = (&'static str, &'static str, u64)> {
        by_unit(&self.counts.provider_checks)
    }

    /// Checks that Redis has not answered, and uses that could not be told.
    #[must_use]
    pub fn troubles(&self) -> (u64, u64) {
        (self.counts.unanswered.get(), self.counts.lost.get())
    }

    /// Microseconds since the process began.
    pub(super) fn now(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_micros()).unwrap_or(u64::MAX)
    }

    /// Takes where nobody else counts.
    pub(super) fn alone(&self, (key, terms): (&LimitKey, Terms), cost: u64, now: u64) -> Result<TakenSlot, Full> {
        self.with((key, terms.span), now, |count| count.window.take(cost, terms, now))
    }

    /// Takes within this process's share, before Redis is asked, where others may have taken what Redis does not know of.
    pub(super) fn guard(
        &self,
        (key, terms): (&LimitKey, Terms),
        cost: u64,
        now: u64,
    ) -> Option<Result<TakenSlot, Full>> {
        let terms = Terms { amount: self.fleet.share(terms.amount), ..terms };
        self.with((key, terms.span), now, |count| {
            (now < count.guarded_until).then(|| count.window.take(cost, terms, now))
        })
    }

    /// Notes what Redis has said, and what was taken there.
    pub(super) fn note(&self, (key, terms): (&LimitKey, Terms), (cost, used): (u64, u64), now: u64) -> u64 {
        self.with((key, terms.span), now, |count| {
            count.seen = Some((used, now));
            if cost > 0 { count.window.charge(cost, terms, now).slot } else { 0 }
        })
    }

    /// Takes while Redis is away: within this process's share, and as long as what was taken last still counts within its share of
    /// what that left. All but what is left of the share is told as used.
    pub(super) fn share(&self, (key, terms): (&LimitKey, Terms), cost: u64, now: u64) -> Result<TakenSlot, Full> {
        let mine = Terms { amount: self.fleet.share(terms.amount), ..terms };
        self.with((key, terms.span), now, |count| {
            let mut rest = u64::MAX;
            if let Some((used, at)) = count.seen.filter(|(_, at)| now.saturating_sub(*at) < terms.span) {
                let left = self.fleet.share(terms.amount.saturating_sub(used));
                let since = count.window.taken_since(at.saturating_add(1));
                if since.saturating_add(cost) > left {
                    let after = (cost <= mine.amount).then_some(at.saturating_add(terms.span).saturating_sub(now));
                    return Err(Full { used: terms.amount, after });
                }
                rest = left - since - cost;
            }
            let taken = count.window.take(cost, mine, now).map_err(|full| Full { used: terms.amount, ..full })?;
            count.guarded_until = now.saturating_add(terms.span);
            let rest = rest.min(mine.amount.saturating_sub(taken.used));
            Ok(TakenSlot { used: terms.amount.saturating_sub(rest), ..taken })
        })
    }

    /// A part that was taken turns out to be another number.
    pub(super) fn correct(&self, (key, terms): (&LimitKey, Terms), slot: u64, change: (u64, u64)) {
        let now = self.now();
        self.with((key, terms.span), now, |count| count.window.correct(slot, change, terms, now));
    }

    /// The time until nothing of this process's counts.
    pub(super) fn empty_after(&self, (key, terms): (&LimitKey, Terms), now: u64) -> u64 {
        self.with((key, terms.span), now, |count| count.window.empty_after(now, terms.span))
    }

    /// A call has asked for room.
    pub(super) fn found(&self, limit: &PreparedLimit, key: &LimitKey, has_room: bool) {
        let (now, span) = (self.now(), limit.counted());
        self.with((key, span), now, |count| {
            if count.of.is_none() {
                count.of = Some(Arc::clone(&limit.identity));
            }
            if !has_room {
                let goes_on =
                    |(_, last, amount): &(u64, u64, u64)| now.saturating_sub(*last) < span && *amount == limit.amount;
                let first = count.refused.filter(goes_on).map_or(now, |(first, ..)| first);
                count.refused = Some((first, now, limit.amount));
            }
        });
    }

    /// The use of every limit that calls have asked for, by its identity: of several that are counted together, that of the most used.
    pub(crate) fn uses(&self) -> Vec<(Arc<str>, BudgetUse)> {
        let (now, wall) = (self.now(), jiff::Timestamp::now().as_microsecond());
        let mut all: HashMap<Arc<str>, BudgetUse> = HashMap::new();
        for shard in &self.shards {
            let mut shard = shard.lock().unwrap_or_else(PoisonError::into_inner);
            for count in shard.keys.values_mut() {
                let Some(of) = count.of.clone() else { continue };
                let used = count.tell(now, wall);
                let told = all.entry(of).or_insert(used);
                let exceeded = [told.exceeded, used.exceeded].into_iter().flatten().min_by_key(|one| one.at);
                if used.spent > told.spent {
                    *told = used;
                }
                told.exceeded = exceeded;
            }
        }
        let places = self.gates.uses().into_iter();
        all.into_iter().chain(places).collect()
    }

    /// The tokens of a typical answer to calls that a limit counts together.
    pub(crate) fn typical(&self, key: &LimitKey, limit: &PreparedLimit) -> u64 {
        let typical = self.with((key, limit.counted()), self.now(), |count| count.typical);
        if typical == 0 { FIRST_TYPICAL } else { typical }
    }

    /// Learns what an answer had.
    pub(super) fn learn(&self, (key, terms): (&LimitKey, Terms), output: u64) {
        self.with((key, terms.span), self.now(), |count| {
            let before = if count.typical == 0 { output } else { count.typical };
            count.typical = (before - before / 8).saturating_add(output / 8).max(1);
        });
    }

    fn with<T>(&self, (key, span): (&LimitKey, u64), now: u64, ask: impl FnOnce(&mut LocalCount) -> T) -> T {
        let mut shard = self.shard(key);
        let shard = &mut *shard;
        if shard.keys.len() >= MOST_KEYS && !shard.keys.contains_key(key) {
            shard.sweep(now);
            if shard.keys.len() >= MOST_KEYS {
                return ask(&mut shard.others);
            }
        }
        let count = shard.keys.entry(*key).or_insert_with(|| LocalCount::new(now));
        count.span = count.span.max(span);
        ask(count)
    }

    fn shard(&self, key: &LimitKey) -> MutexGuard<'_, Shard> {
        let ([first, ..], [byte, ..]) = (&self.shards, key.0);
        let shard = self.shards.get(usize::from(byte) % SHARDS).unwrap_or(first);
        shard.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn by_unit(checks: &[[Count; 2]; 5]) -> impl Iterator<Item = (&'static str, &'static str, u64)> {
    let units = ["requests", "tokens", "input_tokens", "output_tokens", "cost"].into_iter().zip(checks);
    units.flat_map(|(unit, [room, none])| [(unit, "admitted", room.get()), (unit, "refused", none.get())])
}

impl LocalCount {
    fn new(now: u64) -> Self {
        Self { window: SlidingWindow::new(now), ..Self::default() }
    }

    /// The use of it. `wall`: now, in microseconds since 1970.
    fn tell(&mut self, now: u64, wall: i64) -> BudgetUse {
        let wall_at = |at: u64| wall.saturating_sub(i64::try_from(now.saturating_sub(at)).unwrap_or(i64::MAX));
        let own = self.window.used(now, self.span);
        let (spent, at) = match self.seen {
            None => (own, 0),
            Some((used, at)) if now.saturating_sub(at) < self.span => (used.max(own), wall_at(at)),
            // What was heard of counts no longer.
            Some((_, at)) => (own, wall_at(at.saturating_add(self.span))),
        };
        let refused = self.refused.filter(|(_, last, _)| now.saturating_sub(*last) < self.span);
        let exceeded = refused.map(|(first, _, amount)| Exceeded { at: wall_at(first).div_euclid(1_000_000), amount });
        let at = u64::try_from(at).unwrap_or_default();
        BudgetUse { spent, at, exceeded, ..BudgetUse::default() }
    }

    /// True if nothing would be lost with it.
    fn is_over(&mut self, now: u64) -> bool {
        let seen = self.seen.is_some_and(|(_, at)| now.saturating_sub(at) < self.span);
        !seen && now >= self.guarded_until && self.window.used(now, self.span) == 0
    }
}

impl Shard {
    fn sweep(&mut self, now: u64) {
        if now.saturating_sub(self.swept) >= SWEEP {
            self.swept = now;
            self.keys.retain(|_, count| !count.is_over(now));
        }
    }
}

/// Microseconds as a span of time.
pub(super) const fn micros(micros: u64) -> Duration {
    Duration::from_micros(micros)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TERMS: Terms = Terms { amount: 10, span: 1_000, width: 0 };

    fn key(number: u32) -> LimitKey {
        LimitKey(u128::from(number).to_le_bytes())
    }

    #[test]
    fn while_redis_is_away_only_what_it_left_and_then_the_share_is_taken() {
        let limits = SharedLimits::default();
        let at = (&key(1), TERMS);
        limits.note(at, (2, 7), 0);
        let taken = (1..10).filter(|now| limits.share(at, 1, *now).is_ok()).count();
        assert_eq!(taken, 3, "seven of ten were taken by all together");
        let other = (&key(2), TERMS);
        limits.note(other, (2, 7), 0);
        let told: Vec<_> =
            (1..5).map(|now| limits.share(other, 1, now).map_or_else(|full| full.used, |taken| taken.used)).collect();
        assert_eq!(told, [8, 9, 10, 10], "what is left of the share is not used");
        assert!(limits.guard(at, 1, 20).unwrap().is_ok(), "within the share, as long as others may have taken more");
        assert!(limits.guard(at, 8, 20).unwrap().is_err());
        assert!(limits.guard(at, 1, 2_000).is_none());
        let taken = (3_000..3_020).filter(|now| limits.share(at, 1, *now).is_ok()).count();
        assert_eq!(taken, 10, "long after the last word all of the share is taken");
        assert_eq!(limits.empty_after(at, 3_010), 999);
    }

    #[test]
    fn keys_are_bounded_and_those_that_are_over_make_room() {
        let limits = SharedLimits::default();
        let many = u32::try_from(SHARDS * MOST_KEYS).unwrap() * 2;
        for number in 0..many {
            let _ = limits.alone((&key(number), TERMS), 1, 0);
        }
        let held = || limits.shards.iter().map(|shard| shard.lock().unwrap().keys.len()).sum::<usize>();
        assert!(held() <= SHARDS * MOST_KEYS, "{}", held());
        assert!(limits.alone((&key(many + 1), TERMS), 1, 10).is_err(), "the others of its shard have taken all");
        assert!(limits.alone((&key(many + 1), TERMS), 1, SWEEP + 10).is_ok());
        assert!(held() < SHARDS * MOST_KEYS);
    }

    #[test]
    fn what_is_used_is_told_as_long_as_it_counts_and_since_when_there_is_no_room() {
        let limits = SharedLimits::default();
        let at = (&key(1), TERMS);
        let tell = |now: u64| limits.with((&key(1), TERMS.span), now, |count| count.tell(now, 50_000_000));
        assert_eq!(limits.alone(at, 3, 0).map(|taken| taken.used), Ok(3));
        assert_eq!((tell(10).spent, tell(10).is_alone(), tell(2_000).spent), (3, true, 0));
        limits.note(at, (2, 7), 2_000);
        assert_eq!((tell(2_100).spent, tell(2_100).at, tell(3_100).spent), (7, 49_999_900, 0));
        limits.with((&key(1), TERMS.span), 0, |count| count.refused = Some((2_000, 2_500, 10)));
        assert_eq!(tell(3_000).exceeded, Some(Exceeded { at: 49, amount: 10 }));
        assert_eq!(tell(3_600).exceeded, None);
    }

    #[test]
    fn a_typical_answer_is_learnt() {
        let limits = SharedLimits::default();
        limits.learn((&key(1), TERMS), 80);
        limits.learn((&key(1), TERMS), 160);
        assert_eq!(limits.with((&key(1), 1), 0, |count| count.typical), 90);
    }
}
