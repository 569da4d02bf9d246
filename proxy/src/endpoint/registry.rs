//! Live state by stable id: asked when a configuration is resolved, never on the way of a call.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use sluicegate_config::{CircuitBreaker, ObjectId};

use super::answer_times::AnswerTimes;
use super::budget::{HedgeBudget, RetryBudget};
use super::heard::NewsMemory;
use super::live::Endpoint;
use super::mirrors::Mirrors;
use super::news::{EndpointName, KeyValue, News, NewsQueue};
use super::provider_key::LiveKey;
use super::seats::Seats;

/// State that no configuration has used for so long is forgotten: long enough to survive a resource that is
/// deleted and created anew.
const FORGET: Duration = Duration::from_secs(600);

/// The interval at which it is looked for what to forget.
const SWEEP: Duration = Duration::from_secs(10);

/// The key that an endpoint is known by.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct EndpointKey {
    /// The pool's id.
    pub pool: ObjectId,
    /// The provider's name in it.
    pub provider: String,
    /// Its address (`upstream::Origin::address`).
    pub address: String,
}

impl EndpointKey {
    /// Its name among proxies.
    #[must_use]
    pub fn name(&self) -> EndpointName {
        EndpointName::of([&self.pool.0, &self.provider, &self.address])
    }
}

/// The name that one of several keys of a provider is known by.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct LiveKeyId {
    /// The pool's id.
    pub pool: ObjectId,
    /// The provider's name in it.
    pub provider: String,
    /// The key's name.
    pub key: String,
}

/// Live state of a pool beside its endpoints.
#[derive(Debug)]
pub struct LivePool {
    /// The position of round robin; shared by all workers.
    pub cursor: AtomicU64,
    /// The same, of its providers' keys.
    pub key_cursor: AtomicU64,
    /// Its calls' retries.
    pub budget: RetryBudget,
    /// The calls of its conversations that are under way, where those are kept together.
    pub seats: OnceLock<Arc<Seats>>,
    /// Bounds second attempts.
    pub hedges: HedgeBudget,
    /// The times by which second attempts are due, where nobody says when.
    pub answer_times: AnswerTimes,
    /// Second attempts that were made.
    pub hedged: AtomicU64,
    /// Those of them that answered first.
    pub hedges_won: AtomicU64,
    /// Copies of calls that are under way.
    pub mirrors: Mirrors,
    /// Calls that went to the endpoint where their conversation is at home.
    pub kept: AtomicU64,
    /// Calls that went to another one.
    pub moved: AtomicU64,
}

impl LivePool {
    fn new(now: Instant) -> Self {
        Self {
            cursor: AtomicU64::new(0),
            key_cursor: AtomicU64::new(0),
            budget: RetryBudget::new(now),
            seats: OnceLock::new(),
            hedges: HedgeBudget::new(now),
            answer_times: AnswerTimes::default(),
            hedged: AtomicU64::new(0),
            mirrors: Mirrors::default(),
            hedges_won: AtomicU64::new(0),
            kept: AtomicU64::new(0),
            moved: AtomicU64::new(0),
        }
    }
}

/// All live state of endpoints and pools. One for the process. It holds what configurations hold, and for ten
/// minutes what they have let go.
#[derive(Debug, Default)]
pub struct Registry {
    kept: Mutex<LiveStates>,
    /// News that other proxies are to hear; nobody takes it where there are none.
    pub outbox: Arc<NewsQueue>,
}

#[derive(Debug, Default)]
struct LiveStates {
    endpoints: HashMap<EndpointKey, Registered<Endpoint>>,
    pools: HashMap<ObjectId, Registered<LivePool>>,
    /// The same endpoints by their names among proxies.
    names: HashMap<EndpointName, EndpointKey>,
    /// The news of other proxies, for endpoints that come later, too.
    heard: NewsMemory,
    keys: HashMap<LiveKeyId, Registered<LiveKey>>,
    /// The same keys by their names among proxies.
    key_names: HashMap<EndpointName, LiveKeyId>,
    /// The time of the last look for what to forget.
    swept: Option<Instant>,
}

#[derive(Debug)]
struct Registered<T> {
    state: Arc<T>,
    used: Instant,
}

impl Registry {
    /// The endpoint of that key, with `settings` from now on; new when it was not known.
    pub fn endpoint(&self, key: &EndpointKey, settings: CircuitBreaker, now: Instant) -> Arc<Endpoint> {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.sweep(now);
        if let Some(entry) = kept.endpoints.get_mut(key) {
            entry.used = now;
            entry.state.configure(settings);
            return Arc::clone(&entry.state);
        }
        let name = key.name();
        let state = Arc::new(Endpoint::heard_of(settings, now, (name, Arc::clone(&self.outbox))));
        kept.heard.of(name, now).for_each(|(subject, until)| state.hear(subject, Some(until), now));
        kept.names.insert(name, key.clone());
        kept.endpoints.insert(key.clone(), Registered { state: Arc::clone(&state), used: now });
        state
    }

