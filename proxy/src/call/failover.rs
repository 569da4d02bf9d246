//! The only loop: pools in the rule's order, providers of a pool by balance, until one answers.
//!
//! The first failure moves the call to the next provider at once. The same provider is asked again only after a
//! backoff, when nobody else is left. What fails before a stream's first token is saved here, unseen by the caller.

use std::cell::RefCell;
use std::future::Future;
use std::pin::pin;
use std::rc::Rc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use futures_util::future::{Either, select};
use rand::RngExt;
use sluicegate_config::Backoff;
use sluicegate_dialects::hub::ErrorKind;

use crate::account::Operation;
use crate::balance::{self, Candidate, Chosen, Picker, Tried};
use crate::cache::Lead;
use crate::endpoint::{Admission, Health, Permit};
use crate::errors::Problem;
use crate::state::{Credential, Provider, RouteTarget, Rule, TargetRef};

use super::affinity::ConversationSeat;
use super::attempt::{self, Attempt};
use super::exchange::Exchange;
use super::failure::Failure;
use super::fallback::Stage;
use super::hedge::Hedging;
use super::inbound::InboundCall;
use super::keys;
use super::outgoing::Outgoing;
use super::retry_policy::{Retry, SHORT_WAIT};
use super::room::Room;
use super::suspects::Suspects;
use super::weigh::{Weighing, fit};
use super::{affinity, count, outgoing, places, plan, stored};

/// However many pools a rule has, and attempts they allow: no call is tried more often.
const MOST_ATTEMPTS: u32 = 10;

/// A call's progress through its attempts.
struct CallProgress {
    attempts: u32,
    last: Option<Failure>,
    deadline: Instant,
}

/// One pool's part in a call, and who of it was tried.
struct PoolRound<'a> {
    target: RouteTarget<'a>,
    tried: Tried,
    /// Providers that will say the same again.
    hopeless: Tried,
    made: u32,
    /// The number of providers that could not be told the call.
    unsayable: usize,
    /// True if open circuits and short cooldowns keep nobody away.
    last_resort: bool,
    /// The room that the call needs.
    room: Room,
    /// The call's place in its conversation, where the pool keeps those together.
    seat: Option<Rc<ConversationSeat>>,
}

impl<'a> PoolRound<'a> {
    fn new(target: RouteTarget<'a>) -> Self {
        let (tried, hopeless, room) = (Tried::default(), Tried::default(), Room::default());
        Self { target, tried, hopeless, made: 0, unsayable: 0, last_resort: false, room, seat: None }
    }
}

impl PoolRound<'_> {
    /// This provider can not be told the call.
    const fn pass_over(&mut self, at: usize) {
        self.tried.add(at);
        self.hopeless.add(at);
        self.unsayable += 1;
    }

    /// Nobody of it has a place for the call: it has had its chance.
    fn pass_over_all(&mut self) {
        (0..self.target.pool.providers.len()).for_each(|at| self.pass_over(at));
        self.made = self.made.max(1);
    }
}

/// The rounds of a call, in their order. Most calls have one: nothing is allocated for it.
struct Rounds<'a> {
    first: Option<PoolRound<'a>>,
    others: Vec<PoolRound<'a>>,
}

impl<'a> Rounds<'a> {
    fn new(targets: impl Iterator<Item = RouteTarget<'a>>) -> Self {
        let mut rounds = targets.map(PoolRound::new);
        Self { first: rounds.next(), others: rounds.collect() }
    }

    fn len(&self) -> usize {
        self.others.len() + usize::from(self.first.is_some())
    }

    fn targets(&self) -> impl Iterator<Item = RouteTarget<'a>> + Clone {
        self.first.iter().chain(&self.others).map(|round| round.target)
    }

    fn get_mut(&mut self, at: usize) -> Option<&mut PoolRound<'a>> {
        match at.checked_sub(1) {
            None => self.first.as_mut(),
            Some(at) => self.others.get_mut(at),
        }
    }
}

/// The next attempt: who takes it, and when.
struct NextAttempt<'a> {
    provider: &'a std::sync::Arc<Provider>,
    permit: Permit,
    at: usize,
    /// The time to wait first.
    wait: Duration,
    /// The time when it was chosen.
    now: Instant,
    /// True if it has to wait for a place there.
    queues: bool,
}

