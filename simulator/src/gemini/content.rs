//! The contents of a Gemini request.

use serde_json::Value;

use super::field::{Fields, invalid, list, object, text};
use crate::ask::{Ask, Part, Turn};
use crate::digest::{base64_bytes, sign};
use crate::fault::Fault;

const PART: [&str; 14] = [
    "text",
    "thought",
    "thoughtSignature",
    "inlineData",
    "fileData",
    "functionCall",
    "functionResponse",
    "executableCode",
    "codeExecutionResult",
    "videoMetadata",
    "mediaResolution",
    "partMetadata",
    "toolCall",
    "toolResponse",
];

/// The word that Google documents for calls that another model made.
const UNSIGNED: &str = "skip_thought_signature_validator";

/// Reads the conversation.
pub(super) fn contents(given: &[Value], ask: &mut Ask) -> Result<(), Box<Fault>> {
    if given.is_empty() {
        return Err(Fault::new(400, "* GenerateContentRequest.contents: contents is not specified\n"));
    }
    let mut open: Vec<String> = Vec::new();
    for (at, value) in given.iter().enumerate() {
        let path = format!("contents[{at}]");
        let content = object(value, &path, &["role", "parts"])?;
        let user = match text(&content, "role", &path)? {
            None | Some("user" | "function") => true,
            Some("model") => false,
            Some(_) => return Err(Fault::new(400, "Please use a valid role: user, model.").at(path)),
        };
        let mut parts = parts(&content, &path)?;
        // Turns of one role that follow one another are one: SDKs send a streamed answer back event by event.
        let goes_on = ask.turns.last().is_some_and(|turn| turn.user == user);
        if goes_on && !user {
            open.extend(calls(&parts));
            ask.turns.last_mut().into_iter().for_each(|turn| turn.parts.append(&mut parts));
            continue;
        }
        let results = parts.iter().filter(|part| matches!(part, Part::Result { .. })).count();
        if results != open.len() {
            let message = "Please ensure that the number of function response parts is equal to the number of function call parts of the function call turn.";
            return Err(Fault::new(400, message).at(path));
        }
        open = calls(&parts).collect();
        if !open.is_empty() && (user || at == 0) {
            let message = "Please ensure that function call turn comes immediately after a user turn or after a function response turn.";
            return Err(Fault::new(400, message).at(path));
        }
        ask.turns.push(Turn { user, parts });
    }
    Ok(())
}

/// The calls among parts.
fn calls(parts: &[Part]) -> impl Iterator<Item = String> {
    parts.iter().filter_map(|part| if let Part::Call { id } = part { Some(id.clone()) } else { None })
}

/// The instructions.
pub(super) fn system(value: &Value, ask: &mut Ask) -> Result<(), Box<Fault>> {
    let content = object(value, "system_instruction", &["role", "parts"])?;
    for part in parts(&content, "system_instruction")? {
        if let Part::Text(text) = part {
            ask.system.push_str(&text);
            ask.system.push('\n');
        }
    }
    Ok(())
}

fn parts(content: &Fields, path: &str) -> Result<Vec<Part>, Box<Fault>> {
    let given = list(content, "parts", path)?;
    if given.is_empty() {
        let message = format!("* GenerateContentRequest.{path}.parts: contents.parts must not be empty.\n");
        return Err(Fault::new(400, message).at(path));
    }
    given.iter().enumerate().map(|(at, value)| part(value, &format!("{path}.parts[{at}]"))).collect()
}

