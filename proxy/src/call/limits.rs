//! The limits of a call: what it would take of each, taken before anything is asked for it, and told in its caller's dialect. Its budgets
//! are asked together with them.

use std::rc::Rc;
use std::time::{Duration, SystemTime};

use http::{HeaderMap, HeaderName, HeaderValue};
use jiff::Timestamp;
use sluicegate_config::LimitUnit;
use sluicegate_dialects::Dialect;

use crate::account::{Costs, Held, Settlement};
use crate::api::limit_headers::{BEGINNINGS, names, says_a_time};
use crate::consumer::KnownConsumer;
use crate::errors::Problem;
use crate::limit::{
    BudgetDemand, BudgetHolds, BudgetRefusal, Demand, GuessedPrompt, Holds, LimitKey, LimitRefusal, Per, PreparedLimit,
    Told,
};
use crate::state::Rule;

use super::budgets::{self, TargetReach};
use super::inbound::InboundCall;
use super::limit_refusal::{refused, too_large, unavailable};
use super::stored_call::GivenName;
use super::{background, limit_queue};

/// The headers by which answers tell how the tightest limit of cost stands: what it is, what is left, when all of it is there again.
const COST: [HeaderName; 3] = [
    HeaderName::from_static("x-sluicegate-cost-limit"),
    HeaderName::from_static("x-sluicegate-cost-remaining"),
    HeaderName::from_static("x-sluicegate-cost-reset"),
];

/// True if anything limits the call. Without a limit this is all that it costs.
pub(super) fn apply(call: &InboundCall, rule: &Rule) -> bool {
    let own = |consumer: &KnownConsumer| !consumer.limits.is_empty() || !consumer.budgets.is_empty();
    let is_own = !rule.limits.is_empty() || !rule.budgets.is_empty() || call.context.consumer().is_some_and(own);
    is_own || call.context.budgets_of_caller().next().is_some() || background::is_asked_for(call)
}

/// All that a call has taken of its limits and budgets.
#[derive(Debug)]
struct CallHolds {
    limits: Holds,
    budgets: BudgetHolds,
    /// The prompt by which they were taken, where its provider counts it.
    prompt: Option<GuessedPrompt>,
    /// The name of its answer, and the model that is asked for it, where it is made in the background.
    later: Option<(GivenName, Box<str>)>,
}

impl CallHolds {
    fn of(call: &InboundCall, limits: Holds, budgets: BudgetHolds) -> Box<Self> {
        let is_read = call.operation.generates() || call.operation.embeds();
        let ratios = || &call.context.worker.limiter.shared().prompts;
        let prompt = is_read.then(|| GuessedPrompt::new(ratios(), call.model(), call.prompt_estimate()));
        let later = call.stored().filter(|_| background::is_asked_for(call));
        let later = later.map(|stored| (Rc::clone(&stored.given), Box::from(call.model())));
        Box::new(Self { limits, budgets, prompt, later })
    }
}

impl Held for CallHolds {
    fn settle(self: Box<Self>, by: Settlement, costs: Costs) {
        if let (Settlement::Used(Some(usage)), Some(prompt)) = (by, &self.prompt) {
            prompt.is_counted(usage.input);
        }
        self.limits.settle(by, costs);
        let answer = self.later.and_then(|(given, model)| Some((given.borrow_mut().take()?, model)));
        match answer.filter(|_| by == Settlement::Unknown) {
            Some((answer, model)) => self.budgets.set_aside((background::name(&answer), &model), costs),
            None => self.budgets.settle(by, costs),
        }
    }
}

