//! The rate limits of a provider, or of one of its keys, and the knowledge which of them have no room for a while: whoever is used up is
//! not asked for a moment.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use sluicegate_config::RateLimit;

use super::prepared::{LimitKey, LimitScope, PreparedLimit};

/// The longest time that nobody looks whether there is room again: what attempts did not use is given back before their window is over.
const LOOK: Duration = Duration::from_secs(1);

/// The rate limits of a provider or of a key, for all workers of a configuration.
#[derive(Debug)]
pub(crate) struct AttemptLimits(Box<[AttemptLimit]>);

/// One of them.
#[derive(Debug)]
pub(crate) struct AttemptLimit {
    pub(crate) limit: PreparedLimit,
    /// The key under which it counts: all that it is about is one.
    pub(crate) key: LimitKey,
    used_up: Mutex<Option<UsedUp>>,
}

/// It had no room for an attempt.
#[derive(Debug, Clone, Copy)]
struct UsedUp {
    /// The part that the attempt would have taken.
    cost: u64,
    /// The time when somebody looks again.
    again: Instant,
    /// The time when there may be room.
    room: Instant,
}

impl AttemptLimits {
    /// Makes them ready; `None`: there is none.
    pub(crate) fn of(gateway: &str, scope: LimitScope<'_>, from: &[RateLimit]) -> Option<Arc<Self>> {
        let one = |limit: &RateLimit| {
            let limit = PreparedLimit::of(gateway, scope, limit);
            let key = limit.key(None::<std::iter::Empty<&[u8]>>);
            AttemptLimit { limit, key, used_up: Mutex::default() }
        };
        (!from.is_empty()).then(|| Arc::new(Self(from.iter().map(one).collect())))
    }

    /// Each of them.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &AttemptLimit> {
        self.0.iter()
    }

    /// The time until which others go first; `None`: as far as is known there is room.
    pub(crate) fn rest_until(&self, now: Instant) -> Option<Instant> {
        self.iter().filter_map(|one| one.known(now)).map(|used_up| used_up.again).max()
    }
}

impl AttemptLimit {
    /// It has no room for an attempt that would take so much, and may have some after this time.
    pub(crate) fn is_used_up(&self, cost: u64, after: Duration, now: Instant) {
        let mut used_up = self.used_up.lock().unwrap_or_else(PoisonError::into_inner);
        let before = used_up.filter(|before| before.again > now);
        let cost = before.map_or(cost, |before| before.cost.min(cost));
        *used_up = Some(UsedUp { cost, again: now + after.min(LOOK), room: now + after });
    }

    /// The time after which it may have room for an attempt that would take so much, if it is known to have none.
    pub(crate) fn room_after(&self, cost: u64, now: Instant) -> Option<Duration> {
        let used_up = self.known(now).filter(|used_up| cost >= used_up.cost)?;
        Some(used_up.room.saturating_duration_since(now))
    }

    fn known(&self, now: Instant) -> Option<UsedUp> {
        let used_up = *self.used_up.lock().unwrap_or_else(PoisonError::into_inner);
        used_up.filter(|used_up| used_up.again > now)
    }
}

#[cfg(test)]
mod tests {
    use sluicegate_config::{LimitPer, LimitUnit, OnUnavailable, rate_identity};

    use super::*;

    #[test]
    fn who_is_used_up_is_not_looked_at_for_a_moment_and_smaller_calls_ask_all_the_same() {
        let (per, unit, on_unavailable) = (LimitPer::Provider, LimitUnit::Tokens, OnUnavailable::Share);
        let from =
            RateLimit { per, unit, amount: 100, window: 60_000, queue: None, unpriced_is_free: false, on_unavailable };
        let scope = LimitScope::Key { pool: "a/p", provider: "one", key: "k" };
        assert!(AttemptLimits::of("", scope, &[]).is_none());
        let identity = rate_identity("ProviderPool a/p/one/keys/k", &from);
        let limits = AttemptLimits::of("", scope, &[from]).unwrap();
        let (one, now) = (limits.iter().next().unwrap(), Instant::now());
        assert_eq!(&*one.limit.name, "ProviderPool a/p/one/keys/k: 100 tokens per 1m");
        assert_eq!(&*one.limit.identity, identity, "statuses know it by the same text");
        assert_eq!(limits.rest_until(now), None);
        one.is_used_up(30, Duration::from_secs(40), now);
        assert_eq!(limits.rest_until(now), Some(now + LOOK));
        let room = |cost, after| one.room_after(cost, now + Duration::from_millis(after));
        assert_eq!((room(30, 500), room(29, 500)), (Some(Duration::from_millis(39_500)), None));
        one.is_used_up(50, Duration::from_millis(200), now);
        assert_eq!((room(30, 100), room(30, 200), room(29, 100)), (Some(Duration::from_millis(100)), None, None));
        assert_eq!(limits.rest_until(now + LOOK), None);
    }
}
