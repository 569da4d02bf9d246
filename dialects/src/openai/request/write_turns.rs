//! Writes a request's conversation out of the hub's words: turns and their parts, tool results.

use std::borrow::Cow;

use serde::Deserialize;

use super::pen::Pen;
use super::write_parts::{Piece, content, type_of, unspeakable, write_part};
use super::write_system::{in_place, instructs, role};
use super::write_thoughts;
use crate::dialect::Dialect;
use crate::hub::{Content, Message, Part, Role, ToolCall};
use crate::json::{Path, ROOT};
use crate::seam::Refusal;

const MESSAGES: Path<'static> = ROOT.field("messages");

/// Writes the turns. Where a look-alike's template wants the roles to alternate, another dialect's turns of the user's that
/// follow one another become one.
pub(super) fn messages(messages: &[Message], pen: &mut Pen<'_>) -> Result<(), Refusal> {
    let gathers = pen.gathers();
    let alternate = !pen.same && pen.look_alike().is_some();
    let kept: Vec<&Message> = messages.iter().filter(|message| !(gathers && instructs(message.role))).collect();
    let last_said = kept.iter().rposition(|message| message.role == Role::User && !message.parts.iter().all(is_result));
    let mut place = 0;
    for turn in kept.chunk_by(|one, next| alternate && one.role == Role::User && next.role == Role::User) {
        let Some(first) = turn.first() else { continue };
        match first.role {
            Role::Assistant => assistant(first, last_said.is_none_or(|last| place > last), pen)?,
            Role::User => user(turn, pen)?,
            Role::System | Role::Developer if pen.same => instructions(first, pen)?,
            Role::System | Role::Developer => in_place(first, pen)?,
        }
        place += turn.len();
    }
    Ok(())
}

fn is_result(part: &Part) -> bool {
    matches!(part.content, Content::ToolResult { .. })
}

fn pieces<'a>(message: &'a Message) -> impl Iterator<Item = Piece<'a>> {
    message.parts.iter().enumerate().map(|(index, part)| Piece { message: message.at, index, part })
}

/// Writes a user's turn: the tool results as tool messages, which have to follow the calls at once, then all else as one
/// message of the user, in order. Pictures and documents inside results, which tool messages can not hold, begin it.
fn user(turn: &[&Message], pen: &mut Pen<'_>) -> Result<(), Refusal> {
    let (results, said): (Vec<Piece<'_>>, Vec<Piece<'_>>) =
        turn.iter().flat_map(|message| pieces(message)).partition(|piece| is_result(piece.part));
    let mut moved = Vec::new();
    for result in &results {
        moved.extend(result.at(|at| tool_message(result, at, pen))?);
    }
    if said.is_empty() && moved.is_empty() && !results.is_empty() {
        // The turn was tool results only: what it says of itself has no message to stand on.
        for message in turn {
            message.extra.keys().for_each(|name| pen.drop(format_args!("{}.{name}", MESSAGES.index(message.at))));
        }
        return Ok(());
    }
    pen.json.open(b'{');
    pen.json.text_field("role", "user");
    if moved.is_empty() {
        content(&said, pen)?;
    } else {
        pen.json.open_field("content", b'[');
        write_moved(&moved, pen)?;
        for piece in &said {
            piece.write(pen)?;
        }
        pen.json.close(b']');
    }
    own(turn, pen);
    pen.json.close(b'}');
    Ok(())
}

/// What messages say of themselves.
fn own(turn: &[&Message], pen: &mut Pen<'_>) {
    if let Some(name) = turn.iter().find_map(|message| message.name.as_deref()) {
        pen.json.text_field("name", name);
    }
    for message in turn {
        pen.extra(&message.extra, &MESSAGES.index(message.at));
    }
}

/// Gives instructions in mid-conversation back to a caller of this dialect.
fn instructions(message: &Message, pen: &mut Pen<'_>) -> Result<(), Refusal> {
    pen.json.open(b'{');
    pen.json.text_field("role", role(message.role == Role::Developer, pen));
    content(&pieces(message).collect::<Vec<_>>(), pen)?;
    own(&[message], pen);
    pen.json.close(b'}');
    Ok(())
}

/// A result's picture or document: which piece of which result it is.
struct Moved<'a> {
    call_id: &'a str,
    message: usize,
    result: usize,
    index: usize,
    part: &'a Part,
}

