//! A streamed Responses answer: every event in the vendor's order, the whole answer last.

use bytes::Bytes;
use serde_json::{Value, json};

use super::reply::{ResponseHead, response, status};
use crate::ask::Ask;
use crate::model::Answer;
use crate::script::Piece;
use crate::tokens::pieces;

/// The pieces of a streamed answer with these items.
pub(crate) fn write(head: &ResponseHead, ask: &Ask, answer: &Answer, items: &[Value]) -> Vec<Piece> {
    let mut writer = EventWriter { number: 0, out: Vec::new() };
    let begun = response(head, ask, "in_progress", &[], &Value::Null);
    writer.event("response.created", json!({ "response": begun }), false);
    writer.event("response.in_progress", json!({ "response": begun }), false);
    for (place, item) in items.iter().enumerate() {
        writer.item(place, item);
    }
    let status = status(answer);
    let whole = response(head, ask, status, items, &Value::Null);
    writer.event(&format!("response.{status}"), json!({ "response": whole }), false);
    writer.out
}

/// The end of a stream that breaks: the error, and the answer that failed.
pub(crate) fn failure(head: &ResponseHead, ask: &Ask, message: &str) -> Bytes {
    let mut writer = EventWriter { number: 1_000, out: Vec::new() };
    let error = json!({ "type": "server_error", "code": "server_error", "message": message, "param": null });
    writer.event("error", json!({ "error": error }), false);
    let failed = response(head, ask, "failed", &[], &json!({ "code": "server_error", "message": message }));
    writer.event("response.failed", json!({ "response": failed }), false);
    writer.out.iter().flat_map(|piece| piece.bytes.iter().copied()).collect()
}

struct EventWriter {
    number: u64,
    out: Vec<Piece>,
}

impl EventWriter {
    fn item(&mut self, place: usize, item: &Value) {
        let kind = item.get("type").and_then(Value::as_str).unwrap_or_default().to_owned();
        let mut begun = item.clone();
        for (name, empty) in [
            ("status", json!("in_progress")),
            ("content", json!([])),
            ("summary", json!([])),
            ("arguments", json!("")),
            ("input", json!("")),
        ] {
            if let Some(place) = begun.get_mut(name) {
                *place = empty;
            }
        }
        self.event("response.output_item.added", json!({ "output_index": place, "item": begun }), false);
        let at = |more: Value| {
            let mut event = json!({ "item_id": item.get("id"), "output_index": place });
            if let (Some(event), Value::Object(more)) = (event.as_object_mut(), more) {
                event.extend(more);
            }
            event
        };
        match kind.as_str() {
            "message" => self.message(item, at),
            "reasoning" => self.reasoning(item, at),
            "function_call" => self.call(("function_call_arguments", "arguments"), item, at),
            "custom_tool_call" => self.call(("custom_tool_call_input", "input"), item, at),
            _ => {}
        }
        self.event("response.output_item.done", json!({ "output_index": place, "item": item }), false);
    }

    fn message(&mut self, item: &Value, at: impl Fn(Value) -> Value) {
        let content = item.get("content").and_then(Value::as_array).cloned().unwrap_or_default();
        for (index, piece) in content.iter().enumerate() {
            let refused = piece.get("refusal").is_some();
            let (name, field) = if refused { ("refusal", "refusal") } else { ("output_text", "text") };
            let text = piece.get(field).and_then(Value::as_str).unwrap_or_default();
            let mut empty = piece.clone();
            if let Some(text) = empty.get_mut(field) {
                *text = json!("");
            }
            self.event("response.content_part.added", at(json!({ "content_index": index, "part": empty })), false);
            for delta in pieces(text) {
                let mut more = json!({ "content_index": index, "delta": delta });
                if let (false, Some(more)) = (refused, more.as_object_mut()) {
                    more.insert("logprobs".to_owned(), json!([]));
                    more.insert("obfuscation".to_owned(), json!("x".repeat(8 - delta.len().min(8))));
                }
                self.event(&format!("response.{name}.delta"), at(more), true);
            }
            let mut done = json!({ "content_index": index, field: text });
            if let (false, Some(done)) = (refused, done.as_object_mut()) {
                done.insert("logprobs".to_owned(), json!([]));
            }
            self.event(&format!("response.{name}.done"), at(done), false);
            self.event("response.content_part.done", at(json!({ "content_index": index, "part": piece })), false);
        }
    }

    fn reasoning(&mut self, item: &Value, at: impl Fn(Value) -> Value) {
        let summary = item.get("summary").and_then(Value::as_array).cloned().unwrap_or_default();
        for (index, part) in summary.iter().enumerate() {
            let text = part.get("text").and_then(Value::as_str).unwrap_or_default();
            let empty = json!({ "type": "summary_text", "text": "" });
            let name = |end: &str| format!("response.reasoning_summary_{end}");
            self.event(&name("part.added"), at(json!({ "summary_index": index, "part": empty })), false);
            for delta in pieces(text) {
                self.event(&name("text.delta"), at(json!({ "summary_index": index, "delta": delta })), true);
            }
            self.event(&name("text.done"), at(json!({ "summary_index": index, "text": text })), false);
            self.event(&name("part.done"), at(json!({ "summary_index": index, "part": part })), false);
        }
    }

    fn call(&mut self, (name, field): (&str, &str), item: &Value, at: impl Fn(Value) -> Value) {
        let said = item.get(field).and_then(Value::as_str).unwrap_or_default();
        for delta in pieces(said) {
            self.event(&format!("response.{name}.delta"), at(json!({ "delta": delta })), true);
        }
        let mut done = json!({ field: said });
        if let (true, Some(done)) = (field == "arguments", done.as_object_mut()) {
            done.insert("name".to_owned(), item.get("name").cloned().unwrap_or_default());
        }
        self.event(&format!("response.{name}.done"), at(done), false);
    }

    fn event(&mut self, name: &str, rest: Value, token: bool) {
        let mut data = json!({ "type": name, "sequence_number": self.number });
        if let (Some(data), Value::Object(rest)) = (data.as_object_mut(), rest) {
            data.extend(rest);
        }
        self.number += 1;
        self.out.push(Piece { bytes: Bytes::from(format!("event: {name}\ndata: {data}\n\n")), token });
    }
}
