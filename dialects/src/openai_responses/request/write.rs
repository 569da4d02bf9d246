//! Writes a request's top level out of the hub's words, for a provider that speaks this dialect to a caller of another. The
//! rules of what is dropped or refused are those of docs/dialects-responses.md.

use serde_json::value::RawValue;

use super::write_items;
use super::writer::ItemWriter;
use crate::codec::{Encoded, ProviderProfile, Refusal, no_threads, no_tool_to_call};
use crate::countable;
use crate::dialect::Dialect;
use crate::format_in_words::{in_words, says_json};
use crate::hub::{Call, Extra, Format, Reasoning, Sampling, Tool, ToolChoice};
use crate::json::{Path, ROOT, Writer};
use crate::left_out::LeftOut;
use crate::openai_chat::{all_tools_are_taken, form_schema, is_strict, whole_schema};
use crate::schema_patterns::portable;
use crate::schema_refs;
use crate::spoke::PartPath;
use crate::vendors::{self, FieldAction};

/// The fields that `/v1/responses/input_tokens` takes (its API reference, "Get input token counts").
const COUNTABLE: &[&str] = &[
    "model",
    "input",
    "instructions",
    "tools",
    "tool_choice",
    "parallel_tool_calls",
    "reasoning",
    "text",
    "truncation",
];

/// Writes what a provider is asked to count the tokens of. Errors: as `encode`.
pub(crate) fn encode_counted(call: &Call, profile: &ProviderProfile, path: PartPath) -> Result<Encoded, Refusal> {
    encode(call, profile, path).map(|encoded| countable::of_encoded(encoded, COUNTABLE))
}

/// Writes what a provider is sent: a conversation that nobody keeps. Errors: the call holds what the dialect has no word for.
pub(crate) fn encode(call: &Call, profile: &ProviderProfile, path: PartPath) -> Result<Encoded, Refusal> {
    let Call {
        model,
        system,
        messages,
        tools,
        tool_choice,
        parallel_tools,
        max_tokens: _,
        sampling: _,
        stop,
        format: _,
        reasoning: _,
        thoughts_told: _,
        stream,
        stream_usage: _,
        end_user,
        extra,
    } = call;
    let mut writer = ItemWriter { json: Writer::with_capacity(4096), dropped: LeftOut::default(), profile, path };
    writer.json.open(b'{');
    writer.json.text_field("model", model);
    write_items::instructions(system, &mut writer);
    writer.json.open_field("input", b'[');
    let format = told_format(call, &mut writer);
    write_items::items(messages, &mut writer)?;
    if writer.json.is_bare() {
        return Err(ROOT.field("messages").refuse("at least one message with content is required"));
    }
    writer.json.close(b']');
    if extra.dialect != Dialect::OpenAiResponses {
        all_tools_are_taken(tools)?;
    }
    let tools = write_tools(tools, &mut writer)?;
    match tool_choice {
        Some(choice) if tools => write_choice(choice, &mut writer.json),
        Some(choice) if choice.is_a_must() => return Err(no_tool_to_call()),
        Some(_) | None => {}
    }
    if let Some(parallel) = parallel_tools.filter(|_| tools) {
        writer.json.value_field("parallel_tool_calls", parallel);
    }
    let clamped = max_tokens(call, &mut writer);
    sampling(call, &mut writer)?;
    if !stop.is_empty() {
        return Err(ROOT.field("stop").refuse("OpenAI Responses has no texts that end an answer"));
    }
    text(format, extra, &mut writer);
    reasoning(call, &mut writer);
    if let Some(user) = end_user {
        writer.json.text_field("user", user);
    }
    writer.json.value_field("store", false);
    writer.json.value_field("include", "[\"reasoning.encrypted_content\"]");
    if *stream {
        writer.json.value_field("stream", true);
    }
    write_extra(extra, &mut writer)?;
    writer.json.close(b'}');
    Ok(Encoded { body: writer.json.into_bytes(), dropped: writer.dropped.into_names(), headers: Vec::new(), clamped })
}

/// Writes the tools; `false`: there are none.
fn write_tools(tools: &[Tool], writer: &mut ItemWriter<'_>) -> Result<bool, Refusal> {
    const LIST: Path<'static> = ROOT.field("tools");
    let mut written = false;
    for (index, tool) in tools.iter().enumerate() {
        let at = LIST.index(index);
        if let Tool::Other { dialect, raw } = tool
            && *dialect != Dialect::OpenAiResponses
        {
            if writer.profile.server_tools.leaves_out(raw) {
                writer.drop(at);
                continue;
            }
            return Err(at.refuse(format_args!("this {} tool has no counterpart in OpenAI Responses", dialect.name())));
        }
        if !std::mem::replace(&mut written, true) {
            writer.json.open_field("tools", b'[');
        }
        write_tool(tool, &at, writer);
    }
    if written {
        writer.json.close(b']');
    }
    Ok(written)
}

