//! Reading a request as the vendor does, complaints included.

use std::collections::HashSet;

use serde_json::{Map, Value};

use crate::ask::{Ask, Choice, Format, Part, Thinking, Tool, Turn};
use crate::digest::base64_bytes;
use crate::fault::{Checked, Fault};
use crate::tokens;

/// The top-level fields of Chat.
const FIELDS: [&str; 20] = [
    "model",
    "messages",
    "stream",
    "tools",
    "strict_tools",
    "documents",
    "citation_options",
    "response_format",
    "safety_mode",
    "max_tokens",
    "stop_sequences",
    "temperature",
    "seed",
    "frequency_penalty",
    "presence_penalty",
    "k",
    "p",
    "logprobs",
    "tool_choice",
    "thinking",
];

/// An object of a body, which must know these fields alone.
pub(super) fn fields(body: &[u8], known: &[&str]) -> Checked<Map<String, Value>> {
    let value: Value = serde_json::from_slice(body).map_err(|error| wrong(format!("invalid json: {error}")))?;
    let Value::Object(fields) = value else { return Err(wrong("invalid json: expected an object")) };
    match fields.keys().find(|name| !known.contains(&name.as_str())) {
        Some(unknown) => Err(wrong(format!("unknown field: parameter '{unknown}' is not a valid field"))),
        None => Ok(fields),
    }
}

pub(super) fn wrong(message: impl Into<String>) -> Box<Fault> {
    Fault::new(400, format!("invalid request: {}", message.into()))
}

/// Reads a request, or says what is wrong with it.
pub(crate) fn read(body: &[u8]) -> Checked<Ask> {
    let fields = fields(body, &FIELDS)?;
    let model = fields.get("model").and_then(Value::as_str).ok_or_else(|| wrong("model is required"))?;
    let mut ask = Ask { model: model.to_owned(), answers: 1, parallel: true, stream_usage: true, ..Ask::default() };
    let messages = fields.get("messages").and_then(Value::as_array).filter(|list| !list.is_empty());
    let messages =
        messages.ok_or_else(|| wrong("message must be at least 1 token long or tool results must be specified."))?;
    conversation(messages, &mut ask)?;
    tools(&fields, &mut ask)?;
    settings(&fields, &mut ask)?;
    ask.stream = fields.get("stream").and_then(Value::as_bool).unwrap_or(false);
    let of = |key: &str| fields.get(key).map_or(0, |value| tokens::count(&value.to_string()));
    ask.input_tokens = of("messages") + of("tools");
    Ok(ask)
}

fn settings(fields: &Map<String, Value>, ask: &mut Ask) -> Checked<()> {
    for (name, least, most) in [
        ("temperature", 0.0, 100.0),
        ("p", 0.01, 0.99),
        ("k", 0.0, 500.0),
        ("frequency_penalty", 0.0, 1.0),
        ("presence_penalty", 0.0, 1.0),
    ] {
        let Some(value) = fields.get(name) else { continue };
        if !value.as_f64().is_some_and(|number| number >= least && number <= most) {
            return Err(wrong(format!("{name} must be between {least} and {most} inclusive.")));
        }
    }
    ask.max_tokens = fields.get("max_tokens").and_then(Value::as_u64);
    let stops = fields.get("stop_sequences").and_then(Value::as_array).cloned().unwrap_or_default();
    if stops.len() > 5 {
        return Err(wrong("stop_sequences must have at most 5 items"));
    }
    ask.stop = stops.iter().filter_map(|stop| stop.as_str().map(str::to_owned)).collect();
    if let Some(format) = fields.get("response_format") {
        ask.format = match (format["type"].as_str(), format.get("json_schema")) {
            (Some("text"), _) => Format::Text,
            (Some("json_object"), None) => Format::Json,
            (Some("json_object"), Some(schema)) => Format::Schema(schema.clone()),
            _ => return Err(wrong("response_format.type must be one of 'text', 'json_object'")),
        };
    }
    if let Some(thinking) = fields.get("thinking") {
        if !ask.model.contains("reasoning") {
            return Err(wrong("thinking is not supported by this model"));
        }
        ask.thinking = match thinking["type"].as_str() {
            Some("enabled") => Thinking::Shown,
            Some("disabled") => Thinking::Off,
            _ => return Err(wrong("thinking.type must be one of 'enabled', 'disabled'")),
        };
    }
    Ok(())
}

