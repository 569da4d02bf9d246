//! The only loop: pools in the rule's order, providers of a pool by balance, until one answers.
//!
//! The first failure moves the call to the next provider at once. The same provider is asked again only after a
//! backoff, when nobody else is left. What fails before a stream's first token is saved here, unseen by the caller.

use std::time::{Duration, Instant};

use rand::RngExt;
use sluicegate_config::Backoff;
use sluicegate_dialects::hub::ErrorKind;

use crate::balance::{self, Candidate, Chosen, Picker, Tried};
use crate::cache::Lead;
use crate::endpoint::{Admission, Permit, Standing};
use crate::errors::Problem;
use crate::state::{Aim, Pool, Provider, Rule, Target};

use super::asked::Asked;
use super::caller::Errand;
use super::exchange::Exchange;
use super::failure::Failure;
use super::judge::{Retry, SHORT_WAIT};
use super::once::{self, Once};
use super::{count, outgoing, plan};

/// However many pools a rule has, and attempts they allow: no call is tried more often.
const MOST_ATTEMPTS: u32 = 10;

/// What has come of a call so far.
struct Story {
    attempts: u32,
    last: Option<Failure>,
    deadline: Instant,
}

/// One pool's part in a call.
struct Round<'a> {
    target: Target<'a>,
    tried: Tried,
    /// Providers that will say the same again.
    hopeless: Tried,
    made: u32,
    /// How many could not be told the call.
    unsayable: usize,
    /// Whether open circuits and short cooldowns keep nobody away.
    last_resort: bool,
}

impl<'a> Round<'a> {
    fn new(target: Target<'a>) -> Self {
        Self { target, tried: Tried::default(), hopeless: Tried::default(), made: 0, unsayable: 0, last_resort: false }
    }
}

impl Round<'_> {
    /// This provider can not be told the call.
    const fn pass_over(&mut self, at: usize) {
        self.tried.add(at);
        self.hopeless.add(at);
        self.unsayable += 1;
    }
}

/// Who takes the next attempt.
struct Turn<'a> {
    provider: &'a std::sync::Arc<Provider>,
    permit: Permit,
    at: usize,
    /// How long to wait first.
    wait: Duration,
    /// When it was chosen.
    now: Instant,
}

/// Gets an answer, or says why nobody gave one.
///
/// # Errors
/// Nobody could be asked, or nobody answered with anything that can be passed on.
pub(super) async fn exchange(asked: &Asked<'_>, rule: &Rule, lead: Option<Lead>) -> Result<Exchange, Problem> {
    let mut lead = lead;
    let mut story = Story { attempts: 0, last: None, deadline: asked.ticket.arrived };
    let mut rounds = plan::order(&asked.ticket.ready, rule).map(Round::new).collect::<Vec<_>>();
    // A pool that is unwell is passed over as long as another one may serve; then the least bad is tried.
    let gentle = rounds.len() > 1;
    for (last_resort, at) in (0..rounds.len()).map(|at| (!gentle, at)).chain((0..rounds.len()).map(|at| (true, at))) {
        let Some(round) = rounds.get_mut(at).filter(|round| round.made == 0) else { continue };
        let target = round.target;
        let timeouts = once::Times::of(rule, target.pool);
        story.deadline = asked.ticket.arrived + timeouts.total;
        round.last_resort = last_resort;
        while let Some(turn) = next(asked, round, &story) {
            // Who can not be told the call has not been asked: that is no attempt.
            let model = outgoing::model(asked, target, turn.provider);
            let outgoing = match once::write(asked, model, turn.provider) {
                Ok(outgoing) => outgoing,
                Err(failure) if failure.retry == Retry::No => return failure.into_answer(asked, false),
                Err(failure) => {
                    round.pass_over(turn.at);
                    story.fail(failure);
                    continue;
                }
            };
            let mut now = turn.now;
            if !turn.wait.is_zero() {
                // Boxed: it is rare, and its future is large.
                Box::pin(tokio::time::sleep(turn.wait)).await;
                now = Instant::now();
            }
            round.tried.add(turn.at);
            round.made += 1;
            story.attempts += 1;
            let (provider, at) = (turn.provider, turn.at);
            let attempt = Once { asked, target, provider, times: timeouts, now, deadline: story.deadline };
            match attempt.run(outgoing, turn.permit, &mut lead).await {
                Ok(exchange) => return Ok(exchange),
                Err(failure) => match failure.retry {
                    Retry::No => return failure.into_answer(asked, false),
                    Retry::Elsewhere => {
                        round.hopeless.add(at);
                        story.fail(failure);
                    }
                    Retry::Anywhere => story.fail(failure),
                },
            }
        }
    }
    story.end(asked, rule)
}

impl Story {
    /// Keeps what says most to the caller; of equals the last.
    fn fail(&mut self, failure: Failure) {
        if self.last.as_ref().is_none_or(|last| failure.weight() >= last.weight()) {
            self.last = Some(failure);
        }
    }

    fn end(self, asked: &Asked<'_>, rule: &Rule) -> Result<Exchange, Problem> {
        match self.last {
            Some(failure) => failure.into_answer(asked, true),
            None => nobody(asked, rule),
        }
    }
}

