//! Writes a request's conversation: turns and their parts, tool results.

use std::collections::HashMap;

use super::draft::Draft;
use crate::call_arguments::as_object;
use crate::codec::Refusal;
use crate::dialect::Dialect;
use crate::gemini::signature;
use crate::hub::{Content, Message, Part, Role, Source, ToolCall};
use crate::json::kind_of;

/// True if nothing of another dialect's turn is said to a Gemini model; what is left out of it is noted. Such a turn would stand
/// empty in the conversation.
pub(super) fn is_unsaid(message: &Message, draft: &mut Draft<'_>) -> bool {
    let empty = |part: &Part| matches!(&part.content, Content::Text { text, citations: None } if text.is_empty());
    let unsaid = |part: &Part| {
        (message.role == Role::Assistant && empty(part)) || left_out(message.role, &part.content, draft).is_some()
    };
    if draft.same() || !message.parts.iter().all(unsaid) {
        return false;
    }
    for part in &message.parts {
        if let Some(name) = left_out(message.role, &part.content, draft) {
            draft.drop(name);
        }
        draft.cache(part.cache.as_ref());
    }
    draft.extra("messages", &message.extra);
    if message.name.is_some() {
        draft.drop("messages.name");
    }
    true
}

/// The name under which a part that is left out of a turn is noted; `None`: it is said, or refused.
fn left_out(role: Role, content: &Content, draft: &Draft<'_>) -> Option<&'static str> {
    let out = match content {
        Content::Thinking { text: _, signature } if role == Role::Assistant => {
            let own = signature.as_deref().and_then(signature::own);
            return own.is_none().then_some("messages.thinking");
        }
        Content::RedactedThinking(_) if role == Role::Assistant => return Some("messages.thinking"),
        Content::Other { dialect: Dialect::Gemini, raw: _ } => false,
        Content::Other { dialect: _, raw } => draft.target.server_tools.leaves_out_trace(raw),
        _ => false,
    };
    out.then_some("messages.content")
}

/// Writes the turns; those of one role that follow one another are one.
pub(super) fn turns(messages: &[&Message], draft: &mut Draft<'_>) -> Result<(), Refusal> {
    let mut names = HashMap::new();
    for turn in messages.chunk_by(|one, next| one.role == next.role) {
        let Some(first) = turn.first() else { continue };
        let role = if first.role == Role::Assistant { "model" } else { "user" };
        draft.json.open(b'{');
        draft.json.text_field("role", role);
        draft.json.open_field("parts", b'[');
        if role == "model" {
            model_turn(turn, &mut names, draft)?;
        } else {
            user_turn(turn, &names, draft)?;
        }
        let bare = draft.json.is_bare();
        if bare {
            text("", None, draft);
        }
        draft.json.close(b']');
        for message in turn {
            draft.extra("messages", &message.extra);
            if message.name.is_some() {
                draft.drop("messages.name");
            }
        }
        draft.json.close(b'}');
    }
    Ok(())
}

/// The names of the tools that were called, by the calls' ids.
type CalledNames = HashMap<String, String>;

fn model_turn(turn: &[&Message], names: &mut CalledNames, draft: &mut Draft<'_>) -> Result<(), Refusal> {
    let mut pending: Option<String> = None;
    // Where nobody knows before which part a thought came, and there are calls, it is the first of them that Gemini signs.
    let mut parts = turn.iter().flat_map(|message| &message.parts);
    let waits =
        draft.caller.habits().thoughts_stand_apart && parts.any(|part| matches!(part.content, Content::ToolCall(_)));
    // Only the first call of a step is signed.
    let mut called = false;
    for message in turn {
        for (index, part) in message.parts.iter().enumerate() {
            match &part.content {
                Content::Thinking { text: _, signature } => {
                    match signature.as_deref().and_then(signature::own) {
                        Some(own) => {
                            if let Some(before) = pending.replace(own.to_owned()) {
                                text("", Some(&before), draft);
                            }
                        }
                        None => draft.drop("messages.thinking"),
                    }
                    continue;
                }
                Content::RedactedThinking(_) => draft.drop("messages.thinking"),
                Content::ToolCall(ToolCall { id, name, arguments }) => {
                    names.insert(id.clone(), name.clone());
                    let signature = pending.take().or_else(|| {
                        (draft.model.signed_calls && !called && !draft.same())
                            .then(|| crate::vendors::UNSIGNED.to_owned())
                    });
                    called = true;
                    call((id, name, arguments), signature.as_deref(), draft);
                }
                Content::Text { text: said, .. } | Content::Refusal(said) => {
                    if !said.is_empty() {
                        let signature = if waits { None } else { pending.take() };
                        text(said, signature.as_deref(), draft);
                    }
                }
                _ => spoken(message, index, part, draft)?,
            }
            draft.cache(part.cache.as_ref());
        }
    }
    if let Some(signature) = pending {
        text("", Some(&signature), draft);
    }
    Ok(())
}

/// A turn of the user's: the tools' results first, which have to follow their calls at once. What else is in it is a content of its own
/// behind them: Vertex AI refuses one with both (as it says, "Requests ending with a model turn are not supported").
fn user_turn(turn: &[&Message], names: &CalledNames, draft: &mut Draft<'_>) -> Result<(), Refusal> {
    let mut behind = Vec::new();
    let is_result = |part: &Part| matches!(part.content, Content::ToolResult { .. });
    for message in turn {
        for (index, part) in message.parts.iter().enumerate().filter(|(_, part)| is_result(part)) {
            result(message, index, names, &mut behind, draft)?;
            draft.cache(part.cache.as_ref());
        }
    }
    let has_results = turn.iter().any(|message| message.parts.iter().any(is_result));
    let is_said = |part: &&Part| !matches!(&part.content, Content::Text { text, .. } if text.is_empty());
    let says_more =
        |message: &&Message| message.parts.iter().filter(|part| !is_result(part)).any(|part| is_said(&part));
    if !draft.same() && has_results && (!behind.is_empty() || turn.iter().any(says_more)) {
        draft.json.close(b']');
        draft.json.close(b'}');
        draft.json.open(b'{');
        draft.json.text_field("role", "user");
        draft.json.open_field("parts", b'[');
    }
    for (message, index, inner, part) in behind {
        media(&part.content, draft).map_err(|why| draft.refuse(message, (index, Some(inner)), why))?;
    }
    for message in turn {
        for (index, part) in message.parts.iter().enumerate().filter(|(_, part)| !is_result(part)) {
            spoken(message, index, part, draft)?;
            draft.cache(part.cache.as_ref());
            draft.extra("messages.content", &part.extra);
        }
    }
    Ok(())
}

/// Writes a part that either role may say.
fn spoken(message: &Message, index: usize, part: &Part, draft: &mut Draft<'_>) -> Result<(), Refusal> {
    match &part.content {
        Content::Text { text: said, citations } => {
            if citations.is_some() {
                draft.drop("messages.content.citations");
            }
            if !said.is_empty() {
                text(said, None, draft);
            }
            Ok(())
        }
        content => media(content, draft).map_err(|why| draft.refuse(message, (index, None), why)),
    }
}

fn text(said: &str, signature: Option<&str>, draft: &mut Draft<'_>) {
    draft.json.open(b'{');
    draft.json.text_field("text", said);
    if let Some(signature) = signature {
        draft.json.text_field("thoughtSignature", signature);
    }
    draft.json.close(b'}');
}

fn call((id, name, arguments): (&str, &str, &str), signature: Option<&str>, draft: &mut Draft<'_>) {
    draft.json.open(b'{');
    draft.json.open_field("functionCall", b'{');
    if !id.is_empty() {
        draft.json.text_field("id", id);
    }
    draft.json.text_field("name", name);
    draft.json.key("args");
    draft.json.raw(&as_object(arguments));
    draft.json.close(b'}');
    if let Some(signature) = signature {
        draft.json.text_field("thoughtSignature", signature);
    }
    draft.json.close(b'}');
}

/// True if a `$ref` may stand in a JSON text: Google takes each for one of its own, to a part beside the result, and refuses those
/// that lead to none. The dollar may be escaped.
fn may_refer(json: &str) -> bool {
    json.contains("\"$ref\"") || json.contains("\\u0024")
}

/// Writes a JSON object as it is; what is none stands as text under `name`.
fn object(text: &str, name: &str, draft: &mut Draft<'_>) {
    let text = text.trim();
    if text.starts_with('{') && !may_refer(text) && serde_json::from_str::<serde::de::IgnoredAny>(text).is_ok() {
        return draft.json.raw(text);
    }
    draft.json.open(b'{');
    if !text.is_empty() {
        draft.json.text_field(name, text);
    }
    draft.json.close(b'}');
}

/// A picture or document of a result that stands behind it: of which part of which message it is which piece.
type Behind<'a> = (&'a Message, usize, usize, &'a Part);

fn result<'a>(
    message: &'a Message,
    index: usize,
    names: &CalledNames,
    behind: &mut Vec<Behind<'a>>,
    draft: &mut Draft<'_>,
) -> Result<(), Refusal> {
    let Some(Part { content: Content::ToolResult { call_id, parts, is_error }, .. }) = message.parts.get(index) else {
        return Ok(());
    };
    let Some(name) = names.get(call_id) else {
        return Err(draft.refuse(message, (index, None), "answers a tool call that is not in the conversation"));
    };
    draft.json.open(b'{');
    draft.json.open_field("functionResponse", b'{');
    draft.json.text_field("id", call_id);
    draft.json.text_field("name", name);
    draft.json.key("response");
    let mut texts = Vec::new();
    let mut held = Vec::new();
    for (inner, piece) in parts.iter().enumerate() {
        match &piece.content {
            Content::Text { text, citations: _ } => texts.push(text.as_str()),
            Content::Document { source: Source::Text(text), .. } => texts.push(text),
            // What a search for tools has found; the tools themselves stand in `tools`.
            Content::Other { dialect: _, raw } if kind_of(raw.get()) == "tool_reference" => {
                texts.push(raw.get());
            }
            Content::Image { source: Source::Base64 { .. }, .. } if draft.model.pictures_in_results => {
                held.push((inner, piece));
            }
            _ => behind.push((message, index, inner, piece)),
        }
    }
    let joined = texts.join("\n");
    if *is_error {
        draft.json.open(b'{');
        draft.json.text_field("error", &joined);
        draft.json.close(b'}');
    } else {
        object(&joined, "output", draft);
    }
    if !held.is_empty() {
        draft.json.open_field("parts", b'[');
        for (inner, piece) in held {
            media(&piece.content, draft).map_err(|why| draft.refuse(message, (index, Some(inner)), why))?;
        }
        draft.json.close(b']');
    }
    draft.json.close(b'}');
    draft.json.close(b'}');
    Ok(())
}

