//! Writes a request's conversation out of the hub's words: instructions, turns and their parts, tool results.

use serde::Deserialize;

use super::pen::Pen;
use crate::dialect::Dialect;
use crate::hub::{Content, Message, Part, Role, Source, SystemPart, ToolCall};
use crate::json::{Path, ROOT};
use crate::seam::Refusal;

/// Writes the instructions. A caller of this dialect gets its messages back one by one; for another dialect's caller
/// they are one message, since many look-alikes' prompt templates take no more than one.
pub(super) fn system(parts: &[SystemPart], pen: &mut Pen) {
    const AT: Path<'static> = ROOT.field("system");
    if parts.is_empty() {
        return;
    }
    if pen.same {
        for (index, part) in parts.iter().enumerate() {
            system_message(part, &AT.index(index), pen);
        }
        return;
    }
    pen.json.open(b'{');
    pen.json.text_field("role", "system");
    for (index, SystemPart { text: _, cache: mark, developer: _, name: _, extra }) in parts.iter().enumerate() {
        let at = AT.index(index);
        pen.cache(mark.as_ref(), &at);
        pen.extra(extra, &at);
    }
    match parts {
        [one] => pen.json.text_field("content", &one.text),
        many if pen.compatible => {
            let texts: Vec<&str> = many.iter().map(|part| part.text.as_str()).collect();
            pen.json.text_field("content", &texts.join("\n\n"));
        }
        many => {
            pen.json.open_field("content", b'[');
            many.iter().for_each(|part| text_part(&part.text, pen));
            pen.json.close(b']');
        }
    }
    pen.json.close(b'}');
}

fn system_message(part: &SystemPart, at: &Path<'_>, pen: &mut Pen) {
    let SystemPart { text, cache: mark, developer, name, extra } = part;
    pen.json.open(b'{');
    pen.json.text_field("role", instruction_role(*developer, pen));
    match mark {
        Some(_) => {
            // The mark stands on a part.
            pen.json.open_field("content", b'[');
            pen.json.open(b'{');
            pen.json.text_field("type", "text");
            pen.json.text_field("text", text);
            pen.cache(mark.as_ref(), at);
            pen.json.close(b'}');
            pen.json.close(b']');
        }
        None => pen.json.text_field("content", text),
    }
    if let Some(name) = name {
        pen.json.text_field("name", name);
    }
    pen.extra(extra, at);
    pen.json.close(b'}');
}

fn instruction_role(developer: bool, pen: &Pen) -> &'static str {
    if developer && !pen.compatible { "developer" } else { "system" }
}

pub(super) fn messages(messages: &[Message], pen: &mut Pen) -> Result<(), Refusal> {
    const AT: Path<'static> = ROOT.field("messages");
    for (index, message) in messages.iter().enumerate() {
        let at = AT.index(index);
        match message.role {
            Role::Assistant => assistant(message, &at, pen)?,
            Role::User => user(message, &at, pen)?,
            Role::System => turn(instruction_role(false, pen), message, message.parts.iter().enumerate(), &at, pen)?,
            Role::Developer => turn(instruction_role(true, pen), message, message.parts.iter().enumerate(), &at, pen)?,
        }
    }
    Ok(())
}

/// Writes a user's turn: each run of tool results as tool messages, what stands before and behind them as messages of
/// the user. Pictures and documents inside results, which tool messages can not hold, follow in the user's words.
fn user(message: &Message, at: &Path<'_>, pen: &mut Pen) -> Result<(), Refusal> {
    let is_result = |part: &Part| matches!(part.content, Content::ToolResult { .. });
    let content_at = at.field("content");
    let mut at_part = 0;
    let mut wrote = false;
    for run in message.parts.chunk_by(|one, next| is_result(one) == is_result(next)) {
        if run.first().is_some_and(is_result) {
            let mut moved = Vec::new();
            for (index, part) in run.iter().enumerate() {
                tool_message(part, &content_at.index(at_part + index), &mut moved, pen)?;
            }
            moved_parts(&moved, &content_at, pen)?;
        } else {
            let numbered = run.iter().enumerate().map(|(index, part)| (at_part + index, part));
            turn("user", message, numbered, at, pen)?;
            wrote = true;
        }
        at_part += run.len();
    }
    if message.parts.is_empty() {
        turn("user", message, std::iter::empty(), at, pen)?;
    } else if !wrote {
        // The turn was tool results only: what it says of itself has no message to stand on.
        message.extra.keys().for_each(|name| pen.drop(format_args!("{at}.{name}")));
    }
    Ok(())
}

