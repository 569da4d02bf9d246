//! Which objects are to be looked at again: each once, pools before routes, otherwise in the order they came.

use std::collections::{BTreeSet, HashMap, HashSet, VecDeque};
use std::time::{Duration, Instant};

use sluicegate_config::compile::Kind;

use super::key::Key;

/// The first wait after a failure; it doubles each time …
const FIRST_WAIT: Duration = Duration::from_millis(200);
/// … up to this.
const LONGEST_WAIT: Duration = Duration::from_secs(30);

/// Keys to look at. Bounded by the number of objects: a key is in it once.
#[derive(Debug, Default)]
pub struct Queue {
    pools: VecDeque<Key>,
    routes: VecDeque<Key>,
    queued: HashSet<Key>,
    delayed: BTreeSet<(Instant, Key)>,
    failures: HashMap<Key, u32>,
}

impl Queue {
    /// Looks at it as soon as can be. Says whether it was not queued before.
    pub fn push(&mut self, key: Key) -> bool {
        let new = self.queued.insert(key.clone());
        if new {
            match key.kind {
                Kind::ProviderPool => self.pools.push_back(key),
                Kind::LlmRoute => self.routes.push_back(key),
            }
        }
        new
    }

    /// Takes out up to so many.
    pub fn take(&mut self, most: usize, now: Instant) -> Vec<Key> {
        while let Some((_, key)) = self.delayed.first().filter(|(at, _)| *at <= now).cloned() {
            self.delayed.pop_first();
            self.push(key);
        }
        let mut taken = Vec::new();
        while taken.len() < most
            && let Some(key) = self.pools.pop_front().or_else(|| self.routes.pop_front())
        {
            self.queued.remove(&key);
            taken.push(key);
        }
        taken
    }

    /// Looks at it again after a while, longer each time it fails.
    pub fn retry(&mut self, key: &Key, now: Instant) {
        let failures = self.failures.entry(key.clone()).or_default();
        let wait = FIRST_WAIT.saturating_mul(1 << (*failures).min(10)).min(LONGEST_WAIT);
        *failures += 1;
        self.delayed.retain(|(_, waiting)| waiting != key);
        self.delayed.insert((now + wait, key.clone()));
    }

    /// It went well: the next failure waits as the first did.
    pub fn went_well(&mut self, key: &Key) {
        if self.failures.remove(key).is_some() {
            self.delayed.retain(|(_, waiting)| waiting != key);
        }
    }

    /// When there is something to take: now, later or never.
    pub fn due(&self, now: Instant) -> Option<Instant> {
        if self.queued.is_empty() { self.delayed.first().map(|(at, _)| *at) } else { Some(now) }
    }

    /// True if it waits to be looked at at once.
    pub fn holds(&self, key: &Key) -> bool {
        self.queued.contains(key)
    }

    /// The number that wait, those after a failure included.
    pub fn waiting(&self) -> usize {
        self.queued.len() + self.delayed.len()
    }
}

#[cfg(test)]
mod tests {
    use sluicegate_config::ObjectId;

    use super::*;

    fn key(kind: Kind, name: &str) -> Key {
        Key { kind, id: ObjectId(format!("a/{name}")) }
    }

    #[test]
    fn each_is_taken_once_and_pools_come_first() {
        let (mut queue, now) = (Queue::default(), Instant::now());
        assert!(queue.push(key(Kind::LlmRoute, "r")));
        assert!(!queue.push(key(Kind::LlmRoute, "r")));
        assert!(queue.push(key(Kind::ProviderPool, "p")));
        assert_eq!(queue.take(8, now), [key(Kind::ProviderPool, "p"), key(Kind::LlmRoute, "r")]);
        assert_eq!(queue.due(now), None);
    }

    #[test]
    fn what_fails_is_tried_again_later_and_later() {
        let (mut queue, now) = (Queue::default(), Instant::now());
        let route = key(Kind::LlmRoute, "r");
        queue.retry(&route, now);
        assert_eq!(queue.due(now), Some(now + FIRST_WAIT));
        assert!(queue.take(8, now).is_empty());
        assert_eq!(queue.take(8, now + FIRST_WAIT), [key(Kind::LlmRoute, "r")]);
        queue.retry(&route, now);
        assert_eq!(queue.due(now), Some(now + FIRST_WAIT * 2));
        for _ in 0..40 {
            queue.retry(&route, now);
        }
        assert_eq!((queue.due(now), queue.waiting()), (Some(now + LONGEST_WAIT), 1));
        queue.went_well(&route);
        assert_eq!(queue.due(now), None);
    }
}
