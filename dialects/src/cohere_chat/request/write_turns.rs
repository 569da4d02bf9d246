//! Writes a request's conversation: instructions, turns and their parts, tool results.

use std::borrow::Cow;

use super::writer::CohereWriter;
use crate::call_arguments::as_object;
use crate::codec::Refusal;
use crate::cohere_chat::wire::write_call;
use crate::hub::{Content, Message, Part, Role, Source, SystemPart, ToolCall};
use crate::json::{ROOT, kind_of};
use crate::server_tools::found_tool;
use crate::vendors::without_attribution;

/// Stands for the text of a result that has none.
const NO_OUTPUT: &str = "(no output)";
/// The same, where it has pictures.
const ATTACHED: &str = "(its pictures follow)";

/// Writes the member `"messages":[…]`. What is `told` is said behind the instructions.
pub(super) fn messages(
    system: &[SystemPart],
    messages: &[Message],
    told: Option<&str>,
    writer: &mut CohereWriter<'_>,
) -> Result<(), Refusal> {
    writer.json.open_field("messages", b'[');
    let mut texts = Vec::new();
    for (index, SystemPart { text, cache, developer: _, name, extra }) in system.iter().enumerate() {
        extra.keys().for_each(|name| writer.drop(format_args!("system[{index}].{name}")));
        if name.is_some() {
            writer.drop("messages.name");
        }
        if cache.is_some() {
            writer.drop(format_args!("system[{index}].cache_control"));
        }
        texts.extend(without_attribution(text));
    }
    if texts.is_empty() && messages.is_empty() {
        return Err(ROOT.field("messages").refuse("at least one message with content is required"));
    }
    texts.extend(told.map(Cow::Borrowed));
    if !texts.is_empty() {
        said("system", &texts.join("\n\n"), writer);
    }
    let is_said = |part: &Part| !matches!(part.content, Content::ToolResult { .. });
    let last = messages.iter().rposition(|message| message.role == Role::User && message.parts.iter().any(is_said));
    for (place, message) in messages.iter().enumerate() {
        writer.is_before = last.is_some_and(|last| place < last);
        let Message { role, name, parts: _, extra, at } = message;
        if name.is_some() {
            writer.drop("messages.name");
        }
        extra.keys().for_each(|name| writer.drop(format_args!("messages[{at}].{name}")));
        match role {
            Role::Assistant => assistant(message, writer)?,
            Role::User => user(message, writer)?,
            Role::System | Role::Developer => instructions(message, writer)?,
        }
    }
    if writer.json.is_bare() {
        return Err(ROOT.field("messages").refuse("at least one message with content is required"));
    }
    writer.json.close(b']');
    Ok(())
}

fn said(role: &str, text: &str, writer: &mut CohereWriter<'_>) {
    writer.json.open(b'{');
    writer.json.text_field("role", role);
    writer.json.text_field("content", text);
    writer.json.close(b'}');
}

fn instructions(message: &Message, writer: &mut CohereWriter<'_>) -> Result<(), Refusal> {
    let mut texts = Vec::new();
    for (index, part) in message.parts.iter().enumerate() {
        let Content::Text { text, citations: _ } = &part.content else {
            return Err(Refusal::field((writer.path)(message, index, None), "instructions may hold text only"));
        };
        texts.extend(without_attribution(text));
    }
    if !texts.is_empty() {
        said("system", &texts.join("\n\n"), writer);
    }
    Ok(())
}

