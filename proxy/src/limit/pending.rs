//! The things that a worker has still to tell Redis: what calls used of what they took, and what was taken while Redis was away. Bounded: what
//! does not fit stays as it was counted, which is on the safe side.

use super::key_map::KeyMap;
use super::prepared::LimitKey;
use super::window::Terms;

/// The most keys of which something is to be told, and corrections of one.
const MOST_KEYS: usize = 8_192;
const MOST_CORRECTIONS: usize = 64;

/// A slot in Redis.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct SharedSlot {
    pub(super) number: u64,
    /// The time of its first part: a slot that was lost with a master has another one than the one that takes its number.
    pub(super) from: u64,
}

/// Something that is to be told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Correction {
    /// So much more or less was used than was taken from a slot.
    Of(SharedSlot, i64),
    /// So much was taken without asking.
    New(u64),
}

/// All that is to be told of one key.
#[derive(Debug)]
pub(super) struct PendingKey {
    pub(super) terms: Terms,
    pub(super) corrections: Vec<Correction>,
    /// The time since when it is to be told: when it would count no longer, nobody need know it.
    pub(super) since: u64,
}

/// All that is to be told.
#[derive(Debug, Default)]
pub(super) struct Pending(KeyMap<LimitKey, PendingKey>);

impl Pending {
    /// Adds something. `false`: there is no room for it.
    pub(super) fn add(&mut self, (key, terms): (LimitKey, Terms), correction: Correction, now: u64) -> bool {
        if self.0.len() >= MOST_KEYS && !self.0.contains_key(&key) {
            return false;
        }
        let fresh = || PendingKey { terms, corrections: Vec::new(), since: now };
        let pending = self.0.entry(key).or_insert_with(fresh);
        pending.terms = terms;
        for known in &mut pending.corrections {
            match (known, correction) {
                (Correction::Of(slot, sum), Correction::Of(other, change)) if *slot == other => {
                    *sum = sum.saturating_add(change);
                    return true;
                }
                (Correction::New(sum), Correction::New(more)) => {
                    *sum = sum.saturating_add(more);
                    return true;
                }
                _ => {}
            }
        }
        if pending.corrections.len() >= MOST_CORRECTIONS {
            return false;
        }
        pending.corrections.push(correction);
        true
    }

    /// Takes back some of what was taken without asking, as long as nobody was told.
    pub(super) fn take_back(&mut self, key: &LimitKey, less: u64) {
        let corrections = self.0.get_mut(key).into_iter().flat_map(|pending| &mut pending.corrections);
        for correction in corrections {
            if let Correction::New(sum) = correction {
                *sum = sum.saturating_sub(less);
            }
        }
    }

    /// The use of a key by calls, to be told on the way. What was taken without asking stays: whoever asks on the way may leave before
    /// there is an answer.
    pub(super) fn on_the_way(&mut self, key: &LimitKey) -> Vec<Correction> {
        let Some(pending) = self.0.get_mut(key) else { return Vec::new() };
        let (told, stay) =
            std::mem::take(&mut pending.corrections).into_iter().partition(|one| matches!(one, Correction::Of(..)));
        pending.corrections = stay;
        if pending.corrections.is_empty() {
            self.0.remove(key);
        }
        told
    }

    /// All of it.
    pub(super) fn take(&mut self) -> KeyMap<LimitKey, PendingKey> {
        std::mem::take(&mut self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TERMS: Terms = Terms { amount: 1, span: 1, width: 0 };

    #[test]
    fn what_is_of_one_slot_is_told_once_and_all_of_it_is_bounded() {
        let mut pending = Pending::default();
        let key = |number: usize| (LimitKey((number as u128).to_le_bytes()), TERMS);
        let slot = |number: u64| SharedSlot { number, from: 0 };
        assert!(
            pending.add(key(0), Correction::Of(slot(1), -5), 0) && pending.add(key(0), Correction::Of(slot(1), 2), 0)
        );
        assert!(pending.add(key(0), Correction::New(7), 0) && pending.add(key(0), Correction::New(1), 0));
        pending.take_back(&key(0).0, 3);
        assert_eq!(pending.on_the_way(&key(0).0), [Correction::Of(slot(1), -3)]);
        assert_eq!(pending.take().remove(&key(0).0).unwrap().corrections, [Correction::New(5)]);
        assert!(pending.0.is_empty());
        let slots = (0..1_000).filter(|at| pending.add(key(0), Correction::Of(slot(*at), -1), 0));
        assert_eq!(slots.count(), MOST_CORRECTIONS);
        assert_eq!((0..10_000).filter(|at| pending.add(key(*at), Correction::New(1), 0)).count(), MOST_KEYS - 1);
    }
}