/// A result's picture or document: which result of which call it belongs to.
struct Moved<'a> {
    call_id: &'a str,
    index: usize,
    part: &'a Part,
}

fn tool_message<'a>(part: &'a Part, at: &Path<'_>, moved: &mut Vec<Moved<'a>>, pen: &mut Pen) -> Result<(), Refusal> {
    let Part { content: Content::ToolResult { call_id, parts, is_error }, cache: mark, extra } = part else {
        return Ok(());
    };
    let in_result = at.field("content");
    pen.json.open(b'{');
    pen.json.text_field("role", "tool");
    pen.json.text_field("tool_call_id", call_id);
    let mut texts = Vec::new();
    for (index, inner) in parts.iter().enumerate() {
        match &inner.content {
            Content::Text { text, citations: _ } => {
                texts.push(text.as_str());
                if !pen.same {
                    pen.cache(inner.cache.as_ref(), &in_result.index(index));
                }
            }
            Content::Image { .. } | Content::Document { .. } => moved.push(Moved { call_id, index, part: inner }),
            other => return Err(in_result.index(index).refuse(unspeakable(other, "a tool result"))),
        }
    }
    match texts.as_slice() {
        [] => pen.json.text_field("content", ""),
        [one] => pen.json.text_field("content", one),
        many if pen.compatible => pen.json.text_field("content", &many.join("\n\n")),
        many => {
            pen.json.open_field("content", b'[');
            many.iter().for_each(|text| text_part(text, pen));
            pen.json.close(b']');
        }
    }
    if *is_error {
        pen.drop(at.field("is_error"));
    }
    pen.cache(mark.as_ref(), at);
    pen.extra(extra, at);
    pen.json.close(b'}');
    Ok(())
}

