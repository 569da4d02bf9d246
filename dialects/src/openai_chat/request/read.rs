//! Reads a request's top level: settings, tools, the shape of the answer.

use serde_json::value::RawValue;

use super::read_turns;
use crate::codec::Refusal;
use crate::dialect::Dialect;
use crate::hub::{Call, Extra, Format, Reasoning, Sampling, Tool, ToolChoice};
use crate::json::{Object, Path, ROOT, count, string};
use crate::openai_chat::custom::{self, CUSTOM};

/// Reads what a caller sent. Fields the hub has no word for are kept in `Call::extra`; `null` is absent.
///
/// Errors: the body is not what the dialect allows, or holds the functions of before 2024 (`functions`,
/// `function_call`), which have no call ids and so can not be carried.
pub(crate) fn decode(body: &[u8]) -> Result<Call, Refusal> {
    let text = std::str::from_utf8(body).map_err(|error| {
        Refusal::body(format!("the body is not UTF-8: invalid byte at offset {}", error.valid_up_to()))
    })?;
    let mut object = Object::read_body(text)?;
    let top = &mut object;
    refuse_legacy(top)?;
    let model = top.required("model", &ROOT)?;
    if model.is_empty() {
        return Err(ROOT.field("model").refuse("must not be empty"));
    }
    let (system, messages) = read_turns::turns(top)?;
    let tools = tools(top)?;
    let max_tokens = max_tokens(top)?;
    let sampling = sampling(top)?;
    let stop = stop(top)?;
    let reasoning = top.text("reasoning_effort", &ROOT)?.map(|effort| match effort.as_str() {
        "none" => Reasoning::Off,
        _ => Reasoning::Effort(effort),
    });
    let stream = top.boolean("stream", &ROOT)?.unwrap_or(false);
    let parallel_tools = top.boolean("parallel_tool_calls", &ROOT)?;
    let end_user = top.text("user", &ROOT)?;
    // These three may hold words the hub lacks; what is left of them is kept under their own names.
    let (stream_usage, stream_options) = stream_options(top)?;
    let (tool_choice, other_choice) = tool_choice(top)?;
    let (format, other_format) = format(top)?;
    let mut fields = object.rest();
    for (name, raw) in
        [("stream_options", stream_options), ("tool_choice", other_choice), ("response_format", other_format)]
    {
        if let Some(raw) = raw {
            fields.insert(name.to_owned(), raw.to_owned());
        }
    }
    Ok(Call {
        model,
        system,
        messages,
        tools,
        tool_choice,
        parallel_tools,
        max_tokens,
        sampling,
        stop,
        format,
        reasoning,
        thoughts_told: false,
        stream,
        stream_usage,
        end_user,
        extra: Extra { dialect: Dialect::OpenAiChat, fields },
    })
}

fn refuse_legacy(top: &mut Object<'_>) -> Result<(), Refusal> {
    // Some clients send what asks for nothing.
    for (old, new, nothing) in
        [("functions", "tools", &["[]"][..]), ("function_call", "tool_choice", &["\"auto\"", "\"none\""])]
    {
        if top.take(old).is_some_and(|raw| !nothing.contains(&raw.get())) {
            return Err(ROOT.field(old).refuse(format_args!("is deprecated and not translated; use `{new}`")));
        }
    }
    Ok(())
}

fn max_tokens(top: &mut Object<'_>) -> Result<Option<u64>, Refusal> {
    let old = top.count("max_tokens", &ROOT)?;
    let new = top.count("max_completion_tokens", &ROOT)?;
    if let (Some(old), Some(new)) = (old, new)
        && old != new
    {
        return Err(ROOT.field("max_tokens").refuse("contradicts `max_completion_tokens`; give one of them"));
    }
    Ok(new.or(old))
}

fn sampling(top: &mut Object<'_>) -> Result<Sampling, Refusal> {
    Ok(Sampling {
        temperature: top.number("temperature", &ROOT)?,
        top_p: top.number("top_p", &ROOT)?,
        // Not OpenAI's, but most look-alikes'.
        top_k: match top.take("top_k") {
            // −1 is how vLLM says "off".
            Some(raw) if raw.get() == "-1" => None,
            Some(raw) => {
                let refused = || ROOT.field("top_k").refuse("must be a whole number that is not negative");
                Some(count(raw.get()).ok_or_else(refused)?)
            }
            None => None,
        },
        seed: top.parsed("seed", &ROOT, "a whole number")?,
        frequency_penalty: top.number("frequency_penalty", &ROOT)?,
        presence_penalty: top.number("presence_penalty", &ROOT)?,
        choices: choices(top)?,
    })
}

/// The number of answers that are asked for (`n`), in Chat Completions and in legacy Completions alike.
pub(crate) fn choices(top: &mut Object<'_>) -> Result<Option<u32>, Refusal> {
    match top.count("n", &ROOT)?.map(u32::try_from) {
        Some(Ok(0)) => Err(ROOT.field("n").refuse("must be at least 1")),
        Some(Err(_)) => Err(ROOT.field("n").refuse("is too large")),
        Some(Ok(choices)) => Ok(Some(choices)),
        None => Ok(None),
    }
}

