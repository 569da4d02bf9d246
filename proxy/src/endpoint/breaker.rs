//! A circuit: closed while all is well, open when it is not, half-open to find out. Time is passed in.
//!
//! It remembers how often it has opened: with each opening it is open for twice as long, and less is needed to open it again. What it
//! remembers falls by one for each time that it has been closed for as long as it was open last.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use sluicegate_config::CircuitBreaker;

use super::window::Window;

/// After this many times the longest open time without opening again, nothing is remembered.
const MEMORY_ENDS: u32 = 2;
/// However often it has opened, so many failures are needed to open it, unless the settings say fewer.
const FEWEST: u32 = 2;
/// It is open for longer than it would be by up to this share, at random: proxies do not try together.
pub(super) const SPREAD: f64 = 0.1;

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
    /// The share by which its open times differ.
    spread: f64,
    trip: Mutex<Trip>,
}

#[derive(Debug)]
struct Trip {
    settings: CircuitBreaker,
    /// Until when it is open; `None`: closed. Past: half-open.
    open_until: Option<Instant>,
    /// The number of this opening.
    opening: u64,
    /// Openings that are remembered.
    level: u32,
    /// The time for which it was open last, without what chance added.
    length: Duration,
    /// The time when it last closed.
    closed: Option<Instant>,
    /// The time when it last opened.
    opened: Option<Instant>,
    /// Probes out, and probes that came back well.
    probes: u32,
    good: u32,
}

impl Breaker {
    pub(super) fn new(settings: CircuitBreaker, now: Instant) -> Self {
        let window = Window::new(settings.window.get(), now);
        let (length, level) = (Duration::ZERO, 0);
        let trip = Trip {
            settings,
            open_until: None,
            opening: 0,
            level,
            length,
            closed: None,
            opened: None,
            probes: 0,
            good: 0,
        };
        let (tripped, failures) = (AtomicBool::new(false), AtomicU32::new(0));
        Self { tripped, failures, window, spread: 0.0, trip: Mutex::new(trip) }
    }

    /// Lets its open times differ from those of other proxies by up to this share.
    pub(super) const fn spread(mut self, spread: f64) -> Self {
        self.spread = spread;
        self
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

    /// Failures in a row.
    pub(super) fn failures(&self) -> u32 {
        self.failures.load(Ordering::Relaxed)
    }

    /// True while it lets all calls pass.
    pub(super) fn is_closed(&self) -> bool {
        !self.tripped.load(Ordering::Acquire)
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
            (Outcome::Success, Pass::Probe(opening)) => self.probe_success(Some(opening), now),
            (Outcome::Success, Pass::Forced) => self.probe_success(None, now),
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
        trip.level = trip.level.saturating_sub(1);
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
        let needed = |setting: u32| (setting >> trip.level_at(now).min(31)).max(setting.min(FEWEST));
        let consecutive = settings.consecutive_failures > 0 && in_a_row >= needed(settings.consecutive_failures);
        let counts = self.window.counts(now);
        let share = settings.error_percent > 0
            && counts.total >= u64::from(needed(settings.minimum_requests.max(1)))
            && counts.marked * 100 >= counts.total * u64::from(settings.error_percent);
        if consecutive || share {
            trip.open(now, self.spread);
            self.tripped.store(true, Ordering::Release);
        }
    }

    fn probe_success(&self, opening: Option<u64>, now: Instant) {
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
            trip.closed = Some(now);
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
            trip.open(now, self.spread);
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

    /// The openings that are remembered by now.
    fn level_at(&self, now: Instant) -> u32 {
        let Some(closed) = self.closed.filter(|_| self.open_until.is_none()) else { return self.level };
        let longest = self.settings.max_open_for.get().max(self.settings.open_for.get());
        if self.opened.is_some_and(|opened| now.saturating_duration_since(opened) > longest * MEMORY_ENDS) {
            return 0;
        }
        let length = self.length.as_millis().max(1);
        let fallen = now.saturating_duration_since(closed).as_millis() / length;
        self.level.saturating_sub(u32::try_from(fallen).unwrap_or(u32::MAX))
    }

    fn open(&mut self, now: Instant, spread: f64) {
        let first = self.settings.open_for.get();
        let longest = self.settings.max_open_for.get().max(first);
        let level = self.level_at(now);
        let grown = first.checked_mul(2_u32.saturating_pow(level)).map_or(longest, |grown| grown.min(longest));
        self.length = grown.max(Duration::from_millis(1));
        self.level = level.saturating_add(1);
        let more = if spread > 0.0 { self.length.mul_f64(spread * rand::random::<f64>()) } else { Duration::ZERO };
        self.open_until = Some(now + self.length + more);
        self.opened = Some(now);
        self.opening += 1;
        self.probes = 0;
        self.good = 0;
    }
}

#[cfg(test)]
#[path = "breaker_tests.rs"]
mod tests;
