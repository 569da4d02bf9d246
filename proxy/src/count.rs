//! A count that many threads write and metrics read.

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
