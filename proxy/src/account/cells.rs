//! The counts for one combination of names on one worker. Families with fewer labels are sums over cells.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering::Acquire, Ordering::Relaxed, Ordering::Release};

use sluicegate_dialects::hub::Usage;

use super::histogram::{Counter, DURATION, FIRST_TOKEN, Histogram, OVERHEAD, PER_TOKEN, TOKENS};
use super::outcome::{AttemptEnd, CacheLayer, CacheStatus, End, Operation};
use super::record::{AttemptFacts, Record};
use super::table::{ModelIx, ProviderIx, RouteIx};

/// The key that a call's cells are found by, within one configuration.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct CallKey {
    pub(super) route: RouteIx,
    pub(super) provider: ProviderIx,
    pub(super) asked: ModelIx,
    pub(super) answered: ModelIx,
    pub(super) operation: Operation,
}

impl CallKey {
    /// Of a call that nothing is known of.
    pub(super) fn of_nobody(provider: ProviderIx) -> Self {
        let (route, operation) = (RouteIx::default(), Operation::Unknown);
        Self { route, provider, asked: ModelIx::default(), answered: ModelIx::default(), operation }
    }
}

/// So many (status code, end) pairs have their slots in the cell itself …
const FEW: usize = 2;
/// … and so many further ones in a block of their own; the rest share its last slot.
const MORE: usize = 14;
/// The last slot's tag: no end has this number.
const OVERFLOW: u32 = 0xff;

/// The names of a usage's tokens, in the order of [`token_counts`].
pub(super) const TOKEN_TYPES: [&str; 5] = ["input", "output", "cached_input", "cache_creation_input", "reasoning"];

/// The counts of a usage, in the order of [`TOKEN_TYPES`].
pub(super) const fn token_counts(usage: &Usage) -> [u64; 5] {
    [usage.input, usage.output, usage.cached_input, usage.cache_write, usage.reasoning]
}

/// The ends of calls that are errors, by whose labels their durations are told.
const ERRORS: [End; 5] = [End::Refused, End::Failed, End::ClientGone, End::UpstreamCut, End::TimedOut];

/// Counters by (status code, end), few of which are ever used.
#[derive(Debug, Default)]
pub(super) struct Codes {
    few: [CellSlot; FEW],
    more: OnceLock<Box<[CellSlot; MORE]>>,
}

/// `tag` is (code << 8 | end + 1), 0 while the slot is free; it is set once.
#[derive(Debug, Default)]
struct CellSlot {
    tag: AtomicU32,
    count: Counter,
}

impl CellSlot {
    /// Counts, if the slot is of this tag or free.
    fn takes(&self, tag: u32) -> bool {
        let found = self.tag.load(Relaxed);
        if found != tag && found != 0 {
            return false;
        }
        self.count.add(1);
        if found == 0 {
            self.tag.store(tag, Release);
        }
        true
    }
}

impl Codes {
    fn add(&self, code: u16, end: End) {
        let tag = (u32::from(code) << 8) | (end as u32 + 1);
        if self.few.iter().any(|slot| slot.takes(tag)) {
            return;
        }
        // The last slot is for whatever comes after the others are taken.
        if let Some((last, more)) = self.more.get_or_init(Box::default).split_last()
            && !more.iter().any(|slot| slot.takes(tag))
        {
            last.takes(OVERFLOW);
        }
    }

    /// The pairs that were used: `(code, end)` (`None`: the pairs there was no slot for) and how often.
    pub(super) fn read(&self) -> impl Iterator<Item = (Option<(u16, End)>, u64)> {
        let more = self.more.get().into_iter().flat_map(|more| more.iter());
        self.few.iter().chain(more).filter_map(|slot| {
            let tag = slot.tag.load(Acquire);
            let at = (tag & 0xff).checked_sub(1)?;
            let end = End::ALL.get(at as usize).copied();
            Some((end.zip(u16::try_from(tag >> 8).ok()).map(|(end, code)| (code, end)), slot.count.get()))
        })
    }
}

/// Calls of one (route, provider, model asked, model answered, operation) on one worker. There may be tens of thousands
/// of these, so what only some of them count takes its memory with its first value.
#[derive(Debug)]
pub(super) struct CallCells {
    pub(super) codes: Codes,
    /// Durations of calls that came to a good end.
    duration: Histogram,
    /// Those of the others, by [`ERRORS`].
    failed: OnceLock<Box<[Histogram; ERRORS.len()]>>,
    pub(super) overhead: Histogram,
    /// Of input and of output.
    tokens: [Histogram; 2],
    pub(super) cost: Counter,
    /// Calls whose cost nobody knows.
    pub(super) unpriced: Counter,
    pub(super) bytes_in: Counter,
    pub(super) bytes_out: Counter,
    seldom: OnceLock<Box<Seldom>>,
}

/// The counts of only some kinds of calls: streams, calls by way of a cache, failovers.
#[derive(Debug)]
pub(super) struct Seldom {
    pub(super) first_token: Histogram,
    pub(super) per_token: Histogram,
    /// The further kinds of [`TOKEN_TYPES`].
    tokens: [Histogram; 3],
    pub(super) failovers: Counter,
    pub(super) continued: Counter,
    /// Calls whose usage was estimated.
    pub(super) estimated: Counter,
    pub(super) cache_hits: [Counter; 3],
    pub(super) cache_misses: Counter,
    pub(super) cache_bypasses: Counter,
    /// Money that providers' prompt caches saved, and that writing there added.
    pub(super) prompt_cache: [Counter; 2],
}

