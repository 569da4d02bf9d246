//! Rate limits and budgets, as proxies run on them.

use serde::{Deserialize, Serialize};

use crate::concurrency::CallQueue;

/// The most that is taken within any window of time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RateLimit {
    /// The calls that are counted together.
    pub per: LimitPer,
    /// The unit that it counts in.
    pub unit: LimitUnit,
    /// The most within any window, of money in billionths of a dollar; above 0, and of 50 bits.
    pub amount: u64,
    /// The length of the window, in milliseconds; a second or more.
    pub window: u64,
    /// The queue of the calls that there is no room for; `None`: they are refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub queue: Option<CallQueue>,
    /// A model that nobody knows the price of counts as nothing; else its calls are refused. For money.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub unpriced_is_free: bool,
    /// The treatment of calls while the shared count can not be had.
    #[serde(default, skip_serializing_if = "OnUnavailable::is_share")]
    pub on_unavailable: OnUnavailable,
}

impl RateLimit {
    /// The length of its window as people write it: `1m`, `90s`, `1500ms`.
    #[must_use]
    pub fn window_in_words(&self) -> String {
        let millis = self.window;
        for (unit, scale) in [("h", 3_600_000), ("m", 60_000), ("s", 1_000)] {
            if millis > 0 && millis.is_multiple_of(scale) {
                return format!("{}{unit}", millis / scale);
            }
        }
        format!("{millis}ms")
    }
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
    /// The attempts at one provider, or with one of its keys.
    Provider,
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
    /// Billionths of a US dollar.
    Cost,
}

impl LimitUnit {
    /// So many picodollars are one of what it counts money in. Redis counts whole numbers of 53 bits.
    pub const PICODOLLARS: u64 = 1_000;

    /// The label of metrics.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Requests => "requests",
            Self::Tokens => "tokens",
            Self::InputTokens => "input_tokens",
            Self::OutputTokens => "output_tokens",
            Self::Cost => "cost",
        }
    }

    /// So much of it in words: `1 request`, `60 requests`, `2.50 USD`.
    #[must_use]
    pub fn written(self, amount: u64) -> String {
        let [one, many] = match self {
            Self::Requests => ["request", "requests"],
            Self::Tokens => ["token", "tokens"],
            Self::InputTokens => ["input token", "input tokens"],
            Self::OutputTokens => ["output token", "output tokens"],
            Self::Cost => return format!("{} USD", Self::dollars(amount)),
        };
        format!("{amount} {}", if amount == 1 { one } else { many })
    }

    /// An amount of money as people write it, without its unit.
    #[must_use]
    pub fn dollars(amount: u64) -> String {
        BudgetUnit::Usd.written(amount.saturating_mul(Self::PICODOLLARS))
    }
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
    /// The key of the consumer whose calls alone it counts; empty: its tokens. `None`: all calls of the object.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
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

impl Budget {
    /// The text by which it is known whatever its amount: equal for those that are one count.
    #[must_use]
    pub fn identity(&self) -> String {
        let Self { of, unit, period, time_zone, shadow, .. } = self;
        let shadow = if *shadow { "|shadow" } else { "" };
        format!("{of}|{}|{}|{time_zone}{shadow}", unit.label(), period.label())
    }

    /// It in words: `12.50 USD per day`.
    #[must_use]
    pub fn in_words(&self) -> String {
        let (amount, unit) = (self.unit.written(self.amount), self.unit.in_words());
        match self.period {
            BudgetPeriod::Total => format!("{amount} {unit} in total"),
            period => format!("{amount} {unit} per {}", period.label()),
        }
    }
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

impl BudgetUnit {
    /// The label of metrics.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Usd => "usd",
            Self::Tokens => "tokens",
        }
    }

    /// It in words.
    #[must_use]
    pub const fn in_words(self) -> &'static str {
        match self {
            Self::Usd => "USD",
            Self::Tokens => "tokens",
        }
    }

    /// An amount as people write it: dollars with what there is of their fractions, tokens whole.
    #[must_use]
    pub fn written(self, amount: u64) -> String {
        const DOLLAR: u64 = 1_000_000_000_000;
        if self == Self::Tokens {
            return amount.to_string();
        }
        let (whole, mut fraction, mut digits) = (amount / DOLLAR, amount % DOLLAR, 12);
        if fraction == 0 {
            return whole.to_string();
        }
        while digits > 2 && fraction.is_multiple_of(10) {
            (fraction, digits) = (fraction / 10, digits - 1);
        }
        format!("{whole}.{fraction:0digits$}")
    }
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

impl BudgetPeriod {
    /// It in one word.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Hourly => "hour",
            Self::Daily => "day",
            Self::Weekly => "week",
            Self::Monthly => "month",
            Self::Yearly => "year",
            Self::Total => "total",
        }
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn money_is_written_exactly() {
        for (amount, text) in [
            (0, "0"),
            (1, "0.000000000001"),
            (500_000_000_000, "0.50"),
            (12_345_600_000_000, "12.3456"),
            (9_000_000_000_000_000_000, "9000000"),
        ] {
            assert_eq!(BudgetUnit::Usd.written(amount), text);
        }
        assert_eq!(BudgetUnit::Tokens.written(7), "7");
        assert_eq!(LimitUnit::Cost.written(2_500_000_000), "2.50 USD");
        assert_eq!([1, 2].map(|amount| LimitUnit::Requests.written(amount)), ["1 request", "2 requests"]);
    }
}
