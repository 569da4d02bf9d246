//! Converse's answers, whole and streamed.

use serde_json::{Value, json};

use super::message;
use crate::ask::Ask;
use crate::digest::{seal, sign};
use crate::ids::Ids;
use crate::model::{Answer, Said, Stop};
use crate::prompts::Cached;
use crate::script::Piece;
use crate::tokens::pieces;

/// The filling of events up to lengths that tell nothing.
const PADDING: &str = "abcdefghijklm";

/// A whole answer.
pub(crate) fn write(ask: &Ask, answer: &Answer, cached: Cached, ids: &Ids) -> Value {
    let content: Vec<Value> = answer.said.iter().map(|said| block(said, ids)).collect();
    json!({
        "output": { "message": { "role": "assistant", "content": content } },
        "stopReason": stop(&answer.stop),
        "usage": usage(ask, answer, cached),
        "metrics": { "latencyMs": 7 },
    })
}

fn block(said: &Said, ids: &Ids) -> Value {
    match said {
        Said::Text(text) | Said::Refusal(text) => json!({ "text": text }),
        Said::Thought(text) => {
            json!({ "reasoningContent": { "reasoningText": { "text": text, "signature": sign(text) } } })
        }
        Said::Hidden(text) => json!({ "reasoningContent": { "redactedContent": seal(text) } }),
        Said::Call { name, arguments } => {
            let input: Value = serde_json::from_str(arguments).unwrap_or_else(|_| json!({}));
            json!({ "toolUse": { "toolUseId": ids.next("tooluse_"), "name": name, "input": input } })
        }
    }
}

fn stop(stop: &Stop) -> &'static str {
    match stop {
        Stop::End => "end_turn",
        Stop::Length => "max_tokens",
        Stop::Tools => "tool_use",
        Stop::Sequence(_) => "stop_sequence",
        Stop::Refusal => "content_filtered",
    }
}

fn usage(ask: &Ask, answer: &Answer, cached: Cached) -> Value {
    json!({
        "inputTokens": ask.input_tokens.saturating_sub(cached.read + cached.written),
        "outputTokens": answer.tokens,
        "totalTokens": ask.input_tokens + answer.tokens,
        "cacheReadInputTokens": cached.read,
        "cacheWriteInputTokens": cached.written,
    })
}

/// All the pieces of a streamed answer.
pub(crate) fn stream(ask: &Ask, answer: &Answer, cached: Cached, ids: &Ids) -> Vec<Piece> {
    let mut out = vec![event("messageStart", json!({ "role": "assistant" }), false)];
    for (index, said) in answer.said.iter().enumerate() {
        part(&mut out, index, said, ids);
    }
    out.push(event("messageStop", json!({ "stopReason": stop(&answer.stop) }), false));
    let last = json!({ "usage": usage(ask, answer, cached), "metrics": { "latencyMs": 7 } });
    out.push(event("metadata", last, false));
    out
}

fn part(out: &mut Vec<Piece>, index: usize, said: &Said, ids: &Ids) {
    let delta = |delta: Value, token: bool| {
        event("contentBlockDelta", json!({ "contentBlockIndex": index, "delta": delta }), token)
    };
    match said {
        Said::Text(text) | Said::Refusal(text) => {
            out.extend(pieces(text).map(|piece| delta(json!({ "text": piece }), true)));
        }
        Said::Thought(text) => {
            out.extend(pieces(text).map(|piece| delta(json!({ "reasoningContent": { "text": piece } }), true)));
            out.push(delta(json!({ "reasoningContent": { "signature": sign(text) } }), false));
        }
        Said::Hidden(text) => out.push(delta(json!({ "reasoningContent": { "redactedContent": seal(text) } }), false)),
        Said::Call { name, arguments } => {
            let start = json!({ "toolUse": { "toolUseId": ids.next("tooluse_"), "name": name } });
            out.push(event("contentBlockStart", json!({ "contentBlockIndex": index, "start": start }), false));
            out.extend(pieces(arguments).map(|piece| delta(json!({ "toolUse": { "input": piece } }), true)));
        }
    }
    out.push(event("contentBlockStop", json!({ "contentBlockIndex": index }), false));
}

fn event(name: &str, mut payload: Value, token: bool) -> Piece {
    if let Some(fields) = payload.as_object_mut() {
        fields.insert("p".to_owned(), json!(PADDING));
    }
    Piece { bytes: message::event(name, payload.to_string().as_bytes()), token }
}
