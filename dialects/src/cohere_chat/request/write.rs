//! Writes a request out of the hub's words. The rules of what is dropped or refused are those of docs/dialects-cohere.md.

use std::borrow::Cow;

use serde_json::Number;
use serde_json::value::RawValue;

use super::writer::CohereWriter;
use super::{schema, write_turns};
use crate::codec::{Encoded, ProviderProfile, Refusal, no_threads, no_tool_to_call};
use crate::dialect::Dialect;
use crate::format_in_words::in_words;
use crate::grammar;
use crate::hub::{Call, Extra, Format, Reasoning, Sampling, Tool, ToolChoice};
use crate::json::{Path, ROOT, kind_of};
use crate::schema_refs;
use crate::spoke::PartPath;
use crate::vendors::FieldAction;

/// Writes what a provider is sent. Errors: the call holds what Cohere has no word for.
pub(crate) fn encode(call: &Call, profile: &ProviderProfile, path: PartPath) -> Result<Encoded, Refusal> {
    let Call {
        model,
        system,
        messages,
        tools,
        tool_choice,
        parallel_tools,
        max_tokens,
        sampling,
        stop,
        format,
        reasoning,
        thoughts_told: _,
        stream,
        stream_usage: _,
        end_user,
        extra,
    } = call;
    let mut writer = CohereWriter::new(profile, path);
    writer.json.open(b'{');
    writer.json.text_field("model", model);
    let shaped = format.as_ref().map(|format| Shaped::of(format, call));
    let told = shaped.as_ref().and_then(|shaped| shaped.told.as_deref());
    write_turns::messages(system, messages, told, &mut writer)?;
    let given = write_tools(tools, tool_choice.as_ref(), &mut writer)?;
    write_choice(tool_choice.as_ref(), given, &mut writer)?;
    if *parallel_tools == Some(false) && given {
        writer.drop("parallel_tool_calls");
    }
    let asked = max_tokens.or(profile.default_max_tokens);
    let most = profile.max_output.get(model).copied();
    let clamped = most.filter(|most| max_tokens.is_some_and(|asked| asked > *most));
    if let Some(asked) = clamped.or(asked) {
        writer.json.value_field("max_tokens", asked);
    }
    write_sampling(sampling, &mut writer)?;
    write_stops(stop, extra.dialect, &mut writer)?;
    if let Some(shaped) = shaped {
        write_format(&shaped, &mut writer);
    }
    write_thinking(model, reasoning.as_ref(), &mut writer);
    if end_user.is_some() {
        writer.drop("user");
    }
    if *stream {
        writer.json.value_field("stream", true);
    }
    write_extra(extra, &mut writer)?;
    writer.json.close(b'}');
    Ok(Encoded { body: writer.json.into_bytes(), dropped: writer.dropped.into_names(), headers: Vec::new(), clamped })
}

