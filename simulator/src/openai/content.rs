//! The messages of an OpenAI request.

use std::collections::HashSet;

use serde_json::{Map, Value};

use super::field::{list, missing, object, present, string, wrong_type, wrong_word};
use crate::ask::{Ask, Part, Turn};
use crate::digest::base64_bytes;
use crate::fault::Fault;

const ROLES: &str = "'system', 'assistant', 'user', 'function', 'tool', and 'developer'";

/// Reads the conversation.
pub(super) fn messages(list: &[Value], ask: &mut Ask) -> Result<(), Box<Fault>> {
    let mut open = Calls::default();
    for (at, value) in list.iter().enumerate() {
        let param = format!("messages[{at}]");
        let message = value.as_object().ok_or_else(|| wrong_type(&param, "an object", value))?;
        let role = string(message, "role", &format!("{param}.role"))?;
        if role != "tool" {
            open.close(&param)?;
        }
        match role {
            "system" | "developer" => {
                let parts = content(message, &param, true)?;
                for part in parts {
                    if let Part::Text(text) = part {
                        ask.system.push_str(&text);
                        ask.system.push('\n');
                    }
                }
            }
            "user" | "function" => ask.turns.push(Turn { user: true, parts: content(message, &param, true)? }),
            "assistant" => ask.turns.push(Turn { user: false, parts: assistant(message, &param, &mut open)? }),
            "tool" => tool_result(message, &param, at, &mut open, ask)?,
            other => return Err(wrong_word(&format!("{param}.role"), other, ROLES)),
        }
    }
    open.close(&format!("messages[{}]", list.len().saturating_sub(1)))
}

/// Calls that wait for their results.
#[derive(Default)]
struct Calls {
    asked: HashSet<String>,
    waiting: Vec<String>,
}

impl Calls {
    fn close(&mut self, param: &str) -> Result<(), Box<Fault>> {
        self.asked.clear();
        if self.waiting.is_empty() {
            return Ok(());
        }
        let ids = std::mem::take(&mut self.waiting).join(", ");
        let message = format!(
            "An assistant message with 'tool_calls' must be followed by tool messages responding to each 'tool_call_id'. The following tool_call_ids did not have response messages: {ids}"
        );
        Err(Fault::new(400, message).at(format!("{param}.role")))
    }
}

fn assistant(message: &Map<String, Value>, param: &str, open: &mut Calls) -> Result<Vec<Part>, Box<Fault>> {
    let calls = list(message, "tool_calls", &format!("{param}.tool_calls"))?;
    let needed = calls.is_none() && present(message, "refusal").is_none() && present(message, "audio").is_none();
    let mut parts = content(message, param, needed)?;
    let Some(calls) = calls else { return Ok(parts) };
    if calls.is_empty() {
        let param = format!("{param}.tool_calls");
        return Err(empty_array(&param, 1));
    }
    for (at, call) in calls.iter().enumerate() {
        let param = format!("{param}.tool_calls[{at}]");
        let call = call.as_object().ok_or_else(|| wrong_type(&param, "an object", call))?;
        let id = string(call, "id", &format!("{param}.id"))?;
        let kind = string(call, "type", &format!("{param}.type"))?;
        if kind != "function" {
            return Err(wrong_word(&format!("{param}.type"), kind, "'function'"));
        }
        let function = object(call, "function", &format!("{param}.function"))?;
        string(function, "name", &format!("{param}.function.name"))?;
        string(function, "arguments", &format!("{param}.function.arguments"))?;
        open.asked.insert(id.to_owned());
        open.waiting.push(id.to_owned());
        parts.push(Part::Call { id: id.to_owned() });
    }
    Ok(parts)
}

fn tool_result(
    message: &Map<String, Value>,
    param: &str,
    at: usize,
    open: &mut Calls,
    ask: &mut Ask,
) -> Result<(), Box<Fault>> {
    let id = string(message, "tool_call_id", &format!("{param}.tool_call_id"))?;
    if open.asked.is_empty() {
        let message = "Invalid parameter: messages with role 'tool' must be a response to a preceeding message with 'tool_calls'.";
        return Err(Fault::new(400, message).at(format!("messages.[{at}].role")));
    }
    if !open.asked.contains(id) {
        let message =
            format!("Invalid parameter: 'tool_call_id' of '{id}' not found in 'tool_calls' of previous message.");
        return Err(Fault::new(400, message).at(format!("messages.[{at}].tool_call_id")));
    }
    open.waiting.retain(|waiting| waiting != id);
    let texts = content(message, param, true)?.into_iter().filter_map(|part| match part {
        Part::Text(text) => Some(text),
        _ => None,
    });
    let result = Part::Result { id: id.to_owned(), text: texts.collect::<Vec<_>>().join("\n"), failed: false };
    match ask.turns.last_mut().filter(|turn| turn.user && matches!(turn.parts.last(), Some(Part::Result { .. }))) {
        Some(turn) => turn.parts.push(result),
        None => ask.turns.push(Turn { user: true, parts: vec![result] }),
    }
    Ok(())
}

