//! Reads a request's conversation: `input`, a text or a list of items.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::codec::Refusal;
use crate::dialect::Dialect;
use crate::hub::{Content, Message, Part, Role, Source, SystemPart, Tool};
use crate::json::{Object, Path, ROOT, string};
use crate::openai_responses::client_tools::{ClientTool, printed};
use crate::openai_responses::request::read_tools;
use crate::openai_responses::{agents, compaction, reply, sealed};
use crate::tool_results;

const INPUT: Path<'static> = ROOT.field("input");

/// The words for something that only OpenAI can read.
const KEPT: &str =
    "is kept at OpenAI, and this provider can not read it; send the items themselves, with `store: false`";

/// The conversation that was read.
#[derive(Default)]
pub(super) struct Input {
    pub(super) system: Vec<SystemPart>,
    pub(super) messages: Vec<Message>,
    /// The tools that stand among its items.
    pub(super) tools: Vec<Tool>,
    /// True if it is to be made shorter.
    pub(super) is_made_shorter: bool,
}

/// Reads `input`. Instructions before the conversation become `system`; later ones stay where they are. What the model said
/// in a row is one turn, and so are the results of its tools, which stand right behind their calls.
pub(super) fn input(top: &mut Object<'_>) -> Result<Input, Refusal> {
    let raw = top.take("input").ok_or_else(|| INPUT.refuse("the field is required"))?;
    if let Some(text) = string(raw) {
        return Ok(Input { messages: vec![Message::new(Role::User, vec![Part::text(text)])], ..Input::default() });
    }
    let list: Vec<&RawValue> =
        serde_json::from_str(raw.get()).map_err(|_| INPUT.refuse("must be a string or an array of items"))?;
    let Input { mut system, mut messages, mut tools, .. } = Input::default();
    let is_made_shorter = compaction::is_asked_for(&list);
    for (index, raw) in list.iter().enumerate() {
        let at = INPUT.index(index);
        match item(raw, (&list, &at), &mut tools)? {
            Some(ItemRead::Instructions(role, parts)) if messages.is_empty() => {
                system.extend(parts.into_iter().filter_map(|part| instruction(part, role)));
            }
            Some(ItemRead::Instructions(role, parts)) => {
                messages.push(Message { at: index, ..Message::new(role, parts) });
            }
            Some(ItemRead::User(parts)) => messages.push(Message { at: index, ..Message::new(Role::User, parts) }),
            Some(ItemRead::Model(parts)) => join(parts, index, &mut messages),
            Some(ItemRead::Result(part)) => tool_results::add(part, index, &mut messages),
            None => {}
        }
    }
    if messages.is_empty() && system.is_empty() {
        return Err(INPUT.refuse("must hold at least one message"));
    }
    Ok(Input { system, messages, tools, is_made_shorter })
}

/// An item, by what it is in a conversation.
enum ItemRead {
    Instructions(Role, Vec<Part>),
    User(Vec<Part>),
    Model(Vec<Part>),
    Result(Part),
}

fn instruction(part: Part, role: Role) -> Option<SystemPart> {
    let Content::Text { text, .. } = part.content else { return None };
    Some(SystemPart { developer: role == Role::Developer, ..SystemPart::new(text) })
}

/// Adds what the model said to the turn before, if that is its own.
fn join(parts: Vec<Part>, at: usize, messages: &mut Vec<Message>) {
    match messages.last_mut() {
        Some(turn) if turn.role == Role::Assistant => turn.parts.extend(parts),
        _ => messages.push(Message { at, ..Message::new(Role::Assistant, parts) }),
    }
}

