//! One endpoint's live state: asked for admission, told of outcomes, weighed by balancing.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use sluicegate_config::CircuitBreaker;

use crate::concurrency::CallPlace;

use super::breaker::{Breaker, CircuitState, Outcome, Pass, RecordedFailure};
use super::compressed::{Compressed, TakesCompressed};
use super::latency::Latencies;

/// So many refused credentials in a row, and no answer between them, are the gateway's credential's fault; fewer may be
/// about what one caller asked for.
const REFUSALS: u32 = 3;
/// The cooldown of an endpoint that refuses the gateway's credential (or its money).
const REFUSED: Duration = Duration::from_secs(30);

/// An endpoint's answer to a call that wants to be made.
#[derive(Debug)]
pub enum Admission {
    /// It is healthy.
    Closed(Permit),
    /// It may be healthy again: this call probes it.
    HalfOpen(Permit),
    /// It is ejected until then (or, when all probes are out, until one of them ends).
    Refused {
        /// The time when its circuit may be tried again.
        until: Instant,
    },
}

/// An endpoint's health: what balancing looks at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Health {
    /// Calls pass.
    Healthy,
    /// Its circuit is half-open: a few calls pass to probe it.
    Probing,
    /// In a cooldown until then, asked for (`Retry-After`) or guessed: used only when nobody else can be.
    CoolingDown(Instant),
    /// Its circuit is open until then.
    Ejected(Instant),
}

/// Live state of one endpoint.
#[derive(Debug)]
pub struct Endpoint {
    epoch: Instant,
    breaker: Breaker,
    /// Milliseconds after `epoch`; 0: none.
    cooldown: AtomicU64,
    /// The same for a cooldown that nobody asked for: others go first, but nobody waits for its end.
    guessed: AtomicU64,
    /// Credentials refused in a row.
    refusals: AtomicU32,
    /// Stands for the credential that it is called with; 0: nobody has said.
    credential: AtomicU64,
    /// The time when it last gave an answer.
    answered: AtomicU64,
    in_flight: AtomicU32,
    latencies: Latencies,
    /// The end of what checks beside the calls have said; 0: nothing.
    checked: AtomicU64,
    compressed: Compressed,
}

impl Endpoint {
    /// An endpoint of which nothing is known yet.
    #[must_use]
    pub fn new(settings: CircuitBreaker, now: Instant) -> Self {
        let breaker = Breaker::new(settings, now);
        Self {
            epoch: now,
            breaker,
            compressed: Compressed::default(),
            cooldown: AtomicU64::new(0),
            guessed: AtomicU64::new(0),
            refusals: AtomicU32::new(0),
            credential: AtomicU64::new(0),
            answered: AtomicU64::new(0),
            in_flight: AtomicU32::new(0),
            latencies: Latencies::default(),
            checked: AtomicU64::new(0),
        }
    }

    /// New settings of its circuit; what was learnt stays.
    pub fn configure(&self, settings: CircuitBreaker) {
        self.breaker.configure(settings);
    }

    /// Asks to make a call. A cooldown refuses nobody: it only weighs in balancing.
    pub fn try_admit(self: &Arc<Self>, now: Instant) -> Admission {
        match self.breaker.try_pass(now) {
            Ok(Pass::Closed) => Admission::Closed(self.permit(Pass::Closed)),
            Ok(pass) => Admission::HalfOpen(self.permit(pass)),
            Err(until) => Admission::Refused { until },
        }
    }

    /// Makes a call although the circuit may be open: when every endpoint of a pool is ejected, the least bad one
    /// is tried rather than nobody. Its outcome counts like a probe's.
    pub fn admit_anyway(self: &Arc<Self>, now: Instant) -> Permit {
        let pass = self.breaker.try_pass(now).unwrap_or(Pass::Forced);
        self.permit(pass)
    }