fn moved_parts(moved: &[Moved<'_>], at: &Path<'_>, pen: &mut Pen) -> Result<(), Refusal> {
    if moved.is_empty() {
        return Ok(());
    }
    pen.json.open(b'{');
    pen.json.text_field("role", "user");
    pen.json.open_field("content", b'[');
    let mut last = None;
    for Moved { call_id, index, part } in moved {
        if last.replace(call_id) != Some(call_id) {
            text_part(&format!("Attached to the result of tool call {call_id}:"), pen);
        }
        write_part(part, &at.field("tool_result").index(*index), pen)?;
    }
    pen.json.close(b']');
    pen.json.close(b'}');
    Ok(())
}

/// Writes a message of parts: one plain text as a string, everything else as a list.
fn turn<'a>(
    role: &str,
    message: &Message,
    parts: impl Iterator<Item = (usize, &'a Part)> + Clone,
    at: &Path<'_>,
    pen: &mut Pen,
) -> Result<(), Refusal> {
    let Message { role: _, name, parts: _, extra } = message;
    let content_at = at.field("content");
    pen.json.open(b'{');
    pen.json.text_field("role", role);
    let mut ahead = parts.clone();
    let plain = |(_, part): (usize, &'a Part)| match &part.content {
        Content::Text { text, citations: None } if part.cache.is_none() && part.extra.is_empty() => Some(text),
        _ => None,
    };
    match (ahead.next(), ahead.next()) {
        (None, _) => pen.json.text_field("content", ""),
        (Some(only), None) if plain(only).is_some() => {
            pen.json.text_field("content", plain(only).map_or("", String::as_str));
        }
        _ => {
            pen.json.open_field("content", b'[');
            for (index, part) in parts {
                write_part(part, &content_at.index(index), pen)?;
            }
            pen.json.close(b']');
        }
    }
    if let Some(name) = name {
        pen.json.text_field("name", name);
    }
    pen.extra(extra, at);
    pen.json.close(b'}');
    Ok(())
}

fn text_part(text: &str, pen: &mut Pen) {
    pen.json.open(b'{');
    pen.json.text_field("type", "text");
    pen.json.text_field("text", text);
    pen.json.close(b'}');
}

fn write_part(part: &Part, at: &Path<'_>, pen: &mut Pen) -> Result<(), Refusal> {
    let Part { content, cache: mark, extra } = part;
    if let Content::Other { dialect: Dialect::OpenAiChat, raw } = content {
        pen.json.raw(raw.get());
        return Ok(());
    }
    pen.json.open(b'{');
    match content {
        Content::Text { text, citations } => {
            pen.json.text_field("type", "text");
            pen.json.text_field("text", text);
            if citations.is_some() {
                pen.drop(at.field("citations"));
            }
        }
        Content::Refusal(text) => {
            pen.json.text_field("type", "refusal");
            pen.json.text_field("refusal", text);
        }
        Content::Image { source, detail } => image(source, detail.as_deref(), at, pen)?,
        Content::Document { .. } => document(content, at, pen)?,
        Content::Audio { data, format } => {
            pen.json.text_field("type", "input_audio");
            pen.json.open_field("input_audio", b'{');
            pen.json.text_field("data", data);
            pen.json.text_field("format", format);
            pen.json.close(b'}');
        }
        other => return Err(at.refuse(unspeakable(other, "a turn of this role"))),
    }
    pen.cache(mark.as_ref(), at);
    pen.extra(extra, at);
    pen.json.close(b'}');
    Ok(())
}

fn image(source: &Source, detail: Option<&str>, at: &Path<'_>, pen: &mut Pen) -> Result<(), Refusal> {
    let url = match source {
        Source::Url(url) => url.clone(),
        Source::Base64 { media_type, data } => format!("data:{media_type};base64,{data}"),
        Source::File(_) => return Err(at.field("source").refuse("the file is not in this provider's store")),
        Source::Text(_) => return Err(at.field("source").refuse("a picture can not be text")),
    };
    pen.json.text_field("type", "image_url");
    pen.json.open_field("image_url", b'{');
    pen.json.text_field("url", &url);
    if let Some(detail) = detail {
        pen.json.text_field("detail", detail);
    }
    pen.json.close(b'}');
    Ok(())
}

fn document(content: &Content, at: &Path<'_>, pen: &mut Pen) -> Result<(), Refusal> {
    let Content::Document { source, name, settings } = content else { return Ok(()) };
    if let Source::Text(text) = source {
        // A plain text is said as text, under its title.
        let titled = name.as_ref().map(|title| format!("{title}\n\n{text}"));
        pen.json.text_field("type", "text");
        pen.json.text_field("text", titled.as_deref().unwrap_or(text));
        if !pen.same {
            settings.keys().for_each(|setting| pen.drop(format_args!("{at}.{setting}")));
        }
        return Ok(());
    }
    pen.json.text_field("type", "file");
    pen.json.open_field("file", b'{');
    match source {
        Source::Base64 { media_type, data } => {
            // OpenAI wants a file name with the data.
            pen.json.text_field("filename", name.as_deref().unwrap_or("document.pdf"));
            pen.json.text_field("file_data", &format!("data:{media_type};base64,{data}"));
        }
        Source::File(id) if pen.same => {
            pen.json.text_field("file_id", id);
            if let Some(name) = name {
                pen.json.text_field("filename", name);
            }
        }
        Source::File(_) => return Err(at.field("source").refuse("the file is not in this provider's store")),
        Source::Url(_) => {
            return Err(at.field("source").refuse("OpenAI Chat Completions takes no document by URL; send its bytes"));
        }
        Source::Text(_) => {}
    }
    pen.extra(settings, at);
    pen.json.close(b'}');
    Ok(())
}

/// Writes the model's turn. Thoughts are left out by rule: their signatures are another provider's.
fn assistant(message: &Message, at: &Path<'_>, pen: &mut Pen) -> Result<(), Refusal> {
    let Message { role: _, name, parts, extra } = message;
    let content_at = at.field("content");
    pen.json.open(b'{');
    pen.json.text_field("role", "assistant");
    let said = said(parts, &content_at, pen);
    let calls = parts.iter().any(is_call);
    match said.as_slice() {
        [] if calls => pen.json.value_field("content", "null"),
        [] => pen.json.text_field("content", ""),
        [(_, Part { content: Content::Refusal(text), .. })] => {
            pen.json.value_field("content", "null");
            pen.json.text_field("refusal", text);
        }
        [(_, Part { content: Content::Text { text, citations: None }, cache: None, extra })] if extra.is_empty() => {
            pen.json.text_field("content", text);
        }
        many => {
            pen.json.open_field("content", b'[');
            for (index, part) in many {
                write_part(part, &content_at.index(*index), pen)?;
            }
            pen.json.close(b']');
        }
    }
    if let Some(name) = name {
        pen.json.text_field("name", name);
    }
    if calls {
        pen.json.open_field("tool_calls", b'[');
        for (index, part) in parts.iter().enumerate().filter(|(_, part)| is_call(part)) {
            tool_call(part, &content_at.index(index), pen);
        }
        pen.json.close(b']');
    }
    pen.extra(extra, at);
    pen.json.close(b'}');
    Ok(())
}

/// The parts that are content here, noting the thoughts left out.
fn said<'a>(parts: &'a [Part], at: &Path<'_>, pen: &mut Pen) -> Vec<(usize, &'a Part)> {
    let mut said = Vec::new();
    for (index, part) in parts.iter().enumerate() {
        match &part.content {
            Content::Thinking { .. } | Content::RedactedThinking(_) => pen.drop(at.index(index)),
            _ if is_call(part) => {}
            _ => said.push((index, part)),
        }
    }
    said
}

