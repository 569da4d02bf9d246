//! The heat of one limit or budget: the calls of a worker that take of it; of a hot one, one call asks for those that come with it and soon after it.

use std::cell::Cell;
use std::rc::Rc;

use tokio::sync::Notify;

/// Calls within the life of a lease that make it hot.
const HOT: u64 = 4;
/// The most calls that are seen ahead.
const MOST_CALLS: u64 = 4_096;

/// The calls that took of one limit lately. Times are in microseconds.
#[derive(Debug, Default)]
pub(super) struct Heat {
    since: u64,
    calls: u64,
    /// The calls of the time before.
    before: u64,
    asking: Option<Rc<AskedForAll>>,
    /// There was nothing to take ahead: until then each call asks for itself.
    alone_until: u64,
}

/// A question on behalf of several calls, until it has an answer.
#[derive(Debug, Default)]
pub(super) struct AskedForAll {
    is_over: Cell<bool>,
    over: Notify,
}

/// The one who asks it. Dropped, those who wait for it go on.
#[derive(Debug)]
pub(super) struct Asker(Rc<AskedForAll>);

/// The way of a call that finds no lease.
#[derive(Debug)]
pub(super) enum AskTurn {
    /// It asks for itself.
    Alone,
    /// It asks for so many calls too.
    ForAll(u64, Asker),
    /// Somebody asks for it.
    Wait(Rc<AskedForAll>),
}

impl Heat {
    /// One more call.
    pub(super) fn call(&mut self, now: u64, life: u64) {
        let passed = now.saturating_sub(self.since);
        if passed >= life {
            self.before = if passed < 2 * life { self.calls } else { 0 };
            (self.since, self.calls) = (now, 0);
        }
        self.calls += 1;
    }

    /// The turn of a call that finds no lease.
    pub(super) fn turn(&mut self, now: u64) -> AskTurn {
        let calls = self.calls.max(self.before);
        if calls < HOT || now < self.alone_until {
            return AskTurn::Alone;
        }
        if let Some(asking) = self.asking.as_ref().filter(|asking| !asking.is_over.get()) {
            return AskTurn::Wait(Rc::clone(asking));
        }
        let asking = Rc::new(AskedForAll::default());
        self.asking = Some(Rc::clone(&asking));
        AskTurn::ForAll(calls.saturating_mul(2).min(MOST_CALLS), Asker(asking))
    }

    /// There is nothing to take ahead.
    pub(super) const fn has_nothing_ahead(&mut self, now: u64, life: u64) {
        self.alone_until = now.saturating_add(life);
    }

    /// True if nobody has taken for so long.
    pub(super) const fn is_cold(&self, now: u64, life: u64) -> bool {
        now.saturating_sub(self.since) >= life
    }
}

impl AskedForAll {
    /// Waits for the answer, which Redis gives soon or not at all.
    pub(super) async fn answered(&self) {
        let over = self.over.notified();
        if !self.is_over.get() {
            over.await;
        }
    }
}

impl Drop for Asker {
    fn drop(&mut self) {
        self.0.is_over.set(true);
        self.0.over.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIFE: u64 = 100;

    fn turn(heat: &mut Heat, now: u64) -> AskTurn {
        heat.call(now, LIFE);
        heat.turn(now)
    }

    #[tokio::test]
    async fn of_calls_that_come_together_one_asks_and_the_others_wait_for_it() {
        let mut heat = Heat::default();
        assert!((0..3).all(|now| matches!(turn(&mut heat, now), AskTurn::Alone)));
        let AskTurn::ForAll(8, asker) = turn(&mut heat, 3) else { panic!("it is hot") };
        let AskTurn::Wait(asking) = turn(&mut heat, 4) else { panic!("somebody asks") };
        let (waited, ()) = tokio::join!(asking.answered(), async { drop(asker) });
        assert_eq!(waited, ());
        asking.answered().await;
        // As many are expected as came before.
        let AskTurn::ForAll(10, _asker) = turn(&mut heat, 110) else { panic!("it is still hot") };
        heat.has_nothing_ahead(110, LIFE);
        assert!(matches!(turn(&mut heat, 111), AskTurn::Alone));
        assert!(!heat.is_cold(200, LIFE) && heat.is_cold(210, LIFE));
    }

    #[test]
    fn what_few_ask_for_is_cold() {
        let mut heat = Heat::default();
        assert!([0, 60, 120, 180, 240, 600].iter().all(|now| matches!(turn(&mut heat, *now), AskTurn::Alone)));
    }
}