impl NextAttempt<'_> {
    /// True if there is nothing to wait for.
    const fn is_ready(&self) -> bool {
        self.wait.is_zero() && !self.queues
    }
}

/// The things that all attempts of a call have in common.
struct Shared<'a> {
    call: &'a Rc<InboundCall>,
    rule: &'a Rule,
    /// Taken by the answer that is given.
    lead: RefCell<Option<Lead>>,
    suspects: RefCell<Suspects>,
    /// True if an answer that is nothing but a content filter's refusal is not the caller's yet.
    refusals: bool,
}

/// Gets an answer, or says why nobody gave one.
///
/// # Errors
/// Nobody could be asked, or nobody answered with anything that can be passed on.
pub(super) async fn exchange(call: &Rc<InboundCall>, rule: &Rule, lead: Option<Lead>) -> Result<Exchange, Problem> {
    if places::apply(call, rule) {
        // Boxed: a call without such limits has no use for the room.
        Box::pin(places::take(call, rule)).await?;
    }
    ask(call, rule, lead).await
}

/// Gets an answer without a look for the limits of the call and its rule.
///
/// # Errors
/// As those of [`exchange`].
pub(super) async fn ask(call: &Rc<InboundCall>, rule: &Rule, lead: Option<Lead>) -> Result<Exchange, Problem> {
    let mut progress = CallProgress { attempts: 0, last: None, deadline: call.context.arrived };
    let mut rounds = Rounds::new(plan::order(&call.context.ready, rule, call.context.lands_softly()));
    let mut stage = Stage::of(call, rounds.targets());
    let (lead, suspects) = (RefCell::new(lead), RefCell::new(Suspects::default()));
    let shared = Shared { call, rule, lead, suspects, refusals: stage.catches_refusals() };
    // An unhealthy pool is passed over as long as another one may serve; then the least bad is tried.
    let gentle = rounds.len() > 1;
    for (last_resort, at) in (0..rounds.len()).map(|at| (!gentle, at)).chain((0..rounds.len()).map(|at| (true, at))) {
        let is_due = |round: &&mut PoolRound<'_>| round.made == 0 && stage.asks(round.target);
        let Some(round) = rounds.get_mut(at).filter(is_due) else { continue };
        let times = attempt::Times::of(rule, round.target.pool);
        progress.deadline = call.context.arrived + times.total;
        (round.last_resort, round.room) = (last_resort, stage.room);
        if round.target.pool.affinity.is_some() && round.seat.is_none() {
            round.seat = affinity::seat(call, round.target.pool);
        }
        while let Some(turn) = next(call, round, &progress) {
            match take(&shared, round, turn, (times, &mut progress)).await {
                Ok(None) => {}
                Ok(Some(exchange)) => return Ok(exchange),
                Err(failure) if stage.moves_on(&failure) => {
                    progress.fail(failure);
                    break;
                }
                Err(failure) => return failure.into_answer(call, false),
            }
        }
    }
    progress.end(call, rule)
}

/// Takes a turn; `None`: somebody else may do better.
///
/// # Errors
/// Nobody would do better.
async fn take<'a>(
    shared: &Shared<'_>,
    round: &mut PoolRound<'a>,
    turn: NextAttempt<'a>,
    (times, progress): (attempt::Times, &mut CallProgress),
) -> Result<Option<Exchange>, Failure> {
    let (call, target, provider, at) = (shared.call, round.target, turn.provider, turn.at);
    let mut turn = turn;
    // Who can not be told the call has not been asked: that is no attempt.
    let outgoing = match attempt::write(call, outgoing::model(call, target, provider), provider) {
        Ok(outgoing) => outgoing,
        Err(failure) if failure.retry == Retry::No => return Err(failure),
        Err(failure) => {
            round.pass_over(at);
            progress.fail(failure);
            return Ok(None);
        }
    };
    if let Some(failure) = without_credential(call, provider, turn.now + times.connect).await {
        round.pass_over(at);
        progress.fail(failure);
        return Ok(None);
    }
    // Boxed: it is rare, and its future is large.
    let begun = if turn.is_ready() { Ok(turn.now) } else { Box::pin(begin(call, &mut turn, progress.deadline)).await };
    let now = match begun {
        Ok(now) => now,
        Err(failure) => {
            round.pass_over_all();
            progress.fail(failure);
            return Ok(None);
        }
    };
    round.tried.add(at);
    round.made += 1;
    progress.attempts += 1;
    let (deadline, seat, token) = (progress.deadline, round.seat.clone(), provider.token_number());
    let Shared { lead, suspects, refusals, .. } = shared;
    let hedging = if progress.attempts == 1 { Hedging::of(call, shared.rule, target) } else { None };
    let refusals = *refusals;
    let attempt =
        Attempt { call, target, provider, times, token, lead, suspects, refusals, now, beside: false, deadline, seat };
    let running = attempt.run(outgoing, turn.permit);
    let outcome = match hedging {
        None => running.await,
        // Boxed: most calls have no use for the room.
        Some(hedging) => Box::pin(hedged(shared, round, (hedging, running), (times, &mut *progress))).await,
    };
    match outcome {
        Ok(exchange) => {
            suspects.borrow_mut().answered(Instant::now());
            return Ok(Some(exchange));
        }
        Err(failure) => match failure.retry {
            Retry::No => return Err(failure),
            Retry::OtherEndpoint => {
                round.hopeless.add(at);
                progress.fail(failure);
            }
            Retry::Anywhere => progress.fail(failure),
        },
    }
    Ok(None)
}

