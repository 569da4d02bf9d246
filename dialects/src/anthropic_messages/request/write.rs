//! A request body written out of the hub's words.

use super::thinking::{self, Plan, Thinking};
use super::turns::{self, Conversation, Turn};
use super::{cross_dialect, room, sampling, tools};
use crate::anthropic_messages::blocks_out::{BlockWriter, Written};
use crate::codec::{Encoded, ProviderProfile, Refusal};
use crate::countable;
use crate::grammar;
use crate::hub::{Call, Format};
use crate::schema_refs;
use crate::spoke::PartPath;
use crate::vendors::{self, FieldAction};
use serde::Serialize;
use serde_json::Number;
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::collections::BTreeMap;

/// The API version whose words a translated call is in: the last one that knows `temperature`, `top_p` and `top_k`, which
/// 2026-10-21 refuses (platform.claude.com/docs/en/api/migration-2026-10-21).
const VERSION: (&str, &str) = ("anthropic-version", "2023-06-01");

#[derive(Serialize)]
struct RequestBody<'a> {
    model: &'a str,
    max_tokens: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    system: Option<Written<'a>>,
    messages: Vec<Turn<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tools: Vec<tools::ToolOut<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tool_choice: Option<tools::ToolChoiceOut<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    temperature: Option<&'a Number>,
    #[serde(skip_serializing_if = "Option::is_none")]
    top_p: Option<&'a Number>,
    #[serde(skip_serializing_if = "Option::is_none")]
    top_k: Option<u64>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    stop_sequences: Vec<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    thinking: Option<Thinking>,
    #[serde(skip_serializing_if = "Option::is_none")]
    output_config: Option<OutputConfig<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    metadata: Option<MetadataOut<'a>>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    stream: bool,
    #[serde(flatten)]
    extra: BTreeMap<&'a str, Cow<'a, RawValue>>,
}

impl RequestBody<'_> {
    /// The body on the wire, which asks for fewer tokens, down to `least`, where its prompt leaves no room for as many.
    fn within_window(mut self, least: Option<u64>) -> Result<Vec<u8>, Refusal> {
        let written = self.to_bytes()?;
        let window = vendors::claude(self.model).window_of_both();
        match room::beside_prompt(&written, (self.max_tokens, least), window) {
            None => Ok(written),
            Some(fewer) => {
                self.max_tokens = fewer;
                self.to_bytes()
            }
        }
    }

    fn to_bytes(&self) -> Result<Vec<u8>, Refusal> {
        serde_json::to_vec(self).map_err(|error| Refusal::body(format!("the call cannot be written: {error}")))
    }
}

#[derive(Serialize)]
struct OutputConfig<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    effort: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    format: Option<JsonSchema<'a>>,
}

#[derive(Serialize)]
struct JsonSchema<'a> {
    r#type: &'static str,
    schema: Cow<'a, RawValue>,
}

#[derive(Serialize)]
struct MetadataOut<'a> {
    user_id: Cow<'a, str>,
}

/// Writes what a provider is sent. Errors: the call holds what Anthropic has no word for, named in the refusal.
pub(crate) fn encode(call: &Call, profile: &ProviderProfile, path: PartPath) -> Result<Encoded, Refusal> {
    encode_for(call, profile, path, false)
}

/// The fields that `/v1/messages/count_tokens` takes: any other is refused there (its API reference, "Count tokens in a Message").
const COUNTABLE: &[&str] = &[
    "model",
    "messages",
    "system",
    "tools",
    "tool_choice",
    "thinking",
    "output_config",
    "output_format",
    "context_management",
    "mcp_servers",
    "cache_control",
];

/// True if a field says something to count the tokens of.
pub(crate) fn is_counted(name: &str) -> bool {
    COUNTABLE.contains(&name)
}

/// Writes what a provider is asked to count the tokens of. Errors: as `encode`.
pub(crate) fn encode_counted(call: &Call, profile: &ProviderProfile, path: PartPath) -> Result<Encoded, Refusal> {
    encode(call, profile, path).map(|encoded| countable::of_encoded(encoded, COUNTABLE))
}

/// True if a form of the answer, and the schemas of tools, are kept to: by the model, and by its provider's policy, which may say that it
/// takes no form, as Claude at Microsoft Foundry where Azure hosts it.
fn keeps_to_schemas(model: &str, profile: &ProviderProfile, at_bedrock: bool) -> bool {
    let takes_forms = profile.fields.get("response_format") != Some(&FieldAction::Drop);
    takes_forms && vendors::claude(model).keeps_to_schemas(at_bedrock)
}

