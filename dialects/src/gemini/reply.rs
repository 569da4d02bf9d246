//! A whole answer: read into the hub's words, and written out of them.

use serde_json::value::RawValue;

use super::logprobs;
use super::signature::Pending;
use super::wire::{self, Candidate, Ended, WireAnswer};
use crate::call_arguments::UNPARSED;
use crate::call_id;
use crate::codec::{EncodedReply, Malformed};
use crate::dialect::Dialect;
use crate::hub::{Choice, Content, Extra, Fields, Part, Reply, Source, Stop, ToolCall};
use crate::json::Writer;

/// Reads a whole answer. A prompt that was blocked is an answer that refuses.
///
/// Errors: it is not what the dialect allows, or the model wrote what can not be used.
pub(crate) fn decode(body: &[u8]) -> Result<Reply, Malformed> {
    let text = std::str::from_utf8(body).map_err(|_| malformed("it is not UTF-8"))?;
    // serde's own message may quote the answer.
    let answer: WireAnswer<'_> =
        serde_json::from_str(text).map_err(|_| malformed("it is not what the dialect allows"))?;
    let WireAnswer { candidates, prompt_feedback, usage_metadata, model_version, response_id, error } = answer;
    if error.is_some() {
        return Err(malformed("an error stands where an answer should"));
    }
    let id = response_id.unwrap_or_default();
    let mut choices = Vec::new();
    for (number, candidate) in (0..).zip(candidates.unwrap_or_default()) {
        choices.push(choice(candidate, &id, number)?);
    }
    if choices.is_empty() {
        let refusal = prompt_feedback.as_ref().and_then(wire::Feedback::refusal);
        let refusal = refusal.ok_or_else(|| malformed("it holds no candidates"))?;
        choices.push(Choice {
            parts: vec![Part::new(Content::Refusal(refusal))],
            stop: Stop::Refusal,
            logprobs: None,
            extra: Fields::new(),
        });
    }
    Ok(Reply {
        id,
        model: model_version.unwrap_or_default(),
        created: None,
        choices,
        usage: usage_metadata.map(Into::into),
        extra: Extra::none(Dialect::Gemini),
    })
}

fn malformed(why: impl std::fmt::Display) -> Malformed {
    Malformed::new(format!("the provider's answer is malformed: {why}"))
}

fn choice(candidate: Candidate<'_>, id: &str, number: u32) -> Result<Choice, Malformed> {
    let Candidate { index: _, content, finish_reason, finish_message, logprobs_result } = candidate;
    let mut parts: Vec<Part> = Vec::new();
    let mut calls = 0;
    for raw in content.and_then(|said| said.parts).unwrap_or_default() {
        let pieces = wire::pieces(raw).ok_or_else(|| malformed("a part is not what the dialect allows"))?;
        for mut part in pieces.into_iter().flat_map(wire::parts) {
            if let Content::ToolCall(call) = &mut part.content {
                if call.id.is_empty() {
                    call.id = call_id::made(id, number, calls);
                }
                calls += 1;
            }
            parts.push(part);
        }
    }
    let word = finish_reason.unwrap_or_default();
    match wire::ended(&word, calls > 0) {
        Ended::Stop(stop) => {
            Ok(Choice { parts, stop, logprobs: logprobs_result.and_then(logprobs::read), extra: Fields::new() })
        }
        Ended::Broken => Err(Malformed::new(wire::broken(&word, finish_message.as_deref()))),
    }
}

/// Writes a whole answer.
pub(crate) fn encode(reply: &Reply) -> EncodedReply {
    let Reply { id, model, created: _, choices, usage, extra: _ } = reply;
    let mut json = Writer::with_capacity(1024);
    json.open(b'{');
    json.open_field("candidates", b'[');
    let mut skipped = 0;
    for (index, choice) in choices.iter().enumerate() {
        skipped += write_choice(index, choice, &mut json);
    }
    json.close(b']');
    if let Some(usage) = usage {
        wire::write_usage(usage, &mut json);
    }
    json.text_field("modelVersion", model);
    json.text_field("responseId", id);
    json.close(b'}');
    EncodedReply { body: json.into_bytes(), skipped }
}

