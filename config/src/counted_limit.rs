//! Limits as statuses tell of their use: which object's they are, and by what proxies name them when they do.

use crate::limits::{LimitPer, LimitUnit, RateLimit};

/// A limit of an object, as its status tells of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CountedLimit {
    /// The object or the part of it whose calls it counts, as people call it: `LLMConsumer ns/name`, `LLMRoute ns/name/rule`.
    pub of: String,
    /// The part of the object, such as a rule's name; `None`: the whole.
    pub part: Option<String>,
    /// The limit.
    pub terms: CountedTerms,
}

/// The terms of a limit, as statuses tell of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CountedTerms {
    /// So much within any window.
    Rate(Box<RateLimit>),
    /// So many calls at once.
    Concurrency(u32),
}

impl CountedLimit {
    /// The text by which it is known whatever its amount: equal for those that are one count.
    #[must_use]
    pub fn identity(&self) -> String {
        match &self.terms {
            CountedTerms::Rate(limit) => rate_identity(&self.of, limit),
            CountedTerms::Concurrency(_) => concurrency_identity(&self.of),
        }
    }
}

/// The text by which a limit of rate is known.
#[must_use]
pub fn rate_identity(of: &str, limit: &RateLimit) -> String {
    let (per, header) = match &limit.per {
        LimitPer::Consumer => ("consumer", ""),
        LimitPer::Route => ("route", ""),
        LimitPer::Header(name) => ("header ", name.as_str()),
        LimitPer::Provider => ("provider", ""),
    };
    format!("rate|{of}|{}|{}|{per}{header}", limit.unit.label(), limit.window)
}

/// The text by which a limit of concurrency is known.
#[must_use]
pub fn concurrency_identity(of: &str) -> String {
    format!("concurrency|{of}")
}

/// An amount of a unit as people write it, without the unit.
#[must_use]
pub fn limit_amount(unit: LimitUnit, amount: u64) -> String {
    if unit == LimitUnit::Cost { LimitUnit::dollars(amount) } else { amount.to_string() }
}
