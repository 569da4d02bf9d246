//! The time by which periods begin: Redis's as soon as it has been heard, kept by this process's stop-watch, which nobody sets. So a clock of
//! this process that is wrong, or is set while calls go on, books nothing in another period, also while Redis does not answer.

use std::sync::atomic::{AtomicI64, Ordering::Relaxed};
use std::time::Instant;

/// Redis has not been heard.
const UNKNOWN: i64 = i64::MIN;

/// The time that all proxies share.
#[derive(Debug)]
pub(super) struct SharedClock {
    started: Instant,
    /// Redis's time when this process started, in milliseconds since 1970.
    base: AtomicI64,
}

impl Default for SharedClock {
    fn default() -> Self {
        Self { started: Instant::now(), base: AtomicI64::new(UNKNOWN) }
    }
}

impl SharedClock {
    /// Now, in milliseconds since 1970; by this process's own clock as long as no other is known.
    pub(super) fn now(&self) -> i64 {
        match self.base.load(Relaxed) {
            UNKNOWN => jiff::Timestamp::now().as_millisecond(),
            base => base.saturating_add(self.elapsed()),
        }
    }

    /// Redis has said its time, in milliseconds since 1970.
    pub(super) fn heard(&self, redis: u64) {
        let redis = i64::try_from(redis).unwrap_or(i64::MAX);
        self.base.store(redis.saturating_sub(self.elapsed()), Relaxed);
    }

    fn elapsed(&self) -> i64 {
        i64::try_from(self.started.elapsed().as_millis()).unwrap_or(i64::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_soon_as_redis_was_heard_its_time_is_the_time() {
        let clock = SharedClock::default();
        let own = jiff::Timestamp::now().as_millisecond();
        assert!((own..own + 3_600_000).contains(&clock.now()));
        for redis in [1_000_000, 5_000_000_000_000, 2_000_000] {
            clock.heard(redis);
            let redis = i64::try_from(redis).unwrap();
            assert!((redis..redis + 3_600_000).contains(&clock.now()), "{} of {redis}", clock.now());
        }
    }
}
