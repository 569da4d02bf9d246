//! What is measured, and how figures of several rounds become one.

use std::collections::HashMap;

use super::scenarios::Who;

/// One measure of one server.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Measure {
    /// CPU time of the server per call or event, in microseconds.
    pub cpu: f64,
    /// Calls per second.
    pub rate: f64,
    /// Median time per call in microseconds.
    pub p50: f64,
    /// 99th percentile in microseconds.
    pub p99: f64,
    /// Answers that were not a whole 200.
    pub failures: u64,
}

/// All measures of a scenario on a server, one per round.
pub(crate) type Measures = HashMap<(&'static str, Who), Vec<Measure>>;

/// A median between the least and the most.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Spread {
    least: f64,
    median: f64,
    most: f64,
}

impl std::fmt::Display for Spread {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "**{:.2}** ({:.2}–{:.2})", self.median, self.least, self.most)
    }
}

impl Spread {
    /// Of some figures; `None` of none.
    #[must_use]
    pub(crate) fn of(figures: impl IntoIterator<Item = f64>) -> Option<Self> {
        let mut figures: Vec<f64> = figures.into_iter().collect();
        figures.sort_by(f64::total_cmp);
        let median = *figures.get(figures.len() / 2)?;
        Some(Self { least: *figures.first()?, median, most: *figures.last()? })
    }

    /// The middle one.
    #[must_use]
    pub(crate) const fn median(self) -> f64 {
        self.median
    }
}
