//! Reading an OpenAI request as the vendor does, complaints included.

use serde_json::{Map, Value};

use super::content::{empty_array, messages};
use super::field::{boolean, decimal, integer, list, missing, object, present, string, wrong_type, wrong_word};
use crate::ask::{Ask, Beginning, Choice, Format, Thinking, Tool};
use crate::digest::{fnv, fnv_on};
use crate::fault::Fault;
use crate::tokens;

/// The top-level fields of Chat Completions.
const FIELDS: [&str; 39] = [
    "messages",
    "model",
    "audio",
    "frequency_penalty",
    "function_call",
    "functions",
    "logit_bias",
    "logprobs",
    "max_completion_tokens",
    "max_tokens",
    "metadata",
    "modalities",
    "n",
    "parallel_tool_calls",
    "prediction",
    "presence_penalty",
    "prompt_cache_key",
    "prompt_cache_retention",
    "prompt_cache_options",
    "reasoning_effort",
    "response_format",
    "safety_identifier",
    "seed",
    "service_tier",
    "stop",
    "store",
    "stream",
    "stream_options",
    "temperature",
    "tool_choice",
    "tools",
    "top_logprobs",
    "top_p",
    "user",
    "verbosity",
    "web_search_options",
    "moderation",
    "truncation",
    "include",
];

/// Reads a request, or says what is wrong with it.
pub(crate) fn read(body: &[u8]) -> Result<Ask, Box<Fault>> {
    let value: Value = serde_json::from_slice(body).map_err(|error| {
        Fault::new(400, format!("We could not parse the JSON body of your request. The parser said: {error}"))
    })?;
    let fields = value.as_object().ok_or_else(|| Fault::new(400, "The JSON body of your request is not an object."))?;
    let model = match present(fields, "model") {
        None => return Err(Fault::new(400, "you must provide a model parameter")),
        Some(value) => value.as_str().ok_or_else(|| wrong_type("model", "a string", value))?,
    };
    if let Some(unknown) = fields.keys().find(|key| !FIELDS.contains(&key.as_str())) {
        return Err(Fault::new(400, format!("Unknown parameter: '{unknown}'.")).at(unknown).coded("unknown_parameter"));
    }
    let conversation = list(fields, "messages", "messages")?.ok_or_else(|| missing("messages"))?;
    if conversation.is_empty() {
        return Err(empty_array("messages", 1));
    }
    let mut ask = Ask { model: model.to_owned(), ..Ask::default() };
    messages(conversation, &mut ask)?;
    tools(fields, &mut ask)?;
    limits(fields, &mut ask)?;
    streaming(fields, &mut ask)?;
    format(fields, conversation, &mut ask)?;
    ask.input_tokens = prompt_tokens(fields);
    ask.beginnings = beginnings(fields);
    Ok(ask)
}

