//! The work that goes on without a caller: work of this worker that no connection polls, bounded in number.
//!
//! Whoever lets go of something that is still wanted may do so anywhere, while it is dropped too: nothing is spawned here, the
//! worker's own task takes it over.

use std::cell::{Cell, RefCell};
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use tokio::sync::Notify;

/// So much goes on at once in a worker.
const MOST: usize = 32;

/// A piece of work.
struct Work {
    /// True if it is one of the [`MOST`].
    counted: bool,
    future: Pin<Box<dyn Future<Output = ()>>>,
}

impl Future for Work {
    /// True if it was counted.
    type Output = bool;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<bool> {
        self.future.as_mut().poll(cx).map(|()| self.counted)
    }
}

/// Work that goes on in the background.
#[derive(Default)]
pub(crate) struct Background {
    new: RefCell<Vec<Work>>,
    count: Cell<usize>,
    changed: Notify,
}

impl Background {
    /// True if there is room for more.
    pub(crate) fn has_room(&self) -> bool {
        self.count.get() < MOST
    }

    /// Goes on with this. Beyond the bound it is dropped.
    pub(crate) fn go_on(&self, work: impl Future<Output = ()> + 'static) {
        if self.has_room()
            && let Ok(mut new) = self.new.try_borrow_mut()
        {
            self.count.set(self.count.get() + 1);
            new.push(Work { counted: true, future: Box::pin(work) });
            self.changed.notify_one();
        }
    }

    /// Goes on with a flight: as many of them are bounded elsewhere.
    pub(crate) fn fly(&self, work: impl Future<Output = ()> + 'static) {
        if let Ok(mut new) = self.new.try_borrow_mut() {
            new.push(Work { counted: false, future: Box::pin(work) });
            self.changed.notify_one();
        }
    }

    /// Does the work, for ever.
    pub(crate) async fn run(&self) {
        let mut running = FuturesUnordered::new();
        loop {
            running.extend(self.new.take());
            tokio::select! {
                Some(counted) = running.next() => self.count.set(self.count.get().saturating_sub(counted.into())),
                () = self.changed.notified() => {}
            }
        }
    }

    /// Lets go of what nobody has begun to work on.
    pub(crate) fn clear(&self) {
        drop(self.new.take());
    }
}

#[cfg(test)]
mod tests {
    use std::rc::Rc;

    use super::*;

    #[tokio::test]
    async fn work_goes_on_up_to_a_bound_and_makes_room() {
        let background = Background::default();
        let (done, release) = (Rc::new(Cell::new(0)), Rc::new(tokio::sync::Semaphore::new(0)));
        for _ in 0..MOST + 5 {
            let (done, release) = (Rc::clone(&done), Rc::clone(&release));
            background.go_on(async move {
                let _permit = release.acquire().await;
                done.set(done.get() + 1);
            });
        }
        assert!(!background.has_room());
        release.add_permits(1);
        let work = async {
            while !background.has_room() || done.get() < MOST {
                tokio::task::yield_now().await;
            }
        };
        tokio::select! {
            () = background.run() => {}
            () = work => {}
        }
        assert_eq!(done.get(), MOST);
    }
}
