//! The counts of what became of questions to Redis.

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};

use crate::count::Count;

/// The most nodes that are told of by name.
const MOST_TOLD: usize = 64;

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
}

impl RedisCounts {
    /// A node does not answer, and has not for some attempts: told once, whichever worker finds it.
    pub(super) fn is_away(&self, node: &str) {
        let mut away = self.away.lock().unwrap_or_else(PoisonError::into_inner);
        if away.len() < MOST_TOLD && away.insert(node.to_owned()) {
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
}
