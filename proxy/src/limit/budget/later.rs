//! Reservations that outlive their calls: of answers that are made in the background, of which it is told what they used when they are
//! fetched.

use std::collections::{HashMap, VecDeque};
use std::rc::Rc;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use sluicegate_config::compile::Period;
use sluicegate_config::{BudgetUnit, PicoUsd};
use sluicegate_dialects::hub::Usage;

use super::super::prepared::LimitKey;
use super::hold::{Booked, Reservation};
use super::period::BudgetPlace;
use super::prepared::AboutBudget;
use super::script::MOST_OF_CALL;

/// The most calls whose reservations this process keeps so, where there is no Redis; the oldest stay as they were reserved.
const MOST_CALLS: usize = 16_384;

/// A reservation of a call that is over, with all that is needed to settle it, whichever process does.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct LateReservation {
    key: [u8; 16],
    start: i64,
    end: Option<i64>,
    unit: BudgetUnit,
    cost: u64,
    /// The part that attempts used which were not the answer.
    beside: u64,
    unpriced_is_free: bool,
    /// The call's name in Redis, and the deadline there; `None`: this process counts alone.
    call: Option<(String, u64)>,
    name: String,
    identity: String,
    alerts: Vec<(u8, u64)>,
}

/// All of one call.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct LateReservations {
    /// The model that it asked for.
    pub(crate) model: String,
    pub(super) all: Vec<LateReservation>,
}

impl LateReservation {
    pub(super) fn of(reservation: &Reservation, beside: u64) -> Self {
        let Reservation { place, unit, cost, unpriced_is_free, booked, about, .. } = reservation;
        let call = match booked {
            Booked::Here => None,
            // At the end of a lease it is reserved by its own name.
            Booked::Shared(call, deadline) | Booked::Untold(call, deadline) | Booked::Leased(_, call, deadline) => {
                Some((call.to_string(), *deadline))
            }
        };
        Self {
            key: place.key.0,
            start: place.period.start,
            end: place.period.end,
            unit: *unit,
            cost: *cost,
            beside,
            unpriced_is_free: *unpriced_is_free,
            call,
            name: about.name.to_string(),
            identity: about.identity.to_string(),
            alerts: about.alerts.to_vec(),
        }
    }

    /// The part of it that was used.
    pub(super) fn used(&self, usage: Usage, cost: Option<PicoUsd>) -> u64 {
        let answer = match self.unit {
            BudgetUnit::Tokens => usage.input.saturating_add(usage.output),
            BudgetUnit::Usd => cost.map_or(if self.unpriced_is_free { 0 } else { self.cost }, |cost| cost.0),
        };
        answer.saturating_add(self.beside).min(MOST_OF_CALL)
    }

    /// The reservation as it was made.
    pub(super) fn reservation(self) -> Reservation {
        let Self { key, start, end, unit, cost, unpriced_is_free, call, name, identity, alerts, .. } = self;
        let about = AboutBudget { name: name.into(), identity: identity.into(), alerts: alerts.into() };
        Reservation {
            place: BudgetPlace { key: LimitKey(key), period: Period { start, end } },
            unit,
            cost,
            unpriced_is_free,
            booked: call.map_or(Booked::Here, |(call, deadline)| Booked::Shared(Rc::from(call), deadline)),
            is_shared_out: false,
            about: Arc::new(about),
        }
    }
}

/// Those that this process keeps, by the names of what is to be fetched.
#[derive(Debug, Default)]
pub(super) struct LateCalls {
    all: HashMap<[u8; 32], LateReservations>,
    order: VecDeque<[u8; 32]>,
}

impl LateCalls {
    pub(super) fn add(&mut self, name: [u8; 32], reservations: LateReservations) {
        if self.all.insert(name, reservations).is_none() {
            self.order.push_back(name);
        }
        while self.order.len() > MOST_CALLS {
            let oldest = self.order.pop_front();
            oldest.into_iter().for_each(|oldest| drop(self.all.remove(&oldest)));
        }
    }

    /// Takes one out: whoever has it settles it, and nobody else.
    pub(super) fn take(&mut self, name: &[u8; 32]) -> Option<LateReservations> {
        let found = self.all.remove(name)?;
        self.order.retain(|other| other != name);
        Some(found)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn late(unit: BudgetUnit) -> LateReservation {
        let about = AboutBudget { name: "n".into(), identity: "i".into(), alerts: Box::new([(50, 5)]) };
        let reservation = Reservation {
            place: BudgetPlace { key: LimitKey([7; 16]), period: Period { start: 3, end: Some(9) } },
            unit,
            cost: 100,
            unpriced_is_free: false,
            booked: Booked::Shared("call".into(), 77),
            is_shared_out: true,
            about: Arc::new(about),
        };
        LateReservation::of(&reservation, 5)
    }

    #[test]
    fn a_reservation_is_kept_as_it_was_made_and_settled_by_what_was_used() {
        let usage = Usage { input: 30, output: 4, ..Usage::default() };
        assert_eq!(late(BudgetUnit::Usd).used(usage, Some(PicoUsd(60))), 65);
        assert_eq!(late(BudgetUnit::Usd).used(usage, None), 105);
        assert_eq!(late(BudgetUnit::Tokens).used(usage, None), 39);
        let kept = LateReservations { model: "m".to_owned(), all: vec![late(BudgetUnit::Usd)] };
        let text = serde_json::to_string(&kept).unwrap();
        let LateReservations { model, mut all } = serde_json::from_str(&text).unwrap();
        assert_eq!(model, "m");
        let read = all.pop().unwrap().reservation();
        assert_eq!((read.place.key.0, read.place.period.start, read.cost), ([7; 16], 3, 100));
        assert!(matches!(read.booked, Booked::Shared(call, 77) if &*call == "call"));
        assert_eq!((&*read.about.name, &*read.about.alerts), ("n", &[(50, 5)][..]));
    }

    #[test]
    fn each_is_taken_once_and_they_are_bounded() {
        let mut calls = LateCalls::default();
        let name = |number: usize| {
            let mut name = [0; 32];
            name[..8].copy_from_slice(&number.to_le_bytes());
            name
        };
        (0..=MOST_CALLS).for_each(|number| calls.add(name(number), LateReservations::default()));
        assert!(calls.take(&name(0)).is_none() && calls.take(&name(1)).is_some() && calls.take(&name(1)).is_none());
        assert_eq!((calls.all.len(), calls.order.len()), (MOST_CALLS - 1, MOST_CALLS - 1));
    }
}
