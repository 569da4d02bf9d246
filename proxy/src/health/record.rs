//! The answers of one endpoint that is asked now and then. Time is passed in.

use std::time::Instant;

use sluicegate_config::HealthCheck;

/// The state of an endpoint, as its checks have found it.
#[derive(Debug)]
pub(super) struct CheckRecord {
    next: Instant,
    is_asked: bool,
    is_ill: bool,
    /// Answers in a row that say the other thing.
    turning: u32,
}

impl CheckRecord {
    /// Nothing is known: it is well until it says otherwise.
    pub(super) const fn new(next: Instant) -> Self {
        Self { next, is_asked: false, is_ill: false, turning: 0 }
    }

    /// True if it is time to ask it.
    pub(super) fn is_due(&self, now: Instant) -> bool {
        !self.is_asked && self.next <= now
    }

    /// It is asked, and then again.
    pub(super) const fn begin(&mut self, next: Instant) {
        self.is_asked = true;
        self.next = next;
    }

    /// It has answered, or has not.
    pub(super) const fn answered(&mut self, is_well: bool, check: &HealthCheck) {
        self.is_asked = false;
        if is_well != self.is_ill {
            self.turning = 0;
            return;
        }
        self.turning = self.turning.saturating_add(1);
        let enough = if is_well { check.healthy_after } else { check.unhealthy_after };
        if self.turning >= enough {
            self.is_ill = !is_well;
            self.turning = 0;
        }
    }

    /// Another proxy, which asks it, has found this.
    pub(super) const fn told(&mut self, is_ill: bool) {
        *self = Self { is_asked: false, is_ill, turning: 0, ..*self };
    }

    /// It has answered a question of another kind, or has not.
    pub(super) const fn ended(&mut self) {
        self.is_asked = false;
    }

    /// True if it is not well.
    pub(super) const fn is_ill(&self) -> bool {
        self.is_ill
    }
}

#[cfg(test)]
mod tests {
    use sluicegate_config::Millis;

    use super::*;

    #[test]
    fn it_turns_after_so_many_answers_in_a_row() {
        let (interval, timeout) = (Millis(1_000), Millis(100));
        let check = HealthCheck { path: "/".into(), interval, timeout, healthy_after: 2, unhealthy_after: 3 };
        let now = Instant::now();
        let mut record = CheckRecord::new(now);
        assert!(record.is_due(now));
        record.begin(now);
        assert!(!record.is_due(now), "it is being asked");
        let mut said = Vec::new();
        for is_well in [false, false, true, false, false, false, true, false, true, true] {
            record.answered(is_well, &check);
            said.push(record.is_ill());
        }
        assert_eq!(said, [false, false, false, false, false, true, true, true, true, false]);
    }
}
