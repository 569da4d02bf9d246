//! The settings that models at Bedrock take beside Converse's own, where that differs from one to the next.
//!
//! Sources, in Amazon's documentation: "Prompt caching for faster model inference" (which models have points), "Extended thinking"
//! (Claude's budget), Nova's "Extended thinking" and "Complete request schema" (`reasoningConfig`, `topK`), "OpenAI models" (efforts),
//! github.com/anomalyco/opencode/pull/48195 and github.com/BerriAI/litellm/pull/38279 (GPT-5 and later, which refuse `reasoning_effort`),
//! "Get validated JSON results from models" (schemas, which "select models" take), `ToolResultContentBlock` in the API reference (whose
//! results may hold pictures), "Supported models and model features" (streaming tool use) and `ToolChoice` in the API reference, with
//! github.com/langchain-ai/langchain-aws, `bedrock_converse.py` (calls that are forced), github.com/BerriAI/litellm/issues/42332 and 42470
//! (16 tokens at least), github.com/NousResearch/hermes-agent/issues/111043 (Grok's sampling).
//! A model that is not here is told nothing that it may not know, but for a schema: a profile's ARN does not say which model it has.

use super::claude;
use crate::mark::SEALED;

/// The way in which a model is told how much to think.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ConverseThinking {
    /// Not at all.
    Never,
    /// By `thinking`, with a budget of tokens.
    Budget,
    /// By `reasoning_effort`, one of these.
    Effort(&'static [&'static str]),
    /// By an object `reasoning`, with an effort of those that OpenAI's own table has.
    Reasoning,
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
    /// It may sign its own, as far as is known.
    Own,
    /// It signs all of its own, and takes no others.
    Demanded,
}

/// The ways in which a model takes that a tool has to be called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ForcedCall {
    /// None.
    Never,
    /// One of them, whichever (`any`).
    Any,
    /// That, and one by its name (`tool`).
    Named,
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
    /// True if it takes a schema for its answer.
    pub(crate) schemas: bool,
    /// True if a tool's result may hold a picture.
    pub(crate) pictures_in_results: bool,
    /// The ways in which it takes that a tool has to be called.
    pub(crate) forced_call: ForcedCall,
    /// True if it takes tools where its answer streams.
    pub(crate) streams_tools: bool,
    /// True if it takes a temperature and `topP`.
    pub(crate) draws: bool,
    /// The fewest tokens that it may be told to answer with.
    pub(crate) least_output: u64,
}

const UNKNOWN: BedrockModel = BedrockModel {
    thinking: ConverseThinking::Never,
    top_k: ConverseTopK::Never,
    signature: SignatureUse::Own,
    caches: false,
    caches_tools: false,
    strict_tools: false,
    schemas: true,
    pictures_in_results: false,
    forced_call: ForcedCall::Named,
    streams_tools: true,
    draws: true,
    least_output: 1,
};
/// One that is known, and signs nothing.
const KNOWN: BedrockModel = BedrockModel { signature: SignatureUse::Never, ..UNKNOWN };
const WITHOUT_SCHEMAS: BedrockModel = BedrockModel { schemas: false, ..KNOWN };
const CLAUDE: BedrockModel = BedrockModel {
    thinking: ConverseThinking::Budget,
    top_k: ConverseTopK::Field,
    signature: SignatureUse::Demanded,
    caches: true,
    caches_tools: true,
    strict_tools: true,
    schemas: true,
    pictures_in_results: true,
    ..UNKNOWN
};
/// Those that [`claude()`] says it of.
const CLAUDE_WITHOUT_SCHEMAS: BedrockModel = BedrockModel { strict_tools: false, schemas: false, ..CLAUDE };
const NOVA: BedrockModel = BedrockModel {
    top_k: ConverseTopK::InConfig,
    signature: SignatureUse::Own,
    caches: true,
    pictures_in_results: true,
    ..WITHOUT_SCHEMAS
};

const GPT: BedrockModel = BedrockModel { thinking: ConverseThinking::Reasoning, least_output: 16, ..KNOWN };
const LLAMA: BedrockModel = BedrockModel { forced_call: ForcedCall::Never, streams_tools: false, ..WITHOUT_SCHEMAS };
const MISTRAL: BedrockModel = BedrockModel { top_k: ConverseTopK::Field, forced_call: ForcedCall::Any, ..KNOWN };
/// Its older models; the newer ones (`magistral`, `ministral`, `mistral-large-3`, `voxtral`) take schemas.
const OLD_MISTRAL: BedrockModel = BedrockModel { schemas: false, streams_tools: false, ..MISTRAL };