fn write_tool(tool: &Tool, at: &Path<'_>, writer: &mut ItemWriter<'_>) {
    let (name, description, parameters, strict, cache, extra) = match tool {
        Tool::Function { name, description, parameters, strict, cache, extra } => {
            (name, description, parameters, strict, cache, extra)
        }
        Tool::Other { dialect: _, raw } => return writer.json.raw(raw.get()),
    };
    writer.json.open(b'{');
    writer.json.text_field("type", "function");
    writer.json.text_field("name", name);
    if let Some(text) = description {
        writer.json.text_field("description", text);
    }
    writer.json.key("parameters");
    match parameters {
        Some(parameters) => writer.json.raw(portable(whole_schema(parameters)).get()),
        None => writer.json.raw(r#"{"type":"object","properties":{}}"#),
    }
    // Without a word OpenAI would make every schema strict, which changes what is asked for.
    let asked = *strict == Some(true);
    let strict = asked && parameters.as_deref().is_some_and(is_strict);
    if asked && !strict {
        writer.drop("tools.function.strict");
    }
    writer.json.value_field("strict", strict);
    writer.json.close(b'}');
    writer.cache(cache.as_ref(), at);
    extra.keys().for_each(|name| writer.drop(at.field(name)));
}

fn write_choice(choice: &ToolChoice, json: &mut Writer) {
    json.key("tool_choice");
    match choice {
        ToolChoice::Auto => json.text("auto"),
        ToolChoice::None => json.text("none"),
        ToolChoice::Required => json.text("required"),
        ToolChoice::Named(name) => {
            json.open(b'{');
            json.text_field("type", "function");
            json.text_field("name", name);
            json.close(b'}');
        }
    }
}

/// Writes the token limit. Gives what it was brought down to, where the caller asked for more than the model answers with.
fn max_tokens(call: &Call, writer: &mut ItemWriter<'_>) -> Option<u64> {
    /// OpenAI refuses less.
    const LEAST: u64 = 16;
    let asked = call.max_tokens.or(writer.profile.default_max_tokens)?;
    let known = writer.profile.max_output.get(&call.model).copied();
    let most = known.or(vendors::openai(&call.model).max_output);
    let written = most.map_or(asked, |most| most.min(asked));
    writer.json.value_field("max_output_tokens", written.max(LEAST));
    (written < asked).then_some(written)
}

fn sampling(call: &Call, writer: &mut ItemWriter<'_>) -> Result<(), Refusal> {
    let Sampling { temperature, top_p, top_k, seed, frequency_penalty, presence_penalty, choices } = &call.sampling;
    if choices.is_some_and(|choices| choices > 1) {
        return Err(ROOT.field("n").refuse("OpenAI Responses has one answer only"));
    }
    let taken = vendors::openai(&call.model).sampling;
    let temperature = temperature.as_ref().or(writer.profile.default_temperature.as_ref());
    for (name, number) in [("temperature", temperature), ("top_p", top_p.as_ref())] {
        match number {
            Some(number) if taken => writer.json.value_field(name, number),
            Some(_) => writer.drop(name),
            None => {}
        }
    }
    let unsaid = [
        ("top_k", top_k.is_some()),
        ("seed", seed.is_some()),
        ("frequency_penalty", frequency_penalty.is_some()),
        ("presence_penalty", presence_penalty.is_some()),
    ];
    unsaid.into_iter().filter(|(_, said)| *said).for_each(|(name, _)| writer.drop(name));
    Ok(())
}

/// The form of the answer that is told by the field. An object of JSON is refused where no word says so, and what is no object can be
/// asked for in words alone.
fn told_format<'a>(call: &'a Call, writer: &mut ItemWriter<'_>) -> Option<&'a Format> {
    let format = call.format.as_ref().filter(|_| !call.messages.is_empty())?;
    let tools = call.tools.iter().any(|tool| matches!(tool, Tool::Function { .. }));
    let own = call.extra.dialect == Dialect::OpenAiResponses;
    match format {
        Format::Json if !says_json(call, false) => {
            write_items::instruction(&in_words(format, tools), writer);
        }
        Format::Schema { schema, .. } if !own && form_schema(schema).is_none() => {
            write_items::instruction(&in_words(format, tools), writer);
            writer.drop("response_format");
            return None;
        }
        Format::Json | Format::Schema { .. } => {}
    }
    Some(format)
}

/// Writes the answer's shape, and how many words it has.
fn text(format: Option<&Format>, extra: &Extra, writer: &mut ItemWriter<'_>) {
    let verbosity = extra.fields.get("verbosity");
    if format.is_none() && verbosity.is_none() {
        return;
    }
    let json = &mut writer.json;
    json.open_field("text", b'{');
    match format {
        None => {}
        Some(Format::Json) => {
            json.open_field("format", b'{');
            json.text_field("type", "json_object");
            json.close(b'}');
        }
        Some(Format::Schema { name, description, schema, strict }) => {
            json.open_field("format", b'{');
            json.text_field("type", "json_schema");
            // OpenAI requires a name.
            json.text_field("name", name.as_deref().unwrap_or("response"));
            if let Some(text) = description {
                json.text_field("description", text);
            }
            let schema = portable(form_schema(schema).unwrap_or_else(|| schema_refs::rooted(schema)));
            json.raw_field("schema", &schema);
            json.value_field("strict", *strict == Some(true) && is_strict(&schema));
            json.close(b'}');
        }
    }
    if let Some(raw) = verbosity {
        json.raw_field("verbosity", raw);
    }
    json.close(b'}');
}

/// Writes how much the model may think, to one that can be told; its thoughts are asked for.
fn reasoning(call: &Call, writer: &mut ItemWriter<'_>) {
    let known = vendors::openai(&call.model).efforts;
    let effort = match &call.reasoning {
        Some(Reasoning::Effort(effort)) => vendors::nearest(effort, known),
        Some(Reasoning::Budget(tokens)) => vendors::nearest(crate::openai_chat::effort_of_budget(*tokens), known),
        Some(Reasoning::Off) => known.contains(&"none").then_some("none"),
        // Without a word the model chooses for itself.
        Some(Reasoning::Adaptive) | None => None,
    };
    match (effort, &call.reasoning) {
        (Some(effort), reasoning) => {
            writer.json.open_field("reasoning", b'{');
            writer.json.text_field("effort", effort);
            if !matches!(reasoning, Some(Reasoning::Off)) {
                writer.json.text_field("summary", "auto");
            }
            writer.json.close(b'}');
        }
        (None, Some(_)) => writer.drop("reasoning"),
        (None, None) => {}
    }
}

/// Gives what has an equivalent, leaves out what may go by rule, and passes what the provider's policy passes.
fn write_extra(extra: &Extra, writer: &mut ItemWriter<'_>) -> Result<(), Refusal> {
    let Extra { dialect, fields } = extra;
    for (name, raw) in fields {
        match writer.profile.fields.get(name) {
            Some(FieldAction::Pass) => writer.json.raw_field(name, raw),
            Some(FieldAction::Rename(to)) => writer.json.raw_field(to, raw),
            Some(FieldAction::Drop) => writer.drop(name),
            Some(FieldAction::Refuse) => return Err(ROOT.field(name).refuse("this provider does not take it")),
            None => write_field(*dialect, name, raw, writer)?,
        }
    }
    Ok(())
}

fn write_field(dialect: Dialect, name: &str, raw: &RawValue, writer: &mut ItemWriter<'_>) -> Result<(), Refusal> {
    let own = dialect == Dialect::OpenAiResponses;
    let sibling = dialect.habits().header_beginning == Dialect::OpenAiResponses.habits().header_beginning;
    match name {
        // Said above, or said by every stream.
        "include" | "stream_options" | "verbosity" => {}
        "store" if own || raw.get() == "false" => {}
        _ if own => writer.json.raw_field(name, raw),
        "metadata" | "prompt_cache_key" | "prompt_cache_retention" | "safety_identifier" | "service_tier"
            if sibling =>
        {
            writer.json.raw_field(name, raw);
        }
        "logit_bias" | "logprobs" | "top_logprobs" if matches!(raw.get(), "false" | "0" | "{}") => {}
        "modalities" if raw.get() == "[\"text\"]" => {}
        "mcp_servers" | "cachedContent" if matches!(raw.get(), "[]" | "\"\"") => {}
        "thread" => return Err(no_threads()),
        // These decide what is answered, not how.
        "audio" | "cachedContent" | "container" | "logit_bias" | "logprobs" | "mcp_servers" | "modalities"
        | "response_format" | "tool_choice" | "top_logprobs" | "web_search_options" => {
            return Err(ROOT.field(name).refuse("has no equivalent in OpenAI Responses"));
        }
        _ => writer.drop(name),
    }
    Ok(())
}