/// Reads one item of `list`.
fn item(
    raw: &RawValue,
    (list, at): (&[&RawValue], &Path<'_>),
    tools: &mut Vec<Tool>,
) -> Result<Option<ItemRead>, Refusal> {
    let mut object = Object::read(raw.get(), at)?;
    let kind = object.text("type", at)?.unwrap_or_else(|| "message".to_owned());
    if let Some(tool) = ClientTool::called_by(&kind) {
        let call = tool.call(&mut object, at)?;
        return Ok(call.map(|call| ItemRead::Model(vec![Part::new(Content::ToolCall(call))])));
    }
    if let Some(tool) = ClientTool::answered_by(&kind) {
        return client_result(tool, &mut object, (list, at), tools).map(|part| part.map(ItemRead::Result));
    }
    Ok(Some(match &*kind {
        "message" => return message(object, at).map(Some),
        "function_call" => ItemRead::Model(vec![Part::new(Content::ToolCall(reply::call(&mut object, false, at)?))]),
        "custom_tool_call" => ItemRead::Model(vec![Part::new(Content::ToolCall(reply::call(&mut object, true, at)?))]),
        "function_call_output" | "custom_tool_call_output" => ItemRead::Result(result(&mut object, at)?),
        "additional_tools" => return read_tools::list(&mut object, at, tools).map(|()| None),
        "agent_message" => return agent_message(&mut object, at),
        "reasoning" => return thought(&mut object, at).map(|part| part.map(|part| ItemRead::Model(vec![part]))),
        "item_reference" => return Err(at.refuse(format_args!("what it names {KEPT}"))),
        compaction::TRIGGER if is_last(raw, list) => ItemRead::User(vec![Part::text(compaction::REQUEST)]),
        // One that was heard before.
        compaction::TRIGGER => return Ok(None),
        kind if compaction::ITEMS.contains(&kind) => {
            if let Some(summary) = object.text("encrypted_content", at)?.as_deref().and_then(compaction::told) {
                return Ok(Some(ItemRead::User(vec![Part::text(summary)])));
            }
            return Err(at.refuse(format_args!("a conversation that was made shorter by OpenAI {KEPT}")));
        }
        "image_generation_call" if object.take("result").is_some_and(|result| result.get().starts_with('"')) => {
            return made_picture(raw, at).map(Some);
        }
        // Tools that OpenAI runs itself: who is asked now decides whether it can be left out.
        _ => {
            ItemRead::Model(vec![Part::new(Content::Other { dialect: Dialect::OpenAiResponses, raw: raw.to_owned() })])
        }
    }))
}

fn is_last(item: &RawValue, list: &[&RawValue]) -> bool {
    list.last().is_some_and(|last| std::ptr::eq(*last, item))
}

/// A picture that a model has made, as it was told to the caller.
fn made_picture(raw: &RawValue, at: &Path<'_>) -> Result<ItemRead, Refusal> {
    let mut object = Object::read(raw.get(), at)?;
    let form = object.text("output_format", at)?.unwrap_or_else(|| "png".to_owned());
    let source = Source::Base64 { media_type: format!("image/{form}"), data: object.required("result", at)? };
    Ok(ItemRead::Model(vec![Part::new(Content::Image { source, detail: None })]))
}

fn message(mut object: Object<'_>, at: &Path<'_>) -> Result<ItemRead, Refusal> {
    let role = object.required("role", at)?;
    let raw = object.take("content").ok_or_else(|| at.field("content").refuse("the field is required"))?;
    let parts = content(raw, &at.field("content"))?;
    match &*role {
        "user" => Ok(ItemRead::User(parts)),
        "assistant" => Ok(ItemRead::Model(parts)),
        "system" | "developer" => {
            let other = parts.iter().position(|part| !matches!(part.content, Content::Text { .. }));
            if let Some(index) = other {
                return Err(at.field("content").index(index).refuse("instructions may hold text only"));
            }
            let role = if role == "system" { Role::System } else { Role::Developer };
            Ok(ItemRead::Instructions(role, parts))
        }
        _ => Err(at.field("role").refuse("must be `user`, `assistant`, `system` or `developer`")),
    }
}

/// Reads a text or a list of pieces.
fn content(raw: &RawValue, at: &Path<'_>) -> Result<Vec<Part>, Refusal> {
    if let Some(text) = string(raw) {
        return Ok(if text.is_empty() { Vec::new() } else { vec![Part::text(text)] });
    }
    let list: Vec<&RawValue> =
        serde_json::from_str(raw.get()).map_err(|_| at.refuse("must be a string or an array of parts"))?;
    list.into_iter().enumerate().map(|(index, raw)| piece(raw, &at.index(index))).collect()
}

fn piece(raw: &RawValue, at: &Path<'_>) -> Result<Part, Refusal> {
    let mut object = Object::read(raw.get(), at)?;
    let kind = object.required("type", at)?;
    if kind == "encrypted_content"
        && let Some(text) = agents::unencrypted(&mut object, at)?
    {
        return Ok(Part::text(text));
    }
    let content = match &*kind {
        "input_text" | "output_text" | "text" => {
            // Where a kept answer came from is not said to another provider, and its likelihoods are nobody's affair.
            let _ = ["annotations", "logprobs"].map(|name| object.take(name));
            Content::Text { text: object.required("text", at)?, citations: None }
        }
        "refusal" => Content::Refusal(object.required("refusal", at)?),
        "input_image" => image(&mut object, at)?,
        "input_file" => file(&mut object, at)?,
        "input_audio" => {
            let inner = at.field("input_audio");
            let mut audio = object.object("input_audio", at)?.ok_or_else(|| inner.refuse("the field is required"))?;
            Content::Audio { data: audio.required("data", &inner)?, format: audio.required("format", &inner)? }
        }
        _ => Content::Other { dialect: Dialect::OpenAiResponses, raw: raw.to_owned() },
    };
    Ok(Part { extra: object.rest(), ..Part::new(content) })
}

fn image(object: &mut Object<'_>, at: &Path<'_>) -> Result<Content, Refusal> {
    object.one_of(&["image_url", "file_id"], at)?;
    let detail = object.text("detail", at)?;
    let source = match (object.text("image_url", at)?, object.text("file_id", at)?) {
        (Some(url), _) => Source::of_url(url),
        (None, Some(id)) => Source::File(id),
        (None, None) => return Err(at.refuse("must hold `image_url` or `file_id`")),
    };
    Ok(Content::Image { source, detail })
}

fn file(object: &mut Object<'_>, at: &Path<'_>) -> Result<Content, Refusal> {
    object.one_of(&["file_data", "file_url", "file_id"], at)?;
    let name = object.text("filename", at)?;
    let [data, url, id] = ["file_data", "file_url", "file_id"].map(|name| object.text(name, at));
    let source = match (data?, url?, id?) {
        (Some(data), _, _) => Source::of_file(data, name.as_deref()),
        (None, Some(url), _) => Source::of_url(url),
        (None, None, Some(id)) => Source::File(id),
        (None, None, None) => return Err(at.refuse("must hold `file_data`, `file_url` or `file_id`")),
    };
    Ok(Content::Document { source, name, settings: crate::hub::Fields::new() })
}

/// The answer of a tool: a text or a list of pieces.
fn result(object: &mut Object<'_>, at: &Path<'_>) -> Result<Part, Refusal> {
    let call_id = object.required("call_id", at)?;
    let in_output = at.field("output");
    let parts = match object.take("output") {
        Some(raw) => content(raw, &in_output)?,
        None => Vec::new(),
    };
    Ok(Part::new(Content::ToolResult { call_id, parts, is_error: false }))
}

/// The answer of a tool that OpenAI's models know by its kind. A search has found tools, which can be called from now on; one that
/// OpenAI has made itself names no call.
fn client_result(
    tool: ClientTool,
    object: &mut Object<'_>,
    (list, at): (&[&RawValue], &Path<'_>),
    tools: &mut Vec<Tool>,
) -> Result<Option<Part>, Refusal> {
    let named = object.text("id", at)?;
    let call_id = match object.text("call_id", at)? {
        // OpenAI's schema has no other name for the call in the output of a local shell.
        None => named.and_then(|id| called_by(&id, list)),
        call_id => call_id,
    };
    let parts = if tool == ClientTool::Search {
        let before = tools.len();
        read_tools::list(object, at, tools)?;
        vec![Part::text(found(tools.get(before..).unwrap_or_default()))]
    } else {
        object.raw("output").map(|raw| printed(&raw)).unwrap_or_default()
    };
    let is_error = object.text("status", at)?.as_deref() == Some("failed");
    Ok(call_id.map(|call_id| Part::new(Content::ToolResult { call_id, parts, is_error })))
}

/// The id of the call that an item names, by the call's own id or by its item's.
fn called_by(id: &str, list: &[&RawValue]) -> Option<String> {
    #[derive(Deserialize)]
    struct CallingItem<'a> {
        #[serde(borrow)]
        id: Option<Cow<'a, str>>,
        #[serde(borrow)]
        call_id: Option<Cow<'a, str>>,
    }
    let call_of = |item: CallingItem<'_>| {
        let is_named = item.call_id.as_deref() == Some(id) || item.id.as_deref() == Some(id);
        item.call_id.filter(|_| is_named).map(Cow::into_owned)
    };
    list.iter().filter_map(|raw| serde_json::from_str(raw.get()).ok()).find_map(call_of)
}