/// Words in models' names, and the facts known of each. The first that stands in a name counts.
static MODELS: [(&str, BedrockModel); 23] = [
    ("anthropic.", CLAUDE),
    ("claude", CLAUDE),
    ("nova-2", BedrockModel { thinking: ConverseThinking::Config(&["low", "medium", "high"]), ..NOVA }),
    ("nova", NOVA),
    ("openai.gpt-5", GPT),
    ("openai.gpt-6", GPT),
    ("gpt-oss", BedrockModel { thinking: ConverseThinking::Effort(&["low", "medium", "high"]), ..KNOWN }),
    ("xai.grok-4.3", BedrockModel { least_output: 16, ..UNKNOWN }),
    ("xai.grok", BedrockModel { draws: false, least_output: 16, ..UNKNOWN }),
    ("moonshot", BedrockModel { least_output: 16, ..UNKNOWN }),
    ("mistral-7b", OLD_MISTRAL),
    ("mixtral", OLD_MISTRAL),
    ("mistral-large-24", OLD_MISTRAL),
    ("mistral-small-24", OLD_MISTRAL),
    ("pixtral", BedrockModel { schemas: true, ..OLD_MISTRAL }),
    ("mistral", MISTRAL),
    ("meta.llama4", BedrockModel { pictures_in_results: true, ..LLAMA }),
    ("meta.llama", LLAMA),
    ("writer.", BedrockModel { streams_tools: false, ..UNKNOWN }),
    ("cohere.command", WITHOUT_SCHEMAS),
    ("ai21.", WITHOUT_SCHEMAS),
    ("deepseek.r1", WITHOUT_SCHEMAS),
    ("deepseek.v3", BedrockModel { forced_call: ForcedCall::Any, ..UNKNOWN }),
];

/// Words that stand before the vendor's in the names of profiles that cross regions.
const REGIONS: [&str; 12] = ["us", "eu", "apac", "ap", "jp", "au", "ca", "sa", "in", "me", "us-gov", "global"];

/// The vendor of a model by its id, its inference profile's or its ARN; `None`: it is Anthropic, or the name says none.
fn other_vendor(model: &str) -> Option<&str> {
    if model.contains("anthropic.") || model.contains("claude") {
        return None;
    }
    let name = model.rsplit_once('/').map_or(model, |(_, name)| name);
    let (first, rest) = name.split_once('.')?;
    if REGIONS.contains(&first) { rest.split_once('.').map(|(vendor, _)| vendor) } else { Some(first) }
}

/// The mark under which signatures of a model's thoughts go to callers of other dialects, so that none but its vendor's models are given
/// them back; `None`: they go as they are, as Anthropic's do at whichever host.
pub(crate) fn bedrock_mark(model: &str) -> Option<String> {
    other_vendor(model).map(|vendor| format!("{SEALED}b.{vendor}:"))
}

/// The own name of one of OpenAI's or xAI's models at Bedrock, by which OpenAI's table knows it; another model's as it is.
pub(crate) fn openais_name(model: &str) -> &str {
    ["openai.", "xai."].iter().find_map(|vendor| model.rsplit_once(vendor)).map_or(model, |(_, name)| name)
}

