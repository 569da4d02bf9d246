//! One worker's handle on budgets: reserves of all budgets of a call together, and tells Redis what calls cost.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ::redis::{Cmd, Value};
use futures_util::future::{join_all, ready};
use sluicegate_config::{BudgetUnit, OnUnavailable, PicoUsd};
use sluicegate_dialects::hub::Usage;

use super::super::beat::{self, Teller};
use super::batches::{BatchTelling, Batches, Entry, Heard};
use super::counts::{CheckOutcome, SharedBudgets};
use super::hold::{Booked, BudgetHolds, Reservation, ReservationKeeper};
use super::later::{LateReservation, LateReservations};
use super::leases::BudgetLeases;
use super::period::BudgetPlace;
use super::prepared::{AboutBudget, PreparedBudget};
use super::script::{Granted, SpendAnswer, SpendRequest, SpendScript};
use crate::redis::{RedisClient, Unanswered};

/// An answer that nobody fetches for so long is never counted.
const LATEST: Duration = Duration::from_secs(30 * 86_400);

/// The part that a call would reserve of one budget.
pub(crate) struct BudgetDemand<'a> {
    pub(crate) budget: &'a PreparedBudget,
    pub(crate) cost: u64,
}

/// The state of a budget.
#[derive(Debug, Clone, Copy)]
pub(crate) struct BudgetTold {
    pub(crate) unit: BudgetUnit,
    pub(crate) amount: u64,
    pub(crate) remaining: u64,
    /// The end of its period, in seconds since 1970; `None`: it has none.
    pub(crate) until: Option<i64>,
    /// True if nobody is told of it.
    pub(crate) is_shadow: bool,
    /// True if there was no room, and the call was taken all the same.
    pub(crate) is_exceeded: bool,
}

impl BudgetTold {
    /// So much of it is given back.
    pub(crate) fn give_back(&mut self, cost: u64) {
        self.remaining = self.remaining.saturating_add(cost).min(self.amount);
    }
}

/// A budget has no room.
#[derive(Debug, Clone, Copy)]
pub(crate) struct BudgetRefusal {
    /// The place of the budget among those that were asked: of several the one that begins anew last.
    pub(crate) at: usize,
    /// The rest of it; `None`: nobody could be asked.
    pub(crate) remaining: Option<u64>,
    /// The end of its period, in seconds since 1970; `None`: it has none.
    pub(crate) until: Option<i64>,
    /// True if all that have no room let the call go to what costs less.
    pub(crate) lands_softly: bool,
}

impl BudgetRefusal {
    /// True if its budget has no room for longer than another one's: a call that is refused by several comes too soon when the first
    /// of them begins anew. Of one that nobody could be asked for nobody knows.
    fn lasts_longer(&self, other: &Self) -> bool {
        let lasts = |refusal: &Self| (refusal.remaining.is_some(), refusal.until.is_none(), refusal.until);
        lasts(self) > lasts(other)
    }
}

/// One worker's handle.
pub(crate) struct BudgetKeeper {
    pub(super) shared: Arc<SharedBudgets>,
    redis: Option<RedisClient>,
    pub(super) script: SpendScript,
    batches: RefCell<Batches>,
    pub(super) leases: RefCell<BudgetLeases>,
    pub(super) teller: Teller,
    /// This worker, among all that ever are.
    pub(super) name: Box<str>,
    calls: Cell<u64>,
}

impl fmt::Debug for BudgetKeeper {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BudgetKeeper").finish_non_exhaustive()
    }
}

/// The outcome of asking one budget.
pub(super) struct BudgetAsked {
    pub(super) told: BudgetTold,
    /// `Err`: refused; with `true`, since nobody could be asked.
    pub(super) outcome: Result<Reservation, bool>,
}

/// The name of a call, and the time for which its reservations stand.
pub(super) struct CallLease {
    pub(super) call: Rc<str>,
    pub(super) millis: u64,
}

impl BudgetKeeper {
    /// Over what all workers share and this worker's own connections to Redis, where there is one.
    pub(crate) fn new(shared: &Arc<SharedBudgets>, redis: Option<RedisClient>) -> Rc<Self> {
        Rc::new(Self {
            shared: Arc::clone(shared),
            redis,
            script: SpendScript::new(),
            batches: RefCell::default(),
            leases: RefCell::default(),
            teller: Teller::default(),
            name: format!("{:016x}", rand::random::<u64>()).into(),
            calls: Cell::new(0),
        })
    }

    /// The part that all workers share.
    pub(crate) fn shared(&self) -> &SharedBudgets {
        &self.shared
    }

