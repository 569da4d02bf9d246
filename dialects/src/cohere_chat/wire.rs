//! Words that whole and streamed answers share: usage, and why an answer ended.

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::hub::{Stop, Usage};
use crate::json::Writer;
use crate::token_count;

/// The reason of an answer that the provider could not go on with.
pub(super) const FAILED: &str = "ERROR";

/// True if a `finish_reason` says that the provider could not go on.
pub(super) fn is_failure(word: &str) -> bool {
    word == FAILED || word == "TIMEOUT"
}

/// Usage: what is paid for, and what the model read and wrote, with the provider's own words around it.
#[derive(Debug, Default, Deserialize)]
pub(crate) struct CohereUsage {
    billed_units: Option<CohereUnits>,
    tokens: Option<CohereUnits>,
    #[serde(default, deserialize_with = "token_count::read")]
    cached_tokens: Option<u64>,
}

/// Counts, which the vendor writes as decimals.
#[derive(Debug, Default, Deserialize)]
struct CohereUnits {
    #[serde(default, deserialize_with = "token_count::read")]
    input_tokens: Option<u64>,
    #[serde(default, deserialize_with = "token_count::read")]
    output_tokens: Option<u64>,
    /// Of pictures that are made vectors, beside those of texts.
    #[serde(default, deserialize_with = "token_count::read")]
    image_tokens: Option<u64>,
}

impl From<CohereUsage> for Usage {
    /// The counts that are billed, where they are said: so the books agree with the invoice.
    fn from(wire: CohereUsage) -> Self {
        let CohereUsage { billed_units, tokens, cached_tokens } = wire;
        let (billed, tokens) = (billed_units.unwrap_or_default(), tokens.unwrap_or_default());
        let images = billed.image_tokens.unwrap_or_default();
        let input = billed.input_tokens.or(tokens.input_tokens).unwrap_or_default().saturating_add(images);
        Self {
            input,
            image_input: images,
            cached_input: cached_tokens.unwrap_or_default().min(input),
            output: billed.output_tokens.or(tokens.output_tokens).unwrap_or_default(),
            ..Self::default()
        }
    }
}

/// Reads a usage object; what is none is nothing.
pub(super) fn usage(raw: &RawValue) -> Option<Usage> {
    let wire: Option<CohereUsage> = serde_json::from_str(raw.get()).ok()?;
    wire.map(Usage::from)
}

/// Writes the member `"usage":{…}`.
pub(super) fn write_usage(usage: &Usage, json: &mut Writer) {
    // The dialect counts neither audio nor images apart.
    let Usage {
        input,
        cached_input,
        cache_write: _,
        cache_write_1h: _,
        output,
        reasoning: _,
        audio_input: _,
        cached_audio: _,
        image_input: _,
        audio_output: _,
        image_output: _,
        longest_input: _,
        tier: _,
    } = usage;
    json.open_field("usage", b'{');
    for name in ["billed_units", "tokens"] {
        json.open_field(name, b'{');
        json.value_field("input_tokens", input);
        json.value_field("output_tokens", output);
        json.close(b'}');
    }
    if *cached_input > 0 {
        json.value_field("cached_tokens", cached_input);
    }
    json.close(b'}');
}

/// Reads a `finish_reason`.
pub(super) fn stop(word: &str, called_tools: bool) -> Stop {
    match word {
        "COMPLETE" | "TOOL_CALL" | "" if called_tools => Stop::Tools,
        "COMPLETE" | "TOOL_CALL" | "" => Stop::End,
        "STOP_SEQUENCE" => Stop::Sequence(None),
        "MAX_TOKENS" => Stop::Length,
        other => Stop::Other(other.to_ascii_lowercase()),
    }
}

/// Writes a `finish_reason`: what the vendor has no word for becomes the nearest that it has.
pub(super) const fn finish_reason(stop: &Stop, called_tools: bool) -> &'static str {
    match stop {
        Stop::Tools if called_tools => "TOOL_CALL",
        Stop::Sequence(_) => "STOP_SEQUENCE",
        Stop::Length | Stop::Pause | Stop::ContextLength => "MAX_TOKENS",
        Stop::End | Stop::Tools | Stop::Refusal | Stop::Other(_) => "COMPLETE",
    }
}

/// Writes a tool call; in a stream its arguments come later.
pub(super) fn write_call(id: &str, name: &str, arguments: &str, json: &mut Writer) {
    json.open(b'{');
    json.text_field("id", id);
    json.text_field("type", "function");
    json.open_field("function", b'{');
    json.text_field("name", name);
    json.text_field("arguments", arguments);
    json.close(b'}');
    json.close(b'}');
}
