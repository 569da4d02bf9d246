//! The choice of the next attempt: which provider of a pool takes it, by balance, and when.

use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use rand::RngExt;
use sluicegate_config::Backoff;

use crate::balance::{self, Candidate, Chosen, Picker, Tried};
use crate::endpoint::{Admission, Health, Permit};
use crate::limit::Holds;
use crate::state::{Credential, Provider, RouteTarget};

use super::affinity::ConversationSeat;
use super::attempt_limits::Intended;
use super::failure::Failure;
use super::inbound::InboundCall;
use super::provider_keys::{self, KeyTurns};
use super::retry_policy::{Retry, SHORT_WAIT};
use super::room::Room;
use super::weigh::{Weighing, fit};
use super::{keys, places};

/// However many pools a rule has, and attempts they allow: no call is tried more often.
const MOST_ATTEMPTS: u32 = 10;

/// A call that waits for the end of a cooldown comes later by up to this share of it, at random.
const WAIT_SPREAD: f64 = 0.1;

/// A call's progress through its attempts.
pub(super) struct CallProgress {
    pub(super) attempts: u32,
    pub(super) last: Option<Failure>,
    pub(super) deadline: Instant,
}

impl CallProgress {
    /// Keeps what says most to the caller.
    pub(super) fn fail(&mut self, failure: Failure) {
        if self.last.as_ref().is_none_or(|last| failure.says_more_than(last)) {
            self.last = Some(failure);
        }
    }
}

/// One pool's part in a call, and who of it was tried.
pub(super) struct PoolRound<'a> {
    pub(super) target: RouteTarget<'a>,
    pub(super) tried: Tried,
    /// Providers that will say the same again.
    pub(super) hopeless: Tried,
    pub(super) made: u32,
    /// The number of providers that could not be told the call.
    pub(super) unsayable: usize,
    /// True if open circuits and short cooldowns keep nobody away.
    pub(super) last_resort: bool,
    /// The room that the call needs.
    pub(super) room: Room,
    /// The call's place in its conversation, where the pool keeps those together.
    pub(super) seat: Option<Rc<ConversationSeat>>,
    /// The keys that it was sent with, of providers that have several.
    pub(super) turns: KeyTurns,
}

impl<'a> PoolRound<'a> {
    /// A round of which nothing has been made.
    pub(super) fn new(target: RouteTarget<'a>) -> Self {
        let (tried, hopeless, room) = (Tried::default(), Tried::default(), Room::default());
        Self {
            target,
            tried,
            hopeless,
            made: 0,
            unsayable: 0,
            last_resort: false,
            room,
            seat: None,
            turns: KeyTurns::default(),
        }
    }
}

impl PoolRound<'_> {
    /// This provider, asked with one of its keys or its only one, has failed the call in a way that another may mend.
    pub(super) fn failed(&mut self, (at, provider): (usize, &Provider), failure: &Failure) {
        if failure.retry.is_uncounted() {
            self.made = self.made.saturating_sub(1);
        }
        if failure.retry == Retry::Mended {
            self.tried.remove(at);
        }
        let has_other_key = self.turns.failed((at, provider), failure, Instant::now());
        if failure.retry == Retry::OtherEndpoint && !has_other_key {
            self.hopeless.add(at);
        }
        if failure.retry == Retry::OtherAccount && !has_other_key {
            self.pass_over(at);
        }
    }

    /// This provider can not be told the call.
    pub(super) const fn pass_over(&mut self, at: usize) {
        self.tried.add(at);
        self.hopeless.add(at);
        self.unsayable += 1;
    }

    /// This provider, or this key of it, is used up.
    pub(super) fn used_up(&mut self, at: usize, key: Option<usize>) {
        let provider = self.target.pool.providers.get(at);
        let goes_on =
            |(key, provider): (usize, &Arc<Provider>)| self.turns.used_up((at, provider), key, Instant::now());
        if !key.zip(provider).is_some_and(goes_on) {
            self.pass_over(at);
        }
    }

    /// These are not asked.
    pub(super) fn leave_out(&mut self, broke: &[Arc<Provider>]) {
        let providers = self.target.pool.providers.iter().enumerate().filter(|_| !broke.is_empty());
        for (at, _) in providers.filter(|(_, provider)| broke.iter().any(|other| Arc::ptr_eq(other, provider))) {
            self.tried.add(at);
            self.hopeless.add(at);
        }
    }

    /// This provider refuses the call at once for want of a place: another one of the pool may let it wait. Where none does, the pool has
    /// had its chance.
    pub(super) fn is_full(&mut self, call: &InboundCall, at: usize) {
        let (target, room, now) = (self.target, self.room, Instant::now());
        let waits = |(index, other): (usize, &Arc<Provider>)| {
            let is_left =
                index != at && !self.tried.has(index) && other.weight > 0 && other.health(now) == Health::Healthy;
            is_left && fit(call, (target, room), other) && places::may_wait_at(call, other, None)
        };
        match target.pool.providers.iter().enumerate().any(waits) {
            true => self.pass_over(at),
            false => self.pass_over_all(),
        }
    }

    /// Nobody of it has a place for the call: it has had its chance.
    pub(super) fn pass_over_all(&mut self) {
        (0..self.target.pool.providers.len()).for_each(|at| self.pass_over(at));
        self.made = self.made.max(1);
    }
}

