//! A waker that keeps a connection's wake-ups of its own call inside one poll.
//!
//! hyper's connection and its body talk through wakers: each would wake the very task that is polling both, and
//! cost it one more poll for every frame. While a [`Turn`] runs, such a wake-up only marks it, and it runs again.
//!
//! The connection is told from those who read what it brings: one that nothing has woken needs no poll to be known to
//! be as it was.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::task::{Context, Poll, Wake, Waker};

use futures_util::task::AtomicWaker;

/// Nobody polls: a wake-up goes to the task.
const IDLE: u8 = 0;
/// Being polled: a wake-up is only noted.
const POLLING: u8 = 1;
/// Woken while being polled.
const NOTED: u8 = 2;
/// Nobody polls, the last poll had nothing to do, and nothing has woken anybody since.
const ASLEEP: u8 = 3;

/// Rounds in one poll before the task is asked to come back, so that one busy connection starves nobody.
const ROUNDS: usize = 4;

/// One per connection, for its life.
pub(super) struct Turn {
    shared: Arc<Shared>,
    /// Given to hyper's connection.
    driver: Waker,
    /// Given to those who wait for what the connection brings.
    reader: Waker,
}

struct Shared {
    state: AtomicU8,
    /// Whether the connection's own waker was woken since it was last polled.
    stirred: AtomicBool,
    task: AtomicWaker,
}

/// Wakes the task on behalf of the connection.
struct Driver(Arc<Shared>);

/// Wakes the task on behalf of a reader.
struct Reader(Arc<Shared>);

impl Wake for Driver {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.0.stirred.store(true, Ordering::Release);
        self.0.wake();
    }
}

impl Wake for Reader {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.0.wake();
    }
}

impl Shared {
    fn wake(&self) {
        let noted = self.state.compare_exchange(POLLING, NOTED, Ordering::AcqRel, Ordering::Acquire);
        if noted == Err(ASLEEP) {
            // Another wake-up may have been quicker; polling once too often does no harm.
            let _ = self.state.compare_exchange(ASLEEP, IDLE, Ordering::AcqRel, Ordering::Acquire);
        }
        if matches!(noted, Err(IDLE | ASLEEP)) {
            self.task.wake();
        }
    }
}

/// The two wakers of a turn, as contexts.
pub(super) struct Wakers<'a> {
    /// To poll the connection with.
    pub(super) driver: Context<'a>,
    /// To poll with what the connection brings.
    pub(super) reader: Context<'a>,
}

impl Turn {
    pub(super) fn new() -> Self {
        let shared =
            Arc::new(Shared { state: AtomicU8::new(IDLE), stirred: AtomicBool::new(true), task: AtomicWaker::new() });
        let driver = Waker::from(Arc::new(Driver(Arc::clone(&shared))));
        let reader = Waker::from(Arc::new(Reader(Arc::clone(&shared))));
        Self { shared, driver, reader }
    }

    /// Forgets wake-ups noted so far: what they ask for is about to be done.
    pub(super) fn rearm(&self) {
        self.shared.state.store(POLLING, Ordering::Release);
    }

    /// The connection is about to be polled.
    pub(super) fn calm(&self) {
        self.shared.stirred.store(false, Ordering::Release);
    }

    /// Whether the connection has reason to be polled: something woke it since it last was.
    pub(super) fn is_stirred(&self) -> bool {
        self.shared.stirred.load(Ordering::Acquire)
    }

    /// Whether polling the last step again would find nothing, because nothing has happened since it was pending. The
    /// task is woken when something does.
    pub(super) fn asleep(&self, cx: &Context<'_>) -> bool {
        if self.shared.state.load(Ordering::Acquire) != ASLEEP {
            return false;
        }
        self.shared.task.register(cx.waker());
        self.shared.state.load(Ordering::Acquire) == ASLEEP
    }

    /// Polls `step` until it is ready or has nothing more to do without an event from outside.
    pub(super) fn run<T>(&self, cx: &Context<'_>, mut step: impl FnMut(&mut Wakers<'_>) -> Poll<T>) -> Poll<T> {
        self.shared.task.register(cx.waker());
        let mut wakers =
            Wakers { driver: Context::from_waker(&self.driver), reader: Context::from_waker(&self.reader) };
        for _ in 0..ROUNDS {
            self.rearm();
            let polled = step(&mut wakers);
            if polled.is_ready() {
                self.shared.state.store(IDLE, Ordering::Release);
                return polled;
            }
            if self.shared.state.compare_exchange(POLLING, ASLEEP, Ordering::AcqRel, Ordering::Acquire).is_ok() {
                return Poll::Pending;
            }
        }
        self.shared.state.store(IDLE, Ordering::Release);
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_sleeps_from_pending_until_something_wakes_it() {
        let (turn, cx) = (Turn::new(), Context::from_waker(Waker::noop()));
        assert!(!turn.asleep(&cx), "nothing was polled yet");
        let mut inner = None;
        assert!(
            turn.run(&cx, |wakers| {
                inner = Some(wakers.reader.waker().clone());
                Poll::<()>::Pending
            })
            .is_pending()
        );
        assert!(turn.asleep(&cx) && turn.asleep(&cx));
        inner.unwrap().wake();
        assert!(!turn.asleep(&cx));
        assert!(turn.run(&cx, |_| Poll::Ready(())).is_ready());
        assert!(!turn.asleep(&cx), "a step that was ready may be so again");
    }

    #[test]
    fn a_step_that_wakes_itself_runs_again_and_never_sleeps_on_it() {
        let (turn, cx) = (Turn::new(), Context::from_waker(Waker::noop()));
        let mut rounds = 0;
        let polled = turn.run(&cx, |wakers| {
            rounds += 1;
            wakers.driver.waker().wake_by_ref();
            Poll::<()>::Pending
        });
        assert!(polled.is_pending() && rounds == ROUNDS);
        assert!(!turn.asleep(&cx));
    }

    #[test]
    fn only_its_own_waker_stirs_a_connection() {
        let (turn, cx) = (Turn::new(), Context::from_waker(Waker::noop()));
        assert!(turn.is_stirred(), "it was never polled");
        let mut wakers = None;
        let polled = turn.run(&cx, |inner| {
            wakers = Some((inner.driver.waker().clone(), inner.reader.waker().clone()));
            turn.calm();
            Poll::<()>::Pending
        });
        let (driver, reader) = wakers.unwrap();
        reader.wake();
        assert!(polled.is_pending() && !turn.is_stirred());
        driver.wake();
        assert!(turn.is_stirred());
    }
}
