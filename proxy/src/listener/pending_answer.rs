//! An answer that is not out yet, as its connection's tick sees it: since when its client takes nothing of it, and until
//! when it may last.
//!
//! Over HTTP/2 nobody polls an answer whose client has closed its window, so no timer inside of it would ever ring.

use std::cell::{Cell, RefCell};
use std::task::Waker;
use std::time::{Duration, Instant};

use hyper::body::Incoming;

/// An answer that is polled ends itself at its time, with words for its client. One that still lasts after so much longer
/// is polled by nobody.
const GRACE: Duration = Duration::from_secs(2);

/// One answer.
#[derive(Debug, Default)]
pub(super) struct PendingAnswer {
    /// Since when its client could take something of it.
    offered: Cell<Option<Instant>>,
    /// The time when its call's whole time is over.
    until: Cell<Option<Instant>>,
    given_up: Cell<Option<GivenUp>>,
    /// True if its client gets nothing but its head.
    bodiless: Cell<bool>,
    /// The task that writes it.
    task: RefCell<Option<Waker>>,
    /// The part of its request that nobody has read.
    unread: RefCell<Option<Incoming>>,
}

/// The reason why nobody waits for it any longer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum GivenUp {
    /// Its client takes nothing of it.
    Untaken,
    /// Its call's time is over.
    TooLong,
}

impl PendingAnswer {
    /// As new, for the next call.
    pub(super) fn reset(&self) {
        self.offered.set(None);
        self.until.set(None);
        self.given_up.set(None);
        self.bodiless.set(false);
    }

    pub(super) fn leave_unread(&self, body: Incoming) {
        *self.unread.borrow_mut() = Some(body);
    }

    pub(super) fn take_unread(&self) -> Option<Incoming> {
        self.unread.borrow_mut().take()
    }

    pub(super) fn offer(&self, now: Instant) {
        self.offered.set(Some(now));
    }

    pub(super) fn taken(&self) {
        self.offered.set(None);
    }

    pub(super) fn last_until(&self, until: Instant) {
        self.until.set(Some(until));
    }

    pub(super) fn without_body(&self) {
        self.bodiless.set(true);
    }

    pub(super) fn is_bodiless(&self) -> bool {
        self.bodiless.get()
    }

    /// True if it was given up because its call's time was over.
    pub(super) fn is_too_long(&self) -> bool {
        self.given_up.get() == Some(GivenUp::TooLong)
    }

    /// Gives it up if it is time, and wakes who writes it. `write_timeout`: how long its client may take nothing, where
    /// the connection does not say so itself. Says whether it is given up.
    pub(super) fn look(&self, now: Instant, write_timeout: Option<Duration>) -> bool {
        let over =
            |since: Option<Instant>, limit| since.is_some_and(|since| now.saturating_duration_since(since) > limit);
        let why = if write_timeout.is_some_and(|limit| over(self.offered.get(), limit)) {
            GivenUp::Untaken
        } else if over(self.until.get(), GRACE) {
            GivenUp::TooLong
        } else {
            return false;
        };
        self.given_up.set(Some(why));
        self.look_again();
        true
    }

    /// Wakes who writes it: what it has to say may have changed.
    pub(super) fn look_again(&self) {
        if let Some(task) = self.task.borrow_mut().take() {
            task.wake();
        }
    }

    /// True if it is given up; if not, the task of this waker is told when it is.
    pub(super) fn is_given_up(&self, task: &Waker) -> bool {
        if self.given_up.get().is_some() {
            return true;
        }
        let mut known = self.task.borrow_mut();
        if !known.as_ref().is_some_and(|known| known.will_wake(task)) {
            *known = Some(task.clone());
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: Duration = Duration::from_secs(60);

    #[test]
    fn what_nobody_takes_is_given_up_and_what_is_taken_or_waited_for_is_not() {
        let (answer, now) = (PendingAnswer::default(), Instant::now());
        assert!(!answer.look(now + LIMIT * 2, Some(LIMIT)));
        answer.offer(now);
        assert!(!answer.look(now + LIMIT, Some(LIMIT)));
        answer.taken();
        assert!(!answer.look(now + LIMIT * 2, Some(LIMIT)));
        answer.offer(now);
        assert!(!answer.look(now + LIMIT * 2, None));
        assert!(!answer.is_given_up(Waker::noop()));
        assert!(answer.look(now + LIMIT * 2, Some(LIMIT)));
        assert!(answer.is_given_up(Waker::noop()) && !answer.is_too_long());
    }

    #[test]
    fn what_lasts_too_long_is_given_up_a_little_later() {
        let (answer, now) = (PendingAnswer::default(), Instant::now());
        answer.last_until(now + LIMIT);
        assert!(!answer.look(now + LIMIT + GRACE, None));
        assert!(answer.look(now + LIMIT + GRACE * 2, None));
        assert!(answer.is_too_long());
        answer.reset();
        assert!(!answer.look(now + LIMIT * 9, Some(LIMIT)));
    }
}
