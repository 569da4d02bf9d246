//! Reading an Anthropic request as the vendor does, complaints included.

use std::collections::HashSet;

use serde_json::{Map, Value, json};

use super::content::{messages, text};
use super::field::{boolean, dictionary, integer, list, only, present, required, share, string, wrong};
use crate::ask::{Ask, Beginning, Choice, Format, Part, Thinking, Tool};
use crate::digest::{fnv, fnv_on};
use crate::fault::{Checked, Fault};
use crate::tokens;

/// The top-level fields of Messages, those behind `anthropic-beta` included.
const FIELDS: [&str; 29] = [
    "model",
    "messages",
    "max_tokens",
    "billing_policy",
    "cache_control",
    "compaction",
    "container",
    "context_management",
    "diagnostics",
    "fallback_credit_token",
    "fallbacks",
    "inference_geo",
    "mcp_servers",
    "metadata",
    "output_config",
    "output_format",
    "service_tier",
    "speed",
    "stop_sequences",
    "stream",
    "system",
    "temperature",
    "thinking",
    "thread",
    "tool_choice",
    "tools",
    "top_k",
    "top_p",
    "user_profile_id",
];

/// The purpose of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// An answer.
    Answer,
    /// Its tokens (`/v1/messages/count_tokens`).
    Count,
}

/// Reads a request, or says what is wrong with it.
pub(crate) fn read(body: &[u8], purpose: Purpose) -> Checked<Ask> {
    let value: Value = serde_json::from_slice(body)
        .map_err(|error| Fault::new(400, format!("The request body is not valid JSON: {error}")))?;
    let fields = value.as_object().ok_or_else(|| Fault::new(400, "The request body is not a JSON object"))?;
    only(fields, &FIELDS, "")?;
    threads(fields)?;
    let model = string(fields, "model", "model")?;
    if model.is_empty() {
        return Err(wrong("model", "String should have at least 1 character"));
    }
    let mut ask = Ask { model: model.to_owned(), answers: 1, stream_usage: true, ..Ask::default() };
    if purpose == Purpose::Answer {
        ask.max_tokens = Some(integer(required(fields, "max_tokens", "max_tokens")?, 1, "max_tokens")?);
    }
    let conversation = list(required(fields, "messages", "messages")?, "messages")?;
    if conversation.is_empty() {
        return Err(wrong("messages", "at least one message is required"));
    }
    system(fields, &mut ask)?;
    messages(conversation, &mut ask)?;
    tools(fields, &mut ask)?;
    settings(fields, &mut ask)?;
    thinking(fields, &mut ask)?;
    format(fields, &mut ask)?;
    count(fields, &mut ask)?;
    Ok(ask)
}

/// Conversations held by the server are not simulated. The vendor says so in a way that its SDKs' tool runners, which
/// try threads first, understand: they go on without.
fn threads(fields: &Map<String, Value>) -> Checked<()> {
    if present(fields, "thread").is_none() {
        return Ok(());
    }
    let details = json!({ "error_code": "thread_unsupported_request", "unsupported": ["thread"] });
    Err(wrong("thread", "message threads are not available").detailed(details))
}

fn system(fields: &Map<String, Value>, ask: &mut Ask) -> Checked<()> {
    match present(fields, "system") {
        None => {}
        Some(Value::String(text)) => ask.system.clone_from(text),
        Some(value) => {
            for (at, block) in list(value, "system")?.iter().enumerate() {
                let path = format!("system.{at}");
                ask.system.push_str(&text(dictionary(block, &path)?, &path)?);
                ask.system.push('\n');
            }
        }
    }
    Ok(())
}

