//! Learning from one another: what one proxy finds out of an endpoint the others know within a moment, through a short log in Redis that
//! all of them follow. No call asks or waits for it: it becomes what each proxy knows of the endpoint anyway.
//!
//! `message` is what is written, which anybody may have written; `keeper` tells this process's news and hears the others'.

#[cfg(any(test, feature = "fuzzing"))]
pub(crate) mod fuzzing;
mod keeper;
mod message;

pub use keeper::{Learning, LearningKeeper};