fn limits(fields: &Map<String, Value>, ask: &mut Ask) -> Result<(), Box<Fault>> {
    let old = integer(fields, "max_tokens", 1, u64::MAX)?;
    let new = integer(fields, "max_completion_tokens", 1, u64::MAX)?;
    if old.is_some() && new.is_some() {
        let message = "Setting 'max_tokens' and 'max_completion_tokens' at the same time is not supported.";
        return Err(Fault::new(400, message).coded("invalid_parameter_combination"));
    }
    let reasons = ["o1", "o3", "o4", "gpt-5"].iter().any(|family| ask.model.starts_with(family));
    if reasons && old.is_some() {
        let message = "Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens' instead.";
        return Err(Fault::new(400, message).at("max_tokens").coded("unsupported_parameter"));
    }
    ask.max_tokens = new.or(old);
    decimal(fields, "temperature", 0.0, 2.0)?;
    decimal(fields, "top_p", 0.0, 1.0)?;
    decimal(fields, "frequency_penalty", -2.0, 2.0)?;
    decimal(fields, "presence_penalty", -2.0, 2.0)?;
    let answers = integer(fields, "n", 1, 128)?.unwrap_or(1);
    ask.answers = u32::try_from(answers).unwrap_or(1);
    ask.stop = match present(fields, "stop") {
        None => Vec::new(),
        Some(Value::String(stop)) => vec![stop.clone()],
        Some(Value::Array(stops)) if stops.len() > 4 => {
            let message = "Invalid 'stop': array too long. Expected an array with maximum length 4.";
            return Err(Fault::new(400, message).at("stop").coded("array_above_max_length"));
        }
        Some(Value::Array(stops)) => {
            let texts = stops.iter().map(|stop| stop.as_str().map(str::to_owned));
            let wrong = || wrong_type("stop", "one of a string or array of strings", &Value::Array(stops.clone()));
            texts.collect::<Option<_>>().ok_or_else(wrong)?
        }
        Some(other) => return Err(wrong_type("stop", "one of a string or array of strings", other)),
    };
    ask.thinking = match present(fields, "reasoning_effort").map(|value| (value, value.as_str())) {
        None | Some((_, Some("none"))) => Thinking::Off,
        Some((_, Some("minimal"))) => Thinking::Counted(8),
        Some((_, Some("low"))) => Thinking::Counted(16),
        Some((_, Some("medium"))) => Thinking::Counted(64),
        Some((_, Some("high"))) => Thinking::Counted(128),
        Some((_, Some("xhigh" | "max"))) => Thinking::Counted(256),
        Some((_, Some(word))) => {
            let known = "'none', 'minimal', 'low', 'medium', 'high', and 'xhigh'";
            return Err(wrong_word("reasoning_effort", word, known));
        }
        Some((value, None)) => return Err(wrong_type("reasoning_effort", "a string", value)),
    };
    Ok(())
}

fn streaming(fields: &Map<String, Value>, ask: &mut Ask) -> Result<(), Box<Fault>> {
    ask.stream = boolean(fields, "stream")?.unwrap_or(false);
    let Some(options) = present(fields, "stream_options") else { return Ok(()) };
    if !ask.stream {
        let message = "The 'stream_options' parameter is only allowed when 'stream' is enabled.";
        return Err(Fault::new(400, message).at("stream_options"));
    }
    let options = options.as_object().ok_or_else(|| wrong_type("stream_options", "an object", options))?;
    ask.stream_usage = boolean(options, "include_usage")?.unwrap_or(false);
    Ok(())
}

fn tools(fields: &Map<String, Value>, ask: &mut Ask) -> Result<(), Box<Fault>> {
    let given = list(fields, "tools", "tools")?;
    if given.is_some_and(Vec::is_empty) {
        return Err(empty_array("tools", 1));
    }
    for (at, tool) in given.into_iter().flatten().enumerate() {
        let param = format!("tools[{at}]");
        let tool = tool.as_object().ok_or_else(|| wrong_type(&param, "an object", tool))?;
        let kind = string(tool, "type", &format!("{param}.type"))?;
        if kind != "function" {
            return Err(wrong_word(&format!("{param}.type"), kind, "'function' and 'custom'"));
        }
        let function = object(tool, "function", &format!("{param}.function"))?;
        let name = string(function, "name", &format!("{param}.function.name"))?;
        let good = |letter: char| letter.is_ascii_alphanumeric() || letter == '_' || letter == '-';
        if name.is_empty() || name.len() > 64 || !name.chars().all(good) {
            let param = format!("{param}.function.name");
            let message = format!(
                "Invalid '{param}': string does not match pattern. Expected a string that matches the pattern '^[a-zA-Z0-9_-]+$'."
            );
            return Err(Fault::new(400, message).at(param).coded("invalid_value"));
        }
        let schema = present(function, "parameters").cloned().unwrap_or_else(|| Value::Object(Map::new()));
        if !schema.is_object() {
            return Err(wrong_type(&format!("{param}.function.parameters"), "an object", &schema));
        }
        if boolean(function, "strict")? == Some(true) {
            strict(&schema, &format!("Invalid schema for function '{name}'"), &format!("{param}.function.parameters"))?;
        }
        ask.tools.push(Tool { name: name.to_owned(), schema });
    }
    ask.parallel = boolean(fields, "parallel_tool_calls")?.unwrap_or(true);
    for key in ["tool_choice", "parallel_tool_calls"] {
        if present(fields, key).is_some() && given.is_none() {
            let message = format!("Invalid value for '{key}': '{key}' is only allowed when 'tools' are specified.");
            return Err(Fault::new(400, message).at(key));
        }
    }
    choice(fields, ask)
}

