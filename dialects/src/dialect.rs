//! The names of the wire languages.

use serde::{Deserialize, Serialize};

/// A wire language: the grammar of a body, a stream and an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Dialect {
    /// OpenAI Chat Completions: `POST /v1/chat/completions`.
    OpenAiChat,
    /// Anthropic Messages: `POST /v1/messages`.
    AnthropicMessages,
    /// OpenAI's legacy Completions: `POST /v1/completions`.
    OpenAiCompletions,
    /// Google's Gemini API: `POST /v1beta/models/{model}:generateContent`.
    Gemini,
    /// OpenAI Responses: `POST /v1/responses`.
    OpenAiResponses,
    /// Bedrock's InvokeModel for Anthropic's models: `POST /model/{model}/invoke`.
    BedrockInvoke,
    /// Cohere's Chat: `POST /v2/chat`.
    CohereChat,
    /// Bedrock's Converse, for every model there: `POST /model/{model}/converse`.
    BedrockConverse,
}

impl Dialect {
    /// All of them.
    pub const ALL: &'static [Self] = &[
        Self::OpenAiChat,
        Self::AnthropicMessages,
        Self::OpenAiCompletions,
        Self::Gemini,
        Self::OpenAiResponses,
        Self::BedrockInvoke,
        Self::CohereChat,
        Self::BedrockConverse,
    ];

    /// Its number in what is kept: never another's.
    #[must_use]
    pub const fn code(self) -> u8 {
        match self {
            Self::OpenAiChat => 1,
            Self::AnthropicMessages => 2,
            Self::OpenAiCompletions => 3,
            Self::Gemini => 4,
            Self::OpenAiResponses => 5,
            Self::BedrockInvoke => 6,
            Self::CohereChat => 8,
            Self::BedrockConverse => 7,
        }
    }

    /// The one with this number.
    #[must_use]
    pub fn of_code(code: u8) -> Option<Self> {
        Self::ALL.iter().copied().find(|dialect| dialect.code() == code)
    }

    /// The word for it where it is written down: that of its serialised form.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::OpenAiChat => "openAiChat",
            Self::AnthropicMessages => "anthropicMessages",
            Self::OpenAiCompletions => "openAiCompletions",
            Self::Gemini => "gemini",
            Self::OpenAiResponses => "openAiResponses",
            Self::BedrockInvoke => "bedrockInvoke",
            Self::CohereChat => "cohereChat",
            Self::BedrockConverse => "bedrockConverse",
        }
    }

    /// The name that people call it by, for messages.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::OpenAiChat => "OpenAI Chat Completions",
            Self::AnthropicMessages => "Anthropic Messages",
            Self::OpenAiCompletions => "OpenAI Completions",
            Self::Gemini => "Gemini",
            Self::OpenAiResponses => "OpenAI Responses",
            Self::BedrockInvoke => "Bedrock InvokeModel",
            Self::CohereChat => "Cohere Chat",
            Self::BedrockConverse => "Bedrock Converse",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_word_is_that_of_the_serialised_form() {
        for dialect in Dialect::ALL {
            assert_eq!(serde_json::to_string(dialect).unwrap(), format!("\"{}\"", dialect.as_str()));
        }
    }
}
