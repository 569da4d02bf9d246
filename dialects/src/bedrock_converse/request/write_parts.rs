//! Writes a request's conversation: turns and their blocks, tool results.

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;

use super::arguments;
use super::draft::ConverseDraft;
use crate::bedrock_converse::blocks;
use crate::call_id;
use crate::codec::Refusal;
use crate::dialect::Dialect;
use crate::hub::{Content, Fields, Message, Part, Role, Source};
use crate::json::{Writer, kind_of};

/// Writes the turns; those of one role that follow one another are one, and those that nothing is said in are none. Tools' results
/// come first in theirs, as they have to follow their calls at once.
pub(super) fn turns(messages: &[&Message], draft: &mut ConverseDraft<'_>) -> Result<(), Refusal> {
    let body = std::mem::take(&mut draft.json);
    let mut written: Vec<(&'static str, Vec<u8>)> = Vec::with_capacity(messages.len());
    for turn in messages.chunk_by(|one, next| one.role == next.role) {
        let assistant = turn.first().is_some_and(|first| first.role == Role::Assistant);
        let role = if assistant { "assistant" } else { "user" };
        for message in turn {
            blocks_of(message, true, draft)?;
        }
        pictures_of_results(turn, draft)?;
        for message in turn {
            blocks_of(message, false, draft)?;
        }
        for message in turn {
            draft.extra("messages", &message.extra);
            if message.name.is_some() {
                draft.drop("messages.name");
            }
        }
        let mut blocks = std::mem::take(&mut draft.json).into_bytes();
        if !draft.same() && is_documents_alone(turn) && !blocks.is_empty() {
            blocks.push(b',');
            blocks.extend(one_text());
        }
        match written.last_mut() {
            _ if blocks.is_empty() => {}
            Some((before, all)) if *before == role => {
                all.push(b',');
                all.extend_from_slice(&blocks);
            }
            _ => written.push((role, blocks)),
        }
    }
    draft.json = body;
    if !draft.same() && written.first().is_some_and(|(role, _)| *role == "assistant") {
        // Elsewhere the model may speak first; here somebody has to have spoken before.
        written.insert(0, ("user", one_text()));
    }
    for (role, blocks) in written {
        draft.json.open(b'{');
        draft.json.text_field("role", role);
        draft.json.open_field("content", b'[');
        draft.json.open_written(&blocks);
        draft.json.close(b']');
        draft.json.close(b'}');
    }
    Ok(())
}

/// A block of text that says as little as one may.
fn one_text() -> Vec<u8> {
    let mut json = Writer::default();
    blocks::write_text(".", &mut json);
    json.into_bytes()
}

/// True if a turn has a document and no text, which has to stand beside one.
fn is_documents_alone(turn: &[&Message]) -> bool {
    let mut parts = turn.iter().flat_map(|message| &message.parts);
    let is_text = |part: &Part| matches!(&part.content, Content::Text { text, .. } if !text.trim().is_empty());
    parts.clone().any(|part| matches!(part.content, Content::Document { .. })) && !parts.any(is_text)
}

/// Writes the pictures of the results of a turn behind them, for models that take none in a result.
fn pictures_of_results(turn: &[&Message], draft: &mut ConverseDraft<'_>) -> Result<(), Refusal> {
    if draft.keeps_pictures() {
        return Ok(());
    }
    for message in turn {
        for (index, part) in message.parts.iter().enumerate() {
            let Content::ToolResult { call_id, parts, is_error: _ } = &part.content else { continue };
            let pictures = parts.iter().enumerate().filter(|(_, piece)| is_picture(&piece.content));
            for (at, (inner, piece)) in pictures.enumerate() {
                if at == 0 {
                    let behind = format!("Attached to the result of tool call {}:", id(call_id));
                    blocks::write_text(&behind, &mut draft.json);
                }
                media(&piece.content, draft).map_err(|why| draft.refuse(message, (index, Some(inner)), why))?;
            }
        }
    }
    Ok(())
}

fn is_picture(content: &Content) -> bool {
    matches!(content, Content::Image { .. })
}

/// The blocks of one message: the tools' results in it, or all others.
fn blocks_of(message: &Message, results: bool, draft: &mut ConverseDraft<'_>) -> Result<(), Refusal> {
    let wanted = |part: &Part| matches!(part.content, Content::ToolResult { .. }) == results;
    for (index, part) in message.parts.iter().enumerate().filter(|(_, part)| wanted(part)) {
        let before = std::mem::take(&mut draft.json).into_bytes();
        let length = before.len();
        draft.json = Writer::onto(before);
        block(message, index, part, draft)?;
        draft.extra("messages.content", &part.extra);
        let json = std::mem::take(&mut draft.json).into_bytes();
        let said = json.len() > length;
        draft.json = Writer::onto(json);
        if said {
            draft.cache(part.cache.as_ref());
        }
    }
    Ok(())
}

/// One part as its block; nothing, where a rule leaves it out.
fn block(message: &Message, index: usize, part: &Part, draft: &mut ConverseDraft<'_>) -> Result<(), Refusal> {
    match &part.content {
        Content::Text { text, citations } => {
            if citations.is_some() {
                draft.drop("messages.content.citations");
            }
            text_block(text, draft);
        }
        Content::Refusal(text) => text_block(text, draft),
        Content::ToolCall(call) => {
            let named = if draft.same() { None } else { arguments::without_nameless(call) };
            blocks::write_call(&id(&call.id), named.as_ref().unwrap_or(call), &mut draft.json);
        }
        Content::ToolResult { call_id, parts, is_error } => {
            let piece = |inner| (index, Some(inner));
            draft.json.open(b'{');
            draft.json.open_field("toolResult", b'{');
            draft.json.text_field("toolUseId", &id(call_id));
            draft.json.open_field("content", b'[');
            for (inner, part) in parts.iter().enumerate() {
                result_piece(&part.content, draft).map_err(|why| draft.refuse(message, piece(inner), why))?;
            }
            if draft.json.is_bare() && !draft.same() {
                // Some models refuse a result that says nothing.
                let has_picture = parts.iter().any(|part| is_picture(&part.content));
                blocks::write_text(if has_picture { "(attached below)" } else { "(empty)" }, &mut draft.json);
            }
            draft.json.close(b']');
            // Only some models know the field: what went well is what they take for granted.
            if *is_error {
                draft.json.text_field("status", "error");
            }
            draft.json.close(b'}');
            draft.json.close(b'}');
        }
        Content::Thinking { text, signature } => {
            match signature.as_deref().and_then(|signature| draft.own(signature)) {
                Some(signature) => blocks::write_thought(text, Some(signature), &mut draft.json),
                None if draft.same() && signature.is_none() => blocks::write_thought(text, None, &mut draft.json),
                None => draft.drop("messages.thinking"),
            }
        }
        Content::RedactedThinking(data) => match draft.own(data) {
            Some(data) => blocks::write_hidden(data, &mut draft.json),
            None => draft.drop("messages.thinking"),
        },
        // No model there takes one in its own turn.
        Content::Image { .. } if message.role == Role::Assistant && !draft.same() => draft.drop("messages.content"),
        content => media(content, draft).map_err(|why| draft.refuse(message, (index, None), why))?,
    }
    Ok(())
}

fn text_block(text: &str, draft: &mut ConverseDraft<'_>) {
    // Blank ones are refused.
    if draft.same() || !text.trim().is_empty() {
        blocks::write_text(text, &mut draft.json);
    }
}

/// A piece of a tool's result. Errors: why it can not be said.
fn result_piece(content: &Content, draft: &mut ConverseDraft<'_>) -> Result<(), String> {
    match content {
        Content::Text { text, citations: _ } => {
            text_block(text, draft);
            Ok(())
        }
        // What a search for tools has found; the tools themselves stand in `toolConfig`.
        Content::Other { dialect: _, raw } if kind_of(raw.get()) == "tool_reference" => {
            text_block(raw.get(), draft);
            Ok(())
        }
        // They stand behind the results.
        content if is_picture(content) && !draft.keeps_pictures() => Ok(()),
        Content::Audio { .. } => Err("a tool's result can hold no sound at Bedrock".to_owned()),
        content => media(content, draft),
    }
}

/// Writes a picture, document or sound. Errors: why Converse can not be told it.
fn media(content: &Content, draft: &mut ConverseDraft<'_>) -> Result<(), String> {
    match content {
        Content::Image { source, detail } => {
            if detail.as_deref().is_some_and(|detail| detail != "auto") {
                draft.drop("image_url.detail");
            }
            let (media_type, data) = inline(source)?;
            if media_type == "application/pdf" {
                return document((&media_type, &data), (None, &Fields::new()), draft);
            }
            if blocks::write_image((&media_type, &data), &mut draft.json) {
                return Ok(());
            }
            Err(format!("Bedrock takes JPEG, PNG, GIF and WebP pictures, not `{media_type}`"))
        }
        Content::Document { source, name, settings } => {
            let (media_type, data) = inline(source)?;
            document((&media_type, &data), (name.as_deref(), settings), draft)
        }
        Content::Audio { data, format } => {
            draft.json.open(b'{');
            draft.json.open_field("audio", b'{');
            draft.json.text_field("format", format);
            blocks::write_bytes(data, &mut draft.json);
            draft.json.close(b'}');
            draft.json.close(b'}');
            Ok(())
        }
        Content::Other { dialect: Dialect::BedrockConverse, raw } => {
            draft.json.raw(raw.get());
            Ok(())
        }
        Content::Other { dialect, raw } => {
            if draft.target.server_tools.leaves_out_trace(raw) {
                draft.drop("messages.content");
                return Ok(());
            }
            Err(format!("a `{}` block of {} has no counterpart in Converse", kind_of(raw.get()), dialect.name()))
        }
        _ => Err("can not stand here".to_owned()),
    }
}

/// The media type and base64 data of what stands in the call itself. Errors: it stands elsewhere, from where Bedrock fetches nothing.
fn inline(source: &Source) -> Result<(Cow<'_, str>, Cow<'_, str>), String> {
    match source {
        Source::Base64 { media_type, data } => Ok((media_type.into(), data.into())),
        Source::Text(text) => Ok(("text/plain".into(), BASE64.encode(text).into())),
        Source::File(_) => Err("a file kept at one provider cannot be read by another; send its data".to_owned()),
        Source::Url(url) => {
            let scheme = url.get(..5).is_some_and(|scheme| scheme.eq_ignore_ascii_case("data:"));
            let parts = url.get(5..).filter(|_| scheme).and_then(|rest| rest.split_once(','));
            match parts.and_then(|(head, data)| Some((head.strip_suffix(";base64")?, data))) {
                Some((head, data)) => Ok((head.split(';').next().unwrap_or_default().into(), data.into())),
                None if scheme => Err("this `data:` URL is not base64".to_owned()),
                None => Err("Bedrock fetches nothing from a URL; send the data itself".to_owned()),
            }
        }
    }
}

/// Writes a document. Errors: it is in no format that there is.
fn document(
    (media_type, data): (&str, &str),
    (name, settings): (Option<&str>, &Fields),
    draft: &mut ConverseDraft<'_>,
) -> Result<(), String> {
    let text = media_type.starts_with("text/").then_some("txt");
    let format = blocks::document_format(media_type).or(text);
    let format = format.ok_or_else(|| format!("Bedrock takes no documents of type `{media_type}`"))?;
    let name = document_name(name, draft);
    draft.json.open(b'{');
    draft.json.open_field("document", b'{');
    draft.json.text_field("format", format);
    draft.json.text_field("name", &name);
    blocks::write_bytes(data, &mut draft.json);
    for (setting, raw) in settings {
        match setting.as_str() {
            // Elsewhere a word is optional that has to be there, and means the same as none.
            "citations" if raw.get().trim_matches(['{', '}', ' ']).is_empty() => {}
            "context" | "citations" => draft.json.raw_field(setting, raw),
            _ => draft.drop(format!("messages.content.{setting}")),
        }
    }
    draft.json.close(b'}');
    draft.json.close(b'}');
    Ok(())
}

/// A name as Bedrock takes it: of letters, digits, single blanks and a few signs, and none of another document's.
fn document_name(name: Option<&str>, draft: &mut ConverseDraft<'_>) -> String {
    let fine = |letter: char| if letter.is_ascii_alphanumeric() || "()[]-".contains(letter) { letter } else { ' ' };
    let said: String = name.unwrap_or_default().chars().take(150).map(fine).collect();
    let said = said.split_ascii_whitespace().collect::<Vec<_>>().join(" ");
    let said = if said.is_empty() { "document".to_owned() } else { said };
    let mut unique = said.clone();
    while !draft.documents.insert(unique.clone()) {
        unique = format!("{said} {}", draft.documents.len() + 1);
    }
    unique
}

/// A tool call's id, as Bedrock takes it.
fn id(id: &str) -> Cow<'_, str> {
    call_id::plain(id, call_id::LONGEST_IN_ITEMS)
}
