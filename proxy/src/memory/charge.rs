//! A worker's part of the budget, and the guards that ride with the bytes.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use bytes::Bytes;

use super::budget::{MemoryBudget, Purpose};

/// Bytes on their way to a caller up to this many are not counted: what they stand in costs as much.
pub const UNCOUNTED: usize = 4 << 10;

/// The budget has no room for more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the memory for calls is used up")]
pub struct Exhausted;

/// The part of the budget that one worker has taken and not used. Its atomic is that worker's own, so that charges may
/// go where bytes go, and no other worker is in the way.
#[derive(Debug)]
pub struct Allowance {
    budget: Arc<MemoryBudget>,
    free: Arc<AtomicUsize>,
}

impl MemoryBudget {
    /// One more worker's part of it.
    #[must_use]
    pub fn allowance(self: &Arc<Self>) -> Arc<Allowance> {
        Arc::new(Allowance { budget: Arc::clone(self), free: self.unused() })
    }
}

impl Allowance {
    /// Takes bytes for as long as the charge lives.
    ///
    /// # Errors
    /// There is no room for them.
    pub fn charge(self: &Arc<Self>, bytes: usize, purpose: Purpose) -> Result<Charge, Exhausted> {
        let mut charge = self.nothing();
        charge.grow(bytes, purpose)?;
        Ok(charge)
    }

    /// A charge of nothing, to grow.
    #[must_use]
    pub fn nothing(self: &Arc<Self>) -> Charge {
        Charge { allowance: Arc::clone(self), bytes: 0 }
    }

    fn take(&self, bytes: usize, purpose: Purpose) -> Result<(), Exhausted> {
        if bytes == 0 || self.take_own(bytes) {
            return Ok(());
        }
        let block = self.budget.block();
        if let Some(blocks) = bytes.checked_next_multiple_of(block).filter(|blocks| self.budget.take(*blocks, purpose))
        {
            self.free.fetch_add(blocks - bytes, Relaxed);
            return Ok(());
        }
        // Near the end nothing is kept for later.
        self.budget.give(self.free.swap(0, Relaxed));
        if self.budget.take(bytes, purpose) {
            return Ok(());
        }
        self.budget.count_refusal(purpose);
        Err(Exhausted)
    }

    fn take_own(&self, bytes: usize) -> bool {
        self.free.fetch_update(Relaxed, Relaxed, |free| free.checked_sub(bytes)).is_ok()
    }

    /// Keeps at most a block for later.
    fn give(&self, bytes: usize) {
        let block = self.budget.block();
        if self.free.fetch_add(bytes, Relaxed) + bytes <= 2 * block {
            return;
        }
        let before = self.free.fetch_update(Relaxed, Relaxed, |free| (free > block).then_some(block));
        if let Ok(before) = before {
            self.budget.give(before - block);
        }
    }
}

/// Bytes that somebody holds; given back on drop.
#[derive(Debug)]
pub struct Charge {
    allowance: Arc<Allowance>,
    bytes: usize,
}

impl Charge {
    /// Takes so many more.
    ///
    /// # Errors
    /// There is no room for them; the charge is what it was.
    pub fn grow(&mut self, by: usize, purpose: Purpose) -> Result<(), Exhausted> {
        self.allowance.take(by, purpose)?;
        self.bytes += by;
        Ok(())
    }

    /// Makes it so many bytes, more or fewer.
    ///
    /// # Errors
    /// There is no room for more; the charge is what it was.
    pub fn set(&mut self, bytes: usize, purpose: Purpose) -> Result<(), Exhausted> {
        if bytes > self.bytes {
            return self.grow(bytes - self.bytes, purpose);
        }
        self.allowance.give(self.bytes - bytes);
        self.bytes = bytes;
        Ok(())
    }

    /// The number of bytes.
    #[must_use]
    pub const fn bytes(&self) -> usize {
        self.bytes
    }

    /// Goes with these bytes from now on. What of them is not counted is now: they are here already, so nothing is
    /// refused.
    #[must_use]
    pub fn hold(mut self, bytes: Bytes) -> Bytes {
        if bytes.len() <= UNCOUNTED {
            return bytes;
        }
        let more = bytes.len().saturating_sub(self.bytes);
        if self.grow(more, Purpose::Call).is_err() {
            self.allowance.budget.overdraw(more);
            self.bytes += more;
        }
        Bytes::from_owner(ChargedBytes { bytes, _charge: self })
    }
}

impl Drop for Charge {
    fn drop(&mut self) {
        if self.bytes > 0 {
            self.allowance.give(self.bytes);
        }
    }
}

/// Bytes and their charge: gone together, whoever has them last.
struct ChargedBytes {
    bytes: Bytes,
    _charge: Charge,
}

impl AsRef<[u8]> for ChargedBytes {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_small_charge_comes_from_what_the_worker_has() {
        let budget = MemoryBudget::new(64 << 20, 1);
        let worker = budget.allowance();
        drop(worker.charge(1, Purpose::Call).unwrap());
        let before = worker.free.load(Relaxed);
        assert!(before > 100 << 10);
        let charge = worker.charge(100 << 10, Purpose::Call).unwrap();
        assert_eq!(worker.free.load(Relaxed), before - (100 << 10));
        assert_eq!(budget.used(), 100 << 10);
        drop(charge);
        assert_eq!((worker.free.load(Relaxed), budget.used()), (before, 0));
    }

    #[test]
    fn a_charge_goes_with_its_bytes_to_their_last_holder() {
        let budget = MemoryBudget::new(1 << 20, 1);
        let worker = budget.allowance();
        let small = worker.charge(100, Purpose::Call).unwrap().hold(Bytes::from_static(b"small"));
        assert_eq!((budget.used(), &*small), (0, &b"small"[..]));
        let large = worker.nothing().hold(vec![b'x'; 100_000].into());
        let part = large.slice(..10);
        drop(large);
        assert_eq!(budget.used(), 100_000);
        drop(part);
        assert_eq!(budget.used(), 0);
    }

    #[test]
    fn what_is_held_already_is_counted_beyond_the_size_and_nothing_more_is_given() {
        let budget = MemoryBudget::new(64 << 10, 1);
        let worker = budget.allowance();
        let answer = worker.nothing().hold(vec![b'x'; 100_000].into());
        assert_eq!(budget.used(), 100_000);
        assert!(worker.charge(10_000, Purpose::Call).is_err());
        drop(answer);
        assert!(worker.charge(10_000, Purpose::Call).is_ok());
    }
}