    /// Hears another proxy's news. True if the endpoint or the key is known here; news of others is kept for when they come, within a bound.
    pub fn hear(&self, news: News, now: Instant) -> bool {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let until = Some(news.until).filter(|until| *until > now);
        kept.heard.note(news, now);
        let endpoint = kept.names.get(&news.name).and_then(|key| kept.endpoints.get(key));
        let endpoint = endpoint.map(|entry| Arc::clone(&entry.state));
        let key = kept.key_names.get(&news.name).and_then(|id| kept.keys.get(id));
        let key = key.map(|entry| Arc::clone(&entry.state));
        drop(kept);
        endpoint.iter().for_each(|endpoint| endpoint.hear(news.subject, until, now));
        key.iter().for_each(|key| key.hear(news.subject, until));
        endpoint.is_some() || key.is_some()
    }

    /// The pool of that id; new when it was not known.
    pub fn pool(&self, id: &ObjectId, now: Instant) -> Arc<LivePool> {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.sweep(now);
        if let Some(entry) = kept.pools.get_mut(id) {
            entry.used = now;
            return Arc::clone(&entry.state);
        }
        let state = Arc::new(LivePool::new(now));
        kept.pools.insert(id.clone(), Registered { state: Arc::clone(&state), used: now });
        state
    }

    /// The key of that id, with this value; new when it was not known.
    pub fn key(&self, id: &LiveKeyId, value: KeyValue, now: Instant) -> Arc<LiveKey> {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.sweep(now);
        let LiveStates { keys, key_names, heard, .. } = &mut *kept;
        let new = || Registered { state: Arc::new(LiveKey::heard_of(now, Arc::clone(&self.outbox))), used: now };
        let entry = keys.entry(id.clone()).or_insert_with(new);
        entry.used = now;
        entry.state.has_value(value.number);
        let name = EndpointName::of_key([&id.pool.0, &id.provider, &id.key], value);
        entry.state.is_called(name).iter().for_each(|before| _ = key_names.remove(before));
        if key_names.insert(name, id.clone()).is_none() {
            heard.of(name, now).for_each(|(subject, until)| entry.state.hear(subject, Some(until)));
        }
        Arc::clone(&entry.state)
    }

    /// Every key that a configuration has, for metrics and status.
    #[must_use]
    pub fn keys(&self) -> Vec<(LiveKeyId, Arc<LiveKey>)> {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let used = kept.keys.iter().filter(|(_, entry)| Arc::strong_count(&entry.state) > 1);
        used.map(|(id, entry)| (id.clone(), Arc::clone(&entry.state))).collect()
    }

    /// A configuration is about to change: what is used until now counts as used until now.
    pub fn look(&self, now: Instant) {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner).sweep(now);
    }

    /// Every pool that is known, for metrics.
    #[must_use]
    pub fn pools(&self) -> Vec<(ObjectId, Arc<LivePool>)> {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.pools.iter().map(|(id, entry)| (id.clone(), Arc::clone(&entry.state))).collect()
    }

    /// The providers of a configuration that refuse the gateway's credential at any of their addresses, by their pools.
    #[must_use]
    pub fn refusing(&self) -> Vec<(ObjectId, String)> {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let used = kept.endpoints.iter().filter(|(_, entry)| Arc::strong_count(&entry.state) > 1);
        let refusing = used.filter(|(_, entry)| entry.state.refuses_credential());
        refusing.map(|(key, _)| (key.pool.clone(), key.provider.clone())).collect()
    }

    /// The providers of a configuration that do not have several keys, by their pools: true if the one that they are called with is
    /// refused at any of their addresses.
    #[must_use]
    pub fn lone_keys(&self) -> BTreeMap<(ObjectId, String), bool> {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let several: HashSet<_> = kept.keys.keys().map(|id| (&id.pool, &id.provider)).collect();
        let used = kept.endpoints.iter().filter(|(_, entry)| Arc::strong_count(&entry.state) > 1);
        let mut lone = BTreeMap::new();
        for (key, entry) in used.filter(|(key, _)| !several.contains(&(&key.pool, &key.provider))) {
            *lone.entry((key.pool.clone(), key.provider.clone())).or_default() |= entry.state.refuses_credential();
        }
        lone
    }

    /// Every endpoint that is known, for metrics and status.
    #[must_use]
    pub fn endpoints(&self) -> Vec<(EndpointKey, Arc<Endpoint>)> {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.endpoints.iter().map(|(key, entry)| (key.clone(), Arc::clone(&entry.state))).collect()
    }
}

impl LiveStates {
    /// Now and then, for each look goes over everything.
    fn sweep(&mut self, now: Instant) {
        if self.swept.is_some_and(|swept| now.saturating_duration_since(swept) < SWEEP) {
            return;
        }
        self.swept = Some(now);
        forget(&mut self.endpoints, now);
        forget(&mut self.pools, now);
        let Self { endpoints, names, .. } = self;
        names.retain(|_, key| endpoints.contains_key(key));
        forget(&mut self.keys, now);
        let Self { keys, key_names, .. } = self;
        key_names.retain(|_, id| keys.contains_key(id));
    }
}

/// Drops what nobody holds any more and was last asked for long ago; what is held is in use.
fn forget<K: std::hash::Hash + Eq, T>(entries: &mut HashMap<K, Registered<T>>, now: Instant) {
    entries.retain(|_, entry| {
        if Arc::strong_count(&entry.state) > 1 {
            entry.used = now;
        }
        now.saturating_duration_since(entry.used) < FORGET
    });
}
