//! A call's way through the several keys of a provider: which one it is sent with, and which are next when that is limited or refused.

use std::sync::Arc;
use std::time::Instant;

use sluicegate_config::Strategy;

use crate::account::AttemptEnd;
use crate::balance::{self, Candidate, Measure, Picker, Tried};
use crate::concurrency::CallPlace;
use crate::endpoint::{Health, LiveKey, Permit};
use crate::state::{Pool, PreparedKey, Provider};

use super::affinity::ConversationSeat;
use super::failure::Failure;
use super::inbound::InboundCall;
use super::open_attempt::OpenAttempt;
use super::places;
use super::retry_policy::{Cooldown, RetryDecision};

/// The keys that a call was sent with, of providers that have several.
#[derive(Default)]
pub(super) struct KeyTurns {
    /// Places of providers, and of those of their keys that did not get an answer.
    had: Vec<(usize, Tried)>,
    /// The keys that were refused, perhaps for what the call asks for.
    suspects: Vec<Arc<LiveKey>>,
    /// The provider that is to be asked with another key.
    again: Option<usize>,
}

impl KeyTurns {
    fn had(&self, at: usize) -> Tried {
        self.had.iter().find(|(provider, _)| *provider == at).map(|(_, had)| *had).unwrap_or_default()
    }

    /// An attempt at the provider in this place has failed: true if it was about its key, and there is another one.
    pub(super) fn failed(&mut self, (at, provider): (usize, &Provider), failure: &Failure, now: Instant) -> bool {
        let Some(about) = &failure.about_key else { return false };
        let Some(key) = provider.keys.iter().position(|key| Arc::ptr_eq(&key.live, &about.key)) else { return false };
        if about.is_refused {
            self.suspects.push(Arc::clone(&about.key));
        }
        self.used_up((at, provider), key, now)
    }

    /// A key of the provider in this place is not to be asked with: true if there is another one.
    pub(super) fn used_up(&mut self, (at, provider): (usize, &Provider), key: usize, now: Instant) -> bool {
        match self.had.iter_mut().find(|(provider, _)| *provider == at) {
            Some((_, had)) => had.add(key),
            None => {
                let mut had = Tried::default();
                had.add(key);
                self.had.push((at, had));
            }
        }
        let is_left = self.is_left(at, provider, now);
        self.again = is_left.then_some(at);
        is_left
    }

    /// True if it was sent with none.
    pub(super) const fn is_empty(&self) -> bool {
        self.had.is_empty()
    }

    /// True if it has a key that the call was not sent with, and that does not rest.
    fn is_left(&self, at: usize, provider: &Provider, now: Instant) -> bool {
        let had = self.had(at);
        let is_left = |(index, key): (usize, &PreparedKey)| !had.has(index) && key.rests_until(now).is_none();
        provider.keys.iter().enumerate().any(is_left)
    }

    /// The provider that is to be asked with another key.
    pub(super) const fn take_again(&mut self) -> Option<usize> {
        self.again.take()
    }

    /// The provider gave an answer: its keys that were refused before were refused for themselves.
    pub(super) fn answered(&mut self, provider: &Provider, now: Instant) {
        for suspect in self.suspects.drain(..) {
            if suspect.rest(now) {
                tell_refused(provider, &suspect);
            }
        }
    }
}

/// The log tells of one of a provider's keys that is refused.
fn tell_refused(provider: &Provider, key: &Arc<LiveKey>) {
    if let Some(key) = provider.keys.iter().find(|known| Arc::ptr_eq(&known.live, key)) {
        let (provider, key) = (&provider.name, &key.name);
        tracing::warn!(provider, %key, "a provider refuses one of its keys: the others are used, and it is tried again later");
    }
}

