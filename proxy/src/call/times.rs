//! The time that a call may take, step by step: its pool's timeouts, and its rule's over them.

use std::time::Duration;

use sluicegate_config::{PoolTimeouts, Timeouts};

use super::inbound::InboundCall;

/// The timeouts of a pool under a rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Times {
    pub(super) connect: Duration,
    pub(super) first_token: Duration,
    pub(super) idle: Duration,
    pub(super) total: Duration,
    /// The same of an answer that flows: one that comes in pieces, from its first token on.
    pub(super) flowing: Duration,
}

impl Times {
    pub(super) fn of(rule: Timeouts, pool: PoolTimeouts) -> Self {
        let PoolTimeouts { connect, first_token, idle, total, stream_total } = pool;
        let said = rule.total.unwrap_or(total);
        // A total that somebody has written is meant for streams as well.
        let flowing = stream_total.filter(|_| rule.total.is_none()).unwrap_or(said);
        Self {
            connect: connect.get(),
            first_token: rule.first_token.unwrap_or(first_token).get(),
            idle: rule.idle.unwrap_or(idle).get(),
            total: said.get(),
            flowing: flowing.get(),
        }
    }

    /// The longest that a call may take, of which nobody knows yet how its answer comes.
    pub(super) fn longest(self, call: &InboundCall) -> Duration {
        if call.streams() || call.passes() { self.flowing.max(self.total) } else { self.total }
    }
}

#[cfg(test)]
mod tests {
    use sluicegate_config::Millis;

    use super::*;

    #[test]
    fn a_total_that_nobody_has_written_is_another_for_what_flows() {
        let second = |seconds: u64| Millis(seconds * 1_000);
        let pool = |total: u64, stream_total: Option<u64>| PoolTimeouts {
            connect: second(1),
            first_token: second(2),
            idle: second(3),
            total: second(total),
            stream_total: stream_total.map(second),
        };
        let rule = |total: Option<u64>| Timeouts { total: total.map(second), ..Timeouts::default() };
        for (of_rule, of_pool, total, flowing) in [
            (None, pool(600, Some(3_600)), 600, 3_600),
            (None, pool(30, None), 30, 30),
            (Some(20), pool(600, Some(3_600)), 20, 20),
            (Some(7_200), pool(30, None), 7_200, 7_200),
        ] {
            let times = Times::of(rule(of_rule), of_pool);
            assert_eq!((times.total.as_secs(), times.flowing.as_secs()), (total, flowing), "{of_rule:?} {of_pool:?}");
        }
    }
}