fn settings(fields: &Map<String, Value>, ask: &mut Ask) -> Checked<()> {
    ask.stream = boolean(fields, "stream", "stream")?.unwrap_or(false);
    share(fields, "temperature")?;
    share(fields, "top_p")?;
    if let Some(top_k) = present(fields, "top_k") {
        integer(top_k, 0, "top_k")?;
    }
    if let Some(metadata) = present(fields, "metadata") {
        only(dictionary(metadata, "metadata")?, &["user_id"], "metadata")?;
    }
    for (at, stop) in present(fields, "stop_sequences")
        .map(|value| list(value, "stop_sequences"))
        .transpose()?
        .into_iter()
        .flatten()
        .enumerate()
    {
        let path = format!("stop_sequences.{at}");
        let stop = stop.as_str().ok_or_else(|| wrong(&path, "Input should be a valid string"))?;
        if stop.trim().is_empty() {
            return Err(wrong("stop_sequences", "each stop sequence must contain non-whitespace"));
        }
        ask.stop.push(stop.to_owned());
    }
    Ok(())
}

fn tools(fields: &Map<String, Value>, ask: &mut Ask) -> Checked<()> {
    let given = present(fields, "tools").map(|value| list(value, "tools")).transpose()?;
    let mut names = HashSet::new();
    for (at, value) in given.into_iter().flatten().enumerate() {
        let path = format!("tools.{at}");
        let tool = dictionary(value, &path)?;
        let kind = present(tool, "type").and_then(Value::as_str).unwrap_or("custom");
        // Tools of the vendor's own have versioned types and no schema; the model never calls them.
        if kind != "custom" {
            continue;
        }
        let path = format!("{path}.custom");
        let known = [
            "type",
            "name",
            "description",
            "input_schema",
            "cache_control",
            "strict",
            "eager_input_streaming",
            "defer_loading",
            "allowed_callers",
            "input_examples",
        ];
        only(tool, &known, &path)?;
        let name = string(tool, "name", &format!("{path}.name"))?;
        let good = |letter: char| letter.is_ascii_alphanumeric() || letter == '_' || letter == '-';
        if name.is_empty() || name.len() > 128 || !name.chars().all(good) {
            return Err(wrong(&format!("{path}.name"), "String should match pattern '^[a-zA-Z0-9_-]{1,128}$'"));
        }
        if !names.insert(name.to_owned()) {
            return Err(wrong("tools", "Tool names must be unique."));
        }
        let schema_path = format!("{path}.input_schema");
        let schema = dictionary(required(tool, "input_schema", &schema_path)?, &schema_path)?;
        if string(schema, "type", &format!("{schema_path}.type"))? != "object" {
            return Err(wrong(&format!("{schema_path}.type"), "Input should be 'object'"));
        }
        ask.tools.push(Tool { name: name.to_owned(), schema: Value::Object(schema.clone()) });
    }
    choice(fields, ask)
}

fn choice(fields: &Map<String, Value>, ask: &mut Ask) -> Checked<()> {
    ask.parallel = true;
    let Some(value) = present(fields, "tool_choice") else { return Ok(()) };
    let choice = dictionary(value, "tool_choice")?;
    let disabled = boolean(choice, "disable_parallel_tool_use", "tool_choice.disable_parallel_tool_use")?;
    ask.parallel = !disabled.unwrap_or(false);
    ask.choice = match string(choice, "type", "tool_choice.type")? {
        "auto" => Choice::Auto,
        "none" => Choice::None,
        "any" => Choice::Required,
        "tool" => {
            let name = string(choice, "name", "tool_choice.tool.name")?;
            if !ask.tools.iter().any(|tool| tool.name == name) {
                return Err(Fault::new(400, format!("Tool '{name}' not found in provided tools")));
            }
            Choice::Named(name.to_owned())
        }
        other => {
            let what = format!(
                "Input tag '{other}' found using 'type' does not match any of the expected tags: 'auto', 'any', 'tool', 'none'"
            );
            return Err(wrong("tool_choice", &what));
        }
    };
    if ask.tools.is_empty() && present(fields, "tools").is_none() {
        return Err(wrong("tool_choice", "may only be specified while providing tools"));
    }
    Ok(())
}

