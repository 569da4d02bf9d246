//! Reads a request into the hub's words.

use serde_json::value::RawValue;

use super::super::reply::{CalledTool, pieces};
use crate::codec::Refusal;
use crate::dialect::Dialect;
use crate::hub::{
    Call, Content, Extra, Fields, Format, Message, Part, Reasoning, Role, Sampling, Source, SystemPart, Tool,
    ToolChoice,
};
use crate::json::{Object, Path, ROOT, kind_of, string};

/// Reads what a caller sent. Errors: the body is not what the dialect allows, or holds what the hub can not carry.
pub(crate) fn decode(body: &[u8]) -> Result<Call, Refusal> {
    let text = std::str::from_utf8(body).map_err(|error| {
        Refusal::body(format!("the body is not UTF-8: invalid byte at offset {}", error.valid_up_to()))
    })?;
    let mut object = Object::read_body(text)?;
    let top = &mut object;
    let model = top.required("model", &ROOT)?;
    if top.take("documents").is_some_and(|raw| raw.get() != "[]") {
        return Err(ROOT.field("documents").refuse("decide the answer, and have no place at this provider"));
    }
    let strict = top.boolean("strict_tools", &ROOT)?;
    let (system, messages) = turns(top)?;
    let sampling = Sampling {
        temperature: top.number("temperature", &ROOT)?,
        top_p: top.number("p", &ROOT)?,
        top_k: top.count("k", &ROOT)?.filter(|k| *k > 0),
        seed: top.parsed("seed", &ROOT, "a whole number")?,
        frequency_penalty: top.number("frequency_penalty", &ROOT)?,
        presence_penalty: top.number("presence_penalty", &ROOT)?,
        choices: None,
    };
    Ok(Call {
        model,
        system,
        messages,
        tools: tools(top, strict)?,
        tool_choice: choice(top)?,
        parallel_tools: None,
        max_tokens: top.count("max_tokens", &ROOT)?,
        sampling,
        stop: top.parsed("stop_sequences", &ROOT, "an array of strings")?.unwrap_or_default(),
        format: format(top)?,
        reasoning: reasoning(top)?,
        thoughts_told: false,
        stream: top.boolean("stream", &ROOT)?.unwrap_or(false),
        stream_usage: true,
        end_user: None,
        extra: Extra { dialect: Dialect::CohereChat, fields: object.rest() },
    })
}

fn choice(top: &mut Object<'_>) -> Result<Option<ToolChoice>, Refusal> {
    match top.text("tool_choice", &ROOT)?.as_deref() {
        None => Ok(None),
        Some("REQUIRED") => Ok(Some(ToolChoice::Required)),
        Some("NONE") => Ok(Some(ToolChoice::None)),
        Some(_) => Err(ROOT.field("tool_choice").refuse("must be `REQUIRED` or `NONE`")),
    }
}

fn reasoning(top: &mut Object<'_>) -> Result<Option<Reasoning>, Refusal> {
    const AT: Path<'static> = ROOT.field("thinking");
    let Some(mut thinking) = top.object("thinking", &ROOT)? else { return Ok(None) };
    let budget = thinking.count("token_budget", &AT)?;
    match thinking.required("type", &AT)?.as_str() {
        "disabled" => Ok(Some(Reasoning::Off)),
        "enabled" => Ok(Some(budget.map_or(Reasoning::Adaptive, Reasoning::Budget))),
        _ => Err(AT.field("type").refuse("must be `enabled` or `disabled`")),
    }
}

fn format(top: &mut Object<'_>) -> Result<Option<Format>, Refusal> {
    const AT: Path<'static> = ROOT.field("response_format");
    let Some(mut format) = top.object("response_format", &ROOT)? else { return Ok(None) };
    match format.required("type", &AT)?.as_str() {
        "text" => Ok(None),
        "json_object" => Ok(Some(match format.raw("json_schema").or_else(|| format.raw("schema")) {
            Some(schema) => Format::Schema { name: None, description: None, schema, strict: Some(true) },
            None => Format::Json,
        })),
        _ => Err(AT.field("type").refuse("must be `text` or `json_object`")),
    }
}

fn tools(top: &mut Object<'_>, strict: Option<bool>) -> Result<Vec<Tool>, Refusal> {
    const AT: Path<'static> = ROOT.field("tools");
    let list = top.list("tools", &ROOT)?.unwrap_or_default();
    let tool = |(index, raw): (usize, &RawValue)| {
        let at = AT.index(index);
        let mut object = Object::read(raw.get(), &at)?;
        object.take("type");
        let mut function =
            object.object("function", &at)?.ok_or_else(|| at.field("function").refuse("the field is required"))?;
        let at = at.field("function");
        Ok(Tool::Function {
            name: function.required("name", &at)?,
            description: function.text("description", &at)?,
            parameters: function.raw("parameters"),
            strict,
            cache: None,
            extra: function.rest(),
        })
    };
    list.into_iter().enumerate().map(tool).collect()
}

