//! A histogram that one thread writes and a scrape reads: no lock and no atomic read-modify-write on the hot path.
//!
//! There is one for every label set, so thousands of them, and the values of most fall in two or three buckets: those
//! are counted in place. A histogram takes room for all of its buckets when more of them are used.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

/// A counter with one writer. A load and a store cost a nanosecond; `fetch_add` costs the bus, and buys nothing here.
#[derive(Debug, Default)]
pub(super) struct Counter(AtomicU64);

impl Counter {
    /// Adds; only ever called by the thread that owns the counter. Wraps after 2⁶⁴.
    pub(super) fn add(&self, amount: u64) {
        self.0.store(self.0.load(Relaxed).wrapping_add(amount), Relaxed);
    }

    /// Its value.
    pub(super) fn get(&self) -> u64 {
        self.0.load(Relaxed)
    }
}

/// Upper bounds of buckets in whole units, and what one unit is worth in the exposed unit.
#[derive(Debug, PartialEq)]
pub(super) struct Bounds {
    /// Rising.
    pub(super) upper: &'static [u64],
    /// Exposed = units ÷ this.
    pub(super) per_unit: f64,
}

/// Microseconds, exposed as seconds.
const fn micros(upper: &'static [u64]) -> Bounds {
    Bounds { upper, per_unit: 1_000_000.0 }
}

/// OpenTelemetry's bounds of `gen_ai.server.request.duration` (0.01 · 2ⁿ s), and three more on each side: cache hits
/// are faster, streams last longer.
pub(super) const DURATION: Bounds = micros(&[
    1_000,
    2_500,
    5_000,
    10_000,
    20_000,
    40_000,
    80_000,
    160_000,
    320_000,
    640_000,
    1_280_000,
    2_560_000,
    5_120_000,
    10_240_000,
    20_480_000,
    40_960_000,
    81_920_000,
    163_840_000,
    327_680_000,
    655_360_000,
]);

/// OpenTelemetry's bounds of `gen_ai.server.time_to_first_token`, and up to a minute for reasoning models.
pub(super) const FIRST_TOKEN: Bounds = micros(&[
    1_000, 5_000, 10_000, 20_000, 40_000, 60_000, 80_000, 100_000, 250_000, 500_000, 750_000, 1_000_000, 2_500_000,
    5_000_000, 7_500_000, 10_000_000, 15_000_000, 30_000_000, 60_000_000,
]);

/// OpenTelemetry's bounds of `gen_ai.server.time_per_output_token`.
pub(super) const PER_TOKEN: Bounds = micros(&[
    10_000, 25_000, 50_000, 75_000, 100_000, 150_000, 200_000, 300_000, 400_000, 500_000, 750_000, 1_000_000, 2_500_000,
]);

/// The bounds of the time that the gateway itself takes: tens of microseconds when well, milliseconds when a core is
/// full.
pub(super) const OVERHEAD: Bounds =
    micros(&[10, 25, 50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 1_000_000]);

/// OpenTelemetry's bounds of `gen_ai.client.token.usage`: powers of four.
pub(super) const TOKENS: Bounds = Bounds {
    upper: &[1, 4, 16, 64, 256, 1_024, 4_096, 16_384, 65_536, 262_144, 1_048_576, 4_194_304, 16_777_216, 67_108_864],
    per_unit: 1.0,
};

/// So many buckets are counted in place.
const FEW: usize = 3;
/// A bucket counted in place: its number, from 1, above this many bits; its count in these bits. 2⁵⁶ values come to no
/// one.
const COUNT_BITS: u32 = 56;

/// Counts per bucket and a sum, in the units of its bounds.
#[derive(Debug)]
pub(super) struct Histogram {
    bounds: &'static Bounds,
    /// The buckets used first; 0 is a place that is free. Number and count in one word: a reader never sees one without
    /// the other.
    few: [AtomicU64; FEW],
    /// Counts of the other buckets, when there are others.
    others: OnceLock<Box<[Counter]>>,
    sum: Counter,
}

impl Histogram {
    /// An empty one.
    pub(super) const fn new(bounds: &'static Bounds) -> Self {
        let few = [const { AtomicU64::new(0) }; FEW];
        Self { bounds, few, others: OnceLock::new(), sum: Counter(AtomicU64::new(0)) }
    }

    /// Counts a value in units; only ever called by the thread that owns the histogram.
    pub(super) fn observe(&self, units: u64) {
        let at = self.bounds.upper.partition_point(|upper| *upper < units);
        self.sum.add(units);
        let tag = (at as u64 + 1) << COUNT_BITS;
        for place in &self.few {
            let held = place.load(Relaxed);
            if held == 0 || held >> COUNT_BITS == tag >> COUNT_BITS {
                return place.store(held.max(tag) + 1, Relaxed);
            }
        }
        let others = self.others.get_or_init(|| (0..=self.bounds.upper.len()).map(|_| Counter::default()).collect());
        if let Some(count) = others.get(at) {
            count.add(1);
        }
    }

