//! The drain: a proxy stops without losing a call.
//!
//! `Serving → Leaving → Closing → Cutting`: on SIGTERM readiness goes off and every answer says `connection: close`, while new
//! connections are still taken for the drain delay (load balancers need a moment to hear of it). Then what waits in
//! the backlog is taken, the sockets close, idle connections are told to go, and calls in flight have the drain
//! timeout to end. Those that are left then are cut, and told of: in the log, and to Redis (`Cutting`). A second signal
//! cuts them at once, and a third one ends the process.
//!
//! A part that ends without having been told to (a worker, what follows the configuration) takes the process with it,
//! the same way: half a proxy would refuse its half of the calls for ever.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;

use crate::settings::Stopping;

/// The interval at which the log says how many calls are left.
const REPORT: Duration = Duration::from_secs(5);
/// The interval at which the counts are looked at.
const LOOK: Duration = Duration::from_millis(20);
/// Of the drain timeout, what a proxy has left that lost a part: it takes no calls, and the one in its place begins
/// when it is gone.
const MOST_AFTER_LOSS: Duration = Duration::from_secs(30);

/// The time that workers have to cut the calls that are left, and to tell what these cost.
const CUTTING: Duration = Duration::from_secs(6);

/// The phase of the process on its way out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Phase {
    /// Not at all.
    Serving,
    /// New connections are taken, but nobody is encouraged to stay.
    Leaving,
    /// No new connections; calls in flight end.
    Closing,
    /// The time for calls is over: those in flight are cut.
    Cutting,
}

/// The facts that all threads know of the process's end.
#[derive(Debug)]
pub struct Lifecycle {
    phase: watch::Sender<Phase>,
    staff: watch::Sender<Staff>,
    calls: Vec<AtomicU64>,
}

/// The number of workers in each state. All that is said of them is read from this one count: a second one, told
/// after it, could be told late and stand over a newer one.
#[derive(Debug, Clone, Copy)]
pub struct Staff {
    all: usize,
    accepting: usize,
    ended: usize,
}

impl Staff {
    /// True once every worker takes connections.
    #[must_use]
    pub const fn all_accept(self) -> bool {
        self.accepting == self.all
    }
}

/// A worker's place among all; dropped when its thread ends, however it does.
#[derive(Debug)]
pub struct Post {
    lifecycle: Arc<Lifecycle>,
    number: usize,
    accepts: bool,
}

impl Lifecycle {
    /// Of a process with this many workers.
    #[must_use]
    pub fn new(workers: usize) -> Arc<Self> {
        Arc::new(Self {
            phase: watch::Sender::new(Phase::Serving),
            staff: watch::Sender::new(Staff { all: workers, accepting: 0, ended: 0 }),
            calls: (0..workers).map(|_| AtomicU64::new(0)).collect(),
        })
    }

    /// Tells of each change of phase.
    #[must_use]
    pub fn subscribe(&self) -> watch::Receiver<Phase> {
        self.phase.subscribe()
    }

    /// The phase now.
    #[must_use]
    pub fn phase(&self) -> Phase {
        *self.phase.borrow()
    }

    fn enter(&self, phase: Phase) {
        self.phase.send_replace(phase);
    }

    /// The place of the worker with this number.
    #[must_use]
    pub fn post(self: &Arc<Self>, number: usize) -> Post {
        Post { lifecycle: Arc::clone(self), number, accepts: false }
    }

    /// Tells of each worker that begins to take connections, or ends.
    #[must_use]
    pub fn staff(&self) -> watch::Receiver<Staff> {
        self.staff.subscribe()
    }

    /// Waits until a worker has ended.
    pub async fn worker_ended(&self) {
        // The sender is ours, so it is never gone.
        drop(self.staff.subscribe().wait_for(|staff| staff.ended > 0).await);
    }

    /// Calls in flight over all workers, as of their last word.
    #[must_use]
    pub fn calls(&self) -> u64 {
        self.calls.iter().map(|cell| cell.load(Ordering::Relaxed)).sum()
    }

    fn workers_left(&self) -> usize {
        self.calls.len().saturating_sub(self.staff.borrow().ended)
    }
}

impl Post {
    /// From now on it takes connections.
    pub fn accepts(&mut self) {
        if !std::mem::replace(&mut self.accepts, true) {
            self.lifecycle.staff.send_modify(|staff| staff.accepting += 1);
        }
    }

    /// Says how many calls it has in flight.
    pub fn note_calls(&self, calls: u64) {
        if let Some(cell) = self.lifecycle.calls.get(self.number) {
            cell.store(calls, Ordering::Relaxed);
        }
    }
}

impl Drop for Post {
    fn drop(&mut self) {
        let accepted = usize::from(self.accepts);
        self.note_calls(0);
        self.lifecycle.staff.send_modify(|staff| {
            staff.accepting = staff.accepting.saturating_sub(accepted);
            staff.ended += 1;
        });
    }
}

