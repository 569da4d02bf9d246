//! The counts of connection pools, as plain atomics that metrics read without asking a worker.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// One worker's connections to one origin. Written by that worker alone, so its cache lines stay its own.
#[derive(Debug, Default)]
pub(super) struct PoolStats {
    pub(super) open: AtomicU64,
    pub(super) idle: AtomicU64,
    pub(super) reused: AtomicU64,
    pub(super) created: AtomicU64,
    pub(super) failed: AtomicU64,
    pub(super) waits: AtomicU64,
    pub(super) sockets: Arc<Sockets>,
}

/// Sockets towards all providers, over all workers: those that callers and the process itself need are not among them.
#[derive(Debug)]
pub(super) struct Sockets {
    open: AtomicU64,
    most: u64,
}

impl Default for Sockets {
    fn default() -> Self {
        Self { open: AtomicU64::new(0), most: u64::MAX }
    }
}

impl Sockets {
    /// One more; `false`: there are as many as there may be.
    pub(super) fn take(&self) -> bool {
        let taken = self.open.fetch_add(1, Ordering::Relaxed) < self.most;
        if !taken {
            self.give();
        }
        taken
    }

    /// One less.
    pub(super) fn give(&self) {
        self.open.fetch_sub(1, Ordering::Relaxed);
    }
}

/// One more. A counter has one writer: a load and a store cost less than `fetch_add`, which locks.
pub(super) fn add(counter: &AtomicU64) {
    counter.store(counter.load(Ordering::Relaxed).wrapping_add(1), Ordering::Relaxed);
}

/// One less.
pub(super) fn take(counter: &AtomicU64) {
    counter.store(counter.load(Ordering::Relaxed).saturating_sub(1), Ordering::Relaxed);
}

impl PoolStats {
    fn read(&self) -> PoolTotals {
        PoolTotals {
            open: self.open.load(Ordering::Relaxed),
            idle: self.idle.load(Ordering::Relaxed),
            reused: self.reused.load(Ordering::Relaxed),
            created: self.created.load(Ordering::Relaxed),
            failed: self.failed.load(Ordering::Relaxed),
            waits: self.waits.load(Ordering::Relaxed),
        }
    }
}

/// Numbers of connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct PoolTotals {
    /// Open now, idle ones included.
    pub open: u64,
    /// Open and idle now (HTTP/1; an HTTP/2 connection counts when it carries no call).
    pub idle: u64,
    /// Calls that found a connection open, since the start.
    pub reused: u64,
    /// Connections made, since the start.
    pub created: u64,
    /// Connections that could not be made, since the start.
    pub failed: u64,
    /// Calls that had to wait because `maxConnections` was reached, since the start.
    pub waits: u64,
}

impl PoolTotals {
    fn plus(self, other: Self) -> Self {
        Self {
            open: self.open + other.open,
            idle: self.idle + other.idle,
            reused: self.reused + other.reused,
            created: self.created + other.created,
            failed: self.failed + other.failed,
            waits: self.waits + other.waits,
        }
    }
}

/// Connections to one endpoint of a provider, over all workers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EndpointTotals {
    /// The pool's id.
    pub pool: String,
    /// The provider's name in it.
    pub provider: String,
    /// Its address (`Origin::address`).
    pub address: String,
    /// Its connections.
    pub totals: PoolTotals,
}

/// `pool`, `provider` and address of a row.
type Label = (String, String, String);

/// The list of every worker's pools. One for the process.
#[derive(Debug, Default)]
pub struct StatsBoard {
    rows: Mutex<BTreeMap<Label, Row>>,
    sockets: Arc<Sockets>,
}

#[derive(Debug, Default)]
struct Row {
    /// The counts of pools that are gone: a counter never goes back.
    past: PoolTotals,
    live: Vec<Arc<PoolStats>>,
}

impl Row {
    /// Folds pools that only this board still knows into the past.
    fn fold(&mut self) {
        let past = &mut self.past;
        self.live.retain(|stats| {
            let alive = Arc::strong_count(stats) > 1;
            if !alive {
                *past = past.plus(PoolTotals { open: 0, idle: 0, ..stats.read() });
            }
            alive
        });
    }
}

impl StatsBoard {
    /// For a process that may have so many connections to providers.
    #[must_use]
    pub fn bounded(most: u64) -> Self {
        Self { rows: Mutex::default(), sockets: Arc::new(Sockets { most, ..Sockets::default() }) }
    }

    pub(super) fn register(&self, pool: &str, provider: &str, address: &str) -> Arc<PoolStats> {
        let stats = Arc::new(PoolStats { sockets: Arc::clone(&self.sockets), ..PoolStats::default() });
        let mut rows = self.rows.lock().unwrap_or_else(PoisonError::into_inner);
        let row = rows.entry((pool.to_owned(), provider.to_owned(), address.to_owned())).or_default();
        row.fold();
        row.live.push(Arc::clone(&stats));
        stats
    }

    /// Every endpoint's totals, sorted.
    #[must_use]
    pub fn read(&self) -> Vec<EndpointTotals> {
        let mut rows = self.rows.lock().unwrap_or_else(PoisonError::into_inner);
        rows.iter_mut()
            .map(|((pool, provider, address), row)| {
                row.fold();
                let totals = row.live.iter().fold(row.past, |sum, stats| sum.plus(stats.read()));
                EndpointTotals { pool: pool.clone(), provider: provider.clone(), address: address.clone(), totals }
            })
            .collect()
    }

    /// Forgets endpoints for which `keep(pool, provider, address)` is false and no worker has a pool any more.
    pub fn retain(&self, keep: impl Fn(&str, &str, &str) -> bool) {
        let mut rows = self.rows.lock().unwrap_or_else(PoisonError::into_inner);
        rows.retain(|(pool, provider, address), row| {
            row.fold();
            !row.live.is_empty() || keep(pool, provider, address)
        });
    }
}