/// Takes from all limits of a call, to be held until its end.
///
/// # Errors
/// One of them has no room: then nothing is taken of any.
pub(super) async fn take(call: &Rc<InboundCall>, rule: &Rule, route: &str) -> Result<(), Problem> {
    let context = &call.context;
    let (demands, too_large) = demands(call, rule, route);
    let limiter = &context.worker.limiter;
    // What can never be taken is refused before anything is, and its caller is told how all stand as ever.
    let spending = match (too_large, budgets::demands(call, rule, TargetReach::All)) {
        (None, Ok(spending)) => spending,
        (too_large, spending) => {
            let looks = (limiter.look(&demands), limiter.budgets().look(budgets::of(call, rule)));
            let (told, spent) = tokio::join!(looks.0, looks.1);
            context.limits_told(told);
            context.budgets_told(spent);
            return Err(too_large.or(spending.err()).unwrap_or_else(unavailable));
        }
    };
    // Nobody goes past those who wait.
    if let Some(at) = limit_queue::behind_others(call, &demands) {
        return Box::pin(take_in_turn(call, rule, (&demands, &spending), (at, None))).await;
    }
    let taking = limiter.budgets().take(&spending, budgets::lease(call, rule));
    let ((told, limits), (mut spent, budgets)) = tokio::join!(limiter.take(&demands), taking);
    if let Err(LimitRefusal { at, after, may_wait: true, .. }) = limits {
        drop(budgets);
        return Box::pin(take_in_turn(call, rule, (&demands, &spending), (at, after))).await;
    }
    if limits.is_err() && budgets.is_ok() {
        spent.iter_mut().zip(&spending).for_each(|(told, demand)| told.give_back(demand.cost));
    }
    context.limits_told(told);
    // How the budgets of a call stand that lands softly is told once that is known.
    if limits.is_err() || !budgets.as_ref().is_err_and(|refused| lands_softly(*refused, rule)) {
        context.budgets_told(spent);
    }
    // Whichever of the two has no room: what the other one gave is given back.
    match limits {
        Ok(limits) => with_budgets(call, rule, limits, (&spending, budgets)).await,
        Err(why) => Err(refused(call, &demands, why)),
    }
}

/// Waits for room in the call's windows, and then takes of its budgets.
async fn take_in_turn(
    call: &Rc<InboundCall>,
    rule: &Rule,
    (demands, spending): (&[Demand<'_>], &[BudgetDemand<'_>]),
    first: (usize, Option<Duration>),
) -> Result<(), Problem> {
    let (context, keeper) = (&call.context, call.context.worker.limiter.budgets());
    let (told, limits) = limit_queue::wait(call, rule, demands, first).await;
    context.limits_told(told);
    let limits = match limits {
        Ok(limits) => limits,
        Err(problem) => {
            context.budgets_told(keeper.look(budgets::of(call, rule)).await);
            return Err(problem);
        }
    };
    let (spent, budgets) = keeper.take(spending, budgets::lease(call, rule)).await;
    if !budgets.as_ref().is_err_and(|refused| lands_softly(*refused, rule)) {
        context.budgets_told(spent);
    }
    with_budgets(call, rule, limits, (spending, budgets)).await
}

