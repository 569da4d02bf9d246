//! Counts of the cache: plain atomics that metrics read, written by every worker.

use std::sync::atomic::{AtomicU64, Ordering};

/// A count that only grows, or a gauge that is set.
#[derive(Debug, Default)]
pub struct Count(AtomicU64);

impl Count {
    /// One more.
    pub fn add(&self) {
        self.plus(1);
    }

    /// So many more.
    pub fn plus(&self, n: u64) {
        self.0.fetch_add(n, Ordering::Relaxed);
    }

    /// So many fewer (gauges only).
    pub fn minus(&self, n: u64) {
        self.0.fetch_sub(n, Ordering::Relaxed);
    }

    /// The count now.
    #[must_use]
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// Why an answer was not kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refused {
    /// Not a 200.
    Status,
    /// Not a whole, well-formed reply of its dialect.
    Malformed,
    /// It ended in a way that says nothing for the next caller (refusal, filter, pause, unknown).
    Finish,
    /// Less text than the route wants.
    Short,
    /// More bytes than the route wants.
    Large,
    /// It was cut, or its caller left.
    Cut,
    /// There was no memory to record it.
    Memory,
}

impl Refused {
    /// All of them, in the order of `Stats::refused`.
    pub const ALL: [Self; 7] =
        [Self::Status, Self::Malformed, Self::Finish, Self::Short, Self::Large, Self::Cut, Self::Memory];

    /// As a metric's label.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Status => "status",
            Self::Malformed => "malformed",
            Self::Finish => "finish_reason",
            Self::Short => "too_short",
            Self::Large => "too_large",
            Self::Cut => "cut",
            Self::Memory => "memory",
        }
    }
}

/// What the cache has done since the process began.
#[derive(Debug, Default)]
pub struct Stats {
    /// Answers from memory.
    pub memory_hits: Count,
    /// Answers from Redis.
    pub redis_hits: Count,
    /// Calls that found nothing.
    pub misses: Count,
    /// Calls that were not looked up (not cacheable, or the caller said so).
    pub bypasses: Count,
    /// Answers kept.
    pub stores: Count,
    /// Answers kept in memory.
    pub memory_stores: Count,
    /// Answers handed to Redis.
    pub redis_stores: Count,
    /// Answers that left memory for another.
    pub evictions: Count,
    /// Redis answers that were copied into memory.
    pub promotions: Count,
    /// Redis said no, or the connection broke.
    pub redis_errors: Count,
    /// Redis did not answer in time.
    pub redis_timeouts: Count,
    /// Look-ups that did not ask Redis because the node's breaker was open or it was not connected.
    pub redis_skipped: Count,
    /// Answers that were not written to Redis because the queue was full or the node away.
    pub redis_dropped: Count,
    /// Nodes of Redis left alone right now, over all workers (gauge).
    pub redis_open: Count,
    /// Bytes from Redis that were not an entry.
    pub corrupt: Count,
    refused: [Count; 7],
}

impl Stats {
    /// An answer was not kept.
    pub fn refuse(&self, why: Refused) {
        if let Some(count) = Refused::ALL.iter().position(|w| *w == why).and_then(|at| self.refused.get(at)) {
            count.add();
        }
    }

    /// How many answers were not kept, by reason.
    pub fn refused(&self) -> impl Iterator<Item = (&'static str, u64)> + '_ {
        Refused::ALL.iter().zip(&self.refused).map(|(why, count)| (why.as_str(), count.get()))
    }
}
