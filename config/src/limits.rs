//! Rate limits and budgets, as proxies run on them.

use serde::{Deserialize, Serialize};

/// The most that is taken within any window of time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RateLimit {
    /// The calls that are counted together.
    pub per: LimitPer,
    /// The unit that it counts in.
    pub unit: LimitUnit,
    /// The most within any window; above 0.
    pub amount: u64,
    /// The length of the window, in milliseconds; a second or more.
    pub window: u64,
    /// The treatment of calls while the shared count can not be had.
    #[serde(default, skip_serializing_if = "OnUnavailable::is_share")]
    pub on_unavailable: OnUnavailable,
}

/// Calls that are counted together, within those that a limit is about.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum LimitPer {
    /// Those of one consumer.
    Consumer,
    /// Those of one route.
    Route,
    /// Those with one value of this header, lower case.
    Header(String),
}

/// The unit that a limit counts in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum LimitUnit {
    /// Calls.
    Requests,
    /// Tokens of prompt and answer.
    Tokens,
    /// Tokens of the prompt.
    InputTokens,
    /// Tokens of the answer.
    OutputTokens,
}

/// The treatment of calls while the shared count can not be had.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Default)]
#[serde(rename_all = "camelCase")]
pub enum OnUnavailable {
    /// Each proxy takes its part of the amount.
    #[default]
    Share,
    /// All are taken.
    FailOpen,
    /// None is taken.
    FailClosed,
}

impl OnUnavailable {
    /// True if each proxy takes its part.
    #[must_use]
    pub const fn is_share(&self) -> bool {
        matches!(self, Self::Share)
    }
}

/// The most that calls may cost within a period.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Budget {
    /// The object whose calls it counts, as people call it: `LLMConsumer ns/name`, `LLMRoute ns/name/rule`.
    pub of: String,
    /// The unit that it counts in.
    pub unit: BudgetUnit,
    /// The most within a period, in picodollars or tokens; above 0, and of 63 bits.
    pub amount: u64,
    /// The period.
    pub period: BudgetPeriod,
    /// The time zone of its calendar; empty: UTC.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub time_zone: String,
    /// Calls are counted, and never refused.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub shadow: bool,
    /// The treatment of a call that there is no room for.
    #[serde(default, skip_serializing_if = "BudgetExceeded::is_reject")]
    pub on_exceeded: BudgetExceeded,
    /// A model that nobody knows the price of counts as nothing; else its calls are refused.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub unpriced_is_free: bool,
    /// The treatment of calls while the shared count can not be had.
    #[serde(default, skip_serializing_if = "OnUnavailable::is_share")]
    pub on_unavailable: OnUnavailable,
    /// Percentages of the amount that are told of, ascending.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub alert_at: Vec<u8>,
}

/// The unit of a budget.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum BudgetUnit {
    /// Picodollars.
    Usd,
    /// Tokens of prompt and answer.
    Tokens,
}

/// The period of a budget, by the calendar.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
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

/// The treatment of a call that a budget has no room for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Default)]
#[serde(rename_all = "camelCase")]
pub enum BudgetExceeded {
    /// It is refused.
    #[default]
    Reject,
    /// It is taken, and its answer says so.
    Warn,
    /// It goes to the fallbacks of its rule, where there is room for what they may cost.
    Fallback,
}

impl BudgetExceeded {
    /// True if it is refused.
    #[must_use]
    pub const fn is_reject(&self) -> bool {
        matches!(self, Self::Reject)
    }
}