/// The key that an attempt was sent with rests for what its decision says of a key, its endpoint for all else.
pub(super) fn rest((provider, open): (&Provider, &OpenAttempt), decision: RetryDecision, now: Instant) {
    let is_limited = decision.end == AttemptEnd::RateLimited;
    let endpoint = open.endpoint();
    match (decision.cooldown, open.key()) {
        (Cooldown::None, _) => {}
        (Cooldown::Requested(pause), Some(key)) if is_limited => key.cool_down(now + pause),
        (Cooldown::Guessed(pause), Some(key)) if is_limited => key.guess_cooldown(now + pause),
        (Cooldown::CredentialRefused, Some(key)) => {
            if key.refuse(now) {
                tell_refused(provider, key);
            }
        }
        (Cooldown::Requested(pause), _) => endpoint.cool_down(now + pause),
        (Cooldown::Guessed(pause), _) => endpoint.guess_cooldown(now + pause),
        (Cooldown::CredentialRefused, None) => {
            let was_refused = endpoint.refuses_credential();
            endpoint.credential_refused(now);
            if !was_refused && endpoint.refuses_credential() {
                let (provider, endpoint) = (&provider.name, &provider.address);
                tracing::warn!(provider, %endpoint, "a provider refuses its key: others go first, and it is tried again later");
            }
        }
    }
}

/// Chooses the key that an attempt uses, and takes what places it has free.
///
/// # Errors
/// No key has a place free: the permit is with one that has to be waited for, of those that refuse at once where no other is left.
pub(super) fn choose(
    call: &InboundCall,
    (pool, seat): (&Pool, Option<&ConversationSeat>),
    (turns, at, provider): (&KeyTurns, usize, &Provider),
    mut permit: Permit,
    now: Instant,
) -> Result<Permit, Permit> {
    let candidates: Vec<Candidate> = provider.keys.iter().map(|key| candidate(key, now)).collect();
    let mut but = turns.had(at);
    if (0..candidates.len()).all(|index| but.has(index)) {
        but = Tried::default();
    }
    let mut first: Option<(usize, bool)> = None;
    for _ in 0..candidates.len() {
        let Some(index) = pick(call, (pool, seat), &candidates, but) else { break };
        let Some(key) = provider.keys.get(index) else { break };
        // One that rests is no better than a place to wait for.
        if first.is_some() && key.rests_until(now).is_some() {
            break;
        }
        let Some(gate) = &key.gate else { return Ok(with(permit, provider, index, None)) };
        if let Some(place) = places::try_place(call, gate) {
            return Ok(with(permit, provider, index, Some(place)));
        }
        let waits = places::lets_wait(call, gate);
        if first.is_none_or(|(_, before)| waits && !before) {
            first = Some((index, waits));
        }
        but.add(index);
    }
    if let Some((index, _)) = first {
        permit = with(permit, provider, index, None);
    }
    Err(permit)
}

fn with(mut permit: Permit, provider: &Provider, index: usize, place: Option<CallPlace>) -> Permit {
    if let Some(key) = provider.keys.get(index) {
        permit.has_key(key.live.take(index));
        permit.has_places(place.into_iter().collect());
    }
    permit
}

/// Keys are picked as endpoints are: the one of the conversation, else the one that fewer calls use, or whose turn it is.
fn pick(
    call: &InboundCall,
    (pool, seat): (&Pool, Option<&ConversationSeat>),
    candidates: &[Candidate],
    but: Tried,
) -> Option<usize> {
    let strategy = match pool.strategy {
        Strategy::RoundRobin => Strategy::RoundRobin,
        _ => Strategy::LeastRequest,
    };
    let mut rng = call.context.worker.rng.borrow_mut();
    let mut picker = Picker {
        strategy,
        max_open_percent: 100,
        conversation: seat.map(|seat| seat.conversation),
        cursor: &pool.state.key_cursor,
        rng: &mut rng,
    };
    balance::pick(&mut picker, candidates, but).map(|chosen| chosen.index)
}

fn candidate(key: &PreparedKey, now: Instant) -> Candidate {
    Candidate {
        serves: true,
        weight: 1,
        priority: 0,
        is_away: false,
        is_below: false,
        is_busy: false,
        health: key.rests_until(now).map_or(Health::Healthy, Health::CoolingDown),
        in_flight: key.live.in_flight(),
        told: 0,
        identity: key.identity,
        measure: Measure::None,
    }
}
