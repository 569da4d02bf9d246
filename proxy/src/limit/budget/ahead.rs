//! Reservations of hot budgets: of what was reserved ahead, or ahead of other calls too.

use std::rc::Rc;
use std::time::{Duration, Instant};

use super::super::heat::AskTurn;
use super::hold::{Booked, BudgetHolds, ReservationKeeper};
use super::keeper::{BudgetAsked, BudgetDemand, BudgetKeeper, CallLease, reservation, told};
use super::leases::{LIFE, LeaseNews, LeaseTerms};
use super::period::BudgetPlace;
use super::script::{Granted, SpendRequest};
use crate::redis::RedisClient;

/// No more than this part of what is left of a budget is reserved ahead.
const PART_AHEAD: u64 = 8;

impl BudgetKeeper {
    /// Reserves of what was reserved ahead, or ahead of other calls too; `None`: the budget is not hot, or has no such room.
    pub(super) async fn of_lease(
        self: &Rc<Self>,
        redis: &RedisClient,
        demand: &BudgetDemand<'_>,
        (place, call): (BudgetPlace, &CallLease),
    ) -> Option<BudgetAsked> {
        let BudgetDemand { budget, cost } = demand;
        let (name, now) = ((&call.call, *cost, call.millis), Instant::now());
        let at = (&place, budget.amount);
        let turn = self.leases.borrow_mut().take(at, name, now);
        let (lease, before) = match turn {
            Ok(taken) => taken,
            Err(AskTurn::Alone) => return None,
            Err(AskTurn::Wait(asking)) => {
                asking.answered().await;
                self.leases.borrow().take_now(at, name, Instant::now())?
            }
            Err(AskTurn::ForAll(calls, _asker)) => {
                if !self.take_ahead(redis, demand, (place, call), calls).await {
                    self.leases.borrow_mut().has_nothing_ahead(&place, Instant::now());
                    return None;
                }
                self.leases.borrow().take_now(at, name, Instant::now())?
            }
        };
        let deadline = u64::try_from(self.shared.now()).unwrap_or_default().saturating_add(call.millis);
        let booked = Booked::Leased(lease, Rc::clone(&call.call), deadline);
        let told = told(budget, &place, (before, *cost));
        Some(BudgetAsked { told, outcome: Ok(reservation(demand, place, (booked, false))) })
    }

    /// Reserves for a call and for so many that are expected; no more than a part of what is left, so that others find room too. `false`:
    /// there is no such room.
    async fn take_ahead(
        self: &Rc<Self>,
        redis: &RedisClient,
        BudgetDemand { budget, cost }: &BudgetDemand<'_>,
        (place, call): (BudgetPlace, &CallLease),
        calls: u64,
    ) -> bool {
        let left = budget.amount.saturating_sub(self.shared.known(&place));
        let ahead = calls.saturating_mul(*cost).min(left / PART_AHEAD);
        let Some(whole) = cost.checked_add(ahead).filter(|_| ahead >= *cost) else { return false };
        let own = self.lease(Duration::from_millis(call.millis));
        let now = Instant::now();
        // If nobody reads the answer, it is given back.
        let mut guard = BudgetHolds::new(Rc::clone(self) as Rc<dyn ReservationKeeper>);
        let reserved = BudgetDemand { budget, cost: whole };
        guard.add(reservation(&reserved, place, (Booked::Shared(Rc::clone(&own.call), 0), false)));
        let room = budget.refuses_to_spend(whole).then(|| budget.amount.checked_sub(whole));
        let ask = SpendRequest { call: &own.call, cost: whole, room, lease: own.millis };
        let asked = self.script.ask(redis, (&place, &budget.about.alerts), Some(&ask), (&self.name, None)).await;
        let Ok(answer) = asked else {
            self.shared.fleet.was_away();
            return false;
        };
        guard.take();
        self.note(&budget.about, &place, &answer);
        if answer.granted != Granted::Yes {
            return false;
        }
        self.shared.heard(&place, answer.spent);
        // By Redis's clock it is not to outlive its period.
        let end = place.period.end.and_then(|end| u64::try_from(end).ok()).map(|end| end.saturating_mul(1_000));
        let life = end.map_or(LIFE, |end| LIFE.min(Duration::from_millis(end.saturating_sub(answer.now))));
        let terms = LeaseTerms {
            name: own.call,
            about: &budget.about,
            whole,
            deadline: answer.now.saturating_add(own.millis),
            amount: budget.amount,
            spent: answer.spent,
            until: now + life,
        };
        let before = self.leases.borrow_mut().begin(&place, terms);
        self.tell_news(before);
        // Its end is looked for.
        self.teller.wake();
        true
    }

    fn tell_news(&self, news: Vec<LeaseNews>) {
        news.into_iter().for_each(|(place, about, entry)| self.tell(place, &about, entry));
    }

    /// Tells of leases that have ended, or of all; looks again soon where others live.
    pub(super) fn end_leases(&self, now: Option<Instant>) {
        let news = self.leases.borrow_mut().ended(now);
        self.tell_news(news);
        if self.leases.borrow().is_live() {
            self.teller.wake();
        }
    }
}
