//! Pools whose number of routes changes: told once it has come to rest, or has waited for long enough.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use crate::world::Key;

/// A number that did not change for this long is told.
const REST: Duration = Duration::from_millis(500);
/// One that does not come to rest is told this often: while routes come by the hundred, each number would be old when it
/// is written.
const LONGEST: Duration = Duration::from_secs(10);

/// The pools that wait. Bounded by the number of pools.
#[derive(Debug, Default)]
pub(super) struct AttachedRoutesRefresh(HashMap<Key, PendingRefresh>);

#[derive(Debug)]
struct PendingRefresh {
    first: Instant,
    last: Instant,
}

impl PendingRefresh {
    fn due(&self) -> Instant {
        (self.last + REST).min(self.first + LONGEST)
    }
}

impl AttachedRoutesRefresh {
    /// A pool's number has changed.
    pub(super) fn note(&mut self, pool: Key, now: Instant) {
        self.0.entry(pool).or_insert(PendingRefresh { first: now, last: now }).last = now;
    }

    /// Takes out those whose time has come.
    pub(super) fn take(&mut self, now: Instant) -> Vec<Key> {
        self.0.extract_if(|_, pending| pending.due() <= now).map(|(pool, _)| pool).collect()
    }

    /// The time of the next one.
    pub(super) fn due(&self) -> Option<Instant> {
        self.0.values().map(PendingRefresh::due).min()
    }
}

#[cfg(test)]
mod tests {
    use sluicegate_config::Kind;

    use super::*;

    #[test]
    fn a_number_is_told_when_it_rests_and_at_the_latest_after_a_while() {
        let (pool, start) = (Key::new(Kind::ProviderPool, "a", "p"), Instant::now());
        let mut attached_routes = AttachedRoutesRefresh::default();
        assert_eq!(attached_routes.due(), None);
        attached_routes.note(pool.clone(), start);
        attached_routes.note(pool.clone(), start + REST / 2);
        assert_eq!(attached_routes.due(), Some(start + REST / 2 + REST));
        assert!(attached_routes.take(start + REST).is_empty());
        assert_eq!(attached_routes.take(start + REST * 2), std::slice::from_ref(&pool));
        assert_eq!(attached_routes.due(), None);
        // It never rests.
        let mut now = start;
        while attached_routes.take(now).is_empty() {
            attached_routes.note(pool.clone(), now);
            now += REST / 2;
        }
        assert_eq!(now, start + LONGEST);
    }
}
