//! Room in budgets that a worker has reserved ahead of its calls: where many calls a second reserve of one budget, Redis is asked once for
//! several of them.
//!
//! A lease is a reservation like a call's, by a name of its own. While it is open, calls reserve of it and are settled in it, and Redis hears
//! nothing of them. At its end it is settled by what they have used, and those that are still under way are reserved by their own names, all of
//! which Redis is told together. A proxy that dies leaves the lease behind as it would leave their reservations.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::super::heat::{AskTurn, Heat};
use super::super::key_map::KeyMap;
use super::batches::Entry;
use super::period::BudgetPlace;
use super::prepared::AboutBudget;

/// The life of a lease.
pub(super) const LIFE: Duration = Duration::from_millis(100);
/// The same in microseconds.
const LIFE_MICROS: u64 = 100_000;
/// The most places that are looked at.
const MOST_PLACES: usize = 1_024;

/// A lease of a budget within one period.
#[derive(Debug)]
pub(super) struct BudgetLease {
    /// The name of its reservation.
    name: Rc<str>,
    place: BudgetPlace,
    about: Arc<AboutBudget>,
    /// All that it reserved.
    whole: u64,
    /// Redis's clock, in milliseconds, when nobody settles it any more.
    deadline: u64,
    book: RefCell<LeaseBook>,
}

/// The fate of it so far.
#[derive(Debug)]
struct LeaseBook {
    is_open: bool,
    until: Instant,
    /// The amount of the budget when it was taken.
    amount: u64,
    left: u64,
    /// All that was spent or reserved when it was taken, with it.
    spent: u64,
    /// The sum of what calls have used that are over.
    used: u64,
    /// The calls that are under way: what each has reserved, and for how many milliseconds that stands.
    calls: HashMap<Rc<str>, (u64, u64)>,
}

/// The terms of a new lease.
pub(super) struct LeaseTerms<'a> {
    pub(super) name: Rc<str>,
    pub(super) about: &'a Arc<AboutBudget>,
    pub(super) whole: u64,
    pub(super) deadline: u64,
    pub(super) amount: u64,
    /// All that is spent or reserved, with it.
    pub(super) spent: u64,
    pub(super) until: Instant,
}

/// One place: how often it is asked, and its lease.
#[derive(Debug, Default)]
struct HotBudget {
    heat: Heat,
    lease: Option<Rc<BudgetLease>>,
}

/// The leases of one worker.
#[derive(Debug)]
pub(super) struct BudgetLeases {
    places: KeyMap<BudgetPlace, HotBudget>,
    begun: Instant,
}

/// A call that would reserve: its name, its cost, and for how many milliseconds its reservation stands.
pub(super) type LeasedCall<'a> = (&'a Rc<str>, u64, u64);

/// Something of a lease that Redis is to be told.
pub(super) type LeaseNews = (BudgetPlace, Arc<AboutBudget>, Entry);

impl Default for BudgetLeases {
    fn default() -> Self {
        Self { places: KeyMap::default(), begun: Instant::now() }
    }
}

impl BudgetLeases {
    /// Reserves of what was reserved ahead, and says what was spent before; else how to ask for it.
    ///
    /// # Errors
    /// There is no such room.
    pub(super) fn take(
        &mut self,
        (place, amount): (&BudgetPlace, u64),
        call: LeasedCall<'_>,
        now: Instant,
    ) -> Result<(Rc<BudgetLease>, u64), AskTurn> {
        let at = self.micros(now);
        if self.places.len() >= MOST_PLACES && !self.places.contains_key(place) {
            self.places.retain(|_, hot| hot.lease.is_some() || !hot.heat.is_cold(at, LIFE_MICROS));
            if self.places.len() >= MOST_PLACES {
                return Err(AskTurn::Alone);
            }
        }
        let hot = self.places.entry(*place).or_default();
        hot.heat.call(at, LIFE_MICROS);
        hot.part(amount, call, now).ok_or_else(|| hot.heat.turn(at))
    }

