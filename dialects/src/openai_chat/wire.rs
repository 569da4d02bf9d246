//! Words whole and streamed answers share: usage, stop reasons, content that may be a list of parts.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::Number;
use serde_json::value::RawValue;

use crate::hub::{ServiceTier, Stop, Usage};
use crate::json::{Writer, string};
use crate::scan::{self, Count, CountPlace, CountsFound};
use crate::text::Text;
use crate::token_count;

/// True if a `finish_reason` says that the provider could not go on: OpenRouter's and Mistral's word, DeepSeek's, Z.ai's, and that of
/// vLLM and SGLang.
pub(crate) fn is_failure(word: &str) -> bool {
    matches!(word, "error" | "insufficient_system_resource" | "network_error" | "abort")
}

/// Usage as OpenAI writes it, with what look-alikes call its parts.
#[derive(Debug, Default, Deserialize)]
pub(crate) struct ChatUsage {
    #[serde(default, deserialize_with = "token_count::read")]
    prompt_tokens: Option<u64>,
    #[serde(default, deserialize_with = "token_count::read")]
    completion_tokens: Option<u64>,
    #[serde(default, deserialize_with = "token_count::read")]
    total_tokens: Option<u64>,
    prompt_tokens_details: Option<PromptDetails>,
    completion_tokens_details: Option<CompletionDetails>,
    /// DeepSeek's word for cached input.
    #[serde(default, deserialize_with = "token_count::read")]
    prompt_cache_hit_tokens: Option<u64>,
    /// The same of Moonshot and Together.
    #[serde(default, deserialize_with = "token_count::read")]
    cached_tokens: Option<u64>,
    /// The same of Mistral.
    #[serde(default, deserialize_with = "token_count::read")]
    num_cached_tokens: Option<u64>,
    /// The same of Databricks, for Anthropic's models, and what was written.
    #[serde(default, deserialize_with = "token_count::read")]
    cache_read_input_tokens: Option<u64>,
    #[serde(default, deserialize_with = "token_count::read")]
    cache_creation_input_tokens: Option<u64>,
}

#[derive(Debug, Default, Deserialize)]
struct PromptDetails {
    #[serde(default, deserialize_with = "token_count::read")]
    cached_tokens: Option<u64>,
    /// OpenAI's since GPT-5.6, and OpenRouter's.
    #[serde(default, deserialize_with = "token_count::read")]
    cache_write_tokens: Option<u64>,
    /// Qwen's.
    #[serde(default, deserialize_with = "token_count::read")]
    cache_creation_input_tokens: Option<u64>,
    #[serde(default, deserialize_with = "token_count::read")]
    audio_tokens: Option<u64>,
    /// Some look-alikes' (xAI, Qwen).
    #[serde(default, deserialize_with = "token_count::read")]
    image_tokens: Option<u64>,
}

#[derive(Debug, Default, Deserialize)]
struct CompletionDetails {
    #[serde(default, deserialize_with = "token_count::read")]
    reasoning_tokens: Option<u64>,
    #[serde(default, deserialize_with = "token_count::read")]
    audio_tokens: Option<u64>,
    /// OpenRouter's.
    #[serde(default, deserialize_with = "token_count::read")]
    image_tokens: Option<u64>,
}

