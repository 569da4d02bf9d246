//! Writes a request's conversation out of the hub's words: turns and their parts, tool results.

use std::borrow::Cow;

use super::write_parts::{PlacedPart, content, type_of, unspeakable, write_part};
use super::write_system::{in_place, instructs, role};
use super::write_thoughts;
use super::writer::RequestWriter;
use crate::call_id::{LONGEST_IN_CHAT, short};
use crate::codec::Refusal;
use crate::dialect::Dialect;
use crate::hub::{Content, Message, Part, Role, ToolCall};
use crate::json::{Path, ROOT};
use crate::openai_chat::signatures::ON_A_CALL;
use crate::server_tools::found_tool;
use crate::vendors::ReasoningBack;

const MESSAGES: Path<'static> = ROOT.field("messages");

/// Writes the turns. Where a look-alike's template wants the roles to alternate, another dialect's turns of the user's that
/// follow one another become one.
pub(super) fn messages(messages: &[Message], writer: &mut RequestWriter<'_>) -> Result<(), Refusal> {
    let gathers = writer.gathers();
    let alternate = writer.cross_dialect && writer.look_alike().is_some();
    let mut leaves = |message: &Message| (gathers && instructs(message.role)) || is_unsaid(message, writer);
    let kept: Vec<&Message> = messages.iter().filter(|message| !leaves(message)).collect();
    let last_said = kept.iter().rposition(|message| message.role == Role::User && !message.parts.iter().all(is_result));
    let all = kept.len();
    let mut place = 0;
    for turn in kept.chunk_by(|one, next| alternate && one.role == Role::User && next.role == Role::User) {
        let Some(first) = turn.first() else { continue };
        match first.role {
            Role::Assistant => {
                let is_last = place + 1 == all;
                assistant(first, (last_said.is_none_or(|last| place > last), is_last), writer)?;
            }
            Role::User => user(turn, writer)?,
            Role::System | Role::Developer if !writer.cross_dialect => instructions(first, writer)?,
            Role::System | Role::Developer => in_place(first, writer)?,
        }
        place += turn.len();
    }
    Ok(())
}

/// True if nothing of what the model said in another dialect is said here; what is left out of it is noted. Such a turn would
/// stand empty in the conversation.
fn is_unsaid(message: &Message, writer: &mut RequestWriter<'_>) -> bool {
    let speaks = |part: &Part| match &part.content {
        Content::Text { text, citations: _ } => !text.is_empty(),
        Content::Thinking { text, signature: _ } => writer.reasoning() != ReasoningBack::Never && !text.is_empty(),
        Content::RedactedThinking(_) => false,
        content => !is_left_out(content, writer),
    };
    if !writer.cross_dialect || message.role != Role::Assistant || message.parts.iter().any(speaks) {
        return false;
    }
    said(message, writer);
    write_thoughts::thoughts(message, false, writer);
    writer.extra(&message.extra, &MESSAGES.index(message.at));
    true
}

/// True if a model's turn goes without this part: a picture, as only what looks like OpenAI lets a model say one, and takes
/// none in its turn; and what tells of tools that a vendor ran, where the provider's policy leaves that out.
fn is_left_out(content: &Content, writer: &RequestWriter<'_>) -> bool {
    match content {
        Content::Image { .. } => writer.cross_dialect,
        Content::Other { dialect: Dialect::OpenAiChat, raw: _ } => false,
        Content::Other { dialect: _, raw } => writer.profile.server_tools.leaves_out_trace(raw),
        _ => false,
    }
}

/// Stands for the model's turn between tool results and what the user says with them, where one has to.
const BETWEEN: &str = "The tools have answered.";

fn is_result(part: &Part) -> bool {
    matches!(part.content, Content::ToolResult { .. })
}

fn pieces<'a>(message: &'a Message) -> impl Iterator<Item = PlacedPart<'a>> {
    message.parts.iter().enumerate().map(|(index, part)| PlacedPart { message: message.at, index, part })
}

