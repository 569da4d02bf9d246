//! The items of a Responses request.

use serde_json::{Map, Value};

use crate::ask::{Ask, Part, Turn};
use crate::digest::is_sealed;
use crate::fault::{Checked, Fault};
use crate::openai::content::picture;
use crate::openai::field::{missing, present, string, wrong_type, wrong_word};

/// Reads the conversation: each call must have its result, and the other way round.
pub(super) fn items(list: &[Value], ask: &mut Ask) -> Checked<()> {
    let mut open: Vec<String> = Vec::new();
    for (at, value) in list.iter().enumerate() {
        let param = format!("input[{at}]");
        let item = value.as_object().ok_or_else(|| wrong_type(&param, "an object", value))?;
        let kind = present(item, "type").and_then(Value::as_str).unwrap_or("message");
        match kind {
            "message" => message(item, &param, ask)?,
            "function_call" | "custom_tool_call" => {
                let id = string(item, "call_id", &format!("{param}.call_id"))?.to_owned();
                string(item, "name", &format!("{param}.name"))?;
                let said = if kind == "function_call" { "arguments" } else { "input" };
                string(item, said, &format!("{param}.{said}"))?;
                open.push(id.clone());
                add(ask, false, Part::Call { id });
            }
            "function_call_output" | "custom_tool_call_output" => {
                let id = string(item, "call_id", &format!("{param}.call_id"))?.to_owned();
                let Some(place) = open.iter().position(|known| *known == id) else {
                    let message = format!("No tool call found for function call output with call_id {id}.");
                    return Err(Fault::new(400, message).at("input"));
                };
                open.swap_remove(place);
                let text = output(item, &param)?;
                add(ask, true, Part::Result { id, text, failed: false });
            }
            "reasoning" => {
                string(item, "id", &format!("{param}.id"))?;
                let encrypted = present(item, "encrypted_content").and_then(Value::as_str);
                if encrypted.is_some_and(|data| !is_sealed(data)) {
                    let message = "The encrypted content for item could not be verified.";
                    return Err(Fault::new(400, message).coded("invalid_encrypted_content"));
                }
                add(ask, false, Part::Thought);
            }
            "item_reference" => {
                let id = string(item, "id", &format!("{param}.id"))?;
                let message =
                    format!("Item with id '{id}' not found. Items are not persisted when `store` is set to false.");
                return Err(Fault::new(404, message).at("input"));
            }
            other if other.ends_with("_call") || other.ends_with("_call_output") => {}
            other => return Err(wrong_word(&param, other, "'message', 'function_call', and 'function_call_output'")),
        }
    }
    match open.first() {
        Some(id) => Err(Fault::new(400, format!("No tool output found for function call {id}.")).at("input")),
        None => Ok(()),
    }
}

/// Adds to the turn that goes on, or to a new one.
fn add(ask: &mut Ask, user: bool, part: Part) {
    match ask.turns.last_mut() {
        Some(turn) if turn.user == user => turn.parts.push(part),
        _ => ask.turns.push(Turn { user, parts: vec![part] }),
    }
}

fn message(item: &Map<String, Value>, param: &str, ask: &mut Ask) -> Checked<()> {
    let role = string(item, "role", &format!("{param}.role"))?;
    let content = present(item, "content").ok_or_else(|| missing(&format!("{param}.content")))?;
    let parts = match content {
        Value::String(text) => vec![Part::Text(text.clone())],
        Value::Array(list) => {
            let piece = |(at, value): (usize, &Value)| piece(value, role, &format!("{param}.content[{at}]"));
            list.iter().enumerate().map(piece).collect::<Checked<_>>()?
        }
        other => return Err(wrong_type(&format!("{param}.content"), "one of a string or array of parts", other)),
    };
    match role {
        "user" => ask.turns.push(Turn { user: true, parts }),
        "assistant" => ask.turns.push(Turn { user: false, parts }),
        "system" | "developer" => {
            for part in parts {
                if let Part::Text(text) = part {
                    ask.system.push_str(&text);
                    ask.system.push('\n');
                }
            }
        }
        other => {
            return Err(wrong_word(&format!("{param}.role"), other, "'assistant', 'system', 'developer', and 'user'"));
        }
    }
    Ok(())
}

fn piece(value: &Value, role: &str, param: &str) -> Checked<Part> {
    let piece = value.as_object().ok_or_else(|| wrong_type(param, "an object", value))?;
    let known = if role == "assistant" {
        "'output_text' and 'refusal'"
    } else {
        "'input_text', 'input_image', 'input_file', and 'input_audio'"
    };
    Ok(match (string(piece, "type", &format!("{param}.type"))?, role) {
        ("output_text", "assistant") | ("input_text", "user" | "system" | "developer") => {
            Part::Text(string(piece, "text", &format!("{param}.text"))?.to_owned())
        }
        ("refusal", "assistant") => Part::Text(string(piece, "refusal", &format!("{param}.refusal"))?.to_owned()),
        ("input_image", "user") => Part::Media(picture(
            string(piece, "image_url", &format!("{param}.image_url"))?,
            &format!("{param}.image_url"),
        )?),
        ("input_file", "user") => {
            if ["file_data", "file_url", "file_id"].iter().all(|name| present(piece, name).is_none()) {
                return Err(missing(&format!("{param}.file_data")));
            }
            Part::Media("a file".to_owned())
        }
        ("input_audio", "user") => Part::Media("sound".to_owned()),
        (other, _) => return Err(wrong_word(param, other, known)),
    })
}

fn output(item: &Map<String, Value>, param: &str) -> Checked<String> {
    let param = format!("{param}.output");
    match present(item, "output") {
        None => Err(missing(&param)),
        Some(Value::String(text)) => Ok(text.clone()),
        Some(Value::Array(list)) => {
            let mut texts = Vec::new();
            for (at, value) in list.iter().enumerate() {
                match piece(value, "user", &format!("{param}[{at}]"))? {
                    Part::Text(text) | Part::Media(text) => texts.push(text),
                    _ => {}
                }
            }
            Ok(texts.join("\n"))
        }
        Some(other) => Err(wrong_type(&param, "one of a string or array of parts", other)),
    }
}
