//! The statuses that are due because of what was spent: each object's once a minute at most, and all together slowly.

use std::collections::{BTreeSet, HashMap};
use std::time::{Duration, Instant, SystemTime};

use crate::world::Key;

/// The spending of an object is told no more often than this.
const EVERY: Duration = Duration::from_secs(60);
/// So many objects' at once, then one each …
const BURST: u32 = 50;
/// … of these.
const EACH: Duration = Duration::from_millis(100);
/// A period that is over is looked at so much later: by then proxies know as well.
const GRACE: i64 = 1;

/// The objects that have budgets. Bounded by the number of objects, and of their budgets.
#[derive(Debug)]
pub(super) struct SpendPacing {
    /// The object that a budget is of, by the identity of the budget.
    owners: HashMap<String, Key>,
    objects: HashMap<Key, Paced>,
    /// Those to be told of, by the time from which on they may be.
    waiting: BTreeSet<(Instant, Key)>,
    /// The ends of periods, in seconds since 1970.
    renewals: BTreeSet<(i64, Key)>,
    /// All is told that was to be told until then.
    told: Instant,
}

#[derive(Debug, Default)]
struct Paced {
    identities: Vec<String>,
    last: Option<Instant>,
    waits: Option<Instant>,
    renewal: Option<i64>,
}

impl SpendPacing {
    pub(super) fn new(now: Instant) -> Self {
        Self {
            owners: HashMap::new(),
            objects: HashMap::new(),
            waiting: BTreeSet::new(),
            renewals: BTreeSet::new(),
            told: now,
        }
    }

    /// An object has these budgets, by their identities.
    pub(super) fn consider(&mut self, key: &Key, identities: Vec<String>, now: Instant) {
        let known = self.objects.get(key).map(|paced| paced.identities.as_slice()).unwrap_or_default();
        if known == identities {
            return;
        }
        let gone: Vec<String> = known.iter().filter(|known| !identities.contains(known)).cloned().collect();
        gone.iter().for_each(|identity| drop(self.owners.remove(identity)));
        if identities.is_empty() {
            self.forget(key);
            return;
        }
        for identity in &identities {
            self.owners.insert(identity.clone(), key.clone());
        }
        self.objects.entry(key.clone()).or_default().identities = identities;
        self.wait(&key.clone(), now);
    }

    fn forget(&mut self, key: &Key) {
        let Some(paced) = self.objects.remove(key) else { return };
        if let Some(at) = paced.waits {
            self.waiting.remove(&(at, key.clone()));
        }
        if let Some(at) = paced.renewal {
            self.renewals.remove(&(at, key.clone()));
        }
    }

    /// Something was told of a budget.
    pub(super) fn note(&mut self, identity: &str, now: Instant) {
        if let Some(key) = self.owners.get(identity).cloned() {
            self.wait(&key, now);
        }
    }

    fn wait(&mut self, key: &Key, now: Instant) {
        let Some(paced) = self.objects.get_mut(key).filter(|paced| paced.waits.is_none()) else { return };
        let at = paced.last.map_or(now, |last| now.max(last + EVERY));
        paced.waits = Some(at);
        self.waiting.insert((at, key.clone()));
    }

    /// The end of the period that an object's status is about; `None`: there is nothing to renew.
    pub(super) fn renew_at(&mut self, key: &Key, at: Option<i64>) {
        let Some(paced) = self.objects.get_mut(key) else { return };
        if let Some(at) = paced.renewal {
            self.renewals.remove(&(at, key.clone()));
        }
        paced.renewal = at;
        self.renewals.extend(at.map(|at| (at, key.clone())));
    }

    /// The status of an object tells what was spent.
    pub(super) fn written(&mut self, key: &Key, now: Instant) {
        if let Some(paced) = self.objects.get_mut(key) {
            paced.last = Some(now);
        }
    }

