//! A sliding window in one process: what was taken, and when it leaves. Bounded, exact or on the safe side: never more than the
//! amount within any window.
//!
//! All that is taken within a short while is kept as one slot, which leaves when its last part does. So slots make a window longer by
//! their width at most, and never shorter. The script of Redis does the same.

use std::collections::VecDeque;

/// The most slots of a window, however small the width. Beyond it they grow.
const MOST_SLOTS: usize = 256;

/// The terms that a window is held to. Times are in microseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Terms {
    /// The most within the span.
    pub(super) amount: u64,
    /// The time for which what was taken counts.
    pub(super) span: u64,
    /// The time within which all that is taken may be one slot; 0: nothing is.
    pub(super) width: u64,
}

#[derive(Debug, Clone, Copy)]
struct Slot {
    from: u64,
    last: u64,
    count: u64,
}

/// A part that was taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct TakenSlot {
    /// The number of its slot, to correct it by.
    pub(super) slot: u64,
    /// All that counts now.
    pub(super) used: u64,
}

/// There is no room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Full {
    /// All that counts now.
    pub(super) used: u64,
    /// The time after which there is room, if nobody else takes it; `None`: there never is.
    pub(super) after: Option<u64>,
}

/// A sliding window.
#[derive(Debug, Default)]
pub(super) struct SlidingWindow {
    slots: VecDeque<Slot>,
    /// The number of the first slot. Numbers are never used twice, not even by a window that takes another's place: they begin at the
    /// time.
    first: u64,
    used: u64,
}

impl SlidingWindow {
    /// One in which nothing counts.
    pub(super) fn new(now: u64) -> Self {
        Self { slots: VecDeque::new(), first: now, used: 0 }
    }

    /// All that counts now.
    pub(super) fn used(&mut self, now: u64, span: u64) -> u64 {
        while let Some(slot) = self.slots.front().filter(|slot| slot.last.saturating_add(span) <= now) {
            self.used = self.used.saturating_sub(slot.count);
            self.slots.pop_front();
            self.first += 1;
        }
        self.used
    }

    /// Takes, if there is room.
    pub(super) fn take(&mut self, cost: u64, terms: Terms, now: u64) -> Result<TakenSlot, Full> {
        let used = self.used(now, terms.span);
        if used.saturating_add(cost) > terms.amount {
            return Err(Full { used, after: self.room_after(cost, terms, now) });
        }
        Ok(self.charge(cost, terms, now))
    }

    /// Takes, whether there is room or not.
    pub(super) fn charge(&mut self, cost: u64, terms: Terms, now: u64) -> TakenSlot {
        self.used(now, terms.span);
        let full = self.slots.len() >= MOST_SLOTS;
        match self.slots.back_mut() {
            Some(slot) if full || now.saturating_sub(slot.from) < terms.width => {
                slot.last = slot.last.max(now);
                slot.count = slot.count.saturating_add(cost);
            }
            _ => self.slots.push_back(Slot { from: now, last: now, count: cost }),
        }
        self.used = self.used.saturating_add(cost);
        let slot = self.first + u64::try_from(self.slots.len().saturating_sub(1)).unwrap_or_default();
        TakenSlot { slot, used: self.used }
    }

    /// A part that was taken turns out to be another number. More of it counts from now on.
    pub(super) fn correct(&mut self, slot: u64, (before, after): (u64, u64), terms: Terms, now: u64) {
        self.used(now, terms.span);
        if after > before {
            self.charge(after - before, terms, now);
            return;
        }
        let at = slot.checked_sub(self.first).and_then(|at| usize::try_from(at).ok());
        if let Some(slot) = at.and_then(|at| self.slots.get_mut(at)) {
            let less = (before - after).min(slot.count);
            slot.count -= less;
            self.used = self.used.saturating_sub(less);
        }
    }

    /// The time since the earliest moment of which something still counts.
    pub(super) fn taken_since(&self, since: u64) -> u64 {
        self.slots.iter().rev().take_while(|slot| slot.last >= since).map(|slot| slot.count).sum()
    }