    /// Reserves of what somebody has asked for meanwhile.
    pub(super) fn take_now(
        &self,
        (place, amount): (&BudgetPlace, u64),
        call: LeasedCall<'_>,
        now: Instant,
    ) -> Option<(Rc<BudgetLease>, u64)> {
        self.places.get(place)?.part(amount, call, now)
    }

    /// Nothing was reserved ahead.
    pub(super) fn has_nothing_ahead(&mut self, place: &BudgetPlace, now: Instant) {
        let at = self.micros(now);
        self.places.get_mut(place).into_iter().for_each(|hot| hot.heat.has_nothing_ahead(at, LIFE_MICROS));
    }

    /// So much was reserved ahead. What is to be told of the lease before it comes along.
    pub(super) fn begin(&mut self, place: &BudgetPlace, terms: LeaseTerms<'_>) -> Vec<LeaseNews> {
        let LeaseTerms { name, about, whole, deadline, amount, spent, until } = terms;
        let book = LeaseBook { is_open: true, until, amount, left: whole, spent, used: 0, calls: HashMap::new() };
        let (place, about) = (*place, Arc::clone(about));
        let lease = Rc::new(BudgetLease { name, place, about, whole, deadline, book: RefCell::new(book) });
        let hot = self.places.entry(place).or_default();
        hot.lease.replace(lease).map(|before| before.end()).unwrap_or_default()
    }

    /// The news of leases that have ended, or of all of them.
    pub(super) fn ended(&mut self, now: Option<Instant>) -> Vec<LeaseNews> {
        let is_over = |lease: &mut Rc<BudgetLease>| now.is_none_or(|now| lease.book.borrow().until <= now);
        let over = self.places.values_mut().filter_map(|hot| hot.lease.take_if(is_over));
        over.flat_map(|lease| lease.end()).collect()
    }

    /// True if there is one.
    pub(super) fn is_live(&self) -> bool {
        self.places.values().any(|hot| hot.lease.is_some())
    }

    fn micros(&self, now: Instant) -> u64 {
        u64::try_from(now.saturating_duration_since(self.begun).as_micros()).unwrap_or(u64::MAX)
    }
}

impl HotBudget {
    fn part(&self, amount: u64, call: LeasedCall<'_>, now: Instant) -> Option<(Rc<BudgetLease>, u64)> {
        let lease = self.lease.as_ref()?;
        Some((Rc::clone(lease), lease.take(amount, call, now)?))
    }
}

impl BudgetLease {
    /// Reserves of it, if there is room: what was spent before.
    pub(super) fn take(&self, amount: u64, (call, cost, millis): LeasedCall<'_>, now: Instant) -> Option<u64> {
        let mut book = self.book.borrow_mut();
        // Another amount holds at once.
        if !book.is_open || now >= book.until || book.amount != amount {
            return None;
        }
        let before = book.spent.saturating_sub(book.left);
        book.left = book.left.checked_sub(cost)?;
        book.calls.insert(Rc::clone(call), (cost, millis));
        Some(before)
    }

    /// A call of it has used so much. `false`: it is closed, and the call has a reservation of its own.
    pub(super) fn settle(&self, call: &Rc<str>, used: u64) -> bool {
        let mut book = self.book.borrow_mut();
        if !book.is_open {
            return false;
        }
        if let Some((cost, _)) = book.calls.remove(call) {
            book.used = book.used.saturating_add(used);
            book.left = book.left.saturating_add(cost.saturating_sub(used));
        }
        true
    }

    /// Closes it: calls that are under way are reserved by their own names, and then it is settled by what the others have used.
    fn end(&self) -> Vec<LeaseNews> {
        let mut book = self.book.borrow_mut();
        book.is_open = false;
        let own = std::mem::take(&mut book.calls).into_iter().map(|(call, (cost, lease))| Entry::Reserve {
            call,
            cost,
            lease,
        });
        let (call, reserved, used, deadline) = (Rc::clone(&self.name), self.whole, book.used, self.deadline);
        let settled = Entry::Settle { call, reserved, used, deadline };
        own.chain([settled]).map(|entry| (self.place, Arc::clone(&self.about), entry)).collect()
    }
}