fn turns(top: &mut Object<'_>) -> Result<(Vec<SystemPart>, Vec<Message>), Refusal> {
    const AT: Path<'static> = ROOT.field("messages");
    let list = top.list("messages", &ROOT)?.ok_or_else(|| AT.refuse("the field is required"))?;
    if list.is_empty() {
        return Err(AT.refuse("must hold at least one message"));
    }
    let (mut system, mut messages, mut after_tools) = (Vec::new(), Vec::<Message>::new(), false);
    for (index, raw) in list.into_iter().enumerate() {
        let at = AT.index(index);
        let mut object = Object::read(raw.get(), &at)?;
        let role = object.required("role", &at)?;
        let in_tools = std::mem::replace(&mut after_tools, role == "tool");
        let turn = |role, parts| Message { at: index, ..Message::new(role, parts) };
        match role.as_str() {
            "system" if messages.is_empty() => system.extend(content(&mut object, &at)?.iter().filter_map(instruction)),
            "system" => messages.push(turn(Role::System, content(&mut object, &at)?)),
            "user" => messages.push(turn(Role::User, content(&mut object, &at)?)),
            "assistant" => messages.push(turn(Role::Assistant, assistant(&mut object, &at)?)),
            "tool" => {
                let call_id = object.required("tool_call_id", &at)?;
                let parts = content(&mut object, &at)?;
                let part = Part::new(Content::ToolResult { call_id, parts, is_error: false });
                match messages.last_mut().filter(|_| in_tools) {
                    Some(last) => last.parts.push(part),
                    None => messages.push(turn(Role::User, vec![part])),
                }
            }
            _ => return Err(at.field("role").refuse("must be `system`, `user`, `assistant` or `tool`")),
        }
    }
    Ok((system, messages))
}

fn instruction(part: &Part) -> Option<SystemPart> {
    if let Content::Text { text, citations: _ } = &part.content { Some(SystemPart::new(text)) } else { None }
}

fn assistant(object: &mut Object<'_>, at: &Path<'_>) -> Result<Vec<Part>, Refusal> {
    let mut parts = object.take("content").map(pieces).unwrap_or_default();
    parts.extend(object.text("tool_plan", at)?.filter(|plan| !plan.is_empty()).map(Part::text));
    let calls: Vec<CalledTool> = object.parsed("tool_calls", at, "an array of calls")?.unwrap_or_default();
    parts.extend(calls.into_iter().map(|call| Part::new(Content::ToolCall(call.read()))));
    Ok(parts)
}

/// The pieces of a content: a text, or a list of texts, pictures and documents.
fn content(object: &mut Object<'_>, at: &Path<'_>) -> Result<Vec<Part>, Refusal> {
    let at = at.field("content");
    let raw = object.take("content").ok_or_else(|| at.refuse("the field is required"))?;
    if let Some(text) = string(raw) {
        return Ok(vec![Part::text(text)]);
    }
    let list: Vec<&RawValue> =
        serde_json::from_str(raw.get()).map_err(|_| at.refuse("must be a string or an array of parts"))?;
    let part = |(index, raw): (usize, &RawValue)| part(raw, &at.index(index));
    list.into_iter().enumerate().map(part).collect()
}

fn part(raw: &RawValue, at: &Path<'_>) -> Result<Part, Refusal> {
    let mut object = Object::read(raw.get(), at)?;
    match kind_of(raw.get()).as_str() {
        "text" => Ok(Part::text(object.required("text", at)?)),
        "image_url" => {
            let at = at.field("image_url");
            let mut image = object.object("image_url", &at)?.ok_or_else(|| at.refuse("the field is required"))?;
            let source = Source::of_url(image.required("url", &at)?);
            Ok(Part::new(Content::Image { source, detail: image.text("detail", &at)? }))
        }
        "document" => {
            let document =
                object.raw("document").ok_or_else(|| at.field("document").refuse("the field is required"))?;
            let data = Object::read(document.get(), &at.field("document"))?.raw("data");
            let text = data.as_ref().unwrap_or(&document);
            let text = string(text).unwrap_or_else(|| text.get().to_owned());
            let source = Source::Text(text);
            Ok(Part::new(Content::Document { source, name: None, settings: Fields::new() }))
        }
        kind => Err(at.refuse(format_args!("`{kind}` is no kind of part that is known"))),
    }
}