/// Writes a user's turn: the tool results as tool messages, which have to follow the calls at once, then all else as one
/// message of the user, in order. Pictures and documents inside results, which tool messages can not hold, begin it.
fn user(turn: &[&Message], writer: &mut RequestWriter<'_>) -> Result<(), Refusal> {
    let (results, said): (Vec<PlacedPart<'_>>, Vec<PlacedPart<'_>>) =
        turn.iter().flat_map(|message| pieces(message)).partition(|piece| is_result(piece.part));
    let joined = if writer.user_after_results() { None } else { texts_alone(&results, &said) };
    let mut moved = Vec::new();
    for (at, result) in results.iter().enumerate() {
        let joined = joined.as_deref().filter(|_| at + 1 == results.len()).unwrap_or_default();
        moved.extend(result.at(|at| tool_message(result, at, joined, writer))?);
    }
    if (said.is_empty() || joined.is_some()) && moved.is_empty() && !results.is_empty() {
        // The turn was tool results only: what it says of itself has no message to stand on.
        for message in turn {
            message.extra.keys().for_each(|name| writer.drop(format_args!("{}.{name}", MESSAGES.index(message.at))));
        }
        return Ok(());
    }
    if !results.is_empty() && !writer.user_after_results() {
        // Pictures have no place but a turn of the user's, and that one no place but behind the model's.
        writer.json.open(b'{');
        writer.json.text_field("role", "assistant");
        writer.json.text_field("content", BETWEEN);
        writer.json.close(b'}');
    }
    writer.json.open(b'{');
    writer.json.text_field("role", "user");
    if moved.is_empty() {
        content(&said, writer)?;
    } else {
        writer.json.open_field("content", b'[');
        write_moved(&moved, writer)?;
        for piece in &said {
            piece.write(writer)?;
        }
        writer.json.close(b']');
    }
    own(turn, writer);
    writer.json.close(b'}');
    Ok(())
}

/// The texts that a turn says beside its results, where both are texts alone: they can stand in the last of the results for a
/// server that takes no turn of the user's behind them.
fn texts_alone<'a>(results: &[PlacedPart<'a>], said: &[PlacedPart<'a>]) -> Option<Vec<&'a str>> {
    let is_text = |part: &Part| matches!(part.content, Content::Text { .. });
    let holds_texts = |result: &PlacedPart<'_>| match &result.part.content {
        Content::ToolResult { parts, .. } => parts.iter().all(is_text),
        _ => false,
    };
    if results.is_empty() || !results.iter().all(holds_texts) {
        return None;
    }
    let text = |piece: &PlacedPart<'a>| match &piece.part.content {
        Content::Text { text, citations: _ } => Some(text.as_str()),
        _ => None,
    };
    said.iter().map(text).collect()
}

/// The fields that messages have of their own.
fn own(turn: &[&Message], writer: &mut RequestWriter<'_>) {
    if let Some(name) = turn.iter().find_map(|message| message.name.as_deref()) {
        writer.json.text_field("name", name);
    }
    for message in turn {
        writer.extra(&message.extra, &MESSAGES.index(message.at));
    }
}

/// Gives instructions in mid-conversation back to a caller of this dialect.
fn instructions(message: &Message, writer: &mut RequestWriter<'_>) -> Result<(), Refusal> {
    writer.json.open(b'{');
    writer.json.text_field("role", role(message.role == Role::Developer, writer));
    content(&pieces(message).collect::<Vec<_>>(), writer)?;
    own(&[message], writer);
    writer.json.close(b'}');
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

/// Writes a result as a tool message; texts that are `joined` to it stand behind its own.
fn tool_message<'a>(
    result: &PlacedPart<'a>,
    at: &Path<'_>,
    joined: &[&'a str],
    writer: &mut RequestWriter<'_>,
) -> Result<Vec<Moved<'a>>, Refusal> {
    let mut moved = Vec::new();
    let Part { content: Content::ToolResult { call_id, parts, is_error }, cache: mark, extra } = result.part else {
        return Ok(moved);
    };
    let in_result = at.field("content");
    writer.json.open(b'{');
    writer.json.text_field("role", "tool");
    writer.json.text_field("tool_call_id", &short(call_id, LONGEST_IN_CHAT));
    let mut texts = Vec::new();
    // A mark on any of its parts is one behind all of it.
    let within = || parts.iter().rev().find_map(|inner| inner.cache.as_ref());
    let told = if writer.marks() { mark.as_ref().or_else(within) } else { None };
    for (index, inner) in parts.iter().enumerate() {
        match &inner.content {
            Content::Text { text, citations: _ } => {
                texts.push(Cow::Borrowed(text.as_str()));
                if writer.cross_dialect && told.is_none() {
                    writer.unmarked(inner.cache.as_ref(), &in_result.index(index));
                }
            }
            Content::Image { .. } | Content::Document { .. } => {
                moved.push(Moved { call_id, message: result.message, result: result.index, index, part: inner });
            }
            Content::Other { dialect, raw }
                if *dialect != Dialect::OpenAiChat && type_of(raw.get()) == "tool_reference" =>
            {
                texts.push(Cow::Owned(found_tool(raw)));
            }
            other => return Err(in_result.index(index).refuse(unspeakable(other, "a tool result"))),
        }
    }
    texts.extend(joined.iter().copied().map(Cow::Borrowed));
    match told {
        Some(_) if !texts.is_empty() => {
            let last = texts.len() - 1;
            let marked = texts.iter().enumerate().map(|(index, text)| (&**text, told.filter(|_| index == last)));
            writer.marked_texts(marked);
        }
        _ => writer.texts(&texts),
    }
    if *is_error {
        writer.drop(at.field("is_error"));
    }
    if !writer.cross_dialect {
        writer.cache(mark.as_ref(), at);
    } else if told.is_none() {
        writer.unmarked(mark.as_ref(), at);
    }
    writer.extra(extra, at);
    writer.json.close(b'}');
    Ok(moved)
}