    /// True if it has a value.
    pub(super) fn is_used(&self) -> bool {
        self.few.first().is_some_and(|place| place.load(Relaxed) > 0)
    }

    /// The sum of the values in units.
    pub(super) fn units(&self) -> u64 {
        self.sum.get()
    }

    /// Buckets that have values, by their places, and how many.
    fn counts(&self) -> impl Iterator<Item = (usize, u64)> {
        let few = self.few.iter().map(|place| place.load(Relaxed)).filter(|held| *held > 0);
        let few = few.filter_map(|held| {
            let at = usize::try_from(held >> COUNT_BITS).ok()?.checked_sub(1)?;
            Some((at, held & ((1 << COUNT_BITS) - 1)))
        });
        let others = self.others.get().into_iter().flatten().map(Counter::get).enumerate();
        few.chain(others)
    }

    /// Counts a time, rounded to the nearest microsecond.
    pub(super) fn observe_time(&self, time: Duration) {
        let nanos = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        self.observe(nanos.saturating_add(500) / 1_000);
    }
}

/// Several histograms of the same bounds, added up for a scrape.
#[derive(Debug, Clone)]
pub(super) struct Total {
    bounds: &'static Bounds,
    counts: Vec<u64>,
    sum: u64,
}

impl Total {
    /// Nothing yet.
    pub(super) fn new(bounds: &'static Bounds) -> Self {
        Self { bounds, counts: vec![0; bounds.upper.len() + 1], sum: 0 }
    }

    /// Adds one worker's.
    pub(super) fn add(&mut self, histogram: &Histogram) {
        for (at, count) in histogram.counts() {
            if let Some(total) = self.counts.get_mut(at) {
                *total += count;
            }
        }
        self.sum = self.sum.wrapping_add(histogram.units());
    }

    /// The number of values.
    pub(super) fn count(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// The sum of the values, in the exposed unit.
    pub(super) fn sum(&self) -> f64 {
        self.sum as f64 / self.bounds.per_unit
    }

    /// `(upper bound, count in this bucket)`, the last one unbounded.
    pub(super) fn buckets(&self) -> Vec<(f64, u64)> {
        let upper = self.bounds.upper.iter().map(|units| *units as f64 / self.bounds.per_unit);
        upper.chain(std::iter::once(f64::INFINITY)).zip(self.counts.iter().copied()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_on_a_bound_belongs_to_it() {
        let histogram = Histogram::new(&TOKENS);
        [0, 1, 2, 4, 5, 67_108_864, 67_108_865].into_iter().for_each(|value| histogram.observe(value));
        let mut total = Total::new(&TOKENS);
        total.add(&histogram);
        total.add(&histogram);
        let buckets = total.buckets();
        assert_eq!(&buckets[..3], [(1.0, 4), (4.0, 4), (16.0, 2)]);
        assert_eq!(buckets[buckets.len() - 2..], [(67_108_864.0, 2), (f64::INFINITY, 2)]);
        assert_eq!(total.count(), 14);
    }

    #[test]
    fn times_are_exposed_in_seconds() {
        let histogram = Histogram::new(&OVERHEAD);
        histogram.observe_time(Duration::from_nanos(10_400));
        histogram.observe_time(Duration::from_nanos(10_500));
        histogram.observe_time(Duration::MAX);
        let mut total = Total::new(&OVERHEAD);
        total.add(&histogram);
        assert_eq!(&total.buckets()[..2], [(0.000_01, 1), (0.000_025, 1)]);
        assert_eq!(total.count(), 3);
    }

    #[test]
    fn each_bucket_is_counted_whatever_their_number_and_order() {
        let mut values: Vec<u64> = DURATION.upper.iter().copied().chain([u64::MAX]).collect();
        for _ in 0..values.len() {
            values.rotate_left(5);
            for used in 0..=values.len() {
                let histogram = Histogram::new(&DURATION);
                assert!(!histogram.is_used());
                values[..used].iter().chain(&values[..used]).for_each(|value| histogram.observe(*value));
                let mut total = Total::new(&DURATION);
                total.add(&histogram);
                let counted = total.buckets().into_iter().filter(|(_, count)| *count == 2).count();
                assert_eq!((counted, total.count()), (used, 2 * used as u64));
                assert_eq!((histogram.is_used(), histogram.others.get().is_some()), (used > 0, used > FEW));
            }
        }
    }

    #[test]
    fn bounds_rise() {
        for bounds in [DURATION, FIRST_TOKEN, PER_TOKEN, OVERHEAD, TOKENS] {
            assert!(bounds.upper.is_sorted_by(|a, b| a < b));
        }
    }
}
