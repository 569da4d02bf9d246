//! Reading a Gemini request as Google does, complaints included.

use serde_json::{Map, Value};

use super::content::{contents, system};
use super::field::{Fields, invalid, list, number, object, text};
use crate::ask::{Ask, Beginning, Choice, Format, Thinking, Tool};
use crate::digest::{fnv, fnv_on};
use crate::fault::Fault;
use crate::tokens;

const FIELDS: [&str; 10] = [
    "contents",
    "systemInstruction",
    "tools",
    "toolConfig",
    "generationConfig",
    "safetySettings",
    "cachedContent",
    "labels",
    "serviceTier",
    "model",
];

const CONFIG: [&str; 22] = [
    "temperature",
    "topP",
    "topK",
    "maxOutputTokens",
    "candidateCount",
    "stopSequences",
    "seed",
    "presencePenalty",
    "frequencyPenalty",
    "responseMimeType",
    "responseSchema",
    "responseJsonSchema",
    "responseFormat",
    "responseModalities",
    "responseLogprobs",
    "logprobs",
    "thinkingConfig",
    "speechConfig",
    "mediaResolution",
    "imageConfig",
    "enableEnhancedCivicAnswers",
    "audioTimestamp",
];

/// Thoughts that are counted where nobody asks to be told them.
const COUNTED: u64 = 16;

/// Reads a request for this model, or says what is wrong with it.
pub(crate) fn read(model: &str, stream: bool, body: &[u8]) -> Result<Ask, Box<Fault>> {
    understood(model, stream, &json(body)?)
}

/// Reads what tokens are to be counted of: a conversation, or a whole request.
pub(crate) fn read_count(model: &str, body: &[u8]) -> Result<Ask, Box<Fault>> {
    let fields = object(&json(body)?, "", &["contents", "generateContentRequest"])?;
    match fields.get("generateContentRequest") {
        Some(request) => {
            let named = request.get("model").and_then(Value::as_str);
            if named != Some(&format!("models/{model}")) {
                return Err(Fault::new(
                    400,
                    "* CountTokensRequest.generate_content_request.model: must be the model of the path\n",
                ));
            }
            understood(model, false, request)
        }
        None => understood(model, false, &Value::Object(fields)),
    }
}

fn json(body: &[u8]) -> Result<Value, Box<Fault>> {
    serde_json::from_slice(body).map_err(|error| invalid("", &error.to_string()))
}

fn understood(model: &str, stream: bool, body: &Value) -> Result<Ask, Box<Fault>> {
    let fields = object(body, "", &FIELDS)?;
    let mut ask =
        Ask { model: model.to_owned(), stream, stream_usage: true, parallel: true, answers: 1, ..Ask::default() };
    contents(list(&fields, "contents", "")?, &mut ask)?;
    if let Some(value) = fields.get("systemInstruction") {
        system(value, &mut ask)?;
    }
    tools(&fields, &mut ask)?;
    choice(&fields, &mut ask)?;
    if let Some(value) = fields.get("generationConfig") {
        config(&object(value, "generation_config", &CONFIG)?, &mut ask)?;
    }
    let of = |key: &str| fields.get(key).map_or(0, |value| tokens::count(&value.to_string()));
    ask.input_tokens = of("contents") + of("systemInstruction") + of("tools");
    ask.beginnings = beginnings(&fields);
    Ok(ask)
}

