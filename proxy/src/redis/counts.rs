//! The counts of what became of questions to Redis, and what is told of a Redis that does not answer, or says no.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use ::redis::RedisError;

use super::refusal::{REASONS, Refusal};
use crate::count::Count;

/// The most nodes that are told of by name.
const MOST_TOLD: usize = 64;
/// The most refusals, by their nodes and reasons, that are told of.
const MOST_REFUSALS: usize = 256;
/// A refusal is told again when it has not been met for so long.
const FORGOTTEN: Duration = Duration::from_secs(60);

/// Since the process began, over all workers.
#[derive(Debug, Default)]
pub struct RedisCounts {
    /// It said no, or the connection broke.
    pub errors: Count,
    /// It did not answer in time.
    pub timeouts: Count,
    /// Questions that were not asked: the node's breaker was open, or it was not connected.
    pub skipped: Count,
    /// Writes that were given up: too many waited, the node was away, or it did not take them.
    pub dropped: Count,
    /// Nodes left alone right now (gauge).
    pub open: Count,
    /// The nodes that somebody has been told of that they do not answer: every worker finds it out by itself.
    away: Mutex<BTreeSet<String>>,
    /// Times that it said no, by the places of reasons.
    refusals: [Count; REASONS.len()],
    /// The refusals that have been told, by node and reason, and when each was met last.
    told: Mutex<BTreeMap<(String, &'static str), Instant>>,
}

impl RedisCounts {
    /// A node does not answer, and has not for some attempts: told once, whichever worker finds it. One that says no has been told of
    /// by its own words.
    pub(super) fn is_away(&self, node: &str, says_no: bool) {
        let mut away = self.away.lock().unwrap_or_else(PoisonError::into_inner);
        if away.len() < MOST_TOLD && away.insert(node.to_owned()) && !says_no {
            tracing::warn!(
                node,
                "Redis does not answer: caches, limits and budgets go on without it as far as they can"
            );
        }
    }

    /// It answers.
    pub(super) fn is_back(&self, node: &str) {
        if self.away.lock().unwrap_or_else(PoisonError::into_inner).remove(node) {
            tracing::info!(node, "Redis answers again");
        }
    }

    /// A node has answered with an error: told with its reason, once for as long as that is met. True if it says no by itself.
    pub(super) fn says_no(&self, node: &str, error: &RedisError) -> bool {
        let Some(Refusal { reason, words }) = Refusal::of(error) else { return false };
        if let Some(at) = REASONS.iter().position(|known| *known == reason) {
            self.refusals.get(at).into_iter().for_each(Count::add);
        }
        if self.is_news(node, reason, Instant::now()) {
            tracing::warn!(
                node,
                reason,
                words,
                "Redis says no: caches, limits and budgets go on without it as far as they can"
            );
        }
        true
    }

    fn is_news(&self, node: &str, reason: &'static str, now: Instant) -> bool {
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(last) = told.get_mut(&(node.to_owned(), reason)) {
            return now.saturating_duration_since(std::mem::replace(last, now)) > FORGOTTEN;
        }
        if told.len() >= MOST_REFUSALS {
            told.retain(|_, last| now.saturating_duration_since(*last) <= FORGOTTEN);
        }
        let has_room = told.len() < MOST_REFUSALS;
        if has_room {
            told.insert((node.to_owned(), reason), now);
        }
        has_room
    }

    /// Times that it said no, by reason.
    pub fn refusals(&self) -> impl Iterator<Item = (&'static str, u64)> {
        REASONS.iter().zip(&self.refusals).map(|(reason, count)| (*reason, count.get()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_is_told_once_for_as_long_as_it_is_met_and_all_of_them_are_bounded() {
        let (counts, start) = (RedisCounts::default(), Instant::now());
        let mut now = start;
        let mut news = |node: &str, reason, after| {
            now += after;
            counts.is_news(node, reason, now)
        };
        assert!(news("a:1", "OOM", Duration::ZERO) && !news("a:1", "OOM", FORGOTTEN / 2));
        assert!(news("a:1", "READONLY", Duration::ZERO) && news("b:1", "OOM", Duration::ZERO));
        assert!(!news("a:1", "OOM", FORGOTTEN / 2), "it goes on");
        assert!(news("a:1", "OOM", FORGOTTEN * 2), "and once more");
        let told = (0..2 * MOST_REFUSALS).filter(|number| news(&format!("n:{number}"), "OOM", Duration::ZERO)).count();
        assert!(told < MOST_REFUSALS);
    }
}