#[cfg(test)]
mod tests {
    use sluicegate_config::compile::Period;

    use super::super::super::prepared::LimitKey;
    use super::*;

    const PLACE: BudgetPlace = BudgetPlace { key: LimitKey([1; 16]), period: Period { start: 0, end: None } };

    fn about() -> Arc<AboutBudget> {
        Arc::new(AboutBudget { name: "b".into(), identity: "b".into(), alerts: Box::default() })
    }

    fn call(number: u32) -> Rc<str> {
        number.to_string().into()
    }

    fn begin(leases: &mut BudgetLeases, name: &str, whole: u64, until: Instant) -> Vec<LeaseNews> {
        let terms =
            LeaseTerms { name: name.into(), about: &about(), whole, deadline: 77, amount: 1_000, spent: 400, until };
        leases.begin(&PLACE, terms)
    }

    fn told(news: Vec<LeaseNews>) -> Vec<Entry> {
        news.into_iter().map(|(_, _, entry)| entry).collect()
    }

    #[test]
    fn calls_reserve_of_a_lease_and_redis_hears_of_those_that_outlive_it() {
        let (mut leases, now) = (BudgetLeases::default(), Instant::now());
        assert!(begin(&mut leases, "lease", 100, now + LIFE).is_empty());
        let take = |leases: &mut BudgetLeases, number: u32, cost: u64| {
            leases.take((&PLACE, 1_000), (&call(number), cost, 9_000), now)
        };
        let (lease, before) = take(&mut leases, 1, 60).unwrap();
        assert_eq!(before, 300);
        assert_eq!(take(&mut leases, 2, 40).unwrap().1, 360);
        assert!(take(&mut leases, 3, 1).is_err(), "nothing is left");
        // What a call has not used another one may reserve.
        assert!(lease.settle(&call(1), 25));
        assert!(take(&mut leases, 3, 35).is_ok());
        assert!(lease.settle(&call(3), 50), "more than it had reserved");
        let end = told(leases.ended(Some(now + LIFE)));
        let own = Entry::Reserve { call: call(2), cost: 40, lease: 9_000 };
        assert_eq!(end, [own, Entry::Settle { call: "lease".into(), reserved: 100, used: 75, deadline: 77 }]);
        assert!(!lease.settle(&call(2), 40), "it has a reservation of its own by now");
        assert!(!leases.is_live() && leases.ended(None).is_empty());
    }

    #[test]
    fn a_lease_gives_way_to_the_next_and_holds_for_its_amount_and_its_time_alone() {
        let (mut leases, now) = (BudgetLeases::default(), Instant::now());
        begin(&mut leases, "one", 100, now + LIFE);
        assert!(leases.take((&PLACE, 999), (&call(1), 1, 0), now).is_err());
        assert!(leases.take((&PLACE, 1_000), (&call(1), 1, 0), now + LIFE).is_err());
        assert!(leases.ended(Some(now)).is_empty() && leases.is_live());
        let news = begin(&mut leases, "two", 5, now + LIFE);
        assert_eq!(told(news), [Entry::Settle { call: "one".into(), reserved: 100, used: 0, deadline: 77 }]);
        assert_eq!(told(leases.ended(None)).len(), 1, "at the end of a worker all of them are told");
    }

    #[test]
    fn where_nothing_could_be_reserved_ahead_each_asks_for_itself_for_a_while() {
        let (mut leases, now) = (BudgetLeases::default(), Instant::now());
        let turn = |leases: &mut BudgetLeases, after: u64| {
            leases.take((&PLACE, 1_000), (&call(1), 1, 0), now + Duration::from_millis(after)).unwrap_err()
        };
        assert!((0..3).all(|after| matches!(turn(&mut leases, after), AskTurn::Alone)));
        assert!(matches!(turn(&mut leases, 3), AskTurn::ForAll(8, _)));
        leases.has_nothing_ahead(&PLACE, now + Duration::from_millis(3));
        assert!(matches!(turn(&mut leases, 4), AskTurn::Alone));
        assert!(matches!(turn(&mut leases, 103), AskTurn::ForAll(..)));
    }
}
