//! The beat of what keeps counts in Redis: how long what calls used is gathered, when a refusal is looked at again, and the loop by which
//! a worker tells what there is to tell. Rate limits and budgets have the same.

use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::{sleep, timeout};

/// The time after which it is told what calls used: much of it goes along with what the next calls ask.
pub(super) const GATHER: Duration = Duration::from_millis(20);
/// The time after which a refusal is looked at again that other proxies may have room to tell of.
pub(super) const TOLD: Duration = GATHER.saturating_mul(2);
/// The time after which it is told again that could not be told.
pub(super) const AGAIN: Duration = Duration::from_millis(100);
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
}

impl Teller {
    /// There is something to tell.
    pub(super) fn wake(&self) {
        self.wake.notify_one();
    }

    /// Tells what there is, for ever. `tell` says `false` where something is left.
    pub(super) async fn run(&self, tell: impl AsyncFn() -> bool) {
        loop {
            if timeout(LOOK, self.wake.notified()).await.is_ok() {
                sleep(GATHER).await;
            }
            while !tell().await {
                sleep(AGAIN).await;
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
}