impl ChatUsage {
    /// The places of the counts on the wire, for [`Self::read`].
    pub(crate) const PLACES: &'static scan::Names = &[
        (b"prompt_tokens", CountPlace::At(0)),
        (b"completion_tokens", CountPlace::At(1)),
        (
            b"prompt_tokens_details",
            CountPlace::In(
                2,
                &[
                    (b"cached_tokens", 3),
                    (b"audio_tokens", 4),
                    (b"cache_write_tokens", 5),
                    (b"image_tokens", 6),
                    (b"cache_creation_input_tokens", 17),
                ],
            ),
        ),
        (
            b"completion_tokens_details",
            CountPlace::In(7, &[(b"reasoning_tokens", 8), (b"audio_tokens", 9), (b"image_tokens", 10)]),
        ),
        (b"total_tokens", CountPlace::At(11)),
        (b"prompt_cache_hit_tokens", CountPlace::At(12)),
        (b"cached_tokens", CountPlace::At(13)),
        (b"num_cached_tokens", CountPlace::At(14)),
        (b"cache_read_input_tokens", CountPlace::At(15)),
        (b"cache_creation_input_tokens", CountPlace::At(16)),
    ];

    /// Reads a usage object that was looked at: mostly the look has seen all. `None`: it is none.
    pub(crate) fn read(seen: &CountsFound<'_, 18>) -> Option<Self> {
        let Some(counts) = seen.plain else { return serde_json::from_slice(seen.json).ok() };
        let [prompt, completion, of_prompt, cached, heard, written, viewed, of_completion, reasoning, said, drawn, ..] =
            counts;
        let [.., total, hit, cached_beside, of_mistral, cache_read, cache_created, created_in_prompt] = counts;
        Some(Self {
            prompt_tokens: prompt.number(),
            completion_tokens: completion.number(),
            total_tokens: total.number(),
            prompt_tokens_details: (of_prompt == Count::Object).then(|| PromptDetails {
                cached_tokens: cached.number(),
                cache_write_tokens: written.number(),
                cache_creation_input_tokens: created_in_prompt.number(),
                audio_tokens: heard.number(),
                image_tokens: viewed.number(),
            }),
            completion_tokens_details: (of_completion == Count::Object).then(|| CompletionDetails {
                reasoning_tokens: reasoning.number(),
                audio_tokens: said.number(),
                image_tokens: drawn.number(),
            }),
            prompt_cache_hit_tokens: hit.number(),
            cached_tokens: cached_beside.number(),
            num_cached_tokens: of_mistral.number(),
            cache_read_input_tokens: cache_read.number(),
            cache_creation_input_tokens: cache_created.number(),
        })
    }
}

impl From<ChatUsage> for Usage {
    fn from(wire: ChatUsage) -> Self {
        let ChatUsage {
            prompt_tokens,
            completion_tokens,
            total_tokens,
            prompt_tokens_details,
            completion_tokens_details,
            prompt_cache_hit_tokens,
            cached_tokens: cached_beside,
            num_cached_tokens,
            cache_read_input_tokens,
            cache_creation_input_tokens,
        } = wire;
        let of_prompt = prompt_tokens_details.unwrap_or_default();
        let PromptDetails {
            cached_tokens,
            cache_write_tokens,
            cache_creation_input_tokens: created_in_prompt,
            audio_tokens,
            image_tokens,
        } = of_prompt;
        let cached_beside = cached_beside.or(num_cached_tokens).or(cache_read_input_tokens);
        let written = cache_write_tokens.or(created_in_prompt).or(cache_creation_input_tokens);
        let (input, output) = (prompt_tokens.unwrap_or(0), completion_tokens.unwrap_or(0));
        let of_completion = completion_tokens_details.unwrap_or_default();
        let counted = of_completion.reasoning_tokens.unwrap_or(0);
        // Google says of its thoughts nothing but a total that is larger than its parts.
        let beyond = total_tokens.filter(|_| input > 0 && counted == 0).unwrap_or(0);
        let reasoning = counted.max(beyond.saturating_sub(input).saturating_sub(output));
        // xAI counts reasoning beside the completion: its total tells.
        let with_reasoning = output.saturating_add(reasoning);
        let is_beside = reasoning > 0 && total_tokens == Some(input.saturating_add(with_reasoning));
        Self {
            input,
            cached_input: cached_tokens.or(prompt_cache_hit_tokens).or(cached_beside).unwrap_or(0),
            cache_write: written.unwrap_or(0),
            cache_write_1h: 0,
            longest_input: 0,
            output: if is_beside { with_reasoning } else { output },
            reasoning,
            audio_input: audio_tokens.unwrap_or(0),
            cached_audio: 0,
            image_input: image_tokens.unwrap_or(0),
            audio_output: of_completion.audio_tokens.unwrap_or(0),
            image_output: of_completion.image_tokens.unwrap_or(0),
            tier: ServiceTier::Unsaid,
        }
    }
}

/// Reads a usage object; what is none is nothing.
pub(crate) fn usage(raw: &RawValue) -> Option<Usage> {
    let wire: Option<ChatUsage> = serde_json::from_str(raw.get()).ok()?;
    wire.map(Usage::from)
}

/// The usage of a chunk that stands elsewhere than at its top: in the last one of an answer (Moonshot), or within the vendor's own words
/// (Groq).
pub(crate) fn usage_within<'a>(
    choices: impl Iterator<Item = Option<&'a RawValue>>,
    vendors: Option<&'a RawValue>,
) -> Option<&'a RawValue> {
    #[derive(Deserialize)]
    struct Holder<'a> {
        #[serde(borrow)]
        usage: Option<&'a RawValue>,
    }
    let of_vendor = || serde_json::from_str::<Holder<'_>>(vendors?.get()).ok()?.usage;
    choices.flatten().last().or_else(of_vendor)
}

