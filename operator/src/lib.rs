//! The control plane: resources in, compiled configuration and a true status out.
//!
//! The life of a resource is one walk: `watch` → `world` → `gather` → `config::compile` → `publish` → `status_writer`, with
//! [`rollout`] telling what proxies run. `reconcile` reads as its table of contents.

pub mod admin;
pub mod client;
pub mod command;
pub mod events;
pub mod gather;
pub mod generated_keys;
pub mod lease;
pub mod metrics;
pub mod offline;
pub mod owner;
pub mod process;
pub mod publish;
mod randomness;
pub mod reconcile;
pub mod rewound;
pub mod rollout;
pub mod settings;
pub mod status;
pub mod status_writer;
pub mod token;
pub mod watch;
mod watch_pause;
pub mod world;
