//! The choice of the provider that takes the next attempt: filters, tiers, pick. Pure: what is known comes in, an index
//! goes out.
//!
//! Filters, in this order: serves the model, has a weight, not tried yet, circuit. Then the tier: the lowest
//! priority that has anybody left, where healthy ones go before those that cool down. Then the strategy picks.

mod pick;
mod split;

pub use pick::{Candidate, Chosen, Picker, Tried, pick};
pub use split::Split;

#[cfg(test)]
mod tests;
