//! A whole answer: read into the hub's words, and written out of them.

use serde_json::value::RawValue;

use super::request::tool_call;
use super::wire::{self, Piece};
use crate::dialect::Dialect;
use crate::hub::{Choice, Content, Extra, Part, Reply, ToolCall};
use crate::json::{Object, Path, ROOT, Writer};
use crate::seam::{Malformed, Refusal};

const CHOICES: Path<'static> = ROOT.field("choices");

/// Reads a whole answer. Errors: it is not what the dialect allows; an error object under status 200 is none either.
pub fn decode(body: &[u8]) -> Result<Reply, Malformed> {
    read(body).map_err(|refusal| Malformed::new(format!("the provider's answer is malformed: {}", refusal.message)))
}

fn read(body: &[u8]) -> Result<Reply, Refusal> {
    let text = std::str::from_utf8(body).map_err(|_| ROOT.refuse("is not UTF-8"))?;
    let whole: &RawValue = serde_json::from_str(text).map_err(|_| ROOT.refuse("is not JSON"))?;
    let mut object = Object::read(whole.get(), &ROOT)?;
    if object.take("error").is_some() {
        return Err(ROOT.field("error").refuse("an error stands where an answer should"));
    }
    object.take("object");
    let id = object.text("id", &ROOT)?.unwrap_or_default();
    let model = object.text("model", &ROOT)?.unwrap_or_default();
    let created = object.number("created", &ROOT)?.as_ref().and_then(wire::seconds);
    let list = object.list("choices", &ROOT)?.ok_or_else(|| CHOICES.refuse("the field is required"))?;
    if list.is_empty() {
        return Err(CHOICES.refuse("holds no answer"));
    }
    let choices = (0..).zip(list).map(|(number, raw)| choice(raw, &id, number));
    let choices = choices.collect::<Result<_, _>>()?;
    let usage = object.take("usage").and_then(wire::usage);
    let extra = Extra { dialect: Dialect::OpenAiChat, fields: object.rest() };
    Ok(Reply { id, model, created, choices, usage, extra })
}

fn choice(raw: &RawValue, id: &str, number: u32) -> Result<Choice, Refusal> {
    let at = &CHOICES.index(number as usize);
    let mut object = Object::read(raw.get(), at)?;
    let in_message = at.field("message");
    let mut message = object.object("message", at)?.ok_or_else(|| in_message.refuse("the field is required"))?;
    message.take("role");
    let mut parts = Vec::new();
    // Two words for the same; where both are given they say the same.
    let (one, other) = (message.text("reasoning_content", &in_message)?, message.text("reasoning", &in_message)?);
    if let Some(text) = one.or(other).filter(|text| !text.is_empty()) {
        parts.push(Part::new(Content::Thinking { text, signature: None }));
    }
    if let Some(raw) = message.take("content") {
        let at = in_message.field("content");
        for piece in wire::pieces(raw).ok_or_else(|| at.refuse("must be text"))? {
            match piece {
                Piece::Text(text) if text.is_empty() => {}
                Piece::Text(text) => parts.push(Part::text(text)),
                Piece::Thinking(text) => parts.push(Part::new(Content::Thinking { text, signature: None })),
            }
        }
    }
    if let Some(text) = message.text("refusal", &in_message)?.filter(|text| !text.is_empty()) {
        parts.push(Part::new(Content::Refusal(text)));
    }
    let calls = message.list("tool_calls", &in_message)?.unwrap_or_default();
    let in_calls = in_message.field("tool_calls");
    for (called, raw) in (0..).zip(&calls) {
        let mut part = tool_call(raw, &in_calls.index(called as usize))?;
        if let Content::ToolCall(call) = &mut part.content
            && call.id.is_empty()
        {
            call.id = wire::made_call_id(id, number, called);
        }
        parts.push(part);
    }
    let word = object.text("finish_reason", at)?.unwrap_or_default();
    Ok(Choice {
        parts,
        stop: wire::stop(&word, !calls.is_empty()),
        logprobs: object.raw("logprobs"),
        extra: message.rest(),
    })
}