/// Whether the part stands in `tool_calls`: a function's call, or a custom tool's, which stays raw.
fn is_call(part: &Part) -> bool {
    match &part.content {
        Content::ToolCall(_) => true,
        Content::Other { dialect: Dialect::OpenAiChat, raw } => type_of(raw.get()) == "custom",
        _ => false,
    }
}

fn tool_call(part: &Part, at: &Path<'_>, pen: &mut Pen) {
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

/// Why a part can not be said in a place, naming what it is.
fn unspeakable(content: &Content, place: &str) -> String {
    let what = match content {
        Content::Text { .. } => "text",
        Content::Refusal(_) => "a refusal",
        Content::Image { .. } => "a picture",
        Content::Document { .. } => "a document",
        Content::Audio { .. } => "sound",
        Content::ToolCall(_) => "a tool call",
        Content::ToolResult { .. } => "a tool result",
        Content::Thinking { .. } | Content::RedactedThinking(_) => "thoughts",
        Content::Other { dialect: _, raw } => {
            return format!("a `{}` block has no equivalent in {place} at this provider", type_of(raw.get()));
        }
    };
    format!("{what} can not stand in {place} at this provider")
}

fn type_of(raw: &str) -> String {
    #[derive(Deserialize)]
    struct Typed {
        r#type: Option<String>,
    }
    serde_json::from_str::<Typed>(raw).ok().and_then(|typed| typed.r#type).unwrap_or_else(|| "unknown".to_owned())
}
