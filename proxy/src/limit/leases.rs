//! Room in hot limits that a worker has taken ahead of its calls: where many calls a second take of one limit, Redis is asked once for
//! several of them.
//!
//! It counts in Redis until a window after the lease's end, so that no window has more than the amount whenever
//! within the lease a call takes its part. The rest goes back at its end.

use super::heat::{AskTurn, Heat};
use super::key_map::KeyMap;
use super::pending::{Correction, SharedSlot};
use super::prepared::LimitKey;
use super::window::Terms;

/// The longest life of a lease, in microseconds.
const LONGEST: u64 = 100_000;
/// The part of a window that it lives at most: so much of a limit may stay unused for it.
const PART: u64 = 256;
/// A shorter life is not worth it, in microseconds.
const SHORTEST: u64 = 10_000;
/// The most keys that are looked at.
const MOST_KEYS: usize = 1_024;

/// A part of a limit that is to be taken ahead.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Ahead {
    /// The most of it.
    pub(super) cost: u64,
    /// Its life, in microseconds.
    pub(super) life: u64,
}

/// A part that was taken of a lease.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct LeasedPart {
    /// Its slot in Redis.
    pub(super) slot: SharedSlot,
    /// All that counts, what is left of the lease not.
    pub(super) used: u64,
    /// The time after which nothing counts.
    pub(super) empty_after: u64,
}

/// A lease.
#[derive(Debug)]
struct LimitLease {
    slot: SharedSlot,
    terms: Terms,
    left: u64,
    until: u64,
    /// All that counted when it was taken.
    used: u64,
    empty_at: u64,
}

/// One key: how often it is asked, and its lease.
#[derive(Debug, Default)]
struct HotKey {
    heat: Heat,
    lease: Option<LimitLease>,
}

/// The leases of one worker.
#[derive(Debug, Default)]
pub(super) struct LimitLeases(KeyMap<LimitKey, HotKey>);

/// The life of a lease of a limit; `None`: its window is too short.
pub(super) const fn life(span: u64) -> Option<u64> {
    let life = if span / PART < LONGEST { span / PART } else { LONGEST };
    if life < SHORTEST { None } else { Some(life) }
}

impl LimitLeases {
    /// Takes of what was taken ahead; else says how to ask for it.
    ///
    /// # Errors
    /// There is no such room.
    pub(super) fn take(
        &mut self,
        (key, terms): (&LimitKey, Terms),
        cost: u64,
        now: u64,
    ) -> Result<LeasedPart, AskTurn> {
        let Some(life) = life(terms.span) else { return Err(AskTurn::Alone) };
        if self.0.len() >= MOST_KEYS && !self.0.contains_key(key) {
            self.0.retain(|_, hot| hot.lease.is_some() || !hot.heat.is_cold(now, life));
            if self.0.len() >= MOST_KEYS {
                return Err(AskTurn::Alone);
            }
        }
        let hot = self.0.entry(*key).or_default();
        hot.heat.call(now, life);
        hot.part(terms, cost, now).ok_or_else(|| hot.heat.turn(now))
    }

    /// Takes of what somebody has asked for meanwhile.
    pub(super) fn take_now(&mut self, (key, terms): (&LimitKey, Terms), cost: u64, now: u64) -> Option<LeasedPart> {
        self.0.get_mut(key)?.part(terms, cost, now)
    }

    /// So much was taken ahead, or nothing, with a question that was asked at `now`. What was left of the lease before goes back.
    pub(super) fn begin(
        &mut self,
        (key, terms): (&LimitKey, Terms),
        (slot, left): (SharedSlot, u64),
        (used, empty_after): (u64, u64),
        (now, life): (u64, u64),
    ) -> Option<Correction> {
        let hot = self.0.entry(*key).or_default();
        if left == 0 {
            hot.heat.has_nothing_ahead(now, life);
            return None;
        }
        let empty_at = now.saturating_add(empty_after);
        let lease = LimitLease { slot, terms, left, until: now + life, used, empty_at };
        hot.lease.replace(lease).and_then(LimitLease::rest)
    }

    /// The rests of leases that have ended; they are gone then.
    pub(super) fn ended(&mut self, now: u64) -> Vec<(LimitKey, Terms, Correction)> {
        let mut ended = Vec::new();
        for (key, hot) in &mut self.0 {
            if let Some(lease) = hot.lease.take_if(|lease| lease.until <= now || lease.left == 0) {
                let terms = lease.terms;
                ended.extend(lease.rest().map(|rest| (*key, terms, rest)));
            }
        }
        ended
    }