fn write_moved(moved: &[Moved<'_>], writer: &mut RequestWriter<'_>) -> Result<(), Refusal> {
    let mut last = None;
    for Moved { call_id, message, result, index, part } in moved {
        if last.replace(call_id) != Some(call_id) {
            writer.text_part(&format!("Attached to the result of tool call {}:", short(call_id, LONGEST_IN_CHAT)));
        }
        let message = MESSAGES.index(*message);
        let results = message.field("content");
        let result = results.index(*result);
        write_part(part, &result.field("content").index(*index), writer)?;
    }
    Ok(())
}

/// Writes the model's turn. `in_loop`: since it, the user has given tool results and nothing else; `is_last`: it is to go on with it.
fn assistant(
    message: &Message,
    (in_loop, is_last): (bool, bool),
    writer: &mut RequestWriter<'_>,
) -> Result<(), Refusal> {
    let Message { role: _, name: _, parts, extra: _, at } = message;
    let at = MESSAGES.index(*at);
    let content_at = at.field("content");
    writer.json.open(b'{');
    writer.json.text_field("role", "assistant");
    let calls = parts.iter().any(is_call);
    let said = said(message, writer);
    match said.as_slice() {
        [] if calls => writer.json.value_field("content", "null"),
        [] => writer.json.text_field("content", ""),
        [PlacedPart { part: Part { content: Content::Refusal(text), .. }, .. }] => {
            writer.json.value_field("content", "null");
            writer.json.text_field("refusal", text);
        }
        many => content(many, writer)?,
    }
    if let Some(name) = &message.name {
        writer.json.text_field("name", name);
    }
    let mark = writer.look_alike().and_then(|row| row.prefill).filter(|_| is_last && !calls && writer.cross_dialect);
    if let Some(mark) = mark {
        writer.json.value_field(mark.field, true);
    }
    write_thoughts::thoughts(message, calls || in_loop, writer);
    write_thoughts::details(parts, writer);
    if calls {
        writer.json.open_field("tool_calls", b'[');
        for (index, part) in parts.iter().enumerate().filter(|(_, part)| is_call(part)) {
            let signature = write_thoughts::on_call(parts.get(..index).unwrap_or_default(), writer);
            tool_call((part, signature), &content_at.index(index), writer);
        }
        writer.json.close(b']');
    }
    writer.extra(&message.extra, &at);
    writer.json.close(b'}');
    Ok(())
}

/// The parts that are content here; what is left out is noted.
fn said<'a>(message: &'a Message, writer: &mut RequestWriter<'_>) -> Vec<PlacedPart<'a>> {
    let mut said = Vec::new();
    for piece in pieces(message) {
        match &piece.part.content {
            Content::Thinking { .. } | Content::RedactedThinking(_) => {}
            content if is_left_out(content, writer) => piece.at(|at| writer.drop(at)),
            _ if is_call(piece.part) => {}
            _ => said.push(piece),
        }
    }
    said
}

/// True if the part stands in `tool_calls`.
fn is_call(part: &Part) -> bool {
    matches!(part.content, Content::ToolCall(_))
}

/// Writes a call, with the signature of Google's that stands on it.
fn tool_call((part, signature): (&Part, Option<&str>), at: &Path<'_>, writer: &mut RequestWriter<'_>) {
    let Part { content: Content::ToolCall(ToolCall { id, name, arguments }), cache: mark, extra } = part else {
        return;
    };
    writer.json.open(b'{');
    writer.json.text_field("id", &short(id, LONGEST_IN_CHAT));
    writer.json.text_field("type", "function");
    writer.json.open_field("function", b'{');
    writer.json.text_field("name", name);
    writer.json.text_field("arguments", &writer.arguments(arguments));
    writer.json.close(b'}');
    if let Some(signature) = signature {
        writer.json.open_field(ON_A_CALL, b'{');
        writer.json.open_field("google", b'{');
        writer.json.text_field("thought_signature", signature);
        writer.json.close(b'}');
        writer.json.close(b'}');
    }
    writer.cache(mark.as_ref(), at);
    writer.extra(extra, at);
    writer.json.close(b'}');
}