/// The names of tools that were found, as a model reads it.
fn found(tools: &[Tool]) -> String {
    let name = |tool: &Tool| match tool {
        Tool::Function { name, .. } => Some(format!("`{name}`")),
        Tool::Other { .. } => None,
    };
    let names: Vec<String> = tools.iter().filter_map(name).collect();
    match names.as_slice() {
        [] => "Found no tools.".to_owned(),
        names => format!("Found tools that can be called now: {}.", names.join(", ")),
    }
}

/// A message of another agent to the model; nothing where it says nothing.
fn agent_message(object: &mut Object<'_>, at: &Path<'_>) -> Result<Option<ItemRead>, Refusal> {
    let in_content = at.field("content");
    let mut parts = match object.take("content") {
        Some(raw) => content(raw, &in_content)?,
        None => Vec::new(),
    };
    parts = agents::told(parts, &in_content)?;
    if parts.is_empty() {
        return Ok(None);
    }
    if let Some(author) = object.text("author", at)? {
        parts.insert(0, Part::text(format!("Message of the agent `{author}`:")));
    }
    Ok(Some(ItemRead::User(parts)))
}

/// A thought of the model's; nothing where only OpenAI could read it.
fn thought(object: &mut Object<'_>, at: &Path<'_>) -> Result<Option<Part>, Refusal> {
    let encrypted = object.text("encrypted_content", at)?;
    if let Some(content) = encrypted.as_deref().and_then(sealed::open) {
        return Ok(Some(Part::new(content)));
    }
    let text = reply::texts(object, at)?;
    Ok((!text.is_empty()).then(|| Part::new(Content::Thinking { text, signature: None })))
}