/// Waits for the first signal, or until a part of the process is `lost` and says its name; then sees the process out. The log says how
/// many calls are left, and how many of them are `queued` for their turn.
/// Gives back `true` when it was told to end, and every call ended in time.
pub async fn until_drained(
    lifecycle: &Lifecycle,
    (settings, queued): (&Stopping, impl Fn() -> u64),
    mut signals: Signals,
    lost: impl Future<Output = &'static str>,
    unready: impl FnOnce(),
) -> bool {
    let first = either(signals.next(), lost).await;
    unready();
    lifecycle.enter(Phase::Leaving);
    match first {
        Ok(signal) => tracing::info!(signal, calls = lifecycle.calls(), queued = queued(), "stopping"),
        Err(lost) => {
            let (calls, queued) = (lifecycle.calls(), queued());
            tracing::error!(lost, calls, queued, "stopping: a part of the process has ended");
        }
    }
    if first != Ok(Signals::INTERRUPT) && !settings.drain_delay.is_zero() {
        let waited = either(tokio::time::sleep(settings.drain_delay), signals.next()).await;
        if let Err(second) = waited {
            return at_once((lifecycle, &queued), signals, second).await;
        }
    }
    lifecycle.enter(Phase::Closing);
    let timeout = settings.drain_timeout.min(if first.is_ok() { Duration::MAX } else { MOST_AFTER_LOSS });
    let ending = async {
        let all = workers_gone(lifecycle, &queued, timeout).await;
        if !all {
            tracing::warn!(left = lifecycle.calls(), queued = queued(), "drain timeout: the calls left are cut");
            lifecycle.enter(Phase::Cutting);
            workers_gone(lifecycle, &queued, CUTTING).await;
        }
        all
    };
    match either(ending, signals.next()).await {
        Ok(all) => all && first.is_ok(),
        Err(second) => at_once((lifecycle, &queued), signals, second).await,
    }
}

/// A second signal has come: the calls that are left are cut and told of, which takes a moment. A third one ends that, too.
async fn at_once(
    (lifecycle, queued): (&Lifecycle, &impl Fn() -> u64),
    mut signals: Signals,
    second: &'static str,
) -> bool {
    tracing::warn!(
        signal = second,
        left = lifecycle.calls(),
        queued = queued(),
        "stopping at once: the calls left are cut"
    );
    lifecycle.enter(Phase::Closing);
    lifecycle.enter(Phase::Cutting);
    let _ = either(workers_gone(lifecycle, queued, CUTTING), signals.next()).await;
    false
}

async fn workers_gone(lifecycle: &Lifecycle, queued: &impl Fn() -> u64, timeout: Duration) -> bool {
    let (began, mut reported) = (Instant::now(), Instant::now());
    while lifecycle.workers_left() > 0 {
        let now = Instant::now();
        if now.duration_since(began) >= timeout {
            return false;
        }
        if now.duration_since(reported) >= REPORT {
            reported = now;
            tracing::info!(left = lifecycle.calls(), queued = queued(), "waiting for calls to end");
        }
        tokio::time::sleep(LOOK).await;
    }
    true
}

/// The first future's output, unless the second is sooner.
async fn either<A, B>(first: impl Future<Output = A>, second: impl Future<Output = B>) -> Result<A, B> {
    tokio::select! {
        biased;
        done = first => Ok(done),
        other = second => Err(other),
    }
}

/// The signals that the process listens to. One that nobody listens to would end it.
#[derive(Debug)]
pub struct Signals {
    term: Signal,
    quit: Signal,
    int: Signal,
    harmless: [(Signal, &'static str); 3],
}

impl Signals {
    /// A person at a terminal: nobody has to hear of it first.
    const INTERRUPT: &'static str = "SIGINT";

    /// Listens from now on.
    ///
    /// # Errors
    /// The signals can not be listened to.
    pub fn new() -> std::io::Result<Self> {
        Ok(Self {
            term: signal(SignalKind::terminate())?,
            quit: signal(SignalKind::quit())?,
            int: signal(SignalKind::interrupt())?,
            harmless: [
                (signal(SignalKind::hangup())?, "SIGHUP"),
                (signal(SignalKind::user_defined1())?, "SIGUSR1"),
                (signal(SignalKind::user_defined2())?, "SIGUSR2"),
            ],
        })
    }

    /// The next one that ends the process. What other servers reload or open their logs anew by has nothing to do here:
    /// files are watched, and logs are the outputs.
    async fn next(&mut self) -> &'static str {
        let Self { term, quit, int, harmless: [hup, usr1, usr2] } = self;
        loop {
            let signal = tokio::select! {
                _ = term.recv() => return "SIGTERM",
                _ = quit.recv() => return "SIGQUIT",
                _ = int.recv() => return Self::INTERRUPT,
                _ = hup.0.recv() => hup.1,
                _ = usr1.0.recv() => usr1.1,
                _ = usr2.0.recv() => usr2.1,
            };
            tracing::debug!(signal, "nothing is done for this signal");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn all_serve_when_each_does_and_no_longer() {
        let lifecycle = Lifecycle::new(2);
        let staff = lifecycle.staff();
        let (mut one, mut other) = (lifecycle.post(0), lifecycle.post(1));
        assert!(!staff.borrow().all_accept());
        one.accepts();
        one.accepts();
        assert!(!staff.borrow().all_accept(), "half of the calls would be refused");
        other.accepts();
        assert!(staff.borrow().all_accept());
        drop(one);
        assert!(!staff.borrow().all_accept());
        assert_eq!(lifecycle.workers_left(), 1);
        lifecycle.worker_ended().await;
    }

    #[test]
    fn a_worker_that_panics_has_ended() {
        let lifecycle = Lifecycle::new(1);
        let post = lifecycle.post(0);
        let thread = std::thread::spawn(move || {
            let mut post = post;
            post.accepts();
            assert_eq!(post.number, 1, "on purpose");
        });
        assert!(thread.join().is_err());
        assert_eq!(lifecycle.workers_left(), 0);
        assert!(!lifecycle.staff().borrow().all_accept());
    }
}