/// The texts that end an answer (`stop`), likewise.
pub(crate) fn stop(top: &mut Object<'_>) -> Result<Vec<String>, Refusal> {
    let Some(raw) = top.take("stop") else { return Ok(Vec::new()) };
    if let Some(one) = string(raw) {
        return Ok(vec![one]);
    }
    serde_json::from_str(raw.get()).map_err(|_| ROOT.field("stop").refuse("must be a string or an array of strings"))
}

/// The wish for usage, and the options whole when they say more.
fn stream_options<'a>(top: &mut Object<'a>) -> Result<(bool, Option<&'a RawValue>), Refusal> {
    const AT: Path<'static> = ROOT.field("stream_options");
    let Some(raw) = top.take("stream_options") else { return Ok((false, None)) };
    let mut options = Object::read(raw.get(), &AT)?;
    let usage = options.boolean("include_usage", &AT)?.unwrap_or(false);
    Ok((usage, (!options.is_empty()).then_some(raw)))
}

/// The choice in the hub's words, or else raw: `allowed_tools`.
fn tool_choice<'a>(top: &mut Object<'a>) -> Result<(Option<ToolChoice>, Option<&'a RawValue>), Refusal> {
    const AT: Path<'static> = ROOT.field("tool_choice");
    let Some(raw) = top.take("tool_choice") else { return Ok((None, None)) };
    if let Some(word) = string(raw) {
        let choice = match word.as_str() {
            "none" => ToolChoice::None,
            // `any` is Mistral's word for it.
            "required" | "any" => ToolChoice::Required,
            // `auto`, or a vendor's own (Gemini's `validated`), by which the model may choose, too.
            _ => ToolChoice::Auto,
        };
        return Ok((Some(choice), None));
    }
    let mut choice = Object::read(raw.get(), &AT)?;
    match &*choice.required("type", &AT)? {
        "function" => {}
        CUSTOM => return Ok((Some(ToolChoice::Named(custom::chosen(&mut choice, &AT)?)), None)),
        _ => return Ok((None, Some(raw))),
    }
    let at = AT.field("function");
    let mut function = choice.object("function", &AT)?.ok_or_else(|| at.refuse("the field is required"))?;
    Ok((Some(ToolChoice::Named(function.required("name", &at)?)), None))
}

/// The format in the hub's words, or else raw: a type the hub does not know, or settings beside the schema.
fn format<'a>(top: &mut Object<'a>) -> Result<(Option<Format>, Option<&'a RawValue>), Refusal> {
    const AT: Path<'static> = ROOT.field("response_format");
    let Some(raw) = top.take("response_format") else { return Ok((None, None)) };
    let mut format = Object::read(raw.get(), &AT)?;
    match format.required("type", &AT)?.as_str() {
        "text" => return Ok((None, None)),
        "json_object" => return Ok((Some(Format::Json), None)),
        "json_schema" => {}
        _ => return Ok((None, Some(raw))),
    }
    let at = AT.field("json_schema");
    let mut inner = format.object("json_schema", &AT)?.ok_or_else(|| at.refuse("the field is required"))?;
    let (name, description) = (inner.text("name", &at)?, inner.text("description", &at)?);
    let strict = inner.boolean("strict", &at)?;
    let Some(schema) = inner.raw("schema") else { return Ok((None, Some(raw))) };
    if inner.is_empty() {
        Ok((Some(Format::Schema { name, description, schema, strict }), None))
    } else {
        Ok((None, Some(raw)))
    }
}

fn tools(top: &mut Object<'_>) -> Result<Vec<Tool>, Refusal> {
    const AT: Path<'static> = ROOT.field("tools");
    let list = top.list("tools", &ROOT)?.unwrap_or_default();
    list.into_iter().enumerate().map(|(index, raw)| tool(raw, &AT.index(index))).collect()
}

fn tool(raw: &RawValue, at: &Path<'_>) -> Result<Tool, Refusal> {
    let mut object = Object::read(raw.get(), at)?;
    let kind = object.text("type", at)?;
    let inner_at = at.field("function");
    if kind.as_deref() == Some(CUSTOM) {
        return custom::tool(&mut object, at);
    }
    let other = || Tool::Other { dialect: Dialect::OpenAiChat, raw: raw.to_owned() };
    let mut function = match (kind.as_deref(), object.object("function", at)?) {
        (Some("function") | None, Some(function)) => function,
        (Some("function") | None, None) => return Err(inner_at.refuse("the field is required")),
        (Some(_), _) => return Ok(other()),
    };
    let cache = object.raw("cache_control").map(crate::hub::CacheMark);
    if !object.is_empty() {
        return Ok(other());
    }
    let inner_mark = function.raw("cache_control").map(crate::hub::CacheMark);
    Ok(Tool::Function {
        name: function.required("name", &inner_at)?,
        description: function.text("description", &inner_at)?,
        parameters: function.raw("parameters"),
        strict: function.boolean("strict", &inner_at)?,
        cache: cache.or(inner_mark),
        extra: function.rest(),
    })
}
