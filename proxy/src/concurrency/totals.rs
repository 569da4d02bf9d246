//! The calls that have places and those that wait, over all limits of one scope: their numbers, and the integrals of them over time.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use crate::count::Count;

/// A number, and its integral over time.
#[derive(Debug)]
struct Integral {
    now: u64,
    /// In call-microseconds.
    sum: u64,
    since: Instant,
}

impl Integral {
    fn new() -> Self {
        Self { now: 0, sum: 0, since: Instant::now() }
    }

    fn change(&mut self, by: i64) {
        let now = Instant::now();
        self.sum = self.read(now);
        self.since = now;
        self.now = self.now.saturating_add_signed(by);
    }

    fn read(&self, now: Instant) -> u64 {
        let micros = u64::try_from(now.saturating_duration_since(self.since).as_micros()).unwrap_or(u64::MAX);
        self.sum.saturating_add(self.now.saturating_mul(micros))
    }
}

/// The totals of one scope.
#[derive(Debug)]
pub(super) struct ScopeTotals {
    at_work: Mutex<Integral>,
    waiting: Mutex<Integral>,
    pub(super) refused_full: Count,
    pub(super) refused_late: Count,
}

impl Default for ScopeTotals {
    fn default() -> Self {
        Self {
            at_work: Mutex::new(Integral::new()),
            waiting: Mutex::new(Integral::new()),
            refused_full: Count::default(),
            refused_late: Count::default(),
        }
    }
}

/// The totals of one scope, as they are told.
#[derive(Debug, Clone, Copy)]
pub struct ConcurrencyStat {
    /// The scope: `consumer`, `route`, `provider`, `endpoint`, `key`, `rate`.
    pub scope: &'static str,
    /// Calls that have places, and their integral in call-microseconds.
    pub at_work: (u64, u64),
    /// Calls that wait, and their integral in call-microseconds.
    pub waiting: (u64, u64),
    /// Calls that were refused as there was no room to wait, and those that had waited too long.
    pub refused: [(&'static str, u64); 2],
}

impl ConcurrencyStat {
    /// The same where those that have places wait too.
    pub(super) const fn all_wait(mut self) -> Self {
        self.waiting = (self.waiting.0 + self.at_work.0, self.waiting.1.saturating_add(self.at_work.1));
        self.at_work = (0, 0);
        self
    }

    /// True if it counts places, and not only calls that wait.
    pub fn has_places(&self) -> bool {
        self.scope != "rate"
    }
}

impl ScopeTotals {
    /// So many places more, or fewer.
    pub(super) fn took(&self, by: i64) {
        lock(&self.at_work).change(by);
    }

    /// So many more wait, or fewer.
    pub(super) fn queued(&self, by: i64) {
        lock(&self.waiting).change(by);
    }

    pub(super) fn stat(&self, scope: &'static str) -> ConcurrencyStat {
        let now = Instant::now();
        let read = |integral: &Mutex<Integral>| {
            let integral = lock(integral);
            (integral.now, integral.read(now))
        };
        ConcurrencyStat {
            scope,
            at_work: read(&self.at_work),
            waiting: read(&self.waiting),
            refused: [("full", self.refused_full.get()), ("timeout", self.refused_late.get())],
        }
    }

    /// Calls that have places, and those that wait.
    #[cfg(test)]
    pub(super) fn now(&self) -> (u64, u64) {
        (lock(&self.at_work).now, lock(&self.waiting).now)
    }
}

fn lock(integral: &Mutex<Integral>) -> MutexGuard<'_, Integral> {
    integral.lock().unwrap_or_else(PoisonError::into_inner)
}