    /// True if there is one.
    pub(super) fn is_live(&self) -> bool {
        self.0.values().any(|hot| hot.lease.is_some())
    }
}

impl HotKey {
    /// Takes of the lease, if there is room. Another amount holds at once.
    fn part(&mut self, terms: Terms, cost: u64, now: u64) -> Option<LeasedPart> {
        let lease = self.lease.as_mut().filter(|lease| now < lease.until && lease.terms == terms)?;
        lease.left = lease.left.checked_sub(cost)?;
        let used = lease.used.saturating_sub(lease.left);
        Some(LeasedPart { slot: lease.slot, used, empty_after: lease.empty_at.saturating_sub(now) })
    }
}

impl LimitLease {
    /// The rest of it, to be given back.
    fn rest(self) -> Option<Correction> {
        let left = i64::try_from(self.left).unwrap_or(i64::MAX);
        (left > 0).then_some(Correction::Of(self.slot, -left))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: LimitKey = LimitKey([7; 16]);
    const TERMS: Terms = Terms { amount: 1_000, span: 60_000_000, width: 0 };
    const SLOT: SharedSlot = SharedSlot { number: 3, from: 9 };

    #[test]
    fn the_longer_the_window_the_longer_a_lease_lives_and_in_a_short_one_there_is_none() {
        let mut leases = LimitLeases::default();
        let short = Terms { span: 1_000_000, ..TERMS };
        assert!((0..9).all(|now| matches!(leases.take((&KEY, short), 1, now), Err(AskTurn::Alone))));
        assert_eq!([life(2_000_000), life(5_120_000), life(3_600_000_000)], [None, Some(20_000), Some(100_000)]);
        // Where nothing could be taken ahead, each asks for itself for a while.
        let turns = (0..4).map(|now| leases.take((&KEY, TERMS), 2, now).unwrap_err());
        assert!(matches!(turns.last(), Some(AskTurn::ForAll(8, _))));
        assert!(leases.begin((&KEY, TERMS), (SLOT, 0), (100, 0), (3, 100_000)).is_none());
        assert!(matches!(leases.take((&KEY, TERMS), 2, 5), Err(AskTurn::Alone)));
        assert!(matches!(leases.take((&KEY, TERMS), 2, 100_005), Err(AskTurn::ForAll(..))));
    }

    #[test]
    fn a_lease_lasts_as_long_as_it_lives_and_its_rest_goes_back() {
        let mut leases = LimitLeases::default();
        assert!(leases.begin((&KEY, TERMS), (SLOT, 5), (100, 1_000), (50, 100_000)).is_none());
        let part = |used| Some(LeasedPart { slot: SLOT, used, empty_after: 990 });
        assert_eq!(leases.take((&KEY, TERMS), 2, 60).ok(), part(97));
        assert_eq!(leases.take_now((&KEY, TERMS), 2, 60), part(99));
        assert!(leases.take((&KEY, TERMS), 2, 60).is_err(), "one is left");
        assert!(leases.ended(100_049).is_empty() && leases.is_live());
        assert_eq!(leases.ended(100_050), [(KEY, TERMS, Correction::Of(SLOT, -1))]);
        assert!(!leases.is_live());
        assert!(leases.take((&KEY, TERMS), 1, 100_051).is_err());
    }

    #[test]
    fn another_amount_holds_at_once_and_another_lease_takes_its_place() {
        let mut leases = LimitLeases::default();
        leases.begin((&KEY, TERMS), (SLOT, 5), (100, 0), (0, 100_000));
        let less = Terms { amount: 100, ..TERMS };
        assert!(leases.take((&KEY, less), 1, 1).is_err());
        let next = SharedSlot { number: 4, from: 9 };
        let rest = leases.begin((&KEY, less), (next, 1), (100, 0), (2, 100_000));
        assert_eq!(rest, Some(Correction::Of(SLOT, -5)));
        assert_eq!(leases.take((&KEY, less), 1, 3).unwrap().slot, next);
        // What is used up needs no word.
        assert!(leases.ended(3).is_empty() && !leases.is_live());
    }

    #[test]
    fn no_more_keys_are_looked_at_than_there_is_room_for() {
        let mut leases = LimitLeases::default();
        let key = |number: u16| {
            let mut key = [0; 16];
            key[..2].copy_from_slice(&number.to_le_bytes());
            LimitKey(key)
        };
        for number in 0..5_000 {
            let _ = leases.take((&key(number), TERMS), 1, 0);
        }
        assert_eq!(leases.0.len(), MOST_KEYS);
        let _ = leases.take((&key(6_000), TERMS), 1, 200_000);
        assert_eq!(leases.0.len(), 1);
    }
}
