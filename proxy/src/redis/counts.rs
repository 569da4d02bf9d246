//! The counts of what became of questions to Redis.

use crate::count::Count;

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
}
