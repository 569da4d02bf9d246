//! The objects that are to be looked at again: each once, by rank of their kind, otherwise in the order they came.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet, VecDeque};
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
    /// By rank of their kind.
    ready: BTreeMap<Kind, VecDeque<Key>>,
    queued: HashSet<Key>,
    delayed: BTreeSet<(Instant, Key)>,
    failures: HashMap<Key, u32>,
    /// Looks that were arranged beforehand, each once.
    alarms: BTreeSet<(Instant, Key)>,
    alarm_of: HashMap<Key, Instant>,
}

impl Queue {
    /// Looks at it as soon as can be. Says whether it was not queued before.
    pub fn push(&mut self, key: Key) -> bool {
        let new = self.queued.insert(key.clone());
        if new {
            self.ready.entry(key.kind).or_default().push_back(key);
        }
        new
    }

    /// Looks at it at a time as well, or earlier if that was arranged already.
    pub fn wake_at(&mut self, key: &Key, at: Instant) {
        if self.alarm_of.get(key).is_some_and(|arranged| *arranged <= at) {
            return;
        }
        if let Some(later) = self.alarm_of.insert(key.clone(), at) {
            self.alarms.remove(&(later, key.clone()));
        }
        self.alarms.insert((at, key.clone()));
    }

    /// Takes out up to so many.
    pub fn take(&mut self, most: usize, now: Instant) -> Vec<Key> {
        while let Some((_, key)) = self.alarms.first().filter(|(at, _)| *at <= now).cloned() {
            self.alarms.pop_first();
            self.alarm_of.remove(&key);
            self.push(key);
        }
        while let Some((_, key)) = self.delayed.first().filter(|(at, _)| *at <= now).cloned() {
            self.delayed.pop_first();
            self.push(key);
        }
        let mut taken = Vec::new();
        while taken.len() < most
            && let Some(key) = self.ready.values_mut().find_map(VecDeque::pop_front)
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

    /// The time when there is something to take: now, later or never.
    pub fn due(&self, now: Instant) -> Option<Instant> {
        let first = |set: &BTreeSet<(Instant, Key)>| set.first().map(|(at, _)| *at);
        let later = || first(&self.delayed).into_iter().chain(first(&self.alarms)).min();
        if self.queued.is_empty() { later() } else { Some(now) }
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
    fn each_is_taken_once_and_by_rank_of_its_kind() {
        let (mut queue, now) = (Queue::default(), Instant::now());
        for kind in Kind::ALL.iter().rev() {
            assert!(queue.push(key(*kind, "one")));
            assert!(!queue.push(key(*kind, "one")));
        }
        assert_eq!(queue.take(8, now).iter().map(|key| key.kind).collect::<Vec<_>>(), Kind::ALL);
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

    #[test]
    fn of_two_looks_that_are_arranged_the_earlier_counts_and_holds_up_no_status() {
        let (mut queue, now) = (Queue::default(), Instant::now());
        let consumer = key(Kind::LlmConsumer, "c");
        let second = Duration::from_secs(1);
        for at in [3, 2, 5] {
            queue.wake_at(&consumer, now + second * at);
        }
        assert_eq!(queue.due(now), Some(now + second * 2));
        assert!(!queue.holds(&consumer) && queue.waiting() == 0);
        assert!(queue.take(8, now).is_empty());
        assert_eq!(queue.take(8, now + second * 2), [consumer]);
        assert_eq!(queue.due(now), None);
    }
}