/// Says how many parts were left out.
fn write_choice(index: usize, choice: &Choice, json: &mut Writer) -> usize {
    let Choice { parts, stop, logprobs, extra: _ } = choice;
    json.open(b'{');
    json.open_field("content", b'{');
    json.open_field("parts", b'[');
    let (mut pending, mut skipped) = (Pending::default(), 0);
    for part in parts {
        skipped += usize::from(!write_part(&part.content, &mut pending, json));
    }
    let signature = pending.take();
    if signature.is_some() || json.is_bare() {
        // Google's SDKs take an answer without parts for none.
        write_text("", false, signature.as_deref(), json);
    }
    json.close(b']');
    json.text_field("role", "model");
    json.close(b'}');
    json.text_field("finishReason", wire::finish_reason(stop));
    logprobs.iter().for_each(|raw| logprobs::write(raw, json));
    json.value_field("index", index);
    json.close(b'}');
    skipped
}

/// Says whether the dialect has words for it.
fn write_part(content: &Content, pending: &mut Pending, json: &mut Writer) -> bool {
    match content {
        Content::Text { text, citations: _ } | Content::Refusal(text) => {
            if !text.is_empty() {
                write_text(text, false, pending.take().as_deref(), json);
            }
        }
        Content::Thinking { text, signature: _ } => {
            pending.add(content);
            if !text.is_empty() {
                write_text(text, true, None, json);
            }
        }
        Content::RedactedThinking(_) => pending.add(content),
        Content::ToolCall(call) => write_call(call, pending.take().as_deref(), json),
        Content::Other { dialect: Dialect::Gemini, raw } => json.raw(raw.get()),
        Content::Image { source: Source::Base64 { media_type, data }, detail: _ } => {
            write_picture((media_type, data), pending.take().as_deref(), json);
        }
        Content::Image { .. }
        | Content::Document { .. }
        | Content::Audio { .. }
        | Content::ToolResult { .. }
        | Content::Other { .. } => return false,
    }
    true
}

/// Writes a part of text.
pub(super) fn write_text(text: &str, thought: bool, signature: Option<&str>, json: &mut Writer) {
    json.open(b'{');
    json.text_field("text", text);
    if thought {
        json.value_field("thought", true);
    }
    if let Some(signature) = signature {
        json.text_field("thoughtSignature", signature);
    }
    json.close(b'}');
}

/// Writes a part that is a picture.
pub(super) fn write_picture((media_type, data): (&str, &str), signature: Option<&str>, json: &mut Writer) {
    json.open(b'{');
    json.open_field("inlineData", b'{');
    json.text_field("mimeType", media_type);
    json.text_field("data", data);
    json.close(b'}');
    if let Some(signature) = signature {
        json.text_field("thoughtSignature", signature);
    }
    json.close(b'}');
}

/// Writes a part that calls a tool.
pub(super) fn write_call(call: &ToolCall, signature: Option<&str>, json: &mut Writer) {
    let ToolCall { id, name, arguments } = call;
    json.open(b'{');
    json.open_field("functionCall", b'{');
    json.text_field("id", id);
    json.text_field("name", name);
    json.key("args");
    write_arguments(arguments, json);
    json.close(b'}');
    if let Some(signature) = signature {
        json.text_field("thoughtSignature", signature);
    }
    json.close(b'}');
}

fn write_arguments(arguments: &str, json: &mut Writer) {
    let text = arguments.trim();
    if text.starts_with('{')
        && let Ok(raw) = serde_json::from_str::<&RawValue>(text)
    {
        return json.raw(&crate::json::one_line(raw));
    }
    json.open(b'{');
    if !text.is_empty() {
        json.text_field(UNPARSED, arguments);
    }
    json.close(b'}');
}
