//! The shared Redis: one worker's client of a cluster or of a single node. An accelerator, never a dependency.
//!
//! It knows nothing of what is kept in it. A caller names keys, and gives commands or scripts on the keys of one slot; what
//! could not be answered in time is counted here, and is an `Unanswered` that the caller goes on without.

mod client;
mod counts;
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) mod fuzzing;
mod log;
mod login;
mod node;
mod refusal;
mod script;
mod slots;

pub use client::{RedisClient, Unanswered};
pub use counts::RedisCounts;
pub use log::{LogEntry, LogFollower};
pub use login::{BadUrl, Login, check};
pub use node::LIMIT;
pub use script::Script;

#[cfg(test)]
pub(crate) mod tests;
