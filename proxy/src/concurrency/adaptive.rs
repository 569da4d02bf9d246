//! A limit of concurrency that finds itself: it grows while answers begin as quickly as they do without load, shrinks as they
//! begin more slowly, and backs off when the provider says that it has too much. Pure: times and clock are the caller's.
//!
//! The measure is the mean time to the first of an answer over some calls, against the least such mean of the last minutes, for streams and
//! whole answers apart. What was least is forgotten after a while, and measured anew with half of the calls: a provider that has become
//! slower for good is not held to what it was.

use std::time::{Duration, Instant};

/// A mean is taken over this many calls at the least …
const FEWEST: u32 = 8;
/// … and over no more.
const MOST: u32 = 64;
/// Answers may begin so much more slowly than without load.
const TOLERANCE: f64 = 1.5;
/// However slow they are, no mean takes away more than this share …
const SHARPEST: f64 = 0.5;
/// … and a refusal takes this one, once in a while: calls that were sent together are refused together.
const BACK_OFF: f64 = 0.7;
const ONCE_IN: Duration = Duration::from_secs(1);
/// It grows only where so much of it was in use: what nobody asks for says nothing.
const IN_USE: f64 = 0.8;
/// The time for which the least is remembered, and as long again.
const SPAN: Duration = Duration::from_secs(120);

/// The state of the limit in this process.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Adaptive {
    min: f64,
    max: f64,
    limit: f64,
    /// True until it has been too much for the first time: it doubles.
    starts: bool,
    refused: Option<Instant>,
    /// Of streams and of whole answers.
    tracks: [Track; 2],
    /// The limit to go on with when it has been measured anew.
    resume: Option<f64>,
}

/// The times of one form of answers.
#[derive(Debug, Clone, PartialEq, Default)]
struct Track {
    /// The mean that is being taken.
    sum: f64,
    count: u32,
    /// The most that was in use meanwhile.
    peak: u64,
    /// The least means of this span and of the one before, in microseconds.
    least: Option<f64>,
    before: Option<f64>,
    since: Option<Instant>,
}

/// An answer that has begun.
#[derive(Debug, Clone, Copy)]
pub(super) struct AdaptiveSample {
    pub(super) is_stream: bool,
    pub(super) waited: Duration,
    /// The places in use, its own among them.
    pub(super) in_use: u64,
}

impl Adaptive {
    /// Between these bounds, of which it begins with the lower one.
    pub(super) fn new(min: u64, max: u64) -> Self {
        let (min, max) = bounds(min, max);
        let tracks = [Track::default(), Track::default()];
        Self { min, max, limit: min, starts: true, refused: None, tracks, resume: None }
    }

    /// Other bounds: what was learnt stays as far as it fits.
    pub(super) fn bound(&mut self, min: u64, max: u64) {
        (self.min, self.max) = bounds(min, max);
        self.limit = self.limit.clamp(self.min, self.max);
        self.resume = self.resume.map(|limit| limit.clamp(self.min, self.max));
    }

    /// The calls that may be at work at once.
    pub(super) fn limit(&self) -> u64 {
        self.limit as u64
    }

    /// An answer has begun.
    pub(super) fn answered(&mut self, sample: AdaptiveSample, now: Instant) {
        let AdaptiveSample { is_stream, waited, in_use } = sample;
        let wanted = (self.limit as u32).clamp(FEWEST, MOST);
        let [streams, wholes] = &mut self.tracks;
        let track = if is_stream { streams } else { wholes };
        let Some((mean, peak)) = track.take((waited.as_secs_f64() * 1e6, in_use), wanted) else { return };
        let is_new_span = track.note(mean, now);
        let least = track.least_of_all().unwrap_or(mean);
        if let Some(limit) = self.resume.take() {
            self.limit = limit;
        }
        self.learn(least / mean.max(1.0), peak);
        if is_new_span && self.limit > self.min {
            self.resume = Some(self.limit);
            self.limit = (self.limit / 2.0).max(self.min);
        }
    }

    /// The means of calls at so much of the least time, with so many in use.
    fn learn(&mut self, ratio: f64, peak: u64) {
        let gradient = (TOLERANCE * ratio).clamp(SHARPEST, 1.0);
        if gradient < 1.0 {
            self.starts = false;
            self.limit = (self.limit * gradient).max(self.min);
        } else if peak as f64 >= self.limit * IN_USE {
            let more = if self.starts { self.limit } else { self.limit.sqrt().max(1.0) };
            self.limit = (self.limit + more).min(self.max);
        }
    }

    /// The provider has said that it has too much.
    pub(super) fn refused(&mut self, now: Instant) {
        self.starts = false;
        if self.refused.is_some_and(|then| now.saturating_duration_since(then) < ONCE_IN) {
            return;
        }
        self.refused = Some(now);
        self.resume = None;
        self.limit = (self.limit * BACK_OFF).max(self.min);
    }
}

fn bounds(min: u64, max: u64) -> (f64, f64) {
    let min = min.max(1);
    (min as f64, max.max(min) as f64)
}

impl Track {
    /// Adds one to the mean; it, and the most that was in use, when there are enough.
    fn take(&mut self, (micros, in_use): (f64, u64), wanted: u32) -> Option<(f64, u64)> {
        self.sum += micros;
        self.count += 1;
        self.peak = self.peak.max(in_use);
        if self.count < wanted {
            return None;
        }
        let taken = (self.sum / f64::from(self.count), self.peak);
        (self.sum, self.count, self.peak) = (0.0, 0, 0);
        Some(taken)
    }