    fn permit(self: &Arc<Self>, pass: Pass) -> Permit {
        self.in_flight.fetch_add(1, Ordering::Relaxed);
        Permit { endpoint: Arc::clone(self), pass: Some(pass), places: Vec::new() }
    }

    /// A cooldown that the provider asked for, until then; a later end stays.
    pub fn cool_down(&self, until: Instant) {
        self.cooldown.fetch_max(self.since_epoch(until), Ordering::Relaxed);
    }

    /// A cooldown that nobody asked for, until then: others go first, but nobody waits for its end.
    pub fn guess_cooldown(&self, until: Instant) {
        self.guessed.fetch_max(self.since_epoch(until), Ordering::Relaxed);
    }

    /// Checks beside the calls find it ill, until then or the next word.
    pub fn check_failed(&self, until: Instant) {
        let until = self.since_epoch(until);
        self.checked.store(until, Ordering::Relaxed);
        self.guessed.fetch_max(until, Ordering::Relaxed);
    }

    /// Checks find it well: what they have said before is over, and what its calls have said is not.
    pub fn check_passed(&self) {
        let until = self.checked.swap(0, Ordering::Relaxed);
        let _ = self.guessed.compare_exchange(until, 0, Ordering::Relaxed, Ordering::Relaxed);
    }

    /// It refused the gateway's credential. After some in a row it gets a cooldown.
    pub fn credential_refused(&self, now: Instant) {
        if self.refusals.fetch_add(1, Ordering::Relaxed).saturating_add(1) >= REFUSALS {
            self.guess_cooldown(now + REFUSED);
        }
    }

    /// It is called with the credential that this number stands for.
    pub fn called_with(&self, credential: u64) {
        let before = self.credential.swap(credential, Ordering::Relaxed);
        if before != 0 && before != credential {
            self.credential_is_new();
        }
    }

    /// It is called with another credential from now on: what was said of the one before says nothing.
    pub fn credential_is_new(&self) {
        if self.refusals.swap(0, Ordering::Relaxed) >= REFUSALS {
            self.guessed.store(0, Ordering::Relaxed);
        }
    }

    /// The end of the cooldown that it asked for, if that is still to come.
    #[must_use]
    pub fn cooldown_until(&self, now: Instant) -> Option<Instant> {
        self.still(&self.cooldown, now)
    }

    /// The end of its guessed cooldown, if that is still to come.
    #[must_use]
    pub fn guessed_cooldown_until(&self, now: Instant) -> Option<Instant> {
        self.still(&self.guessed, now)
    }

    fn still(&self, until: &AtomicU64, now: Instant) -> Option<Instant> {
        let until = until.load(Ordering::Relaxed);
        if until == 0 {
            return None;
        }
        let until = self.epoch + Duration::from_millis(until);
        (until > now).then_some(until)
    }

    /// True if it has given anybody an answer since then.
    #[must_use]
    pub fn has_answered_since(&self, then: Instant) -> bool {
        self.answered.load(Ordering::Relaxed) > self.since_epoch(then)
    }

    fn answers(&self, now: Instant) {
        let now = self.since_epoch(now);
        // Most calls end in the same millisecond as another one: what is shared is written seldom.
        if self.answered.load(Ordering::Relaxed) < now {
            self.answered.store(now, Ordering::Relaxed);
        }
        if self.refusals.load(Ordering::Relaxed) != 0 {
            self.credential_is_new();
        }
    }

    /// A failure that was held to be the caller's was its own all the same.
    pub fn count_failure(&self, now: Instant) {
        self.breaker.record(Pass::Closed, Outcome::Failure, now);
    }

    /// Calls it is working on, over all workers: until their answers' ends.
    #[must_use]
    pub fn in_flight(&self) -> u32 {
        self.in_flight.load(Ordering::Relaxed)
    }