/// An attempt, and a second one beside it if it keeps its caller waiting: the first answer counts, and the other attempt is let go of.
///
/// # Errors
/// Neither answers.
async fn hedged<'a>(
    shared: &Shared<'_>,
    round: &mut PoolRound<'a>,
    (hedging, first): (Hedging<'_>, impl Future<Output = Result<Exchange, Failure>>),
    (times, progress): (attempt::Times, &mut CallProgress),
) -> Result<Exchange, Failure> {
    let mut first = pin!(first);
    let early = match hedging.delay() {
        Some(delay) => tokio::time::timeout(delay, first.as_mut()).await.ok(),
        None => Some(first.as_mut().await),
    };
    if let Some(outcome) = early {
        if outcome.is_ok() {
            hedging.waited();
        }
        return outcome;
    }
    let Shared { call, rule, lead, suspects, refusals } = shared;
    let (target, now) = (round.target, Instant::now());
    let Some((provider, permit, outgoing)) = elsewhere((call, rule), round, &hedging, now) else {
        let outcome = first.await;
        hedging.waited();
        return outcome;
    };
    round.made += 1;
    progress.attempts += 1;
    target.pool.state.hedged.fetch_add(1, Ordering::Relaxed);
    let (deadline, seat, token) = (progress.deadline, round.seat.clone(), provider.token_number());
    let refusals = *refusals;
    let attempt =
        Attempt { call, target, provider, times, token, lead, suspects, refusals, now, beside: true, deadline, seat };
    let second = pin!(attempt.run(outgoing, permit));
    let (outcome, is_second) = match select(first, second).await {
        Either::Left((outcome, other)) => (either(outcome, other, progress).await, false),
        Either::Right((outcome, other)) => (either(outcome, other, progress).await, true),
    };
    hedging.waited();
    if is_second && outcome.is_ok() {
        target.pool.state.hedges_won.fetch_add(1, Ordering::Relaxed);
    }
    outcome
}

/// The outcome that came first, or that of the other attempt where the first is a failure that it may mend.
async fn either(
    outcome: Result<Exchange, Failure>,
    other: impl Future<Output = Result<Exchange, Failure>>,
    progress: &mut CallProgress,
) -> Result<Exchange, Failure> {
    match outcome {
        Err(failure) if failure.retry != Retry::No => {
            progress.fail(failure);
            other.await
        }
        outcome => outcome,
    }
}

/// A healthy endpoint for a second attempt, where there may be one more: nobody is asked for it who would have to be waited for.
fn elsewhere<'a>(
    (call, rule): (&InboundCall, &Rule),
    round: &mut PoolRound<'a>,
    hedging: &Hedging<'_>,
    now: Instant,
) -> Option<(&'a std::sync::Arc<Provider>, Permit, Outgoing)> {
    let pool = round.target.pool;
    let (at, mut permit, queues) = admit(call, round, round.tried, now)?;
    let provider = pool.providers.get(at)?;
    let has_credential = match &provider.credential {
        Some(Credential::Token(token)) => token.is_good(now),
        Some(Credential::OfCaller(auth)) => keys::passed(call, auth).is_some(),
        Some(Credential::Header(..) | Credential::Signed(_)) | None => true,
    };
    if provider.endpoint.health(now) != Health::Healthy || !has_credential || queues {
        return None;
    }
    permit.has_places(places::free_again(call, rule)?);
    let outgoing = attempt::write(call, outgoing::model(call, round.target, provider), provider).ok()?;
    if !hedging.may(now) {
        return None;
    }
    round.tried.add(at);
    Some((provider, permit, outgoing))
}