fn part(value: &Value, path: &str) -> Result<Part, Box<Fault>> {
    let part = object(value, path, &PART)?;
    let signature = text(&part, "thoughtSignature", path)?;
    if let Some(said) = text(&part, "text", path)? {
        check(signature, said)?;
        let thought = part.get("thought") == Some(&Value::Bool(true));
        return Ok(if thought || said.is_empty() { Part::Thought } else { Part::Text(said.to_owned()) });
    }
    if let Some(call) = part.get("functionCall") {
        let call = object(call, path, &["id", "name", "args"])?;
        let name = text(&call, "name", path)?.ok_or_else(|| invalid(path, "functionCall.name is required"))?;
        if !call.get("args").is_none_or(Value::is_object) {
            return Err(invalid(&format!("{path}.functionCall.args"), "Invalid value, expected an object"));
        }
        check(signature, name)?;
        let id = text(&call, "id", path)?.unwrap_or(name);
        return Ok(Part::Call { id: id.to_owned() });
    }
    if let Some(result) = part.get("functionResponse") {
        return self::result(result, path);
    }
    if let Some(blob) = part.get("inlineData") {
        return blob_of(blob, path).map(Part::Media);
    }
    if let Some(file) = part.get("fileData") {
        let file = object(file, path, &["mimeType", "fileUri", "displayName"])?;
        let uri = text(&file, "fileUri", path)?.ok_or_else(|| invalid(path, "fileData.fileUri is required"))?;
        return Ok(Part::Media(format!("a file at {uri}")));
    }
    Err(Fault::new(
        400,
        format!("* GenerateContentRequest.{path}.data: required oneof field 'data' must have one initialized field\n"),
    )
    .at(path))
}

fn result(value: &Value, path: &str) -> Result<Part, Box<Fault>> {
    let result = object(value, path, &["id", "name", "response", "parts", "willContinue", "scheduling"])?;
    let name = text(&result, "name", path)?.filter(|name| !name.is_empty());
    let name = name.ok_or_else(|| {
        Fault::new(400, format!("* GenerateContentRequest.{path}.function_response.name: Name cannot be empty.\n"))
    })?;
    let response = result.get("response").and_then(Value::as_object);
    let response = response
        .ok_or_else(|| invalid(&format!("{path}.functionResponse.response"), "Invalid value, expected an object"))?;
    for (at, piece) in list(&result, "parts", path)?.iter().enumerate() {
        let path = format!("{path}.functionResponse.parts[{at}]");
        let piece = object(piece, &path, &["inlineData", "fileData"])?;
        piece.get("inlineData").map(|blob| blob_of(blob, &path)).transpose()?;
    }
    let failed = response.contains_key("error");
    let said = response.get("output").or(response.get("error")).and_then(Value::as_str).map(str::to_owned);
    let text = said.unwrap_or_else(|| Value::Object(response.clone()).to_string());
    let id = self::text(&result, "id", path)?.unwrap_or(name);
    Ok(Part::Result { id: id.to_owned(), text, failed })
}

/// Only what was signed here, or stands for what nobody here can have signed, is taken.
fn check(signature: Option<&str>, over: &str) -> Result<(), Box<Fault>> {
    match signature {
        None | Some(UNSIGNED) => Ok(()),
        Some(signature) if signature.replace('-', "+").replace('_', "/") == sign(over) => Ok(()),
        Some(_) => Err(Fault::new(400, "Thought signature is not valid")),
    }
}

fn blob_of(value: &Value, path: &str) -> Result<String, Box<Fault>> {
    let blob = object(value, path, &["mimeType", "data", "displayName"])?;
    let kind = text(&blob, "mimeType", path)?.ok_or_else(|| invalid(path, "inlineData.mimeType is required"))?;
    let data = text(&blob, "data", path)?.unwrap_or_default().replace('-', "+").replace('_', "/");
    let bytes = base64_bytes(&data).ok_or_else(|| invalid(path, "Invalid value, Base64 decoding failed"))?;
    match kind.split('/').next() {
        Some("image") => Ok(format!("an {kind} image of {bytes} bytes")),
        Some("audio" | "video") => Ok(format!("{kind} of {bytes} bytes")),
        Some("application" | "text") => Ok(format!("a {kind} document of {bytes} bytes")),
        _ => Err(Fault::new(400, format!("Unsupported MIME type: {kind}")).at(path)),
    }
}
