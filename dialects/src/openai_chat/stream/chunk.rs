//! A chunk of a streamed answer as it stands on the wire, as far as an answer needs it.

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::hub::ServiceTier;
use crate::text::Text;

#[derive(Deserialize)]
pub(super) struct Chunk<'a> {
    #[serde(borrow)]
    pub(super) id: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) model: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) created: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) choices: Option<Vec<ChunkChoice<'a>>>,
    #[serde(borrow)]
    pub(super) usage: Option<&'a RawValue>,
    #[serde(default)]
    pub(super) service_tier: ServiceTier,
    #[serde(borrow)]
    pub(super) error: Option<&'a RawValue>,
    /// Groq's own words.
    #[serde(borrow)]
    pub(super) x_groq: Option<&'a RawValue>,
}

#[derive(Deserialize)]
pub(super) struct ChunkChoice<'a> {
    pub(super) index: Option<u32>,
    #[serde(borrow)]
    pub(super) delta: Option<ChunkDelta<'a>>,
    pub(super) finish_reason: Option<String>,
    /// vLLM's and SGLang's words for the stop text that ended the answer.
    #[serde(borrow)]
    pub(super) stop_reason: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) matched_stop: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) logprobs: Option<&'a RawValue>,
    /// Moonshot's place for it.
    #[serde(borrow)]
    pub(super) usage: Option<&'a RawValue>,
    /// OpenRouter's place for an error of this answer alone.
    #[serde(borrow)]
    pub(super) error: Option<&'a RawValue>,
}

#[derive(Deserialize, Default)]
pub(super) struct ChunkDelta<'a> {
    #[serde(borrow)]
    pub(super) content: Option<&'a RawValue>,
    pub(super) refusal: Option<Text>,
    #[serde(borrow)]
    pub(super) reasoning_content: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) reasoning: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) thinking_blocks: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) reasoning_details: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) tool_calls: Option<Vec<ChunkCall<'a>>>,
    /// Deprecated, and still what some servers answer with.
    #[serde(borrow)]
    pub(super) function_call: Option<ChunkFunction<'a>>,
    /// OpenRouter's and LiteLLM's place for pictures.
    #[serde(borrow)]
    pub(super) images: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) audio: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) annotations: Option<&'a RawValue>,
}

#[derive(Deserialize, Default)]
pub(super) struct ChunkCall<'a> {
    pub(super) index: Option<u32>,
    pub(super) id: Option<String>,
    #[serde(borrow)]
    pub(super) function: Option<ChunkFunction<'a>>,
    #[serde(borrow)]
    pub(super) custom: Option<&'a RawValue>,
    /// Google's place for the signature of a call.
    #[serde(borrow)]
    pub(super) extra_content: Option<&'a RawValue>,
}

#[derive(Deserialize)]
pub(super) struct ChunkFunction<'a> {
    pub(super) name: Option<String>,
    #[serde(borrow)]
    pub(super) arguments: Option<&'a RawValue>,
}
