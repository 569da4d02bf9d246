//! A waker for hyper's connection that can be kept from waking its task for nothing.
//!
//! The need for it: when a piece of a request's body is taken, hyper wakes the connection to read the next one. Who takes
//! the last piece is the connection's own task, in the middle of its poll: it would be polled once more, all the way
//! down to the provider's connection, to find nothing.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Wake, Waker};

/// Wake-ups go through.
const PASSING: usize = 0;
/// Wake-ups are counted, from here on.
const COUNTING: usize = 1;

/// One per connection, for its life.
#[derive(Debug)]
pub(super) struct WakeFilter {
    shared: Arc<FilteredWaker>,
    waker: Waker,
}

#[derive(Debug)]
struct FilteredWaker {
    state: AtomicUsize,
    task: Waker,
}

impl Wake for FilteredWaker {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        let counted = self.state.fetch_update(Ordering::AcqRel, Ordering::Acquire, |state| {
            (state != PASSING).then(|| state.saturating_add(1))
        });
        if counted.is_err() {
            self.task.wake_by_ref();
        }
    }
}

impl WakeFilter {
    /// For the connection that `task` polls.
    pub(super) fn new(task: Waker) -> Self {
        let shared = Arc::new(FilteredWaker { state: AtomicUsize::new(PASSING), task });
        let waker = Waker::from(Arc::clone(&shared));
        Self { shared, waker }
    }

    /// The waker that the connection is polled with.
    pub(super) fn waker(&self) -> &Waker {
        &self.waker
    }

    /// Takes a piece of a body. `take` says whether it was the last one: then the one wake-up that taking it causes is
    /// left out. Any other, from wherever, goes through.
    pub(super) fn during<T>(&self, take: impl FnOnce() -> (T, bool)) -> T {
        self.shared.state.store(COUNTING, Ordering::Release);
        let (taken, last) = take();
        let wakes = self.shared.state.swap(PASSING, Ordering::AcqRel).saturating_sub(COUNTING);
        if wakes > usize::from(last) {
            self.shared.task.wake_by_ref();
        }
        taken
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;

    use super::*;

    #[derive(Default)]
    struct WakeCount(AtomicUsize);

    impl Wake for WakeCount {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    #[test]
    fn one_wake_of_the_last_piece_is_left_out_and_no_other() {
        let count = Arc::new(WakeCount::default());
        let filter = WakeFilter::new(Waker::from(Arc::clone(&count)));
        let woken = || count.0.swap(0, Ordering::Relaxed);
        let wake = |times: usize| (0..times).for_each(|_| filter.waker().wake_by_ref());
        wake(1);
        assert_eq!(woken(), 1);
        for (wakes, last, through) in
            [(0, true, 0), (1, true, 0), (2, true, 1), (0, false, 0), (1, false, 1), (3, false, 1)]
        {
            filter.during(|| (wake(wakes), last));
            assert_eq!(woken(), through, "{wakes} {last}");
        }
        wake(1);
        assert_eq!(woken(), 1);
    }
}