fn tools(fields: &Fields, ask: &mut Ask) -> Result<(), Box<Fault>> {
    const KNOWN: [&str; 6] =
        ["functionDeclarations", "googleSearch", "codeExecution", "urlContext", "fileSearch", "computerUse"];
    const FUNCTION: [&str; 7] =
        ["name", "description", "parameters", "parametersJsonSchema", "response", "responseJsonSchema", "behavior"];
    for (at, tool) in list(fields, "tools", "")?.iter().enumerate() {
        let path = format!("tools[{at}]");
        let tool = object(tool, &path, &KNOWN)?;
        for (at, function) in list(&tool, "functionDeclarations", &path)?.iter().enumerate() {
            let path = format!("{path}.function_declarations[{at}]");
            let function = object(function, &path, &FUNCTION)?;
            let name = text(&function, "name", &path)?.unwrap_or_default();
            let good = |letter: char| letter.is_ascii_alphanumeric() || "_.:-".contains(letter);
            let begins = name.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_');
            if !begins || name.len() > 64 || !name.chars().all(good) {
                let message = format!(
                    "* GenerateContentRequest.{path}.name: Invalid function name. Must start with a letter or an underscore. Must be alphanumeric (a-z, A-Z, 0-9), underscores (_), dots (.), colons (:), or dashes (-), with a maximum length of 64.\n"
                );
                return Err(Fault::new(400, message).at(path));
            }
            let schema = match (function.get("parametersJsonSchema"), function.get("parameters")) {
                (Some(schema), _) => schema.clone(),
                (None, Some(schema)) => plain(schema),
                (None, None) => Value::Object(Map::new()),
            };
            ask.tools.push(Tool { name: name.to_owned(), schema });
        }
    }
    Ok(())
}

/// OpenAPI's words, of which this model understands types alone in another form.
fn plain(schema: &Value) -> Value {
    match schema {
        Value::Object(members) => Value::Object(
            members
                .iter()
                .map(|(name, value)| match (name.as_str(), value) {
                    ("type", Value::String(kind)) => (name.clone(), Value::String(kind.to_ascii_lowercase())),
                    _ => (name.clone(), plain(value)),
                })
                .collect(),
        ),
        Value::Array(list) => list.iter().map(plain).collect(),
        other => other.clone(),
    }
}

fn choice(fields: &Fields, ask: &mut Ask) -> Result<(), Box<Fault>> {
    let Some(config) = fields.get("toolConfig") else { return Ok(()) };
    let known = ["functionCallingConfig", "retrievalConfig", "includeServerSideToolInvocations"];
    let config = object(config, "tool_config", &known)?;
    let Some(calling) = config.get("functionCallingConfig") else { return Ok(()) };
    let path = "tool_config.function_calling_config";
    let calling = object(calling, path, &["mode", "allowedFunctionNames", "streamFunctionCallArguments"])?;
    let allowed = list(&calling, "allowedFunctionNames", path)?;
    let names: Vec<&str> = allowed.iter().filter_map(Value::as_str).collect();
    if let Some(unknown) = names.iter().find(|name| !ask.tools.iter().any(|tool| tool.name == **name)) {
        let message = format!(
            "* GenerateContentRequest.{path}: allowed_function_names contains `{unknown}`, which is not declared.\n"
        );
        return Err(Fault::new(400, message).at(path));
    }
    ask.choice = match (text(&calling, "mode", path)?.unwrap_or("AUTO"), names.as_slice()) {
        ("NONE", _) => Choice::None,
        ("ANY", [name]) => Choice::Named((*name).to_owned()),
        ("ANY", _) => Choice::Required,
        ("AUTO", [_, ..]) => {
            let message =
                format!("* GenerateContentRequest.{path}: Function calling config is set without mode ANY.\n");
            return Err(Fault::new(400, message).at(path));
        }
        ("AUTO" | "VALIDATED" | "MODE_UNSPECIFIED", _) => Choice::Auto,
        (other, _) => return Err(invalid(path, &format!("Invalid value \"{other}\""))),
    };
    Ok(())
}