/// Waits until an attempt may begin: for its time, and for a place at its provider, until the call's own time is over. Says when that was.
async fn begin(call: &InboundCall, turn: &mut NextAttempt<'_>, until: Instant) -> Result<Instant, Failure> {
    tokio::time::sleep(turn.wait).await;
    if turn.queues {
        let places = places::wait_at(call, turn.provider, until).await.map_err(Failure::no_place)?;
        turn.permit.has_places(places);
    }
    Ok(Instant::now())
}

/// Waits for the token that a provider is called with, where it has not come yet, or looks for the caller's own key: the failure, if
/// there is none.
async fn without_credential(call: &InboundCall, provider: &Provider, until: Instant) -> Option<Failure> {
    match &provider.credential {
        Some(Credential::Token(token)) => {
            // Boxed: it is rare, and its future is large.
            let is_here = token.is_good(Instant::now()) || Box::pin(token.is_here(until)).await;
            (!is_here).then(|| Failure::no_token(provider))
        }
        Some(Credential::OfCaller(auth)) => keys::passed(call, auth).is_none().then(|| Failure::no_key(provider)),
        Some(Credential::Header(..) | Credential::Signed(_)) | None => None,
    }
}

impl CallProgress {
    /// Keeps what says most to the caller; of equals the last.
    fn fail(&mut self, failure: Failure) {
        if self.last.as_ref().is_none_or(|last| failure.weight() >= last.weight()) {
            self.last = Some(failure);
        }
    }

    fn end(self, call: &InboundCall, rule: &Rule) -> Result<Exchange, Problem> {
        match self.last {
            Some(failure) => failure.into_answer(call, true),
            None if self.deadline > call.context.arrived && Instant::now() >= self.deadline => {
                let message = "The time that this call may take was over before a provider could be asked.";
                Err(Problem::gateway(ErrorKind::Timeout, message).retry(true, None))
            }
            None => nobody(call, rule),
        }
    }
}

/// Nobody could be asked: why, or what the gateway can say by itself.
fn nobody(call: &InboundCall, rule: &Rule) -> Result<Exchange, Problem> {
    let model: String = call.model().chars().take(200).collect();
    let ready = &call.context.ready;
    // A pool that has not come yet may serve it when it comes.
    let may_serve = |target: &TargetRef| {
        ready
            .target(target)
            .is_none_or(|target| target.pool.providers.iter().any(|p| p.serves(outgoing::routed_model(call, target))))
    };
    if !rule.targets.iter().chain(&rule.fallbacks).any(may_serve) {
        // What names a pool that can not serve was left out, and every rule names one: nobody knows what that pool would serve.
        if rule.targets.is_empty() {
            let message = format!(
                "A route takes the model `{model}`, but none of its pools can serve: its configuration has to be mended, and the route's status says where."
            );
            return Err(Problem::gateway(ErrorKind::Unavailable, message).retry(false, None));
        }
        let message = format!("A route takes the model `{model}`, but no provider of its pools serves it.");
        return Err(Problem::gateway(ErrorKind::NotFound, message)
            .code("model_not_found")
            .param("model".to_owned())
            .retry(false, None));
    }
    if call.is_bound() {
        return Err(stored::kept_elsewhere(call, rule).unwrap_or_else(stored::keeper_away));
    }
    if call.operation == Operation::CountTokens {
        return count::estimated(call);
    }
    let offers = |target: &TargetRef| {
        ready.target(target).is_none_or(|target| {
            let routed = outgoing::routed_model(call, target);
            let speaks =
                |provider: &std::sync::Arc<Provider>| provider.speaks(call.operation, call.dialect(), routed).is_some();
            target.pool.providers.iter().any(speaks)
        })
    };
    if !rule.targets.iter().chain(&rule.fallbacks).any(offers) {
        let what = call.operation.label().replace('_', " ");
        let message =
            format!("The providers of the model `{model}` do not offer {what}; name a model of one that does.");
        let problem = Problem::client(ErrorKind::InvalidRequest, message);
        return Err(problem.param("model".to_owned()).retry(false, None));
    }
    let message = format!("No provider can take a call for `{model}` now.");
    Err(Problem::gateway(ErrorKind::Overloaded, message).retry(true, Some(Duration::from_secs(1))))
}

