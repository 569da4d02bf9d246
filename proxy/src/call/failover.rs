//! The only loop: pools in the rule's order, providers of a pool by balance, until one answers.
//!
//! The first failure moves the call to the next provider at once. The same provider is asked again only after a
//! backoff, when nobody else is left. What fails before a stream's first token is saved here, unseen by the caller.

use std::cell::RefCell;
use std::future::Future;
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use futures_util::future::{Either, select};
use sluicegate_dialects::hub::ErrorKind;

use crate::cache::Lead;
use crate::endpoint::Health;
use crate::errors::Problem;
use crate::state::{Credential, Provider, RouteTarget, Rule};

use super::attempt::Attempt;
use super::attempt_limits::NoRoom;
use super::exchange::Exchange;
use super::failure::Failure;
use super::fallback::Stage;
use super::hedge::Hedging;
use super::inbound::InboundCall;
use super::outgoing::Outgoing;
use super::places::NoPlaceThere;
use super::retry_policy::Retry;
use super::suspects::Suspects;
use super::times::Times;
use super::turn::{CallProgress, NextAttempt, PoolRound, admit, has_credential, next};
use super::{affinity, keys, nobody, outgoing, places, plan};

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

    /// The round at this place, where it is due.
    fn due(&mut self, at: usize, stage: &Stage) -> Option<&mut PoolRound<'a>> {
        self.get_mut(at).filter(|round| round.made == 0 && stage.asks(round.target))
    }

    fn get_mut(&mut self, at: usize) -> Option<&mut PoolRound<'a>> {
        match at.checked_sub(1) {
            None => self.first.as_mut(),
            Some(at) => self.others.get_mut(at),
        }
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

impl<'a> Shared<'a> {
    /// An attempt at this provider. `beside`: another one goes on.
    fn attempt<'b>(
        &'b self,
        round: &PoolRound<'b>,
        (provider, key, times): (&'b Arc<Provider>, Option<usize>, Times),
        (now, beside): (Instant, bool),
        progress: &CallProgress,
    ) -> Attempt<'b>
    where
        'a: 'b,
    {
        let Self { call, lead, suspects, refusals, .. } = self;
        Attempt {
            call,
            target: round.target,
            provider,
            times,
            sent: provider.sent_with(key),
            lead,
            suspects,
            refusals: *refusals,
            now,
            beside,
            deadline: progress.deadline,
            seat: round.seat.clone(),
        }
    }
}

/// Gets an answer, or says why nobody gave one.
///
/// # Errors
/// Nobody could be asked, or nobody answered with anything that can be passed on.
pub(super) fn exchange<'a>(
    call: &'a Rc<InboundCall>,
    rule: &'a Rule,
    lead: Option<Lead>,
) -> impl Future<Output = Result<Exchange, Problem>> + use<'a> {
    asked(call, rule, (lead, true))
}

/// Gets an answer without a look for the limits of the call and its rule.
///
/// # Errors
/// As those of [`exchange`].
pub(super) fn ask<'a>(
    call: &'a Rc<InboundCall>,
    rule: &'a Rule,
    lead: Option<Lead>,
) -> impl Future<Output = Result<Exchange, Problem>> + use<'a> {
    asked(call, rule, (lead, false))
}

