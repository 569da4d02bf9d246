//! Writes a request's conversation out of the hub's words: instructions and items.

use super::writer::ItemWriter;
use crate::call_id::{LONGEST_IN_ITEMS, short};
use crate::codec::Refusal;
use crate::dialect::Dialect;
use crate::hub::{Content, Message, Part, Role, Source, SystemPart, ToolCall};
use crate::json::Writer;
use crate::openai_responses::sealed::OwnThought;
use crate::vendors::without_attribution;

/// Writes the instructions before the conversation, in one text.
pub(super) fn instructions(parts: &[SystemPart], writer: &mut ItemWriter<'_>) {
    let mut texts = Vec::with_capacity(parts.len());
    for (index, part) in parts.iter().enumerate() {
        let SystemPart { text, cache, developer: _, name, extra } = part;
        let at = format!("system[{index}]");
        if name.is_some() {
            writer.drop("messages.name");
        }
        writer.cache(cache.as_ref(), &at);
        extra.keys().for_each(|name| writer.drop(format_args!("{at}.{name}")));
        match without_attribution(text) {
            Some(text) => texts.push(text),
            None => writer.drop(at),
        }
    }
    if !texts.is_empty() {
        writer.json.text_field("instructions", &texts.join("\n\n"));
    }
}

/// Writes an instruction of the gateway's own as an item.
pub(super) fn instruction(text: &str, writer: &mut ItemWriter<'_>) {
    writer.json.open(b'{');
    writer.json.text_field("role", "developer");
    writer.json.text_field("content", text);
    writer.json.close(b'}');
}

/// Writes the turns as items.
pub(super) fn items(messages: &[Message], writer: &mut ItemWriter<'_>) -> Result<(), Refusal> {
    for message in messages {
        message.extra.keys().for_each(|name| writer.drop(format_args!("messages[{}].{name}", message.at)));
        if message.name.is_some() {
            writer.drop("messages.name");
        }
        let role = match message.role {
            Role::User => "user",
            Role::Assistant => "assistant",
            Role::System => "system",
            Role::Developer => "developer",
        };
        // What stands between two items of other kinds is one message.
        let mut open = false;
        for (index, part) in message.parts.iter().enumerate() {
            let at = (writer.path)(message, index, None);
            writer.cache(part.cache.as_ref(), &at);
            if stands_alone(&part.content) {
                close(&mut open, writer);
                item(message, index, part, writer)?;
                continue;
            }
            if !std::mem::replace(&mut open, true) {
                writer.json.open(b'{');
                writer.json.text_field("role", role);
                writer.json.open_field("content", b'[');
            }
            piece(part, message.role == Role::Assistant, writer).map_err(|why| Refusal::field(at, why))?;
        }
        close(&mut open, writer);
    }
    Ok(())
}

fn close(open: &mut bool, writer: &mut ItemWriter<'_>) {
    if std::mem::take(open) {
        writer.json.close(b']');
        writer.json.close(b'}');
    }
}

/// True if it is an item of its own.
fn stands_alone(content: &Content) -> bool {
    match content {
        Content::ToolCall(_)
        | Content::ToolResult { .. }
        | Content::Thinking { .. }
        | Content::RedactedThinking(_)
        | Content::Other { .. } => true,
        Content::Text { .. }
        | Content::Refusal(_)
        | Content::Image { .. }
        | Content::Document { .. }
        | Content::Audio { .. } => false,
    }
}