fn choice(fields: &Map<String, Value>, ask: &mut Ask) -> Result<(), Box<Fault>> {
    ask.choice = match present(fields, "tool_choice") {
        None => Choice::Auto,
        Some(Value::String(word)) => match word.as_str() {
            "auto" => Choice::Auto,
            "none" => Choice::None,
            "required" => Choice::Required,
            other => return Err(wrong_word("tool_choice", other, "'none', 'auto', and 'required'")),
        },
        Some(Value::Object(choice)) => {
            let function = object(choice, "function", "tool_choice.function")?;
            let name = string(function, "name", "tool_choice.function.name")?;
            if !ask.tools.iter().any(|tool| tool.name == name) {
                let message = format!("Tool choice 'function' with name '{name}' not found in 'tools' parameter.");
                return Err(Fault::new(400, message).at("tool_choice"));
            }
            Choice::Named(name.to_owned())
        }
        Some(other) => return Err(wrong_type("tool_choice", "one of a string or an object", other)),
    };
    Ok(())
}

fn format(fields: &Map<String, Value>, conversation: &[Value], ask: &mut Ask) -> Result<(), Box<Fault>> {
    let Some(value) = present(fields, "response_format") else { return Ok(()) };
    let format = value.as_object().ok_or_else(|| wrong_type("response_format", "an object", value))?;
    ask.format = match string(format, "type", "response_format.type")? {
        "text" => Format::Text,
        "json_object" => {
            if !conversation.iter().any(|message| message.to_string().to_lowercase().contains("json")) {
                let message = "'messages' must contain the word 'json' in some form, to use 'response_format' of type 'json_object'.";
                return Err(Fault::new(400, message).at("messages"));
            }
            Format::Json
        }
        "json_schema" => {
            let json = object(format, "json_schema", "response_format.json_schema")?;
            let name = string(json, "name", "response_format.json_schema.name")?;
            let schema = present(json, "schema").cloned().unwrap_or_else(|| Value::Object(Map::new()));
            if boolean(json, "strict")? == Some(true) {
                strict(&schema, &format!("Invalid schema for response_format '{name}'"), "response_format")?;
            }
            Format::Schema(schema)
        }
        other => {
            return Err(wrong_word("response_format.type", other, "'json_object', 'json_schema', and 'text'"));
        }
    };
    Ok(())
}

/// The rule of strict schemas for every object: no other properties, and all of them required.
pub(super) fn strict(schema: &Value, complaint: &str, param: &str) -> Result<(), Box<Fault>> {
    let refuse = |what: &str| Err(Fault::new(400, format!("{complaint}: In context=(), {what}")).at(param));
    match schema {
        Value::Object(fields) => {
            if let Some(properties) = fields.get("properties").and_then(Value::as_object) {
                if fields.get("additionalProperties") != Some(&Value::Bool(false)) {
                    return refuse("'additionalProperties' is required to be supplied and to be false.");
                }
                let required = fields.get("required").and_then(Value::as_array);
                let all = properties.keys().all(|key| required.is_some_and(|keys| keys.iter().any(|k| k == key)));
                if !all {
                    return refuse(
                        "'required' is required to be supplied and to be an array including every key in properties.",
                    );
                }
            }
            fields.values().try_for_each(|inner| strict(inner, complaint, param))
        }
        Value::Array(items) => items.iter().try_for_each(|inner| strict(inner, complaint, param)),
        _ => Ok(()),
    }
}