/// The facts known of a model, by its id, its inference profile's or its ARN.
pub(crate) fn bedrock(model: &str) -> &'static BedrockModel {
    const NOTHING: &BedrockModel = &UNKNOWN;
    const OLD_CLAUDE: &BedrockModel = &CLAUDE_WITHOUT_SCHEMAS;
    if model.contains("claude") && !claude(model).keeps_to_schemas(true) {
        return OLD_CLAUDE;
    }
    MODELS.iter().find(|(word, _)| model.contains(word)).map_or(NOTHING, |(_, row)| row)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signature_is_marked_by_the_vendor_that_made_it_unless_that_is_anthropic() {
        for (model, vendor) in [
            ("us.amazon.nova-2-lite-v1:0", Some("amazon")),
            ("amazon.nova-pro-v1:0", Some("amazon")),
            ("arn:aws:bedrock:us-east-1:1:inference-profile/global.amazon.nova-2-lite-v1:0", Some("amazon")),
            ("moonshot.kimi-k2-thinking", Some("moonshot")),
            ("us.anthropic.claude-sonnet-4-5-20250929-v1:0", None),
            ("my-claude", None),
            ("arn:aws:bedrock:us-east-1:1:application-inference-profile/a1", None),
            ("nova", None),
        ] {
            assert_eq!(bedrock_mark(model), vendor.map(|vendor| format!("sluicegate.b.{vendor}:")), "{model}");
        }
    }

    #[test]
    fn a_schema_goes_to_models_that_take_one_and_to_those_that_nobody_knows() {
        for (model, schemas, strict_tools) in [
            ("us.anthropic.claude-sonnet-4-5-20250929-v1:0", true, true),
            ("us.anthropic.claude-sonnet-4-20250514-v1:0", false, false),
            ("us.anthropic.claude-opus-4-8", false, false),
            ("us.amazon.nova-2-lite-v1:0", false, false),
            ("us.meta.llama4-maverick-17b-instruct-v1:0", false, false),
            ("mistral.mistral-large-2407-v1:0", false, false),
            ("mistral.mistral-large-3-675b-instruct", true, false),
            ("openai.gpt-oss-120b-1:0", true, false),
            ("arn:aws:bedrock:us-east-1:1:application-inference-profile/a1", true, false),
        ] {
            assert_eq!((bedrock(model).schemas, bedrock(model).strict_tools), (schemas, strict_tools), "{model}");
        }
    }

    #[test]
    fn a_result_holds_pictures_for_models_that_are_known_to_take_them_there() {
        for (model, pictures) in [
            ("us.anthropic.claude-sonnet-4-20250514-v1:0", true),
            ("us.amazon.nova-2-lite-v1:0", true),
            ("us.meta.llama4-maverick-17b-instruct-v1:0", true),
            ("us.meta.llama3-2-90b-instruct-v1:0", false),
            ("openai.gpt-5.6-sol", false),
            ("openai.gpt-oss-120b-1:0", false),
            ("us.mistral.pixtral-large-2502-v1:0", false),
            ("qwen.qwen3-vl-235b-a22b", false),
            ("arn:aws:bedrock:us-east-1:1:application-inference-profile/a1", false),
        ] {
            assert_eq!(bedrock(model).pictures_in_results, pictures, "{model}");
        }
    }

    #[test]
    fn tools_are_taken_in_streams_and_forced_by_the_model() {
        for (model, streams_tools, forced_call) in [
            ("us.meta.llama3-3-70b-instruct-v1:0", false, ForcedCall::Never),
            ("us.meta.llama4-maverick-17b-instruct-v1:0", false, ForcedCall::Never),
            ("mistral.mistral-large-2407-v1:0", false, ForcedCall::Any),
            ("us.mistral.pixtral-large-2502-v1:0", false, ForcedCall::Any),
            ("mistral.mistral-large-3-675b-instruct", true, ForcedCall::Any),
            ("us.writer.palmyra-x5-v1:0", false, ForcedCall::Named),
            ("deepseek.v3-v1:0", true, ForcedCall::Any),
            ("openai.gpt-6-sol", true, ForcedCall::Named),
            ("us.amazon.nova-pro-v1:0", true, ForcedCall::Named),
            ("us.anthropic.claude-sonnet-4-5-20250929-v1:0", true, ForcedCall::Named),
            ("arn:aws:bedrock:us-east-1:1:application-inference-profile/a1", true, ForcedCall::Named),
        ] {
            let row = bedrock(model);
            assert_eq!((row.streams_tools, row.forced_call), (streams_tools, forced_call), "{model}");
        }
    }

    #[test]
    fn the_first_word_that_stands_in_a_name_counts() {
        for (model, thinking, caches) in [
            ("us.anthropic.claude-sonnet-4-5-20250929-v1:0", ConverseThinking::Budget, true),
            ("us.amazon.nova-2-lite-v1:0", ConverseThinking::Config(&["low", "medium", "high"]), true),
            ("amazon.nova-pro-v1:0", ConverseThinking::Never, true),
            ("global.openai.gpt-5.6-sol", ConverseThinking::Reasoning, false),
            ("us.openai.gpt-6-astra", ConverseThinking::Reasoning, false),
            ("openai.gpt-oss-120b-1:0", ConverseThinking::Effort(&["low", "medium", "high"]), false),
            ("meta.llama4-maverick-17b-instruct-v1:0", ConverseThinking::Never, false),
        ] {
            assert_eq!((bedrock(model).thinking, bedrock(model).caches), (thinking, caches), "{model}");
        }
    }
}
