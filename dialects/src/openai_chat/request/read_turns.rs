//! Reads a request's conversation: instructions, turns and their parts, tool results.

use serde_json::value::RawValue;

use super::read_thoughts;
use crate::codec::Refusal;
use crate::dialect::Dialect;
use crate::hub::{CacheMark, Content, Message, Part, Role, Source, SystemPart, ToolCall};
use crate::json::{Object, Path, ROOT, string};
use crate::openai_chat::custom::{self, CUSTOM};
use crate::openai_chat::signatures;
use crate::tool_results;

/// Reads `messages`. Instructions before the conversation become `system`; later ones stay where they are. Tool
/// messages that follow one another become one turn, right behind the calls.
pub(super) fn turns(top: &mut Object<'_>) -> Result<(Vec<SystemPart>, Vec<Message>), Refusal> {
    const AT: Path<'static> = ROOT.field("messages");
    let list = top.objects("messages", &ROOT)?.ok_or_else(|| AT.refuse("the field is required"))?;
    if list.is_empty() {
        return Err(AT.refuse("must hold at least one message"));
    }
    let mut system = Vec::new();
    let mut messages: Vec<Message> = Vec::with_capacity(list.len());
    for object in list.each(&AT) {
        let (index, mut object) = object?;
        let at = AT.index(index);
        let role = object.required("role", &at)?;
        match role.as_str() {
            "system" | "developer" => {
                let developer = role == "developer";
                let parts = instructions(object, developer, &at)?;
                if messages.is_empty() {
                    system.extend(parts);
                } else {
                    messages.push(Message { at: index, ..late_instructions(parts, developer) });
                }
            }
            "user" => messages.push(Message { at: index, ..user(object, &at)? }),
            "assistant" => messages.push(Message { at: index, ..assistant(object, &at)? }),
            "tool" => tool_results::add(tool_result(object, &at)?, index, &mut messages),
            "function" => {
                return Err(at.field("role").refuse("`function` is deprecated and not translated; use `tool`"));
            }
            _ => {
                let what = "must be `system`, `developer`, `user`, `assistant` or `tool`";
                return Err(at.field("role").refuse(what));
            }
        }
    }
    Ok((system, messages))
}

fn instructions(mut object: Object<'_>, developer: bool, at: &Path<'_>) -> Result<Vec<SystemPart>, Refusal> {
    let name = object.text("name", at)?;
    let mut parts = content(&mut object, at)?.ok_or_else(|| at.field("content").refuse("the field is required"))?;
    mark_last(&mut parts, &mut object);
    let mut extra = object.rest();
    let in_content = at.field("content");
    let texts = parts.into_iter().enumerate().map(|(index, part)| {
        let Part { content: Content::Text { text, citations: _ }, cache, extra: own } = part else {
            return Err(in_content.index(index).refuse("instructions may hold text only"));
        };
        // What the message itself says beside its parts goes with the first.
        let mut all = std::mem::take(&mut extra);
        all.extend(own);
        Ok(SystemPart { text, cache, developer, name: name.clone(), extra: all })
    });
    texts.collect()
}

fn late_instructions(parts: Vec<SystemPart>, developer: bool) -> Message {
    let mut name = None;
    let parts = parts.into_iter().map(|part| {
        let SystemPart { text, cache, developer: _, name: own, extra } = part;
        name = own;
        Part { content: Content::Text { text, citations: None }, cache, extra }
    });
    let parts = parts.collect();
    let role = if developer { Role::Developer } else { Role::System };
    Message { name, ..Message::new(role, parts) }
}

/// Some clients put the prompt-caching marker on the message: it means all up to its end, so its last part has it.
fn mark_last(parts: &mut [Part], object: &mut Object<'_>) {
    let thought = |part: &Part| matches!(part.content, Content::Thinking { .. } | Content::RedactedThinking(_));
    let Some(last) = parts.last_mut().filter(|part| !thought(part)) else { return };
    if let Some(mark) = object.raw("cache_control") {
        last.cache.get_or_insert(CacheMark(mark));
    }
}

fn user(mut object: Object<'_>, at: &Path<'_>) -> Result<Message, Refusal> {
    let name = object.text("name", at)?;
    let mut parts = content(&mut object, at)?.ok_or_else(|| at.field("content").refuse("the field is required"))?;
    mark_last(&mut parts, &mut object);
    Ok(Message { name, extra: object.rest(), ..Message::new(Role::User, parts) })
}

fn assistant(mut object: Object<'_>, at: &Path<'_>) -> Result<Message, Refusal> {
    if object.take("function_call").is_some() {
        return Err(at.field("function_call").refuse("is deprecated and not translated; use `tool_calls`"));
    }
    let name = object.text("name", at)?;
    let details = object.take(signatures::IN_A_LIST).map(signatures::of_list).unwrap_or_default();
    let mut parts = read_thoughts::thoughts(&mut object, at)?;
    let told = parts.iter().any(|part| !matches!(part.content, Content::Thinking { signature: None, .. }));
    let details = if told { Vec::new() } else { details };
    let (of_calls, of_turn): (Vec<_>, Vec<_>) = details.into_iter().partition(|detail| detail.call.is_some());
    if of_turn.iter().any(signatures::Signature::says) {
        // The plain text says the same once more.
        parts.clear();
    }
    parts.extend(of_turn.into_iter().map(signatures::Signature::part));
    let said = content(&mut object, at)?.unwrap_or_default();
    parts.extend(read_thoughts::in_content(said, !parts.is_empty()));
    if let Some(refusal) = object.text("refusal", at)? {
        parts.push(Part::new(Content::Refusal(refusal)));
    }
    let calls_at = at.field("tool_calls");
    let list = object.list("tool_calls", at)?.unwrap_or_default().into_iter().enumerate();
    let calls = list.map(|(index, raw)| tool_call(raw, &calls_at.index(index))).collect::<Result<_, _>>()?;
    parts.extend(signatures::before_calls(calls, of_calls));
    mark_last(&mut parts, &mut object);
    Ok(Message { name, extra: object.rest(), ..Message::new(Role::Assistant, parts) })
}

