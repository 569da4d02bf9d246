//! Rules that the operator's and the proxies' watches of the Kubernetes API server share.

use std::time::Duration;

/// A watch is begun anew after so many seconds: a connection that died without a word goes unnoticed for little longer.
pub const WATCH_SECONDS: u32 = 45;
/// The API server says something on a connection that it was asked on within this time: longer than a watch lasts, with nothing to tell.
pub const SILENCE: Duration = Duration::from_secs(WATCH_SECONDS as u64 + 10);
/// It is looked this often whether the cluster's state was put back to an earlier one: no watch tells of that, nor of anything after it.
pub const LOOK_BACK: Duration = Duration::from_secs(60);

/// The highest `resourceVersion` that consistent reads and own writes have met. Such versions only grow, but where the cluster's state
/// is put back to an earlier one, as by a restore of etcd.
///
/// They are compared as whole numbers, as Kubernetes permits since 1.35 (KEP-5504). What is no number says nothing.
#[derive(Debug, Default)]
pub struct HighestVersion(u64);

impl HighestVersion {
    /// One more is met. True if it is lower than one before.
    pub fn goes_back(&mut self, version: Option<&str>) -> bool {
        let Some(version) = version.and_then(|version| version.parse().ok()) else { return false };
        let is_lower = version < self.0;
        self.0 = self.0.max(version);
        is_lower
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_that_is_lower_than_one_before_says_that_the_state_went_back() {
        let mut highest = HighestVersion::default();
        for (version, goes_back) in [
            (Some("9"), false),
            (Some("9"), false),
            (None, false),
            (Some("x"), false),
            (Some("10"), false),
            (Some("9"), true),
        ] {
            assert_eq!(highest.goes_back(version), goes_back, "{version:?}");
        }
    }

    #[test]
    fn a_connection_that_died_without_a_word_is_noticed_within_two_minutes_and_a_quiet_watch_is_not_cut() {
        let lasts = Duration::from_secs(u64::from(WATCH_SECONDS) + 5);
        // The watch, which is silent for a little longer than it lasts at the most, and then one question on another dead connection.
        assert!(lasts < SILENCE && lasts + SILENCE < Duration::from_secs(120));
    }
}