    /// The time until nothing counts.
    pub(super) fn empty_after(&self, now: u64, span: u64) -> u64 {
        self.slots.back().map_or(0, |slot| slot.last.saturating_add(span).saturating_sub(now))
    }

    fn room_after(&self, cost: u64, terms: Terms, now: u64) -> Option<u64> {
        let mut left = self.used.saturating_add(cost).checked_sub(terms.amount)?;
        if cost > terms.amount {
            return None;
        }
        for slot in &self.slots {
            left = left.saturating_sub(slot.count);
            if left == 0 {
                return Some(slot.last.saturating_add(terms.span).saturating_sub(now));
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const TERMS: Terms = Terms { amount: 3, span: 1_000, width: 0 };

    #[test]
    fn what_was_taken_leaves_when_its_time_is_over() {
        let mut window = SlidingWindow::new(7);
        for now in [0, 10, 20] {
            assert_eq!(window.take(1, TERMS, now).map(|taken| taken.slot), Ok(7 + now / 10));
        }
        assert_eq!(window.take(1, TERMS, 30), Err(Full { used: 3, after: Some(970) }));
        assert_eq!(window.take(2, TERMS, 30), Err(Full { used: 3, after: Some(980) }));
        assert_eq!(window.take(4, TERMS, 30), Err(Full { used: 3, after: None }));
        assert_eq!(window.take(1, TERMS, 999), Err(Full { used: 3, after: Some(1) }));
        assert_eq!(window.take(1, TERMS, 1_000), Ok(TakenSlot { slot: 10, used: 3 }));
        assert_eq!((window.taken_since(1_000), window.empty_after(1_500, 1_000)), (1, 500));
    }

    #[test]
    fn what_was_taken_is_corrected_in_its_slot_and_nowhere_else() {
        let terms = Terms { amount: 100, ..TERMS };
        let mut window = SlidingWindow::new(0);
        let first = window.take(50, terms, 0).unwrap();
        let second = window.take(50, terms, 500).unwrap();
        window.correct(first.slot, (50, 20), terms, 600);
        assert_eq!(window.used(600, terms.span), 70);
        window.correct(second.slot, (50, 80), terms, 700);
        assert_eq!(window.used(700, terms.span), 100, "overdrawn, from now on");
        assert_eq!(window.used(1_000, terms.span), 80);
        window.correct(first.slot, (50, 0), terms, 1_001);
        assert_eq!(window.used(1_001, terms.span), 80, "gone already");
        assert_eq!(window.used(1_699, terms.span), 30);
        assert_eq!(window.used(1_700, terms.span), 0);
    }

    #[test]
    fn a_smaller_amount_holds_at_once_and_a_larger_one_is_not_given_twice() {
        let mut window = SlidingWindow::new(0);
        assert!((0..3).all(|now| window.take(1, TERMS, now).is_ok()));
        assert!(window.take(1, Terms { amount: 2, ..TERMS }, 10).is_err());
        let larger = Terms { amount: 5, ..TERMS };
        assert_eq!((0..5).filter(|now| window.take(1, larger, 20 + now).is_ok()).count(), 2);
    }

    proptest! {
        /// Whatever comes when: within no window more than the amount is taken, and the memory is bounded.
        #[test]
        fn never_more_than_the_amount_within_any_window(
            calls in prop::collection::vec((0_u64..400, 1_u64..20), 1..600),
            amount in 1_u64..200,
            width in prop::sample::select(vec![0_u64, 10, 100]),
        ) {
            let terms = Terms { amount, span: 2_000, width };
            let (mut window, mut now, mut taken) = (SlidingWindow::new(0), 0, Vec::new());
            for (pause, cost) in calls {
                now += pause;
                if window.take(cost, terms, now).is_ok() {
                    taken.push((now, cost));
                }
                prop_assert!(window.slots.len() <= MOST_SLOTS);
            }
            for (at, _) in &taken {
                let within = taken.iter().filter(|(other, _)| (*at..at + terms.span).contains(other));
                prop_assert!(within.map(|(_, cost)| cost).sum::<u64>() <= amount);
            }
        }
    }
}