    /// Reserves of all budgets, or of none, for no longer than `lease`. Waits for Redis at most, and not for long.
    pub(crate) async fn take(
        self: &Rc<Self>,
        demands: &[BudgetDemand<'_>],
        lease: Duration,
    ) -> (Vec<BudgetTold>, Result<BudgetHolds, BudgetRefusal>) {
        let lease = self.lease(lease);
        // Dropped, what was reserved is given back: if a budget has no room, and if the caller leaves meanwhile.
        let mut holds = BudgetHolds::new(Rc::clone(self) as Rc<dyn ReservationKeeper>);
        let (mut all, mut refused) = (Vec::with_capacity(demands.len()), None::<BudgetRefusal>);
        let asked = join_all(demands.iter().map(|demand| self.ask(demand, &lease))).await;
        let is_taken = asked.iter().all(|asked| asked.outcome.is_ok());
        for (at, (mut asked, demand)) in asked.into_iter().zip(demands).enumerate() {
            match asked.outcome {
                Ok(reservation) => {
                    holds.add(reservation);
                    if is_taken {
                        let outcome =
                            if asked.told.is_exceeded { CheckOutcome::Exceeded } else { CheckOutcome::Admitted };
                        self.shared.count(demand.budget.unit, outcome);
                        if asked.told.is_exceeded {
                            self.shared.exceeded(demand.budget, &self.place(demand.budget));
                        }
                    } else {
                        asked.told.give_back(demand.cost);
                    }
                }
                Err(is_away) => {
                    self.shared.count(demand.budget.unit, CheckOutcome::Refused);
                    if !is_away {
                        self.shared.exceeded(demand.budget, &self.place(demand.budget));
                    }
                    let remaining = (!is_away).then_some(asked.told.remaining);
                    let until = asked.told.until;
                    let this = BudgetRefusal { at, remaining, until, lands_softly: true };
                    let soft = refused.is_none_or(|before| before.lands_softly);
                    let last = refused.filter(|before| !this.lasts_longer(before)).unwrap_or(this);
                    let lands_softly = soft && !is_away && demand.budget.lands_softly();
                    refused = Some(BudgetRefusal { lands_softly, ..last });
                }
            }
            all.push(asked.told);
        }
        match refused {
            None => (all, Ok(holds)),
            Some(refused) => (all, Err(refused)),
        }
    }

    pub(super) fn lease(&self, lease: Duration) -> CallLease {
        let number = self.calls.get();
        self.calls.set(number + 1);
        CallLease {
            call: format!("{}-{number:x}", self.name).into(),
            millis: u64::try_from(lease.as_millis()).unwrap_or(u64::MAX),
        }
    }

    /// The reservations of a call that is over, to be settled by what the thing of this name used. `None`: they were, or nobody can say.
    pub(crate) async fn take_late(&self, name: [u8; 32]) -> Option<LateReservations> {
        let Some(redis) = &self.redis else { return self.shared.late().take(&name) };
        let key = late_key(&name);
        let mut command = Cmd::new();
        command.arg("GETDEL").arg(&key);
        match redis.pipeline(&[&key], &[command]).await.ok()?.pop()?.ok()? {
            Value::BulkString(text) => serde_json::from_slice(&text).ok(),
            _ => None,
        }
    }

    /// Settles them.
    pub(crate) fn settle_late(&self, reserved: LateReservations, usage: Usage, cost: Option<PicoUsd>) {
        for late in reserved.all {
            let used = late.used(usage, cost);
            self.settle(&late.reservation(), used);
        }
    }

    /// The state of budgets that nothing is reserved of.
    pub(crate) async fn look(&self, budgets: impl Iterator<Item = &PreparedBudget>) -> Vec<BudgetTold> {
        join_all(budgets.map(|budget| self.look_at(budget))).await
    }

    async fn look_at(&self, budget: &PreparedBudget) -> BudgetTold {
        let place = self.place(budget);
        let known = || told(budget, &place, (self.shared.known(&place), 0));
        let Some(redis) = &self.redis else { return known() };
        let asked = self.script.ask(redis, (&place, &budget.about.alerts), None, (&self.name, None)).await;
        let Ok(answer) = asked else { return known() };
        self.note(&budget.about, &place, &answer);
        let is_careful = budget.shares_out(1) && self.shared.fleet.is_careful();
        self.told_by_redis(budget, &place, (answer.spent, 0), is_careful)
    }

    async fn ask(self: &Rc<Self>, demand: &BudgetDemand<'_>, lease: &CallLease) -> BudgetAsked {
        let looks_again =
            |asked: &BudgetAsked| matches!(asked.outcome, Err(false)) && demand.cost <= demand.budget.amount;
        match &self.redis {
            None => beat::look_twice(|| ready(self.alone(demand)), looks_again, beat::GATHER).await,
            Some(redis) => beat::look_twice(|| self.together(redis, demand, lease), looks_again, beat::TOLD).await,
        }
    }

    /// The rest of a budget, as far as this process knows.
    pub(crate) fn left(&self, budget: &PreparedBudget) -> u64 {
        budget.amount.saturating_sub(self.shared.known(&self.place(budget)))
    }

    fn place(&self, budget: &PreparedBudget) -> BudgetPlace {
        // Redis's own clock decides where there is one.
        let now = if self.redis.is_some() { self.shared.now() } else { self.shared.steady_now() };
        BudgetPlace { key: budget.key, period: budget.period_at(now.div_euclid(1_000)) }
    }

    fn alone(&self, demand: &BudgetDemand<'_>) -> BudgetAsked {
        let BudgetDemand { budget, cost, .. } = demand;
        let place = self.place(budget);
        match self.shared.alone(budget, &place, *cost) {
            Ok(before) => BudgetAsked {
                told: told(budget, &place, (before, *cost)),
                outcome: Ok(reservation(demand, place, (Booked::Here, false))),
            },
            Err(spent) => BudgetAsked { told: told(budget, &place, (spent, 0)), outcome: Err(false) },
        }
    }

    async fn together(
        self: &Rc<Self>,
        redis: &RedisClient,
        demand: &BudgetDemand<'_>,
        lease: &CallLease,
    ) -> BudgetAsked {
        let BudgetDemand { budget, cost, .. } = demand;
        let mut place = self.place(budget);
        // What others spent while it was away Redis may not have heard yet.
        let is_careful = budget.shares_out(*cost) && self.shared.fleet.is_careful();
        if !is_careful
            && *cost > 0
            && let Some(asked) = self.of_lease(redis, demand, (place, lease)).await
        {
            return asked;
        }
        // By Redis's clock it may be another period: then it is asked once more.
        for _ in 0..2 {
            if is_careful && self.shared.share(budget.amount, &place, *cost).is_err() {
                return BudgetAsked { told: self.told_of_share(budget, &place), outcome: Err(false) };
            }
            // Whatever Redis does with it: if nobody reads the answer, it is given back.
            let mut guard = BudgetHolds::new(Rc::clone(self) as Rc<dyn ReservationKeeper>);
            guard.add(reservation(demand, place, (Booked::Shared(Rc::clone(&lease.call), 0), is_careful)));
            let room = budget.refuses_to_spend(*cost).then(|| budget.amount.checked_sub(*cost));
            let ask = SpendRequest { call: &lease.call, cost: *cost, room, lease: lease.millis };
            let Ok(answer) =
                self.script.ask(redis, (&place, &budget.about.alerts), Some(&ask), (&self.name, None)).await
            else {
                self.shared.fleet.was_away();
                return self.unanswered(demand, (place, lease), guard);
            };
            // It is known what has become of it.
            guard.take();
            if is_careful && answer.granted != Granted::Yes {
                self.shared.settle_share(&place, (*cost, 0));
            }
            self.note(&budget.about, &place, &answer);
            match answer.granted {
                Granted::Yes => {
                    let booked = Booked::Shared(Rc::clone(&lease.call), answer.now.saturating_add(lease.millis));
                    let before = answer.spent.saturating_sub(*cost);
                    return BudgetAsked {
                        told: self.told_by_redis(budget, &place, (before, *cost), is_careful),
                        outcome: Ok(reservation(demand, place, (booked, is_careful))),
                    };
                }
                Granted::No => {
                    let told = self.told_by_redis(budget, &place, (answer.spent, 0), is_careful);
                    return BudgetAsked { told, outcome: Err(false) };
                }
                Granted::OtherPeriod => {
                    place = self.place(budget);
                }
            }
        }
        // Two clocks that disagree about it twice within a moment: nobody can say.
        let guard = BudgetHolds::new(Rc::clone(self) as Rc<dyn ReservationKeeper>);
        self.unanswered(demand, (place, lease), guard)
    }

    /// The state of a budget by what Redis says; as long as it may not have heard of all, not more than this process's part.
    fn told_by_redis(
        &self,
        budget: &PreparedBudget,
        place: &BudgetPlace,
        (before, cost): (u64, u64),
        is_careful: bool,
    ) -> BudgetTold {
        let told = told(budget, place, (before, cost));
        if is_careful {
            let remaining = told.remaining.min(self.shared.left_of_share(budget.amount, place));
            return BudgetTold { remaining, ..told };
        }
        self.shared.heard(place, before.saturating_add(cost));
        told
    }

    /// The state of a budget of which this process has but its part.
    fn told_of_share(&self, budget: &PreparedBudget, place: &BudgetPlace) -> BudgetTold {
        let left = self.shared.left_of_share(budget.amount, place);
        told(budget, place, (budget.amount.saturating_sub(left), 0))
    }

    /// Decides without Redis. `guard` holds what Redis may have heard of it.
    fn unanswered(&self, demand: &BudgetDemand<'_>, at: (BudgetPlace, &CallLease), guard: BudgetHolds) -> BudgetAsked {
        let (BudgetDemand { budget, cost, .. }, (place, lease)) = (demand, at);
        self.shared.counts.unanswered.add();
        let known = self.shared.known(&place);
        let is_taken = match budget.on_unavailable {
            _ if !budget.refuses_to_spend(*cost) => true,
            OnUnavailable::FailOpen => true,
            OnUnavailable::FailClosed => {
                return BudgetAsked { told: told(budget, &place, (known, 0)), outcome: Err(true) };
            }
            OnUnavailable::Share if guard.is_shared_out() => true,
            OnUnavailable::Share => self.shared.share(budget.amount, &place, *cost).is_ok(),
        };
        if !is_taken {
            return BudgetAsked { told: self.told_of_share(budget, &place), outcome: Err(false) };
        }
        let is_shared_out = budget.shares_out(*cost);
        let told =
            if is_shared_out { self.told_of_share(budget, &place) } else { told(budget, &place, (known, *cost)) };
        // Under the same name: if Redis has heard of it already, it is one reservation.
        guard.take();
        let entry = Entry::Reserve { call: Rc::clone(&lease.call), cost: *cost, lease: lease.millis };
        self.tell(place, &budget.about, entry);
        let now = u64::try_from(self.shared.now()).unwrap_or_default();
        let booked = Booked::Untold(Rc::clone(&lease.call), now.saturating_add(lease.millis));
        BudgetAsked { told, outcome: Ok(reservation(demand, place, (booked, is_shared_out))) }
    }

    /// Notes what an answer says beside what was asked.
    pub(super) fn note(&self, about: &Arc<AboutBudget>, place: &BudgetPlace, answer: &SpendAnswer) {
        self.shared.set_clock(answer.now);
        self.shared.counts.expired.plus(answer.expired);
        self.shared.counts.lost.plus(answer.late);
        self.shared.alert(about, (answer.told, answer.crossed));
        if answer.granted != Granted::OtherPeriod {
            let reached = about.reached(answer.told.max(answer.crossed));
            self.shared.look_at_sum((about, place), (answer.spent, answer.at), reached);
        }
    }

    pub(super) fn tell(&self, place: BudgetPlace, about: &Arc<AboutBudget>, entry: Entry) {
        if self.batches.borrow_mut().add(place, about, entry) {
            self.teller.wake();
        } else {
            self.shared.counts.lost.add();
        }
    }

    /// Tells Redis what there is to tell, for ever.
    pub(crate) async fn run(&self) {
        let Some(redis) = &self.redis else { return };
        self.teller.run(async || self.tell_all(redis).await).await;
    }

    /// Tells what is left when the worker ends, as long as Redis answers soon. Nobody else tells by then.
    pub(crate) async fn finish(&self) {
        let Some(redis) = &self.redis else { return };
        self.end_leases(None);
        self.batches.borrow_mut().told_by_nobody();
        let telling = async {
            while !self.batches.borrow().is_told() {
                // Whatever it did: without a pause somebody who waits for nothing would let nobody else go on.
                if !self.tell_all(redis).await || !self.batches.borrow().is_told() {
                    tokio::time::sleep(beat::AGAIN).await;
                }
            }
        };
        // What Redis does not hear of stays reserved until its deadline.
        let _ = tokio::time::timeout(beat::FAREWELL, telling).await;
    }

    /// Tells one batch of each place. `false`: something was not heard.
    async fn tell_all(&self, redis: &RedisClient) -> bool {
        self.end_leases(Some(Instant::now()));
        loop {
            let all = self.batches.borrow_mut().next(Instant::now());
            if all.is_empty() {
                return true;
            }
            let telling = all.iter().map(|telling| self.tell_one(redis, telling));
            if join_all(telling).await.contains(&false) {
                return false;
            }
        }
    }

    async fn tell_one(&self, redis: &RedisClient, telling: &BatchTelling) -> bool {
        let BatchTelling { place, about, batch } = telling;
        let answer = self.script.ask(redis, (place, &about.alerts), None, (&self.name, batch.as_ref())).await;
        let heard = match &answer {
            Err(Unanswered::Away) => Heard::Nothing,
            Err(Unanswered::Refused) => Heard::Refused,
            Ok(answer) if batch.is_some() && answer.is_booked => Heard::Booked,
            Ok(answer) if batch.is_none() && answer.applied == self.batches.borrow().last_heard(place) => Heard::Booked,
            Ok(answer) => Heard::Missing(answer.applied),
        };
        match &answer {
            Ok(answer) => self.note(about, place, answer),
            Err(_) => self.shared.fleet.was_away(),
        }
        let lost = self.batches.borrow_mut().heard(telling, heard, Instant::now());
        if lost > 0 {
            tracing::warn!(lost, "Redis does not take what calls have cost: their reservations stay as they are");
        }
        self.shared.counts.lost.plus(u64::try_from(lost).unwrap_or(u64::MAX));
        answer.is_ok()
    }
}

impl ReservationKeeper for BudgetKeeper {
    fn settle(&self, reservation: &Reservation, used: u64) {
        let Reservation { place, cost, booked, about, is_shared_out, .. } = reservation;
        if *is_shared_out {
            self.shared.settle_share(place, (*cost, used));
        }
        let (call, deadline) = match booked {
            Booked::Leased(lease, call, _) if lease.settle(call, used) => return,
            Booked::Leased(_, call, deadline) => (call, *deadline),
            Booked::Here => return self.shared.settle_alone(about, place, (*cost, used)),
            Booked::Shared(call, deadline) | Booked::Untold(call, deadline) => (call, *deadline),
        };
        let entry = Entry::Settle { call: Rc::clone(call), reserved: *cost, used, deadline };
        self.tell(*place, about, entry);
    }