    /// Its health. An open circuit weighs more than a cooldown.
    #[must_use]
    pub fn health(&self, now: Instant) -> Health {
        match (self.breaker.look(now), self.cooldown_until(now).max(self.guessed_cooldown_until(now))) {
            (Err(until), _) => Health::Ejected(until),
            (Ok(_), Some(until)) => Health::CoolingDown(until),
            (Ok(Pass::Closed), None) => Health::Healthy,
            (Ok(_), None) => Health::Probing,
        }
    }

    /// Its circuit, for metrics and status.
    #[must_use]
    pub fn circuit(&self, now: Instant) -> CircuitState {
        self.breaker.state(now)
    }

    /// The number of times that its circuit has opened, since the endpoint is known.
    #[must_use]
    pub fn circuit_opened(&self) -> u64 {
        self.breaker.opened()
    }

    pub(super) const fn latencies(&self) -> &Latencies {
        &self.latencies
    }

    /// Microseconds since its epoch.
    pub(super) fn micros(&self, then: Instant) -> u64 {
        u64::try_from(then.saturating_duration_since(self.epoch).as_micros()).unwrap_or(u64::MAX)
    }

    /// The knowledge whether it reads compressed requests.
    #[must_use]
    pub fn takes_compressed(&self, now: Instant) -> TakesCompressed {
        self.compressed.at(self.since_epoch(now))
    }

    /// It has answered a compressed request.
    pub fn took_compressed(&self) {
        self.compressed.took();
    }

    /// It has refused one that it answered uncompressed: true if that is news.
    #[must_use]
    pub fn refused_compressed(&self, now: Instant) -> bool {
        self.compressed.refused(self.since_epoch(now))
    }

    fn since_epoch(&self, then: Instant) -> u64 {
        let since = then.saturating_duration_since(self.epoch);
        u64::try_from(since.as_millis()).unwrap_or(u64::MAX / 2).min(u64::MAX / 2)
    }
}

/// A call at an endpoint, from its admission to its answer's end. Dropped without an outcome, it was cancelled and
/// counts neither way.
#[derive(Debug)]
pub struct Permit {
    endpoint: Arc<Endpoint>,
    /// `None` once the outcome has been told.
    pass: Option<Pass>,
    /// Its places under the limits of the provider and the endpoint.
    places: Vec<CallPlace>,
}

impl Permit {
    /// It has these places, and keeps them to the answer's end.
    pub(crate) fn has_places(&mut self, places: Vec<CallPlace>) {
        self.places.extend(places);
    }

    /// Tells how the call went; the first word counts. The call stays in flight until the permit is dropped, so an
    /// answer may be judged at its first token and held to its last.
    pub fn outcome(&mut self, outcome: Outcome, now: Instant) {
        if let Some(pass) = self.pass.take() {
            if outcome == Outcome::Success {
                self.endpoint.answers(now);
            }
            self.endpoint.breaker.record(pass, outcome, now);
        }
    }

    /// Tells of a failure that may turn out to say nothing about the endpoint. `None`: how the call went has been told.
    pub fn fail(&mut self, now: Instant) -> Option<CountedFailure> {
        let pass = self.pass.take()?;
        let recorded = self.endpoint.breaker.record_failure(pass, now);
        Some(CountedFailure { endpoint: Arc::clone(&self.endpoint), recorded })
    }

    /// The endpoint it is for.
    #[must_use]
    pub fn endpoint(&self) -> &Arc<Endpoint> {
        &self.endpoint
    }
}

/// A failure that was counted against an endpoint.
#[derive(Debug)]
pub struct CountedFailure {
    endpoint: Arc<Endpoint>,
    recorded: RecordedFailure,
}

impl CountedFailure {
    /// It said nothing about the endpoint.
    pub fn take_back(self, now: Instant) {
        self.endpoint.breaker.take_back(self.recorded, now);
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        if let Some(pass) = self.pass.take() {
            self.endpoint.breaker.give_back(pass);
        }
        self.endpoint.in_flight.fetch_sub(1, Ordering::Relaxed);
    }
}