/// Complains of an empty list.
pub(super) fn empty_array(param: &str, least: u64) -> Box<Fault> {
    let message = format!(
        "Invalid '{param}': empty array. Expected an array with minimum length {least}, but got an empty array instead."
    );
    Fault::new(400, message).at(param).coded("empty_array")
}

fn content(message: &Map<String, Value>, param: &str, needed: bool) -> Result<Vec<Part>, Box<Fault>> {
    let param = format!("{param}.content");
    match message.get("content") {
        Some(Value::String(text)) => Ok(vec![Part::Text(text.clone())]),
        Some(Value::Array(parts)) if parts.is_empty() => Err(empty_array(&param, 1)),
        Some(Value::Array(parts)) => {
            parts.iter().enumerate().map(|(at, value)| part(value, &format!("{param}[{at}]"))).collect()
        }
        None if needed => Err(missing(&param)),
        Some(Value::Null) if needed => Err(wrong_type(&param, "one of a string or array of objects", &Value::Null)),
        None | Some(Value::Null) => Ok(Vec::new()),
        Some(other) => Err(wrong_type(&param, "one of a string or array of objects", other)),
    }
}

fn part(value: &Value, param: &str) -> Result<Part, Box<Fault>> {
    let part = value.as_object().ok_or_else(|| wrong_type(param, "an object", value))?;
    match string(part, "type", &format!("{param}.type"))? {
        "text" => Ok(Part::Text(string(part, "text", &format!("{param}.text"))?.to_owned())),
        "refusal" => Ok(Part::Text(string(part, "refusal", &format!("{param}.refusal"))?.to_owned())),
        "image_url" => {
            let image = object(part, "image_url", &format!("{param}.image_url"))?;
            let url = string(image, "url", &format!("{param}.image_url.url"))?;
            Ok(Part::Media(picture(url, &format!("{param}.image_url.url"))?))
        }
        "input_audio" => {
            let audio = object(part, "input_audio", &format!("{param}.input_audio"))?;
            let data = string(audio, "data", &format!("{param}.input_audio.data"))?;
            let format = string(audio, "format", &format!("{param}.input_audio.format"))?;
            Ok(Part::Media(format!("{format} audio of {} bytes", base64_bytes(data).unwrap_or(0))))
        }
        "file" => {
            let file = object(part, "file", &format!("{param}.file"))?;
            let name = present(file, "filename").or(present(file, "file_id")).and_then(Value::as_str);
            Ok(Part::Media(format!("a file named {}", name.unwrap_or("nothing"))))
        }
        other => {
            let known = "'text', 'image_url', 'input_audio', 'refusal', 'audio', and 'file'";
            Err(wrong_word(&format!("{param}.type"), other, known))
        }
    }
}

/// Describes a picture. Dimensions would need a decoder; the kind and size are what tests ask for.
pub(super) fn picture(url: &str, param: &str) -> Result<String, Box<Fault>> {
    let Some(data) = url.strip_prefix("data:") else {
        if url.starts_with("http://") || url.starts_with("https://") {
            return Ok(format!("an image at {url}"));
        }
        let message = format!("Invalid '{param}'. Expected a valid URL, but got a value with an invalid format.");
        return Err(Fault::new(400, message).at(param).coded("invalid_value"));
    };
    let (kind, data) = data.split_once(";base64,").unwrap_or(("", ""));
    if !["image/png", "image/jpeg", "image/gif", "image/webp"].contains(&kind) {
        let message = "You uploaded an unsupported image. Please make sure your image has of one the following formats: ['png', 'jpeg', 'gif', 'webp'].";
        return Err(Fault::new(400, message).at(param).coded("invalid_image_format"));
    }
    match base64_bytes(data) {
        Some(bytes) => Ok(format!("an {kind} image of {bytes} bytes")),
        None => Err(Fault::new(400, "Invalid base64 image_url.").at(param).coded("invalid_base64")),
    }
}