/// The next attempt: who takes it, and when.
pub(super) struct NextAttempt<'a> {
    pub(super) provider: &'a Arc<Provider>,
    pub(super) permit: Permit,
    pub(super) at: usize,
    /// The time to wait first.
    pub(super) wait: Duration,
    /// The time when it was chosen.
    pub(super) now: Instant,
    /// True if it has to wait for a place there.
    pub(super) queues: bool,
    /// The parts that it has taken of the rate limits of its provider and its key.
    pub(super) holds: Option<Holds>,
}

impl NextAttempt<'_> {
    /// True if there is neither a time nor a place to wait for.
    pub(super) const fn is_ready(&self) -> bool {
        self.wait.is_zero() && !self.queues
    }

    /// True if there is nothing to wait for, and nothing to take.
    pub(super) fn may_begin(&self, call: &InboundCall, target: RouteTarget<'_>) -> bool {
        let is_here = has_credential(call, (self.provider, self.permit.key_index()), self.now);
        self.is_ready() && is_here && !self.intended(target).is_limited()
    }

    /// The attempt that is to be made.
    pub(super) fn intended<'b>(&'b self, target: RouteTarget<'b>) -> Intended<'b> {
        Intended { target, provider: self.provider, key: self.permit.key_index() }
    }
}

/// True if what a provider is called with is here.
pub(super) fn has_credential(call: &InboundCall, (provider, key): (&Provider, Option<usize>), now: Instant) -> bool {
    match provider.credential_of(key) {
        Some(Credential::Token(token)) => token.is_good(now),
        Some(Credential::OfCaller(auth)) => keys::passed(call, auth).is_some(),
        Some(Credential::Header(..) | Credential::Signed(_)) | None => true,
    }
}

/// The next attempt in this pool; `None` when the pool has had its chance.
pub(super) fn next<'a>(
    call: &InboundCall,
    round: &mut PoolRound<'a>,
    progress: &CallProgress,
) -> Option<NextAttempt<'a>> {
    let (pool, now) = (&**round.target.pool, Instant::now());
    let over =
        round.made >= pool.retry.attempts.max(1) || progress.attempts >= MOST_ATTEMPTS || now >= progress.deadline;
    // Places beyond those that are remembered may be picked again and again.
    if over || round.unsayable > pool.providers.len() {
        return None;
    }
    // The move to a provider that has not failed this call is what keeps calls alive, so the first one is not bounded by
    // the budget; everything after it is, or retries would turn a slow pool into a dead one.
    let allowed = |first_move: bool| {
        progress.attempts == 0
            || (first_move && progress.attempts == 1)
            || pool.state.budget.try_retry(pool.retry.budget_percent, now)
    };
    if progress.attempts == 0 && round.tried.is_empty() && round.turns.is_empty() {
        pool.state.budget.call(now);
    }
    if let Some(again) = again(call, round, now)
        && allowed(true)
    {
        return Some(again);
    }
    if let Some((at, permit, queues)) = admit(call, round, round.tried, now) {
        let provider = pool.providers.get(at)?;
        // Everybody who is left cools down: the one whose cooldown ends first is waited for, if that is soon. If it is not,
        // a call that nobody has seen yet is sent all the same: only the provider can say better than we do.
        let cooldown = permit.cooldown_until(now).map_or(Duration::ZERO, |until| until - now);
        let wait = if cooldown > SHORT_WAIT && progress.attempts == 0 { Duration::ZERO } else { spread(cooldown) };
        let cools_down = permit.cools_down(now);
        let fits = wait <= SHORT_WAIT && now + wait < progress.deadline && (!cools_down || round.last_resort);
        return (fits && allowed(true)).then_some(NextAttempt { provider, permit, at, wait, now, queues, holds: None });
    }
    if round.made == 0 {
        return None;
    }
    let (at, permit, queues) = admit(call, round, round.hopeless, now)?;
    let provider = pool.providers.get(at)?;
    let cooldown = permit.cooldown_until(now).map_or(Duration::ZERO, |until| until - now);
    let wait = backoff(&pool.retry.backoff, round.made).max(spread(cooldown));
    let fits = wait <= SHORT_WAIT.max(pool.retry.backoff.max.get()) && now + wait < progress.deadline;
    (fits && allowed(false)).then_some(NextAttempt { provider, permit, at, wait, now, queues, holds: None })
}

