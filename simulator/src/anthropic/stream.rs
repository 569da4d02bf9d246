//! A streamed Anthropic answer: named events, `message_stop` last.

use bytes::Bytes;
use serde_json::{Value, json};

use super::reply::{block, details, stop, usage};
use crate::ask::{Ask, Thinking};
use crate::digest::sign;
use crate::ids::Ids;
use crate::model::{Answer, Said};
use crate::prompts::Cached;
use crate::script::Piece;
use crate::tokens::pieces;

/// All the pieces of an answer.
pub(crate) fn write(ask: &Ask, answer: &Answer, cached: Cached, ids: &Ids) -> Vec<Piece> {
    let mut out = Vec::new();
    let message = json!({
        "id": ids.next("msg_"),
        "type": "message",
        "role": "assistant",
        "model": ask.model,
        "content": [],
        "stop_reason": null,
        "stop_sequence": null,
        "stop_details": null,
        "usage": usage(ask, &Answer { tokens: 1, ..Answer::default() }, cached),
    });
    push(&mut out, false, &json!({ "type": "message_start", "message": message }));
    for (index, said) in answer.said.iter().enumerate() {
        part(&mut out, index, said, &ask.thinking, ids);
    }
    let (reason, sequence) = stop(&answer.stop);
    push(
        &mut out,
        false,
        &json!({
            "type": "message_delta",
            "delta": { "stop_reason": reason, "stop_sequence": sequence, "stop_details": details(&answer.stop) },
            "usage": {
                "input_tokens": ask.input_tokens.saturating_sub(cached.read + cached.written),
                "cache_creation_input_tokens": cached.written,
                "cache_read_input_tokens": cached.read,
                "output_tokens": answer.tokens,
                "output_tokens_details": { "thinking_tokens": answer.thought_tokens },
            },
        }),
    );
    push(&mut out, false, &json!({ "type": "message_stop" }));
    out
}

fn part(out: &mut Vec<Piece>, index: usize, said: &Said, thinking: &Thinking, ids: &Ids) {
    let mut whole = block(said, thinking, ids);
    // A block begins empty; a hidden thought has no deltas and begins whole.
    if let Some(fields) = whole.as_object_mut() {
        for key in ["text", "thinking", "signature"] {
            if let Some(value) = fields.get_mut(key) {
                *value = json!("");
            }
        }
        if let Some(input) = fields.get_mut("input") {
            *input = json!({});
        }
    }
    push(out, false, &json!({ "type": "content_block_start", "index": index, "content_block": whole }));
    if index == 0 {
        push(out, false, &json!({ "type": "ping" }));
    }
    let mut delta = |delta: Value, token: bool| {
        push(out, token, &json!({ "type": "content_block_delta", "index": index, "delta": delta }));
    };
    match said {
        Said::Text(text) | Said::Refusal(text) => {
            pieces(text).for_each(|piece| delta(json!({ "type": "text_delta", "text": piece }), true));
        }
        Said::Thought(text) => {
            let text = if *thinking == Thinking::Withheld { "" } else { text.as_str() };
            pieces(text).for_each(|piece| delta(json!({ "type": "thinking_delta", "thinking": piece }), true));
            delta(json!({ "type": "signature_delta", "signature": sign(text) }), false);
        }
        Said::Call { arguments, .. } => {
            delta(json!({ "type": "input_json_delta", "partial_json": "" }), false);
            for piece in pieces(arguments) {
                delta(json!({ "type": "input_json_delta", "partial_json": piece }), true);
            }
        }
        Said::Hidden(_) => {}
    }
    push(out, false, &json!({ "type": "content_block_stop", "index": index }));
}

fn push(out: &mut Vec<Piece>, token: bool, data: &Value) {
    out.push(Piece { bytes: event(data), token });
}

/// One SSE event as Anthropic frames it: its name is its data's type.
pub(crate) fn event(data: &Value) -> Bytes {
    let name = data.get("type").and_then(Value::as_str).unwrap_or("message");
    Bytes::from(format!("event: {name}\ndata: {data}\n\n"))
}