/// The prompt's tokens: what is said and what may be called.
fn prompt_tokens(fields: &Map<String, Value>) -> u64 {
    let of = |key: &str| fields.get(key).map_or(0, |value| tokens::count(&value.to_string()));
    of("messages") + of("tools") + of("response_format")
}

/// The beginnings that OpenAI's prompt cache knows by itself: from 1 024 tokens on, every 128.
fn beginnings(fields: &Map<String, Value>) -> Vec<Beginning> {
    let prompt: String =
        ["model", "tools", "messages"].iter().filter_map(|key| fields.get(*key)).map(Value::to_string).collect();
    let mut found = Vec::new();
    let mut hash = fnv(b"openai");
    for (at, block) in prompt.as_bytes().chunks_exact(512).enumerate() {
        hash = fnv_on(hash, block);
        let tokens = (at as u64 + 1) * 128;
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

    /// The complaint about a good request with these fields laid over it: its field and message.
    fn complaint(fields: &Value) -> (Option<String>, String) {
        let mut body = json!({ "model": "m", "messages": [{ "role": "user", "content": "hi" }] });
        body.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
        let fault = read(body.to_string().as_bytes()).expect_err(&fields.to_string());
        assert_eq!(fault.status, 400);
        (fault.param.clone(), fault.message.clone())
    }

    #[test]
    fn complaints_name_the_field() {
        let call = json!({ "id": "c1", "type": "function", "function": { "name": "f", "arguments": "{}" } });
        let called = json!({ "role": "assistant", "tool_calls": [call] });
        let result = |id: &str| json!({ "role": "tool", "tool_call_id": id, "content": "x" });
        let open = json!({ "type": "object", "properties": { "a": {} }, "required": ["a"] });
        let format = json!({ "type": "json_schema", "json_schema": { "name": "n", "strict": true, "schema": open } });
        for (fields, param, said) in [
            (json!({ "messages": null }), "messages", "Missing required parameter"),
            (json!({ "messages": [{ "role": "user", "content": 5 }] }), "messages[0].content", "an integer"),
            (json!({ "messages": [{ "role": "user" }] }), "messages[0].content", "Missing"),
            (json!({ "messages": [called] }), "messages[0].role", "c1"),
            (json!({ "messages": [called, result("c2")] }), "messages.[1].tool_call_id", "'c2' not found"),
            (json!({ "n": 0 }), "n", "below minimum"),
            (json!({ "stop": ["1", "2", "3", "4", "5"] }), "stop", "maximum length 4"),
            (json!({ "stream_options": {} }), "stream_options", "only allowed when 'stream'"),
            (json!({ "response_format": { "type": "json_object" } }), "messages", "the word 'json'"),
            (json!({ "response_format": format }), "response_format", "additionalProperties"),
            (json!({ "model": "o3", "max_tokens": 5 }), "max_tokens", "max_completion_tokens"),
            (
                json!({ "tools": [{ "type": "function", "function": { "name": "a b" } }] }),
                "tools[0].function.name",
                "pattern",
            ),
        ] {
            let (at, message) = complaint(&fields);
            assert_eq!(at.as_deref(), Some(param), "{message}");
            assert!(message.contains(said), "{message}");
        }
    }

    #[test]
    fn long_prompts_are_cached_by_themselves() {
        let body = |tail: &str| {
            let content = format!("{}{tail}", "long ".repeat(2_000));
            json!({ "model": "m", "messages": [{ "role": "user", "content": content }] }).to_string()
        };
        let (first, second) = (read(body("one").as_bytes()).unwrap(), read(body("two").as_bytes()).unwrap());
        let shared = first.beginnings.iter().filter(|beginning| second.beginnings.contains(beginning)).count();
        assert!(shared > 5 && first.beginnings.first().unwrap().tokens == 1_024);
    }
}
