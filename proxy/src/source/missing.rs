//! Published objects that were deleted although nobody said that they are to go: since when, the first of them first.

use std::collections::{HashMap, VecDeque};
use std::time::{Duration, Instant};

/// Names, each once. Never more than there are objects.
#[derive(Debug, Default)]
pub(super) struct Missing {
    since: HashMap<Box<str>, Instant>,
    /// In the order in which they went; one that was found again, or went again, is passed over.
    order: VecDeque<(Instant, Box<str>)>,
}

impl Missing {
    /// It is missing from now on.
    pub(super) fn note(&mut self, name: &str, now: Instant) {
        if !self.since.contains_key(name) {
            self.since.insert(name.into(), now);
            self.order.push_back((now, name.into()));
        }
    }

    /// It is there again, or gone for good.
    pub(super) fn found(&mut self, name: &str) {
        self.since.remove(name);
        self.pass_over();
    }

    /// Takes out one that has been missing for so long.
    pub(super) fn lapsed(&mut self, now: Instant, kept: Duration) -> Option<Box<str>> {
        self.first().filter(|since| *since + kept <= now)?;
        let (_, name) = self.order.pop_front()?;
        self.since.remove(&name);
        self.pass_over();
        Some(name)
    }

    /// Since when the first of them has been missing.
    pub(super) fn first(&self) -> Option<Instant> {
        self.order.front().map(|(since, _)| *since)
    }

    /// Since when the last of them has been missing.
    pub(super) fn last(&self) -> Option<Instant> {
        self.order.back().map(|(since, _)| *since)
    }

    pub(super) fn len(&self) -> usize {
        self.since.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.since.is_empty()
    }

    /// The first in order is always one that is missing.
    fn pass_over(&mut self) {
        while self.order.front().is_some_and(|(since, name)| self.since.get(name) != Some(since)) {
            self.order.pop_front();
        }
        // One that stays away long would else hold the place of many that come and go.
        if self.order.len() > 2 * self.since.len() + 64 {
            let since = &self.since;
            self.order.retain(|(at, name)| since.get(name) == Some(at));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_lapses_in_order_and_what_is_found_does_not() {
        const KEPT: Duration = Duration::from_secs(10);
        let (mut missing, start) = (Missing::default(), Instant::now());
        let after = |seconds| start + Duration::from_secs(seconds);
        for (at, name) in ["a", "b", "c"].into_iter().enumerate() {
            missing.note(name, after(u64::try_from(at).unwrap()));
        }
        missing.note("a", after(5));
        missing.found("a");
        assert_eq!(missing.first(), Some(after(1)));
        assert_eq!(missing.lapsed(after(10), KEPT), None);
        missing.note("a", after(10));
        assert_eq!(missing.lapsed(after(12), KEPT).as_deref(), Some("b"));
        assert_eq!(missing.lapsed(after(12), KEPT).as_deref(), Some("c"));
        assert_eq!((missing.lapsed(after(19), KEPT), missing.first()), (None, Some(after(10))));
        assert_eq!(missing.lapsed(after(20), KEPT).as_deref(), Some("a"));
        assert!(missing.is_empty() && missing.first().is_none());
    }

    #[test]
    fn the_order_is_bounded_whatever_comes_and_goes() {
        let (mut missing, now) = (Missing::default(), Instant::now());
        missing.note("stays", now);
        for _ in 0..10_000 {
            missing.note("x", now);
            missing.found("x");
        }
        assert!(missing.order.len() < 100, "{}", missing.order.len());
    }
}
