//! The cache as a call sees it: memory first, then Redis, then a seat to fetch the answer from.

use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http::HeaderMap;
use http::header::CACHE_CONTROL;
use sluicegate_config::{Cache, MemoryCache, ObjectId, Snapshot};

use super::entry::{Codec, Entry, Wall};
use super::key::{Asked, Key, Recipe, Uncacheable};
use super::memory::{Form, Memory, render};
use super::promotion::Promotions;
use super::redis::Remote;
use super::seat::{Hit, Layer, Lead, Seat};
use super::stats::Stats;

/// What all workers share; one per process.
#[derive(Debug, Default)]
pub struct Shared {
    layers: Mutex<BTreeMap<ObjectId, Arc<Memory>>>,
    promotions: Promotions,
    stats: Arc<Stats>,
}

impl Shared {
    /// Nothing kept yet.
    #[must_use]
    pub fn new() -> Arc<Self> {
        Arc::default()
    }

    /// Makes room as a new configuration says: a route's layer survives, changes its size, or goes. Call it before
    /// making the configuration's plans.
    ///
    /// A route whose rules say different sizes has one layer of the largest.
    pub fn apply(&self, snapshot: &Snapshot) {
        let mut layers = self.layers.lock().unwrap_or_else(PoisonError::into_inner);
        layers.retain(|id, _| snapshot.routes.contains_key(id));
        for (id, route) in &snapshot.routes {
            let wanted = route.rules.iter().filter_map(|rule| rule.cache.as_ref()?.memory);
            let bounds = wanted.reduce(|a, b| MemoryCache {
                max_entries: a.max_entries.max(b.max_entries),
                max_bytes: a.max_bytes.max(b.max_bytes),
            });
            match (bounds, layers.get(id)) {
                (None, None) => {}
                (None, Some(_)) => {
                    layers.remove(id);
                }
                (Some(bounds), Some(layer)) => layer.resize(bounds),
                (Some(bounds), None) => {
                    layers.insert(id.clone(), Arc::new(Memory::new(bounds, &self.stats)));
                }
            }
        }
    }

    /// A rule's cache made ready to run; kept with the compiled rule.
    #[must_use]
    pub fn plan(&self, route: &ObjectId, rule: &str, settings: &Cache) -> Arc<Plan> {
        let layers = self.layers.lock().unwrap_or_else(PoisonError::into_inner);
        let memory = settings.memory.and_then(|_| layers.get(route)).map(Arc::clone);
        Arc::new(Plan { recipe: Recipe::new(route, rule, settings), settings: settings.clone(), memory })
    }

    /// Items and bytes in memory, of all routes.
    #[must_use]
    pub fn filled(&self) -> (u64, u64) {
        let layers = self.layers.lock().unwrap_or_else(PoisonError::into_inner);
        layers.values().map(|layer| layer.filled()).fold((0, 0), |(n, b), (m, c)| (n + m, b + c))
    }

    /// What the cache has done.
    #[must_use]
    pub fn stats(&self) -> &Arc<Stats> {
        &self.stats
    }
}

/// How one rule's answers are cached, ready to run.
#[derive(Debug)]
pub struct Plan {
    pub(super) settings: Cache,
    recipe: Recipe,
    memory: Option<Arc<Memory>>,
}

/// One worker's handle on the cache.
#[derive(Debug)]
pub struct Store {
    shared: Arc<Shared>,
    remote: Option<Remote>,
    codec: Codec,
}

impl Store {
    /// Over what all workers share and this worker's own connections to Redis, where there is one.
    #[must_use]
    pub fn new(shared: &Arc<Shared>, remote: Option<Remote>) -> Rc<Self> {
        Rc::new(Self { shared: Arc::clone(shared), remote, codec: Codec::default() })
    }

