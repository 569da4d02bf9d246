//! The parts of the cache: what all workers share, a rule's plan, and one worker's handle on both layers.

use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::{Arc, Mutex, PoisonError};

use sluicegate_config::{Cache, MemoryCache, ObjectId, Route};

use super::entry::CacheEntry;
use super::key::{Key, Recipe};
use super::memory::Memory;
use super::promotion::Promotions;
use super::stats::Stats;
use crate::compression::Codec;
use crate::redis;

/// The part that all workers share; one per process.
#[derive(Debug, Default)]
pub struct SharedCache {
    layers: Mutex<BTreeMap<ObjectId, Arc<Memory>>>,
    pub(super) promotions: Promotions,
    stats: Arc<Stats>,
    redis: Arc<redis::RedisCounts>,
}

impl SharedCache {
    /// Nothing kept yet.
    #[must_use]
    pub fn new() -> Arc<Self> {
        Arc::default()
    }

    /// Makes room as a new form of a route says: its layer survives, changes its size, or goes. Call it before making
    /// the plans of its rules.
    ///
    /// A route whose rules say different sizes has one layer of the largest.
    pub fn make_room(&self, id: &ObjectId, route: &Route) {
        let wanted = route.rules.iter().filter_map(|rule| rule.cache.as_ref()?.memory);
        let bounds = wanted.reduce(|a, b| MemoryCache {
            max_entries: a.max_entries.max(b.max_entries),
            max_bytes: a.max_bytes.max(b.max_bytes),
        });
        let mut layers = self.layers.lock().unwrap_or_else(PoisonError::into_inner);
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

    /// A route is gone, and with it what it kept in memory.
    pub fn forget(&self, id: &ObjectId) {
        self.layers.lock().unwrap_or_else(PoisonError::into_inner).remove(id);
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

    /// The counts of what became of the cache's questions to Redis.
    #[must_use]
    pub fn redis(&self) -> &Arc<redis::RedisCounts> {
        &self.redis
    }

    /// The cache's counts.
    #[must_use]
    pub fn stats(&self) -> &Arc<Stats> {
        &self.stats
    }
}

/// The plan by which one rule's answers are cached, ready to run.
#[derive(Debug)]
pub struct Plan {
    pub(super) settings: Cache,
    pub(super) recipe: Recipe,
    pub(super) memory: Option<Arc<Memory>>,
}

impl Plan {
    /// The part of the rule that goes into its keys.
    #[must_use]
    pub fn recipe(&self) -> &Recipe {
        &self.recipe
    }
}

/// One worker's handle on the cache.
#[derive(Debug)]
pub struct Store {
    pub(super) shared: Arc<SharedCache>,
    pub(super) remote: Option<redis::RedisClient>,
    codec: Codec,
}

impl Store {
    /// Over what all workers share and this worker's own connections to Redis, where there is one.
    #[must_use]
    pub fn new(shared: &Arc<SharedCache>, remote: Option<redis::RedisClient>) -> Rc<Self> {
        Rc::new(Self { shared: Arc::clone(shared), remote, codec: Codec::default() })
    }

    pub(super) fn put(&self, plan: &Plan, (key, slot): (Key, Option<&Key>), entry: CacheEntry) {
        self.stats().stores.add();
        if let Some(remote) = self.remote.as_ref().filter(|_| plan.settings.redis) {
            self.stats().redis_stores.add();
            remote.set(&place(&key, slot), &entry.encode(), plan.settings.ttl.get());
        }
        if let Some(memory) = &plan.memory {
            self.stats().memory_stores.add();
            memory.put(key, entry);
        }
    }

    /// The worker's compressors.
    #[must_use]
    pub fn codec(&self) -> &Codec {
        &self.codec
    }

    pub(super) fn stats(&self) -> &Stats {
        &self.shared.stats
    }
}

/// The key of an answer in Redis. The braces let what else belongs to a key lie in the same slot.
///
/// It lies in the slot of another key where that of a flight is asked for together with it.
pub(super) fn place(key: &Key, slot: Option<&Key>) -> String {
    match slot {
        Some(slot) => format!("sluicegate:{{{}}}:cache:{}", slot.hex(), key.hex()),
        None => format!("sluicegate:{{{}}}:cache", key.hex()),
    }
}

#[cfg(test)]
impl SharedCache {
    pub(super) fn apply(&self, snapshot: &sluicegate_config::Snapshot) {
        snapshot.routes.iter().for_each(|(id, route)| self.make_room(id, route));
    }
}
