//! The events of a stream, each in one line with its name before it.

use serde_json::value::RawValue;

use crate::hub::Usage;
use crate::json::{Writer, one_line};

use super::super::wire;

/// The end of a whole stream.
pub(crate) const END: &[u8] = b"data: [DONE]\n\n";

/// A piece of a streamed answer.
#[derive(Debug, Clone, Copy)]
pub(crate) enum CohereEvent<'a> {
    /// The message begins, with its id.
    Start(&'a str),
    /// A content of a kind (`text`, `thinking`) begins.
    ContentStart(usize, &'a str),
    /// More of it.
    Content(usize, &'a str, &'a str),
    /// It ends.
    ContentEnd(usize),
    /// More of the plan before tools are called.
    Plan(&'a str),
    /// A call of a tool begins: its id and its name.
    CallStart(usize, &'a str, &'a str),
    /// More of its arguments.
    Call(usize, &'a str),
    /// It ends.
    CallEnd(usize),
    /// The message ends: why, and what was used.
    End(&'a str, Option<&'a Usage>),
    /// The same, the usage as it was said.
    EndAsSaid(&'a str, Option<&'a RawValue>),
    /// The provider could not go on.
    Failed(&'a str),
}

/// Appends an event.
pub(crate) fn event(piece: CohereEvent<'_>, out: &mut Vec<u8>) {
    let (name, index) = match piece {
        CohereEvent::Start(_) => ("message-start", None),
        CohereEvent::ContentStart(index, _) => ("content-start", Some(index)),
        CohereEvent::Content(index, ..) => ("content-delta", Some(index)),
        CohereEvent::ContentEnd(index) => ("content-end", Some(index)),
        CohereEvent::Plan(_) => ("tool-plan-delta", None),
        CohereEvent::CallStart(index, ..) => ("tool-call-start", Some(index)),
        CohereEvent::Call(index, _) => ("tool-call-delta", Some(index)),
        CohereEvent::CallEnd(index) => ("tool-call-end", Some(index)),
        CohereEvent::End(..) | CohereEvent::EndAsSaid(..) | CohereEvent::Failed(_) => ("message-end", None),
    };
    out.extend_from_slice(b"event: ");
    out.extend_from_slice(name.as_bytes());
    let mut json = Writer::onto(std::mem::take(out));
    json.open_written(b"\ndata: ");
    json.open(b'{');
    if let CohereEvent::Start(id) = piece {
        json.text_field("id", id);
    }
    json.text_field("type", name);
    if let Some(index) = index {
        json.value_field("index", index);
    }
    delta(piece, &mut json);
    json.close(b'}');
    *out = json.into_bytes();
    out.extend_from_slice(b"\n\n");
}

/// Writes the end of a message; `false`: it is none.
fn ended(piece: CohereEvent<'_>, json: &mut Writer) -> bool {
    let (error, reason) = match piece {
        CohereEvent::End(reason, _) | CohereEvent::EndAsSaid(reason, _) => (None, reason),
        CohereEvent::Failed(message) => (Some(message), wire::FAILED),
        _ => return false,
    };
    json.open_field("delta", b'{');
    if let Some(message) = error {
        json.text_field("error", message);
    }
    json.text_field("finish_reason", reason);
    match piece {
        CohereEvent::End(_, Some(usage)) => wire::write_usage(usage, json),
        CohereEvent::EndAsSaid(_, Some(usage)) => {
            json.key("usage");
            json.raw(&one_line(usage));
        }
        _ => {}
    }
    json.close(b'}');
    true
}

fn delta(piece: CohereEvent<'_>, json: &mut Writer) {
    if matches!(piece, CohereEvent::ContentEnd(_) | CohereEvent::CallEnd(_)) || ended(piece, json) {
        return;
    }
    json.open_field("delta", b'{');
    json.open_field("message", b'{');
    match piece {
        CohereEvent::Start(_) => {
            json.text_field("role", "assistant");
            for list in ["content", "tool_calls", "citations"] {
                json.open_field(list, b'[');
                json.close(b']');
            }
            json.text_field("tool_plan", "");
        }
        CohereEvent::ContentStart(_, kind) => {
            json.open_field("content", b'{');
            json.text_field("type", kind);
            json.text_field(kind, "");
            json.close(b'}');
        }
        CohereEvent::Content(_, kind, text) => {
            json.open_field("content", b'{');
            json.text_field(kind, text);
            json.close(b'}');
        }
        CohereEvent::Plan(text) => json.text_field("tool_plan", text),
        CohereEvent::CallStart(_, id, name) => {
            json.key("tool_calls");
            wire::write_call(id, name, "", json);
        }
        CohereEvent::Call(_, arguments) => {
            json.open_field("tool_calls", b'{');
            json.open_field("function", b'{');
            json.text_field("arguments", arguments);
            json.close(b'}');
            json.close(b'}');
        }
        _ => {}
    }
    json.close(b'}');
    json.close(b'}');
}
