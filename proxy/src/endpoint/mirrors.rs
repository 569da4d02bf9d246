//! Copies of calls that a pool is sent: bounded, and counted by themselves.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// So many copies are under way at once in a pool; further ones are not made.
const MOST: u64 = 64;

/// A pool's copies.
#[derive(Debug, Default)]
pub struct Mirrors(Arc<Counts>);

#[derive(Debug, Default)]
struct Counts {
    under_way: AtomicU64,
    sent: AtomicU64,
    dropped: AtomicU64,
}

impl Mirrors {
    /// The place of one more copy, until it is dropped; `None`: there are too many.
    #[must_use]
    pub fn take(&self) -> Option<MirrorPlace> {
        let place = MirrorPlace(Arc::clone(&self.0));
        if self.0.under_way.fetch_add(1, Relaxed) >= MOST {
            self.0.dropped.fetch_add(1, Relaxed);
            return None;
        }
        self.0.sent.fetch_add(1, Relaxed);
        Some(place)
    }

    /// Copies that were sent, and those that were not made.
    #[must_use]
    pub fn counts(&self) -> [(&'static str, u64); 2] {
        [("sent", self.0.sent.load(Relaxed)), ("dropped", self.0.dropped.load(Relaxed))]
    }
}

/// The place of a copy that is under way.
#[derive(Debug)]
pub struct MirrorPlace(Arc<Counts>);

impl Drop for MirrorPlace {
    fn drop(&mut self) {
        self.0.under_way.fetch_sub(1, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn copies_are_bounded() {
        let mirrors = Mirrors::default();
        let taken: Vec<MirrorPlace> = (0..100).filter_map(|_| mirrors.take()).collect();
        assert_eq!(taken.len(), 64);
        assert_eq!(mirrors.counts(), [("sent", 64), ("dropped", 36)]);
        drop(taken);
        assert!(mirrors.take().is_some());
    }
}