/// A call that its limits have room for has what its budgets say.
async fn with_budgets(
    call: &Rc<InboundCall>,
    rule: &Rule,
    limits: Holds,
    (spending, budgets): (&[BudgetDemand<'_>], Result<BudgetHolds, BudgetRefusal>),
) -> Result<(), Problem> {
    let context = &call.context;
    match budgets {
        Ok(budgets) => {
            context.note(|entry| entry.hold(CallHolds::of(call, limits, budgets)));
            Ok(())
        }
        Err(refused) if lands_softly(refused, rule) => land_softly(call, rule, limits).await,
        Err(refused) => {
            let Some(demand) = spending.get(refused.at) else { return Err(unavailable()) };
            context.note(|entry| entry.limited(demand.budget.name()));
            Err(budgets::refusal(call, demand, refused))
        }
    }
}

/// True if a call that a budget has no room for may go to what costs less.
fn lands_softly(refused: BudgetRefusal, rule: &Rule) -> bool {
    refused.lands_softly && rule.fallbacks.iter().any(|fallback| rule.is_landing(fallback))
}

/// Takes a call that a budget has no room for to the fallbacks of its rule, if there is room for what they may cost.
async fn land_softly(call: &Rc<InboundCall>, rule: &Rule, limits: Holds) -> Result<(), Problem> {
    let context = &call.context;
    let spending = budgets::demands(call, rule, TargetReach::Landing)?;
    let keeper = context.worker.limiter.budgets();
    let (mut spent, budgets) = keeper.take(&spending, budgets::lease(call, rule)).await;
    spent.iter_mut().zip(&spending).for_each(|(told, demand)| told.is_exceeded |= demand.budget.lands_softly());
    context.budgets_told(spent);
    match budgets {
        Ok(budgets) => {
            context.land_softly();
            context.note(|entry| entry.hold(CallHolds::of(call, limits, budgets)));
            Ok(())
        }
        Err(refused) => {
            let Some(demand) = spending.get(refused.at) else { return Err(unavailable()) };
            context.note(|entry| entry.limited(demand.budget.name()));
            Err(budgets::refusal(call, demand, refused))
        }
    }
}

/// The parts that a call would take of its limits, and the refusal of one that may use more than there ever is.
fn demands<'a>(call: &'a InboundCall, rule: &'a Rule, route: &str) -> (Vec<Demand<'a>>, Option<Problem>) {
    let own = call.context.consumer().map_or(&[][..], |consumer| &consumer.limits);
    let (mut demands, mut too_large) = (Vec::with_capacity(own.len() + rule.limits.len()), None);
    for limit in own.iter().chain(&rule.limits) {
        if limit.counts_use() && !call.operation.is_metered() {
            continue;
        }
        let key = key(call, limit, route);
        let cost = match limit.unit {
            LimitUnit::Requests => Ok(1),
            LimitUnit::Cost => {
                let dearest = |tokens| budgets::dearest(call, (rule, TargetReach::All), tokens, limit.unpriced_is_free);
                money(call, (limit, &key), dearest)
                    .and_then(|cost| cost.map_err(|most| self::too_large(call, limit, most)))
            }
            _ => tokens(call, limit, &key).map_err(|most| self::too_large(call, limit, most)),
        };
        let cost = cost.unwrap_or_else(|problem| {
            too_large.get_or_insert(problem);
            0
        });
        demands.push(Demand::of(limit, key, cost));
    }
    (demands, too_large)
}

/// The key under which a limit counts the call.
fn key(call: &InboundCall, limit: &PreparedLimit, route: &str) -> LimitKey {
    let consumer = call.context.consumer().map(|consumer| consumer.id().0.as_bytes());
    match &limit.per {
        Per::Consumer => limit.key(consumer.map(std::iter::once)),
        Per::Route => limit.key(Some(std::iter::once(route.as_bytes()))),
        Per::Header(name) => {
            let values = call.headers.contains_key(name).then(|| call.headers.get_all(name).iter());
            limit.key(values.map(|values| values.map(HeaderValue::as_bytes)))
        }
        // Its attempts are one, whoever calls.
        Per::Provider => limit.key(None::<std::iter::Empty<&[u8]>>),
    }
}

/// The tokens that a call may use: its prompt, about, and as many as it lets its answer have; else what answers mostly have.
///
/// # Errors
/// It may use so many, which is more than there ever is.
pub(super) fn tokens(call: &InboundCall, limit: &PreparedLimit, key: &LimitKey) -> Result<u64, u64> {
    let input = match limit.unit {
        LimitUnit::OutputTokens => 0,
        _ => call.prompt_tokens(),
    };
    let (answers, output) = match limit.unit {
        LimitUnit::InputTokens => (1, Some(0)),
        _ => output_tokens(call),
    };
    let most = input.saturating_add(output.unwrap_or_default());
    if most > limit.amount {
        return Err(most);
    }
    let typical = || typical(call, (limit, key), answers).min(limit.amount - most);
    // What takes nothing would be let in whatever has been used.
    Ok((most + if output.is_none() { typical() } else { 0 }).max(1))
}

/// The money that a call may cost, by the same tokens and what so many of them cost at most. What costs nothing always has room.
/// `Err` within: so much, which is more than there ever is.
///
/// # Errors
/// Nobody knows a price.
pub(super) fn money(
    call: &InboundCall,
    (limit, key): (&PreparedLimit, &LimitKey),
    at_most: impl Fn((u64, u64)) -> Result<u64, Problem>,
) -> Result<Result<u64, u64>, Problem> {
    let (input, (answers, output)) = (call.prompt_tokens().max(1), output_tokens(call));
    let of = |output: u64| at_most((input, output)).map(|most| most.div_ceil(LimitUnit::PICODOLLARS));
    let most = of(output.unwrap_or_default())?;
    if most > limit.amount {
        return Ok(Err(most));
    }
    match output {
        Some(_) => Ok(Ok(most)),
        None => of(typical(call, (limit, key), answers)).map(|most| Ok(most.min(limit.amount))),
    }
}

/// The number of answers that a call asks for, and the tokens that it lets all of them have; `None`: it does not say.
fn output_tokens(call: &InboundCall) -> (u64, Option<u64>) {
    if !call.operation.generates() {
        return (1, Some(0));
    }
    let answers = call.answers();
    (answers, call.peek.max_tokens.map(|each| each.saturating_mul(answers)))
}

/// The tokens that so many answers to the calls of a limit mostly have.
fn typical(call: &InboundCall, (limit, key): (&PreparedLimit, &LimitKey), answers: u64) -> u64 {
    call.context.worker.limiter.shared().typical(key, limit).saturating_mul(answers)
}

/// Says how the limits stand, as the vendor of the caller's dialect does. What the provider says of its own in such headers goes:
/// beside the gateway's nobody could tell whose is whose.
pub(super) fn tell(headers: &mut HeaderMap, dialect: Dialect, all: &[Told]) {
    if all.iter().any(|told| names(dialect, told.unit).is_some()) {
        let other = |name: &&HeaderName| BEGINNINGS.iter().any(|beginning| name.as_str().starts_with(beginning));
        while let Some(name) = headers.keys().find(other).cloned() {
            headers.remove(name);
        }
    }
    tell_money(headers, all);
    for told in all {
        let Some(own) = names(dialect, told.unit) else { continue };
        // Of several the tightest counts.
        let is_tighter = |other: &Told| {
            other.remaining < told.remaining && names(dialect, other.unit).is_some_and(|name| std::ptr::eq(name, own))
        };
        if all.iter().any(is_tighter) {
            continue;
        }
        let when = if says_a_time(dialect) { at(SystemTime::now(), told.reset) } else { span(told.reset) };
        headers.insert(own.limit.clone(), HeaderValue::from(told.amount));
        headers.insert(own.remaining.clone(), HeaderValue::from(told.remaining));
        if let Ok(when) = HeaderValue::try_from(when) {
            headers.insert(own.reset.clone(), when);
        }
    }
}

/// Says how the tightest limit of cost stands. Vendors have no words for it.
fn tell_money(headers: &mut HeaderMap, all: &[Told]) {
    let own = all.iter().filter(|told| told.unit == LimitUnit::Cost);
    let Some(told) = own.min_by_key(|told| told.remaining) else { return };
    let values = [LimitUnit::dollars(told.amount), LimitUnit::dollars(told.remaining), span(told.reset)];
    for (name, value) in COST.into_iter().zip(values) {
        if let Ok(value) = HeaderValue::try_from(value) {
            headers.insert(name, value);
        }
    }
}

/// A time as Anthropic says it, in whole seconds.
fn at(now: SystemTime, after: Duration) -> String {
    let at = Timestamp::try_from(now + after + Duration::from_millis(999)).unwrap_or_default();
    format!("{at:.0}")
}

/// A span as OpenAI says it: `6m0s`, `1s`, `120ms`.
fn span(span: Duration) -> String {
    let millis = u64::try_from(span.as_millis()).unwrap_or(u64::MAX);
    let mut text = String::with_capacity(24);
    // Of each call: what `format` does for it would be a tenth of all that is told.
    let mut put = |number: u64, unit: &str| {
        text.push_str(itoa::Buffer::new().format(number));
        text.push_str(unit);
    };
    if millis < 1_000 {
        put(millis, "ms");
        return text;
    }
    let seconds = millis.div_ceil(1_000);
    let (hours, minutes, rest) = (seconds / 3_600, seconds / 60 % 60, seconds % 60);
    if hours > 0 {
        put(hours, "h");
    }
    if hours > 0 || minutes > 0 {
        put(minutes, "m");
    }
    put(rest, "s");
    text
}

#[cfg(test)]
mod tests {
    use std::time::UNIX_EPOCH;

    use super::*;

    #[test]
    fn times_are_said_as_each_vendor_says_them() {
        for (millis, text) in
            [(0, "0ms"), (120, "120ms"), (1_000, "1s"), (61_001, "1m2s"), (360_000, "6m0s"), (7_260_000, "2h1m0s")]
        {
            assert_eq!(span(Duration::from_millis(millis)), text);
        }
        let at = |millis: u64| at(UNIX_EPOCH, Duration::from_millis(millis));
        assert_eq!((at(1_000).as_str(), at(59_001).as_str()), ("1970-01-01T00:00:01Z", "1970-01-01T00:01:00Z"));
    }

    #[test]
    fn of_several_limits_in_one_unit_the_tightest_is_told() {
        const MONEY: [&str; 2] =
            [r#"x-sluicegate-cost-limit: "2.50""#, r#"x-sluicegate-cost-remaining: "0.000000005""#];
        let told = |unit: LimitUnit, amount: u64, remaining: u64| Told {
            unit,
            amount,
            remaining,
            reset: Duration::from_secs(60),
        };
        let all = [
            told(LimitUnit::Requests, 100, 40),
            told(LimitUnit::Requests, 10, 3),
            told(LimitUnit::Tokens, 1_000, 900),
            told(LimitUnit::OutputTokens, 500, 100),
            told(LimitUnit::Cost, 2_500_000_000, 5),
        ];
        let headers = |dialect: Dialect| {
            let mut headers = HeaderMap::new();
            // The provider's own, one of them by a name that the gateway has no use for.
            for name in
                ["x-ratelimit-limit-requests", "x-ratelimit-limit-project-tokens", "anthropic-ratelimit-x-limit"]
            {
                headers.insert(name, HeaderValue::from(7));
            }
            if names(dialect, LimitUnit::Requests).is_none() {
                headers.clear();
            }
            tell(&mut headers, dialect, &all);
            let mut lines: Vec<_> = headers.iter().map(|(name, value)| format!("{name}: {value:?}")).collect();
            lines.retain(|line| !line.contains("reset"));
            lines.sort_unstable();
            lines
        };
        assert_eq!(
            headers(Dialect::OpenAiResponses),
            [
                r#"x-ratelimit-limit-requests: "10""#,
                r#"x-ratelimit-limit-tokens: "500""#,
                r#"x-ratelimit-remaining-requests: "3""#,
                r#"x-ratelimit-remaining-tokens: "100""#,
                MONEY[0],
                MONEY[1],
            ]
        );
        assert_eq!(
            headers(Dialect::AnthropicMessages),
            [
                r#"anthropic-ratelimit-output-tokens-limit: "500""#,
                r#"anthropic-ratelimit-output-tokens-remaining: "100""#,
                r#"anthropic-ratelimit-requests-limit: "10""#,
                r#"anthropic-ratelimit-requests-remaining: "3""#,
                r#"anthropic-ratelimit-tokens-limit: "1000""#,
                r#"anthropic-ratelimit-tokens-remaining: "900""#,
                MONEY[0],
                MONEY[1],
            ]
        );
        assert_eq!(headers(Dialect::Gemini), MONEY);
    }
}