/// Writes the tools; `false`: there are none. Where one has to be called by its name, it is given alone.
fn write_tools(tools: &[Tool], choice: Option<&ToolChoice>, writer: &mut CohereWriter<'_>) -> Result<bool, Refusal> {
    const LIST: Path<'static> = ROOT.field("tools");
    let only = if let Some(ToolChoice::Named(name)) = choice { Some(name) } else { None };
    let strict = is_strict(tools, only, writer);
    let mut written = false;
    for (index, tool) in tools.iter().enumerate() {
        let at = LIST.index(index);
        let (name, description, parameters) = match tool {
            Tool::Function { name, description, parameters, strict: _, cache, extra } => {
                if cache.is_some() {
                    writer.drop(at.field("cache_control"));
                }
                extra.keys().for_each(|field| writer.drop(format_args!("{at}.{field}")));
                (name, description, parameters)
            }
            Tool::Other { dialect: _, raw } if writer.profile.server_tools.leaves_out(raw) => {
                writer.drop(at);
                continue;
            }
            Tool::Other { dialect, raw } => {
                let (kind, vendor) = (kind_of(raw.get()), dialect.name());
                let what =
                    format!("`{kind}` is a tool that {vendor} runs itself, and this provider has none of that kind");
                return Err(at.refuse(what));
            }
        };
        if only.is_some_and(|only| only != name) {
            continue;
        }
        if !std::mem::replace(&mut written, true) {
            writer.json.open_field("tools", b'[');
        }
        writer.json.open(b'{');
        writer.json.text_field("type", "function");
        writer.json.open_field("function", b'{');
        writer.json.text_field("name", name);
        if let Some(text) = description {
            writer.json.text_field("description", text);
        }
        match parameters {
            Some(schema) if strict => {
                writer.json.raw_field("parameters", &grammar::held(Cow::Borrowed(schema), &grammar::COHERE));
            }
            Some(schema) => writer.json.raw_field("parameters", schema),
            None => writer.json.value_field("parameters", r#"{"type":"object","properties":{}}"#),
        }
        writer.json.close(b'}');
        writer.json.close(b'}');
    }
    if written {
        writer.json.close(b']');
        if strict {
            writer.json.value_field("strict_tools", true);
        }
    }
    Ok(written)
}

/// True if calls are held to their tools' schemas, which is said of all tools at once: those that are given want it, and Cohere
/// can.
fn is_strict(tools: &[Tool], only: Option<&String>, writer: &mut CohereWriter<'_>) -> bool {
    let given = tools.iter().filter_map(|tool| match tool {
        Tool::Function { name, parameters, strict, .. } if only.is_none_or(|only| only == name) => {
            Some((parameters.as_deref(), *strict == Some(true)))
        }
        _ => None,
    });
    if !given.clone().all(|(_, strict)| strict) {
        return false;
    }
    let can = schema::are_strict(given.clone().map(|(parameters, _)| parameters));
    if !can && given.count() > 0 {
        writer.drop("tools.function.strict");
    }
    can
}

fn write_choice(choice: Option<&ToolChoice>, given: bool, writer: &mut CohereWriter<'_>) -> Result<(), Refusal> {
    match choice {
        Some(choice) if choice.is_a_must() && !given => return Err(no_tool_to_call()),
        Some(ToolChoice::Required | ToolChoice::Named(_)) => writer.json.text_field("tool_choice", "REQUIRED"),
        Some(ToolChoice::None) if given => writer.json.text_field("tool_choice", "NONE"),
        Some(ToolChoice::Auto | ToolChoice::None) | None => {}
    }
    Ok(())
}

fn write_sampling(sampling: &Sampling, writer: &mut CohereWriter<'_>) -> Result<(), Refusal> {
    /// The most that is taken.
    const MOST_K: u64 = 500;
    let Sampling { temperature, top_p, top_k, seed, frequency_penalty, presence_penalty, choices } = sampling;
    if choices.is_some_and(|choices| choices > 1) {
        return Err(ROOT.field("n").refuse("this provider gives one answer to a call"));
    }
    if let Some(number) = temperature.as_ref().or(writer.profile.default_temperature.as_ref()) {
        writer.json.value_field("temperature", number);
    }
    let within = |number: &Number, least: f64, most: f64| number.as_f64().is_some_and(|it| it >= least && it <= most);
    for (name, own, number, bounds) in [
        ("top_p", "p", top_p, (0.01, 0.99)),
        ("frequency_penalty", "frequency_penalty", frequency_penalty, (0.0, 1.0)),
        ("presence_penalty", "presence_penalty", presence_penalty, (0.0, 1.0)),
    ] {
        match number {
            Some(number) if within(number, bounds.0, bounds.1) => writer.json.value_field(own, number),
            Some(_) => writer.drop(name),
            None => {}
        }
    }
    if let Some(k) = top_k {
        writer.json.value_field("k", *k.min(&MOST_K));
    }
    if let Some(seed) = seed {
        writer.json.value_field("seed", seed);
    }
    Ok(())
}

/// The most texts that may end an answer ("a list of up to 5 strings").
const MOST_STOPS: usize = 5;

/// Writes the texts that end an answer. Errors: more of them than Cohere takes; another provider may take all.
fn write_stops(stop: &[String], caller: Dialect, writer: &mut CohereWriter<'_>) -> Result<(), Refusal> {
    if stop.is_empty() {
        return Ok(());
    }
    if caller != Dialect::CohereChat && stop.len() > MOST_STOPS {
        return Err(ROOT.field("stop").refuse(format_args!("a Cohere model takes at most {MOST_STOPS} stop texts")));
    }
    writer.json.open_field("stop_sequences", b'[');
    stop.iter().for_each(|text| writer.json.text(text));
    writer.json.close(b']');
    Ok(())
}

/// The form of the answer: by its field, in words, or both.
struct Shaped<'a> {
    /// True if the field says that it is JSON.
    json: bool,
    /// The schema that the field holds it to.
    schema: Option<Cow<'a, RawValue>>,
    /// The instruction that says the rest.
    told: Option<Cow<'static, str>>,
}

