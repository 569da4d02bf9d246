//! Pools whose number of routes changes: told once it has come to rest, or has waited for long enough.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use sluicegate_config::ObjectId;

/// A number that did not change for this long is told.
const REST: Duration = Duration::from_millis(500);
/// One that does not come to rest is told this often: while routes come by the hundred, each number would be old when it
/// is written.
const LONGEST: Duration = Duration::from_secs(10);

/// What waits. Bounded by the number of pools.
#[derive(Debug, Default)]
pub(super) struct Recounts(HashMap<ObjectId, Recount>);

#[derive(Debug)]
struct Recount {
    first: Instant,
    last: Instant,
}

impl Recount {
    fn due(&self) -> Instant {
        (self.last + REST).min(self.first + LONGEST)
    }
}

impl Recounts {
    /// A pool's number has changed.
    pub(super) fn note(&mut self, pool: ObjectId, now: Instant) {
        self.0.entry(pool).or_insert(Recount { first: now, last: now }).last = now;
    }

    /// Takes out those whose time has come.
    pub(super) fn take(&mut self, now: Instant) -> Vec<ObjectId> {
        self.0.extract_if(|_, recount| recount.due() <= now).map(|(pool, _)| pool).collect()
    }

    /// When the time of the next one comes.
    pub(super) fn due(&self) -> Option<Instant> {
        self.0.values().map(Recount::due).min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_told_when_it_rests_and_at_the_latest_after_a_while() {
        let (pool, start) = (ObjectId("a/p".to_owned()), Instant::now());
        let mut recounts = Recounts::default();
        assert_eq!(recounts.due(), None);
        recounts.note(pool.clone(), start);
        recounts.note(pool.clone(), start + REST / 2);
        assert_eq!(recounts.due(), Some(start + REST / 2 + REST));
        assert!(recounts.take(start + REST).is_empty());
        assert_eq!(recounts.take(start + REST * 2), std::slice::from_ref(&pool));
        assert_eq!(recounts.due(), None);
        // It never rests.
        let mut now = start;
        while recounts.take(now).is_empty() {
            recounts.note(pool.clone(), now);
            now += REST / 2;
        }
        assert_eq!(now, start + LONGEST);
    }
}