/// Writes a user's turn: the tool results as messages of their own, then all else, with the pictures of the results.
fn user(message: &Message, writer: &mut CohereWriter<'_>) -> Result<(), Refusal> {
    let path = writer.path;
    let mut pieces: Vec<UserPiece<'_>> = Vec::new();
    let mut results = false;
    for (index, part) in message.parts.iter().enumerate() {
        match &part.content {
            Content::ToolResult { .. } => {
                results = true;
                result(message, index, writer, &mut pieces)?;
            }
            _ => pieces.push(piece(part, || path(message, index, None), writer)?),
        }
        if part.cache.is_some() {
            writer.drop(format_args!("{}.cache_control", (writer.path)(message, index, None)));
        }
    }
    if pieces.is_empty() && results {
        return Ok(());
    }
    writer.json.open(b'{');
    writer.json.text_field("role", "user");
    if let [UserPiece::Text(text)] = pieces.as_slice() {
        writer.json.text_field("content", text);
    } else {
        writer.json.open_field("content", b'[');
        pieces.iter().for_each(|piece| piece.write(writer));
        writer.json.close(b']');
    }
    writer.json.close(b'}');
    Ok(())
}

/// A piece of a user's turn.
enum UserPiece<'a> {
    Text(Cow<'a, str>),
    Picture { url: Cow<'a, str>, detail: Option<&'a str> },
}

impl UserPiece<'_> {
    fn write(&self, writer: &mut CohereWriter<'_>) {
        writer.json.open(b'{');
        match self {
            Self::Text(text) => {
                writer.json.text_field("type", "text");
                writer.json.text_field("text", text);
            }
            Self::Picture { url, detail } => {
                writer.json.text_field("type", "image_url");
                writer.json.open_field("image_url", b'{');
                writer.json.text_field("url", url);
                if let Some(detail) = detail {
                    writer.json.text_field("detail", detail);
                }
                writer.json.close(b'}');
            }
        }
        writer.json.close(b'}');
    }
}

fn piece<'a>(
    part: &'a Part,
    path: impl Fn() -> String,
    writer: &mut CohereWriter<'_>,
) -> Result<UserPiece<'a>, Refusal> {
    let refuse = |what: &str| Err(Refusal::field(path(), what));
    match &part.content {
        Content::Text { text, citations: _ } | Content::Refusal(text) => Ok(UserPiece::Text(Cow::Borrowed(text))),
        Content::Image { source: Source::Url(url), detail } => {
            Ok(UserPiece::Picture { url: Cow::Borrowed(url), detail: detail.as_deref() })
        }
        Content::Image { source: Source::Base64 { media_type, data }, detail } => {
            let url = Cow::Owned(format!("data:{media_type};base64,{data}"));
            Ok(UserPiece::Picture { url, detail: detail.as_deref() })
        }
        Content::Document { source, name, settings: _ } => match (source.text(), name) {
            (Some(text), Some(name)) => Ok(UserPiece::Text(Cow::Owned(format!("{name}\n\n{text}")))),
            (Some(text), None) => Ok(UserPiece::Text(text)),
            // Clients send it again with every turn: refused there, it would end the conversation.
            (None, name) if writer.is_before => {
                writer.drop(path());
                let name = name.as_ref().map_or_else(String::new, |name| format!(" `{name}`"));
                Ok(UserPiece::Text(Cow::Owned(format!(
                    "(A document{name} stood here that can not be shown to this model.)"
                ))))
            }
            (None, _) => {
                refuse("this provider takes documents of text only, and no PDF: send its text, or ask another model")
            }
        },
        Content::Image { .. } => refuse("the file is not in this provider's store"),
        Content::Audio { .. } => refuse("sound can not be told to this provider"),
        Content::Other { dialect: _, raw } => {
            let kind = kind_of(raw.get());
            refuse(&format!("a `{kind}` block has no equivalent at this provider"))
        }
        Content::ToolCall(_) | Content::ToolResult { .. } | Content::Thinking { .. } | Content::RedactedThinking(_) => {
            refuse("can not stand in a turn of this role at this provider")
        }
    }
}

