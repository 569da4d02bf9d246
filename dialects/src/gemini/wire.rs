//! The parts that whole and streamed answers share: their shape, usage, stop reasons and parts.

use serde::Deserialize;
use serde_json::value::RawValue;

use super::modalities::Modalities;
use super::signature::{self, SignedThoughts};
use crate::dialect::Dialect;
use crate::hub::{Content, Part, ServiceTier, Source, Stop, ToolCall, Usage};
use crate::json::Writer;
use crate::text::Text;
use crate::token_count;

/// Two empty lines. Google's Python SDK takes a comment for a broken answer, and its SDK for Go one empty line for a part of the next event;
/// two are nothing to any of its clients.
pub(super) const KEEP_ALIVE: &[u8] = b"\n\n";

/// An answer whole, or a piece of a streamed one.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct WireAnswer<'a> {
    #[serde(borrow)]
    pub(super) candidates: Option<Vec<Candidate<'a>>>,
    pub(super) prompt_feedback: Option<Feedback>,
    pub(super) usage_metadata: Option<UsageMetadata>,
    pub(super) model_version: Option<String>,
    pub(super) response_id: Option<String>,
    #[serde(borrow)]
    pub(super) error: Option<&'a RawValue>,
}

/// One of the answers, or a piece of it.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Candidate<'a> {
    pub(super) index: Option<u32>,
    #[serde(borrow)]
    pub(super) content: Option<Said<'a>>,
    pub(super) finish_reason: Option<String>,
    pub(super) finish_message: Option<String>,
    #[serde(borrow)]
    pub(super) logprobs_result: Option<&'a RawValue>,
}

#[derive(Deserialize)]
pub(super) struct Said<'a> {
    #[serde(borrow)]
    pub(super) parts: Option<Vec<&'a RawValue>>,
}

/// The reason why a prompt got no answer.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Feedback {
    block_reason: Option<String>,
    block_reason_message: Option<String>,
}

impl Feedback {
    /// The words that the caller is told of a prompt that was blocked.
    pub(super) fn refusal(&self) -> Option<String> {
        let reason = self.block_reason.as_deref().filter(|reason| *reason != "BLOCK_REASON_UNSPECIFIED")?;
        let message = self.block_reason_message.as_deref().filter(|message| !message.is_empty());
        let more = message.map_or_else(String::new, |message| format!(": {message}"));
        Some(format!("The provider blocked the prompt ({reason}){more}"))
    }
}

/// Token counts as Gemini writes them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct UsageMetadata {
    #[serde(default, deserialize_with = "token_count::read")]
    prompt_token_count: Option<u64>,
    #[serde(default, deserialize_with = "token_count::read")]
    candidates_token_count: Option<u64>,
    #[serde(default, deserialize_with = "token_count::read")]
    cached_content_token_count: Option<u64>,
    #[serde(default, deserialize_with = "token_count::read")]
    thoughts_token_count: Option<u64>,
    #[serde(default, deserialize_with = "token_count::read")]
    tool_use_prompt_token_count: Option<u64>,
    /// Of vectors under another name.
    #[serde(alias = "promptTokenDetails")]
    prompt_tokens_details: Option<Modalities>,
    cache_tokens_details: Option<Modalities>,
    candidates_tokens_details: Option<Modalities>,
    tool_use_prompt_tokens_details: Option<Modalities>,
    /// The Gemini API's word, and Vertex AI's.
    #[serde(default)]
    service_tier: ServiceTier,
    #[serde(default)]
    traffic_type: ServiceTier,
}

impl From<UsageMetadata> for Usage {
    fn from(wire: UsageMetadata) -> Self {
        let UsageMetadata {
            prompt_token_count,
            candidates_token_count,
            cached_content_token_count,
            thoughts_token_count,
            tool_use_prompt_token_count,
            prompt_tokens_details,
            cache_tokens_details,
            candidates_tokens_details,
            tool_use_prompt_tokens_details,
            service_tier,
            traffic_type,
        } = wire;
        let thoughts = thoughts_token_count.unwrap_or(0);
        let (prompt, tools) =
            (prompt_tokens_details.unwrap_or_default(), tool_use_prompt_tokens_details.unwrap_or_default());
        let Modalities { audio: audio_output, images: image_output } = candidates_tokens_details.unwrap_or_default();
        Self {
            // What tools of the provider's own brought in is read by the model like a prompt, and costs as much.
            input: prompt_token_count.unwrap_or(0).saturating_add(tool_use_prompt_token_count.unwrap_or(0)),
            cached_input: cached_content_token_count.unwrap_or(0),
            cache_write: 0,
            cache_write_1h: 0,
            longest_input: 0,
            output: candidates_token_count.unwrap_or(0).saturating_add(thoughts),
            reasoning: thoughts,
            audio_input: prompt.audio.saturating_add(tools.audio),
            cached_audio: cache_tokens_details.unwrap_or_default().audio,
            image_input: prompt.images.saturating_add(tools.images),
            audio_output,
            image_output,
            tier: service_tier.or(traffic_type),
        }
    }
}

