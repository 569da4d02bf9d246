//! The retry budget of a pool: a share of its recent calls, so that retries never make an outage.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};
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

/// Counts a pool's calls that might have a second attempt, and those attempts, over the last minute, and what they cost.
#[derive(Debug)]
pub struct HedgeBudget {
    /// Calls are the total, second attempts are marked.
    window: Window,
    /// The costs of calls whose second attempts are bounded by theirs.
    spent: Mutex<VecDeque<HedgeSpending>>,
    epoch: Instant,
}

/// The costs of the calls and of the second attempts that began within one second, in picodollars.
#[derive(Debug, Clone, Copy)]
struct HedgeSpending {
    second: u64,
    calls: u64,
    hedges: u64,
}

/// The bounds of second attempts.
#[derive(Debug, Clone, Copy)]
pub struct HedgeBounds {
    /// The most of the calls that have one, in percent.
    pub percent: u32,
    /// The most that they cost, in percent of what the calls do, and the cost of this one in picodollars; `None`: nobody asks.
    pub cost: Option<(u32, u64)>,
}

impl HedgeBudget {
    pub(super) fn new(now: Instant) -> Self {
        Self { window: Window::new(LATELY, now), spent: Mutex::default(), epoch: now }
    }

    /// A call has begun that might have one, and costs about so much, where that counts.
    pub fn call(&self, cost: u64, now: Instant) {
        self.window.count(false, now);
        if cost > 0 {
            self.spend((cost, 0), now);
        }
    }

    /// Asks for one: allowed while they are within both bounds.
    pub fn try_hedge(&self, bounds: HedgeBounds, now: Instant) -> bool {
        let HedgeBounds { percent, cost } = bounds;
        let counts = self.window.counts(now);
        let is_few = (counts.marked + 1) * 100 <= counts.total * u64::from(percent);
        let is_cheap = cost.is_none_or(|(percent, cost)| {
            let (calls, hedges) = self.spend((0, 0), now);
            (hedges + u128::from(cost)) * 100 <= calls * u128::from(percent)
        });
        let allowed = is_few && is_cheap;
        if allowed {
            self.window.mark(now);
            cost.iter().for_each(|(_, cost)| _ = self.spend((0, *cost), now));
        }
        allowed
    }

    /// Adds to the costs, and sums them up over the last minute.
    fn spend(&self, (calls, hedges): (u64, u64), now: Instant) -> (u128, u128) {
        let second = now.saturating_duration_since(self.epoch).as_secs();
        let mut spent = self.spent.lock().unwrap_or_else(PoisonError::into_inner);
        while spent.front().is_some_and(|first| first.second + LATELY.as_secs() <= second) {
            spent.pop_front();
        }
        match spent.back_mut() {
            // Of another worker's clock this one may be a moment behind.
            Some(last) if last.second >= second => {
                last.calls = last.calls.saturating_add(calls);
                last.hedges = last.hedges.saturating_add(hedges);
            }
            _ => spent.push_back(HedgeSpending { second, calls, hedges }),
        }
        let sum = |of: fn(&HedgeSpending) -> u64| spent.iter().map(|one| u128::from(of(one))).sum();
        (sum(|one| one.calls), sum(|one| one.hedges))
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
            budget.call(0, start);
            made += u32::from(budget.try_hedge(HedgeBounds { percent: 5, cost: None }, start));
            assert!(made * 100 <= call * 5, "{made} of {call}");
        }
        assert_eq!(made, 5);
    }

    #[test]
    fn second_attempts_cost_no_more_than_their_share_of_the_last_minute() {
        let start = Instant::now();
        let budget = HedgeBudget::new(start);
        let dear = HedgeBounds { percent: 100, cost: Some((10, 5)) };
        let mut made = 0;
        for call in 1..=100 {
            budget.call(1, start + Duration::from_millis(call * 100));
            made += u64::from(budget.try_hedge(dear, start + Duration::from_millis(call * 100)));
            assert!(made * 5 * 100 <= call * 10, "{made} of {call}");
        }
        assert_eq!(made, 2);
        // Two minutes later nothing of it counts.
        let later = start + Duration::from_secs(130);
        budget.call(49, later);
        assert!(!budget.try_hedge(dear, later));
        budget.call(1, later);
        assert!(budget.try_hedge(dear, later));
        assert!(budget.spent.lock().unwrap().len() <= 60);
    }
}