fn item(message: &Message, index: usize, part: &Part, writer: &mut ItemWriter<'_>) -> Result<(), Refusal> {
    let at = |inner| (writer.path)(message, index, inner);
    match &part.content {
        Content::ToolCall(ToolCall { id, name, arguments }) => {
            let json = &mut writer.json;
            json.open(b'{');
            json.text_field("type", "function_call");
            json.text_field("call_id", &short(id, LONGEST_IN_ITEMS));
            json.text_field("name", name);
            json.text_field("arguments", if arguments.is_empty() { "{}" } else { arguments });
            json.close(b'}');
        }
        Content::ToolResult { call_id, parts, is_error } => {
            if *is_error {
                writer.drop(format_args!("{}.is_error", (writer.path)(message, index, None)));
            }
            writer.json.open(b'{');
            writer.json.text_field("type", "function_call_output");
            writer.json.text_field("call_id", &short(call_id, LONGEST_IN_ITEMS));
            match parts.as_slice() {
                [] => writer.json.text_field("output", ""),
                [Part { content: Content::Text { text, .. }, .. }] => writer.json.text_field("output", text),
                many => {
                    writer.json.open_field("output", b'[');
                    for (inner, part) in many.iter().enumerate() {
                        let path = (writer.path)(message, index, Some(inner));
                        piece(part, false, writer).map_err(|why| Refusal::field(path, why))?;
                    }
                    writer.json.close(b']');
                }
            }
            writer.json.close(b'}');
        }
        // Only what OpenAI has encrypted comes back; a thought of another vendor's is left out by rule.
        Content::Thinking { text, signature } => match signature.as_deref().and_then(OwnThought::of_signature) {
            Some(own) => reasoning(text, &own, &mut writer.json),
            None => writer.drop(at(None)),
        },
        Content::RedactedThinking(_) => writer.drop(at(None)),
        Content::Other { dialect: Dialect::OpenAiResponses, raw } => writer.json.raw(raw.get()),
        Content::Other { dialect: _, raw } if writer.profile.server_tools.leaves_out_trace(raw) => {
            writer.drop(at(None));
        }
        Content::Other { dialect, raw: _ } => {
            let why =
                format_args!("this {} content part has no counterpart in OpenAI Responses", dialect.name()).to_string();
            return Err(Refusal::field(at(None), why));
        }
        _ => {}
    }
    Ok(())
}

fn reasoning(text: &str, own: &OwnThought, json: &mut Writer) {
    json.open(b'{');
    json.text_field("type", "reasoning");
    json.text_field("id", &own.id);
    json.open_field("summary", b'[');
    if !text.is_empty() {
        crate::openai_responses::item::write_summary(text, json);
    }
    json.close(b']');
    json.text_field("encrypted_content", &own.encrypted_content);
    json.close(b'}');
}

/// Writes a piece of a message or of a tool's result. Errors: why it can not be said.
fn piece(part: &Part, said: bool, writer: &mut ItemWriter<'_>) -> Result<(), String> {
    let json = &mut writer.json;
    json.open(b'{');
    match &part.content {
        Content::Text { text, citations: _ } => {
            json.text_field("type", if said { "output_text" } else { "input_text" });
            json.text_field("text", text);
        }
        Content::Refusal(text) if said => {
            json.text_field("type", "refusal");
            json.text_field("refusal", text);
        }
        Content::Image { source, detail } => {
            json.text_field("type", "input_image");
            let url = match source {
                Source::Url(url) => url.clone(),
                Source::Base64 { media_type, data } => format!("data:{media_type};base64,{data}"),
                Source::File(_) => return Err("the file is not in this provider's store".to_owned()),
                Source::Text(_) => return Err("a picture can not be text".to_owned()),
            };
            json.text_field("image_url", &url);
            json.text_field("detail", detail.as_deref().unwrap_or("auto"));
        }
        Content::Document { source, name, settings: _ } => document(source, name.as_deref(), json)?,
        Content::Audio { data, format } => {
            json.text_field("type", "input_audio");
            json.open_field("input_audio", b'{');
            json.text_field("data", data);
            json.text_field("format", format);
            json.close(b'}');
        }
        _ => return Err("it can not stand in this place at this provider".to_owned()),
    }
    json.close(b'}');
    Ok(())
}

fn document(source: &Source, name: Option<&str>, json: &mut Writer) -> Result<(), String> {
    match source {
        Source::Text(text) => {
            // A plain text is said as text, under its title.
            let titled = name.map(|title| format!("{title}\n\n{text}"));
            json.text_field("type", "input_text");
            json.text_field("text", titled.as_deref().unwrap_or(text));
        }
        Source::Base64 { media_type, data } => {
            json.text_field("type", "input_file");
            json.text_field("filename", name.unwrap_or("document.pdf"));
            json.text_field("file_data", &format!("data:{media_type};base64,{data}"));
        }
        Source::Url(url) => {
            json.text_field("type", "input_file");
            json.text_field("file_url", url);
        }
        Source::File(_) => return Err("the file is not in this provider's store".to_owned()),
    }
    Ok(())
}
