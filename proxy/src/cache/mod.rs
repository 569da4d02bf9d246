//! Answers kept and given again: key, entry, memory in front of Redis, which is a room of its own.
//!
//! `SharedCache` is one per process, `Store` one per worker, `Plan` one per rule and configuration. A call asks
//! `store.look_up(&plan, &asked)` and gets a `CacheLookup`: an answer, the lead to fetch and keep one, or a bypass.

pub mod entry;
#[cfg(any(test, feature = "fuzzing"))]
#[expect(clippy::expect_used, reason = "a check says what it expects")]
pub(crate) mod fuzzing;
pub mod key;
pub mod lead;
pub mod lookup;
pub mod memory;
pub mod promotion;
pub mod recorder;
pub mod stats;
pub mod store;

pub use entry::{Meta, Wall};
pub use key::{CacheQuery, Key, Recipe, Uncacheable};
pub use lead::Lead;
pub use lookup::{CacheLookup, Hit, Layer, RedisQuestion, wants_its_own};
pub use recorder::Recorder;
pub use stats::{Refused, Stats};
pub use store::{Plan, SharedCache, Store};
