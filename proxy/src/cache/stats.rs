//! Counts of the cache, written by every worker.

use crate::count::Count;

/// The reason why an answer was not kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refused {
    /// Not a 200.
    Status,
    /// Not a whole, well-formed reply of its dialect.
    Malformed,
    /// It ended in a way that says nothing for the next caller (refusal, filter, pause, unknown).
    Finish,
    /// It says nothing, or one of its answers does not.
    Empty,
    /// Less text than the route wants.
    Short,
    /// More bytes than the route wants.
    Large,
    /// It was cut, or its caller left.
    Cut,
    /// There was no memory to record it.
    Memory,
    /// It holds what could not be given again as it was.
    Unfoldable,
}

impl Refused {
    /// All of them, in the order of `Stats::refused`.
    pub const ALL: [Self; 9] = [
        Self::Status,
        Self::Malformed,
        Self::Finish,
        Self::Empty,
        Self::Short,
        Self::Large,
        Self::Cut,
        Self::Memory,
        Self::Unfoldable,
    ];

    /// As a metric's label.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Status => "status",
            Self::Malformed => "malformed",
            Self::Finish => "finish_reason",
            Self::Empty => "empty",
            Self::Short => "too_short",
            Self::Large => "too_large",
            Self::Cut => "cut",
            Self::Memory => "memory",
            Self::Unfoldable => "not_foldable",
        }
    }
}

/// The counts of the cache since the process began.
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
    /// Bytes from Redis that were not an entry.
    pub corrupt: Count,
    refused: [Count; 9],
}

impl Stats {
    /// An answer was not kept.
    pub fn refuse(&self, why: Refused) {
        if let Some(count) = Refused::ALL.iter().position(|w| *w == why).and_then(|at| self.refused.get(at)) {
            count.add();
        }
    }

    /// The number of answers that were not kept, by reason.
    pub fn refused(&self) -> impl Iterator<Item = (&'static str, u64)> + '_ {
        Refused::ALL.iter().zip(&self.refused).map(|(why, count)| (why.as_str(), count.get()))
    }
}