/// Asks; `queues`: where the call's limits have a place for it. A future is moved as a whole when it is awaited, and those around an
/// attempt are large: this is one, with steps that do not wait around the attempt, and boxes for what rarely waits.
async fn asked(call: &Rc<InboundCall>, rule: &Rule, (lead, queues): (Option<Lead>, bool)) -> Result<Exchange, Problem> {
    if queues && places::apply(call, rule) {
        Box::pin(places::take(call, rule)).await?;
    }
    // Who asks for the rest of an answer has made attempts before.
    let attempts = if call.is_for_rest() { call.context.attempts() } else { 0 };
    let mut progress = CallProgress { attempts, last: None, deadline: call.context.arrived };
    let mut rounds = Rounds::new(plan::order(&call.context.ready, rule, call.context.lands_softly()));
    let mut stage = Stage::of(call, rounds.targets());
    let (lead, suspects) = (RefCell::new(lead), RefCell::new(Suspects::default()));
    let shared = Shared { call, rule, lead, suspects, refusals: stage.catches_refusals() };
    // An unhealthy pool is passed over as long as another one may serve; then the least bad is tried.
    let gentle = rounds.len() > 1;
    for (last_resort, at) in (0..rounds.len()).map(|at| (!gentle, at)).chain((0..rounds.len()).map(|at| (true, at))) {
        let Some(round) = rounds.due(at, &stage) else { continue };
        let times = Times::of(rule.timeouts, round.target.pool.timeouts);
        // The rest of an answer belongs to one that flows.
        progress.deadline = call.context.arrived + if call.is_for_rest() { times.flowing } else { times.total };
        (round.last_resort, round.room) = (last_resort, stage.room);
        round.leave_out(call.left_out());
        if round.target.pool.affinity.is_some() && round.seat.is_none() {
            round.seat = affinity::seat(call, round.target.pool);
        }
        while let Some(mut turn) = next(call, round, &progress) {
            let at = turn.at;
            let taken = 'turn: {
                let mut outgoing = match told(call, round, &turn, &mut progress) {
                    Ok(Some(outgoing)) => outgoing,
                    Ok(None) => break 'turn Ok(None),
                    Err(failure) => break 'turn Err(failure),
                };
                if !turn.may_begin(call, round.target) {
                    match Box::pin(ready(call, (turn, round.target), (times.connect, progress.deadline))).await {
                        Ok(ready) => turn = ready,
                        Err(unready) => break 'turn Ok(unready.pass_over(call, (round, at), &mut progress)),
                    }
                }
                let hedging = begin(&shared, round, at, &mut progress);
                let with = (turn.provider, turn.permit.key_index(), times);
                let attempt = shared.attempt(round, with, (turn.now, false), &progress);
                let outcome = match hedging {
                    None => attempt.run(&mut outgoing, (turn.permit, turn.holds)).await,
                    Some(hedging) => {
                        let first = (hedging, attempt.run(&mut outgoing, (turn.permit, turn.holds)));
                        Box::pin(hedged(&shared, round, first, (times, &mut progress))).await
                    }
                };
                judge(outcome, &shared, (round, at, turn.provider), &mut progress)
            };
            match taken {
                Ok(None) => {}
                Ok(Some(exchange)) => return Ok(exchange),
                Err(failure) if stage.moves_on(&failure) => {
                    progress.fail(failure);
                    break;
                }
                // What leaves something behind is not for the caller's SDK to send again either.
                Err(failure) => return failure.into_answer(call, call.named().is_none() && !call.may_be_repeated()),
            }
        }
    }
    end(progress, call, rule)
}

/// The request of a turn; `None`: somebody else may do better. Who can not be told the call has not been asked: that is no attempt.
///
/// # Errors
/// Nobody can be told it.
fn told(
    call: &InboundCall,
    round: &mut PoolRound<'_>,
    turn: &NextAttempt<'_>,
    progress: &mut CallProgress,
) -> Result<Option<Outgoing>, Failure> {
    let provider = turn.provider;
    match outgoing::write_counted(call, outgoing::model(call, round.target, provider), provider) {
        Ok(outgoing) => Ok(Some(outgoing)),
        Err(failure) if failure.retry == Retry::No => Err(failure),
        Err(failure) => {
            round.pass_over(turn.at);
            progress.fail(failure);
            Ok(None)
        }
    }
}

/// The reason why a turn could not begin.
struct Unready {
    failure: Failure,
    who: PassedOver,
}

/// The part of a pool that is passed over for it.
enum PassedOver {
    /// Its provider.
    Provider,
    /// Its provider, or, where that has others, this key of it.
    UsedUp(Option<usize>),
    /// Its provider, which refuses the call at once, and all of its pool where nobody lets it wait.
    Full,
    /// All of its pool: the call has waited for a place in vain.
    Pool,
}