impl<'a> Shaped<'a> {
    /// Cohere refuses the field beside tools, and some schemas: it is held to an object then at the most, and told the schema.
    fn of(format: &'a Format, call: &Call) -> Self {
        let own = call.extra.dialect == Dialect::CohereChat;
        let tools = !own && call.tools.iter().any(|tool| matches!(tool, Tool::Function { .. }));
        if tools {
            return Self { json: false, schema: None, told: Some(in_words(format, true)) };
        }
        let Format::Schema { name: _, description: _, schema, strict: _ } = format else {
            return Self { json: true, schema: None, told: None };
        };
        if own {
            return Self { json: true, schema: Some(Cow::Borrowed(schema)), told: None };
        }
        let schema = grammar::held(schema_refs::rooted(schema), &grammar::COHERE);
        if schema::is_taken(&schema) {
            return Self { json: true, schema: Some(schema), told: None };
        }
        Self { json: schema::is_objects(&schema), schema: None, told: Some(in_words(format, false)) }
    }
}

fn write_format(shaped: &Shaped<'_>, writer: &mut CohereWriter<'_>) {
    let Shaped { json, schema, told } = shaped;
    if told.is_some() {
        writer.drop("response_format");
    }
    if !json {
        return;
    }
    writer.json.open_field("response_format", b'{');
    writer.json.text_field("type", "json_object");
    if let Some(schema) = schema {
        writer.json.raw_field("json_schema", schema);
    }
    writer.json.close(b'}');
}

/// Writes how much the model may think, to one that is known to.
fn write_thinking(model: &str, reasoning: Option<&Reasoning>, writer: &mut CohereWriter<'_>) {
    let Some(reasoning) = reasoning else { return };
    if !model.contains("reasoning") {
        if *reasoning != Reasoning::Off {
            writer.drop("reasoning_effort");
        }
        return;
    }
    let budget = match reasoning {
        Reasoning::Budget(tokens) => Some(*tokens),
        Reasoning::Effort(effort) => Some(budget_of(effort)),
        Reasoning::Off | Reasoning::Adaptive => None,
    };
    writer.json.open_field("thinking", b'{');
    writer.json.text_field("type", if *reasoning == Reasoning::Off { "disabled" } else { "enabled" });
    if let Some(budget) = budget {
        writer.json.value_field("token_budget", budget);
    }
    writer.json.close(b'}');
}

/// The budget of thinking tokens that an effort stands for.
fn budget_of(effort: &str) -> u64 {
    match effort {
        "minimal" | "low" => 2048,
        "medium" => 8192,
        _ => 24_576,
    }
}

/// Gives the caller's own fields back; of another dialect's, what may go by rule, and what the provider's policy passes.
fn write_extra(extra: &Extra, writer: &mut CohereWriter<'_>) -> Result<(), Refusal> {
    for (name, raw) in &extra.fields {
        if extra.dialect == Dialect::CohereChat {
            writer.json.raw_field(name, raw);
            continue;
        }
        match (writer.profile.fields.get(name), name.as_str()) {
            (Some(FieldAction::Pass), _) => writer.json.raw_field(name, raw),
            (Some(FieldAction::Rename(to)), _) => writer.json.raw_field(to, raw),
            (Some(FieldAction::Refuse), _) => return Err(ROOT.field(name).refuse("this provider does not take it")),
            (Some(FieldAction::Drop), _) => writer.drop(name),
            (None, "mcp_servers" | "cachedContent") if matches!(raw.get(), "[]" | "\"\"") => {}
            // These decide what is answered, not how.
            (None, "mcp_servers" | "container" | "cachedContent") => {
                return Err(ROOT.field(name).refuse("has no equivalent at this provider"));
            }
            (None, "logprobs" | "top_logprobs" | "logit_bias") if !matches!(raw.get(), "false" | "0" | "{}") => {
                return Err(ROOT.field(name).refuse("is not translated to this provider"));
            }
            (None, "audio") => return Err(ROOT.field(name).refuse("this provider answers in text alone")),
            (None, "modalities") if !matches!(raw.get(), "[\"text\"]" | "[]") => {
                return Err(ROOT.field(name).refuse("this provider answers in text alone"));
            }
            // The answer would lack what it asks for.
            (None, "tool_choice" | "response_format" | "web_search_options") => {
                return Err(ROOT.field(name).refuse("this provider has nothing of that kind"));
            }
            (None, "thread") => return Err(no_threads()),
            (None, _) => writer.drop(name),
        }
    }
    Ok(())
}
