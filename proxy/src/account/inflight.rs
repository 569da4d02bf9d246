//! Calls in flight on one worker, and the integral of their number over time.
//!
//! The integral is what autoscaling wants: its rate is the exact mean number of calls in flight, which a gauge read
//! at scrape time misses. Number, integral and time must be read together; one writer and a sequence number do that
//! without a lock.

use std::sync::atomic::{AtomicU64, Ordering::Acquire, Ordering::Relaxed, Ordering::Release, fence};

/// One worker's; written by that worker only.
#[derive(Debug, Default)]
pub(super) struct Inflight {
    sequence: AtomicU64,
    now: AtomicU64,
    integral: AtomicU64,
    since: AtomicU64,
}

impl Inflight {
    /// One call more or less, at `at` microseconds since the process started.
    pub(super) fn change(&self, by: i64, at: u64) {
        let sequence = self.sequence.load(Relaxed);
        self.sequence.store(sequence.wrapping_add(1), Relaxed);
        fence(Release);
        let (now, since) = (self.now.load(Relaxed), self.since.load(Relaxed));
        let at = at.max(since);
        let integral = self.integral.load(Relaxed).wrapping_add(now.wrapping_mul(at - since));
        self.now.store(now.saturating_add_signed(by), Relaxed);
        self.integral.store(integral, Relaxed);
        self.since.store(at, Relaxed);
        self.sequence.store(sequence.wrapping_add(2), Release);
    }

    /// `(calls in flight, their integral in call-microseconds)` at `at`.
    pub(super) fn read(&self, at: u64) -> (u64, u64) {
        let mut last = (0, 0);
        // The writer is inside for a few nanoseconds; a thousand tries only end when it was suspended there.
        for _ in 0..1_000 {
            let before = self.sequence.load(Acquire);
            let (now, integral, since) =
                (self.now.load(Relaxed), self.integral.load(Relaxed), self.since.load(Relaxed));
            fence(Acquire);
            last = (now, integral.wrapping_add(now.wrapping_mul(at.saturating_sub(since))));
            if before.is_multiple_of(2) && self.sequence.load(Relaxed) == before {
                return last;
            }
            std::hint::spin_loop();
        }
        last
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_integral_is_calls_times_time() {
        let inflight = Inflight::default();
        inflight.change(1, 1_000);
        inflight.change(1, 2_000);
        assert_eq!(inflight.read(3_000), (2, 3_000));
        inflight.change(-1, 4_000);
        inflight.change(-1, 5_000);
        assert_eq!(inflight.read(9_000), (0, 6_000));
    }

    #[test]
    fn a_clock_that_stands_still_or_an_extra_leave_do_no_harm() {
        let inflight = Inflight::default();
        inflight.change(1, 5_000);
        inflight.change(-1, 4_000);
        inflight.change(-1, 6_000);
        assert_eq!(inflight.read(7_000), (0, 0));
    }
}
