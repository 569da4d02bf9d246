//! Standalone mode: a folder of manifests, read, compiled, watched; the last good configuration is never lost.
//!
//! `Source::open` then `Source::run` on the control thread; whoever runs on a configuration subscribes to the
//! [`Configuration`]s it publishes.

mod compiler;
mod folder;
mod report;
mod standalone;
pub mod watch;

pub use compiler::Compiler;
pub use report::{ObjectReport, ObjectState, Problem, Report, Severity};
pub use standalone::{Configuration, Source, Subscription};
