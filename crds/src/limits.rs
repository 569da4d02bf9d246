//! Limits: how much may be asked for within a time, and how much it may cost.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::concurrency::{CallQueue, Concurrency};
use crate::patterns;
use crate::rules::{self, validations};
use crate::scalar::{Amount, Duration, LimitAmount};

/// The limits of calls.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(extend("x-kubernetes-validations" = validations(&[rules::LIMITS_ANY])))]
pub struct Limits {
    /// Rate limits. A call is taken if every one of them has room for it, and counts in all of them or in none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(
        length(min = 1, max = 8),
        extend("x-kubernetes-list-type" = "atomic", "x-kubernetes-validations" = validations(&[rules::LIMITS_ONCE]))
    )]
    pub rate: Vec<RateLimit>,
    /// Budgets. A call is taken if every one of them has room for what it may cost, and is booked in all of them or in none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(
        length(min = 1, max = 8),
        extend("x-kubernetes-list-type" = "atomic", "x-kubernetes-validations" = validations(&[rules::BUDGETS_ONCE]))
    )]
    pub budgets: Vec<Budget>,
    /// The most calls that providers work on at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub concurrency: Option<Concurrency>,
}

/// The most that calls may cost within a period of the calendar, over all proxies together where they share a Redis.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(extend("x-kubernetes-validations" = validations(&[
    rules::BUDGET_TOKENS, rules::BUDGET_DOLLARS, rules::BUDGET_ZONE,
])))]
pub struct Budget {
    /// The unit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unit: Option<BudgetUnit>,
    /// The most that is spent within a period, in quotes: dollars such as `"12.50"`, or a number of tokens such as `"1000000"`.
    pub amount: Amount,
    /// The period, by the calendar: `Hourly`, `Daily`, `Weekly` (from Monday on), `Monthly`, `Yearly`, or `Total`, which never ends.
    pub period: BudgetPeriod,
    /// The time zone in which days, weeks, months and years begin, such as `Europe/Berlin`. Default: UTC.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 64), regex(pattern = patterns::TIME_ZONE))]
    pub time_zone: Option<String>,
    /// The calls that are counted together, where those are not all of its object.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub per: Option<BudgetPer>,
    /// The part that it plays.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mode: Option<BudgetMode>,
    /// The treatment of a call that there is no room for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on_exceeded: Option<BudgetExceeded>,
    /// The treatment of a call whose price nobody knows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unknown_price: Option<UnknownPrice>,
    /// The treatment of calls while Redis is away.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on_unavailable: Option<OnUnavailable>,
    /// Percentages of the amount: the first time in a period that more is spent is counted in a metric and logged.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(min = 1, max = 8), inner(range(min = 1, max = 100)), extend("x-kubernetes-list-type" = "set"))]
    pub alert_at: Vec<u8>,
}

/// `Key`: each key of the consumer has so much by itself, and so have all its tokens together. Left out: all calls together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum BudgetPer {
    /// Those of one key.
    Key,
}

/// The unit: `USD` (by the prices of the pools' models) or `Tokens` (of prompt and answer). Default: `USD`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum BudgetUnit {
    /// US dollars.
    #[serde(rename = "USD")]
    Usd,
    /// Tokens of prompt and answer.
    Tokens,
}

/// The period of a budget.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum BudgetPeriod {
    /// An hour of the clock.
    Hourly,
    /// A day.
    Daily,
    /// A week, from Monday on.
    Weekly,
    /// A month.
    Monthly,
    /// A year.
    Yearly,
    /// All the time.
    Total,
}

/// `Enforce`, or `Shadow`: it is counted, and no call is ever refused for it. Default: `Enforce`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum BudgetMode {
    /// It does.
    Enforce,
    /// It counts, and no more.
    Shadow,
}

/// The treatment of a call that there is no room for: `Reject`, `Warn` (it is taken, and the answer says so), or `Fallback` (it goes
/// to the rule's fallbacks alone, if there is room for what they may cost; else it is refused). Default: `Reject`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum BudgetExceeded {
    /// It is refused.
    Reject,
    /// It is taken, and its answer says so.
    Warn,
    /// It goes to the fallbacks of its rule, where there is room for what they may cost.
    Fallback,
}

/// The treatment of a call that may go to a model whose price nobody knows: `Refuse`, or `Free` (it counts as nothing). Where a rate
/// limit says it, it is for the unit `Cost`. Default: `Refuse`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum UnknownPrice {
    /// It is refused.
    Refuse,
    /// It counts as nothing.
    Free,
}

/// The most that is taken within any window of time, over all proxies together where they share a Redis.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(extend("x-kubernetes-validations" = validations(&[
    rules::LIMIT_HEADER, rules::LIMIT_WINDOW, rules::LIMIT_QUEUE, rules::LIMIT_WHOLE, rules::LIMIT_COST, rules::LIMIT_PRICE,
])))]
pub struct RateLimit {
    /// The calls that are counted together: those of one `Consumer` (calls that nobody known makes are one), of one `Route`, or
    /// with one value of a `Header` (calls without it are one).
    pub per: LimitPer,
    /// For `Header`: its name, in any case.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 128), regex(pattern = patterns::HEADER_NAME))]
    pub header: Option<String>,
    /// `Requests`, `Tokens` (of prompt and answer), `InputTokens`, `OutputTokens`, or `Cost` (by the prices of the pools' models).
    pub unit: LimitUnit,
    /// The most that is taken within any window: a whole number such as `100000`; of `Cost` dollars in quotes such as `"2.50"`.
    pub amount: LimitAmount,
    /// The length of the window, which slides: from 1s to 24h. Default: 1m.
    #[serde(default = "minute")]
    pub window: Duration,
    /// The treatment of a call that there is no room for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on_exceeded: Option<OnExceeded>,
    /// For `Queue`: the bounds of the queue, for the calls that are counted together. Left out: those that a queue has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub queue: Option<CallQueue>,
    /// The treatment of a call whose price nobody knows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unknown_price: Option<UnknownPrice>,
    /// The treatment of calls while Redis is away.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on_unavailable: Option<OnUnavailable>,
}

pub(crate) fn minute() -> Duration {
    "1m".into()
}

/// Calls that are counted together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum LimitPer {
    /// Those of one consumer.
    Consumer,
    /// Those of one route.
    Route,
    /// Those with one value of a header.
    Header,
}

/// The unit that a limit counts in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum LimitUnit {
    /// Calls.
    Requests,
    /// Tokens of prompt and answer.
    Tokens,
    /// Tokens of the prompt, those from a vendor's cache too.
    InputTokens,
    /// Tokens of the answer.
    OutputTokens,
    /// US dollars.
    Cost,
}

/// The treatment of a call that there is no room for: `Reject` (status 429), or `Queue`: it waits for room. Default: `Reject`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum OnExceeded {
    /// It is refused.
    Reject,
    /// It waits.
    Queue,
}

/// The treatment of calls while Redis is away: `Share` (each proxy takes its part of what was left), `FailOpen` (all are taken) or
/// `FailClosed` (none is). Default: `Share`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum OnUnavailable {
    /// Each proxy takes its part of the amount.
    Share,
    /// All are taken.
    FailOpen,
    /// None is taken.
    FailClosed,
}