/// Reads the `usage` of an answer, with its `service_tier`, which stands beside it.
pub(crate) fn usage_at(raw: &RawValue, tier: ServiceTier) -> Option<Usage> {
    usage(raw).map(|usage| Usage { tier, ..usage })
}

/// Writes the member `"usage":{…}`.
pub(crate) fn write_usage(usage: &Usage, json: &mut Writer) {
    let Usage {
        input,
        cached_input,
        cache_write,
        cache_write_1h: _,
        output,
        reasoning,
        audio_input,
        cached_audio: _,
        image_input,
        audio_output,
        image_output,
        longest_input: _,
        tier: _,
    } = usage;
    json.open_field("usage", b'{');
    json.value_field("prompt_tokens", input);
    json.value_field("completion_tokens", output);
    json.value_field("total_tokens", input.saturating_add(*output));
    json.open_field("prompt_tokens_details", b'{');
    json.value_field("cached_tokens", cached_input);
    if *cache_write > 0 {
        json.value_field("cache_write_tokens", cache_write);
    }
    write_some(&[("audio_tokens", *audio_input), ("image_tokens", *image_input)], json);
    json.close(b'}');
    json.open_field("completion_tokens_details", b'{');
    json.value_field("reasoning_tokens", reasoning);
    write_some(&[("audio_tokens", *audio_output), ("image_tokens", *image_output)], json);
    json.close(b'}');
    json.close(b'}');
}

/// Writes the counts that are something.
fn write_some(counts: &[(&str, u64)], json: &mut Writer) {
    for (name, count) in counts.iter().filter(|(_, count)| *count > 0) {
        json.value_field(name, count);
    }
}

/// Reads a `finish_reason`, with the stop text that is said beside it. Look-alikes say `stop` beside tool calls; and
/// nobody is to wait for a call that is not there.
pub(crate) fn stop(word: &str, by: Option<String>, called_tools: bool) -> Stop {
    match word {
        "stop" | "eos" | "eos_token" | "end_turn" | "tool_calls" | "function_call" | "" if called_tools => Stop::Tools,
        "stop" | "eos" | "eos_token" | "end_turn" | "" => by.map_or(Stop::End, |text| Stop::Sequence(Some(text))),
        "tool_calls" | "function_call" => Stop::End,
        "stop_sequence" => Stop::Sequence(by),
        "length" | "max_tokens" => Stop::Length,
        // Mistral's and Z.ai's.
        "model_length" | "model_context_window_exceeded" => Stop::ContextLength,
        // The latter is Z.ai's and Zhipu's.
        "content_filter" | "sensitive" => Stop::Refusal,
        other => Stop::Other(other.to_owned()),
    }
}

/// The one of the caller's stop texts that ended an answer: vLLM says it in `stop_reason`, SGLang in `matched_stop`. A
/// number is a token; some put another vendor's word for the reason there.
pub(crate) fn stop_text(fields: [Option<&RawValue>; 2]) -> Option<String> {
    const REASONS: [&str; 10] =
        ["", "stop", "eos", "eos_token", "end_turn", "stop_sequence", "length", "max_tokens", "tool_calls", "tool_use"];
    fields.into_iter().flatten().find_map(string).filter(|text| !REASONS.contains(&&**text))
}

/// Writes a `finish_reason`: what OpenAI has no word for becomes the nearest it has.
pub(crate) fn finish_reason(stop: &Stop, called_tools: bool) -> &str {
    match stop {
        Stop::Tools if called_tools => "tool_calls",
        Stop::End | Stop::Sequence(_) | Stop::Tools => "stop",
        // A paused turn and a full context are answers that are not whole.
        Stop::Length | Stop::Pause | Stop::ContextLength => "length",
        Stop::Refusal => "content_filter",
        Stop::Other(word) => word,
    }
}

/// Writes which stop text ended the answer, in vLLM's field.
pub(crate) fn write_stop_text(stop: &Stop, json: &mut Writer) {
    if let Stop::Sequence(Some(text)) = stop {
        json.text_field("stop_reason", text);
    }
}

/// Reads a time; some look-alikes give fractions of a second.
pub(crate) fn seconds(number: &Number) -> Option<u64> {
    number.as_u64().or_else(|| number.as_f64().filter(|seconds| *seconds >= 0.0).map(|seconds| seconds as u64))
}

