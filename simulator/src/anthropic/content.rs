//! The messages of an Anthropic request.

use serde_json::{Map, Value};

use super::field::{boolean, dictionary, list, only, required, string, wrong};
use crate::ask::{Ask, Part, Turn};
use crate::digest::{base64_bytes, is_sealed, sign};
use crate::fault::Checked;

/// Reads the conversation.
pub(super) fn messages(list: &[Value], ask: &mut Ask) -> Checked<()> {
    for (at, value) in list.iter().enumerate() {
        let path = format!("messages.{at}");
        let message = dictionary(value, &path)?;
        only(message, &["role", "content"], &path)?;
        let user = match string(message, "role", &format!("{path}.role"))? {
            "user" => true,
            "assistant" => false,
            // Instructions in mid-conversation; they are no turn of anyone's.
            "system" => {
                instructions(message, &path, ask)?;
                continue;
            }
            other => {
                return Err(wrong(
                    "messages",
                    &format!("Unexpected role \"{other}\". Allowed roles are \"user\", \"assistant\" or \"system\"."),
                ));
            }
        };
        let parts =
            content(required(message, "content", &format!("{path}.content"))?, &format!("{path}.content"), user)?;
        if parts.is_empty() && (user || at + 1 < list.len()) {
            return Err(wrong(
                &path,
                "all messages must have non-empty content except for the optional final assistant message",
            ));
        }
        ask.turns.push(Turn { user, parts });
    }
    match ask.turns.first() {
        Some(first) if !first.user => Err(wrong("messages", "first message must use the \"user\" role")),
        _ => results_match(&ask.turns),
    }
}

fn instructions(message: &Map<String, Value>, path: &str, ask: &mut Ask) -> Checked<()> {
    let path = format!("{path}.content");
    match required(message, "content", &path)? {
        Value::String(text) => ask.system.push_str(text),
        blocks => {
            for (at, block) in list(blocks, &path)?.iter().enumerate() {
                let path = format!("{path}.{at}");
                ask.system.push_str(&text(dictionary(block, &path)?, &path)?);
            }
        }
    }
    ask.system.push('\n');
    Ok(())
}

/// Every call is answered in the next message, and every answer has a call in the one before.
fn results_match(turns: &[Turn]) -> Checked<()> {
    for (at, turn) in turns.iter().enumerate() {
        let next = turns.get(at + 1).map_or(&[][..], |next| &next.parts);
        let answered = |id: &String| next.iter().any(|part| matches!(part, Part::Result { id: of, .. } if of == id));
        let open: Vec<&str> = turn
            .parts
            .iter()
            .filter_map(|part| match part {
                Part::Call { id } if !answered(id) => Some(id.as_str()),
                _ => None,
            })
            .collect();
        if !open.is_empty() {
            let what = format!(
                "`tool_use` ids were found without `tool_result` blocks immediately after: {}. Each `tool_use` block must have a corresponding `tool_result` block in the next message.",
                open.join(", ")
            );
            return Err(wrong(&format!("messages.{at}"), &what));
        }
        let before = at.checked_sub(1).and_then(|at| turns.get(at)).map_or(&[][..], |before| &before.parts);
        for (block, part) in turn.parts.iter().enumerate() {
            let Part::Result { id, .. } = part else { continue };
            if !before.iter().any(|part| matches!(part, Part::Call { id: of } if of == id)) {
                let what = format!(
                    "unexpected `tool_use_id` found in `tool_result` blocks: {id}. Each `tool_result` block must have a corresponding `tool_use` block in the previous message."
                );
                return Err(wrong(&format!("messages.{at}.content.{block}"), &what));
            }
        }
    }
    Ok(())
}

fn content(value: &Value, path: &str, user: bool) -> Checked<Vec<Part>> {
    match value {
        Value::String(text) if text.is_empty() => Ok(Vec::new()),
        Value::String(text) => Ok(vec![Part::Text(text.clone())]),
        Value::Array(blocks) => {
            blocks.iter().enumerate().map(|(at, value)| block(value, &format!("{path}.{at}"), user)).collect()
        }
        _ => Err(wrong(path, "Input should be a valid string or list")),
    }
}

