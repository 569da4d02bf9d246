//! Reading a Converse request as Bedrock does, complaints included.

use serde_json::{Map, Value, json};

use crate::ask::{Ask, Beginning, Choice, Format, Part, Thinking, Tool, Turn};
use crate::digest::{base64_bytes, fnv};
use crate::fault::{Checked, Fault};
use crate::tokens;

const FIELDS: [&str; 14] = [
    "messages",
    "system",
    "inferenceConfig",
    "toolConfig",
    "guardrailConfig",
    "projectIdentifier",
    "additionalModelRequestFields",
    "promptVariables",
    "additionalModelResponseFieldPaths",
    "requestMetadata",
    "performanceConfig",
    "serviceTier",
    "outputConfig",
    "modelId",
];

type Members = Map<String, Value>;

/// Reads a request for this model, or says what is wrong with it.
pub(crate) fn read(model: &str, stream: bool, body: &[u8]) -> Checked<Ask> {
    let body: Value = serde_json::from_slice(body).map_err(|error| Fault::new(400, error.to_string()))?;
    let fields = only(&body, "", &FIELDS)?;
    let mut ask =
        Ask { model: model.to_owned(), stream, stream_usage: true, parallel: true, answers: 1, ..Ask::default() };
    for block in list(fields, "system", "")? {
        if let Some(text) = block.get("text").and_then(Value::as_str) {
            said(text, "system")?;
            ask.system += text;
        }
    }
    let turns = list(fields, "messages", "")?;
    if turns.is_empty() {
        return Err(Fault::new(400, "A conversation must start with a user message. Try again with one."));
    }
    for (at, turn) in turns.iter().enumerate() {
        let turn = self::turn(turn, &format!("messages.{at}"))?;
        if ask.turns.last().map_or(!turn.user, |before| before.user == turn.user) {
            return Err(Fault::new(400, "A conversation must alternate between user and assistant roles."));
        }
        ask.turns.push(turn);
    }
    tools(fields, &mut ask)?;
    settings(fields, &mut ask)?;
    let of = |key: &str| fields.get(key).map_or(0, |value| tokens::count(&value.to_string()));
    ask.input_tokens = of("messages") + of("system") + of("toolConfig");
    ask.beginnings = cached(fields);
    Ok(ask)
}

/// The beginning that ends with a point of the prompt cache in the instructions.
fn cached(fields: &Members) -> Vec<Beginning> {
    let system = fields.get("system").map(Value::to_string).filter(|text| text.contains("cachePoint"));
    let known = system.map(|text| Beginning { hash: fnv(text.as_bytes()), tokens: tokens::count(&text) });
    known.into_iter().collect()
}

fn turn(value: &Value, path: &str) -> Checked<Turn> {
    let turn = only(value, path, &["role", "content"])?;
    let user = match turn.get("role").and_then(Value::as_str) {
        Some("user") => true,
        Some("assistant") => false,
        _ => return Err(wrong(&format!("{path}.role"), "Member must satisfy enum value set: [user, assistant]")),
    };
    let content = list(turn, "content", path)?;
    if content.is_empty() {
        return Err(wrong(path, "The content field in the Message object is empty. Add a ContentBlock object"));
    }
    let mut parts = Vec::new();
    for (at, block) in content.iter().enumerate() {
        parts.extend(part(block, &format!("{path}.content.{at}"))?);
    }
    Ok(Turn { user, parts })
}

fn part(block: &Value, path: &str) -> Checked<Option<Part>> {
    const BLOCKS: [&str; 9] = [
        "text",
        "image",
        "document",
        "audio",
        "toolUse",
        "toolResult",
        "cachePoint",
        "reasoningContent",
        "guardContent",
    ];
    let block = only(block, path, &BLOCKS)?;
    let Some((name, value)) = block.iter().next().filter(|_| block.len() == 1) else {
        return Err(wrong(path, "exactly one member of the union must be set"));
    };
    let path = format!("{path}.{name}");
    Ok(Some(match name.as_str() {
        "text" => {
            let text = value.as_str().ok_or_else(|| wrong(&path, "must be a string"))?;
            said(text, &path)?;
            Part::Text(text.to_owned())
        }
        "image" | "document" | "audio" => {
            let format = text(value, "format", &path)?;
            let data = value.pointer("/source/bytes").and_then(Value::as_str).unwrap_or_default();
            let bytes = base64_bytes(data).ok_or_else(|| wrong(&path, "source.bytes must be base64"))?;
            if name == "document" {
                text(value, "name", &path)?;
            }
            let kind = if name == "image" { "image/" } else { "" };
            Part::Media(format!("an {kind}{format} {name} of {bytes} bytes"))
        }
        "toolUse" => {
            text(value, "name", &path)?;
            if !value.get("input").is_some_and(Value::is_object) {
                return Err(wrong(&path, "input must be an object"));
            }
            Part::Call { id: text(value, "toolUseId", &path)? }
        }
        "toolResult" => {
            let object = only(value, &path, &["toolUseId", "content", "status", "type"])?;
            let pieces = list(object, "content", &path)?;
            let told = |piece: &Value| match (piece.get("text"), piece.get("json")) {
                (Some(text), _) => text.as_str().map(str::to_owned),
                (None, json) => json.map(Value::to_string),
            };
            let text_of = pieces.iter().filter_map(told).collect::<Vec<_>>().join("\n");
            let failed = object.get("status").and_then(Value::as_str) == Some("error");
            Part::Result { id: text(value, "toolUseId", &path)?, text: text_of, failed }
        }
        "reasoningContent" => Part::Thought,
        _ => return Ok(None),
    }))
}

