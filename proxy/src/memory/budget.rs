//! The budget of the process: how many bytes calls may hold in sum, and how many they do.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};

/// The bytes that a worker takes at once, at most; of a small budget it takes less.
const LARGEST_BLOCK: usize = 256 << 10;
/// All workers' blocks together are at most this part of the budget.
const BLOCKS: usize = 64;

/// A body or an answer up to this is a small one.
const SMALL: usize = 64 << 10;

/// The memory that a connection without a call takes.
const CONNECTION: usize = 8 << 10;

/// The purpose that bytes are held for. The less they are needed, the earlier they are refused, so that large bodies
/// never keep small calls out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// A small call or answer: may use all of the budget.
    Call,
    /// A large one: leaves an eighth.
    Bulk,
    /// A recording for the cache, which can be done without: leaves a quarter.
    Optional,
}

impl Purpose {
    /// All of them, in the order of the counts.
    const ALL: [Self; 3] = [Self::Call, Self::Bulk, Self::Optional];

    /// As a metric's label.
    const fn label(self) -> &'static str {
        match self {
            Self::Call => "call",
            Self::Bulk => "bulk",
            Self::Optional => "recording",
        }
    }

    /// The purpose that so many bytes of a call are held for.
    #[must_use]
    pub const fn of(bytes: usize) -> Self {
        if bytes > SMALL { Self::Bulk } else { Self::Call }
    }

    /// So much of a budget may be used for it.
    const fn ceiling(self, size: usize) -> usize {
        match self {
            Self::Call => size,
            Self::Bulk => size - size / 8,
            Self::Optional => size - size / 4,
        }
    }
}

/// The bytes that calls may hold in sum.
#[derive(Debug)]
pub struct MemoryBudget {
    size: usize,
    block: usize,
    /// Taken by workers, what they have not used of it included.
    taken: AtomicUsize,
    refused: [AtomicU64; 3],
    /// The bytes that each worker has taken and not used.
    unused: Mutex<Vec<Arc<AtomicUsize>>>,
}

impl MemoryBudget {
    /// A budget of `size` bytes for so many workers.
    #[must_use]
    pub fn new(size: usize, workers: usize) -> Arc<Self> {
        let block = (size / BLOCKS / workers.max(1)).clamp(1, LARGEST_BLOCK);
        let (taken, refused, unused) = (AtomicUsize::new(0), Default::default(), Mutex::default());
        Arc::new(Self { size, block, taken, refused, unused })
    }

    /// The largest body that can ever be held.
    #[must_use]
    pub const fn largest_body(&self) -> usize {
        Purpose::Bulk.ceiling(self.size)
    }

    /// The number of connections that may be open: all of them idle take about as much memory as calls may.
    #[must_use]
    pub const fn most_connections(&self) -> usize {
        let most = self.size / CONNECTION;
        if most == 0 { 1 } else { most }
    }

    /// A counter in which one more worker counts what it has taken and not used.
    pub(super) fn unused(&self) -> Arc<AtomicUsize> {
        let unused = Arc::default();
        self.unused.lock().unwrap_or_else(PoisonError::into_inner).push(Arc::clone(&unused));
        unused
    }

    /// Its size in bytes.
    #[must_use]
    pub const fn size(&self) -> usize {
        self.size
    }

    /// The bytes that calls hold.
    #[must_use]
    pub fn used(&self) -> usize {
        let unused = self.unused.lock().unwrap_or_else(PoisonError::into_inner);
        let unused: usize = unused.iter().map(|unused| unused.load(Relaxed)).sum();
        self.taken.load(Relaxed).saturating_sub(unused)
    }

    /// The number of times that it had no room, by purpose.
    pub fn refusals(&self) -> impl Iterator<Item = (&'static str, u64)> + '_ {
        Purpose::ALL.iter().zip(&self.refused).map(|(purpose, count)| (purpose.label(), count.load(Relaxed)))
    }

    /// The bytes that a worker takes at once.
    pub(super) const fn block(&self) -> usize {
        self.block
    }

    /// Takes bytes, unless what is taken for this purpose would be too much.
    pub(super) fn take(&self, bytes: usize, purpose: Purpose) -> bool {
        let ceiling = purpose.ceiling(self.size);
        let taken = self
            .taken
            .fetch_update(Relaxed, Relaxed, |taken| taken.checked_add(bytes).filter(|taken| *taken <= ceiling));
        taken.is_ok()
    }

    /// Takes bytes that are held already, whatever there is.
    pub(super) fn overdraw(&self, bytes: usize) {
        self.taken.fetch_add(bytes, Relaxed);
    }

    pub(super) fn give(&self, bytes: usize) {
        self.taken.fetch_sub(bytes, Relaxed);
    }

    pub(super) fn count_refusal(&self, purpose: Purpose) {
        if let Some(count) =
            Purpose::ALL.iter().zip(&self.refused).find_map(|(of, count)| (*of == purpose).then_some(count))
        {
            count.fetch_add(1, Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn large_bodies_leave_room_for_small_calls_and_recordings_leave_more() {
        let budget = MemoryBudget::new(80 << 10, 1);
        let worker = budget.allowance();
        let mut recording = worker.charge(0, Purpose::Optional).unwrap();
        assert!(recording.grow(50 << 10, Purpose::Optional).is_ok());
        assert!(recording.grow(20 << 10, Purpose::Optional).is_err());
        let body = worker.charge(19 << 10, Purpose::Bulk).unwrap();
        assert!(worker.charge(10 << 10, Purpose::Bulk).is_err());
        let call = worker.charge(9 << 10, Purpose::Call).unwrap();
        assert!(worker.charge(9 << 10, Purpose::Call).is_err());
        assert_eq!((budget.size(), budget.used()), (80 << 10, 78 << 10));
        assert_eq!(budget.refusals().collect::<Vec<_>>(), [("call", 1), ("bulk", 1), ("recording", 1)]);
        drop((recording, body, call));
        assert_eq!(budget.used(), 0);
        assert!(worker.charge(70 << 10, Purpose::Bulk).is_ok());
    }

    #[test]
    fn threads_that_take_and_give_leave_nothing_behind() {
        let budget = MemoryBudget::new(1 << 20, 4);
        std::thread::scope(|scope| {
            for seed in 1..=4_usize {
                let worker = budget.allowance();
                scope.spawn(move || {
                    let mut held = Vec::new();
                    for step in 0..5_000_usize {
                        let bytes = (step * 7919 * seed) % 40_000;
                        held.extend(worker.charge(bytes, Purpose::Call).ok());
                        if held.len() > 8 {
                            held.swap_remove(step % 8);
                        }
                    }
                });
            }
        });
        assert_eq!(budget.used(), 0);
        assert!(budget.taken.load(Relaxed) <= 4 * 2 * budget.block());
        assert!(budget.taken.load(Relaxed) <= budget.size);
    }
}