fn block(value: &Value, path: &str, user: bool) -> Checked<Part> {
    let block = dictionary(value, path)?;
    let kind = string(block, "type", &format!("{path}.type"))?;
    match kind {
        "text" => text(block, path).map(Part::Text),
        "image" | "document" => media(block, kind, path),
        "tool_result" if user => tool_result(block, path),
        "tool_use" if !user => {
            let id = string(block, "id", &format!("{path}.tool_use.id"))?;
            string(block, "name", &format!("{path}.tool_use.name"))?;
            dictionary(
                required(block, "input", &format!("{path}.tool_use.input"))?,
                &format!("{path}.tool_use.input"),
            )?;
            Ok(Part::Call { id: id.to_owned() })
        }
        "thinking" if !user => {
            let thought = string(block, "thinking", &format!("{path}.thinking.thinking"))?;
            let signature = string(block, "signature", &format!("{path}.thinking.signature"))?;
            if signature == sign(thought) {
                Ok(Part::Thought)
            } else {
                Err(wrong(path, "Invalid `signature` in `thinking` block"))
            }
        }
        "redacted_thinking" if !user => {
            let data = string(block, "data", &format!("{path}.redacted_thinking.data"))?;
            if is_sealed(data) {
                Ok(Part::Thought)
            } else {
                Err(wrong(path, "Invalid `data` in `redacted_thinking` block"))
            }
        }
        "tool_result" | "tool_use" | "thinking" | "redacted_thinking" => {
            let role = if user { "user" } else { "assistant" };
            Err(wrong(path, &format!("`{kind}` blocks can not be in `{role}` messages")))
        }
        other => {
            Err(wrong(path, &format!("Input tag '{other}' found using 'type' does not match any of the expected tags")))
        }
    }
}

/// The text of a text block.
pub(super) fn text(block: &Map<String, Value>, path: &str) -> Checked<String> {
    only(block, &["type", "text", "cache_control", "citations"], &format!("{path}.text"))?;
    match string(block, "text", &format!("{path}.text.text"))? {
        "" => Err(wrong("messages", "text content blocks must be non-empty")),
        text => Ok(text.to_owned()),
    }
}

/// Describes a picture or document. Dimensions would need a decoder; kind and size are what tests ask for.
fn media(block: &Map<String, Value>, kind: &str, path: &str) -> Checked<Part> {
    let path = format!("{path}.{kind}.source");
    let source = dictionary(required(block, "source", &path)?, &path)?;
    let described = match string(source, "type", &format!("{path}.type"))? {
        "base64" => {
            let media_type = string(source, "media_type", &format!("{path}.base64.media_type"))?;
            let pictures = ["image/jpeg", "image/png", "image/gif", "image/webp"];
            if kind == "image" && !pictures.contains(&media_type) {
                let what = "Input should be 'image/jpeg', 'image/png', 'image/gif' or 'image/webp'";
                return Err(wrong(&format!("{path}.base64.media_type"), what));
            }
            let data = string(source, "data", &format!("{path}.base64.data"))?;
            let bytes = base64_bytes(data).ok_or_else(|| wrong(&format!("{path}.base64"), "invalid base64 data"))?;
            format!("an {media_type} {kind} of {bytes} bytes")
        }
        "url" => format!("an {kind} at {}", string(source, "url", &format!("{path}.url.url"))?),
        "text" if kind == "document" => {
            let data = string(source, "data", &format!("{path}.text.data"))?;
            format!("a text document of {} bytes", data.len())
        }
        "file" => format!("an {kind} from file {}", string(source, "file_id", &format!("{path}.file.file_id"))?),
        "content" if kind == "document" => "a document of content blocks".to_owned(),
        other => {
            return Err(wrong(
                &path,
                &format!("Input tag '{other}' found using 'type' does not match any of the expected tags"),
            ));
        }
    };
    Ok(Part::Media(described))
}

fn tool_result(block: &Map<String, Value>, path: &str) -> Checked<Part> {
    let path = format!("{path}.tool_result");
    only(block, &["type", "tool_use_id", "content", "is_error", "cache_control", "toolset_name"], &path)?;
    let id = string(block, "tool_use_id", &format!("{path}.tool_use_id"))?.to_owned();
    let failed = boolean(block, "is_error", &format!("{path}.is_error"))?.unwrap_or(false);
    let text = match block.get("content") {
        None | Some(Value::Null) => String::new(),
        Some(Value::String(text)) => text.clone(),
        Some(value) => {
            let mut texts = Vec::new();
            for (at, inner) in list(value, &format!("{path}.content"))?.iter().enumerate() {
                let path = format!("{path}.content.{at}");
                let inner = dictionary(inner, &path)?;
                match string(inner, "type", &format!("{path}.type"))? {
                    "text" => texts.push(string(inner, "text", &format!("{path}.text"))?.to_owned()),
                    kind => {
                        if let Part::Media(what) = media(inner, kind, &path)? {
                            texts.push(what);
                        }
                    }
                }
            }
            texts.join("\n")
        }
    };
    Ok(Part::Result { id, text, failed })
}