/// Nobody could be asked: why, or what the gateway can say by itself.
fn nobody(asked: &Asked<'_>, rule: &Rule) -> Result<Exchange, Problem> {
    let model: String = asked.peek.model.chars().take(200).collect();
    let ready = &asked.ticket.ready;
    // A pool that has not come yet may serve it when it comes.
    let may_serve = |aim: &Aim| {
        ready
            .target(aim)
            .is_none_or(|target| target.pool.providers.iter().any(|p| p.serves(outgoing::routed_model(asked, target))))
    };
    if !rule.targets.iter().chain(&rule.fallbacks).any(may_serve) {
        let message = format!("A route takes the model `{model}`, but no provider of its pools serves it.");
        return Err(Problem::gateway(ErrorKind::NotFound, message)
            .code("model_not_found")
            .param("model".to_owned())
            .retry(false, None));
    }
    if *asked.errand == Errand::CountTokens {
        return count::estimated(asked);
    }
    let message = format!("No provider can take a call for `{model}` now.");
    Err(Problem::gateway(ErrorKind::Overloaded, message).retry(true, Some(Duration::from_secs(1))))
}

/// Who takes the next attempt in this pool; `None` when the pool has had its chance.
fn next<'a>(asked: &Asked<'_>, round: &mut Round<'a>, story: &Story) -> Option<Turn<'a>> {
    let (pool, now) = (&**round.target.pool, Instant::now());
    let over = round.made >= pool.retry.attempts.max(1) || story.attempts >= MOST_ATTEMPTS || now >= story.deadline;
    // Places beyond those that are remembered may be picked again and again.
    if over || round.unsayable > pool.providers.len() {
        return None;
    }
    // The move to a provider that has not failed this call is what keeps calls alive, so the first one is not bounded by
    // the budget; everything after it is, or retries would turn a slow pool into a dead one.
    let allowed = |first_move: bool| {
        story.attempts == 0
            || (first_move && story.attempts == 1)
            || pool.state.budget.try_retry(pool.retry.budget_percent, now)
    };
    if story.attempts == 0 && round.tried.is_empty() {
        pool.state.budget.call(now);
    }
    if let Some((at, permit)) = admit(asked, round, round.tried, now) {
        let provider = pool.providers.get(at)?;
        // Everybody who is left cools down: the one whose quiet ends first is waited for, if that is soon. If it is not,
        // a call that nobody has seen yet is sent all the same: only the provider can say better than we do.
        let quiet = provider.endpoint.cooling_until(now).map_or(Duration::ZERO, |until| until - now);
        let wait = if quiet > SHORT_WAIT && story.attempts == 0 { Duration::ZERO } else { quiet };
        let at_rest = !quiet.is_zero() || provider.endpoint.spared_until(now).is_some();
        let fits = wait <= SHORT_WAIT && now + wait < story.deadline && (!at_rest || round.last_resort);
        return (fits && allowed(true)).then_some(Turn { provider, permit, at, wait, now });
    }
    if round.made == 0 {
        return None;
    }
    let (at, permit) = admit(asked, round, round.hopeless, now)?;
    let provider = pool.providers.get(at)?;
    let quiet = provider.endpoint.cooling_until(now).map_or(Duration::ZERO, |until| until - now);
    let wait = backoff(&pool.retry.backoff, round.made).max(quiet);
    let fits = wait <= SHORT_WAIT.max(pool.retry.backoff.max.get()) && now + wait < story.deadline;
    (fits && allowed(false)).then_some(Turn { provider, permit, at, wait, now })
}

/// A provider of the pool that is not in `but`, and its permit.
fn admit(asked: &Asked<'_>, round: &Round<'_>, but: Tried, now: Instant) -> Option<(usize, Permit)> {
    let (target, pool) = (round.target, &**round.target.pool);
    let (mut but, mut refused) = (but, None);
    // An endpoint may have been taken by another worker between the look and the admission: then the next one.
    for _ in 0..pool.providers.len() {
        let chosen = match pool.providers.as_slice() {
            // Nothing to weigh.
            [only] if but.has(0) || only.weight == 0 || !fit(asked, target, only) => return None,
            [only] => Chosen { index: 0, forced: matches!(only.endpoint.standing(now), Standing::Open(_)) },
            several => {
                let candidates = several.iter().map(|provider| candidate(asked, target, provider, now));
                match pick(asked, pool, &candidates.collect::<Vec<_>>(), but) {
                    Some(chosen) => chosen,
                    None => break,
                }
            }
        };
        let endpoint = &pool.providers.get(chosen.index)?.endpoint;
        if chosen.forced {
            return round.last_resort.then(|| (chosen.index, endpoint.admit_anyway(now)));
        }
        match endpoint.try_admit(now) {
            Admission::Closed(permit) | Admission::HalfOpen(permit) => return Some((chosen.index, permit)),
            Admission::Refused { .. } => {
                but.add(chosen.index);
                refused.get_or_insert(chosen.index);
            }
        }
    }
    let at = refused.filter(|_| round.last_resort)?;
    Some((at, pool.providers.get(at)?.endpoint.admit_anyway(now)))
}

fn pick(asked: &Asked<'_>, pool: &Pool, candidates: &[Candidate], but: Tried) -> Option<Chosen> {
    let mut rng = asked.ticket.worker.rng.borrow_mut();
    let mut picker = Picker {
        strategy: pool.strategy,
        max_open_percent: pool.max_open_percent,
        cursor: &pool.state.cursor,
        rng: &mut rng,
    };
    balance::pick(&mut picker, candidates, but)
}

fn candidate(asked: &Asked<'_>, target: Target<'_>, provider: &Provider, now: Instant) -> Candidate {
    Candidate {
        serves: fit(asked, target, provider),
        weight: provider.weight,
        priority: provider.priority,
        standing: provider.endpoint.standing(now),
        in_flight: provider.endpoint.in_flight(),
    }
}

/// Whether a provider can take the call at all.
fn fit(asked: &Asked<'_>, target: Target<'_>, provider: &Provider) -> bool {
    let counts = *asked.errand != Errand::CountTokens || provider.speaks(asked.dialect()) == asked.dialect();
    counts && provider.serves(outgoing::routed_model(asked, target))
}

/// How long to leave an endpoint alone before it is asked again: exponential, with full jitter.
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
