//! Ids as vendors give them: a prefix and letters that no other has.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::clock::unix_seconds;
use crate::digest::scramble;

/// A source of ids.
#[derive(Debug)]
pub(crate) struct Ids {
    salt: u64,
    given: AtomicU64,
}

impl Ids {
    /// A source that differs from run to run.
    pub(crate) fn new() -> Self {
        Self { salt: scramble(unix_seconds()), given: AtomicU64::new(0) }
    }

    /// The next one: the prefix and 24 letters.
    pub(crate) fn next(&self, prefix: &str) -> String {
        let high = scramble(self.salt.wrapping_add(self.given.fetch_add(1, Ordering::Relaxed)));
        let low = scramble(high);
        format!("{prefix}{high:016x}{:08x}", low >> 32)
    }
}
