//! Standalone mode: a folder of manifests, read, compiled, watched; the last good configuration is never lost.
//!
//! `Source::open` reads once, `Source::run` follows the folder on the control thread; whoever runs on a configuration
//! holds a [`Subscription`].

mod folder;
mod report;
mod standalone;
pub mod watch;

pub use report::{ObjectReport, ObjectState, Problem, Report};
pub use standalone::{Configuration, Source, Subscription};