/// A piece of content as look-alikes (Mistral) give it in a list.
#[derive(Debug)]
pub(crate) enum ContentPiece<'a> {
    Text(Text),
    Thinking(Text),
    /// A piece that nobody here has a word for (a reference), whole.
    Other(&'a RawValue),
}

/// Reads `content`: a string, or a list of pieces. `None`: it is neither.
pub(crate) fn pieces(raw: &RawValue) -> Option<Vec<ContentPiece<'_>>> {
    if let Some(text) = Text::of(raw) {
        return Some(vec![ContentPiece::Text(text)]);
    }
    let list: Vec<&RawValue> = serde_json::from_str(raw.get()).ok()?;
    let mut pieces = Vec::with_capacity(list.len());
    for raw in list {
        match serde_json::from_str(raw.get()) {
            Ok(Listed { r#type, text: Some(text), .. }) if is_text(&r#type) => pieces.push(ContentPiece::Text(text)),
            Ok(Listed { r#type, thinking: Some(thoughts), .. }) if r#type == "thinking" => {
                pieces.extend(thinking_texts(thoughts).into_iter().map(ContentPiece::Thinking));
            }
            // Databricks'.
            Ok(Listed { r#type, summary: Some(thoughts), .. }) if r#type == "reasoning" => {
                pieces.extend(thinking_texts(thoughts).into_iter().map(ContentPiece::Thinking));
            }
            _ => pieces.push(Text::of(raw).map_or(ContentPiece::Other(raw), ContentPiece::Text)),
        }
    }
    Some(pieces)
}

#[derive(Deserialize)]
struct Listed<'a> {
    #[serde(borrow)]
    r#type: Cow<'a, str>,
    text: Option<Text>,
    #[serde(borrow)]
    thinking: Option<&'a RawValue>,
    #[serde(borrow)]
    summary: Option<&'a RawValue>,
}

fn is_text(kind: &str) -> bool {
    matches!(kind, "text" | "output_text")
}

/// The texts of a thinking piece: itself one, or a list of pieces of text.
pub(crate) fn thinking_texts(raw: &RawValue) -> Vec<Text> {
    if let Some(text) = Text::of(raw) {
        return vec![text];
    }
    let list: Vec<Listed<'_>> = serde_json::from_str(raw.get()).unwrap_or_default();
    list.into_iter().filter_map(|piece| piece.text).collect()
}

/// A block of `thinking_blocks`, LiteLLM's field for what Anthropic's models thought.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum ThoughtBlock {
    /// Thoughts and the signature over them; in a stream either may be missing.
    Signed { text: String, signature: Option<String> },
    /// Thoughts the provider has encrypted.
    Redacted(String),
}

impl ThoughtBlock {
    /// The same without the text, which is told elsewhere.
    pub(super) fn without_text(self) -> Self {
        match self {
            Self::Signed { text: _, signature } => Self::Signed { text: String::new(), signature },
            Self::Redacted(data) => Self::Redacted(data),
        }
    }
}

/// Reads `thinking_blocks`; what is none of the blocks it may hold is nothing.
pub(crate) fn thoughts(raw: &RawValue) -> Vec<ThoughtBlock> {
    #[derive(Deserialize)]
    struct ThinkingBlock {
        thinking: Option<Text>,
        signature: Option<String>,
        data: Option<String>,
    }
    let blocks: Vec<&RawValue> = serde_json::from_str(raw.get()).unwrap_or_default();
    let read = |raw: &RawValue| match serde_json::from_str(raw.get()).ok()? {
        ThinkingBlock { data: Some(data), .. } => Some(ThoughtBlock::Redacted(data)),
        ThinkingBlock { thinking: None, signature: None, .. } => None,
        ThinkingBlock { thinking, signature, .. } => Some(ThoughtBlock::Signed {
            text: thinking.map(Text::whole).unwrap_or_default(),
            signature: signature.filter(|signature| !signature.is_empty()),
        }),
    };
    blocks.into_iter().filter_map(read).collect()
}

/// Writes a block of `thinking_blocks`; `index`: its place among them, by which OpenAI's SDKs put the list of a stream together.
pub(crate) fn write_thought(thought: &ThoughtBlock, index: Option<usize>, json: &mut Writer) {
    json.open(b'{');
    if let Some(index) = index {
        json.value_field("index", index);
    }
    match thought {
        ThoughtBlock::Signed { text, signature } => {
            json.text_field("type", "thinking");
            json.text_field("thinking", text);
            json.text_field("signature", signature.as_deref().unwrap_or_default());
        }
        ThoughtBlock::Redacted(data) => {
            json.text_field("type", "redacted_thinking");
            json.text_field("data", data);
        }
    }
    json.close(b'}');
}

/// True if log probabilities are in this dialect's words, whoever said them.
pub(super) fn is_logprobs(raw: &RawValue) -> bool {
    #[derive(Deserialize)]
    struct Likelihoods<'a> {
        #[serde(borrow)]
        content: Option<Vec<&'a RawValue>>,
    }
    serde_json::from_str::<Likelihoods<'_>>(raw.get()).is_ok_and(|said| said.content.is_some())
}

