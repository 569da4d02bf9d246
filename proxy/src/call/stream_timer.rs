//! The timer of a stream: its idle and total time, and the comments in its silences, set at most once per pause.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use tokio::time::Sleep;

/// Idle and total time of a stream, and the comments in its silences, on one timer that is set at most once per pause.
pub(super) struct StreamTimer {
    idle: Duration,
    total: Instant,
    /// The interval at which the caller is to hear something; `None`: not at all.
    keep_alive: Option<Duration>,
    heard: Instant,
    /// The last time that something came of which the caller was told: not all does, and a provider's pings are told to no caller that
    /// waits for events.
    told: Instant,
    /// The time when the caller was last kept company, or would have been.
    kept: Instant,
    /// True if what the caller has ends with an event.
    between: bool,
    /// Set when something came: until the next pause nobody needs to look at the timer.
    fresh: bool,
    sleep: Option<Pin<Box<Sleep>>>,
}

/// The thing that is due.
pub(super) enum Due {
    /// It is too late.
    Late,
    /// A comment.
    Comment,
}

impl StreamTimer {
    pub(super) fn new((idle, total): (Duration, Instant), keep_alive: Option<Duration>) -> Self {
        let now = Instant::now();
        Self { idle, total, keep_alive, heard: now, told: now, kept: now, between: false, fresh: true, sleep: None }
    }

    pub(super) fn heard(&mut self) {
        self.heard = Instant::now();
        self.fresh = true;
    }

    /// The caller is told of what has come; `between`: what it has ends with an event.
    pub(super) const fn told(&mut self, between: bool) {
        (self.told, self.between) = (self.heard, between);
    }

    /// From now on nobody is to hear anything.
    pub(super) fn without_comments(&mut self) {
        self.keep_alive = None;
    }

    /// As of the last time that something came.
    pub(super) fn total_is_over(&self) -> bool {
        self.heard >= self.total
    }

    /// No more than this is left, from now on.
    pub(super) fn at_most(&mut self, left: Duration) {
        self.total = self.total.min(Instant::now() + left);
    }

    pub(super) fn idle_is_over(&self) -> bool {
        Instant::now() >= self.heard + self.idle
    }

    /// The time when it is too late, and the one when the timer goes off next: for a comment too, wherever the stream
    /// stands now, so that the timer that runs is never later than needed.
    fn due(&self, at_most: Duration) -> (Instant, Instant) {
        let late = self.total.min(self.heard + self.idle.min(at_most));
        // The answer's end is said: nothing stands behind it.
        let comment = self.keep_alive.filter(|_| at_most == Duration::MAX);
        (late, comment.map_or(late, |every| late.min(self.told.max(self.kept) + every)))
    }

    /// Ready when something is to be done. `at_most` shortens the idle time.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>, at_most: Duration) -> Poll<Due> {
        // The timer that is running goes off no later than needed, with the same waker: it is looked at when it wakes us. It may have
        // done so just when something came.
        let runs = self.sleep.as_ref().is_some_and(|sleep| !sleep.is_elapsed());
        if std::mem::take(&mut self.fresh) && runs && at_most == Duration::MAX {
            return Poll::Pending;
        }
        let (_, first) = self.due(at_most);
        let mut sleep = self.sleep.take().unwrap_or_else(|| Box::pin(tokio::time::sleep_until(first.into())));
        if sleep.deadline().into_std() > first {
            sleep.as_mut().reset(first.into());
        }
        let tick = loop {
            if sleep.as_mut().poll(cx).is_pending() {
                break Poll::Pending;
            }
            let (late, next) = self.due(at_most);
            let now = Instant::now();
            if now >= late {
                break Poll::Ready(Due::Late);
            }
            if now >= next {
                self.kept = now;
                if self.between {
                    break Poll::Ready(Due::Comment);
                }
            }
            sleep.as_mut().reset(self.due(at_most).1.into());
        };
        self.sleep = Some(sleep);
        tick
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_silence_is_filled_between_events_and_never_made_longer() {
        let ms = Duration::from_millis;
        for between in [true, false] {
            let mut clock = StreamTimer::new((ms(200), Instant::now() + ms(10_000)), Some(ms(20)));
            clock.between = between;
            let mut comments = 0;
            while let Due::Comment = std::future::poll_fn(|cx| clock.poll(cx, Duration::MAX)).await {
                comments += 1;
            }
            assert!(clock.idle_is_over());
            assert_eq!(comments > 0, between, "{comments}");
        }
    }

    #[tokio::test]
    async fn a_caller_is_kept_company_though_something_comes_of_which_it_is_not_told() {
        let ms = Duration::from_millis;
        for told in [false, true] {
            let mut clock = StreamTimer::new((ms(10_000), Instant::now() + ms(10_000)), Some(ms(500)));
            clock.told(true);
            let mut comments = 0;
            for _ in 0..20 {
                let due = std::future::poll_fn(|cx| clock.poll(cx, Duration::MAX));
                comments += u32::from(tokio::time::timeout(ms(50), due).await.is_ok());
                clock.heard();
                if told {
                    clock.told(true);
                }
            }
            assert_eq!(comments > 0, !told, "{comments}");
        }
    }

    #[tokio::test]
    async fn a_total_that_is_over_is_not_a_silence() {
        let mut clock = StreamTimer::new((Duration::from_secs(60), Instant::now()), None);
        assert!(matches!(std::future::poll_fn(|cx| clock.poll(cx, Duration::MAX)).await, Due::Late));
        assert!(!clock.idle_is_over());
    }
}
