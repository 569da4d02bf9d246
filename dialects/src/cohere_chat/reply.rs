//! A whole answer: read into the hub's words, and written out of them.

use serde::Deserialize;
use serde_json::value::RawValue;

use super::wire;
use crate::codec::{EncodedReply, Malformed};
use crate::dialect::Dialect;
use crate::hub::{Choice, Content, Extra, Fields, Part, Reply, ToolCall};
use crate::json::Writer;
use crate::text::Text;

#[derive(Deserialize)]
struct WholeAnswer<'a> {
    id: Option<String>,
    finish_reason: Option<String>,
    #[serde(borrow)]
    message: Option<AnswerMessage<'a>>,
    #[serde(borrow)]
    usage: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct AnswerMessage<'a> {
    #[serde(borrow)]
    content: Option<&'a RawValue>,
    tool_plan: Option<Text>,
    tool_calls: Option<Vec<CalledTool>>,
}

/// A piece of content, of a turn or an answer.
#[derive(Deserialize)]
pub(super) struct SaidPiece {
    pub(super) text: Option<Text>,
    pub(super) thinking: Option<Text>,
}

/// A tool call, whole or at its beginning.
#[derive(Deserialize)]
pub(super) struct CalledTool {
    pub(super) id: Option<String>,
    pub(super) function: Option<CalledFunction>,
}

#[derive(Deserialize, Default)]
pub(super) struct CalledFunction {
    pub(super) name: Option<String>,
    pub(super) arguments: Option<Text>,
}

impl CalledTool {
    /// The call in the hub's words.
    pub(super) fn read(self) -> ToolCall {
        let CalledFunction { name, arguments } = self.function.unwrap_or_default();
        ToolCall {
            id: self.id.unwrap_or_default(),
            name: name.unwrap_or_default(),
            arguments: arguments.map(Text::whole).unwrap_or_default(),
        }
    }
}

/// Reads a whole answer. Errors: it is not what the dialect allows, or says that the provider could not go on.
pub(super) fn decode(body: &[u8]) -> Result<Reply, Malformed> {
    let broken = |error: serde_json::Error| Malformed {
        message: "the provider's answer is malformed: it is not what the dialect allows".to_owned(),
        at: Some(error.column()),
    };
    let WholeAnswer { id, finish_reason, message, usage } = serde_json::from_slice(body).map_err(broken)?;
    let message = message.ok_or_else(|| Malformed::new("the provider's answer is malformed: it holds no message"))?;
    let word = finish_reason.unwrap_or_default();
    if wire::is_failure(&word) {
        return Err(Malformed::new("the provider's answer is malformed: an error stands where an answer should"));
    }
    let AnswerMessage { content, tool_plan, tool_calls } = message;
    let mut parts = content.map(pieces).unwrap_or_default();
    let plan = tool_plan.map(Text::whole).filter(|plan| !plan.is_empty());
    parts.extend(plan.map(Part::text));
    let calls: Vec<CalledTool> = tool_calls.unwrap_or_default();
    let stop = wire::stop(&word, !calls.is_empty());
    parts.extend(calls.into_iter().map(|call| Part::new(Content::ToolCall(call.read()))));
    Ok(Reply {
        id: id.unwrap_or_default(),
        // The vendor does not say it.
        model: String::new(),
        created: None,
        choices: vec![Choice { parts, stop, logprobs: None, extra: Fields::new() }],
        usage: usage.and_then(wire::usage),
        extra: Extra::none(Dialect::CohereChat),
    })
}

/// The pieces of a content, which is a text or a list; what is neither text nor thoughts is nothing.
pub(super) fn pieces(raw: &RawValue) -> Vec<Part> {
    if let Some(text) = Text::of(raw) {
        return vec![Part::text(text.whole())];
    }
    let list: Vec<&RawValue> = serde_json::from_str(raw.get()).unwrap_or_default();
    let piece = |raw: &RawValue| match serde_json::from_str(raw.get()).ok()? {
        SaidPiece { text: Some(text), .. } => Some(Part::text(text.whole())),
        SaidPiece { thinking: Some(text), .. } => {
            Some(Part::new(Content::Thinking { text: text.whole(), signature: None }))
        }
        SaidPiece { .. } => None,
    };
    list.into_iter().filter_map(piece).collect()
}

/// Writes a whole answer: the first, where there are several.
pub(super) fn encode(reply: &Reply) -> EncodedReply {
    let Reply { id, model: _, created: _, choices, usage, extra: _ } = reply;
    let parts = choices.first().map(|choice| choice.parts.as_slice()).unwrap_or_default();
    let called = parts.iter().any(|part| matches!(part.content, Content::ToolCall(_)));
    let mut json = Writer::with_capacity(512);
    json.open(b'{');
    json.text_field("id", id);
    let finish = choices.first().map_or("COMPLETE", |choice| wire::finish_reason(&choice.stop, called));
    json.text_field("finish_reason", finish);
    json.open_field("message", b'{');
    json.text_field("role", "assistant");
    json.open_field("content", b'[');
    let skipped = parts.iter().filter(|part| !write_piece(&part.content, &mut json)).count();
    json.close(b']');
    if called {
        json.open_field("tool_calls", b'[');
        for part in parts {
            if let Content::ToolCall(ToolCall { id, name, arguments }) = &part.content {
                // Clients read the arguments as JSON, which nothing is none of.
                let arguments = if arguments.trim().is_empty() { "{}" } else { arguments };
                wire::write_call(id, name, arguments, &mut json);
            }
        }
        json.close(b']');
    }
    json.close(b'}');
    if let Some(usage) = usage {
        wire::write_usage(usage, &mut json);
    }
    json.close(b'}');
    EncodedReply { body: json.into_bytes(), skipped }
}

/// Writes a piece of content; `false`: there are no words for it.
fn write_piece(content: &Content, json: &mut Writer) -> bool {
    let (kind, text) = match content {
        Content::Text { text, citations: _ } | Content::Refusal(text) => ("text", text),
        Content::Thinking { text, signature: _ } => ("thinking", text),
        Content::ToolCall(_) => return true,
        _ => return false,
    };
    json.open(b'{');
    json.text_field("type", kind);
    json.text_field(kind, text);
    json.close(b'}');
    true
}