/// Writes the member `"usageMetadata":{…}`.
pub(super) fn write_usage(usage: &Usage, json: &mut Writer) {
    // Only this dialect's own vendor lists what is neither audio nor an image, and tiers by its own words.
    let Usage {
        input,
        cached_input,
        cache_write: _,
        cache_write_1h: _,
        output,
        reasoning,
        audio_input: _,
        cached_audio: _,
        image_input: _,
        audio_output: _,
        image_output: _,
        longest_input: _,
        tier: _,
    } = usage;
    json.open_field("usageMetadata", b'{');
    json.value_field("promptTokenCount", input);
    if *cached_input > 0 {
        json.value_field("cachedContentTokenCount", cached_input);
    }
    json.value_field("candidatesTokenCount", output.saturating_sub(*reasoning));
    if *reasoning > 0 {
        json.value_field("thoughtsTokenCount", reasoning);
    }
    json.value_field("totalTokenCount", input.saturating_add(*output));
    json.close(b'}');
}

/// The meaning of a `finishReason`.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Ended {
    /// The answer is whole, or as whole as it gets.
    Stop(Stop),
    /// The model wrote what can not be used.
    Broken,
}

/// Reads a `finishReason`. `called`: tools are called; Gemini says a plain end beside them.
pub(super) fn ended(word: &str, called: bool) -> Ended {
    Ended::Stop(match word {
        "STOP" | "FINISH_REASON_UNSPECIFIED" | "CONTINUATION" if called => Stop::Tools,
        "STOP" | "FINISH_REASON_UNSPECIFIED" | "" => Stop::End,
        // The most that Google gives to one call, and not all that there is to say.
        "MAX_TOKENS" | "CONTINUATION" => Stop::Length,
        "SAFETY"
        | "RECITATION"
        | "LANGUAGE"
        | "BLOCKLIST"
        | "PROHIBITED_CONTENT"
        | "SPII"
        | "IMAGE_SAFETY"
        | "IMAGE_PROHIBITED_CONTENT"
        | "IMAGE_RECITATION"
        | "MODEL_ARMOR"
        | "ESCALATION" => Stop::Refusal,
        "MALFORMED_FUNCTION_CALL"
        | "UNEXPECTED_TOOL_CALL"
        | "TOO_MANY_TOOL_CALLS"
        | "MALFORMED_RESPONSE"
        | "MISSING_THOUGHT_SIGNATURE"
        | "OTHER"
        | "PUP_LIMITED_DISABLED"
        | "IMAGE_OTHER"
        | "NO_IMAGE" => return Ended::Broken,
        other => Stop::Other(other.to_owned()),
    })
}

/// The words that a caller is told of an answer that can not be used.
pub(super) fn broken(word: &str, message: Option<&str>) -> String {
    let more = message.filter(|message| !message.is_empty()).map_or_else(String::new, |said| format!(": {said}"));
    format!("the model's answer can not be used ({word}){more}")
}