    /// Looks for an answer to a call. Waits for Redis only, never longer than `redis::LIMIT`.
    pub async fn seat(self: &Rc<Self>, plan: &Arc<Plan>, asked: &Asked<'_>) -> Seat {
        let wish = Wish::of(asked.headers);
        let key = if wish.store { plan.recipe.key(asked) } else { Err(Uncacheable::Asked) };
        let key = match key {
            Ok(key) => key,
            Err(why) => {
                self.stats().bypasses.add();
                return Seat::Bypass(why);
            }
        };
        let form = if asked.stream { Form::Stream { usage: asked.stream_usage } } else { Form::Whole };
        let ttl = plan.settings.ttl.get().min(wish.max_age);
        if !ttl.is_zero() {
            let hit = match self.in_memory(plan, &key, form, ttl) {
                Some(hit) => Some(hit),
                None => self.in_redis(plan, &key, form, ttl).await,
            };
            if let Some(hit) = hit {
                return Seat::Hit(hit);
            }
        }
        self.stats().misses.add();
        Seat::Lead(Lead::new(self, plan, key, asked.dialect))
    }

    fn in_memory(&self, plan: &Plan, key: &Key, form: Form, ttl: Duration) -> Option<Hit> {
        let (meta, body) = plan.memory.as_ref()?.get(key, form, ttl, &self.codec)?;
        self.stats().memory_hits.add();
        let age = meta.stored_at.age(Wall::now());
        Some(Hit { body, stream: form != Form::Whole, layer: Layer::Memory, age, meta })
    }

    async fn in_redis(&self, plan: &Plan, key: &Key, form: Form, ttl: Duration) -> Option<Hit> {
        let remote = self.remote.as_ref().filter(|_| plan.settings.redis)?;
        let bytes = remote.get(key).await?;
        let Some((entry, body)) = self.read(&bytes, form) else {
            self.stats().corrupt.add();
            return None;
        };
        let now = Wall::now();
        if !entry.meta.fresh(now, ttl) {
            return None;
        }
        self.stats().redis_hits.add();
        let meta = Arc::clone(&entry.meta);
        if let Some(memory) = &plan.memory
            && self.shared.promotions.hit(key, plan.settings.promotion, now)
        {
            self.stats().promotions.add();
            memory.put(*key, entry);
        }
        let age = meta.stored_at.age(now);
        Some(Hit { body, stream: form != Form::Whole, layer: Layer::Redis, age, meta })
    }

    fn read(&self, bytes: &Bytes, form: Form) -> Option<(Entry, Bytes)> {
        let entry = Entry::decode(bytes)?;
        let body = render(&entry, form, &self.codec)?;
        Some((entry, body))
    }

    pub(super) fn put(&self, plan: &Plan, key: Key, entry: Entry) {
        self.stats().stores.add();
        if let Some(remote) = self.remote.as_ref().filter(|_| plan.settings.redis) {
            remote.put(&key, &entry.encode(), plan.settings.ttl.get());
        }
        if let Some(memory) = &plan.memory {
            memory.put(key, entry);
        }
    }

    pub(super) fn codec(&self) -> &Codec {
        &self.codec
    }

    pub(super) fn stats(&self) -> &Stats {
        &self.shared.stats
    }
}

/// What a caller's `Cache-Control` asks (RFC 9111, 5.2.1).
#[derive(Debug, PartialEq, Eq)]
struct Wish {
    /// `no-store`: neither a kept answer nor keeping this one.
    store: bool,
    /// `max-age`; `no-cache` is an age of nothing: a fresh answer, which is kept.
    max_age: Duration,
}

impl Wish {
    fn of(headers: &HeaderMap) -> Self {
        let mut wish = Self { store: true, max_age: Duration::MAX };
        for value in headers.get_all(CACHE_CONTROL).iter().filter_map(|value| value.to_str().ok()) {
            for directive in value.split(',').map(str::trim) {
                let (name, argument) = directive.split_once('=').unwrap_or((directive, ""));
                if name.eq_ignore_ascii_case("no-store") {
                    wish.store = false;
                } else if name.eq_ignore_ascii_case("no-cache") {
                    wish.max_age = Duration::ZERO;
                } else if name.eq_ignore_ascii_case("max-age") {
                    // An age that can not be read is no age at all.
                    let seconds = argument.trim_matches('"').parse().unwrap_or(0);
                    wish.max_age = wish.max_age.min(Duration::from_secs(seconds));
                }
            }
        }
        wish
    }
}

#[cfg(test)]
mod tests;
