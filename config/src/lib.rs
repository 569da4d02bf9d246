//! The words proxies run on (`Snapshot`), and, behind the feature `compile`, the pure function from resources to them.
//!
//! The core knows no Kubernetes and no clock: plain values that serialise to the same bytes for the same input.

mod compatibility;
#[cfg(feature = "compile")]
pub mod compile;
mod features;
pub mod forwarding;
mod kind;
pub mod published;
pub mod rollout;
mod snapshot;

pub use compatibility::{BetaAction, Compatibility, FieldAction, ReasoningContent};
pub use features::FEATURES;
pub use kind::Kind;
pub use snapshot::*;