impl Unready {
    fn pass_over(
        self,
        call: &InboundCall,
        (round, at): (&mut PoolRound<'_>, usize),
        progress: &mut CallProgress,
    ) -> Option<Exchange> {
        match self.who {
            PassedOver::Provider => round.pass_over(at),
            PassedOver::UsedUp(key) => round.used_up(at, key),
            PassedOver::Full => round.is_full(call, at),
            PassedOver::Pool => round.pass_over_all(),
        }
        progress.fail(self.failure);
        None
    }
}

/// Waits for what a turn lacks: the token of its provider, its time, a place. Then it takes of the rate limits there.
async fn ready<'a>(
    call: &InboundCall,
    (mut turn, target): (NextAttempt<'a>, RouteTarget<'a>),
    (connect, until): (Duration, Instant),
) -> Result<NextAttempt<'a>, Unready> {
    if let Some(failure) = without_credential(call, (turn.provider, turn.permit.key_index()), turn.now + connect).await
    {
        return Err(Unready { failure, who: PassedOver::Provider });
    }
    if !turn.is_ready() {
        let begun = due(call, &mut turn, until).await;
        turn.now = begun.map_err(|refused| Unready {
            who: if refused.has_waited { PassedOver::Pool } else { PassedOver::Full },
            failure: Failure::no_place(refused.problem),
        })?;
    }
    if turn.intended(target).is_limited() {
        let taken = turn.intended(target).take(call).await;
        let taken = taken.map_err(|NoRoom { failure, key }| Unready { failure, who: PassedOver::UsedUp(key) })?;
        (turn.holds, turn.now) = (Some(taken), Instant::now());
    }
    Ok(turn)
}

/// An attempt begins: it is counted. Says whether there may be another one beside it.
fn begin<'a>(
    shared: &Shared<'a>,
    round: &mut PoolRound<'a>,
    at: usize,
    progress: &mut CallProgress,
) -> Option<Hedging<'a>> {
    round.tried.add(at);
    round.made += 1;
    progress.attempts += 1;
    // What is asked of one keeper is asked once, and so is what nobody here knows.
    let is_known = shared.call.object().is_none() && shared.call.named().is_none();
    let provider = round.target.pool.providers.get(at).filter(|_| progress.attempts == 1 && is_known)?;
    Hedging::of(shared.call, shared.rule, (round.target, provider))
}

