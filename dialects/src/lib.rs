//! The wire languages of LLM APIs, sans-IO: one neutral hub, one spoke per dialect, never a converter per pair.
//!
//! Nothing here reads a clock, the environment or a socket. Bytes in, values out, and back.

pub mod hub;

use serde::{Deserialize, Serialize};

/// A wire language: one request path, one body shape, one stream framing, one error shape.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Dialect {
    /// OpenAI Chat Completions: `POST /v1/chat/completions`.
    OpenAiChat,
    /// Anthropic Messages: `POST /v1/messages`.
    AnthropicMessages,
}