/// The next attempt in this pool; `None` when the pool has had its chance.
fn next<'a>(call: &InboundCall, round: &mut PoolRound<'a>, progress: &CallProgress) -> Option<NextAttempt<'a>> {
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
    if progress.attempts == 0 && round.tried.is_empty() {
        pool.state.budget.call(now);
    }
    if let Some((at, permit, queues)) = admit(call, round, round.tried, now) {
        let provider = pool.providers.get(at)?;
        // Everybody who is left cools down: the one whose cooldown ends first is waited for, if that is soon. If it is not,
        // a call that nobody has seen yet is sent all the same: only the provider can say better than we do.
        let cooldown = provider.endpoint.cooldown_until(now).map_or(Duration::ZERO, |until| until - now);
        let wait = if cooldown > SHORT_WAIT && progress.attempts == 0 { Duration::ZERO } else { cooldown };
        let cools_down = !cooldown.is_zero() || provider.endpoint.guessed_cooldown_until(now).is_some();
        let fits = wait <= SHORT_WAIT && now + wait < progress.deadline && (!cools_down || round.last_resort);
        return (fits && allowed(true)).then_some(NextAttempt { provider, permit, at, wait, now, queues });
    }
    if round.made == 0 {
        return None;
    }
    let (at, permit, queues) = admit(call, round, round.hopeless, now)?;
    let provider = pool.providers.get(at)?;
    let cooldown = provider.endpoint.cooldown_until(now).map_or(Duration::ZERO, |until| until - now);
    let wait = backoff(&pool.retry.backoff, round.made).max(cooldown);
    let fits = wait <= SHORT_WAIT.max(pool.retry.backoff.max.get()) && now + wait < progress.deadline;
    (fits && allowed(false)).then_some(NextAttempt { provider, permit, at, wait, now, queues })
}

/// A provider of the pool that is not in `but`, and its permit; `true`: it has no place for the call, nor has any other one.
fn admit(call: &InboundCall, round: &PoolRound<'_>, but: Tried, now: Instant) -> Option<(usize, Permit, bool)> {
    let (target, pool) = (round.target, &**round.target.pool);
    let (mut but, mut refused, mut full) = (but, None, None);
    // An endpoint may have been taken by another worker between the look and the admission: then the next one.
    for _ in 0..pool.providers.len() {
        let chosen = match pool.providers.as_slice() {
            // Nothing to weigh.
            [only] if but.has(0) || only.weight == 0 || !fit(call, (target, round.room), only) => break,
            [only] => Chosen { index: 0, forced: matches!(only.endpoint.health(now), Health::Ejected(_)) },
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
        match admitted.map(|permit| seat(call, provider, permit)) {
            Some(Ok(permit)) => return Some((chosen.index, permit, false)),
            Some(Err(permit)) => {
                full.get_or_insert((chosen.index, permit, true));
            }
            None => {
                refused.get_or_insert(chosen.index);
            }
        }
        but.add(chosen.index);
    }
    if full.is_some() {
        return full;
    }
    let at = refused.filter(|_| round.last_resort)?;
    let provider = pool.providers.get(at)?;
    match seat(call, provider, provider.endpoint.admit_anyway(now)) {
        Ok(permit) => Some((at, permit, false)),
        Err(permit) => Some((at, permit, true)),
    }
}

/// The permit with the places that the provider's limits have free; `Err`: one of them has none.
fn seat(call: &InboundCall, provider: &Provider, mut permit: Permit) -> Result<Permit, Permit> {
    if provider.gates.is_empty() {
        return Ok(permit);
    }
    match places::free_at(call, provider) {
        Some(places) => {
            permit.has_places(places);
            Ok(permit)
        }
        None => Err(permit),
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
    use sluicegate_config::Millis;

    use super::*;

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
