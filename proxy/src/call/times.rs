//! The time that a call may take, step by step: its pool's timeouts, and its rule's over them.

use std::time::Duration;

use crate::state::{Pool, Rule};

/// The timeouts of a pool under a rule.
#[derive(Debug, Clone, Copy)]
pub(super) struct Times {
    pub(super) connect: Duration,
    pub(super) first_token: Duration,
    pub(super) idle: Duration,
    pub(super) total: Duration,
}

impl Times {
    pub(super) fn of(rule: &Rule, pool: &Pool) -> Self {
        Self {
            connect: pool.timeouts.connect.get(),
            first_token: rule.timeouts.first_token.unwrap_or(pool.timeouts.first_token).get(),
            idle: rule.timeouts.idle.unwrap_or(pool.timeouts.idle).get(),
            total: rule.timeouts.total.unwrap_or(pool.timeouts.total).get(),
        }
    }
}