/// Blank texts are refused.
fn said(text: &str, path: &str) -> Checked<()> {
    if text.trim().is_empty() {
        return Err(Fault::new(400, format!("The text field in the ContentBlock object at {path} is blank.")));
    }
    Ok(())
}

fn tools(fields: &Members, ask: &mut Ask) -> Checked<()> {
    let called = |part: &Part| matches!(part, Part::Call { .. } | Part::Result { .. });
    let Some(config) = fields.get("toolConfig") else {
        if ask.turns.iter().any(|turn| turn.parts.iter().any(called)) {
            let why = "The toolConfig field must be defined when using toolUse and toolResult content blocks.";
            return Err(Fault::new(400, why));
        }
        return Ok(());
    };
    let config = only(config, "toolConfig", &["tools", "toolChoice"])?;
    for (at, tool) in list(config, "tools", "toolConfig")?.iter().enumerate() {
        let path = format!("toolConfig.tools.{at}");
        let Some(spec) = only(tool, &path, &["toolSpec", "systemTool", "cachePoint"])?.get("toolSpec") else {
            continue;
        };
        only(spec, &path, &["name", "description", "inputSchema", "strict"])?;
        let schema = spec.pointer("/inputSchema/json").cloned().unwrap_or_default();
        if schema.get("type") != Some(&json!("object")) {
            return Err(wrong(&path, "The value at inputSchema.json.type must be one of the following: object."));
        }
        ask.tools.push(Tool { name: text(spec, "name", &path)?, schema });
    }
    ask.choice = match config.get("toolChoice") {
        Some(choice) if choice.get("any").is_some() => Choice::Required,
        Some(choice) => match choice.get("tool") {
            Some(tool) => Choice::Named(text(tool, "name", "toolConfig.toolChoice.tool")?),
            None => Choice::Auto,
        },
        None => Choice::Auto,
    };
    Ok(())
}

fn settings(fields: &Members, ask: &mut Ask) -> Checked<()> {
    if let Some(config) = fields.get("inferenceConfig") {
        let config = only(config, "inferenceConfig", &["maxTokens", "temperature", "topP", "stopSequences"])?;
        ask.max_tokens = config.get("maxTokens").and_then(Value::as_u64);
        for name in ["temperature", "topP"] {
            let value = config.get(name).and_then(Value::as_f64);
            if value.is_some_and(|value| !(0.0..=1.0).contains(&value)) {
                return Err(wrong(&format!("inferenceConfig.{name}"), "Member must be between 0 and 1"));
            }
        }
        let stops = list(config, "stopSequences", "inferenceConfig")?;
        ask.stop = stops.iter().filter_map(Value::as_str).map(str::to_owned).collect();
    }
    if let Some(more) = fields.get("additionalModelRequestFields") {
        let thinks = more.pointer("/thinking/type").is_some_and(|kind| kind == "enabled");
        if thinks || more.get("reasoning_effort").is_some() || more.get("reasoningConfig").is_some() {
            ask.thinking = Thinking::Shown;
        }
    }
    if let Some(schema) = fields
        .get("outputConfig")
        .and_then(|config| config.pointer("/textFormat/structure/jsonSchema/schema").and_then(Value::as_str))
    {
        let read = serde_json::from_str(schema);
        ask.format = Format::Schema(read.map_err(|_| wrong("outputConfig", "the schema must be JSON in a string"))?);
    }
    Ok(())
}

fn wrong(path: &str, what: &str) -> Box<Fault> {
    Fault::new(400, format!("1 validation error detected: Value at '{path}' failed to satisfy constraint: {what}"))
}

fn only<'v>(value: &'v Value, path: &str, known: &[&str]) -> Checked<&'v Members> {
    let fields = value.as_object().ok_or_else(|| wrong(path, "must be an object"))?;
    match fields.keys().find(|name| !known.contains(&name.as_str())) {
        Some(name) => Err(Fault::new(400, format!("{path}: extraneous key [{name}] is not permitted"))),
        None => Ok(fields),
    }
}

fn list<'v>(fields: &'v Members, name: &str, path: &str) -> Checked<&'v [Value]> {
    match fields.get(name) {
        None => Ok(&[]),
        Some(Value::Array(list)) => Ok(list),
        Some(_) => Err(wrong(&format!("{path}.{name}"), "must be a list")),
    }
}

fn text(value: &Value, name: &str, path: &str) -> Checked<String> {
    let text = value.get(name).and_then(Value::as_str).filter(|text| !text.is_empty());
    text.map(str::to_owned).ok_or_else(|| wrong(&format!("{path}.{name}"), "Member must not be null"))
}
