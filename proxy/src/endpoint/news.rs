//! News of endpoints and of providers' keys: what this process has found out of one and others ought to know, until it is told to them. A map by what
//! it is about, so that whatever happens meanwhile is one piece of news.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use tokio::sync::Notify;

use crate::count::Count;

/// The most news that waits to be told; further news is not.
const MOST_WAITING: usize = 1_024;

/// The name of an endpoint, or of one of several keys of a provider, among proxies: a digest, the same on each of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct EndpointName(pub [u8; 16]);

impl EndpointName {
    /// Of an endpoint's pool, provider and address.
    #[must_use]
    pub fn of(parts: [&str; 3]) -> Self {
        Self::digest("sluicegate name of an endpoint among proxies v1", parts.map(str::as_bytes))
    }

    /// Of a key's pool, provider and name, and of what tells its value from another one.
    #[must_use]
    pub fn of_key([pool, provider, key]: [&str; 3], value: KeyValue) -> Self {
        let parts = [pool.as_bytes(), provider.as_bytes(), key.as_bytes(), &value.tag];
        Self::digest("sluicegate name of a key among proxies v1", parts)
    }

    fn digest<const PARTS: usize>(context: &'static str, parts: [&[u8]; PARTS]) -> Self {
        let mut digest = blake3::Hasher::new_derive_key(context);
        for part in parts {
            digest.update(&u64::try_from(part.len()).unwrap_or(u64::MAX).to_le_bytes());
            digest.update(part);
        }
        let mut name = [0; 16];
        digest.finalize_xof().fill(&mut name);
        Self(name)
    }
}

/// The value of a key, as far as it has to be told from another one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeyValue {
    /// Stands for it in this process.
    pub number: u64,
    /// Stands for it among proxies: the beginning of a digest, too short to say what it is, and long enough that a new value is hardly
    /// ever taken for the old one.
    pub tag: [u8; 2],
}

/// The subject of a piece of news.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Subject {
    /// It asked to be left alone.
    Cooldown,
    /// It limits the gateway and has not said for how long.
    Limited,
    /// Its circuit has opened by failures that no caller provokes.
    Circuit,
    /// It refuses the gateway's credential.
    Credential,
    /// It has nearly used up what it lets the gateway have of a model, by its number.
    Scarce(u64),
}

/// A piece of news: what holds of an endpoint until then. An end that has passed takes back what was said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct News {
    /// The endpoint, or the key.
    pub name: EndpointName,
    /// Whereof it is.
    pub subject: Subject,
    /// Its end.
    pub until: Instant,
}

/// News that waits to be told.
#[derive(Debug, Default)]
pub struct NewsQueue {
    waiting: Mutex<HashMap<(EndpointName, Subject), Instant>>,
    /// Rung when something waits.
    pub(crate) bell: Notify,
    /// News that there was no room for.
    pub dropped: Count,
}

impl NewsQueue {
    fn lock(&self) -> MutexGuard<'_, HashMap<(EndpointName, Subject), Instant>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a piece of news; of one subject the last counts.
    pub(super) fn put(&self, news: News) {
        let mut waiting = self.lock();
        let key = (news.name, news.subject);
        if waiting.len() >= MOST_WAITING && !waiting.contains_key(&key) {
            self.dropped.add();
            return;
        }
        waiting.insert(key, news.until);
        drop(waiting);
        self.bell.notify_one();
    }

    /// Takes out so many of them at most.
    pub fn take(&self, most: usize) -> Vec<News> {
        let mut waiting = self.lock();
        let keys: Vec<_> = waiting.keys().take(most).copied().collect();
        let out = keys.into_iter().filter_map(|key| {
            let until = waiting.remove(&key)?;
            Some(News { name: key.0, subject: key.1, until })
        });
        out.collect()
    }

    /// True if nothing waits.
    pub fn is_empty(&self) -> bool {
        self.lock().is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_of_all_parts_and_the_same_everywhere() {
        let name = |pool: &str, provider: &str| EndpointName::of([pool, provider, "a:1"]);
        assert_eq!(name("a/p", "o"), name("a/p", "o"));
        assert_ne!(name("a/p", "o"), name("a/", "po"));
        let key = |name: &str, tag| EndpointName::of_key(["a/p", "o", name], KeyValue { number: 7, tag });
        assert_eq!(key("k", [1, 2]), EndpointName::of_key(["a/p", "o", "k"], KeyValue { number: 9, tag: [1, 2] }));
        assert!(key("k", [1, 2]) != key("k", [1, 3]) && key("k", [1, 2]) != key("l", [1, 2]));
    }

    #[test]
    fn what_waits_is_bounded_and_one_subject_is_one_piece() {
        let (outbox, now) = (NewsQueue::default(), Instant::now());
        let news = |number: u64| News { name: EndpointName([0; 16]), subject: Subject::Scarce(number), until: now };
        for number in 0..2_000 {
            outbox.put(news(number));
            outbox.put(news(number % 7));
        }
        assert_eq!(outbox.take(9_999).len(), MOST_WAITING);
        assert!(outbox.is_empty() && outbox.dropped.get() == 2_000 - u64::try_from(MOST_WAITING).unwrap());
    }
}
