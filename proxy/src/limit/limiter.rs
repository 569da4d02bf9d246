//! One worker's handle on limits: takes from all limits of a call together, and tells Redis what was used.

use std::cell::RefCell;
use std::fmt;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::{join_all, ready};
use futures_util::stream::{FuturesUnordered, StreamExt as _};
use sluicegate_config::{LimitUnit, OnUnavailable};

use super::beat::{self, Teller};
use super::budget::BudgetKeeper;
use super::fleet::Fleet;
use super::heat::{AskTurn, Asker};
use super::hold::{Hold, HoldKeeper, Holds, SharedPart};
use super::leases::{self, Ahead, LeasedPart, LimitLeases};
use super::local::{LimitCounts, SharedLimits, micros};
use super::pending::{Correction, Pending, PendingKey, SharedSlot};
use super::prepared::{LimitKey, Per, PreparedLimit};
use super::script::{CountAnswer, WindowScript};
use super::window::{Full, TakenSlot, Terms};
use crate::redis::{RedisClient, Script};

/// The time after which a caller is to come again whose limit can not be asked.
const UNAVAILABLE: Duration = Duration::from_secs(1);

/// The part that a call would take of one limit.
#[derive(Clone, Copy)]
pub(crate) struct Demand<'a> {
    pub(crate) limit: &'a PreparedLimit,
    pub(crate) key: LimitKey,
    pub(crate) cost: u64,
    /// The amount of the limit, which may have become another one while its call waited.
    pub(crate) amount: u64,
}

impl<'a> Demand<'a> {
    /// Of a limit as it is.
    pub(crate) fn of(limit: &'a PreparedLimit, key: LimitKey, cost: u64) -> Self {
        Self { limit, key, cost, amount: limit.amount }
    }

    /// Its limit has this amount by now; `None`: it is gone, and nothing is taken of it. Says whether that is news.
    pub(crate) fn becomes(&mut self, amount: Option<u64>) -> bool {
        let before = (self.amount, self.cost);
        match amount {
            Some(amount) => self.amount = amount,
            None => self.cost = 0,
        }
        before != (self.amount, self.cost)
    }
}

/// The state of a limit.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Told {
    pub(crate) unit: LimitUnit,
    pub(crate) amount: u64,
    pub(crate) remaining: u64,
    /// The time after which all of it is there again, if nobody takes any.
    pub(crate) reset: Duration,
}

/// A limit has no room.
#[derive(Debug, Clone, Copy)]
pub(crate) struct LimitRefusal {
    /// The place of the limit among those that were asked: of several the one that has room last.
    pub(crate) at: usize,
    /// The time after which there may be; `None`: there never is.
    pub(crate) after: Option<Duration>,
    /// True if nobody could be asked.
    pub(crate) is_unavailable: bool,
    /// True if all that have none let calls wait for it.
    pub(crate) may_wait: bool,
}

/// One worker's handle.
pub(crate) struct Limiter {
    shared: Arc<SharedLimits>,
    redis: Option<RedisClient>,
    budgets: Rc<BudgetKeeper>,
    script: WindowScript,
    beat: Script,
    pending: RefCell<Pending>,
    leases: RefCell<LimitLeases>,
    teller: Teller,
}

impl fmt::Debug for Limiter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Limiter").finish_non_exhaustive()
    }
}

/// The outcome of asking one limit.
struct Asked {
    /// The state of the limit; `None`: nobody could say.
    told: Option<Told>,
    /// The part that was taken; `None`: there was nothing to take.
    outcome: Result<Option<Hold>, (Option<Duration>, bool)>,
}

impl Asked {
    /// True if it is refused, by a count that a moment may change.
    const fn may_change(&self) -> bool {
        matches!(self.outcome, Err((Some(_), false)))
    }
}

impl Told {
    /// So much of it is given back.
    fn give_back(&mut self, cost: u64) {
        self.remaining = self.remaining.saturating_add(cost).min(self.amount);
        if self.remaining == self.amount {
            self.reset = Duration::ZERO;
        }
    }
}

