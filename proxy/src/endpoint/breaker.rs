//! A circuit: closed while all is well, open when it is not, half-open to find out. Time is passed in.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use sluicegate_config::CircuitBreaker;

use super::window::Window;

/// After this many times the longest open time without opening again, the next open time is the first one anew.
const GROWTH_ENDS: u32 = 2;

/// The outcome of a call, for the endpoint that had it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// It answered as it should.
    Success,
    /// It failed: connection, timeout, 5xx, a cut answer.
    Failure,
    /// It says nothing about the endpoint: the caller's own mistake, the caller left, the gateway's own fault.
    Neutral,
}

/// A circuit's state, for metrics and status.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum CircuitState {
    /// Calls pass.
    Closed,
    /// A few calls pass, to find out.
    HalfOpen,
    /// No call passes.
    Open,
}

/// The kind of pass that a call was given. A probe names the opening it probes: a late answer says nothing about the next one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Pass {
    Closed,
    Probe(u64),
    Forced,
}

/// A failure that was counted.
#[derive(Debug, Clone, Copy)]
pub(super) struct RecordedFailure {
    pass: Pass,
    at: Instant,
    /// The opening that it led to.
    opening: Option<u64>,
}

/// The state machine. While closed, a call that succeeds takes no lock.
#[derive(Debug)]
pub(super) struct Breaker {
    /// `false` while closed: then `trip` need not be asked.
    tripped: AtomicBool,
    /// Failures in a row, while closed.
    failures: AtomicU32,
    window: Window,
    trip: Mutex<Trip>,
}

#[derive(Debug)]
struct Trip {
    settings: CircuitBreaker,
    /// Until when it is open; `None`: closed. Past: half-open.
    open_until: Option<Instant>,
    /// The number of this opening.
    opening: u64,
    /// Openings in a row, for the growth of the open time.
    growth: u32,
    /// The time when it last opened.
    opened: Option<Instant>,
    /// Probes out, and probes that came back well.
    probes: u32,
    good: u32,
}

impl Breaker {
    pub(super) fn new(settings: CircuitBreaker, now: Instant) -> Self {
        let window = Window::new(settings.window.get(), now);
        let trip = Trip { settings, open_until: None, opening: 0, growth: 0, opened: None, probes: 0, good: 0 };
        Self { tripped: AtomicBool::new(false), failures: AtomicU32::new(0), window, trip: Mutex::new(trip) }
    }

    pub(super) fn configure(&self, settings: CircuitBreaker) {
        self.window.resize(settings.window.get());
        self.lock().settings = settings;
    }

    fn lock(&self) -> MutexGuard<'_, Trip> {
        self.trip.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes the right to make a call; a probe's is counted until it is recorded or given back.
    pub(super) fn try_pass(&self, now: Instant) -> Result<Pass, Instant> {
        if !self.tripped.load(Ordering::Acquire) {
            return Ok(Pass::Closed);
        }
        let mut trip = self.lock();
        let pass = trip.look(now)?;
        if pass != Pass::Closed {
            trip.probes += 1;
        }
        Ok(pass)
    }

    /// The answer that `try_pass` would give, without taking anything.
    pub(super) fn look(&self, now: Instant) -> Result<Pass, Instant> {
        if self.tripped.load(Ordering::Acquire) { self.lock().look(now) } else { Ok(Pass::Closed) }
    }

    pub(super) fn state(&self, now: Instant) -> CircuitState {
        if !self.tripped.load(Ordering::Acquire) {
            return CircuitState::Closed;
        }
        match self.lock().open_until {
            None => CircuitState::Closed,
            Some(until) if now < until => CircuitState::Open,
            Some(_) => CircuitState::HalfOpen,
        }
    }

    /// The number of times that it has opened.
    pub(super) fn opened(&self) -> u64 {
        self.lock().opening
    }

    /// A call that passed has ended without saying anything about the endpoint.
    pub(super) fn give_back(&self, pass: Pass) {
        if let Pass::Probe(opening) = pass {
            let mut trip = self.lock();
            if trip.opening == opening {
                trip.probes = trip.probes.saturating_sub(1);
            }
        }
    }

