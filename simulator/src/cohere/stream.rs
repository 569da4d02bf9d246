//! A streamed answer: named events, `[DONE]` last.

use bytes::Bytes;
use serde_json::{Value, json};

use super::reply::{call, finish, usage};
use crate::ask::Ask;
use crate::ids::Ids;
use crate::model::{Answer, Said};
use crate::script::Piece;
use crate::tokens::pieces;

/// The pieces of an answer.
pub(crate) fn write(ask: &Ask, answer: &Answer, ids: &Ids) -> Vec<Piece> {
    let mut out = Vec::new();
    let message = json!({ "role": "assistant", "content": [], "tool_plan": "", "tool_calls": [], "citations": [] });
    put(&mut out, &json!({ "id": ids.next(""), "type": "message-start", "delta": { "message": message } }), false);
    let (mut contents, mut calls) = (0, 0);
    let calls_tools = answer.said.iter().any(|said| matches!(said, Said::Call { .. }));
    for said in &answer.said {
        match said {
            Said::Call { name, arguments } => {
                called(&mut out, calls, &call(name, "", ids), arguments);
                calls += 1;
            }
            Said::Text(text) if calls_tools => {
                for piece in pieces(text) {
                    let delta = json!({ "message": { "tool_plan": piece } });
                    put(&mut out, &json!({ "type": "tool-plan-delta", "delta": delta }), true);
                }
            }
            Said::Text(text) | Said::Refusal(text) => {
                content(&mut out, contents, "text", text);
                contents += 1;
            }
            Said::Thought(text) => {
                content(&mut out, contents, "thinking", text);
                contents += 1;
            }
            Said::Hidden(_) => {}
        }
    }
    let delta = json!({ "finish_reason": finish(&answer.stop), "usage": usage(ask, answer) });
    put(&mut out, &json!({ "type": "message-end", "delta": delta }), false);
    out.push(Piece { bytes: Bytes::from_static(b"data: [DONE]\n\n"), token: false });
    out
}

fn content(out: &mut Vec<Piece>, index: usize, kind: &str, text: &str) {
    let delta = json!({ "message": { "content": { "type": kind, kind: "" } } });
    put(out, &json!({ "type": "content-start", "index": index, "delta": delta }), false);
    for piece in pieces(text) {
        let delta = json!({ "message": { "content": { kind: piece } } });
        put(out, &json!({ "type": "content-delta", "index": index, "delta": delta }), true);
    }
    put(out, &json!({ "type": "content-end", "index": index }), false);
}

fn called(out: &mut Vec<Piece>, index: usize, call: &Value, arguments: &str) {
    let delta = json!({ "message": { "tool_calls": call } });
    put(out, &json!({ "type": "tool-call-start", "index": index, "delta": delta }), true);
    for piece in pieces(arguments) {
        let delta = json!({ "message": { "tool_calls": { "function": { "arguments": piece } } } });
        put(out, &json!({ "type": "tool-call-delta", "index": index, "delta": delta }), true);
    }
    put(out, &json!({ "type": "tool-call-end", "index": index }), false);
}

fn put(out: &mut Vec<Piece>, data: &Value, token: bool) {
    out.push(Piece { bytes: event(data), token });
}

/// One event, called as its data says.
fn event(data: &Value) -> Bytes {
    Bytes::from(format!("event: {}\ndata: {data}\n\n", data["type"].as_str().unwrap_or_default()))
}

/// The end of a stream that the vendor could not go on with.
pub(crate) fn failure(message: &str) -> Bytes {
    event(&json!({ "type": "message-end", "delta": { "error": message, "finish_reason": "ERROR" } }))
}
