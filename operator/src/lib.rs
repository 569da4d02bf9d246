//! The control plane: resources in, compiled configuration and a true status out.
//!
//! The life of a resource is one walk: `watch` → `world` → `gather` → `config::compile` → `publish` → `judge`, with
//! [`rollout`] telling what proxies run. `turn` reads as its table of contents.

pub mod admin;
pub mod client;
pub mod events;
pub mod gather;
pub mod judge;
pub mod lease;
pub mod metrics;
pub mod offline;
pub mod owner;
pub mod process;
pub mod publish;
pub mod rollout;
pub mod settings;
pub mod status;
pub mod turn;
pub mod watch;
pub mod word;
pub mod world;