impl Seldom {
    fn new() -> Box<Self> {
        Box::new(Self {
            first_token: Histogram::new(&FIRST_TOKEN),
            per_token: Histogram::new(&PER_TOKEN),
            tokens: std::array::from_fn(|_| Histogram::new(&TOKENS)),
            failovers: Counter::default(),
            continued: Counter::default(),
            estimated: Counter::default(),
            cache_hits: std::array::from_fn(|_| Counter::default()),
            cache_misses: Counter::default(),
            cache_bypasses: Counter::default(),
            prompt_cache: std::array::from_fn(|_| Counter::default()),
        })
    }
}

impl CallCells {
    /// Nothing counted yet.
    pub(super) fn new() -> Self {
        Self {
            codes: Codes::default(),
            duration: Histogram::new(&DURATION),
            failed: OnceLock::new(),
            overhead: Histogram::new(&OVERHEAD),
            tokens: std::array::from_fn(|_| Histogram::new(&TOKENS)),
            cost: Counter::default(),
            unpriced: Counter::default(),
            bytes_in: Counter::default(),
            bytes_out: Counter::default(),
            seldom: OnceLock::new(),
        }
    }

    /// Durations by the error that calls ended in; empty: in none.
    pub(super) fn durations(&self) -> impl Iterator<Item = (&'static str, &Histogram)> {
        let failed =
            self.failed.get().into_iter().flat_map(|failed| ERRORS.iter().map(|end| end.label()).zip(&**failed));
        std::iter::once(("", &self.duration)).chain(failed)
    }

    fn duration_of(&self, error: Option<End>) -> &Histogram {
        let Some(at) = error.and_then(|error| ERRORS.iter().position(|end| *end == error)) else {
            return &self.duration;
        };
        let failed = self.failed.get_or_init(|| Box::new(std::array::from_fn(|_| Histogram::new(&DURATION))));
        failed.get(at).unwrap_or(&self.duration)
    }

    /// The counts of only some calls, if one has any.
    pub(super) fn seldom(&self) -> Option<&Seldom> {
        self.seldom.get().map(|seldom| &**seldom)
    }

    /// Tokens of each of [`TOKEN_TYPES`], as far as some were counted.
    pub(super) fn tokens(&self) -> impl Iterator<Item = &Histogram> {
        self.tokens.iter().chain(self.seldom().into_iter().flat_map(|seldom| &seldom.tokens))
    }

    fn sometimes(&self) -> &Seldom {
        self.seldom.get_or_init(Seldom::new)
    }

    /// Counts a closed call. Only ever called by the worker that owns the cells.
    pub(super) fn count(&self, record: &Record) {
        self.codes.add(record.code(), record.end);
        self.duration_of(record.error()).observe_time(record.duration);
        if let Some(overhead) = record.overhead() {
            self.overhead.observe_time(overhead);
        }
        if let Some(first) = record.first_token {
            self.sometimes().first_token.observe_time(first);
        }
        if let Some(per_token) = record.per_token() {
            self.sometimes().per_token.observe_time(per_token);
        }
        self.bytes_in.add(record.bytes_in);
        self.bytes_out.add(record.bytes_out);
        if record.failover {
            self.sometimes().failovers.add(1);
        }
        if record.continued > 0 {
            self.sometimes().continued.add(record.continued.into());
        }
        // A cached answer used no tokens and cost nothing: its usage was counted when it was made.
        if !matches!(record.cache, CacheStatus::Hit(_)) {
            self.count_usage(&record.attempt);
        }
        self.count_cache(record);
    }

    /// Counts what an attempt used, if its provider has said that, or it was estimated; else, that its cost is unknown, if it has any.
    pub(super) fn count_usage(&self, attempt: &AttemptFacts) {
        let Some(usage) = &attempt.usage else {
            self.unpriced.add(u64::from(attempt.unknown));
            return;
        };
        let [input, output, finer @ ..] = token_counts(usage);
        for (histogram, count) in self.tokens.iter().zip([input, output]) {
            histogram.observe(count);
        }
        // Input and output always, the finer kinds where there are some.
        for (at, count) in finer.into_iter().enumerate().filter(|(_, count)| *count > 0) {
            self.sometimes().tokens.iter().skip(at).take(1).for_each(|histogram| histogram.observe(count));
        }
        if attempt.estimated {
            self.sometimes().estimated.add(1);
        }
        let (saved, added) = attempt.prompt_cache;
        if saved.0 > 0 || added.0 > 0 {
            self.sometimes().prompt_cache.iter().zip([saved, added]).for_each(|(count, money)| count.add(money.0));
        }
        match attempt.cost {
            Some(cost) => self.cost.add(cost.0),
            None => self.unpriced.add(1),
        }
    }

    fn count_cache(&self, record: &Record) {
        match record.cache {
            CacheStatus::Off => {}
            CacheStatus::Bypass => self.sometimes().cache_bypasses.add(1),
            CacheStatus::Miss => self.sometimes().cache_misses.add(1),
            CacheStatus::Hit(CacheLayer::Memory) => self.sometimes().cache_hits[0].add(1),
            CacheStatus::Hit(CacheLayer::Redis) => self.sometimes().cache_hits[1].add(1),
            CacheStatus::Hit(CacheLayer::Flight) => self.sometimes().cache_hits[2].add(1),
        }
    }
}

/// Attempts at one provider on one worker, by how they ended, and the retries that followed.
#[derive(Debug, Default)]
pub(super) struct AttemptCells {
    pub(super) ends: [Counter; AttemptEnd::COUNT],
    pub(super) retries: [Counter; AttemptEnd::COUNT],
    /// Fields that the provider was not sent.
    pub(super) dropped: Counter,
    /// Parts of its answers that the caller was not given.
    pub(super) skipped: Counter,
    /// Requests sent once more within an attempt.
    pub(super) resends: Counter,
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
