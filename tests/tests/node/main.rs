//! What is promised of pods, tried on a whole node. Without root these tests say that they were skipped, and pass.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a test says what it expects")]

mod credentials;
mod gateway;
mod install;
mod keda;
mod load;
mod node;
mod pods;
mod redis;
mod scaling;
mod services;