/// Writes a result. Its pictures, which a result can not hold, go to the user's turn behind it.
fn result<'a>(
    message: &'a Message,
    index: usize,
    writer: &mut CohereWriter<'_>,
    moved: &mut Vec<UserPiece<'a>>,
) -> Result<(), Refusal> {
    let path = writer.path;
    let Some(Content::ToolResult { call_id, parts, is_error }) = message.parts.get(index).map(|part| &part.content)
    else {
        return Ok(());
    };
    let mut texts = Vec::new();
    let mut first = true;
    for (inner, part) in parts.iter().enumerate() {
        if let Content::Other { dialect: _, raw } = &part.content
            && kind_of(raw.get()) == "tool_reference"
        {
            texts.push(found_tool(raw).into());
            continue;
        }
        match piece(part, || path(message, index, Some(inner)), writer)? {
            UserPiece::Text(text) => texts.push(text),
            picture @ UserPiece::Picture { .. } => {
                if std::mem::take(&mut first) {
                    moved.push(UserPiece::Text(format!("Attached to the result of tool call {call_id}:").into()));
                }
                moved.push(picture);
            }
        }
    }
    if *is_error {
        writer.drop(format_args!("{}.is_error", path(message, index, None)));
    }
    writer.json.open(b'{');
    writer.json.text_field("role", "tool");
    writer.json.text_field("tool_call_id", call_id);
    let said = texts.join("\n\n");
    // Empty texts are refused.
    let instead = if first { NO_OUTPUT } else { ATTACHED };
    writer.json.text_field("content", if said.is_empty() { instead } else { &said });
    writer.json.close(b'}');
    Ok(())
}

/// Writes the model's turn. What it says before it calls tools is its plan.
fn assistant(message: &Message, writer: &mut CohereWriter<'_>) -> Result<(), Refusal> {
    let (mut texts, mut thoughts, mut calls) = (Vec::new(), Vec::new(), Vec::new());
    for (index, part) in message.parts.iter().enumerate() {
        match &part.content {
            Content::Text { text, citations: _ } | Content::Refusal(text) if !text.is_empty() => {
                texts.push(text.as_str());
            }
            Content::Text { .. } | Content::Refusal(_) => {}
            Content::ToolCall(call) => calls.push(call),
            Content::Thinking { text, signature: None } if !text.is_empty() => thoughts.push(text.as_str()),
            // Another vendor's, a picture that the model made, or what a tool of a vendor's left.
            Content::Thinking { .. } | Content::RedactedThinking(_) | Content::Image { .. } => {
                writer.drop((writer.path)(message, index, None));
            }
            Content::Other { dialect: _, raw } if writer.profile.server_tools.leaves_out_trace(raw) => {
                writer.drop((writer.path)(message, index, None));
            }
            _ => {
                let path = writer.path;
                piece(part, || path(message, index, None), writer)?;
            }
        }
    }
    if texts.is_empty() && thoughts.is_empty() && calls.is_empty() {
        return Ok(());
    }
    writer.json.open(b'{');
    writer.json.text_field("role", "assistant");
    let plan = !calls.is_empty() && thoughts.is_empty();
    if plan && !texts.is_empty() {
        writer.json.text_field("tool_plan", &texts.join("\n\n"));
    } else if thoughts.is_empty() && !plan {
        writer.json.text_field("content", &texts.join("\n\n"));
    } else if !thoughts.is_empty() {
        writer.json.open_field("content", b'[');
        let kinds = thoughts.iter().map(|text| ("thinking", text)).chain(texts.iter().map(|text| ("text", text)));
        for (kind, text) in kinds {
            writer.json.open(b'{');
            writer.json.text_field("type", kind);
            writer.json.text_field(kind, text);
            writer.json.close(b'}');
        }
        writer.json.close(b']');
    }
    if !calls.is_empty() {
        writer.json.open_field("tool_calls", b'[');
        for ToolCall { id, name, arguments } in calls {
            write_call(id, name, &as_object(arguments), &mut writer.json);
        }
        writer.json.close(b']');
    }
    writer.json.close(b'}');
    Ok(())
}