    /// Takes out those whose time has come. `unix`: now, in seconds since 1970.
    pub(super) fn take(&mut self, now: Instant, unix: i64) -> Vec<Key> {
        while let Some((_, key)) = self.renewals.first().filter(|(at, _)| at + GRACE <= unix).cloned() {
            self.renew_at(&key, None);
            self.wait(&key, now);
        }
        self.told = self.told.max(now.checked_sub(EACH * BURST).unwrap_or(now));
        let mut due = Vec::new();
        while self.told + EACH <= now {
            let Some((at, key)) = self.waiting.first().filter(|(at, _)| *at <= now).cloned() else { break };
            self.waiting.remove(&(at, key.clone()));
            if let Some(paced) = self.objects.get_mut(&key) {
                paced.waits = None;
            }
            self.told += EACH;
            due.push(key);
        }
        due
    }

    /// The time of the next one.
    pub(super) fn due(&self, now: Instant, unix: i64) -> Option<Instant> {
        let waiting = self.waiting.first().map(|(at, _)| (*at).max(self.told + EACH));
        let renewal = self.renewals.first().map(|(at, _)| {
            now + Duration::from_secs(u64::try_from(at.saturating_add(GRACE) - unix).unwrap_or_default().min(3_600))
        });
        waiting.into_iter().chain(renewal).min()
    }
}

/// Now, in seconds since 1970.
pub(super) fn unix() -> i64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use sluicegate_config::Kind;

    use super::*;

    fn key(number: u32) -> Key {
        Key::new(Kind::LlmConsumer, "a", &format!("c{number}"))
    }

    fn all(count: u32, now: Instant) -> SpendPacing {
        let mut pacing = SpendPacing::new(now);
        (0..count).for_each(|number| pacing.consider(&key(number), vec![number.to_string()], now));
        pacing
    }

    #[test]
    fn one_object_is_told_of_once_a_minute_and_not_when_nothing_was_told_of_it() {
        let start = Instant::now();
        let mut pacing = all(1, start);
        let now = start + EACH;
        assert_eq!(pacing.take(now, 0), [key(0)], "what is known already");
        pacing.written(&key(0), now);
        assert!(pacing.take(now + EVERY, 0).is_empty() && pacing.due(now, 0).is_none());
        let (mut told, mut at) = (0, now);
        while at < now + EVERY * 10 {
            at += Duration::from_secs(1);
            pacing.note("0", at);
            pacing.note("nobody's", at);
            for key in pacing.take(at, 0) {
                told += 1;
                pacing.written(&key, at);
            }
        }
        assert_eq!(told, 10);
    }

    #[test]
    fn thousands_are_told_of_slowly_and_each_has_its_turn() {
        let start = Instant::now();
        let mut pacing = all(6_000, start);
        let (mut told, mut now) = (HashMap::<Key, u32>::new(), start);
        for _ in 0..1_200 {
            now += Duration::from_secs(1);
            (0..6_000).for_each(|number: u32| pacing.note(&number.to_string(), now));
            let due = pacing.take(now, 0);
            assert!(due.len() <= 50);
            for key in due {
                pacing.written(&key, now);
                *told.entry(key).or_default() += 1;
            }
        }
        assert_eq!(told.len(), 6_000);
        assert!(told.values().all(|times| (1..=3).contains(times)), "{:?}", told.values().max());
        assert!(told.values().sum::<u32>() <= 12_050);
    }

    #[test]
    fn what_is_over_is_looked_at_without_a_word_of_anybody() {
        let start = Instant::now();
        let mut pacing = all(1, start);
        let now = start + EACH;
        pacing.take(now, 100);
        pacing.renew_at(&key(0), Some(200));
        assert!(pacing.take(now + EVERY, 200).is_empty());
        assert_eq!(pacing.due(now, 100), Some(now + Duration::from_secs(101)));
        assert_eq!(pacing.take(now + EVERY, 201), [key(0)]);
        // Without budgets nothing is kept of it.
        pacing.renew_at(&key(0), Some(300));
        pacing.note("0", now);
        pacing.consider(&key(0), Vec::new(), now);
        assert!(pacing.take(now + EVERY, 400).is_empty());
        assert!(
            pacing.owners.is_empty()
                && pacing.objects.is_empty()
                && pacing.waiting.is_empty()
                && pacing.renewals.is_empty()
        );
    }
}
