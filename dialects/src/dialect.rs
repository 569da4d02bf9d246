//! The names of the wire languages.

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

impl Dialect {
    /// The path of its one call, below the version prefix (`/v1`).
    #[must_use]
    pub fn path(self) -> &'static str {
        match self {
            Self::OpenAiChat => "/chat/completions",
            Self::AnthropicMessages => "/messages",
        }
    }

    /// What people call it, for messages.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::OpenAiChat => "OpenAI Chat Completions",
            Self::AnthropicMessages => "Anthropic Messages",
        }
    }
}