/// Writes a result as a tool message.
fn tool_message<'a>(result: &Piece<'a>, at: &Path<'_>, pen: &mut Pen<'_>) -> Result<Vec<Moved<'a>>, Refusal> {
    let mut moved = Vec::new();
    let Part { content: Content::ToolResult { call_id, parts, is_error }, cache: mark, extra } = result.part else {
        return Ok(moved);
    };
    let in_result = at.field("content");
    pen.json.open(b'{');
    pen.json.text_field("role", "tool");
    pen.json.text_field("tool_call_id", call_id);
    let mut texts = Vec::new();
    for (index, inner) in parts.iter().enumerate() {
        match &inner.content {
            Content::Text { text, citations: _ } => {
                texts.push(Cow::Borrowed(text.as_str()));
                if !pen.same {
                    pen.cache(inner.cache.as_ref(), &in_result.index(index));
                }
            }
            Content::Image { .. } | Content::Document { .. } => {
                moved.push(Moved { call_id, message: result.message, result: result.index, index, part: inner });
            }
            Content::Other { dialect: Dialect::AnthropicMessages, raw } if type_of(raw.get()) == "tool_reference" => {
                texts.push(Cow::Owned(reference(raw.get())));
            }
            other => return Err(in_result.index(index).refuse(unspeakable(other, "a tool result"))),
        }
    }
    pen.texts(&texts);
    if *is_error {
        pen.drop(at.field("is_error"));
    }
    pen.cache(mark.as_ref(), at);
    pen.extra(extra, at);
    pen.json.close(b'}');
    Ok(moved)
}

fn write_moved(moved: &[Moved<'_>], pen: &mut Pen<'_>) -> Result<(), Refusal> {
    let mut last = None;
    for Moved { call_id, message, result, index, part } in moved {
        if last.replace(call_id) != Some(call_id) {
            pen.text_part(&format!("Attached to the result of tool call {call_id}:"));
        }
        let message = MESSAGES.index(*message);
        let results = message.field("content");
        let result = results.index(*result);
        write_part(part, &result.field("content").index(*index), pen)?;
    }
    Ok(())
}

/// What a search for tools has found, as text: the tool itself stands in `tools`.
fn reference(raw: &str) -> String {
    #[derive(Deserialize)]
    struct Reference {
        tool_name: Option<String>,
    }
    let name = serde_json::from_str::<Reference>(raw).ok().and_then(|found| found.tool_name);
    format!("Found the tool `{}`; it can be called now.", name.as_deref().unwrap_or("unknown"))
}

/// Writes the model's turn. `in_loop`: since it, the user has given tool results and nothing else.
fn assistant(message: &Message, in_loop: bool, pen: &mut Pen<'_>) -> Result<(), Refusal> {
    let Message { role: _, name: _, parts, extra: _, at } = message;
    let at = MESSAGES.index(*at);
    let content_at = at.field("content");
    pen.json.open(b'{');
    pen.json.text_field("role", "assistant");
    let calls = parts.iter().any(is_call);
    let said = said(message, pen);
    match said.as_slice() {
        [] if calls => pen.json.value_field("content", "null"),
        [] => pen.json.text_field("content", ""),
        [Piece { part: Part { content: Content::Refusal(text), .. }, .. }] => {
            pen.json.value_field("content", "null");
            pen.json.text_field("refusal", text);
        }
        many => content(many, pen)?,
    }
    if let Some(name) = &message.name {
        pen.json.text_field("name", name);
    }
    write_thoughts::thoughts(message, calls || in_loop, pen);
    if calls {
        pen.json.open_field("tool_calls", b'[');
        for (index, part) in parts.iter().enumerate().filter(|(_, part)| is_call(part)) {
            tool_call(part, &content_at.index(index), pen);
        }
        pen.json.close(b']');
    }
    pen.extra(&message.extra, &at);
    pen.json.close(b'}');
    Ok(())
}

/// The parts that are content here. Of tools that a vendor runs itself nothing is said to a provider whose policy leaves
/// them out.
fn said<'a>(message: &'a Message, pen: &mut Pen<'_>) -> Vec<Piece<'a>> {
    let mut said = Vec::new();
    for piece in pieces(message) {
        match &piece.part.content {
            Content::Thinking { .. } | Content::RedactedThinking(_) => {}
            Content::Other { dialect: Dialect::AnthropicMessages, raw }
                if pen.target.drop_server_tools && is_servers(&type_of(raw.get())) =>
            {
                piece.at(|at| pen.drop(at));
            }
            _ if is_call(piece.part) => {}
            _ => said.push(piece),
        }
    }
    said
}

/// Whether a block of this type tells of a tool that Anthropic ran.
fn is_servers(kind: &str) -> bool {
    kind == "server_tool_use" || kind == "mcp_tool_use" || kind.ends_with("_tool_result")
}

/// Whether the part stands in `tool_calls`: a function's call, or a custom tool's, which stays raw.
fn is_call(part: &Part) -> bool {
    match &part.content {
        Content::ToolCall(_) => true,
        Content::Other { dialect: Dialect::OpenAiChat, raw } => type_of(raw.get()) == "custom",
        _ => false,
    }
}

fn tool_call(part: &Part, at: &Path<'_>, pen: &mut Pen<'_>) {
    let Part { content, cache: mark, extra } = part;
    match content {
        Content::ToolCall(ToolCall { id, name, arguments }) => {
            pen.json.open(b'{');
            pen.json.text_field("id", id);
            pen.json.text_field("type", "function");
            pen.json.open_field("function", b'{');
            pen.json.text_field("name", name);
            pen.json.text_field("arguments", arguments);
            pen.json.close(b'}');
            pen.cache(mark.as_ref(), at);
            pen.extra(extra, at);
            pen.json.close(b'}');
        }
        Content::Other { dialect: _, raw } => pen.json.raw(raw.get()),
        _ => {}
    }
}