    /// Notes a mean. True if it is the last one of a span: the next one is to be of fewer calls.
    fn note(&mut self, mean: f64, now: Instant) -> bool {
        let since = *self.since.get_or_insert(now);
        let is_over = now.saturating_duration_since(since) >= SPAN;
        if is_over {
            self.before = self.least.take();
            self.since = Some(now);
            return true;
        }
        self.least = Some(self.least.map_or(mean, |least| least.min(mean)));
        false
    }

    fn least_of_all(&self) -> Option<f64> {
        match (self.least, self.before) {
            (Some(one), Some(other)) => Some(one.min(other)),
            (one, other) => one.or(other),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A provider of so many hands: calls beyond them wait for one another. Milliseconds to the first of an answer.
    fn waits(hands: u64, at_once: u64) -> u64 {
        100 * at_once.max(hands) / hands
    }

    /// The limits after each mean of a flood of streams, of which as many are at work as may be.
    fn flood(adaptive: &mut Adaptive, hands: u64, (from, means): (Instant, u64)) -> Vec<u64> {
        let one = |mean: u64, adaptive: &mut Adaptive| {
            let in_use = adaptive.limit();
            let waited = Duration::from_millis(waits(hands, in_use));
            let sample = AdaptiveSample { is_stream: true, waited, in_use };
            for _ in 0..in_use.clamp(FEWEST.into(), MOST.into()) {
                adaptive.answered(sample, from + Duration::from_secs(mean));
            }
            adaptive.limit()
        };
        (0..means).map(|mean| one(mean, adaptive)).collect()
    }

    #[test]
    fn it_doubles_at_first_and_stays_near_the_knee() {
        let (mut adaptive, now) = (Adaptive::new(2, 200), Instant::now());
        let limits = flood(&mut adaptive, 20, (now, 60));
        assert_eq!(limits[..7], [4, 8, 16, 32, 30, 35, 30], "{limits:?}");
        assert!(limits[7..].iter().all(|limit| (28..=36).contains(limit)), "{limits:?}");
    }

    #[test]
    fn a_provider_without_a_knee_is_given_all_that_may_be() {
        let mut adaptive = Adaptive::new(4, 50);
        assert_eq!(flood(&mut adaptive, 1_000, (Instant::now(), 6)), [8, 16, 32, 50, 50, 50]);
    }

    #[test]
    fn what_nobody_uses_does_not_grow() {
        let (mut adaptive, now) = (Adaptive::new(10, 50), Instant::now());
        for _ in 0..100 {
            let sample = AdaptiveSample { is_stream: false, waited: Duration::from_secs(1), in_use: 3 };
            adaptive.answered(sample, now);
        }
        assert_eq!(adaptive.limit(), 10);
    }

    #[test]
    fn a_refusal_takes_a_part_once_in_a_while_and_it_comes_back() {
        let (mut adaptive, now) = (Adaptive::new(4, 64), Instant::now());
        flood(&mut adaptive, 1_000, (now, 5));
        assert_eq!(adaptive.limit(), 64);
        let then = now + Duration::from_secs(5);
        for _ in 0..50 {
            adaptive.refused(then);
        }
        assert_eq!(adaptive.limit(), 44);
        for second in 1..20 {
            adaptive.refused(then + Duration::from_secs(second));
        }
        assert_eq!(adaptive.limit(), 4, "no fewer");
        // By a root at a time.
        assert_eq!(flood(&mut adaptive, 1_000, (then, 4)), [6, 8, 11, 14]);
    }

    #[test]
    fn a_provider_that_becomes_slower_for_good_is_met_with_few_calls_and_found_out_anew() {
        let (mut adaptive, now) = (Adaptive::new(4, 100), Instant::now());
        flood(&mut adaptive, 40, (now, 30));
        let slow = |adaptive: &mut Adaptive, second: u64| {
            let in_use = adaptive.limit();
            let waited = Duration::from_millis(10 * waits(40, in_use));
            for _ in 0..in_use.clamp(FEWEST.into(), MOST.into()) {
                let sample = AdaptiveSample { is_stream: true, waited, in_use };
                adaptive.answered(sample, now + Duration::from_secs(second));
            }
            adaptive.limit()
        };
        let limits: Vec<u64> = (30..600).map(|second| slow(&mut adaptive, second)).collect();
        assert_eq!(limits[10], 4);
        assert!(limits[450..].iter().filter(|limit| (40..=75).contains(*limit)).count() > 100, "{limits:?}");
    }

    #[test]
    fn under_a_flood_the_measure_does_not_drift_away() {
        let (mut adaptive, now) = (Adaptive::new(4, 1_000), Instant::now());
        let limits = flood(&mut adaptive, 20, (now, 3_600));
        assert!(limits.iter().all(|limit| *limit <= 60), "{:?}", limits.iter().max());
    }

    #[test]
    fn streams_and_whole_answers_have_measures_of_their_own() {
        let (mut adaptive, now) = (Adaptive::new(8, 64), Instant::now());
        for call in 0..2_000_u64 {
            let is_stream = call % 2 == 0;
            let waited = Duration::from_millis(if is_stream { 100 } else { 5_000 });
            let in_use = adaptive.limit();
            adaptive.answered(AdaptiveSample { is_stream, waited, in_use }, now);
        }
        assert_eq!(adaptive.limit(), 64);
    }

    #[test]
    fn other_bounds_hold_at_once() {
        let mut adaptive = Adaptive::new(4, 50);
        flood(&mut adaptive, 1_000, (Instant::now(), 5));
        adaptive.bound(2, 20);
        assert_eq!(adaptive.limit(), 20);
        adaptive.bound(30, 40);
        assert_eq!(adaptive.limit(), 30);
    }
}
