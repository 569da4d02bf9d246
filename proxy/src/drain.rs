//! How a proxy stops without losing a call.
//!
//! `Serving → Leaving → Closing`: on SIGTERM readiness goes off and every answer says `connection: close`, while new
//! connections are still taken for the drain delay (load balancers need a moment to hear of it). Then what waits in
//! the backlog is taken, the sockets close, idle connections are told to go, and calls in flight have the drain
//! timeout to end. A second signal ends the process at once.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;

use crate::settings::Stopping;

/// How often the log says how many calls are left.
const REPORT: Duration = Duration::from_secs(5);
/// How often the counts are looked at.
const LOOK: Duration = Duration::from_millis(20);

/// How far the process is on its way out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Phase {
    /// Not at all.
    Serving,
    /// New connections are taken, but nobody is encouraged to stay.
    Leaving,
    /// No new connections; calls in flight end.
    Closing,
}

/// What all threads know of the process's end.
#[derive(Debug)]
pub struct Lifecycle {
    phase: watch::Sender<Phase>,
    workers: AtomicUsize,
    calls: Vec<AtomicU64>,
}

impl Lifecycle {
    /// Of a process with this many workers.
    #[must_use]
    pub fn new(workers: usize) -> Arc<Self> {
        Arc::new(Self {
            phase: watch::Sender::new(Phase::Serving),
            workers: AtomicUsize::new(workers),
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

    /// A worker says how many calls it has in flight.
    pub fn note_calls(&self, worker: usize, calls: u64) {
        if let Some(cell) = self.calls.get(worker) {
            cell.store(calls, Ordering::Relaxed);
        }
    }

    /// Calls in flight over all workers, as of their last word.
    #[must_use]
    pub fn calls(&self) -> u64 {
        self.calls.iter().map(|cell| cell.load(Ordering::Relaxed)).sum()
    }

    /// A worker has served its last connection.
    pub fn worker_done(&self) {
        self.workers.fetch_sub(1, Ordering::AcqRel);
    }

    fn workers_left(&self) -> usize {
        self.workers.load(Ordering::Acquire)
    }
}

/// Waits for the first signal, then sees the process out. Gives back `true` when every call ended in time.
///
/// # Errors
/// The signals can not be listened to.
pub async fn until_drained(lifecycle: &Lifecycle, settings: &Stopping, unready: impl FnOnce()) -> anyhow::Result<bool> {
    let mut signals = Signals::new()?;
    let first = signals.next().await;
    unready();
    lifecycle.enter(Phase::Leaving);
    tracing::info!(signal = first, calls = lifecycle.calls(), "stopping");
    if first == "SIGTERM" && !settings.drain_delay.is_zero() {
        let waited = either(tokio::time::sleep(settings.drain_delay), signals.next()).await;
        if waited.is_err() {
            return Ok(false);
        }
    }
    lifecycle.enter(Phase::Closing);
    match either(workers_gone(lifecycle, settings.drain_timeout), signals.next()).await {
        Ok(all) => Ok(all),
        Err(second) => {
            tracing::warn!(signal = second, left = lifecycle.calls(), "stopping at once");
            Ok(false)
        }
    }
}

async fn workers_gone(lifecycle: &Lifecycle, patience: Duration) -> bool {
    let (began, mut reported) = (Instant::now(), Instant::now());
    while lifecycle.workers_left() > 0 {
        let now = Instant::now();
        if now.duration_since(began) >= patience {
            tracing::warn!(left = lifecycle.calls(), "drain timeout: the calls left are cut");
            return false;
        }
        if now.duration_since(reported) >= REPORT {
            reported = now;
            tracing::info!(left = lifecycle.calls(), "waiting for calls to end");
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

struct Signals {
    term: Signal,
    int: Signal,
}

impl Signals {
    fn new() -> std::io::Result<Self> {
        Ok(Self { term: signal(SignalKind::terminate())?, int: signal(SignalKind::interrupt())? })
    }

    async fn next(&mut self) -> &'static str {
        tokio::select! {
            _ = self.term.recv() => "SIGTERM",
            _ = self.int.recv() => "SIGINT",
        }
    }
}
