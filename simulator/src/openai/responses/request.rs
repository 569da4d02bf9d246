//! Reading a Responses request as the vendor does, complaints included.

use serde_json::{Map, Value};

use super::items::items;
use crate::ask::{Ask, Beginning, Choice, Format, Thinking, Tool, Turn};
use crate::digest::{fnv, fnv_on};
use crate::fault::{Checked, Fault};
use crate::openai::field::{boolean, decimal, integer, list, missing, object, present, string, wrong_type, wrong_word};
use crate::tokens;

/// The top-level fields of Responses.
const FIELDS: [&str; 33] = [
    "background",
    "client_metadata",
    "context_management",
    "conversation",
    "include",
    "input",
    "instructions",
    "max_output_tokens",
    "max_tool_calls",
    "metadata",
    "model",
    "moderation",
    "parallel_tool_calls",
    "previous_response_id",
    "prompt",
    "prompt_cache_key",
    "prompt_cache_options",
    "prompt_cache_retention",
    "reasoning",
    "safety_identifier",
    "service_tier",
    "store",
    "stream",
    "stream_options",
    "temperature",
    "text",
    "tool_choice",
    "tools",
    "top_logprobs",
    "top_p",
    "truncation",
    "user",
    "verbosity",
];

/// The fields of a request that its answer repeats, each with what stands there when the request does not say it.
const REPEATED: [(&str, &str); 17] = [
    ("instructions", "null"),
    ("max_output_tokens", "null"),
    ("max_tool_calls", "null"),
    ("metadata", "{}"),
    ("parallel_tool_calls", "true"),
    ("previous_response_id", "null"),
    ("prompt_cache_key", "null"),
    ("safety_identifier", "null"),
    ("store", "true"),
    ("temperature", "1.0"),
    ("text", r#"{"format":{"type":"text"},"verbosity":"medium"}"#),
    ("tool_choice", r#""auto""#),
    ("tools", "[]"),
    ("top_logprobs", "0"),
    ("top_p", "1.0"),
    ("truncation", r#""disabled""#),
    ("user", "null"),
];

/// Reads a request, or says what is wrong with it.
pub(crate) fn read(body: &[u8]) -> Checked<Ask> {
    let value: Value = serde_json::from_slice(body).map_err(|error| {
        Fault::new(400, format!("We could not parse the JSON body of your request. The parser said: {error}"))
    })?;
    let fields = value.as_object().ok_or_else(|| Fault::new(400, "The JSON body of your request is not an object."))?;
    let model = string(fields, "model", "model")?;
    if let Some(unknown) = fields.keys().find(|key| !FIELDS.contains(&key.as_str())) {
        return Err(Fault::new(400, format!("Unknown parameter: '{unknown}'.")).at(unknown).coded("unknown_parameter"));
    }
    let mut ask = Ask { model: model.to_owned(), answers: 1, stream_usage: true, ..Ask::default() };
    if let Some(text) = present(fields, "instructions") {
        ask.system = text.as_str().ok_or_else(|| wrong_type("instructions", "a string", text))?.to_owned();
    }
    match present(fields, "input") {
        None => return Err(missing("input")),
        Some(Value::String(text)) => {
            ask.turns.push(Turn { user: true, parts: vec![crate::ask::Part::Text(text.clone())] });
        }
        Some(Value::Array(list)) => items(list, &mut ask)?,
        Some(other) => return Err(wrong_type("input", "one of a string or array of input items", other)),
    }
    tools(fields, &mut ask)?;
    settings(fields, &mut ask)?;
    ask.input_tokens = ["instructions", "input", "tools", "text"]
        .iter()
        .map(|key| fields.get(*key).map_or(0, |value| tokens::count(&value.to_string())))
        .sum();
    ask.beginnings = beginnings(fields);
    ask.repeated = repeated(fields);
    Ok(ask)
}

fn settings(fields: &Map<String, Value>, ask: &mut Ask) -> Checked<()> {
    ask.max_tokens = integer(fields, "max_output_tokens", 16, u64::MAX)?;
    decimal(fields, "temperature", 0.0, 2.0)?;
    decimal(fields, "top_p", 0.0, 1.0)?;
    ask.stream = boolean(fields, "stream")?.unwrap_or(false);
    boolean(fields, "store")?;
    boolean(fields, "background")?;
    if let Some(value) = present(fields, "reasoning") {
        let reasoning = value.as_object().ok_or_else(|| wrong_type("reasoning", "an object", value))?;
        let tokens = match present(reasoning, "effort").and_then(Value::as_str) {
            None | Some("none") => None,
            Some("minimal") => Some(8),
            Some("low") => Some(16),
            Some("medium") => Some(64),
            Some("high") => Some(128),
            Some("xhigh") => Some(256),
            Some(word) => {
                let known = "'none', 'minimal', 'low', 'medium', 'high', and 'xhigh'";
                return Err(wrong_word("reasoning.effort", word, known));
            }
        };
        ask.thinking = match tokens {
            None => Thinking::Off,
            Some(_) if present(reasoning, "summary").is_some() => Thinking::Shown,
            Some(tokens) => Thinking::Counted(tokens),
        };
    }
    format(fields, ask)
}

fn format(fields: &Map<String, Value>, ask: &mut Ask) -> Checked<()> {
    let Some(value) = present(fields, "text") else { return Ok(()) };
    let text = value.as_object().ok_or_else(|| wrong_type("text", "an object", value))?;
    if present(text, "format").is_none() {
        return Ok(());
    }
    let format = object(text, "format", "text.format")?;
    ask.format = match string(format, "type", "text.format.type")? {
        "text" => Format::Text,
        "json_object" => Format::Json,
        "json_schema" => {
            let name = string(format, "name", "text.format.name")?;
            let schema = object(format, "schema", "text.format.schema")?;
            let schema = Value::Object(schema.clone());
            // Strict is what a schema is when nothing else is said.
            if boolean(format, "strict")? != Some(false) {
                let complaint = format!("Invalid schema for response_format '{name}'");
                crate::openai::request::strict(&schema, &complaint, "text.format.schema")?;
            }
            Format::Schema(schema)
        }
        other => return Err(wrong_word("text.format.type", other, "'text', 'json_object', and 'json_schema'")),
    };
    Ok(())
}

fn tools(fields: &Map<String, Value>, ask: &mut Ask) -> Checked<()> {
    for (at, tool) in list(fields, "tools", "tools")?.into_iter().flatten().enumerate() {
        let param = format!("tools[{at}]");
        let tool = tool.as_object().ok_or_else(|| wrong_type(&param, "an object", tool))?;
        match string(tool, "type", &format!("{param}.type"))? {
            "function" => ask.tools.push(function(tool, &param)?),
            "custom" => {
                let name = string(tool, "name", &format!("{param}.name"))?.to_owned();
                let schema = serde_json::json!({"type": "object", "properties": {"input": {"type": "string"}}});
                ask.custom.push(name.clone());
                ask.tools.push(Tool { name, schema });
            }
            // Tools that the vendor runs itself are never called here.
            "web_search" | "web_search_preview" | "file_search" | "code_interpreter" | "image_generation" | "mcp"
            | "local_shell" | "shell" | "apply_patch" | "namespace" | "tool_search" => {}
            other => return Err(wrong_word(&format!("{param}.type"), other, "'function', 'custom', and 'web_search'")),
        }
    }
    ask.parallel = boolean(fields, "parallel_tool_calls")?.unwrap_or(true);
    ask.choice = match present(fields, "tool_choice") {
        None => Choice::Auto,
        Some(Value::String(word)) => match word.as_str() {
            "auto" => Choice::Auto,
            "none" => Choice::None,
            "required" => Choice::Required,
            other => return Err(wrong_word("tool_choice", other, "'none', 'auto', and 'required'")),
        },
        Some(Value::Object(choice)) => {
            let name = string(choice, "name", "tool_choice.name")?;
            if !ask.tools.iter().any(|tool| tool.name == name) {
                let message = format!("Tool choice '{name}' not found in 'tools' parameter.");
                return Err(Fault::new(400, message).at("tool_choice"));
            }
            Choice::Named(name.to_owned())
        }
        Some(other) => return Err(wrong_type("tool_choice", "one of a string or an object", other)),
    };
    Ok(())
}

fn function(tool: &Map<String, Value>, param: &str) -> Checked<Tool> {
    let name = string(tool, "name", &format!("{param}.name"))?;
    let good = |letter: char| letter.is_ascii_alphanumeric() || letter == '_' || letter == '-';
    if name.is_empty() || name.len() > 64 || !name.chars().all(good) {
        let param = format!("{param}.name");
        let message = format!(
            "Invalid '{param}': string does not match pattern. Expected a string that matches the pattern '^[a-zA-Z0-9_-]+$'."
        );
        return Err(Fault::new(400, message).at(param).coded("invalid_value"));
    }
    let schema = present(tool, "parameters").cloned().unwrap_or_else(|| Value::Object(Map::new()));
    if boolean(tool, "strict")? == Some(true) {
        let complaint = format!("Invalid schema for function '{name}'");
        crate::openai::request::strict(&schema, &complaint, &format!("{param}.parameters"))?;
    }
    Ok(Tool { name: name.to_owned(), schema })
}

/// The beginnings that OpenAI's prompt cache knows by itself: from 1 024 tokens on, every 128.
fn beginnings(fields: &Map<String, Value>) -> Vec<Beginning> {
    let keys = ["model", "tools", "instructions", "input"];
    let prompt: String = keys.iter().filter_map(|key| fields.get(*key)).map(Value::to_string).collect();
    let mut found = Vec::new();
    let mut hash = fnv(b"openai responses");
    for (at, block) in prompt.as_bytes().chunks_exact(512).enumerate() {
        hash = fnv_on(hash, block);
        let tokens = (at as u64 + 1) * 128;
        if tokens >= 1_024 {
            found.push(Beginning { hash, tokens });
        }
    }
    found
}

fn repeated(fields: &Map<String, Value>) -> Map<String, Value> {
    let said = |(name, unsaid): &(&str, &str)| {
        let value = present(fields, name).cloned();
        ((*name).to_owned(), value.unwrap_or_else(|| serde_json::from_str(unsaid).unwrap_or(Value::Null)))
    };
    REPEATED.iter().map(said).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn complaints_name_the_field() {
        let call = json!({ "type": "function_call", "call_id": "c1", "name": "f", "arguments": "{}" });
        let result = |id: &str| json!({ "type": "function_call_output", "call_id": id, "output": "x" });
        for (fields, param, said) in [
            (json!({ "input": null }), Some("input"), "Missing required parameter"),
            (json!({ "messages": [] }), Some("messages"), "Unknown parameter"),
            (json!({ "input": [result("c2")] }), Some("input"), "No tool call found"),
            (json!({ "input": [call] }), Some("input"), "No tool output found"),
            (
                json!({ "input": [{ "role": "user", "content": [{ "type": "text", "text": "x" }] }] }),
                Some("input[0].content[0]"),
                "input_text",
            ),
            (
                json!({ "input": [{ "type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "zz" }] }),
                None,
                "could not be verified",
            ),
            (json!({ "max_output_tokens": 1 }), Some("max_output_tokens"), "below minimum"),
            (json!({ "reasoning": { "effort": "much" } }), Some("reasoning.effort"), "'much'"),
            (
                json!({ "tools": [{ "type": "function", "function": { "name": "f" } }] }),
                Some("tools[0].name"),
                "Missing",
            ),
        ] {
            let mut body = json!({ "model": "m", "input": "hi" });
            body.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
            let fault = read(body.to_string().as_bytes()).expect_err(&fields.to_string());
            assert_eq!((fault.status, fault.param.as_deref()), (400, param), "{}", fault.message);
            assert!(fault.message.contains(said), "{}", fault.message);
        }
        let kept = json!({ "model": "m", "input": [{ "type": "item_reference", "id": "msg_1" }] });
        let fault = read(kept.to_string().as_bytes()).unwrap_err();
        assert_eq!((fault.status, fault.param.as_deref()), (404, Some("input")), "{}", fault.message);
        let good = json!({ "model": "m", "input": [{ "role": "user", "content": "hi" }, call, result("c1")] });
        assert!(read(good.to_string().as_bytes()).is_ok());
    }
}
