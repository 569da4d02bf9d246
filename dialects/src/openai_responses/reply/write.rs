//! A whole answer written out of the hub's words.

use serde_json::value::RawValue;

use crate::codec::EncodedReply;
use crate::dialect::Dialect;
use crate::hub::{Choice, Content, Part, Reply, Source, Stop, ToolCall};
use crate::json::Writer;
use crate::openai_responses::compaction::Summary;
use crate::openai_responses::echo::Echo;
use crate::openai_responses::item::{Called, Item, MessagePiece, ResponseFrame, list, picture};
use crate::openai_responses::{sealed, wire};

/// Writes a whole answer, which repeats some of its call's own body; the dialect has one, the first. `created_at` is 0 where nobody said it: the caller of this
/// function has the clock.
#[must_use]
pub(crate) fn encode(reply: &Reply, call: &[u8]) -> EncodedReply {
    let Reply { id, model, created, choices, usage, extra } = reply;
    let echo = &Echo::of(call);
    let id = &*wire::response_id(id);
    let same = extra.dialect == Dialect::OpenAiResponses;
    let ended = Stop::End;
    let (parts, stop) = match choices.first() {
        Some(Choice { parts, stop, logprobs: _, extra: _ }) => (parts.as_slice(), stop),
        None => (&[][..], &ended),
    };
    // The dialect has one answer.
    let further = choices.iter().skip(1).map(|choice| choice.parts.len()).sum::<usize>();
    let (items, skipped) = items(parts, id, same, echo);
    let frame = ResponseFrame {
        id,
        model,
        created: created.unwrap_or(0),
        stop: Some(stop),
        usage: usage.as_ref(),
        error: None,
    };
    let mut json = Writer::with_capacity(2048);
    frame.write(&items, echo, &mut json);
    EncodedReply { body: json.into_bytes(), skipped: skipped + further }
}

/// The items that parts are, and the number of parts that are none: what is said in a row is one message.
fn items(parts: &[Part], id: &str, same: bool, echo: &Echo) -> (Vec<Item>, usize) {
    if let Some(summary) = Some(Summary::of(parts)).filter(|_| echo.is_summary).and_then(|summary| summary.item(id)) {
        return (vec![Item::Raw(summary)], 0);
    }
    let (mut items, mut skipped): (Vec<Item>, usize) = (Vec::with_capacity(parts.len()), 0);
    for Part { content, cache: _, extra: _ } in parts {
        let place = items.len();
        match content {
            Content::Text { text, citations } => {
                let annotations = citations.as_deref().filter(|_| same).map(|raw: &RawValue| list(raw));
                let piece = MessagePiece::Text {
                    text: text.clone(),
                    annotations: annotations.unwrap_or_default(),
                    logprobs: Vec::new(),
                };
                say(piece, id, &mut items);
            }
            Content::Refusal(text) => say(MessagePiece::Refusal(text.clone()), id, &mut items),
            Content::Thinking { text, signature } => {
                let id = wire::item_id("rs", id, place);
                let encrypted = sealed::thought(text, signature.as_deref());
                items.push(Item::Reasoning { id, text: text.clone(), encrypted });
            }
            Content::RedactedThinking(data) => {
                let id = wire::item_id("rs", id, place);
                items.push(Item::Reasoning { id, text: String::new(), encrypted: sealed::redacted(data) });
            }
            Content::ToolCall(ToolCall { id: call_id, name, arguments }) => {
                let mut call = Called::new(echo, call_id, name);
                call.say(arguments);
                items.push(Item::Call { id: wire::item_id(call.id_kind(), id, place), call });
            }
            Content::Other { dialect: Dialect::OpenAiResponses, raw } => items.push(Item::Raw(raw.clone())),
            Content::Image { source: Source::Base64 { media_type, data }, detail: _ } => {
                items.extend(picture(&wire::item_id("ig", id, place), media_type, data).map(Item::Raw));
            }
            // Nothing that a model says, or other dialects' own words.
            Content::Image { .. }
            | Content::Document { .. }
            | Content::Audio { .. }
            | Content::ToolResult { .. }
            | Content::Other { .. } => skipped += 1,
        }
    }
    (items, skipped)
}

fn say(piece: MessagePiece, id: &str, items: &mut Vec<Item>) {
    match items.last_mut() {
        Some(Item::Message { pieces, .. }) => pieces.push(piece),
        _ => items.push(Item::Message { id: wire::item_id("msg", id, items.len()), pieces: vec![piece] }),
    }
}
