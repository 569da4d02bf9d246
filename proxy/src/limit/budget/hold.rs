//! The reservations that a call has made of budgets, until they are settled.

use std::fmt;
use std::rc::Rc;
use std::sync::Arc;

use sluicegate_config::BudgetUnit;

use super::super::money;
use super::leases::BudgetLease;
use super::period::BudgetPlace;
use super::prepared::AboutBudget;
use super::script::MOST_OF_CALL;
use crate::account::{Costs, Settlement};

/// A reservation.
#[derive(Debug, Clone)]
pub(super) struct Reservation {
    pub(super) place: BudgetPlace,
    pub(super) unit: BudgetUnit,
    pub(super) cost: u64,
    /// An answer whose cost nobody knows counts as nothing; else as it was reserved.
    pub(super) unpriced_is_free: bool,
    pub(super) booked: Booked,
    /// True if it counts within this process's part of what was left, too.
    pub(super) is_shared_out: bool,
    pub(super) about: Arc<AboutBudget>,
}

/// The place where it is booked.
#[derive(Debug, Clone)]
pub(super) enum Booked {
    /// In this process, which counts alone.
    Here,
    /// In Redis, under the call's name, until its deadline by Redis's clock; 0: nobody knows that it is.
    Shared(Rc<str>, u64),
    /// In a lease, by the call's name; the deadline as far as this process knows Redis's clock.
    Leased(Rc<BudgetLease>, Rc<str>, u64),
    /// It went on without Redis, and Redis is told; the deadline as far as this process knows Redis's clock.
    Untold(Rc<str>, u64),
}

/// The keeper that reservations are given back to.
pub(super) trait ReservationKeeper {
    /// So much of it was used.
    fn settle(&self, reservation: &Reservation, used: u64);

    /// They are settled later, by whoever knows what the thing of this name used, which is by this model.
    /// Each is beside what other attempts used.
    fn set_aside(&self, what: ([u8; 32], &str), reservations: Vec<(Reservation, u64)>);

    /// A call's answer had so many tokens.
    fn learn(&self, reservation: &Reservation, output: u64);
}

/// All that a call has reserved.
pub(crate) struct BudgetHolds {
    keeper: Rc<dyn ReservationKeeper>,
    reservations: Vec<Reservation>,
}

impl fmt::Debug for BudgetHolds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("BudgetHolds").field(&self.reservations).finish()
    }
}

impl BudgetHolds {
    pub(super) fn new(keeper: Rc<dyn ReservationKeeper>) -> Self {
        Self { keeper, reservations: Vec::new() }
    }

    pub(super) fn add(&mut self, reservation: Reservation) {
        self.reservations.push(reservation);
    }

    /// The reservations are what is left of it.
    pub(super) fn take(mut self) -> Vec<Reservation> {
        std::mem::take(&mut self.reservations)
    }

    /// True if one of them counts within this process's part of what was left.
    pub(super) fn is_shared_out(&self) -> bool {
        self.reservations.iter().any(|reservation| reservation.is_shared_out)
    }

    /// The call is over, and nobody knows yet what its answer uses, which has this name and is by this model.
    pub(crate) fn set_aside(mut self, what: ([u8; 32], &str), costs: Costs) {
        let beside = |reservation: Reservation| {
            let used = used(&reservation, Settlement::Used(None), costs);
            (reservation, used)
        };
        let all = std::mem::take(&mut self.reservations).into_iter().map(beside).collect();
        self.keeper.set_aside(what, all);
    }

    /// The call is over.
    pub(crate) fn settle(mut self, by: Settlement, costs: Costs) {
        for reservation in std::mem::take(&mut self.reservations) {
            self.keeper.settle(&reservation, used(&reservation, by, costs));
            // Of one that was left before it began to answer nothing is learnt of answers; nor of the results of a batch, which are many
            // answers, and reserve nothing.
            if let Settlement::Used(Some(usage)) = by
                && usage.output > 0
                && reservation.cost > 0
            {
                self.keeper.learn(&reservation, usage.output);
            }
        }
    }
}

impl Drop for BudgetHolds {
    fn drop(&mut self) {
        for reservation in std::mem::take(&mut self.reservations) {
            self.keeper.settle(&reservation, 0);
        }
    }
}

/// So much of it was used, by all attempts of the call together. What nobody knows the usage of counts as it was reserved.
fn used(reservation: &Reservation, by: Settlement, costs: Costs) -> u64 {
    let Reservation { unit, cost, unpriced_is_free, .. } = reservation;
    let used = match (unit, by) {
        (BudgetUnit::Usd, by) => money::used(*cost, *unpriced_is_free, by, costs),
        (BudgetUnit::Tokens, Settlement::Unasked) => 0,
        (BudgetUnit::Tokens, by) => {
            let answer = match by {
                Settlement::Used(Some(usage)) => usage.input.saturating_add(usage.output),
                Settlement::Unknown => *cost,
                _ => 0,
            };
            let unknown = cost.saturating_mul(costs.others_unknown.into());
            answer.saturating_add(costs.others_tokens).saturating_add(unknown)
        }
    };
    used.min(MOST_OF_CALL)
}
