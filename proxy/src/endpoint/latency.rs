//! The time that an endpoint lets callers wait: a mean that jumps to each peak and forgets it as time goes by. Lock-free; a lost
//! update among workers is one sample among many. Time is passed in.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

/// The time in which a sample's weight falls to a third.
const MEMORY: Duration = Duration::from_secs(5);
/// An estimate that no sample has renewed is half as large after this: what was slow is believed less and less.
const HALF_LIFE: Duration = Duration::from_secs(60);
/// An endpoint that nobody has heard of for this long is tried by one call …
const STALE: Duration = Duration::from_secs(5);
/// … out of so many of its pool.
const PROBE_EVERY: u64 = 64;

/// The form of an answer: times of streams and of whole answers are no measure for one another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TimedAnswer {
    /// A stream; its first token is waited for.
    Stream,
    /// A whole answer; all of it is waited for.
    Whole,
}

/// The facts that balancing weighs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Latency {
    /// The time that is expected, in microseconds; `None`: nothing is known yet.
    pub expected: Option<u64>,
    /// True if it is time to find out whether it is as slow as it was.
    pub is_due: bool,
}

/// An endpoint's times, by the form of answers.
#[derive(Debug, Default)]
pub(super) struct Latencies {
    streams: Estimate,
    wholes: Estimate,
    /// The pool's calls when it was last tried, plus one; 0: never.
    tried: AtomicU64,
}

/// A mean that jumps to peaks.
#[derive(Debug, Default)]
pub(super) struct Estimate {
    /// Microseconds, as the bits of a float; 0: nothing is known.
    micros: AtomicU64,
    /// The time of the last sample, in microseconds after the endpoint's epoch.
    at: AtomicU64,
}

impl Estimate {
    /// A time that was seen.
    pub(super) fn sample(&self, micros: f64, now: u64) {
        let before = self.at.swap(now, Relaxed);
        let keeps = decay(now.saturating_sub(before), MEMORY);
        let _ = self.micros.fetch_update(Relaxed, Relaxed, |bits| {
            let old = f64::from_bits(bits);
            let new = if micros >= old { micros } else { old * keeps + micros * (1.0 - keeps) };
            Some(new.max(1.0).to_bits())
        });
    }

    /// A sample that ended before its time was known: it would have been at least this.
    pub(super) fn at_least(&self, micros: f64, now: u64) {
        if micros >= f64::from_bits(self.micros.load(Relaxed)) {
            self.sample(micros, now);
        }
    }

    /// The estimate, and the time of its last sample.
    pub(super) fn read(&self) -> Option<(f64, u64)> {
        let micros = f64::from_bits(self.micros.load(Relaxed));
        (micros > 0.0).then(|| (micros, self.at.load(Relaxed)))
    }
}

/// The share that is left after a time.
fn decay(elapsed: u64, memory: Duration) -> f64 {
    (-(elapsed as f64) / memory.as_micros() as f64).exp()
}

impl Latencies {
    /// Of one form.
    pub(super) const fn of(&self, form: TimedAnswer) -> &Estimate {
        match form {
            TimedAnswer::Stream => &self.streams,
            TimedAnswer::Whole => &self.wholes,
        }
    }

    /// Notes that one of its pool's calls, by its number, finds out how it is.
    pub(super) fn try_by(&self, call: u64) {
        self.tried.store(call.saturating_add(1), Relaxed);
    }

    /// The word for balancing, when its pool has had so many `calls` and the endpoint works on `in_flight`.
    pub(super) fn look(&self, form: TimedAnswer, now: u64, (calls, in_flight): (u64, u32)) -> Latency {
        let Some((micros, at)) = self.of(form).read() else { return Latency { expected: None, is_due: false } };
        let silent = now.saturating_sub(at);
        let is_stale = silent > STALE.as_micros() as u64;
        let tried = self.tried.load(Relaxed);
        let is_due = is_stale && in_flight == 0 && calls >= tried.saturating_add(PROBE_EVERY);
        // While somebody is there to find out, the others wait for its word.
        let believed =
            if is_stale && in_flight == 0 { 0.5_f64.powf(silent as f64 / HALF_LIFE.as_micros() as f64) } else { 1.0 };
        Latency { expected: Some((micros * believed).max(1.0) as u64), is_due }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000;

    fn expected(latencies: &Latencies, now: u64, in_flight: u32) -> u64 {
        latencies.look(TimedAnswer::Stream, now, (0, in_flight)).expected.unwrap()
    }

    #[test]
    fn it_jumps_to_peaks_and_comes_down_with_time() {
        let latencies = Latencies::default();
        assert_eq!(latencies.look(TimedAnswer::Stream, 0, (0, 0)).expected, None);
        latencies.streams.sample(1_000.0, 0);
        latencies.streams.sample(50_000.0, SECOND);
        assert_eq!(expected(&latencies, SECOND, 0), 50_000);
        // One good answer does not undo a peak that was a moment ago …
        latencies.streams.sample(1_000.0, SECOND + 10_000);
        assert!(expected(&latencies, SECOND + 10_000, 0) > 49_000);
        // … many over some seconds do.
        for at in 1..400 {
            latencies.streams.sample(1_000.0, SECOND + at * 100_000);
        }
        assert!(expected(&latencies, 41 * SECOND, 1) < 1_100);
        // Whole answers are measured by themselves.
        assert_eq!(latencies.look(TimedAnswer::Whole, SECOND, (0, 0)).expected, None);
    }

    #[test]
    fn what_nobody_renews_is_believed_less_and_tried_now_and_then() {
        let latencies = Latencies::default();
        latencies.streams.sample(8_000.0, 0);
        assert_eq!(expected(&latencies, 120 * SECOND, 0), 2_000);
        assert_eq!(expected(&latencies, 120 * SECOND, 1), 8_000, "somebody is there to find out");
        let due = |now, calls, in_flight| latencies.look(TimedAnswer::Stream, now, (calls, in_flight)).is_due;
        assert!(due(6 * SECOND, 64, 0));
        assert!(!due(4 * SECOND, 64, 0) && !due(6 * SECOND, 63, 0) && !due(6 * SECOND, 64, 1));
        latencies.tried.store(101, Relaxed);
        assert!(!due(6 * SECOND, 164, 0) && due(6 * SECOND, 165, 0));
    }

    #[test]
    fn one_that_was_given_up_was_at_least_so_slow() {
        let latencies = Latencies::default();
        latencies.streams.at_least(5_000.0, 0);
        assert_eq!(expected(&latencies, 0, 0), 5_000);
        latencies.streams.at_least(9_000.0, 1);
        latencies.streams.at_least(10.0, 2);
        assert_eq!(expected(&latencies, 2, 0), 9_000);
    }
}