/// The outcome of an attempt as far as its call is concerned; `None`: somebody else may do better.
///
/// # Errors
/// Nobody would do better.
fn judge(
    outcome: Result<Exchange, Failure>,
    shared: &Shared<'_>,
    (round, at, provider): (&mut PoolRound<'_>, usize, &Provider),
    progress: &mut CallProgress,
) -> Result<Option<Exchange>, Failure> {
    match outcome {
        Ok(exchange) => {
            shared.suspects.borrow_mut().answered(Instant::now());
            round.turns.answered(provider, Instant::now());
            Ok(Some(exchange))
        }
        Err(failure) if failure.retry == Retry::No => Err(failure),
        Err(failure) => {
            if failure.retry.is_uncounted() {
                progress.attempts = progress.attempts.saturating_sub(1);
            }
            round.failed((at, provider), &failure);
            progress.fail(failure);
            Ok(None)
        }
    }
}

/// An attempt, and a second one beside it if it keeps its caller waiting: the first answer counts, and the other attempt is let go of.
///
/// # Errors
/// Neither answers.
async fn hedged<'a>(
    shared: &Shared<'_>,
    round: &mut PoolRound<'a>,
    (hedging, first): (Hedging<'_>, impl Future<Output = Result<Exchange, Failure>>),
    (times, progress): (Times, &mut CallProgress),
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
    let target = round.target;
    // Who asks for room elsewhere may wait for Redis: the first attempt goes on meanwhile.
    let other = {
        let other = pin!(elsewhere((shared.call, shared.rule), round, &hedging));
        match select(first.as_mut(), other).await {
            Either::Left((outcome, _)) => Err(outcome),
            Either::Right((Some(other), _)) => Ok(other),
            Either::Right((None, first)) => Err(first.await),
        }
    };
    let (turn, mut outgoing) = match other {
        Ok(other) => other,
        Err(outcome) => {
            hedging.waited();
            return outcome;
        }
    };
    round.made += 1;
    progress.attempts += 1;
    target.pool.state.hedged.fetch_add(1, Ordering::Relaxed);
    let with = (turn.provider, turn.permit.key_index(), times);
    let attempt = shared.attempt(round, with, (turn.now, true), progress);
    let second = pin!(attempt.run(&mut outgoing, (turn.permit, turn.holds)));
    let (outcome, is_second) = match select(first, second).await {
        Either::Left((outcome, other)) => either(outcome, other, progress).await,
        Either::Right((outcome, other)) => {
            let (outcome, is_others) = either(outcome, other, progress).await;
            (outcome, !is_others)
        }
    };
    hedging.waited();
    if is_second && outcome.is_ok() {
        target.pool.state.hedges_won.fetch_add(1, Ordering::Relaxed);
    }
    outcome
}

/// The outcome that came first, or that of the other attempt (`true`) where the first is a failure: also of what is said to be the caller's
/// own mistake the other one may know better, since its model may take more.
async fn either(
    outcome: Result<Exchange, Failure>,
    other: impl Future<Output = Result<Exchange, Failure>>,
    progress: &mut CallProgress,
) -> (Result<Exchange, Failure>, bool) {
    let failure = match outcome {
        Ok(exchange) => return (Ok(exchange), false),
        Err(failure) => failure,
    };
    match other.await {
        Err(later) if failure.retry == Retry::No => {
            progress.fail(later);
            (Err(failure), false)
        }
        outcome => {
            progress.fail(failure);
            (outcome, true)
        }
    }
}

/// A healthy endpoint for a second attempt, where there may be one more: nobody is asked for it who would have to be waited for.
async fn elsewhere<'a>(
    (call, rule): (&InboundCall, &Rule),
    round: &mut PoolRound<'a>,
    hedging: &Hedging<'_>,
) -> Option<(NextAttempt<'a>, Outgoing)> {
    let (target, now) = (round.target, Instant::now());
    let (at, permit, queues) = admit(call, round, round.tried, now)?;
    let provider = target.pool.providers.get(at)?;
    let mut turn = NextAttempt { provider, permit, at, wait: Duration::ZERO, now, queues, holds: None };
    let is_ready = !queues && has_credential(call, (provider, turn.permit.key_index()), now);
    if provider.health(now) != Health::Healthy || !is_ready {
        return None;
    }
    turn.permit.has_places(places::free_again(call, rule)?);
    let outgoing = outgoing::write_counted(call, outgoing::model(call, target, provider), provider).ok()?;
    if turn.intended(target).is_limited() {
        turn.holds = Some(turn.intended(target).take(call).await.ok()?);
        turn.now = Instant::now();
    }
    if !hedging.may(provider, turn.now) {
        return None;
    }
    round.tried.add(at);
    Some((turn, outgoing))
}

/// Waits until an attempt may begin: for its time, and for a place at its provider, until the call's own time is over. Says when that was.
async fn due(call: &InboundCall, turn: &mut NextAttempt<'_>, until: Instant) -> Result<Instant, NoPlaceThere> {
    tokio::time::sleep(turn.wait).await;
    if turn.queues {
        turn.permit.has_places(places::wait_at(call, (turn.provider, turn.permit.key_index()), until).await?);
    }
    Ok(Instant::now())
}

/// Waits for the token that a provider is called with, where it has not come yet, or looks for the caller's own key: the failure, if
/// there is none.
async fn without_credential(
    call: &InboundCall,
    (provider, key): (&Provider, Option<usize>),
    until: Instant,
) -> Option<Failure> {
    match provider.credential_of(key) {
        Some(Credential::Token(token)) => {
            let is_here = token.is_good(Instant::now()) || token.is_here(until).await;
            (!is_here).then(|| Failure::no_token(provider))
        }
        Some(Credential::OfCaller(auth)) => keys::passed(call, auth).is_none().then(|| Failure::no_key(provider)),
        Some(Credential::Header(..) | Credential::Signed(_)) | None => None,
    }
}

/// The answer where nobody gave one.
fn end(progress: CallProgress, call: &InboundCall, rule: &Rule) -> Result<Exchange, Problem> {
    match progress.last {
        Some(failure) => failure.into_answer(call, true),
        None if progress.deadline > call.context.arrived && Instant::now() >= progress.deadline => {
            let message = "The time that this call may take was over before a provider could be asked.";
            Err(Problem::gateway(ErrorKind::Timeout, message).retry(true, None))
        }
        None => nobody::answer(call, rule),
    }
}
