//! The beat of what keeps counts in Redis: how long what calls used is gathered, when a refusal is looked at again, and the loop by which
//! a worker tells what there is to tell. Rate limits and budgets have the same.

use std::cell::Cell;
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::{sleep, timeout};

/// The time after which it is told what calls used: much of it goes along with what the next calls ask.
pub(super) const GATHER: Duration = Duration::from_millis(20);
/// The time after which a refusal is looked at again that other proxies may have room to tell of.
pub(super) const TOLD: Duration = GATHER.saturating_mul(2);
/// The time after which it is told again that could not be told.
pub(super) const AGAIN: Duration = Duration::from_millis(100);
/// The longest that a worker tells what is left when it ends: what Redis does not hear of by then counts as it was taken.
pub(super) const FAREWELL: Duration = Duration::from_secs(2);
/// It is looked this often whether there is something to say.
const LOOK: Duration = Duration::from_millis(500);

/// Asks, and after a while once more if the outcome may be another by then. Who has its answer may call again before the answer's end
/// is booked, and told where other proxies count too: what it used is known in a moment, and a call that is refused for it looks again.
pub(super) async fn look_twice<T, F: Future<Output = T>>(
    ask: impl Fn() -> F,
    may_change: impl FnOnce(&T) -> bool,
    after: Duration,
) -> T {
    let first = ask().await;
    if !may_change(&first) {
        return first;
    }
    sleep(after).await;
    ask().await
}

/// The one who tells, in a worker's background.
#[derive(Debug, Default)]
pub(super) struct Teller {
    wake: Notify,
    ends: Cell<bool>,
    ended: Notify,
}

impl Teller {
    /// There is something to tell.
    pub(super) fn wake(&self) {
        self.wake.notify_one();
    }

    /// True once the worker ends.
    pub(super) fn ends(&self) -> bool {
        self.ends.get()
    }

    /// The worker ends: what is left is told at once. Waits until it is, as long as Redis answers soon.
    pub(super) async fn finish(&self) {
        self.ends.set(true);
        self.wake();
        let _ = timeout(FAREWELL, self.ended.notified()).await;
    }

    /// Tells what there is, until the worker ends. `tell` says `false` where something is left.
    pub(super) async fn run(&self, tell: impl AsyncFn() -> bool) {
        loop {
            let is_woken = timeout(LOOK, self.wake.notified()).await.is_ok();
            let is_last = self.ends();
            if is_woken && !is_last {
                sleep(GATHER).await;
            }
            while !tell().await {
                sleep(AGAIN).await;
            }
            if is_last {
                return self.ended.notify_one();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    #[tokio::test]
    async fn a_refusal_is_looked_at_twice_and_no_more() {
        for (answers, asked) in [([true, true], 1), ([false, true], 2), ([false, false], 2)] {
            let count = Cell::new(0_usize);
            let ask = || {
                count.set(count.get() + 1);
                std::future::ready(answers[count.get() - 1])
            };
            let last = look_twice(ask, |taken| !taken, Duration::ZERO).await;
            assert_eq!((count.get(), last), (asked, answers[asked - 1]));
        }
    }

    #[tokio::test]
    async fn what_is_left_is_told_again_until_nothing_is() {
        let (teller, told, done) = (Teller::default(), Cell::new(0_u32), Notify::new());
        teller.wake();
        let tell = async || {
            told.set(told.get() + 1);
            if told.get() == 3 {
                done.notify_one();
            }
            told.get() >= 3
        };
        tokio::select! {
            () = teller.run(tell) => {}
            () = done.notified() => {}
        }
        assert_eq!(told.get(), 3);
    }

    #[tokio::test]
    async fn what_is_under_way_or_left_when_the_worker_ends_is_told_to_the_end() {
        let (teller, left) = (Teller::default(), Cell::new(2_u32));
        let tell = async || {
            sleep(AGAIN).await;
            let is_last = teller.ends();
            left.set(left.get() - u32::from(is_last && left.get() > 0));
            left.get() == 0 || !is_last
        };
        let leave = async {
            sleep(LOOK + AGAIN / 2).await;
            teller.finish().await;
        };
        tokio::join!(teller.run(tell), leave);
        assert_eq!(left.get(), 0);
    }
}
