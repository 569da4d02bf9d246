//! Limits: how much may be asked for within a time.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::patterns;
use crate::rules::{self, validations};
use crate::scalar::Duration;

/// The limits of calls.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Limits {
    /// Rate limits. A call is taken if every one of them has room for it, and counts in all of them or in none.
    #[schemars(
        length(min = 1, max = 8),
        extend("x-kubernetes-list-type" = "atomic", "x-kubernetes-validations" = validations(&[rules::LIMITS_ONCE]))
    )]
    pub rate: Vec<RateLimit>,
}

/// The most that is taken within any window of time, over all proxies together where they share a Redis.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(extend("x-kubernetes-validations" = validations(&[
    rules::LIMIT_HEADER, rules::LIMIT_WINDOW, rules::LIMIT_QUEUE,
])))]
pub struct RateLimit {
    /// The calls that are counted together: those of one `Consumer` (calls that nobody known makes are one), of one `Route`, or
    /// with one value of a `Header` (calls without it are one).
    pub per: LimitPer,
    /// For `Header`: its name, in any case.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 128), regex(pattern = patterns::HEADER_NAME))]
    pub header: Option<String>,
    /// `Requests`, `Tokens` (of prompt and answer), `InputTokens` or `OutputTokens`.
    pub unit: LimitUnit,
    /// The most that is taken within any window.
    #[schemars(range(min = 1, max = 1_000_000_000_000_i64))]
    pub amount: u64,
    /// The length of the window, which slides: from 1s to 24h. Default: 1m.
    #[serde(default = "minute")]
    pub window: Duration,
    /// The treatment of a call that there is no room for: `Reject` (status 429). Default: `Reject`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on_exceeded: Option<OnExceeded>,
    /// The treatment of calls while Redis is away: `Share` (each proxy takes its part of the amount), `FailOpen` (all are taken) or
    /// `FailClosed` (none is). Default: `Share`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on_unavailable: Option<OnUnavailable>,
}

fn minute() -> Duration {
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
}

/// The treatment of a call that there is no room for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum OnExceeded {
    /// It is refused.
    Reject,
    /// It waits.
    Queue,
}

/// The treatment of calls while Redis is away.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum OnUnavailable {
    /// Each proxy takes its part of the amount.
    Share,
    /// All are taken.
    FailOpen,
    /// None is taken.
    FailClosed,
}
