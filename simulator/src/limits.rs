//! The provider's own rate limit: so many calls in a minute.

use std::time::{Duration, Instant};

/// The allowance of a minute when nothing is set: shown in headers, never enforced.
const SHOWN: u32 = 10_000;

/// The minute that runs.
#[derive(Debug, Default)]
pub(crate) struct Minute {
    began: Option<Instant>,
    calls: u32,
}

/// A caller's rate limit and what is left of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Quota {
    /// Calls a minute allows.
    pub(crate) limit: u32,
    /// Calls left in this one.
    pub(crate) remaining: u32,
    /// Until the next minute.
    pub(crate) reset: Duration,
    /// True if this call is one too many.
    pub(crate) exceeded: bool,
}

impl Minute {
    /// Counts a call.
    pub(crate) fn count(&mut self, limit: Option<u32>, now: Instant) -> Quota {
        let minute = Duration::from_secs(60);
        let fresh = self.began.is_none_or(|began| now.saturating_duration_since(began) >= minute);
        if fresh {
            *self = Self { began: Some(now), calls: 0 };
        }
        let spent = self.began.map_or(Duration::ZERO, |began| now.saturating_duration_since(began));
        let shown = limit.unwrap_or(SHOWN);
        let exceeded = limit.is_some_and(|limit| self.calls >= limit);
        if !exceeded {
            self.calls = self.calls.saturating_add(1);
        }
        Quota {
            limit: shown,
            remaining: shown.saturating_sub(self.calls),
            reset: minute.saturating_sub(spent),
            exceeded,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_minute_holds_so_many() {
        let (mut minute, now) = (Minute::default(), Instant::now());
        let calls: Vec<bool> = (0..3).map(|_| minute.count(Some(2), now).exceeded).collect();
        assert_eq!(calls, [false, false, true]);
        let later = now + Duration::from_secs(60);
        assert_eq!(minute.count(Some(2), later).remaining, 1);
        assert!(!Minute::default().count(None, now).exceeded);
    }
}