fn tools(fields: &Map<String, Value>, ask: &mut Ask) -> Checked<()> {
    for tool in fields.get("tools").and_then(Value::as_array).into_iter().flatten() {
        let function = &tool["function"];
        let name = function["name"].as_str().filter(|_| tool["type"] == "function");
        let name = name.ok_or_else(|| wrong("all elements in tools must have a type and a function with a name."))?;
        let schema = function.get("parameters").filter(|schema| schema.is_object());
        let schema = schema.ok_or_else(|| wrong(format!("tool {name}: parameters must be an object")))?;
        ask.tools.push(Tool { name: name.to_owned(), schema: schema.clone() });
    }
    ask.choice = match fields.get("tool_choice").and_then(Value::as_str) {
        None => Choice::Auto,
        Some("REQUIRED") if ask.tools.is_empty() => return Err(wrong("tool_choice REQUIRED needs tools")),
        Some("REQUIRED") => Choice::Required,
        Some("NONE") => Choice::None,
        Some(_) => return Err(wrong("tool_choice must be one of 'REQUIRED', 'NONE'")),
    };
    Ok(())
}

fn conversation(messages: &[Value], ask: &mut Ask) -> Checked<()> {
    let mut open: HashSet<String> = HashSet::new();
    for message in messages {
        let role = message["role"].as_str().unwrap_or_default();
        match role {
            "system" => {
                for part in content(&message["content"], false)? {
                    if let Part::Text(text) = part {
                        ask.system.push_str(&text);
                        ask.system.push('\n');
                    }
                }
            }
            "user" => ask.turns.push(Turn { user: true, parts: content(&message["content"], false)? }),
            "assistant" => {
                let mut parts = match message.get("content") {
                    None | Some(Value::Null) => Vec::new(),
                    Some(said) => content(said, true)?,
                };
                for call in message["tool_calls"].as_array().into_iter().flatten() {
                    let id = call["id"]
                        .as_str()
                        .filter(|_| call.pointer("/function/arguments").is_some_and(Value::is_string));
                    let id = id.ok_or_else(|| wrong("all elements in tool_calls must have an id and arguments."))?;
                    open.insert(id.to_owned());
                    parts.push(Part::Call { id: id.to_owned() });
                }
                if parts.is_empty() {
                    return Err(wrong("an assistant message must have content or tool_calls."));
                }
                ask.turns.push(Turn { user: false, parts });
            }
            "tool" => {
                let id = message["tool_call_id"].as_str().unwrap_or_default();
                if !open.contains(id) {
                    return Err(wrong(format!("tool_call_id {id} was not found in the previous assistant message.")));
                }
                let texts = content(&message["content"], false)?.into_iter().filter_map(|part| match part {
                    Part::Text(text) => Some(text),
                    _ => None,
                });
                let text = texts.collect::<Vec<_>>().join("\n");
                let result = Part::Result { id: id.to_owned(), text, failed: false };
                match ask.turns.last_mut().filter(|turn| turn.user) {
                    Some(turn) => turn.parts.push(result),
                    None => ask.turns.push(Turn { user: true, parts: vec![result] }),
                }
            }
            other => return Err(wrong(format!("role '{other}' is not one of 'system', 'user', 'assistant', 'tool'"))),
        }
    }
    Ok(())
}

/// The parts of a content; `thinks`: the model's own, which may be thoughts.
fn content(value: &Value, thinks: bool) -> Checked<Vec<Part>> {
    if let Some(text) = value.as_str() {
        return Ok(vec![Part::Text(text.to_owned())]);
    }
    let list = value.as_array().filter(|list| !list.is_empty()).ok_or_else(|| wrong("content must not be empty."))?;
    let part = |part: &Value| match part["type"].as_str().unwrap_or_default() {
        "text" => {
            part["text"].as_str().map(|text| Part::Text(text.to_owned())).ok_or_else(|| wrong("text is required"))
        }
        "thinking" if thinks => Ok(Part::Thought),
        "document" => Ok(Part::Text(part["document"].to_string())),
        "image_url" => picture(part.pointer("/image_url/url").and_then(Value::as_str).unwrap_or_default()),
        other => Err(wrong(format!("content type '{other}' is not supported"))),
    };
    list.iter().map(part).collect()
}

fn picture(url: &str) -> Checked<Part> {
    if url.starts_with("https://") || url.starts_with("http://") {
        return Ok(Part::Media(format!("an image at {url}")));
    }
    let (kind, data) = url.strip_prefix("data:").and_then(|url| url.split_once(";base64,")).unwrap_or_default();
    let bytes = base64_bytes(data).filter(|_| kind.starts_with("image/"));
    let bytes = bytes.ok_or_else(|| wrong("image_url.url must be a valid data URI or URL"))?;
    Ok(Part::Media(format!("an {kind} image of {bytes} bytes")))
}
