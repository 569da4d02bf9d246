//! The layer in this process: one per route, shared by all workers, bounded in answers and in bytes.
//!
//! An answer is kept in up to five forms, each an item of its own under the same bounds: as stored (perhaps
//! compressed), unpacked, as gzip, and as a stream with or without usage; forms that are asked for often stay, others go.

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use bytes::Bytes;
use quick_cache::sync::Cache;
use quick_cache::{DefaultHashBuilder, Lifecycle, OptionsBuilder, Weighter};
use sluicegate_config::MemoryCache;

use super::entry::{CacheEntry, Meta, Wall};
use super::key::Key;
use super::stats::Stats;
use crate::compression::{AnswerCoding, Codec, WORTHWHILE};

/// Each shard holds at least this many bytes, so that one large answer still fits.
const SHARD_BYTES: u64 = 8 * 1024 * 1024;
/// More shards than this part no more threads.
const MAX_SHARDS: u64 = 16;

/// The form in which an answer is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum AnswerForm {
    /// The reply's JSON.
    Whole,
    /// The same, compressed where that is worth something.
    Coded(AnswerCoding),
    /// A stream of events.
    Stream {
        /// True if usage is among them.
        usage: bool,
    },
}

impl AnswerForm {
    /// True if it is a stream of events.
    #[must_use]
    pub const fn is_stream(self) -> bool {
        matches!(self, Self::Stream { .. })
    }

    const fn coding(self) -> Option<AnswerCoding> {
        match self {
            Self::Coded(coding) => Some(coding),
            Self::Whole | Self::Stream { .. } => None,
        }
    }
}

/// An answer that was here.
#[derive(Debug)]
pub struct Found {
    /// The facts known of it.
    pub meta: Arc<Meta>,
    /// Its bytes.
    pub body: Bytes,
    /// The coding that they are compressed in.
    pub coding: Option<AnswerCoding>,
}

/// The age that an answer may have.
#[derive(Debug, Clone, Copy)]
pub struct Lifetime {
    /// For every caller.
    pub ttl: Duration,
    /// For this one.
    pub max_age: Duration,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct MemoryKey {
    key: Key,
    /// `None`: compressed.
    form: Option<AnswerForm>,
}

#[derive(Debug, Clone)]
struct KeptAnswer {
    entry: CacheEntry,
    /// Fixed when it is put in: what an item weighs must not change under the cache.
    weight: u64,
}

#[derive(Debug, Clone)]
struct Weigh;

impl Weighter<MemoryKey, KeptAnswer> for Weigh {
    fn weight(&self, _: &MemoryKey, kept: &KeptAnswer) -> u64 {
        kept.weight
    }
}

#[derive(Debug, Clone)]
struct Evictions(Arc<Stats>);

impl Lifecycle<MemoryKey, KeptAnswer> for Evictions {
    // Collected so that large bodies are freed after the shard's lock is.
    type RequestState = Vec<KeptAnswer>;

    fn on_evict(&self, gone: &mut Vec<KeptAnswer>, _: MemoryKey, kept: KeptAnswer) {
        self.0.evictions.add();
        gone.push(kept);
    }
}

type AnswerCache = Cache<MemoryKey, KeptAnswer, Weigh, DefaultHashBuilder, Evictions>;

#[derive(Debug)]
struct Sized {
    bounds: MemoryCache,
    cache: AnswerCache,
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
    fn weight(&self, entry: &CacheEntry) -> u64 {
        entry.size().max(self.bounds.max_bytes.div_ceil(self.bounds.max_entries.max(1))).max(1)
    }

    fn put(&self, slot: MemoryKey, entry: CacheEntry) {
        if self.bounds.max_entries == 0 {
            return;
        }
        let weight = self.weight(&entry);
        self.cache.insert(slot, KeptAnswer { entry, weight });
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
    pub fn put(&self, key: Key, entry: CacheEntry) {
        let sized = self.sized.load();
        // Forms of the answer that was here before would outlive it.
        for form in [
            None,
            Some(AnswerForm::Whole),
            Some(AnswerForm::Coded(AnswerCoding::Gzip)),
            Some(AnswerForm::Stream { usage: false }),
            Some(AnswerForm::Stream { usage: true }),
        ] {
            sized.cache.remove(&MemoryKey { key, form });
        }
        let form = if entry.packed.is_some() { None } else { Some(AnswerForm::Whole) };
        sized.put(MemoryKey { key, form }, entry);
    }

    /// The answer in the form asked for, when it is here, still good, and no older than the caller wants.
    #[must_use]
    pub fn get(&self, key: &Key, form: AnswerForm, lifetime: Lifetime, codec: &Codec) -> Option<Found> {
        let now = Wall::now();
        let sized = self.sized.load();
        let find = |form| {
            let slot = MemoryKey { key: *key, form };
            let kept = sized.cache.get(&slot)?;
            if !kept.entry.meta.fresh(now, lifetime.ttl) {
                sized.cache.remove(&slot);
                return None;
            }
            // What is too old for one caller is there for all others.
            (kept.entry.meta.stored_at.age(now) < lifetime.max_age).then_some(kept.entry)
        };
        let coding = form.coding();
        // As stored is as zstd, if it is stored so.
        let kept_as = if coding == Some(AnswerCoding::Zstd) { None } else { Some(form) };
        if let Some(entry) = find(kept_as)
            && (kept_as.is_some() || entry.zstd().is_some())
        {
            return Some(Found { meta: entry.meta, body: entry.body, coding });
        }
        let whole = || find(Some(AnswerForm::Whole)).or_else(|| find(None));
        let stored = if form == AnswerForm::Whole { find(None)? } else { whole()? };
        let (body, coding) = render(&stored, form, codec)?;
        let made = CacheEntry { meta: Arc::clone(&stored.meta), body: body.clone(), packed: None };
        match (form, coding) {
            // It is here so.
            (AnswerForm::Whole | AnswerForm::Coded(_), None) if stored.packed.is_none() => {}
            (AnswerForm::Coded(_), None) => sized.put(MemoryKey { key: *key, form: Some(AnswerForm::Whole) }, made),
            (_, Some(AnswerCoding::Zstd)) => {
                let packed = u32::try_from(stored.body.len()).ok();
                sized.put(MemoryKey { key: *key, form: None }, CacheEntry { packed, ..made });
            }
            _ => sized.put(MemoryKey { key: *key, form: Some(form) }, made),
        }
        Some(Found { meta: stored.meta, body, coding })
    }

    /// The number of items, and the bytes they are counted as.
    #[must_use]
    pub fn filled(&self) -> (u64, u64) {
        let sized = self.sized.load();
        (u64::try_from(sized.cache.len()).unwrap_or(u64::MAX), sized.cache.weight())
    }
}

/// An answer in the form asked for, and its coding: none where it is as short, or as long, without.
#[must_use]
pub fn render(entry: &CacheEntry, form: AnswerForm, codec: &Codec) -> Option<(Bytes, Option<AnswerCoding>)> {
    Some(match form {
        AnswerForm::Whole => (entry.whole(codec)?, None),
        AnswerForm::Stream { usage } => (entry.stream(codec, usage)?, None),
        AnswerForm::Coded(coding) => match entry.zstd() {
            Some(body) if coding == AnswerCoding::Zstd => (body, Some(coding)),
            _ => {
                let whole = entry.whole(codec)?;
                let body = if whole.len() > WORTHWHILE { codec.compress(coding, &whole) } else { None };
                body.map_or((whole, None), |body| (body, Some(coding)))
            }
        },
    })
}

#[cfg(test)]
mod tests;
