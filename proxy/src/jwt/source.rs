//! The place of an issuer's keys: calls read it, one keeper writes it.

use std::collections::HashMap;
use std::fmt;
use std::hash::{BuildHasher as _, RandomState};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use arc_swap::ArcSwapOption;
use tokio::sync::{Notify, Semaphore};

use crate::count::Count;

use super::key_set::KeySet;

/// The counts of tokens, by what came of them.
#[derive(Debug, Default)]
pub(crate) struct JwtCounts {
    /// Found good before.
    pub(crate) cached: Count,
    /// Found good now.
    pub(crate) verified: Count,
    /// Not good.
    pub(crate) refused: Count,
    /// Not to be checked, since there are no keys yet.
    pub(crate) unverifiable: Count,
}

/// The most keys that are known to be missing; tokens that name further ones are refused at once.
const MOST_MISSING: usize = 256;
/// The most calls that wait at once for keys of an issuer.
const MOST_WAITING: usize = 1024;
/// A key that was named first so long ago, and is not there, is forgotten.
const FORGET: Duration = Duration::from_secs(600);

/// The keys that tokens name and the issuer does not publish, by digests of their names.
#[derive(Default)]
struct MissingKeys {
    hasher: RandomState,
    /// The time when each was first named; `None`: it was published, and is no longer.
    since: HashMap<u64, Option<Instant>>,
    /// The beginning of the last question to the issuer that is over.
    asked: Option<Instant>,
}

impl MissingKeys {
    fn lacks(&mut self, key: &str, now: Instant) -> bool {
        let key = self.hasher.hash_one(key);
        if !self.since.contains_key(&key) && self.since.len() >= MOST_MISSING {
            return true;
        }
        let first = *self.since.entry(key).or_insert(Some(now));
        first.is_none_or(|first| self.asked.is_some_and(|asked| asked > first))
    }

    fn was_asked(&mut self, began: Instant) {
        self.asked = Some(began);
        self.since.retain(|_, first| first.is_none_or(|first| began.saturating_duration_since(first) < FORGET));
    }

    fn withdraw<'a>(&mut self, keys: impl Iterator<Item = &'a str>) {
        let keys: Vec<u64> = keys.map(|key| self.hasher.hash_one(key)).collect();
        if self.since.len() + keys.len() > MOST_MISSING {
            self.since.clear();
        }
        self.since.extend(keys.into_iter().map(|key| (key, None)));
    }
}

/// The keys of an issuer, as they were had last.
pub(crate) struct JwksSource {
    /// The issuer.
    pub(super) issuer: Box<str>,
    /// The address of its keys, where it is not to be discovered.
    pub(super) url: Option<Box<str>>,
    /// Authorities that are trusted beside the system's, in PEM.
    pub(super) ca_pem: Option<Box<str>>,
    set: ArcSwapOption<KeySet>,
    missing: Mutex<MissingKeys>,
    wanted: Arc<Notify>,
    /// Told when the issuer has been asked.
    told: Notify,
    /// One place for each call that waits for that.
    places: Semaphore,
    /// True if nobody fetches them: those that are there are all.
    is_given: bool,
    /// The counts of all tokens.
    pub(crate) counts: Arc<JwtCounts>,
}

impl fmt::Debug for JwksSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "JwksSource({})", self.issuer)
    }
}

impl JwksSource {
    pub(super) fn new(issuer: &str, (url, ca_pem): (Option<&str>, Option<&str>), counts: Arc<JwtCounts>) -> Self {
        let (set, missing, wanted) = (ArcSwapOption::empty(), Mutex::default(), Arc::default());
        let (issuer, url, ca_pem) = (issuer.into(), url.map(Into::into), ca_pem.map(Into::into));
        let (told, places) = (Notify::new(), Semaphore::new(MOST_WAITING));
        Self { issuer, url, ca_pem, set, missing, wanted, told, places, is_given: false, counts }
    }

    /// The same, where nobody fetches any.
    pub(super) fn without_keeper(mut self) -> Self {
        self.is_given = true;
        self
    }

    /// True if there may be keys later where none are now.
    pub(crate) fn may_come(&self) -> bool {
        !self.is_given
    }

    /// The keys; `None`: none have been had yet.
    pub(crate) fn keys(&self) -> Option<Arc<KeySet>> {
        self.set.load_full()
    }

    /// A token names a key that is not among them: the issuer may have a new one, and is asked before long. `true`: it has been asked
    /// since the key was first named, and has it not.
    pub(crate) fn lacks(&self, key: &str) -> bool {
        if self.is_given {
            return true;
        }
        // Named first, asked then: a question that began before counts for nothing, and the next one is ten seconds away.
        let lacks = self.missing().lacks(key, Instant::now());
        self.wanted.notify_one();
        lacks
    }

    fn missing(&self) -> MutexGuard<'_, MissingKeys> {
        self.missing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn wanted(&self) -> Arc<Notify> {
        Arc::clone(&self.wanted)
    }

    /// The issuer was asked, from this time on, and has answered or not.
    pub(super) fn was_asked(&self, began: Instant) {
        self.missing().was_asked(began);
        self.told.notify_waiters();
    }

    /// Waits until the issuer has been asked once more, so long at most. Where too many calls wait for it already, this one does not.
    pub(crate) async fn asked_once_more(&self, most: Duration) {
        if let Ok(_place) = self.places.try_acquire() {
            let _late = tokio::time::timeout(most, self.told.notified()).await;
        }
    }

    /// Takes keys in. The same keys stay the set that they are.
    pub(super) fn put(&self, set: KeySet) {
        if let Some(before) = &*self.set.load() {
            let gone = before.ids().filter(|id| !set.ids().any(|known| known == *id));
            self.missing().withdraw(gone);
        }
        if self.set.load().as_ref().is_none_or(|before| before.digest != set.digest) {
            self.set.store(Some(Arc::new(set)));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_missing_once_the_issuer_was_asked_for_it_and_not_before() {
        let (mut keys, start) = (MissingKeys::default(), Instant::now());
        let at = |seconds: u64| start + Duration::from_secs(seconds);
        keys.was_asked(at(0));
        assert!(!keys.lacks("new", at(1)), "it may be published by now");
        keys.was_asked(at(1));
        assert!(!keys.lacks("new", at(2)), "that was asked before it was named, perhaps");
        keys.was_asked(at(2));
        assert!(keys.lacks("new", at(3)) && !keys.lacks("other", at(3)));
        keys.withdraw(["old"].into_iter());
        assert!(keys.lacks("old", at(3)), "one that was taken back is not waited for");
        keys.was_asked(at(3 + FORGET.as_secs()));
        assert_eq!(keys.since.len(), 1, "only what was taken back is known for good");
        for name in 0..2 * MOST_MISSING {
            keys.lacks(&name.to_string(), at(9));
        }
        assert_eq!(keys.since.len(), MOST_MISSING);
        assert!(keys.lacks("one more", at(9)));
        keys.withdraw(["a", "b"].into_iter());
        assert_eq!(keys.since.len(), 2);
    }
}
