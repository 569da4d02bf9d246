//! The wire languages of LLM APIs, sans-IO: one neutral hub, one spoke per dialect, never a converter per pair.
//!
//! Nothing here reads a clock, the environment or a socket. Bytes in, values out, and back.

pub mod anthropic;
mod dialect;
mod dispatch;
pub mod estimate;
pub mod fold;
pub mod hub;
mod json;
pub mod openai;
mod overflow;
mod place;
mod scan;
mod seam;
pub mod sse;
pub mod tap;
mod text;
pub mod vendors;
pub mod verbatim;

pub use dialect::Dialect;
pub use dispatch::{StreamDecoder, StreamEncoder};
pub use seam::{Encoded, Malformed, Refusal, StreamOptions, Target};