fn thinking(fields: &Map<String, Value>, ask: &mut Ask) -> Checked<()> {
    let Some(value) = present(fields, "thinking") else { return Ok(()) };
    let thinking = dictionary(value, "thinking")?;
    let shown = match present(thinking, "display").and_then(Value::as_str) {
        Some("omitted") => Thinking::Withheld,
        _ => Thinking::Shown,
    };
    match string(thinking, "type", "thinking.type")? {
        "disabled" => return Ok(()),
        "adaptive" | "between_tools" => {
            ask.thinking = shown;
            return Ok(());
        }
        "enabled" => {}
        other => {
            let what = format!(
                "Input tag '{other}' found using 'type' does not match any of the expected tags: 'adaptive', 'between_tools', 'disabled', 'enabled'"
            );
            return Err(wrong("thinking", &what));
        }
    }
    let path = "thinking.enabled.budget_tokens";
    let budget = integer(required(thinking, "budget_tokens", path)?, 1024, path)?;
    if ask.max_tokens.is_some_and(|most| most <= budget) {
        return Err(Fault::new(400, "`max_tokens` must be greater than `thinking.budget_tokens`."));
    }
    if matches!(ask.choice, Choice::Required | Choice::Named(_)) {
        return Err(Fault::new(400, "Thinking may not be enabled when tool_choice forces tool use."));
    }
    if share(fields, "temperature")?.is_some_and(|temperature| temperature < 1.0) {
        return Err(Fault::new(400, "`temperature` may only be set to 1 when thinking is enabled."));
    }
    // In the middle of a tool loop the model's last message has to begin with what it thought.
    let loops = ask.last_parts().iter().any(|part| matches!(part, Part::Result { .. }));
    let last = ask.turns.iter().enumerate().rev().find(|(_, turn)| !turn.user);
    if let (true, Some((at, turn))) = (loops, last)
        && !matches!(turn.parts.first(), Some(Part::Thought))
    {
        let what = "Expected `thinking` or `redacted_thinking`, but found `tool_use`. When `thinking` is enabled, a final `assistant` message must start with a thinking block (preceeding the lastmost set of `tool_use` and `tool_result` blocks).";
        return Err(wrong(&format!("messages.{at}.content.0.type"), what));
    }
    ask.thinking = shown;
    Ok(())
}

fn format(fields: &Map<String, Value>, ask: &mut Ask) -> Checked<()> {
    let config = present(fields, "output_config").map(|value| dictionary(value, "output_config")).transpose()?;
    let format = config.and_then(|config| present(config, "format")).or(present(fields, "output_format"));
    let Some(format) = format else { return Ok(()) };
    let path = "output_config.format";
    let format = dictionary(format, path)?;
    if string(format, "type", &format!("{path}.type"))? != "json_schema" {
        return Err(wrong(&format!("{path}.type"), "Input should be 'json_schema'"));
    }
    let schema = required(format, "schema", &format!("{path}.schema"))?;
    closed(schema, &format!("{path}.schema"))?;
    ask.format = Format::Schema(schema.clone());
    Ok(())
}

/// Objects of an answer's schema take no other properties, and say so.
fn closed(schema: &Value, path: &str) -> Checked<()> {
    match schema {
        Value::Object(fields) => {
            let object = fields.get("type").and_then(Value::as_str) == Some("object");
            if object && fields.get("additionalProperties") != Some(&Value::Bool(false)) {
                return Err(wrong(path, "For 'object' type, 'additionalProperties' must be explicitly set to false"));
            }
            fields.values().try_for_each(|inner| closed(inner, path))
        }
        Value::Array(items) => items.iter().try_for_each(|inner| closed(inner, path)),
        _ => Ok(()),
    }
}

/// Counts the prompt, and finds the beginnings that the caller marked for the prompt cache.
fn count(fields: &Map<String, Value>, ask: &mut Ask) -> Checked<()> {
    let (mut hash, mut total) = (fnv(ask.model.as_bytes()), 0);
    let mut marks = 0;
    for block in ["tools", "system", "messages"].iter().filter_map(|key| fields.get(*key)).flat_map(blocks) {
        // The marks themselves are no part of the prompt: a later call marks other blocks of the same beginning.
        let mut plain = block.clone();
        let marked = plain.as_object_mut().and_then(|fields| fields.shift_remove("cache_control"));
        let text = plain.to_string();
        hash = fnv_on(hash, text.as_bytes());
        total += tokens::count(&text);
        if marked.is_some_and(|mark| !mark.is_null()) {
            marks += 1;
            ask.beginnings.push(Beginning { hash, tokens: total });
        }
    }
    if marks > 4 {
        let what = format!("A maximum of 4 blocks with cache_control may be provided. Found {marks}.");
        return Err(Fault::new(400, what));
    }
    ask.input_tokens = total;
    Ok(())
}

