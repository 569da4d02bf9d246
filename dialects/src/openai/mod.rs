//! OpenAI Chat Completions: the spoke.

pub mod error;
pub mod fold;
pub mod reply;
pub mod request;
pub mod stream;
mod wire;

pub(crate) use wire::{WireUsage, usage};
