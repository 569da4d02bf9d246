//! The source of the configuration: a folder of manifests, or what an operator publishes in a cluster. The last
//! good configuration is never lost.
//!
//! Standalone, `Source::open` reads once, `Source::run` follows the folder on the control thread; whoever runs on a
//! configuration holds a [`Subscription`]. In a cluster, [`Gateway::next`] gives one [`Update`] after the other.

mod assembly;
mod change;
mod cluster;
mod folder;
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) mod fuzzing;
mod gateway;
mod missing;
mod objects;
mod published;
mod report;
mod standalone;
mod telling;
pub mod watch;

pub use change::Change;
pub use cluster::Cluster;
pub use gateway::{Gateway, Update};
pub use report::{ObjectReport, ObjectState, Report, SourceProblem};
pub use standalone::{Configuration, Source, Subscription};