/// Reads one of an assistant's `tool_calls`.
pub(in crate::openai_chat) fn tool_call(raw: &RawValue, at: &Path<'_>) -> Result<Part, Refusal> {
    let mut object = Object::read(raw.get(), at)?;
    let kind = object.text("type", at)?;
    let call = match kind.as_deref() {
        Some("function") | None => {
            let id = object.text("id", at)?.unwrap_or_default();
            let inner = at.field("function");
            let mut function = object.object("function", at)?.ok_or_else(|| inner.refuse("the field is required"))?;
            self::function(&mut function, id, &inner)?
        }
        Some(CUSTOM) => custom::call(&mut object, at)?,
        // Kept raw it could not be told from a piece of content.
        Some(_) => return Err(at.field("type").refuse("must be `function` or `custom`")),
    };
    let content = Content::ToolCall(call);
    object.take("index");
    let cache = object.raw("cache_control").map(CacheMark);
    Ok(Part { content, cache, extra: object.rest() })
}

/// Reads which function is called, and with what.
pub(in crate::openai_chat) fn function(
    object: &mut Object<'_>,
    id: String,
    at: &Path<'_>,
) -> Result<ToolCall, Refusal> {
    let name = object.required("name", at)?;
    let arguments = match object.take("arguments") {
        // Some look-alikes give the object itself rather than its text.
        Some(arguments) if arguments.get().starts_with('{') => arguments.get().to_owned(),
        Some(arguments) => string(arguments).ok_or_else(|| at.field("arguments").refuse("must be a string of JSON"))?,
        None => String::new(),
    };
    Ok(ToolCall { id, name, arguments })
}

fn tool_result(mut object: Object<'_>, at: &Path<'_>) -> Result<Part, Refusal> {
    let call_id = object.required("tool_call_id", at)?;
    let parts = content(&mut object, at)?.unwrap_or_default();
    let cache = object.raw("cache_control").map(CacheMark);
    let content = Content::ToolResult { call_id, parts, is_error: false };
    Ok(Part { content, cache, extra: object.rest() })
}

/// Reads `content`: absent, a string, or a list of parts.
fn content(object: &mut Object<'_>, at: &Path<'_>) -> Result<Option<Vec<Part>>, Refusal> {
    let Some(raw) = object.take("content") else { return Ok(None) };
    if let Some(text) = string(raw) {
        // An assistant that calls tools says "" beside them; no dialect has use for an empty text part.
        return Ok(Some(if text.is_empty() { Vec::new() } else { vec![Part::text(text)] }));
    }
    let at = at.field("content");
    let list: Vec<&RawValue> =
        serde_json::from_str(raw.get()).map_err(|_| at.refuse("must be a string or an array of parts"))?;
    list.into_iter().enumerate().map(|(index, raw)| part(raw, &at.index(index))).collect::<Result<_, _>>().map(Some)
}

fn part(raw: &RawValue, at: &Path<'_>) -> Result<Part, Refusal> {
    let mut object = Object::read(raw.get(), at)?;
    let content = match object.required("type", at)?.as_str() {
        "text" => Content::Text { text: object.required("text", at)?, citations: None },
        "refusal" => Content::Refusal(object.required("refusal", at)?),
        "image_url" => image(&mut object, at)?,
        "input_audio" => {
            let inner = at.field("input_audio");
            let mut audio = object.object("input_audio", at)?.ok_or_else(|| inner.refuse("the field is required"))?;
            Content::Audio { data: audio.required("data", &inner)?, format: audio.required("format", &inner)? }
        }
        "file" => file(&mut object, at)?,
        CUSTOM => return Err(at.field("type").refuse("`custom` is a kind of tool call, not of content")),
        _ => return Ok(Part::new(Content::Other { dialect: Dialect::OpenAiChat, raw: raw.to_owned() })),
    };
    let cache = object.raw("cache_control").map(CacheMark);
    Ok(Part { content, cache, extra: object.rest() })
}

fn image(object: &mut Object<'_>, at: &Path<'_>) -> Result<Content, Refusal> {
    let inner = at.field("image_url");
    let raw = object.take("image_url").ok_or_else(|| inner.refuse("the field is required"))?;
    // Some look-alikes take a bare URL.
    if let Some(url) = string(raw) {
        return Ok(Content::Image { source: Source::of_url(url), detail: None });
    }
    let mut image = Object::read(raw.get(), &inner)?;
    let url = image.required("url", &inner)?;
    Ok(Content::Image { source: Source::of_url(url), detail: image.text("detail", &inner)? })
}

fn file(object: &mut Object<'_>, at: &Path<'_>) -> Result<Content, Refusal> {
    let inner = at.field("file");
    let mut file = object.object("file", at)?.ok_or_else(|| inner.refuse("the field is required"))?;
    let name = file.text("filename", &inner)?;
    let source = match (file.text("file_data", &inner)?, file.text("file_id", &inner)?) {
        (Some(data), None) => Source::of_file(data, name.as_deref()),
        (None, Some(id)) => Source::File(id),
        (Some(_), Some(_)) => return Err(inner.refuse("may hold `file_data` or `file_id`, not both")),
        (None, None) => return Err(inner.refuse("must hold `file_data` or `file_id`")),
    };
    Ok(Content::Document { source, name, settings: file.rest() })
}
