//! Answers kept and given again: key, entry, memory in front of Redis, which is a room of its own.
//!
//! `Shared` is one per process, `Store` one per worker, `Plan` one per rule and configuration. A call asks
//! `store.seat(&plan, &asked)` and gets a `Seat`: an answer, the lead to fetch and keep one, or a bypass.

pub mod entry;
pub mod key;
pub mod lead;
pub mod memory;
pub mod promotion;
pub mod recorder;
pub mod seat;
pub mod stats;
pub mod store;

pub use entry::{Meta, Wall};
pub use key::{Asked, Key, Uncacheable};
pub use lead::Lead;
pub use recorder::Recorder;
pub use seat::{Hit, Layer, Seat};
pub use stats::{Refused, Stats};
pub use store::{Plan, Shared, Store};
