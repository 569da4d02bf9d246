//! Two counts over a sliding time: a ring of buckets, each one word, so that counting takes no lock.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Buckets of a window: it slides in tenths.
const BUCKETS: usize = 10;
/// Bits of each count in a bucket's word; the rest is its number in time.
const COUNT_BITS: u32 = 20;
const COUNT_MAX: u64 = (1 << COUNT_BITS) - 1;
const SLOT_MASK: u64 = (1 << (64 - 2 * COUNT_BITS)) - 1;

/// The number of events in the last while, and of the marked ones among them. A bucket that reaches a million stays
/// there.
#[derive(Debug)]
pub(super) struct Window {
    epoch: Instant,
    /// Of one bucket, in milliseconds.
    width: AtomicU64,
    buckets: [AtomicU64; BUCKETS],
}

/// The counts that a window holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct WindowCounts {
    pub(super) total: u64,
    pub(super) marked: u64,
}

impl Window {
    pub(super) fn new(length: Duration, now: Instant) -> Self {
        // Numbers begin at 1, so that a bucket never written (0) is no bucket of the present.
        let window = Self { epoch: now, width: AtomicU64::new(1), buckets: Default::default() };
        window.resize(length);
        window
    }

    /// Another length; what is counted already is kept as far as it fits.
    pub(super) fn resize(&self, length: Duration) {
        let width = u64::try_from(length.as_millis()).unwrap_or(u64::MAX).div_ceil(BUCKETS as u64).max(1);
        self.width.store(width, Ordering::Relaxed);
    }

    fn slot(&self, now: Instant) -> u64 {
        let since = u64::try_from(now.saturating_duration_since(self.epoch).as_millis()).unwrap_or(u64::MAX);
        (since / self.width.load(Ordering::Relaxed) + 1) & SLOT_MASK
    }

    fn bucket(&self, slot: u64) -> Option<&AtomicU64> {
        let index = usize::try_from(slot % BUCKETS as u64).ok()?;
        self.buckets.get(index)
    }

    pub(super) fn count(&self, marked: bool, now: Instant) {
        self.add(1, u64::from(marked), now);
    }

    /// Marks one that was counted before.
    pub(super) fn mark(&self, now: Instant) {
        self.add(0, 1, now);
    }

    /// Takes one mark back of those that were made then.
    pub(super) fn unmark(&self, then: Instant) {
        let slot = self.slot(then);
        let Some(bucket) = self.bucket(slot) else { return };
        let _ = bucket.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |word| {
            let (at, before) = unpack(word);
            let after = WindowCounts { marked: before.marked.saturating_sub(1), ..before };
            (at == slot).then(|| pack(slot, after))
        });
    }

    fn add(&self, total: u64, marked: u64, now: Instant) {
        let slot = self.slot(now);
        let Some(bucket) = self.bucket(slot) else { return };
        let _ = bucket.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |word| {
            let (at, before) = unpack(word);
            let before = if at == slot { before } else { WindowCounts::default() };
            let after = WindowCounts { total: before.total + total, marked: before.marked + marked };
            Some(pack(slot, after))
        });
    }

    pub(super) fn counts(&self, now: Instant) -> WindowCounts {
        let slot = self.slot(now);
        let mut sum = WindowCounts::default();
        for bucket in &self.buckets {
            let (at, counts) = unpack(bucket.load(Ordering::Relaxed));
            // Never written is 0; a slot ahead is another worker's slightly later `now`.
            let age = slot.wrapping_sub(at) & SLOT_MASK;
            if at != 0 && (age < BUCKETS as u64 || age == SLOT_MASK) {
                sum.total += counts.total;
                sum.marked += counts.marked;
            }
        }
        sum
    }

    pub(super) fn clear(&self) {
        for bucket in &self.buckets {
            bucket.store(0, Ordering::Relaxed);
        }
    }
}

fn unpack(word: u64) -> (u64, WindowCounts) {
    let counts = WindowCounts { total: (word >> COUNT_BITS) & COUNT_MAX, marked: word & COUNT_MAX };
    (word >> (2 * COUNT_BITS), counts)
}

fn pack(slot: u64, counts: WindowCounts) -> u64 {
    (slot << (2 * COUNT_BITS)) | (counts.total.min(COUNT_MAX) << COUNT_BITS) | counts.marked.min(COUNT_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_slides() {
        let start = Instant::now();
        let at = |ms| start + Duration::from_millis(ms);
        let window = Window::new(Duration::from_secs(10), start);
        window.count(true, at(0));
        window.count(false, at(5_000));
        assert_eq!(window.counts(at(5_000)), WindowCounts { total: 2, marked: 1 });
        assert_eq!(window.counts(at(9_999)), WindowCounts { total: 2, marked: 1 });
        assert_eq!(window.counts(at(10_000)), WindowCounts { total: 1, marked: 0 });
        assert_eq!(window.counts(at(60_000)), WindowCounts::default());
        window.count(true, at(60_000));
        window.count(true, at(60_000));
        window.unmark(at(60_000));
        window.unmark(at(5_000));
        assert_eq!(window.counts(at(60_000)), WindowCounts { total: 2, marked: 1 });
        window.clear();
        window.count(true, at(60_000));
        assert_eq!(window.counts(at(60_000)), WindowCounts { total: 1, marked: 1 });
    }

    #[test]
    fn a_full_bucket_stays_full() {
        let now = Instant::now();
        let window = Window::new(Duration::from_secs(1), now);
        window.add(COUNT_MAX, COUNT_MAX, now);
        window.count(true, now);
        assert_eq!(window.counts(now), WindowCounts { total: COUNT_MAX, marked: COUNT_MAX });
    }
}
