//! Words whole and streamed answers share: usage, stop reasons, content that may be a list of parts.

use serde::Deserialize;
use serde_json::Number;
use serde_json::value::RawValue;

use crate::hub::{Stop, Usage};
use crate::json::Writer;
use crate::scan::{self, Count, Counts, Place};

/// Usage as OpenAI writes it, with what look-alikes call its parts.
#[derive(Debug, Default, Deserialize)]
pub(crate) struct WireUsage {
    prompt_tokens: Option<u64>,
    completion_tokens: Option<u64>,
    prompt_tokens_details: Option<PromptDetails>,
    completion_tokens_details: Option<CompletionDetails>,
    /// DeepSeek's word for cached input.
    prompt_cache_hit_tokens: Option<u64>,
}

#[derive(Debug, Default, Deserialize)]
struct PromptDetails {
    cached_tokens: Option<u64>,
    /// OpenRouter's.
    cache_write_tokens: Option<u64>,
}

#[derive(Debug, Default, Deserialize)]
struct CompletionDetails {
    reasoning_tokens: Option<u64>,
}

impl WireUsage {
    /// Where the counts stand on the wire, for [`Self::read`].
    pub(crate) const PLACES: &'static scan::Names = &[
        (b"prompt_tokens", Place::At(0)),
        (b"completion_tokens", Place::At(1)),
        (b"prompt_tokens_details", Place::In(2, &[(b"cached_tokens", 3), (b"cache_write_tokens", 4)])),
        (b"completion_tokens_details", Place::In(5, &[(b"reasoning_tokens", 6)])),
        (b"prompt_cache_hit_tokens", Place::At(7)),
    ];

    /// Reads a usage object that was looked at: mostly the look has seen all. `None`: it is none.
    pub(crate) fn read(seen: &Counts<'_, 8>) -> Option<Self> {
        let Some([prompt, completion, of_prompt, cached, written, of_completion, reasoning, hit]) = seen.plain else {
            return serde_json::from_slice(seen.json).ok();
        };
        Some(Self {
            prompt_tokens: prompt.number(),
            completion_tokens: completion.number(),
            prompt_tokens_details: (of_prompt == Count::Object)
                .then(|| PromptDetails { cached_tokens: cached.number(), cache_write_tokens: written.number() }),
            completion_tokens_details: (of_completion == Count::Object)
                .then(|| CompletionDetails { reasoning_tokens: reasoning.number() }),
            prompt_cache_hit_tokens: hit.number(),
        })
    }
}

impl From<WireUsage> for Usage {
    fn from(wire: WireUsage) -> Self {
        let WireUsage {
            prompt_tokens,
            completion_tokens,
            prompt_tokens_details,
            completion_tokens_details,
            prompt_cache_hit_tokens,
        } = wire;
        let PromptDetails { cached_tokens, cache_write_tokens } = prompt_tokens_details.unwrap_or_default();
        let CompletionDetails { reasoning_tokens } = completion_tokens_details.unwrap_or_default();
        Self {
            input: prompt_tokens.unwrap_or(0),
            cached_input: cached_tokens.or(prompt_cache_hit_tokens).unwrap_or(0),
            cache_write: cache_write_tokens.unwrap_or(0),
            output: completion_tokens.unwrap_or(0),
            reasoning: reasoning_tokens.unwrap_or(0),
        }
    }
}

/// Reads a usage object; what is none is nothing.
pub(crate) fn usage(raw: &RawValue) -> Option<Usage> {
    let wire: Option<WireUsage> = serde_json::from_str(raw.get()).ok()?;
    wire.map(Usage::from)
}

/// Writes the member `"usage":{…}`.
pub(super) fn write_usage(usage: &Usage, json: &mut Writer) {
    // Words for cache writes are other vendors'; they are within the prompt's tokens.
    let Usage { input, cached_input, cache_write: _, output, reasoning } = usage;
    json.open_field("usage", b'{');
    json.value_field("prompt_tokens", input);
    json.value_field("completion_tokens", output);
    json.value_field("total_tokens", input.saturating_add(*output));
    json.open_field("prompt_tokens_details", b'{');
    json.value_field("cached_tokens", cached_input);
    json.close(b'}');
    json.open_field("completion_tokens_details", b'{');
    json.value_field("reasoning_tokens", reasoning);
    json.close(b'}');
    json.close(b'}');
}

/// Reads a `finish_reason`. Look-alikes say `stop` beside tool calls.
pub(super) fn stop(word: &str, called_tools: bool) -> Stop {
    match word {
        "stop" | "eos" | "" if called_tools => Stop::Tools,
        "stop" | "eos" | "" => Stop::End,
        "length" | "max_tokens" => Stop::Length,
        "tool_calls" | "function_call" => Stop::Tools,
        "content_filter" => Stop::Refusal,
        other => Stop::Other(other.to_owned()),
    }
}

/// Writes a `finish_reason`: what OpenAI has no word for becomes the nearest it has.
pub(super) fn finish_reason(stop: &Stop) -> &str {
    match stop {
        Stop::End | Stop::Sequence(_) => "stop",
        // A paused turn and a full context are answers that are not whole.
        Stop::Length | Stop::Pause | Stop::ContextLength => "length",
        Stop::Tools => "tool_calls",
        Stop::Refusal => "content_filter",
        Stop::Other(word) => word,
    }
}

/// Reads a time; some look-alikes give fractions of a second.
pub(super) fn seconds(number: &Number) -> Option<u64> {
    number.as_u64().or_else(|| number.as_f64().filter(|seconds| *seconds >= 0.0).map(|seconds| seconds as u64))
}

/// An id for a tool call that the provider gave none: what the tool's result will answer to, unlike those of other
/// turns, in the letters every dialect takes.
pub(super) fn made_call_id(reply_id: &str, choice: u32, part: u32) -> String {
    let letters: String = reply_id.chars().filter(|letter| letter.is_ascii_alphanumeric()).take(40).collect();
    format!("call_{letters}_{choice}_{part}")
}

/// A piece of content as look-alikes (Mistral) give it in a list.
#[derive(Debug)]
pub(super) enum Piece {
    Text(String),
    Thinking(String),
}

/// Reads `content`: a string, or a list of text and thinking pieces. `None`: it is neither.
pub(super) fn pieces(raw: &RawValue) -> Option<Vec<Piece>> {
    #[derive(Deserialize)]
    struct Listed {
        r#type: String,
        text: Option<String>,
        thinking: Option<Vec<Listed>>,
    }
    if let Ok(text) = serde_json::from_str::<String>(raw.get()) {
        return Some(vec![Piece::Text(text)]);
    }
    let list: Vec<Listed> = serde_json::from_str(raw.get()).ok()?;
    let read = |piece: Listed| match (piece.r#type.as_str(), piece.text, piece.thinking) {
        ("text" | "output_text", Some(text), _) => Some(Piece::Text(text)),
        ("thinking", _, Some(list)) => {
            Some(Piece::Thinking(list.into_iter().filter_map(|inner| inner.text).collect::<String>()))
        }
        _ => None,
    };
    list.into_iter().map(read).collect()
}
