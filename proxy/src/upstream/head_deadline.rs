//! A connection's timer, left where it stands while calls come and go.
//!
//! A timer of each call's own would be set and taken away again by nearly every call, since answers come in time. This
//! one is set when a call has to wait, and stays: it rings too early for the calls after that one, and is moved then.

use std::future::Future;
use std::pin::Pin;
use std::task::Context;
use std::time::Instant;

use tokio::task::coop::unconstrained;
use tokio::time::{Sleep, sleep_until};

/// One per connection, for its life.
#[derive(Debug, Default)]
pub(super) struct HeadDeadline(Option<Pin<Box<Sleep>>>);

impl HeadDeadline {
    /// True if `until` has passed. If not, the task is woken at `until` or before.
    pub(super) fn has_passed(&mut self, until: Instant, cx: &mut Context<'_>) -> bool {
        let sleep = match &mut self.0 {
            Some(sleep) => {
                if sleep.is_elapsed() || sleep.deadline().into_std() > until {
                    sleep.as_mut().reset(until.into());
                }
                sleep
            }
            unset => unset.insert(Box::pin(sleep_until(until.into()))),
        };
        // It must be set whatever else the task has done.
        Pin::new(&mut unconstrained(sleep.as_mut())).poll(cx).is_ready()
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::task::{Poll, Waker};
    use std::time::Duration;

    use super::*;

    #[tokio::test]
    async fn it_passes_for_who_waits_and_not_for_who_comes_after() {
        let (mut deadline, far) = (HeadDeadline::default(), Instant::now() + Duration::from_secs(3600));
        let mut cx = Context::from_waker(Waker::noop());
        assert!(!deadline.has_passed(far, &mut cx));
        for _ in 0..2 {
            // It stands at a later time, and is moved; would it not wake, this would never end.
            let soon = Instant::now() + Duration::from_millis(5);
            poll_fn(|cx| if deadline.has_passed(soon, cx) { Poll::Ready(()) } else { Poll::Pending }).await;
            assert!(Instant::now() >= soon);
            assert!(!deadline.has_passed(far, &mut cx), "it passed for the call before");
        }
    }
}