    pub(super) fn record(&self, pass: Pass, outcome: Outcome, now: Instant) {
        match (outcome, pass) {
            (Outcome::Neutral, pass) => self.give_back(pass),
            (Outcome::Success, Pass::Closed) => {
                self.window.count(false, now);
                if self.failures.load(Ordering::Relaxed) != 0 {
                    self.failures.store(0, Ordering::Relaxed);
                }
            }
            (Outcome::Failure, Pass::Closed) => self.closed_failure(now),
            (Outcome::Success, Pass::Probe(opening)) => self.probe_success(Some(opening)),
            (Outcome::Success, Pass::Forced) => self.probe_success(None),
            (Outcome::Failure, Pass::Probe(opening)) => self.probe_failure(opening, now),
            // It was open, and still has reason to be; its time is not made longer by calls that had no choice.
            (Outcome::Failure, Pass::Forced) => {}
        }
    }

    /// Counts a failure that may be taken back.
    pub(super) fn record_failure(&self, pass: Pass, now: Instant) -> RecordedFailure {
        let before = self.opened();
        self.record(pass, Outcome::Failure, now);
        let after = self.opened();
        RecordedFailure { pass, at: now, opening: (after != before).then_some(after) }
    }

    /// A failure said nothing about the endpoint: its count is taken back, and so is the opening that it led to.
    pub(super) fn take_back(&self, failure: RecordedFailure, now: Instant) {
        let RecordedFailure { pass, at, opening } = failure;
        if pass == Pass::Closed {
            self.window.unmark(at);
            let less = |failures: u32| Some(failures.saturating_sub(1));
            let _ = self.failures.fetch_update(Ordering::Relaxed, Ordering::Relaxed, less);
        }
        let mut trip = self.lock();
        if opening != Some(trip.opening) || trip.open_until.is_none() {
            return;
        }
        trip.growth = trip.growth.saturating_sub(1);
        if pass == Pass::Closed {
            trip.open_until = None;
            self.tripped.store(false, Ordering::Release);
        } else {
            // It was a probe: another one may go out at once.
            trip.open_until = Some(now);
        }
    }

    fn closed_failure(&self, now: Instant) {
        self.window.count(true, now);
        let in_a_row = self.failures.fetch_add(1, Ordering::Relaxed).saturating_add(1);
        let mut trip = self.lock();
        // A failure of a call that began before the circuit opened says nothing new.
        if trip.open_until.is_some() {
            return;
        }
        let settings = trip.settings;
        let consecutive = settings.consecutive_failures > 0 && in_a_row >= settings.consecutive_failures;
        let counts = self.window.counts(now);
        let share = settings.error_percent > 0
            && counts.total >= u64::from(settings.minimum_requests.max(1))
            && counts.marked * 100 >= counts.total * u64::from(settings.error_percent);
        if consecutive || share {
            trip.open(now);
            self.tripped.store(true, Ordering::Release);
        }
    }

    fn probe_success(&self, opening: Option<u64>) {
        let mut trip = self.lock();
        if trip.open_until.is_none() || opening.is_some_and(|opening| opening != trip.opening) {
            return;
        }
        if opening.is_some() {
            trip.probes = trip.probes.saturating_sub(1);
        }
        trip.good += 1;
        // As many good answers as probes are let out: one alone may have been luck.
        if trip.good >= trip.settings.half_open_requests.max(1) {
            trip.open_until = None;
            trip.probes = 0;
            trip.good = 0;
            self.window.clear();
            self.failures.store(0, Ordering::Relaxed);
            self.tripped.store(false, Ordering::Release);
        }
    }

    fn probe_failure(&self, opening: u64, now: Instant) {
        let mut trip = self.lock();
        if trip.open_until.is_some() && trip.opening == opening {
            trip.open(now);
        }
    }
}

impl Trip {
    fn look(&self, now: Instant) -> Result<Pass, Instant> {
        match self.open_until {
            None => Ok(Pass::Closed),
            Some(until) if now < until => Err(until),
            // All probes are out: ask again when the first may be back.
            Some(_) if self.probes >= self.settings.half_open_requests.max(1) => Err(now),
            Some(_) => Ok(Pass::Probe(self.opening)),
        }
    }

    fn open(&mut self, now: Instant) {
        let first = self.settings.open_for.get();
        let longest = self.settings.max_open_for.get().max(first);
        let quiet = self.opened.is_none_or(|opened| now.saturating_duration_since(opened) > longest * GROWTH_ENDS);
        self.growth = if quiet { 0 } else { self.growth.saturating_add(1) };
        let grown = first.checked_mul(2_u32.saturating_pow(self.growth)).map_or(longest, |grown| grown.min(longest));
        self.open_until = Some(now + grown.max(Duration::from_millis(1)));
        self.opened = Some(now);
        self.opening += 1;
        self.probes = 0;
        self.good = 0;
    }
}

#[cfg(test)]
#[path = "breaker_tests.rs"]
mod tests;
