//! The settings that models at Bedrock take beside Converse's own, where that differs from one to the next.
//!
//! Sources, in Amazon's documentation: "Prompt caching for faster model inference" (which models have points), "Extended thinking"
//! (Claude's budget), Nova's "Extended thinking" and "Complete request schema" (`reasoningConfig`, `topK`), "OpenAI models" (efforts).
//! A model that is not here is told nothing that it may not know.

/// The way in which a model is told how much to think.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ConverseThinking {
    /// Not at all.
    Never,
    /// By `thinking`, with a budget of tokens.
    Budget,
    /// By `reasoning_effort`, one of these.
    Effort(&'static [&'static str]),
    /// By `reasoningConfig`, one of these.
    Config(&'static [&'static str]),
}

/// The place of `top_k`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ConverseTopK {
    /// There is none.
    Never,
    /// A field of that name.
    Field,
    /// `topK` in an `inferenceConfig` of the model's own.
    InConfig,
}

/// The use that a model has for signatures of its thoughts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SignatureUse {
    /// None: it signs none, and takes no other's.
    Never,
    /// It may sign its own.
    Own,
    /// It signs all of its own, and takes no others.
    Demanded,
}

/// A model at Bedrock.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct BedrockModel {
    /// The way in which it is told how much to think.
    pub(crate) thinking: ConverseThinking,
    /// The place of `top_k`.
    pub(crate) top_k: ConverseTopK,
    /// The use that it has for signatures of thoughts.
    pub(crate) signature: SignatureUse,
    /// True if it takes points of a prompt cache.
    pub(crate) caches: bool,
    /// True if it takes them among its tools too, and for an hour.
    pub(crate) caches_tools: bool,
    /// True if it takes tools whose arguments have to match.
    pub(crate) strict_tools: bool,
}

const UNKNOWN: BedrockModel = BedrockModel {
    thinking: ConverseThinking::Never,
    top_k: ConverseTopK::Never,
    signature: SignatureUse::Never,
    caches: false,
    caches_tools: false,
    strict_tools: false,
};
const CLAUDE: BedrockModel = BedrockModel {
    thinking: ConverseThinking::Budget,
    top_k: ConverseTopK::Field,
    signature: SignatureUse::Demanded,
    caches: true,
    caches_tools: true,
    strict_tools: true,
};
const NOVA: BedrockModel =
    BedrockModel { top_k: ConverseTopK::InConfig, signature: SignatureUse::Own, caches: true, ..UNKNOWN };

/// Words in models' names, and the facts known of each. The first that stands in a name counts.
static MODELS: [(&str, BedrockModel); 6] = [
    ("anthropic.", CLAUDE),
    ("claude", CLAUDE),
    ("nova-2", BedrockModel { thinking: ConverseThinking::Config(&["low", "medium", "high"]), ..NOVA }),
    ("nova", NOVA),
    ("gpt-oss", BedrockModel { thinking: ConverseThinking::Effort(&["low", "medium", "high"]), ..UNKNOWN }),
    ("mistral", BedrockModel { top_k: ConverseTopK::Field, ..UNKNOWN }),
];

/// The facts known of a model, by its id, its inference profile's or its ARN.
pub(crate) fn bedrock(model: &str) -> &'static BedrockModel {
    const NOTHING: &BedrockModel = &UNKNOWN;
    MODELS.iter().find(|(word, _)| model.contains(word)).map_or(NOTHING, |(_, row)| row)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_word_that_stands_in_a_name_counts() {
        for (model, thinking, caches) in [
            ("us.anthropic.claude-sonnet-4-5-20250929-v1:0", ConverseThinking::Budget, true),
            ("us.amazon.nova-2-lite-v1:0", ConverseThinking::Config(&["low", "medium", "high"]), true),
            ("amazon.nova-pro-v1:0", ConverseThinking::Never, true),
            ("openai.gpt-oss-120b-1:0", ConverseThinking::Effort(&["low", "medium", "high"]), false),
            ("meta.llama4-maverick-17b-instruct-v1:0", ConverseThinking::Never, false),
        ] {
            assert_eq!((bedrock(model).thinking, bedrock(model).caches), (thinking, caches), "{model}");
        }
    }
}