/// The same, for Anthropic or for its models at Bedrock, the newest of which take less there. Errors: as `encode`.
pub(crate) fn encode_for(
    call: &Call,
    profile: &ProviderProfile,
    path: PartPath,
    at_bedrock: bool,
) -> Result<Encoded, Refusal> {
    // A new field of the hub does not compile until somebody has decided what becomes of it here.
    let Call {
        model,
        system: _,
        messages: _,
        tools: _,
        tool_choice: _,
        parallel_tools: _,
        max_tokens: _,
        sampling: _,
        stop,
        format,
        reasoning: _,
        thoughts_told: _,
        stream,
        stream_usage: _,
        end_user: _,
        extra: _,
    } = call;
    let mut writer = BlockWriter::request(call.extra.dialect, path);
    writer.server_tools = profile.server_tools;
    let keeps_to_schemas = !writer.cross_dialect() || keeps_to_schemas(model, profile, at_bedrock);
    let stop = stops(stop, &mut writer);
    let Plan { max_tokens, least, clamped, thinking, effort } = thinking::plan(call, profile, &mut writer)?;
    // What is wrong with the conversation is told before what is wrong here.
    let extra = cross_dialect::fields(call, profile, &mut writer);
    let own = extra.as_ref().ok().and_then(|extra| extra.get("thinking"));
    writer.rests = writer.cross_dialect() && thinking::rests(model, thinking.as_ref(), own);
    // Anthropic has no word for any JSON object.
    let foreign = writer.cross_dialect();
    let is_said =
        |format: &&Format| keeps_to_schemas && !matches!(format, Format::Json) && (!foreign || is_held(format));
    let unsaid = format.as_ref().filter(|format| !is_said(format));
    let Conversation { system, turns } = turns::write(call, unsaid, &mut writer)?;
    let format = shape(format.as_ref().filter(is_said), &mut writer);
    let extra = extra?;
    let tools = tools::write(call, profile, keeps_to_schemas, &mut writer)?;
    // Fields kept whole say more than the hub's words for them.
    let whole = |name: &str| extra.contains_key(name);
    let thinks = thinking.as_ref().map_or_else(|| whole("thinking"), |said| !matches!(said, Thinking::Disabled));
    let drawn = sampling::plan(call, profile, thinks, &mut writer)?;
    let output_config = (effort.is_some() || format.is_some()).then_some(OutputConfig { effort, format });
    let metadata = cross_dialect::end_user(call).map(|user_id| MetadataOut { user_id });
    let choice = tools::write_choice(call, &tools, &writer)?;
    let body = RequestBody {
        model,
        max_tokens,
        system,
        messages: turns,
        tools,
        tool_choice: choice,
        temperature: drawn.temperature,
        top_p: drawn.top_p,
        top_k: drawn.top_k,
        stop_sequences: stop,
        thinking: thinking.filter(|_| !whole("thinking")),
        output_config: output_config.filter(|_| !whole("output_config")),
        metadata: metadata.filter(|_| !whole("metadata")),
        stream: *stream,
        extra,
    };
    let headers = if writer.cross_dialect() { vec![(VERSION.0.to_owned(), VERSION.1.to_owned())] } else { Vec::new() };
    Ok(Encoded { body: body.within_window(least)?, dropped: writer.dropped(), headers, clamped })
}

/// The texts that end the answer. Anthropic refuses those of white space alone, which other vendors take.
fn stops<'a>(stop: &'a [String], writer: &mut BlockWriter) -> Vec<&'a str> {
    let cross_dialect = writer.cross_dialect();
    let kept: Vec<&str> =
        stop.iter().map(String::as_str).filter(|text| !cross_dialect || !text.trim().is_empty()).collect();
    if kept.len() < stop.len() {
        writer.drop_field("stop");
    }
    kept
}

/// True if a grammar can hold the form: it makes none of a schema that has no end.
fn is_held(format: &Format) -> bool {
    !matches!(format, Format::Schema { schema, .. } if !schema_refs::is_finite(schema))
}

fn shape<'a>(format: Option<&'a Format>, writer: &mut BlockWriter) -> Option<JsonSchema<'a>> {
    match format {
        None | Some(Format::Json) => None,
        // A name is only a label. Anthropic's answers always match the schema.
        Some(Format::Schema { name: _, description, schema, strict: _ }) => {
            if description.is_some() {
                writer.drop_field("response_format.json_schema.description");
            }
            let schema = match writer.cross_dialect() {
                true => grammar::held(schema_refs::rooted(schema), &grammar::ANTHROPIC),
                false => Cow::Borrowed(&**schema),
            };
            Some(JsonSchema { r#type: "json_schema", schema })
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::Dialect;

    #[test]
    fn a_form_is_said_in_words_and_no_tool_is_strict_where_the_policy_says_so() {
        let schema = json!({"type": "object", "properties": {}, "required": [], "additionalProperties": false});
        let body = json!({"model": "claude-sonnet-4-5", "messages": [{"role": "user", "content": "x"}],
            "tools": [{"type": "function", "function": {"name": "f", "strict": true, "parameters": schema}}],
            "response_format": {"type": "json_schema", "json_schema": {"name": "n", "schema": schema}}});
        let call = Dialect::OpenAiChat.decode_call(body.to_string().as_bytes()).unwrap();
        let sent = |profile: &ProviderProfile| {
            let sent = Dialect::AnthropicMessages.encode_call(&call, profile).unwrap();
            (serde_json::from_slice::<Value>(&sent.body).unwrap(), sent.dropped)
        };
        let (own, _) = sent(&ProviderProfile::default());
        assert_eq!((&own["tools"][0]["strict"], own["output_config"]["format"].is_object()), (&json!(true), true));
        let mut foundry = ProviderProfile::default();
        foundry.fields.insert("response_format".to_owned(), FieldAction::Drop);
        let (told, dropped) = sent(&foundry);
        assert_eq!((&told["tools"][0]["strict"], &told["output_config"]), (&Value::Null, &Value::Null));
        assert!(told["system"].to_string().contains("JSON that matches the schema"), "{told}");
        assert!(dropped.iter().any(|name| name == "response_format"), "{dropped:?}");
    }
}