impl Limiter {
    /// Over what all workers share and this worker's own connections to Redis, where there is one.
    pub(crate) fn new(shared: &Arc<SharedLimits>, redis: Option<RedisClient>) -> Rc<Self> {
        Rc::new(Self {
            shared: Arc::clone(shared),
            budgets: BudgetKeeper::new(&shared.budgets, redis.clone()),
            redis,
            script: WindowScript::new(),
            beat: Fleet::script(),
            pending: RefCell::default(),
            leases: RefCell::default(),
            teller: Teller::default(),
        })
    }

    /// The part that all workers share.
    pub(crate) fn shared(&self) -> &SharedLimits {
        &self.shared
    }

    /// The budgets.
    pub(crate) fn budgets(&self) -> &Rc<BudgetKeeper> {
        &self.budgets
    }

    /// Takes of all limits, or of none. Waits for Redis at most, and not for long. What a call may wait for is counted once it is known
    /// what became of that.
    pub(crate) async fn take(self: &Rc<Self>, demands: &[Demand<'_>]) -> (Vec<Told>, Result<Holds, LimitRefusal>) {
        // Dropped, what was taken is given back: if a limit has no room, and if the caller leaves meanwhile.
        let mut holds = Holds::new(Rc::clone(self) as Rc<dyn HoldKeeper>);
        let (mut all, mut refused) = (Vec::with_capacity(demands.len()), None::<LimitRefusal>);
        let asked = join_all(demands.iter().map(|demand| self.ask(demand))).await;
        let is_taken = asked.iter().all(|asked| asked.outcome.is_ok());
        let waits = |(asked, demand): (&Asked, &Demand<'_>)| match asked.outcome {
            Ok(_) => true,
            Err((after, is_unavailable)) => demand.limit.queue.is_some() && after.is_some() && !is_unavailable,
        };
        let may_wait = !is_taken && asked.iter().zip(demands).all(waits);
        for (at, (mut asked, demand)) in asked.into_iter().zip(demands).enumerate() {
            match asked.outcome {
                Ok(hold) => {
                    hold.into_iter().for_each(|hold| holds.add(hold));
                    if is_taken {
                        self.shared.found(demand.limit, &demand.key, true);
                        self.count(demand, true);
                    } else {
                        asked.told.iter_mut().for_each(|told| told.give_back(demand.cost));
                    }
                }
                Err((after, is_unavailable)) => {
                    if !is_unavailable {
                        self.shared.found(demand.limit, &demand.key, false);
                    }
                    if !may_wait {
                        self.count(demand, false);
                    }
                    let patience = |after: Option<Duration>| after.unwrap_or(Duration::MAX);
                    if refused.is_none_or(|refused| patience(refused.after) < patience(after)) {
                        refused = Some(LimitRefusal { at, after, is_unavailable, may_wait });
                    }
                }
            }
            all.extend(asked.told);
        }
        match refused {
            None => (all, Ok(holds)),
            Some(refused) => (all, Err(refused)),
        }
    }

    /// The state of limits that nothing is taken of, as far as somebody can say.
    pub(crate) async fn look(&self, demands: &[Demand<'_>]) -> Vec<Told> {
        let demands: Vec<Demand<'_>> = demands.iter().map(|demand| Demand { cost: 0, ..*demand }).collect();
        join_all(demands.iter().map(|demand| self.look_at(demand))).await.into_iter().flatten().collect()
    }

    async fn look_at(&self, demand: &Demand<'_>) -> Option<Told> {
        match &self.redis {
            None => self.alone(demand).told,
            Some(redis) => self.together(redis, demand).await.told,
        }
    }

    async fn ask(&self, demand: &Demand<'_>) -> Asked {
        // What takes nothing always has room.
        if demand.cost == 0 {
            return Asked { told: self.look_at(demand).await, outcome: Ok(None) };
        }
        let looks_again = |asked: &Asked| demand.limit.counts_use() && asked.may_change();
        match &self.redis {
            None => beat::look_twice(|| ready(self.alone(demand)), looks_again, beat::GATHER).await,
            Some(redis) => beat::look_twice(|| self.together(redis, demand), looks_again, beat::TOLD).await,
        }
    }

    /// A call that might have waited is refused by this limit, or an attempt without asking it again.
    pub(crate) fn count_refusal(&self, demand: &Demand<'_>) {
        self.count(demand, false);
    }

    /// Counts a check, by what became of it. What was given back as another limit had no room is none.
    fn count(&self, demand: &Demand<'_>, has_room: bool) {
        let LimitCounts { checks, provider_checks, .. } = &self.shared.counts;
        let checks = if demand.limit.per == Per::Provider { provider_checks } else { checks };
        let [room, none] = match demand.limit.unit {
            LimitUnit::Requests => &checks[0],
            LimitUnit::Tokens => &checks[1],
            LimitUnit::InputTokens => &checks[2],
            LimitUnit::OutputTokens => &checks[3],
            LimitUnit::Cost => &checks[4],
        };
        if has_room { room.add() } else { none.add() }
    }

    fn alone(&self, demand: &Demand<'_>) -> Asked {
        let Demand { limit, key, cost, amount } = demand;
        let (now, terms) = (self.shared.now(), limit.alone(*amount));
        let taken = self.shared.alone((key, terms), *cost, now);
        let used = taken.map_or_else(|full| full.used, |taken| taken.used);
        let told = Some(told(demand, used, self.shared.empty_after((key, terms), now)));
        let hold = |taken: TakenSlot| hold(demand, (terms, Some(taken.slot)), (terms, SharedPart::None));
        let outcome = taken.map_err(refusal).map(|taken| Some(hold(taken)));
        Asked { told, outcome }
    }

    async fn together(&self, redis: &RedisClient, demand: &Demand<'_>) -> Asked {
        let Demand { limit, key, cost, amount } = demand;
        let (now, noted, shared) = (self.shared.now(), limit.noted(*amount), limit.shared(*amount));
        let at = (key, noted);
        let hold = |slot: u64, part: SharedPart| hold(demand, (noted, Some(slot)), (shared, part));
        let guarded = match self.shared.guard(at, *cost, now) {
            None => None,
            Some(Ok(taken)) => Some(taken.slot),
            Some(Err(full)) => {
                return Asked { told: Some(told(demand, *amount, noted.span)), outcome: Err(refusal(full)) };
            }
        };
        let undo = || guarded.into_iter().for_each(|slot| self.shared.correct(at, slot, (*cost, 0)));
        let asks = match self.leased((key, shared), *cost, guarded.is_some()).await {
            Err(asks) => asks,
            Ok(LeasedPart { slot, used, empty_after }) => {
                let noted_slot = self.shared.note(at, (*cost, used), now);
                let hold = hold(noted_slot, SharedPart::Slot(slot));
                return Asked { told: Some(told(demand, used, empty_after)), outcome: Ok(Some(hold)) };
            }
        };
        let ahead = asks.as_ref().map_or_else(Ahead::default, |(ahead, _)| *ahead);
        let asked_at = self.shared.now();
        let corrections = self.pending.borrow_mut().on_the_way(key);
        let answer = self.script.ask(redis, (key, shared), (*cost, ahead), &corrections).await;
        match answer {
            Ok(CountAnswer { slot: Some(slot), used, empty_after, leased, .. }) => {
                if asks.is_some() {
                    self.lease((key, shared), (slot, leased), (used, empty_after), (asked_at, ahead.life));
                }
                let used = used.saturating_sub(leased);
                let taken = if guarded.is_some() { 0 } else { *cost };
                let noted_slot = self.shared.note(at, (taken, used), now);
                let hold = hold(guarded.unwrap_or(noted_slot), SharedPart::Slot(slot));
                Asked { told: Some(told(demand, used, empty_after)), outcome: Ok(Some(hold)) }
            }
            Ok(CountAnswer { slot: None, used, after, empty_after, .. }) => {
                undo();
                self.shared.note(at, (0, used), now);
                Asked { told: Some(told(demand, used, empty_after)), outcome: Err((after.map(micros), false)) }
            }
            Err(_) => {
                undo();
                self.unanswered(demand, hold)
            }
        }
    }

    /// Takes of what was taken ahead, unless this process has to be careful; else what the call is to ask for beside its own.
    async fn leased(
        &self,
        at: (&LimitKey, Terms),
        cost: u64,
        is_careful: bool,
    ) -> Result<LeasedPart, Option<(Ahead, Asker)>> {
        if cost == 0 || is_careful {
            return Err(None);
        }
        let turn = self.leases.borrow_mut().take(at, cost, self.shared.now());
        match turn {
            Ok(part) => Ok(part),
            Err(AskTurn::Alone) => Err(None),
            Err(AskTurn::ForAll(calls, asker)) => {
                let life = leases::life(at.1.span).unwrap_or_default();
                Err(Some((Ahead { cost: calls.saturating_mul(cost), life }, asker)))
            }
            Err(AskTurn::Wait(asking)) => {
                asking.answered().await;
                self.leases.borrow_mut().take_now(at, cost, self.shared.now()).ok_or(None)
            }
        }
    }

    /// So much was taken ahead, or nothing, with a question that was asked at `now`.
    fn lease(&self, at: (&LimitKey, Terms), (slot, leased): (SharedSlot, u64), state: (u64, u64), time: (u64, u64)) {
        let rest = self.leases.borrow_mut().begin(at, (slot, leased), state, time);
        rest.into_iter().for_each(|rest| self.tell(at, rest));
        // Its end is looked for.
        self.teller.wake();
    }

    /// Gives back what is left of leases that have ended, and of all when the worker ends; looks again soon where others live.
    fn end_leases(&self) {
        let now = if self.teller.ends() { u64::MAX } else { self.shared.now() };
        let ended = self.leases.borrow_mut().ended(now);
        ended.iter().for_each(|(key, terms, rest)| self.tell((key, *terms), *rest));
        if self.leases.borrow().is_live() {
            self.teller.wake();
        }
    }

    /// Decides without Redis.
    fn unanswered(&self, demand: &Demand<'_>, hold: impl Fn(u64, SharedPart) -> Hold) -> Asked {
        let Demand { limit, key, cost, amount } = demand;
        let (now, noted) = (self.shared.now(), limit.noted(*amount));
        let at = (key, noted);
        self.shared.counts.unanswered.add();
        let (told, slot) = match limit.on_unavailable {
            OnUnavailable::FailClosed => return Asked { told: None, outcome: Err((Some(UNAVAILABLE), true)) },
            OnUnavailable::FailOpen => (None, Ok(self.shared.note(at, (*cost, *amount), now))),
            OnUnavailable::Share => {
                let taken = self.shared.share(at, *cost, now);
                let used = taken.map_or_else(|full| full.used, |taken| taken.used);
                (Some(told(demand, used, noted.span)), taken.map(|taken| taken.slot))
            }
        };
        let outcome = slot.map_err(refusal).map(|slot| {
            self.tell((key, limit.shared(*amount)), Correction::New(*cost));
            Some(hold(slot, SharedPart::Untold))
        });
        Asked { told, outcome }
    }

    fn tell(&self, (key, terms): (&LimitKey, Terms), correction: Correction) {
        if self.pending.borrow_mut().add((*key, terms), correction, self.shared.now()) {
            self.teller.wake();
        } else {
            self.shared.counts.lost.add();
        }
    }

    /// The worker ends, and no call of it lives: waits until Redis has heard of all that they used, as long as it answers soon.
    pub(crate) async fn finish(&self) {
        if self.redis.is_some() {
            self.teller.finish().await;
        }
    }

    /// Tells Redis what there is to tell, until the worker ends.
    pub(crate) async fn run(&self) {
        let Some(redis) = &self.redis else { return };
        let tell = async || {
            if self.shared.is_in_use() {
                self.shared.fleet.beat(&self.beat, redis, self.shared.now()).await;
            }
            self.tell_all(redis).await
        };
        self.teller.run(tell).await;
    }

    /// Tells all there is. `false`: something is left.
    async fn tell_all(&self, redis: &RedisClient) -> bool {
        self.end_leases();
        let all = self.pending.borrow_mut().take();
        let mut telling: FuturesUnordered<_> = all
            .into_iter()
            .map(|(key, pending)| async move {
                let told =
                    self.script.ask(redis, (&key, pending.terms), (0, Ahead::default()), &pending.corrections).await;
                told.err().map(|_| (key, pending))
            })
            .collect();
        let mut whole = true;
        while let Some(failed) = telling.next().await {
            if let Some((key, pending)) = failed {
                whole &= !self.keep(key, pending);
            }
        }
        whole
    }

    /// Keeps what could not be told. What was used of a slot is not told a second time, for Redis may have heard it: it stays as it was
    /// taken. What was taken without asking is told until it counts no longer. `true`: there is something to tell again.
    fn keep(&self, key: LimitKey, pending: PendingKey) -> bool {
        let PendingKey { terms, corrections, since } = pending;
        let lately = self.shared.now().saturating_sub(since) < terms.span;
        let mut kept = false;
        for correction in corrections {
            match correction {
                Correction::New(0) => {}
                Correction::New(_) if lately => {
                    kept |= self.pending.borrow_mut().add((key, terms), correction, since);
                }
                Correction::New(_) | Correction::Of(..) => self.shared.counts.lost.add(),
            }
        }
        kept
    }
}

impl HoldKeeper for Limiter {
    fn settle(&self, hold: &Hold, used: u64) {
        let Hold { key, cost, .. } = hold;
        if used == *cost {
            return;
        }
        if let (terms, Some(slot)) = hold.local {
            self.shared.correct((key, terms), slot, (*cost, used));
        }
        let change = i64::try_from(used).unwrap_or(i64::MAX).saturating_sub(i64::try_from(*cost).unwrap_or(i64::MAX));
        match hold.shared {
            (_, SharedPart::None) => {}
            (terms, SharedPart::Slot(slot)) => self.tell((key, terms), Correction::Of(slot, change)),
            (terms, SharedPart::Untold) if used > *cost => self.tell((key, terms), Correction::New(used - cost)),
            (_, SharedPart::Untold) => self.pending.borrow_mut().take_back(key, cost - used),
        }
    }

    fn learn(&self, hold: &Hold, output: u64) {
        self.shared.learn((&hold.key, hold.local.0), output);
    }
}

fn hold(demand: &Demand<'_>, local: (Terms, Option<u64>), shared: (Terms, SharedPart)) -> Hold {
    let Demand { limit, key, cost, .. } = demand;
    Hold { key: *key, unit: limit.unit, cost: *cost, unpriced_is_free: limit.unpriced_is_free, local, shared }
}

fn refusal(full: Full) -> (Option<Duration>, bool) {
    (full.after.map(micros), false)
}

fn told(demand: &Demand<'_>, used: u64, reset: u64) -> Told {
    let Demand { limit, amount, .. } = *demand;
    Told { unit: limit.unit, amount, remaining: amount.saturating_sub(used), reset: micros(reset) }
}

#[cfg(test)]
mod tests {
    use sluicegate_config::{LimitPer, RateLimit};

    use super::*;
    use crate::limit::LimitScope;

    #[tokio::test]
    async fn a_limit_that_is_raised_or_gone_lets_in_who_waits_for_it() {
        let from = RateLimit {
            per: LimitPer::Route,
            unit: LimitUnit::Requests,
            amount: 1,
            window: 60_000,
            queue: None,
            unpriced_is_free: false,
            on_unavailable: OnUnavailable::Share,
        };
        let limit = PreparedLimit::of("", LimitScope::Route("a/r", None), &from);
        let raised = PreparedLimit::of("", LimitScope::Route("a/r", None), &RateLimit { amount: 2, ..from.clone() });
        let other = PreparedLimit::of("", LimitScope::Route("a/r", None), &RateLimit { window: 1_000, ..from });
        assert!(raised.is_same(&limit) && !other.is_same(&limit));
        let limiter = Limiter::new(&Arc::default(), None);
        let mut demand = Demand::of(&limit, limit.key(None::<std::iter::Empty<&[u8]>>), 1);
        let (_, first) = limiter.take(&[demand]).await;
        assert!(first.is_ok() && limiter.take(&[demand]).await.1.is_err());
        assert!(demand.becomes(Some(raised.amount)) && !demand.becomes(Some(raised.amount)));
        let (told, second) = limiter.take(&[demand]).await;
        assert!(second.is_ok() && (told[0].amount, told[0].remaining) == (2, 0), "{told:?}");
        assert!(limiter.take(&[demand]).await.1.is_err());
        assert!(demand.becomes(None) && !demand.becomes(None));
        assert!(limiter.take(&[demand]).await.1.is_ok());
    }
}
