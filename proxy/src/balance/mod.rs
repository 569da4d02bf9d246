//! The choice of the provider that takes the next attempt: filters, tiers, pick. Pure: what is known comes in, an index
//! goes out.
//!
//! Filters, in this order: serves the model, has a weight, not tried yet, circuit. Then the tier: the lowest
//! priority that has anybody left, in which the nearer region goes first; healthy ones go before those that cool down. Then the call's
//! conversation decides, where those are kept together, else the strategy picks.

mod candidate;
mod pick;
mod rendezvous;
mod split;

pub use candidate::{Candidate, Measure};
pub use pick::{Chosen, Picker, Tried, pick};
pub use rendezvous::{ConversationKey, home};
pub use split::Split;

#[cfg(test)]
mod tests;
