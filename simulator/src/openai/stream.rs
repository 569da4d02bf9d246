//! A streamed OpenAI answer: `data:` lines of chunks, `[DONE]` last.

use bytes::Bytes;
use serde_json::{Value, json};

use super::reply::{Letterhead, finish};
use crate::ids::Ids;
use crate::model::{Answer, Said};
use crate::script::Piece;
use crate::tokens::pieces;

/// Writes the chunks of an answer.
pub(crate) struct Writer<'a> {
    head: &'a Letterhead,
    ids: &'a Ids,
    /// True if chunks carry `usage: null` and the last one the usage.
    usage: Option<Value>,
    out: Vec<Piece>,
}

impl<'a> Writer<'a> {
    /// A writer of chunks under this letterhead; with `usage` where the caller asked for it.
    pub(crate) fn new(head: &'a Letterhead, ids: &'a Ids, usage: Option<Value>) -> Self {
        Self { head, ids, usage, out: Vec::new() }
    }

    /// All the pieces of an answer.
    pub(crate) fn write(mut self, answers: &[Answer]) -> Vec<Piece> {
        for (index, answer) in answers.iter().enumerate() {
            self.one(index, answer);
        }
        if let Some(usage) = self.usage.take() {
            let mut chunk = self.frame(&json!([]));
            if let Some(fields) = chunk.as_object_mut() {
                fields.insert("usage".to_owned(), usage);
            }
            self.push(&chunk, false);
        }
        self.out.push(Piece { bytes: Bytes::from_static(b"data: [DONE]\n\n"), token: false });
        self.out
    }

    fn one(&mut self, index: usize, answer: &Answer) {
        let talks = answer.said.iter().any(|said| matches!(said, Said::Text(_)));
        let content = if talks { json!("") } else { Value::Null };
        self.delta(index, &json!({ "role": "assistant", "content": content, "refusal": null }), false);
        let mut calls = 0;
        for said in &answer.said {
            match said {
                Said::Text(text) => {
                    pieces(text).for_each(|piece| self.delta(index, &json!({ "content": piece }), true));
                }
                Said::Refusal(text) => {
                    pieces(text).for_each(|piece| self.delta(index, &json!({ "refusal": piece }), true));
                }
                Said::Call { name, arguments } => {
                    self.call(index, calls, name, arguments);
                    calls += 1;
                }
                Said::Thought(_) | Said::Hidden(_) => {}
            }
        }
        let chunk = self.choice(index, &json!({}), &Value::from(finish(&answer.stop)));
        self.push(&chunk, false);
    }

    fn call(&mut self, index: usize, call: usize, name: &str, arguments: &str) {
        let id = self.ids.next("call_");
        let function = json!({ "name": name, "arguments": "" });
        let begin = json!({ "tool_calls": [{ "index": call, "id": id, "type": "function", "function": function }] });
        self.delta(index, &begin, true);
        for piece in pieces(arguments) {
            let more = json!({ "tool_calls": [{ "index": call, "function": { "arguments": piece } }] });
            self.delta(index, &more, true);
        }
    }

    fn delta(&mut self, index: usize, delta: &Value, token: bool) {
        let chunk = self.choice(index, delta, &Value::Null);
        self.push(&chunk, token);
    }

    fn choice(&self, index: usize, delta: &Value, finish: &Value) -> Value {
        self.frame(&json!([{ "index": index, "delta": delta, "logprobs": null, "finish_reason": finish }]))
    }

    fn frame(&self, choices: &Value) -> Value {
        let mut chunk = json!({
            "id": self.head.id,
            "object": "chat.completion.chunk",
            "created": self.head.created,
            "model": self.head.model,
            "service_tier": "default",
            "system_fingerprint": "fp_simulated",
            "choices": choices,
        });
        if let (Some(_), Some(fields)) = (&self.usage, chunk.as_object_mut()) {
            fields.insert("usage".to_owned(), Value::Null);
        }
        chunk
    }

    fn push(&mut self, chunk: &Value, token: bool) {
        self.out.push(Piece { bytes: event(chunk), token });
    }
}

/// One SSE event as OpenAI frames it: data only.
pub(crate) fn event(data: &Value) -> Bytes {
    Bytes::from(format!("data: {data}\n\n"))
}
