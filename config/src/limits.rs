//! Rate limits, as proxies run on them.

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