/// The blocks of a part of the prompt, in the order in which they are cached.
fn blocks(part: &Value) -> Vec<&Value> {
    let Some(list) = part.as_array() else { return vec![part] };
    let contents = list.iter().map(|item| match item.get("content").and_then(Value::as_array) {
        Some(blocks) => blocks.iter().collect(),
        None => vec![item],
    });
    contents.flatten().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A good request with these fields laid over it.
    fn with(fields: &Value) -> Checked<Ask> {
        let mut body = json!({ "model": "m", "max_tokens": 2000, "messages": [{ "role": "user", "content": "hi" }] });
        body.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
        read(body.to_string().as_bytes(), Purpose::Answer)
    }

    #[test]
    fn complaints_name_the_field() {
        let call =
            json!({ "role": "assistant", "content": [{ "type": "tool_use", "id": "t1", "name": "f", "input": {} }] });
        let user = json!({ "role": "user", "content": "hi" });
        let mark = json!({ "type": "text", "text": "x", "cache_control": { "type": "ephemeral" } });
        let thinking = json!({ "type": "enabled", "budget_tokens": 1024 });
        let tool = json!({ "name": "f", "input_schema": { "type": "object" } });
        for (fields, said) in [
            (json!({ "max_tokens": null }), "max_tokens: Input should be a valid integer"),
            (json!({ "messages": [user, call] }), "messages.1: `tool_use` ids were found"),
            (json!({ "messages": [user, call, user] }), "t1"),
            (
                json!({ "messages": [{ "role": "user", "content": "" }] }),
                "messages.0: all messages must have non-empty",
            ),
            (json!({ "messages": [{ "role": "user", "content": [{ "type": "sound" }] }] }), "messages.0.content.0"),
            (json!({ "system": [mark, mark, mark, mark, mark] }), "A maximum of 4 blocks"),
            (json!({ "stop_sequences": [" "] }), "stop_sequences"),
            (json!({ "tools": [tool, tool] }), "unique"),
            (json!({ "tools": [{ "name": "f" }] }), "tools.0.custom.input_schema: Field required"),
            (json!({ "tool_choice": { "type": "any" } }), "tool_choice"),
            (json!({ "thinking": thinking, "max_tokens": 1024 }), "`max_tokens` must be greater"),
            (json!({ "thinking": thinking, "temperature": 0.5 }), "`temperature`"),
            (json!({ "thinking": thinking, "tools": [tool], "tool_choice": { "type": "any" } }), "forces tool use"),
            (
                json!({ "output_config": { "format": { "type": "json_schema", "schema": { "type": "object" } } } }),
                "additionalProperties",
            ),
            (json!({ "thread": { "type": "create" } }), "thread"),
        ] {
            let fault = with(&fields).expect_err(said);
            assert!(fault.message.contains(said) && fault.status == 400, "{}", fault.message);
        }
        let fault = read(br#"{"model":"m","messages":[]}"#, Purpose::Answer).expect_err("no max_tokens");
        assert_eq!(fault.message, "max_tokens: Field required");
    }

    #[test]
    fn instructions_may_come_in_mid_conversation() {
        let turns = [("user", "one"), ("system", "be brief"), ("user", "two")];
        let turns: Vec<Value> = turns.iter().map(|(role, text)| json!({ "role": role, "content": text })).collect();
        let ask = with(&json!({ "messages": turns })).unwrap();
        assert_eq!((ask.system.as_str(), ask.turns.len()), ("be brief\n", 2));
    }
}
