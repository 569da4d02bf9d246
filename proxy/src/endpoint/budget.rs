//! The retry budget of a pool: a share of its recent calls, so that retries never make an outage.

use std::time::{Duration, Instant};

use super::window::Window;

/// The time that counts as recent.
const RECENT: Duration = Duration::from_secs(10);
/// Retries that are always allowed within `RECENT`, for pools with few calls.
const ALWAYS: u64 = 10;

/// Counts a pool's calls and their retries over the last ten seconds.
#[derive(Debug)]
pub struct RetryBudget {
    /// Calls are the total, retries are marked.
    window: Window,
}

impl RetryBudget {
    pub(super) fn new(now: Instant) -> Self {
        Self { window: Window::new(RECENT, now) }
    }

    /// A call has begun (not each of its attempts).
    pub fn call(&self, now: Instant) {
        self.window.count(false, now);
    }

    /// Asks for one retry: allowed while retries are under `percent` of recent calls, and ten beside that. Workers
    /// asking in the same instant may each get the last one.
    pub fn try_retry(&self, percent: u32, now: Instant) -> bool {
        let counts = self.window.counts(now);
        let allowed = ALWAYS + counts.total * u64::from(percent) / 100;
        if counts.marked >= allowed {
            return false;
        }
        self.window.mark(now);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn retries_are_a_share_of_recent_calls() {
        let start = Instant::now();
        let budget = RetryBudget::new(start);
        for _ in 0..100 {
            budget.call(start);
        }
        let allowed = (0..100).filter(|_| budget.try_retry(20, start)).count();
        assert_eq!(allowed, 30);
        let later = start + Duration::from_secs(20);
        assert_eq!((0..100).filter(|_| budget.try_retry(20, later)).count(), 10);
    }
}
