//! Statuses that others have changed or removed: put right at once, and ever more slowly where that happens again and again.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use crate::world::Key;

/// The pause after a first repair, which doubles with each further one …
const FIRST: Duration = Duration::from_secs(1);
/// … up to this.
const LONGEST: Duration = Duration::from_secs(300);
/// A status that others have left alone for so long is put right at once again.
const FORGIVEN: Duration = Duration::from_secs(900);
/// Repairs are looked through for those that are forgiven when there are more than this.
const SWEEP: usize = 1_024;

/// The repairs of late. Bounded by the number of objects.
#[derive(Debug, Default)]
pub(super) struct RepairPacing(HashMap<Key, Repair>);

#[derive(Debug)]
struct Repair {
    last: Instant,
    pause: Duration,
}

impl RepairPacing {
    /// The time from which on a status that somebody has changed may be put right.
    pub(super) fn due(&self, key: &Key, now: Instant) -> Instant {
        self.0.get(key).map_or(now, |repair| now.max(repair.last + repair.pause))
    }

    /// One is being put right.
    pub(super) fn repaired(&mut self, key: &Key, now: Instant) {
        let is_recent = |repair: &Repair| now.saturating_duration_since(repair.last) < FORGIVEN;
        if self.0.len() >= SWEEP {
            self.0.retain(|_, repair| is_recent(repair));
        }
        let before = self.0.get(key).filter(|repair| is_recent(repair));
        let pause = before.map_or(FIRST, |repair| (repair.pause * 2).min(LONGEST));
        self.0.insert(key.clone(), Repair { last: now, pause });
    }

    /// The object is gone.
    pub(super) fn forget(&mut self, key: &Key) {
        self.0.remove(key);
    }
}

#[cfg(test)]
mod tests {
    use sluicegate_config::Kind;

    use super::*;

    /// The number of repairs within so long, where somebody undoes each at once.
    fn fight(pacing: &mut RepairPacing, key: &Key, (start, long): (Instant, Duration)) -> u32 {
        let (mut now, mut repairs) = (start, 0);
        loop {
            now = pacing.due(key, now);
            if now > start + long {
                return repairs;
            }
            pacing.repaired(key, now);
            repairs += 1;
        }
    }

    #[test]
    fn the_first_is_at_once_and_a_fight_dies_down() {
        let (mut pacing, key, start) = (RepairPacing::default(), Key::new(Kind::LlmRoute, "a", "r"), Instant::now());
        assert_eq!(pacing.due(&key, start), start);
        // After 1, 2, 4, … 256 s, and then every five minutes.
        let day = Duration::from_secs(86_400);
        assert_eq!(fight(&mut pacing, &key, (start, Duration::from_secs(10))), 4);
        let repairs = fight(&mut pacing, &key, (start + Duration::from_secs(10), day));
        assert!((280..300).contains(&repairs), "{repairs}");
        // Left alone for a while it is put right at once, and soon once more.
        let later = start + day * 2;
        assert_eq!(pacing.due(&key, later), later);
        pacing.repaired(&key, later);
        assert_eq!(pacing.due(&key, later), later + FIRST);
        pacing.forget(&key);
        assert_eq!(pacing.due(&key, later), later);
    }
}
