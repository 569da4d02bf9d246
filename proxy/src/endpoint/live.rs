//! One endpoint's live state: asked for admission, told of outcomes, weighed by balancing.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use sluicegate_config::CircuitBreaker;

use crate::concurrency::CallPlace;

use super::breaker::{self, Breaker, CircuitState, Outcome, Pass, RecordedFailure};
use super::compressed::{Compressed, TakesCompressed};
use super::cooldown::Cooldowns;
use super::latency::Latencies;
use super::news::{EndpointName, News, NewsQueue, Subject};
use super::provider_key::{KeyInUse, LiveKey};
use super::scarce::Scarce;
use super::server_load::{ServerLoad, ToldLoad};

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
    cooldowns: Cooldowns,
    scarce: Scarce,
    /// Failures since the last answer that no caller's call provokes.
    own_failures: AtomicU32,
    /// Its name, and where news of it goes, if others want to know.
    voice: Option<(EndpointName, Arc<NewsQueue>)>,
    /// Stands for the credential that it is called with; 0: nobody has said.
    credential: AtomicU64,
    /// The time when it last gave an answer.
    answered: AtomicU64,
    in_flight: AtomicU32,
    /// The word of the model server there, of its load.
    told: ToldLoad,
    /// The most calls that this process may have there at once, as was found out; 0: nobody finds out.
    own_limit: AtomicU64,
    latencies: Latencies,
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
            cooldowns: Cooldowns::default(),
            scarce: Scarce::default(),
            own_failures: AtomicU32::new(0),
            voice: None,
            credential: AtomicU64::new(0),
            answered: AtomicU64::new(0),
            in_flight: AtomicU32::new(0),
            told: ToldLoad::default(),
            own_limit: AtomicU64::new(0),
            latencies: Latencies::default(),
        }
    }

    /// An endpoint of which others hear by this name.
    pub(super) fn heard_of(settings: CircuitBreaker, now: Instant, voice: (EndpointName, Arc<NewsQueue>)) -> Self {
        let breaker = Breaker::new(settings, now).spread(breaker::SPREAD);
        Self { breaker, voice: Some(voice), ..Self::new(settings, now) }
    }

    /// New settings of its circuit; what was learnt stays.
    pub fn configure(&self, settings: CircuitBreaker) {
        self.breaker.configure(settings);
    }

    /// Asks to make a call. A cooldown refuses nobody: it only weighs in balancing.
    pub fn try_admit(self: &Arc<Self>, now: Instant) -> Admission {
        match self.breaker.try_pass(now) {
            Ok(Pass::Closed) => Admission::Closed(self.permit(Pass::Closed, now)),
            Ok(pass) => Admission::HalfOpen(self.permit(pass, now)),
            Err(until) => Admission::Refused { until },
        }
    }

    /// Makes a call although the circuit may be open: when every endpoint of a pool is ejected, the least bad one
    /// is tried rather than nobody. Its outcome counts like a probe's.
    pub fn admit_anyway(self: &Arc<Self>, now: Instant) -> Permit {
        let pass = self.breaker.try_pass(now).unwrap_or(Pass::Forced);
        self.permit(pass, now)
    }

    fn permit(self: &Arc<Self>, pass: Pass, now: Instant) -> Permit {
        self.in_flight.fetch_add(1, Ordering::Relaxed);
        let goes_first = self.cooldowns.goes_first(self.since_epoch(now));
        Permit { endpoint: Arc::clone(self), pass: Some(pass), goes_first, key: None, places: Vec::new() }
    }

    /// A cooldown that the provider asked for, until then; a later end stays.
    pub fn cool_down(&self, until: Instant) {
        if self.cooldowns.request(self.since_epoch(until)) {
            self.tell(Subject::Cooldown, until);
        }
    }

    /// A cooldown that nobody asked for, until then: others go first, but nobody waits for its end.
    pub fn guess_cooldown(&self, until: Instant) {
        if self.cooldowns.guess(self.since_epoch(until)) {
            self.tell(Subject::Limited, until);
        }
    }

    /// Checks beside the calls find it ill, until then or the next word.
    pub fn check_failed(&self, until: Instant) {
        self.cooldowns.check_failed(self.since_epoch(until));
    }

    /// Checks find it well: what they have said before is over, and what its calls have said is not.
    pub fn check_passed(&self) {
        self.cooldowns.check_passed();
    }

    /// The model server there tells of its load, which counts until then.
    pub fn told_load(&self, load: ServerLoad, until: Instant) {
        self.told.note(load, self.since_epoch(until));
    }

    /// The load that the model server there has told of lately.
    #[must_use]
    pub fn server_load(&self, now: Instant) -> Option<ServerLoad> {
        self.told.at(self.since_epoch(now))
    }

    /// It refused the gateway's credential. After some in a row it gets a cooldown.
    pub fn credential_refused(&self, now: Instant) {
        let until = now + REFUSED;
        if self.cooldowns.refused() && self.cooldowns.guess(self.since_epoch(until)) {
            self.tell(Subject::Credential, until);
        }
    }

    /// Its failure was no caller's doing. If its circuit is open, and most of what opened it was of that kind, others hear of it.
    pub fn failed_by_itself(&self, now: Instant) {
        let own = self.own_failures.fetch_add(1, Ordering::Relaxed).saturating_add(1);
        if let Err(until) = self.breaker.look(now)
            && u64::from(own) * 2 >= u64::from(self.breaker.failures())
            && until > now
        {
            self.tell(Subject::Circuit, until);
        }
    }

    /// Nearly all is used up that it lets the gateway have of a model, by its number: until then others go first for it.
    pub fn nearly_used_up(&self, model: u64, until: Instant, now: Instant) {
        if self.scarce.note((model, self.since_epoch(until)), self.since_epoch(now)) {
            self.tell(Subject::Scarce(model), until);
        }
    }

    /// Its health for calls for one model, by its number.
    #[must_use]
    pub fn health_for(&self, model: impl Fn() -> u64, now: Instant) -> Health {
        let scarce = || self.scarce.of(model, self.since_epoch(now)).map(|until| self.at(until));
        match self.health(now) {
            Health::Healthy => scarce().map_or(Health::Healthy, Health::CoolingDown),
            health => health,
        }
    }

    /// The number of times that it had nearly used up what it lets the gateway have of a model.
    #[must_use]
    pub fn times_nearly_used_up(&self) -> u64 {
        self.scarce.times()
    }

    /// The most calls that this process may have there at once, where that is found out.
    #[must_use]
    pub fn own_limit(&self) -> Option<u64> {
        Some(self.own_limit.load(Ordering::Relaxed)).filter(|limit| *limit > 0)
    }

    /// That is not found out any longer.
    pub fn has_no_own_limit(&self) {
        self.own_limit.store(0, Ordering::Relaxed);
    }

    fn tell(&self, subject: Subject, until: Instant) {
        if let Some((name, outbox)) = &self.voice {
            outbox.put(News { name: *name, subject, until });
        }
    }

    /// Hears what another proxy has found out: what holds until then; `None`: it holds no longer. Nobody's word but its own calls'
    /// opens its circuit.
    pub fn hear(&self, subject: Subject, until: Option<Instant>, now: Instant) {
        let end = until.map(|until| self.since_epoch(until));
        match (subject, end) {
            (Subject::Cooldown, Some(until)) => _ = self.cooldowns.request(until),
            (Subject::Limited, Some(until)) => _ = self.cooldowns.guess(until),
            (Subject::Circuit, until) => self.cooldowns.hear_circuit(until),
            (Subject::Credential, Some(until)) => self.cooldowns.hear_refused(until),
            (Subject::Credential, None) => _ = self.cooldowns.forget_refusals(),
            (Subject::Scarce(model), Some(until)) => _ = self.scarce.note((model, until), self.since_epoch(now)),
            (Subject::Cooldown | Subject::Limited | Subject::Scarce(_), None) => {}
        }
    }

    /// True if it refuses the gateway's credential, and has given no answer since.
    #[must_use]
    pub fn refuses_credential(&self) -> bool {
        self.cooldowns.refuses()
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
        if self.cooldowns.forget_refusals() {
            self.tell(Subject::Credential, self.epoch);
        }
    }

    /// The end of the cooldown that it asked for, if that is still to come.
    #[must_use]
    pub fn cooldown_until(&self, now: Instant) -> Option<Instant> {
        self.cooldowns.requested(self.since_epoch(now)).map(|until| self.at(until))
    }

    /// The end of its guessed cooldown, if that is still to come.
    #[must_use]
    pub fn guessed_cooldown_until(&self, now: Instant) -> Option<Instant> {
        self.cooldowns.guessed(self.since_epoch(now)).map(|until| self.at(until))
    }

    fn at(&self, since_epoch: u64) -> Instant {
        self.epoch + Duration::from_millis(since_epoch)
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
        if self.own_failures.load(Ordering::Relaxed) != 0 {
            self.own_failures.store(0, Ordering::Relaxed);
        }
        if self.cooldowns.has_refused() {
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
        match (self.breaker.look(now), self.cooldowns.end(self.since_epoch(now))) {
            (Err(until), _) => Health::Ejected(until),
            (Ok(_), Some(until)) => Health::CoolingDown(self.at(until)),
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
    /// True if it goes first after a cooldown, and its word is waited for.
    goes_first: bool,
    /// The key that it is sent with, where its provider has several.
    key: Option<KeyInUse>,
    /// Its places under the limits of the provider and the endpoint.
    places: Vec<CallPlace>,
}

impl Permit {
    /// It has these places, and keeps them to the answer's end.
    pub(crate) fn has_places(&mut self, places: Vec<CallPlace>) {
        self.places.extend(places);
    }

    /// It gives its places back, and has to wait for them.
    #[must_use]
    pub(crate) fn without_places(mut self) -> Self {
        self.places.clear();
        self
    }

    /// It is sent with this key.
    pub(crate) fn has_key(&mut self, key: KeyInUse) {
        self.key = Some(key);
    }

    /// The key that it is sent with, where its provider has several.
    #[must_use]
    pub fn key(&self) -> Option<&Arc<LiveKey>> {
        self.key.as_ref().map(KeyInUse::key)
    }

    /// The place of that key among its provider's.
    #[must_use]
    pub fn key_index(&self) -> Option<usize> {
        self.key.as_ref().map(KeyInUse::index)
    }

    /// The end of the cooldown that was asked for, of its endpoint or of its key.
    #[must_use]
    pub fn cooldown_until(&self, now: Instant) -> Option<Instant> {
        let of_key = self.key().and_then(|key| key.cooldown_until(now));
        self.endpoint.cooldown_until(now).max(of_key)
    }

    /// True if its endpoint or its key has any cooldown.
    #[must_use]
    pub fn cools_down(&self, now: Instant) -> bool {
        let of_key = self.key().is_some_and(|key| key.rests_until(now).is_some());
        of_key || self.endpoint.cooldown_until(now).is_some() || self.endpoint.guessed_cooldown_until(now).is_some()
    }

    /// Tells how the call went; the first word counts. The call stays in flight until the permit is dropped, so an
    /// answer may be judged at its first token and held to its last.
    pub fn outcome(&mut self, outcome: Outcome, now: Instant) {
        if let Some(pass) = self.pass.take() {
            if outcome == Outcome::Success {
                self.endpoint.answers(now);
                self.key().iter().for_each(|key| key.answers());
            }
            self.comes_back(outcome == Outcome::Success);
            let was_closed = self.endpoint.breaker.is_closed();
            self.endpoint.breaker.record(pass, outcome, now);
            if !was_closed && self.endpoint.breaker.is_closed() {
                self.endpoint.tell(Subject::Circuit, self.endpoint.epoch);
            }
        }
    }

    /// Its answer has begun after so long; a stream's first token, or a whole answer.
    pub fn begins(&self, is_stream: bool, waited: Duration, now: Instant) {
        self.learns(|place| place.answered(is_stream, waited, now));
    }

    /// Its endpoint has said that it has too much.
    pub fn too_much(&self, now: Instant) {
        self.learns(|place| place.refused(now));
    }

    fn learns(&self, tell: impl Fn(&CallPlace) -> Option<u64>) {
        let limit = self.places.iter().filter_map(tell).min();
        limit.into_iter().for_each(|limit| self.endpoint.own_limit.store(limit, Ordering::Relaxed));
    }

    fn comes_back(&mut self, is_well: bool) {
        if std::mem::take(&mut self.goes_first) {
            self.endpoint.cooldowns.came_back(is_well);
        }
    }

    /// Tells of a failure that may turn out to say nothing about the endpoint. `None`: how the call went has been told.
    pub fn fail(&mut self, now: Instant) -> Option<CountedFailure> {
        let pass = self.pass.take()?;
        self.comes_back(false);
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
        self.comes_back(false);
        if let Some(pass) = self.pass.take() {
            self.endpoint.breaker.give_back(pass);
        }
        self.endpoint.in_flight.fetch_sub(1, Ordering::Relaxed);
    }
}