/// Writes a `finishReason`: what Gemini has no word for becomes the nearest it has.
pub(super) fn finish_reason(stop: &Stop) -> &str {
    match stop {
        // Its clients go on where tools are called, whatever the reason; and know no other word for a plain end.
        Stop::End | Stop::Tools | Stop::Sequence(_) => "STOP",
        Stop::Length | Stop::Pause | Stop::ContextLength => "MAX_TOKENS",
        Stop::Refusal => "SAFETY",
        Stop::Other(_) => "OTHER",
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct AnswerPart<'a> {
    text: Option<Text>,
    #[serde(default)]
    thought: bool,
    thought_signature: Option<String>,
    #[serde(borrow)]
    function_call: Option<FunctionCall<'a>>,
    inline_data: Option<InlineData>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct InlineData {
    #[serde(default)]
    mime_type: String,
    #[serde(default)]
    data: String,
}

#[derive(Deserialize)]
struct FunctionCall<'a> {
    id: Option<String>,
    #[serde(default)]
    name: String,
    #[serde(borrow)]
    args: Option<&'a RawValue>,
}

/// A piece of an answer.
#[derive(Debug)]
pub(super) enum Piece {
    /// More text, or more thoughts.
    Text {
        /// The text.
        text: Text,
        /// True if it is thoughts.
        thought: bool,
    },
    /// Parts that come back unchanged with the turn.
    Signed(Vec<Content>),
    /// A tool call, whole; its id may be missing.
    Call(ToolCall),
    /// A picture, whole.
    Picture {
        /// `image/png`.
        media_type: String,
        /// Base64.
        data: String,
    },
    /// A part that the hub has no word for.
    Other(Box<RawValue>),
}

/// Reads a part of an answer: a signature stands before what it belongs to. Gemini's own stands behind a text, as it may be in its middle.
/// `None`: it is no part at all.
pub(super) fn pieces(raw: &RawValue) -> Option<Vec<Piece>> {
    let AnswerPart { text, thought, thought_signature, function_call, inline_data } =
        serde_json::from_str(raw.get()).ok()?;
    let signed = thought_signature.filter(|wire| !wire.is_empty()).map(|wire| signature::read(&wire));
    let thoughts = |thoughts: Vec<Content>| Some(thoughts).filter(|thoughts| !thoughts.is_empty()).map(Piece::Signed);
    // One that the model made on its way to the answer is a thought, and no other dialect's.
    let picture = inline_data.filter(|data| data.mime_type.starts_with("image/") && !thought);
    let picture = picture.map(|InlineData { mime_type: media_type, data }| Piece::Picture { media_type, data });
    let mut pieces = Vec::with_capacity(2);
    // A part is one of them. Should one be more, none is lost.
    match (text, function_call) {
        (text, Some(FunctionCall { id, name, args })) => {
            pieces.extend(text.filter(|text| !text.is_empty()).map(|text| Piece::Text { text, thought }));
            pieces.extend(thoughts(SignedThoughts::all(signed)));
            let arguments = args.map_or("{}", RawValue::get).to_owned();
            pieces.push(Piece::Call(ToolCall { id: id.unwrap_or_default(), name, arguments }));
            pieces.extend(picture);
        }
        (Some(text), None) => {
            let (before, behind) = SignedThoughts::around_text(signed);
            pieces.extend(thoughts(before));
            if !text.is_empty() {
                pieces.push(Piece::Text { text, thought });
            }
            pieces.extend(thoughts(behind));
            pieces.extend(picture);
        }
        (None, None) => {
            pieces.extend(thoughts(SignedThoughts::all(signed)));
            pieces.push(picture.unwrap_or_else(|| Piece::Other(raw.to_owned())));
        }
    }
    Some(pieces)
}

/// The parts of an answer that a piece of a whole one is.
pub(super) fn parts(piece: Piece) -> Vec<Part> {
    let content = match piece {
        Piece::Text { text, thought: true } => Content::Thinking { text: text.whole(), signature: None },
        Piece::Text { text, thought: false } => Content::Text { text: text.whole(), citations: None },
        Piece::Signed(thoughts) => return thoughts.into_iter().map(Part::new).collect(),
        Piece::Call(call) => Content::ToolCall(call),
        Piece::Picture { media_type, data } => {
            Content::Image { source: Source::Base64 { media_type, data }, detail: None }
        }
        Piece::Other(raw) => Content::Other { dialect: Dialect::Gemini, raw },
    };
    vec![Part::new(content)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn other_vendors_thoughts_stand_before_the_text_that_carries_them() {
        let order = |signature: &str| -> Vec<bool> {
            let raw = format!(r#"{{"text":"I wil","thoughtSignature":"{signature}"}}"#);
            let raw = RawValue::from_string(raw).unwrap();
            pieces(&raw).unwrap().iter().map(|piece| matches!(piece, Piece::Signed(_))).collect()
        };
        let carried = "c2x1aWNlZ2F0ZTpbeyJ0aGlua2luZyI6ICJkZWVwIiwgInNpZ25hdHVyZSI6ICJFcW9CQ2sifV0=";
        assert_eq!(order(carried), [true, false]);
        assert_eq!(order("CpcBAdHtim9="), [false, true], "Gemini's own may be in the middle of it");
    }

    #[test]
    fn counts_are_all_input_and_all_output() {
        let wire: UsageMetadata = serde_json::from_str(
            r#"{"promptTokenCount":10,"candidatesTokenCount":5,"cachedContentTokenCount":4,"thoughtsTokenCount":7,"toolUsePromptTokenCount":3,"totalTokenCount":25,"promptTokensDetails":[{"modality":"TEXT","tokenCount":10}]}"#,
        )
        .unwrap();
        let usage = Usage::from(wire);
        let expected = Usage { input: 13, cached_input: 4, output: 12, reasoning: 7, ..Usage::default() };
        assert_eq!(usage, expected);
        let mut json = Writer::default();
        json.open(b'{');
        write_usage(&usage, &mut json);
        json.close(b'}');
        assert_eq!(
            String::from_utf8(json.into_bytes()).unwrap(),
            r#"{"usageMetadata":{"promptTokenCount":13,"cachedContentTokenCount":4,"candidatesTokenCount":5,"thoughtsTokenCount":7,"totalTokenCount":25}}"#
        );
    }

    #[test]
    fn reasons_are_read_and_written() {
        for (word, called, stop) in [
            ("STOP", false, Stop::End),
            ("STOP", true, Stop::Tools),
            ("MAX_TOKENS", true, Stop::Length),
            ("CONTINUATION", false, Stop::Length),
            ("CONTINUATION", true, Stop::Tools),
            ("PROHIBITED_CONTENT", false, Stop::Refusal),
            ("NEW_REASON", false, Stop::Other("NEW_REASON".into())),
        ] {
            assert_eq!(ended(word, called), Ended::Stop(stop), "{word}");
        }
        for word in ["MALFORMED_FUNCTION_CALL", "PUP_LIMITED_DISABLED"] {
            assert_eq!(ended(word, true), Ended::Broken, "{word}");
        }
        assert_eq!(finish_reason(&Stop::Other("x".into())), "OTHER");
    }
}