/// Writes a picture, document or sound. Errors: why Gemini can not be told it.
fn media(content: &Content, draft: &mut Draft<'_>) -> Result<(), String> {
    match content {
        Content::Image { source, detail } => {
            if detail.as_deref().is_some_and(|detail| detail != "auto") {
                draft.drop("image_url.detail");
            }
            sourced(source, draft)
        }
        Content::Document { source, name, settings } => {
            if name.is_some() {
                draft.drop("messages.content.title");
            }
            settings.keys().for_each(|setting| draft.drop(format!("messages.content.{setting}")));
            sourced(source, draft)
        }
        Content::Audio { data, format } => {
            inline(&format!("audio/{format}"), data, draft);
            Ok(())
        }
        Content::Other { dialect: Dialect::Gemini, raw } => {
            draft.json.raw(raw.get());
            Ok(())
        }
        Content::Other { dialect, raw } => {
            if draft.target.server_tools.leaves_out_trace(raw) {
                draft.drop("messages.content");
                return Ok(());
            }
            Err(format!(
                "a `{}` block of {} has no counterpart in Gemini's dialect",
                kind_of(raw.get()),
                dialect.name()
            ))
        }
        Content::Refusal(said) => {
            text(said, None, draft);
            Ok(())
        }
        Content::Text { .. }
        | Content::ToolCall(_)
        | Content::ToolResult { .. }
        | Content::Thinking { .. }
        | Content::RedactedThinking(_) => Err("can not stand in a turn of this role".to_owned()),
    }
}