    fn set_aside(&self, (name, model): ([u8; 32], &str), reservations: Vec<(Reservation, u64)>) {
        let late = |(reservation, beside): &(Reservation, u64)| LateReservation::of(reservation, *beside);
        let all = LateReservations { model: model.to_owned(), all: reservations.iter().map(late).collect() };
        match (&self.redis, serde_json::to_vec(&all)) {
            (None, _) => self.shared.late().add(name, all),
            (Some(redis), Ok(text)) => redis.set(&late_key(&name), &text, LATEST),
            // They stay as they were reserved.
            (Some(_), Err(_)) => {}
        }
    }

    fn learn(&self, reservation: &Reservation, output: u64) {
        self.shared.learn(&reservation.place.key, output);
    }
}

/// The key in Redis of the reservations that are settled when the thing of this name is fetched.
fn late_key(name: &[u8; 32]) -> String {
    format!("sluicegate:{{{}}}:later", blake3::Hash::from_bytes(*name).to_hex())
}

pub(super) fn reservation(
    demand: &BudgetDemand<'_>,
    place: BudgetPlace,
    (booked, is_shared_out): (Booked, bool),
) -> Reservation {
    let BudgetDemand { budget, cost } = demand;
    Reservation {
        place,
        unit: budget.unit,
        cost: *cost,
        unpriced_is_free: budget.unpriced_is_free,
        booked,
        is_shared_out,
        about: Arc::clone(&budget.about),
    }
}

/// The state of a budget of which so much was spent, and then so much taken.
pub(super) fn told(budget: &PreparedBudget, place: &BudgetPlace, (before, cost): (u64, u64)) -> BudgetTold {
    let spent = before.saturating_add(cost);
    BudgetTold {
        unit: budget.unit,
        amount: budget.amount,
        remaining: budget.amount.saturating_sub(spent),
        until: place.period.end,
        is_shadow: budget.shadow,
        is_exceeded: spent > budget.amount,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_several_budgets_without_room_the_one_that_begins_anew_last_is_told() {
        let of =
            |remaining: Option<u64>, until: Option<i64>| BudgetRefusal { at: 0, remaining, until, lands_softly: true };
        let in_order = [of(None, Some(9)), of(Some(1), Some(3)), of(Some(1), Some(4)), of(Some(1), None)];
        for (at, one) in in_order.iter().enumerate() {
            for (other_at, other) in in_order.iter().enumerate() {
                assert_eq!(one.lasts_longer(other), at > other_at, "{one:?} {other:?}");
            }
        }
    }
}
