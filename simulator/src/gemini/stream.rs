//! A streamed Gemini answer: server-sent events of answers in small, or one JSON array of them.

use bytes::Bytes;
use serde_json::{Value, json};

use super::reply::{candidate, envelope, parts, usage};
use crate::ask::Ask;
use crate::ids::Ids;
use crate::model::{Answer, Stop};
use crate::prompts::Cached;
use crate::script::Piece;
use crate::tokens::pieces;

/// All the pieces of an answer; `array`: as one JSON array.
pub(crate) fn write(ask: &Ask, answers: &[Answer], cached: Cached, (ids, array): (&Ids, bool)) -> Vec<Piece> {
    let mut events: Vec<(Value, bool)> = Vec::new();
    for (index, answer) in answers.iter().enumerate() {
        for part in parts(ask, answer, ids) {
            match part.get("text").and_then(Value::as_str) {
                Some(text) => {
                    for piece in pieces(text) {
                        let mut part = part.clone();
                        part.as_object_mut().map(|part| part.insert("text".to_owned(), json!(piece)));
                        events.push((candidate(index, &[part], None), true));
                    }
                }
                None => events.push((candidate(index, &[part], None), true)),
            }
        }
        // Google's SDKs forget a turn one of whose events has no content.
        let refused = answer.stop == Stop::Refusal;
        let last = if refused { Vec::new() } else { vec![json!({ "text": "" })] };
        events.push((candidate(index, &last, Some(&answer.stop)), false));
    }
    let id = ids.next("");
    let usage = usage(ask, answers, cached);
    let count = events.len();
    let framed = events.into_iter().enumerate().map(|(at, (candidate, token))| {
        let event = envelope(ask, &[candidate], &usage, &id);
        let bytes = if array { element(&event, at == 0, at + 1 == count) } else { event_bytes(&event) };
        Piece { bytes, token }
    });
    framed.collect()
}

/// An error in the middle of an answer; `array`: of one that is a JSON array.
pub(crate) fn error(body: &Value, array: bool) -> Bytes {
    if array { Bytes::from(format!(",\r\n{body:#}\n]")) } else { event_bytes(body) }
}

/// One event as Google frames it.
fn event_bytes(data: &Value) -> Bytes {
    Bytes::from(format!("data: {data}\r\n\r\n"))
}

fn element(value: &Value, first: bool, last: bool) -> Bytes {
    let before = if first { "[" } else { ",\r\n" };
    let after = if last { "\n]" } else { "\n" };
    Bytes::from(format!("{before}{value:#}{after}"))
}