/// Another key of the provider whose key has just failed the call, if it has one that is free: the pool's last attempt is kept for
/// another provider that is well.
fn again<'a>(call: &InboundCall, round: &mut PoolRound<'a>, now: Instant) -> Option<NextAttempt<'a>> {
    let pool = &**round.target.pool;
    let at = round.turns.take_again()?;
    let is_well = |(index, other): (usize, &Arc<Provider>)| {
        let is_free = index != at && !round.tried.has(index) && other.weight > 0;
        is_free && other.health(now) == Health::Healthy && fit(call, (round.target, round.room), other)
    };
    if round.made + 1 >= pool.retry.attempts && pool.providers.iter().enumerate().any(is_well) {
        return None;
    }
    let provider = pool.providers.get(at)?;
    let (Admission::Closed(permit) | Admission::HalfOpen(permit)) = provider.endpoint.try_admit(now) else {
        return None;
    };
    let permit = seat(call, round, (at, provider), (permit, now)).ok()?;
    Some(NextAttempt { provider, permit, at, wait: Duration::ZERO, now, queues: false, holds: None })
}

/// A provider without a place for a call.
struct FullProvider {
    at: usize,
    permit: Permit,
    /// True if the call may wait for one.
    lets_wait: bool,
}

impl FullProvider {
    /// The one of two to wait at: the first that lets the call wait. Who has no queue would refuse it at once.
    fn rather(before: Option<Self>, other: Self) -> Self {
        match before {
            Some(before) if before.lets_wait || !other.lets_wait => before,
            _ => other,
        }
    }
}

/// A provider of the pool that is not in `but`, and its permit; `true`: it has no place for the call, nor has any other one.
pub(super) fn admit(
    call: &InboundCall,
    round: &PoolRound<'_>,
    but: Tried,
    now: Instant,
) -> Option<(usize, Permit, bool)> {
    let (target, pool) = (round.target, &**round.target.pool);
    let (mut but, mut refused, mut full) = (but, None, None::<FullProvider>);
    // An endpoint may have been taken by another worker between the look and the admission: then the next one.
    for _ in 0..pool.providers.len() {
        let chosen = match pool.providers.as_slice() {
            // Nothing to weigh.
            [only] if but.has(0) || only.weight == 0 || !fit(call, (target, round.room), only) => break,
            [only] => Chosen { index: 0, forced: matches!(only.health(now), Health::Ejected(_)) },
            _ => match pick(call, round, but, now) {
                Some(chosen) => chosen,
                None => break,
            },
        };
        let provider = pool.providers.get(chosen.index)?;
        // Rather wait at one that is healthy than ask one that is not.
        if chosen.forced && (!round.last_resort || full.is_some()) {
            break;
        }
        let admitted = match chosen.forced {
            true => Some(provider.endpoint.admit_anyway(now)),
            false => match provider.endpoint.try_admit(now) {
                Admission::Closed(permit) | Admission::HalfOpen(permit) => Some(permit),
                Admission::Refused { .. } => None,
            },
        };
        match admitted.map(|permit| seat(call, round, (chosen.index, provider), (permit, now))) {
            Some(Ok(permit)) => return Some((chosen.index, permit, false)),
            Some(Err(permit)) => {
                let lets_wait = places::may_wait_at(call, provider, permit.key_index());
                full = Some(FullProvider::rather(full, FullProvider { at: chosen.index, permit, lets_wait }));
            }
            None => {
                refused.get_or_insert(chosen.index);
            }
        }
        but.add(chosen.index);
    }
    if let Some(FullProvider { at, permit, .. }) = full {
        return Some((at, permit, true));
    }
    let at = refused.filter(|_| round.last_resort)?;
    let provider = pool.providers.get(at)?;
    match seat(call, round, (at, provider), (provider.endpoint.admit_anyway(now), now)) {
        Ok(permit) => Some((at, permit, false)),
        Err(permit) => Some((at, permit, true)),
    }
}