/// Writes a whole answer. `created` is 0 where nobody said it: the caller of this function has the clock.
#[must_use]
pub fn encode(reply: &Reply) -> Vec<u8> {
    let Reply { id, model, created, choices, usage, extra } = reply;
    let same = extra.dialect == Dialect::OpenAiChat;
    let mut json = Writer::with_capacity(1024);
    json.open(b'{');
    json.text_field("id", id);
    json.text_field("object", "chat.completion");
    json.value_field("created", created.unwrap_or(0));
    json.text_field("model", model);
    json.open_field("choices", b'[');
    for (index, choice) in choices.iter().enumerate() {
        write_choice(index, choice, same, &mut json);
    }
    json.close(b']');
    if let Some(usage) = usage {
        wire::write_usage(usage, &mut json);
    }
    if same {
        json.fields(&extra.fields);
    }
    json.close(b'}');
    json.into_bytes()
}

fn write_choice(index: usize, choice: &Choice, same: bool, json: &mut Writer) {
    let Choice { parts, stop, logprobs, extra } = choice;
    json.open(b'{');
    json.value_field("index", index);
    json.open_field("message", b'{');
    json.text_field("role", "assistant");
    let text = joined(parts, |content| match content {
        Content::Text { text, citations: _ } => Some(text),
        _ => None,
    });
    let refusal = joined(parts, |content| if let Content::Refusal(text) = content { Some(text) } else { None });
    let silent = refusal.is_some() || parts.iter().any(|part| matches!(part.content, Content::ToolCall(_)));
    for (name, said) in [("content", text.or((!silent).then(String::new))), ("refusal", refusal)] {
        match said {
            Some(said) => json.text_field(name, &said),
            None => json.value_field(name, "null"),
        }
    }
    let thoughts = joined(parts, |content| match content {
        Content::Thinking { text, signature: _ } => Some(text),
        _ => None,
    });
    if let Some(thoughts) = thoughts.filter(|text| !text.is_empty()) {
        json.text_field("reasoning_content", &thoughts);
    }
    write_calls(parts, same, json);
    if same {
        json.fields(extra);
    }
    json.close(b'}');
    match logprobs {
        Some(raw) if same => json.raw_field("logprobs", raw),
        _ => json.value_field("logprobs", "null"),
    }
    json.text_field("finish_reason", wire::finish_reason(stop));
    json.close(b'}');
}

/// The texts of the parts that `pick` takes, one behind the other; `None` when there are none.
fn joined(parts: &[Part], pick: impl Fn(&Content) -> Option<&String>) -> Option<String> {
    parts.iter().filter_map(|part| pick(&part.content)).fold(None, |joined: Option<String>, text| {
        let mut joined = joined.unwrap_or_default();
        joined.push_str(text);
        Some(joined)
    })
}

fn write_calls(parts: &[Part], same: bool, json: &mut Writer) {
    let mut opened = false;
    for part in parts {
        let Part { content, cache: _, extra } = part;
        match content {
            Content::ToolCall(ToolCall { id, name, arguments }) => {
                open_calls(&mut opened, json);
                json.open(b'{');
                json.text_field("id", id);
                json.text_field("type", "function");
                json.open_field("function", b'{');
                json.text_field("name", name);
                json.text_field("arguments", arguments);
                json.close(b'}');
                if same {
                    json.fields(extra);
                }
                json.close(b'}');
            }
            // A custom tool's call, which reading left raw.
            Content::Other { dialect: Dialect::OpenAiChat, raw } => {
                open_calls(&mut opened, json);
                json.raw(raw.get());
            }
            _ => {}
        }
    }
    if opened {
        json.close(b']');
    }
}

fn open_calls(opened: &mut bool, json: &mut Writer) {
    if !std::mem::replace(opened, true) {
        json.open_field("tool_calls", b'[');
    }
}
