//! What is counted for one combination of names on one worker. Families with fewer labels are sums over cells.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering::Acquire, Ordering::Relaxed, Ordering::Release};

use sluicegate_dialects::hub::Usage;

use super::histogram::{Bounds, Counter, DURATION, FIRST_TOKEN, Histogram, OVERHEAD, PER_TOKEN, TOKENS};
use super::outcome::{AttemptEnd, CacheLayer, CacheStatus, End, Operation};
use super::record::Record;
use super::table::{ModelIx, ProviderIx, RouteIx};

/// What a call's cells are found by, within one configuration.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct CallKey {
    pub(super) route: RouteIx,
    pub(super) provider: ProviderIx,
    pub(super) asked: ModelIx,
    pub(super) answered: ModelIx,
    pub(super) operation: Operation,
}

/// How many different (status code, end) pairs a cell tells apart; the rest share the last slot.
const SLOTS: usize = 16;
/// The last slot's tag: no end has this number.
const OVERFLOW: u32 = 0xff;

/// What the tokens of a usage are called, in the order of [`token_counts`].
pub(super) const TOKEN_TYPES: [&str; 5] = ["input", "output", "cached_input", "cache_creation_input", "reasoning"];

/// The counts of a usage, in the order of [`TOKEN_TYPES`].
pub(super) const fn token_counts(usage: &Usage) -> [u64; 5] {
    [usage.input, usage.output, usage.cached_input, usage.cache_write, usage.reasoning]
}

/// A histogram that takes no memory before its first value.
#[derive(Debug)]
pub(super) struct Lazy {
    bounds: &'static Bounds,
    made: OnceLock<Histogram>,
}

impl Lazy {
    const fn new(bounds: &'static Bounds) -> Self {
        Self { bounds, made: OnceLock::new() }
    }

    fn make(&self) -> &Histogram {
        self.made.get_or_init(|| Histogram::new(self.bounds))
    }

    /// The histogram, if it has a value.
    pub(super) fn get(&self) -> Option<&Histogram> {
        self.made.get()
    }
}

/// Counters by (status code, end), few of which are ever used.
#[derive(Debug, Default)]
pub(super) struct Codes {
    slots: [Slot; SLOTS],
}

/// `tag` is (code << 8 | end + 1), 0 while the slot is free; it is set once.
#[derive(Debug, Default)]
struct Slot {
    tag: AtomicU32,
    count: Counter,
}

impl Codes {
    fn add(&self, code: u16, end: End) {
        let tag = (u32::from(code) << 8) | (end as u32 + 1);
        let last = self.slots.len() - 1;
        for (at, slot) in self.slots.iter().enumerate() {
            let found = slot.tag.load(Relaxed);
            if found == tag {
                return slot.count.add(1);
            }
            if found == 0 || at == last {
                // The last slot is for whatever comes after the others are taken.
                let tag = if at == last { OVERFLOW } else { tag };
                slot.count.add(1);
                return slot.tag.store(tag, Release);
            }
        }
    }

    /// What was used: `(code, end)` (`None`: the pairs there was no slot for) and how often.
    pub(super) fn read(&self) -> impl Iterator<Item = (Option<(u16, End)>, u64)> {
        self.slots.iter().filter_map(|slot| {
            let tag = slot.tag.load(Acquire);
            let at = (tag & 0xff).checked_sub(1)?;
            let end = End::ALL.get(at as usize).copied();
            Some((end.zip(u16::try_from(tag >> 8).ok()).map(|(end, code)| (code, end)), slot.count.get()))
        })
    }
}

/// Calls of one (route, provider, model asked, model answered, operation) on one worker.
#[derive(Debug)]
pub(super) struct CallCells {
    pub(super) codes: Codes,
    pub(super) duration: Lazy,
    pub(super) first_token: Lazy,
    pub(super) per_token: Lazy,
    pub(super) overhead: Lazy,
    pub(super) tokens: [Lazy; 5],
    pub(super) token_sums: [Counter; 5],
    pub(super) cost: Counter,
    pub(super) bytes_in: Counter,
    pub(super) bytes_out: Counter,
    pub(super) failovers: Counter,
    pub(super) cache_hits: [Counter; 2],
    pub(super) cache_misses: Counter,
    pub(super) cache_bypasses: Counter,
}

impl CallCells {
    /// Nothing counted yet.
    pub(super) fn new() -> Self {
        Self {
            codes: Codes::default(),
            duration: Lazy::new(&DURATION),
            first_token: Lazy::new(&FIRST_TOKEN),
            per_token: Lazy::new(&PER_TOKEN),
            overhead: Lazy::new(&OVERHEAD),
            tokens: std::array::from_fn(|_| Lazy::new(&TOKENS)),
            token_sums: std::array::from_fn(|_| Counter::default()),
            cost: Counter::default(),
            bytes_in: Counter::default(),
            bytes_out: Counter::default(),
            failovers: Counter::default(),
            cache_hits: std::array::from_fn(|_| Counter::default()),
            cache_misses: Counter::default(),
            cache_bypasses: Counter::default(),
        }
    }

    /// Counts a closed call. Only ever called by the worker that owns the cells.
    pub(super) fn count(&self, record: &Record) {
        self.codes.add(record.code(), record.end);
        self.duration.make().observe_time(record.duration);
        if let Some(overhead) = record.overhead() {
            self.overhead.make().observe_time(overhead);
        }
        if let Some(first) = record.first_token {
            self.first_token.make().observe_time(first);
        }
        if let Some(per_token) = record.per_token() {
            self.per_token.make().observe_time(per_token);
        }
        self.bytes_in.add(record.bytes_in);
        self.bytes_out.add(record.bytes_out);
        if record.failover {
            self.failovers.add(1);
        }
        self.count_usage(record);
        self.count_cache(record);
    }

    /// A cached answer used no tokens and cost nothing: its usage was counted when it was made.
    fn count_usage(&self, record: &Record) {
        let (Some(usage), false) = (&record.usage, matches!(record.cache, CacheStatus::Hit(_))) else { return };
        for ((count, histogram), (at, sum)) in
            token_counts(usage).into_iter().zip(&self.tokens).zip(self.token_sums.iter().enumerate())
        {
            sum.add(count);
            // Input and output always, the finer kinds where there are some.
            if at < 2 || count > 0 {
                histogram.make().observe(count);
            }
        }
        self.cost.add(record.cost.0);
    }

    fn count_cache(&self, record: &Record) {
        match record.cache {
            CacheStatus::Off => {}
            CacheStatus::Bypass => self.cache_bypasses.add(1),
            CacheStatus::Miss => self.cache_misses.add(1),
            CacheStatus::Hit(CacheLayer::Memory) => self.cache_hits[0].add(1),
            CacheStatus::Hit(CacheLayer::Redis) => self.cache_hits[1].add(1),
        }
    }
}

/// Attempts at one provider on one worker, by how they ended, and the retries that followed.
#[derive(Debug, Default)]
pub(super) struct AttemptCells {
    pub(super) ends: [Counter; AttemptEnd::COUNT],
    pub(super) retries: [Counter; AttemptEnd::COUNT],
}

impl AttemptCells {
    /// Counts an attempt's end.
    pub(super) fn ended(&self, end: AttemptEnd) {
        if let Some(count) = self.ends.get(end as usize) {
            count.add(1);
        }
    }

    /// Counts a retry after an attempt that ended so.
    pub(super) fn retried(&self, after: AttemptEnd) {
        if let Some(count) = self.retries.get(after as usize) {
            count.add(1);
        }
    }
}
