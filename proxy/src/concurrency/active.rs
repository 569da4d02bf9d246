//! The limits that have leases, or want some: those are looked at by one worker at a time.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use tokio::sync::Notify;

use crate::count::Count;

/// A worker looks as long as it does so at least this often, in milliseconds; else another one does.
const WATCHED: u64 = 100;

/// Things that are looked at as long as they are in use.
#[derive(Debug)]
pub(super) struct ActiveList<T> {
    all: Mutex<Vec<Arc<T>>>,
    pub(super) wake: Notify,
    /// The time of the last look, in milliseconds since the process began.
    looked: AtomicU64,
    started: Instant,
    /// Questions on them that were not answered.
    pub(super) unanswered: Count,
}

impl<T> Default for ActiveList<T> {
    fn default() -> Self {
        Self {
            all: Mutex::default(),
            wake: Notify::new(),
            looked: AtomicU64::new(0),
            started: Instant::now(),
            unanswered: Count::default(),
        }
    }
}

impl<T> ActiveList<T> {
    fn lock(&self) -> MutexGuard<'_, Vec<Arc<T>>> {
        self.all.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// One more is in use from now on.
    pub(super) fn add(&self, one: &Arc<T>) {
        self.lock().push(Arc::clone(one));
        self.wake.notify_one();
    }

    /// One is in use no longer.
    pub(super) fn remove(&self, one: &Arc<T>) {
        let mut all = self.lock();
        // One of it: it may have come back just now.
        if let Some(at) = all.iter().position(|other| Arc::ptr_eq(other, one)) {
            all.swap_remove(at);
        }
    }

    /// True if nothing is in use.
    pub(super) fn is_empty(&self) -> bool {
        self.lock().is_empty()
    }

    /// All of them.
    pub(super) fn all(&self) -> Vec<Arc<T>> {
        self.lock().clone()
    }

    /// The time of this look, if this worker is the one that looks: the one that did last, or any where nobody has for a while.
    pub(super) fn watch(&self, last: Option<u64>) -> Option<u64> {
        let now = u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX).max(1);
        let before = self.looked.load(Relaxed);
        let free = last == Some(before) || now.saturating_sub(before) >= WATCHED;
        (free && self.looked.compare_exchange(before, now, Relaxed, Relaxed).is_ok()).then_some(now)
    }
}
