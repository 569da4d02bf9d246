//! The calls of conversations that are under way in a pool, counted by a hash: it tells a conversation of one call at a time from a
//! crowd. Two conversations of one hash count as one, which costs them nothing but a stricter bound.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

/// The hashes that are told apart.
const PLACES: usize = 4_096;
/// With more calls than this at once a conversation is a crowd.
const CROWD: u32 = 4;

/// Counts of calls under way, by hash.
#[derive(Debug)]
pub struct Seats(Box<[AtomicU32]>);

impl Default for Seats {
    fn default() -> Self {
        Self((0..PLACES).map(|_| AtomicU32::new(0)).collect())
    }
}

impl Seats {
    /// Counts a call of the conversation, until what this gives is dropped.
    #[must_use]
    pub fn take(self: &Arc<Self>, key: u64) -> ConversationPlace {
        let place = usize::try_from(key % PLACES as u64).unwrap_or_default();
        let calls = self.0.get(place).map_or(0, |count| count.fetch_add(1, Relaxed).saturating_add(1));
        ConversationPlace { seats: Arc::clone(self), place, is_crowd: calls > CROWD }
    }
}

/// A call of a conversation.
#[derive(Debug)]
pub struct ConversationPlace {
    seats: Arc<Seats>,
    place: usize,
    /// True if its conversation had many calls under way when it came.
    pub is_crowd: bool,
}

impl Drop for ConversationPlace {
    fn drop(&mut self) {
        if let Some(count) = self.seats.0.get(self.place) {
            count.fetch_sub(1, Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_conversation_with_many_calls_at_once_is_a_crowd_until_they_are_over() {
        let seats = Arc::new(Seats::default());
        let taken: Vec<ConversationPlace> = (0..6).map(|_| seats.take(7)).collect();
        let crowds: Vec<bool> = taken.iter().map(|seat| seat.is_crowd).collect();
        assert_eq!(crowds, [false, false, false, false, true, true]);
        assert!(!seats.take(8).is_crowd);
        drop(taken);
        assert!(!seats.take(7).is_crowd);
    }
}
