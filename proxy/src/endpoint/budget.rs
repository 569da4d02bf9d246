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

/// The time by which second attempts are bounded.
const LATELY: Duration = Duration::from_secs(60);

/// Counts a pool's calls that might have a second attempt, and those attempts, over the last minute.
#[derive(Debug)]
pub struct HedgeBudget {
    /// Calls are the total, second attempts are marked.
    window: Window,
}

impl HedgeBudget {
    pub(super) fn new(now: Instant) -> Self {
        Self { window: Window::new(LATELY, now) }
    }

    /// A call has begun that might have one.
    pub fn call(&self, now: Instant) {
        self.window.count(false, now);
    }

    /// Asks for one: allowed while they are no more than `percent` of these calls.
    pub fn try_hedge(&self, percent: u32, now: Instant) -> bool {
        let counts = self.window.counts(now);
        let allowed = (counts.marked + 1) * 100 <= counts.total * u64::from(percent);
        if allowed {
            self.window.mark(now);
        }
        allowed
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

    #[test]
    fn second_attempts_are_never_more_than_their_share() {
        let start = Instant::now();
        let budget = HedgeBudget::new(start);
        let mut made = 0;
        for call in 1..=100 {
            budget.call(start);
            made += u32::from(budget.try_hedge(5, start));
            assert!(made * 100 <= call * 5, "{made} of {call}");
        }
        assert_eq!(made, 5);
    }
}