/// The permit with the key and the places that the provider's limits have free; `Err`: one of them has none.
fn seat(
    call: &InboundCall,
    round: &PoolRound<'_>,
    (at, provider): (usize, &Provider),
    (permit, now): (Permit, Instant),
) -> Result<Permit, Permit> {
    let mut permit = match provider.keys.is_empty() {
        true => permit,
        false => {
            let pool = (&**round.target.pool, round.seat.as_deref());
            provider_keys::choose(call, pool, (&round.turns, at, provider), permit, now)?
        }
    };
    if provider.gates.is_empty() {
        return Ok(permit);
    }
    match places::free_at(call, provider) {
        Some(places) => {
            permit.has_places(places);
            Ok(permit)
        }
        None => Err(permit.without_places()),
    }
}

fn pick(call: &InboundCall, round: &PoolRound<'_>, but: Tried, now: Instant) -> Option<Chosen> {
    let pool = &**round.target.pool;
    let weighing = Weighing::new(call, (round.target, round.room), now);
    let candidates: Vec<Candidate> = pool.providers.iter().map(|provider| weighing.candidate(provider)).collect();
    let chosen = {
        let mut rng = call.context.worker.rng.borrow_mut();
        let mut picker = Picker {
            strategy: pool.strategy,
            max_open_percent: pool.max_open_percent,
            conversation: round.seat.as_ref().map(|seat| seat.conversation),
            cursor: &pool.state.cursor,
            rng: &mut rng,
        };
        balance::pick(&mut picker, &candidates, but)?
    };
    weighing.chose(pool.providers.get(chosen.index)?, candidates.get(chosen.index)?);
    if let Some(seat) = round.seat.as_ref().filter(|_| but.is_empty()) {
        let is_home = balance::home(seat.conversation, &candidates) == Some(chosen.index);
        let count = if is_home { &pool.state.kept } else { &pool.state.moved };
        count.fetch_add(1, Ordering::Relaxed);
    }
    Some(chosen)
}

/// The wait for the end of a cooldown: calls that wait for the same one do not come back together. One that is as long as may be waited
/// for stays so.
fn spread(cooldown: Duration) -> Duration {
    if cooldown.is_zero() {
        return cooldown;
    }
    let most = SHORT_WAIT.max(cooldown) - cooldown;
    cooldown + cooldown.mul_f64(WAIT_SPREAD * rand::rng().random::<f64>()).min(most)
}

/// The wait before an endpoint is asked again: exponential, with full jitter.
fn backoff(settings: &Backoff, made: u32) -> Duration {
    let growth = f64::from(settings.multiplier_milli) / 1_000.0;
    let bound = settings.initial.get().as_secs_f64() * growth.powi(i32::try_from(made.saturating_sub(1)).unwrap_or(16));
    let bound = bound.min(settings.max.get().as_secs_f64()).max(0.0);
    let wait = if settings.jitter { bound * rand::rng().random::<f64>() } else { bound };
    Duration::try_from_secs_f64(wait).unwrap_or(settings.max.get())
}

#[cfg(test)]
mod tests {
    use sluicegate_config::{CircuitBreaker, Millis};

    use super::*;
    use crate::endpoint::Endpoint;

    #[test]
    fn of_full_providers_the_first_that_lets_a_call_wait_is_waited_for() {
        let now = Instant::now();
        let circuit = CircuitBreaker {
            error_percent: 50,
            minimum_requests: 1,
            window: Millis(1),
            consecutive_failures: 5,
            open_for: Millis(1),
            max_open_for: Millis(1),
            half_open_requests: 1,
            max_open_percent: 100,
        };
        let chosen = |waits: &[bool]| {
            let all = waits.iter().enumerate().map(|(at, lets_wait)| {
                let permit = Arc::new(Endpoint::new(circuit, now)).admit_anyway(now);
                FullProvider { at, permit, lets_wait: *lets_wait }
            });
            all.fold(None, |before, other| Some(FullProvider::rather(before, other))).unwrap().at
        };
        for (waits, at) in [
            (&[false, true][..], 1),
            (&[true, false], 0),
            (&[true, true], 0),
            (&[false, false], 0),
            (&[false, true, true], 1),
        ] {
            assert_eq!(chosen(waits), at, "{waits:?}");
        }
    }

    #[test]
    fn backoff_grows_to_its_bound_and_no_further() {
        let mut settings = Backoff { initial: Millis(100), max: Millis(5_000), multiplier_milli: 2_000, jitter: false };
        assert_eq!(backoff(&settings, 1), Duration::from_millis(100));
        assert_eq!(backoff(&settings, 3), Duration::from_millis(400));
        assert_eq!(backoff(&settings, 60), Duration::from_secs(5));
        settings.jitter = true;
        for made in 1..50 {
            assert!(backoff(&settings, made) <= Duration::from_secs(5));
        }
    }
}
