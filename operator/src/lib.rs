//! The control plane: resources in, compiled configuration and a true status out.
//!
//! The life of a resource is one walk: `watch` → `world` → `gather` → `config::compile` → `publish` → `judge`, with
//! [`rollout`] telling what proxies run. `turn` reads as its table of contents.

pub mod events;
pub mod metrics;
pub mod rollout;
pub mod status;
