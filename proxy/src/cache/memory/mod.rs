//! The layer in this process: one per route, shared by all workers, bounded in answers and in bytes.
//!
//! An answer is kept in up to four forms, each an item of its own under the same bounds: as stored (perhaps
//! compressed), unpacked, and as a stream with or without usage; forms that are asked for often stay, others go.

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use bytes::Bytes;
use quick_cache::sync::Cache;
use quick_cache::{DefaultHashBuilder, Lifecycle, OptionsBuilder, Weighter};
use sluicegate_config::MemoryCache;

use super::entry::{Codec, Entry, Meta, Wall};
use super::key::Key;
use super::stats::Stats;

/// Each shard holds at least this many bytes, so that one large answer still fits.
const SHARD_BYTES: u64 = 8 * 1024 * 1024;
/// More shards than this part no more threads.
const MAX_SHARDS: u64 = 16;

/// How an answer is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Form {
    /// The reply's JSON.
    Whole,
    /// A stream of events.
    Stream {
        /// Whether usage is among them.
        usage: bool,
    },
}

/// How old an answer may be.
#[derive(Debug, Clone, Copy)]
pub struct Lifetime {
    /// For every caller.
    pub ttl: Duration,
    /// For this one.
    pub max_age: Duration,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Slot {
    key: Key,
    /// `None`: compressed.
    form: Option<Form>,
}

#[derive(Debug, Clone)]
struct Kept {
    entry: Entry,
    /// Fixed when it is put in: what an item weighs must not change under the cache.
    weight: u64,
}

#[derive(Debug, Clone)]
struct Weigh;

impl Weighter<Slot, Kept> for Weigh {
    fn weight(&self, _: &Slot, kept: &Kept) -> u64 {
        kept.weight
    }
}

#[derive(Debug, Clone)]
struct Evictions(Arc<Stats>);

impl Lifecycle<Slot, Kept> for Evictions {
    // Collected so that large bodies are freed after the shard's lock is.
    type RequestState = Vec<Kept>;

    fn on_evict(&self, gone: &mut Vec<Kept>, _: Slot, kept: Kept) {
        self.0.evictions.add();
        gone.push(kept);
    }
}

type Inner = Cache<Slot, Kept, Weigh, DefaultHashBuilder, Evictions>;

#[derive(Debug)]
struct Sized {
    bounds: MemoryCache,
    cache: Inner,
}

impl Sized {
    fn new(bounds: MemoryCache, stats: &Arc<Stats>) -> Self {
        let bytes = bounds.max_bytes.max(1);
        // No shard holds less than 64 answers: a small cache split in many would evict long before it is full.
        let shards = (bytes / SHARD_BYTES).min(bounds.max_entries / 64).clamp(1, MAX_SHARDS);
        let shards = if shards.is_power_of_two() { shards } else { shards.next_power_of_two() / 2 };
        let mut options = OptionsBuilder::new();
        options.shards(usize::try_from(shards).unwrap_or(1)).weight_capacity(bytes / shards * shards);
        options.estimated_items_capacity(usize::try_from(bounds.max_entries.max(32 * shards)).unwrap_or(usize::MAX));
        let evictions = Evictions(Arc::clone(stats));
        let cache = match options.build() {
            Ok(options) => Cache::with_options(options, Weigh, DefaultHashBuilder::default(), evictions),
            Err(_) => Cache::with(32, bytes, Weigh, DefaultHashBuilder::default(), evictions),
        };
        Self { bounds, cache }
    }

    /// Both bounds in one: every item weighs at least its share of the bytes, so that there are never more than
    /// `max_entries` of them.
    fn weight(&self, entry: &Entry) -> u64 {
        entry.size().max(self.bounds.max_bytes.div_ceil(self.bounds.max_entries.max(1))).max(1)
    }

    fn put(&self, slot: Slot, entry: Entry) {
        if self.bounds.max_entries == 0 {
            return;
        }
        let weight = self.weight(&entry);
        self.cache.insert(slot, Kept { entry, weight });
    }
}

/// The layer in this process, of one route.
#[derive(Debug)]
pub struct Memory {
    sized: ArcSwap<Sized>,
    stats: Arc<Stats>,
}

impl Memory {
    /// An empty one.
    #[must_use]
    pub fn new(bounds: MemoryCache, stats: &Arc<Stats>) -> Self {
        Self { sized: ArcSwap::from_pointee(Sized::new(bounds, stats)), stats: Arc::clone(stats) }
    }

    /// Changes the bounds, keeping what fits.
    pub fn resize(&self, bounds: MemoryCache) {
        let old = self.sized.load();
        if old.bounds == bounds {
            return;
        }
        let new = Sized::new(bounds, &self.stats);
        for (slot, kept) in old.cache.iter() {
            new.put(slot, kept.entry);
        }
        self.sized.store(Arc::new(new));
    }

    /// Puts an answer in, as it is stored.
    pub fn put(&self, key: Key, entry: Entry) {
        let sized = self.sized.load();
        // Forms of the answer that was here before would outlive it.
        for form in [None, Some(Form::Whole), Some(Form::Stream { usage: false }), Some(Form::Stream { usage: true })] {
            sized.cache.remove(&Slot { key, form });
        }
        let form = if entry.packed.is_some() { None } else { Some(Form::Whole) };
        sized.put(Slot { key, form }, entry);
    }

    /// The answer in the form asked for, when it is here, still good, and no older than the caller wants.
    #[must_use]
    pub fn get(&self, key: &Key, form: Form, lifetime: Lifetime, codec: &Codec) -> Option<(Arc<Meta>, Bytes)> {
        let now = Wall::now();
        let sized = self.sized.load();
        let find = |form| {
            let slot = Slot { key: *key, form };
            let kept = sized.cache.get(&slot)?;
            if !kept.entry.meta.fresh(now, lifetime.ttl) {
                sized.cache.remove(&slot);
                return None;
            }
            // What is too old for one caller is there for all others.
            (kept.entry.meta.stored_at.age(now) < lifetime.max_age).then_some(kept.entry)
        };
        if let Some(entry) = find(Some(form)) {
            return Some((entry.meta, entry.body));
        }
        let stored = match form {
            Form::Whole => find(None)?,
            Form::Stream { .. } => find(Some(Form::Whole)).or_else(|| find(None))?,
        };
        let body = render(&stored, form, codec)?;
        let entry = Entry { meta: Arc::clone(&stored.meta), body: body.clone(), packed: None };
        sized.put(Slot { key: *key, form: Some(form) }, entry);
        Some((stored.meta, body))
    }

    /// How many items there are, and the bytes they are counted as.
    #[must_use]
    pub fn filled(&self) -> (u64, u64) {
        let sized = self.sized.load();
        (u64::try_from(sized.cache.len()).unwrap_or(u64::MAX), sized.cache.weight())
    }
}

/// An answer in the form asked for.
#[must_use]
pub fn render(entry: &Entry, form: Form, codec: &Codec) -> Option<Bytes> {
    match form {
        Form::Whole => entry.whole(codec),
        Form::Stream { usage } => entry.stream(codec, usage),
    }
}

#[cfg(test)]
mod tests;