fn sourced(source: &Source, draft: &mut Draft<'_>) -> Result<(), String> {
    match source {
        Source::Base64 { media_type, data: _ } if media_type.is_empty() && !draft.same() => {
            return Err("the `data:` URL does not say its media type".to_owned());
        }
        Source::Base64 { media_type, .. }
            if media_type.starts_with("text/") && source.text().is_none() && !draft.same() =>
        {
            return Err("the data is not UTF-8 text in base64".to_owned());
        }
        Source::Base64 { media_type, data } => inline(media_type, data, draft),
        Source::Url(url) if url.is_empty() && !draft.same() => return Err("the address is empty".to_owned()),
        Source::Url(url) => match url.get(..5).filter(|scheme| scheme.eq_ignore_ascii_case("data:")) {
            Some(scheme) => {
                let rest = url.get(scheme.len()..).unwrap_or_default();
                let parts = rest.split_once(',').and_then(|(head, data)| Some((head.strip_suffix(";base64")?, data)));
                let (head, data) = parts.ok_or("this `data:` URL is not base64")?;
                inline(head.split(';').next().unwrap_or_default(), data, draft);
            }
            None => by_url(url, draft),
        },
        Source::File(_) => {
            return Err("a file kept at one provider cannot be read by another; send its data".to_owned());
        }
        Source::Text(said) => text(said, None, draft),
    }
    Ok(())
}

fn inline(media_type: &str, data: &str, draft: &mut Draft<'_>) {
    draft.json.open(b'{');
    draft.json.open_field("inlineData", b'{');
    draft.json.text_field("mimeType", if media_type == "image/jpg" { "image/jpeg" } else { media_type });
    draft.json.text_field("data", data);
    draft.json.close(b'}');
    draft.json.close(b'}');
}

/// A file that Google fetches; it goes by the name's ending, where that says what it is.
fn by_url(url: &str, draft: &mut Draft<'_>) {
    const ENDINGS: [(&str, &str); 7] = [
        (".png", "image/png"),
        (".jpg", "image/jpeg"),
        (".jpeg", "image/jpeg"),
        (".webp", "image/webp"),
        (".gif", "image/gif"),
        (".pdf", "application/pdf"),
        (".txt", "text/plain"),
    ];
    let path = url.split(['?', '#']).next().unwrap_or(url).to_ascii_lowercase();
    draft.json.open(b'{');
    draft.json.open_field("fileData", b'{');
    if let Some((_, media_type)) = ENDINGS.iter().find(|(ending, _)| path.ends_with(ending)) {
        draft.json.text_field("mimeType", media_type);
    }
    draft.json.text_field("fileUri", url);
    draft.json.close(b'}');
    draft.json.close(b'}');
}
