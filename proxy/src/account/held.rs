//! Things that a call holds until its end, and the facts by which they are settled.

use std::fmt;

use sluicegate_config::PicoUsd;
use sluicegate_dialects::hub::Usage;

/// Something that a call took beforehand. Dropped without a settlement, all of it is given back.
pub trait Held: fmt::Debug {
    /// The call is over, however it ended.
    fn settle(self: Box<Self>, by: Settlement, costs: Costs);
}

/// The money that a call cost, and what its other attempts used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Costs {
    /// The cost of its answer; `None`: nobody knows.
    pub answer: Option<PicoUsd>,
    /// The cost of attempts that were not its answer, as far as it is known.
    pub others: PicoUsd,
    /// The tokens of those.
    pub others_tokens: u64,
    /// The number of them that used something without a price.
    pub others_unpriced: u32,
    /// The number of them that used something of which nobody has said how much.
    pub others_unknown: u32,
}

/// The facts by which a call is settled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Settlement {
    /// No provider was asked: it was refused before.
    Unasked,
    /// It was answered with what had been kept.
    Kept,
    /// This was used; `None`: nothing, since no provider answered.
    Used(Option<Usage>),
    /// Nobody has said what was used, and something was: an answer without a word on it, or an attempt that was given up.
    Unknown,
}
