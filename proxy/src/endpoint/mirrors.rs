//! Copies of calls that a pool is sent: bounded, and counted by themselves.

use std::cell::Cell;
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
    refused: AtomicU64,
}

impl Mirrors {
    /// The place of one more copy, until it is dropped; `None`: there are too many.
    #[must_use]
    pub fn take(&self) -> Option<MirrorPlace> {
        let place = MirrorPlace { counts: Arc::clone(&self.0), is_sent: Cell::new(false), is_made: Cell::new(true) };
        if self.0.under_way.fetch_add(1, Relaxed) >= MOST {
            self.0.dropped.fetch_add(1, Relaxed);
            place.is_made.set(false);
            return None;
        }
        Some(place)
    }

    /// Copies that were sent, those that were not made, and those that no provider could take.
    #[must_use]
    pub fn counts(&self) -> [(&'static str, u64); 3] {
        let Counts { sent, dropped, refused, .. } = &*self.0;
        [("sent", sent), ("dropped", dropped), ("refused", refused)].map(|(word, count)| (word, count.load(Relaxed)))
    }
}

/// The place of a copy that is under way. One that is let go of before it was sent is counted as refused.
#[derive(Debug)]
pub struct MirrorPlace {
    counts: Arc<Counts>,
    is_made: Cell<bool>,
    is_sent: Cell<bool>,
}

impl MirrorPlace {
    /// A provider is asked. Only the first word counts.
    pub fn sent(&self) {
        if !self.is_sent.replace(true) {
            self.counts.sent.fetch_add(1, Relaxed);
        }
    }
}

impl Drop for MirrorPlace {
    fn drop(&mut self) {
        if self.is_made.get() && !self.is_sent.get() {
            self.counts.refused.fetch_add(1, Relaxed);
        }
        self.counts.under_way.fetch_sub(1, Relaxed);
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
        taken.iter().take(60).for_each(MirrorPlace::sent);
        taken[0].sent();
        assert_eq!(mirrors.counts(), [("sent", 60), ("dropped", 36), ("refused", 0)]);
        drop(taken);
        assert_eq!(mirrors.counts(), [("sent", 60), ("dropped", 36), ("refused", 4)]);
        assert!(mirrors.take().is_some());
    }
}
