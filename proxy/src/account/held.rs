//! Things that a call holds until its end, and the facts by which they are settled.

use std::fmt;

use sluicegate_dialects::hub::Usage;

/// Something that a call took beforehand. Dropped without a settlement, all of it is given back.
pub trait Held: fmt::Debug {
    /// The call is over, however it ended.
    fn settle(self: Box<Self>, by: Settlement);
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
    /// A stream was left before its first token: its prompt, at most.
    Prompt,
    /// Nobody has said what was used, and something was: an answer without a word on it, or an attempt that was given up.
    Unknown,
}
