//! Times of many changes and their quantiles; what a process costs between two moments.

use std::time::Duration;

use anyhow::Result;

use crate::process::Process;

/// How long anything may take before it counts as failed.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// Times of changes.
#[derive(Debug, Clone, Default)]
pub(crate) struct Times(Vec<Duration>);

impl Times {
    /// Adds one.
    pub(crate) fn add(&mut self, time: Duration) {
        self.0.push(time);
    }

    /// Adds it, if there is one.
    pub(crate) fn extend(&mut self, time: Option<Duration>) {
        self.0.extend(time);
    }

    /// How many.
    pub(crate) fn count(&self) -> usize {
        self.0.len()
    }

    /// The least time that at least this share of all did not exceed, in milliseconds (nearest rank); `None` of none.
    pub(crate) fn quantile(&self, share: f64) -> Option<f64> {
        let mut sorted = self.0.clone();
        sorted.sort_unstable();
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a rank between 1 and the count")]
        let rank = ((share * sorted.len() as f64).ceil() as usize).clamp(1, sorted.len().max(1));
        sorted.get(rank - 1).map(|time| time.as_secs_f64() * 1000.0)
    }
}

/// CPU time of some processes so far.
#[derive(Debug, Clone)]
pub(crate) struct Spent(Vec<Duration>);

impl Spent {
    /// Reads it.
    ///
    /// # Errors
    /// One of them is gone.
    pub(crate) fn of<'a>(processes: impl IntoIterator<Item = &'a Process>) -> Result<Self> {
        Ok(Self(processes.into_iter().map(Process::cpu).collect::<std::io::Result<_>>()?))
    }

    /// What the one that spent most since has spent.
    pub(crate) fn most_since(&self, before: &Self) -> Duration {
        let spent = self.0.iter().zip(&before.0).map(|(now, before)| now.saturating_sub(*before));
        spent.max().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn times(milliseconds: impl IntoIterator<Item = u64>) -> Times {
        Times(milliseconds.into_iter().map(Duration::from_millis).collect())
    }

    #[test]
    fn quantiles_are_times_that_were_measured() {
        let hundred = times((1..=100).rev());
        assert_eq!(hundred.quantile(0.5), Some(50.0));
        assert_eq!(hundred.quantile(0.99), Some(99.0));
        assert_eq!(hundred.quantile(1.0), Some(100.0));
        assert_eq!(times([7]).quantile(0.5), Some(7.0));
        assert_eq!(times([7]).quantile(0.0), Some(7.0));
        assert_eq!(times([1, 9]).quantile(0.99), Some(9.0));
        assert_eq!(times([]).quantile(0.5), None);
    }

    #[test]
    fn the_most_spent_is_of_one_process() {
        let (before, after) = (
            Spent(vec![Duration::from_secs(5), Duration::from_secs(1)]),
            Spent(vec![Duration::from_secs(6), Duration::from_secs(4)]),
        );
        assert_eq!(after.most_since(&before), Duration::from_secs(3));
    }
}