/// Writes a picture of an answer.
pub(super) fn write_picture(index: usize, url: &str, json: &mut Writer) {
    json.open(b'{');
    json.text_field("type", "image_url");
    json.value_field("index", index);
    json.open_field("image_url", b'{');
    json.text_field("url", url);
    json.close(b'}');
    json.close(b'}');
}

/// The addresses in a list of an answer's pictures.
pub(super) fn pictures(list: &RawValue) -> Vec<String> {
    #[derive(Deserialize)]
    struct ListedPicture {
        image_url: Option<PictureAddress>,
    }
    #[derive(Deserialize)]
    struct PictureAddress {
        url: String,
    }
    let list: Vec<ListedPicture> = serde_json::from_str(list.get()).unwrap_or_default();
    list.into_iter().filter_map(|listed| Some(listed.image_url?.url)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tools_are_the_end_of_an_answer_only_where_one_is_called() {
        for (word, by, called, expected) in [
            ("stop", None, false, Stop::End),
            ("stop", None, true, Stop::Tools),
            ("tool_calls", None, true, Stop::Tools),
            ("tool_calls", None, false, Stop::End),
            ("function_call", None, true, Stop::Tools),
            ("function_call", None, false, Stop::End),
            ("stop", Some("END"), false, Stop::Sequence(Some("END".into()))),
            ("stop", Some("END"), true, Stop::Tools),
            ("length", Some("END"), false, Stop::Length),
            ("stop_sequence", None, false, Stop::Sequence(None)),
            ("model_length", None, true, Stop::ContextLength),
            ("model_context_window_exceeded", None, false, Stop::ContextLength),
            ("sensitive", None, false, Stop::Refusal),
            ("new", None, false, Stop::Other("new".into())),
        ] {
            assert_eq!(stop(word, by.map(str::to_owned), called), expected, "{word} {by:?} {called}");
        }
    }

    #[test]
    fn what_a_prompt_cache_did_is_read_in_every_hosts_words() {
        for (json, cached, written) in [
            (r#"{"prompt_tokens":100,"cache_read_input_tokens":60,"cache_creation_input_tokens":30}"#, 60, 30),
            (r#"{"prompt_tokens":100,"num_cached_tokens":60}"#, 60, 0),
            (
                r#"{"prompt_tokens":100,"prompt_tokens_details":{"cached_tokens":60,"cache_creation_input_tokens":30}}"#,
                60,
                30,
            ),
            (
                r#"{"prompt_tokens":100.0,"prompt_tokens_details":{"cached_tokens":60,"cache_creation_input_tokens":30}}"#,
                60,
                30,
            ),
        ] {
            let usage = Usage::from(serde_json::from_str::<ChatUsage>(json).unwrap());
            assert_eq!((usage.input, usage.cached_input, usage.cache_write), (100, cached, written), "{json}");
            let whole = format!(r#"{{"choices":[],"usage":{json}}}"#);
            let (seen, _) = scan::counts_beside(whole.as_bytes(), (b"usage", [&b"x"[..]]), ChatUsage::PLACES).unwrap();
            assert_eq!(ChatUsage::read(&seen.unwrap()).map(Usage::from), Some(usage), "{json}");
        }
    }

    #[test]
    fn the_text_that_ended_an_answer_is_no_token_and_no_other_vendors_word() {
        let read = |json: &str| {
            let raw: &RawValue = serde_json::from_str(json).unwrap();
            stop_text([Some(raw), None])
        };
        for (json, text) in
            [("\"END\"", Some("END")), ("128009", None), ("\"end_turn\"", None), ("\"stop\"", None), ("\"\"", None)]
        {
            assert_eq!(read(json).as_deref(), text, "{json}");
        }
    }
}