fn config(config: &Fields, ask: &mut Ask) -> Result<(), Box<Fault>> {
    number(config, "temperature", 0.0, 2.0)?;
    number(config, "topP", 0.0, 1.0)?;
    number(config, "presencePenalty", -2.0, 2.0)?;
    number(config, "frequencyPenalty", -2.0, 2.0)?;
    number(config, "seed", f64::from(i32::MIN), f64::from(i32::MAX))?;
    ask.max_tokens = number(config, "maxOutputTokens", 1.0, 65_536.0)?.map(|most| most as u64);
    ask.answers = number(config, "candidateCount", 1.0, 8.0)?.map_or(1, |count| count as u32);
    let stops = list(config, "stopSequences", "generation_config")?;
    if stops.len() > 5 {
        return Err(Fault::new(400, "* GenerateContentRequest.generation_config.stop_sequences: at most 5.\n"));
    }
    ask.stop = stops.iter().filter_map(Value::as_str).map(str::to_owned).collect();
    let schema = config.get("responseJsonSchema").cloned().or_else(|| config.get("responseSchema").map(plain));
    ask.format = match (text(config, "responseMimeType", "generation_config")?, schema) {
        (None | Some("text/plain"), None) => Format::Text,
        (Some("application/json"), None) => Format::Json,
        (Some("application/json"), Some(schema)) => Format::Schema(schema),
        (_, Some(_)) => {
            let message = "Function calling or a response schema needs the response mime type 'application/json'.";
            return Err(Fault::new(400, message));
        }
        (Some(other), None) => {
            return Err(Fault::new(
                400,
                format!(
                    "* GenerateContentRequest.generation_config.response_mime_type: allowed mimetypes are `text/plain`, `application/json`, not `{other}`.\n"
                ),
            ));
        }
    };
    if let Some(thinking) = config.get("thinkingConfig") {
        let path = "generation_config.thinking_config";
        let thinking = object(thinking, path, &["includeThoughts", "thinkingBudget", "thinkingLevel"])?;
        if thinking.contains_key("thinkingBudget") && thinking.contains_key("thinkingLevel") {
            return Err(Fault::new(400, "You can only set only one of thinking budget and thinking level.").at(path));
        }
        let off = thinking.get("thinkingBudget").and_then(Value::as_i64) == Some(0);
        ask.thinking = match thinking.get("includeThoughts") {
            _ if off => Thinking::Off,
            Some(Value::Bool(true)) => Thinking::Shown,
            _ => Thinking::Counted(COUNTED),
        };
    }
    Ok(())
}

/// The beginnings that the prompt cache knows by itself: from 1 024 tokens on, every 256.
fn beginnings(fields: &Fields) -> Vec<Beginning> {
    let prompt: String = ["systemInstruction", "tools", "contents"]
        .iter()
        .filter_map(|key| fields.get(*key))
        .map(Value::to_string)
        .collect();
    let mut hash = fnv(b"gemini");
    let mut found = Vec::new();
    for (at, block) in prompt.as_bytes().chunks_exact(1024).enumerate() {
        hash = fnv_on(hash, block);
        let tokens = (at as u64 + 1) * 256;
        if tokens >= 1_024 {
            found.push(Beginning { hash, tokens });
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn complaints_are_googles() {
        let hi = json!([{ "role": "user", "parts": [{ "text": "hi" }] }]);
        let call = json!({ "role": "model", "parts": [{ "functionCall": { "name": "f", "args": {} } }] });
        let signed = |signature: &str| json!([hi[0], { "role": "model", "parts": [{ "text": "x", "thoughtSignature": signature }] }, hi[0]]);
        for (body, said) in [
            (json!({}), "contents is not specified"),
            (json!({ "contents": hi, "messages": [] }), "Unknown name \"messages\""),
            (json!({ "contents": [{ "role": "system", "parts": [{ "text": "x" }] }] }), "valid role"),
            (json!({ "contents": [{ "role": "user", "parts": [] }] }), "must not be empty"),
            (json!({ "contents": [hi[0], call, hi[0]] }), "number of function response parts"),
            (json!({ "contents": [call] }), "immediately after a user turn"),
            (json!({ "contents": signed("bm9uc2Vuc2U=") }), "signature is not valid"),
            (json!({ "contents": hi, "generationConfig": { "temperature": 3 } }), "range [0, 2]"),
            (json!({ "contents": hi, "generation_config": { "max_output_tokens": 0 } }), "maxOutputTokens"),
            (
                json!({ "contents": hi, "tools": [{ "functionDeclarations": [{ "name": "a b" }] }] }),
                "Invalid function name",
            ),
        ] {
            let fault = read("m", false, body.to_string().as_bytes()).expect_err(&body.to_string());
            assert!(fault.message.contains(said), "{body}: {}", fault.message);
        }
        let signature = crate::digest::sign("x");
        assert!(read("m", false, json!({ "contents": signed(&signature) }).to_string().as_bytes()).is_ok());
    }
}
