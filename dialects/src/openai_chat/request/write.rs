//! Writes a request's top level out of the hub's words. The rules of what is dropped or refused are those of
//! docs/dialects-openai.md, section "Towards OpenAI".

use serde_json::value::RawValue;

use super::write_parts::type_of;
use super::writer::RequestWriter;
use super::{schema, write_choice, write_settings, write_system, write_turns};
use crate::codec::{Encoded, ProviderProfile, Refusal, no_threads, no_tool_to_call};
use crate::dialect::Dialect;
use crate::hub::{Call, Extra, Fields, Tool, ToolChoice};
use crate::json::{Path, ROOT, Writer};
use crate::openai_chat::place;
use crate::spoke::PartPath;
use crate::vendors::{self, FieldAction};

/// Writes what a provider is sent.
///
/// A streamed call always asks for usage, for the ledger; the caller's stream shows it only when the caller asked.
/// Errors: the call holds what Chat Completions has no word for.
pub(crate) fn encode(call: &Call, profile: &ProviderProfile, path: PartPath) -> Result<Encoded, Refusal> {
    written(call, profile).map_err(|refusal| place::in_the_callers(refusal, &call.messages, path))
}

fn written(call: &Call, profile: &ProviderProfile) -> Result<Encoded, Refusal> {
    let Call {
        model,
        system,
        messages,
        tools,
        tool_choice: _,
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
    let mut writer = RequestWriter::new(extra.dialect, profile, model);
    writer.json.open(b'{');
    writer.json.text_field("model", model);
    writer.json.open_field("messages", b'[');
    let told = write_settings::told_format(call, &writer);
    let choice = write_choice::told_choice(call, &writer);
    let words = write_choice::joined([choice.words, told.words]);
    write_system::system(system, messages, words.as_deref(), &mut writer)?;
    write_turns::messages(messages, &mut writer)?;
    if writer.json.is_bare() {
        return Err(ROOT.field("messages").refuse("at least one message with content is required"));
    }
    writer.json.close(b']');
    let tools = write_tools(tools, choice.alone, &mut writer)?;
    // OpenAI refuses both where there are no tools; other dialects' callers may set them all the same.
    match choice.field {
        Some(choice) if !writer.cross_dialect || tools => write_tool_choice(choice, &mut writer.json),
        Some(choice) if choice.is_a_must() => return Err(no_tool_to_call()),
        Some(_) | None => {}
    }
    if let Some(parallel) = parallel_tools.filter(|_| !writer.cross_dialect || tools) {
        writer.json.value_field("parallel_tool_calls", parallel);
    }
    let clamped = write_settings::max_tokens(call, &mut writer);
    write_settings::sampling(call, &mut writer);
    write_settings::stops(stop, &mut writer)?;
    let lost = [("tool_choice", choice.is_lost), ("response_format", told.is_lost)];
    lost.into_iter().filter(|(_, is_lost)| *is_lost).for_each(|(name, _)| writer.drop(name));
    if let Some(format) = told.field {
        write_settings::format(format, &mut writer);
    }
    write_settings::reasoning(call, (tools, choice.rests), &mut writer);
    write_settings::always(&mut writer);
    write_end_user(end_user.as_deref(), &mut writer);
    write_stream(*stream, extra, &mut writer);
    write_extra(extra, &mut writer)?;
    writer.json.close(b'}');
    Ok(Encoded { body: writer.json.into_bytes(), dropped: writer.dropped.into_names(), headers: Vec::new(), clamped })
}

/// Errors: more tools than OpenAI takes ("array too long. Expected an array with maximum length 128"); another provider may take all.
pub(crate) fn all_tools_are_taken(tools: &[Tool]) -> Result<(), Refusal> {
    const MOST: usize = 128;
    if tools.len() > MOST {
        let what = format_args!("an OpenAI model takes at most {MOST} tools, and these are {}", tools.len());
        return Err(ROOT.field("tools").refuse(what));
    }
    Ok(())
}

/// Writes the tools, or the one of them that is to stand `alone`; `false`: there are none.
fn write_tools(tools: &[Tool], alone: Option<&str>, writer: &mut RequestWriter<'_>) -> Result<bool, Refusal> {
    const LIST: Path<'static> = ROOT.field("tools");
    if writer.cross_dialect && !writer.profile.compatible() {
        all_tools_are_taken(tools)?;
    }
    let mut written = false;
    for (index, tool) in tools.iter().enumerate() {
        let at = LIST.index(index);
        match tool {
            Tool::Function { name, .. } if alone.is_some_and(|alone| alone != name) => continue,
            Tool::Function { .. } | Tool::Other { dialect: Dialect::OpenAiChat, .. } => {}
            Tool::Other { dialect: _, raw } if writer.profile.server_tools.leaves_out(raw) => {
                writer.drop(at);
                continue;
            }
            Tool::Other { dialect, raw } => {
                let kind = type_of(raw.get());
                let what = format!(
                    "`{kind}` is a tool that {} runs itself, and this provider has none of that kind",
                    dialect.name()
                );
                return Err(at.refuse(what));
            }
        }
        if !written {
            writer.json.open_field("tools", b'[');
            written = true;
        }
        write_tool(tool, &at, writer);
    }
    if written {
        writer.json.close(b']');
    }
    Ok(written)
}

fn write_tool(tool: &Tool, at: &Path<'_>, writer: &mut RequestWriter<'_>) {
    let (name, description, parameters, strict, cache, extra) = match tool {
        Tool::Function { name, description, parameters, strict, cache, extra } => {
            (name, description, parameters, strict, cache, extra)
        }
        Tool::Other { dialect: _, raw } => return writer.json.raw(raw.get()),
    };
    writer.json.open(b'{');
    writer.json.text_field("type", "function");
    writer.json.open_field("function", b'{');
    writer.json.text_field("name", name);
    if let Some(text) = description {
        writer.json.text_field("description", text);
    }
    match parameters {
        Some(parameters) => write_parameters(parameters, writer),
        // Mistral and others refuse a tool without, which takes nothing.
        None if writer.cross_dialect => writer.json.value_field("parameters", r#"{"type":"object","properties":{}}"#),
        None => {}
    }
    if let Some(strict) = strict {
        let strict = *strict && (!writer.cross_dialect || parameters.as_deref().is_some_and(schema::is_strict));
        writer.json.value_field("strict", strict);
    }
    writer.extra(extra, at);
    writer.json.close(b'}');
    if writer.cross_dialect {
        writer.unmarked(cache.as_ref(), at);
    } else {
        writer.cache(cache.as_ref(), at);
    }
    writer.json.close(b'}');
}

fn write_parameters(parameters: &RawValue, writer: &mut RequestWriter<'_>) {
    if !writer.cross_dialect {
        writer.json.raw_field("parameters", parameters);
    } else {
        let parameters = writer.compiled(schema::whole(parameters));
        writer.json.raw_field("parameters", &parameters);
    }
}

fn write_tool_choice(choice: &ToolChoice, json: &mut Writer) {
    json.key("tool_choice");
    match choice {
        ToolChoice::Auto => json.text("auto"),
        ToolChoice::None => json.text("none"),
        ToolChoice::Required => json.text("required"),
        ToolChoice::Named(name) => {
            json.open(b'{');
            json.text_field("type", "function");
            json.open_field("function", b'{');
            json.text_field("name", name);
            json.close(b'}');
            json.close(b'}');
        }
    }
}

fn write_end_user(end_user: Option<&str>, writer: &mut RequestWriter<'_>) {
    /// OpenAI refuses a longer `user`; Claude Code's ids are longer.
    const LONGEST: usize = 64;
    match end_user {
        Some(user) if !writer.cross_dialect || user.chars().count() <= LONGEST => writer.json.text_field("user", user),
        Some(_) => writer.drop("metadata.user_id"),
        None => {}
    }
}

fn write_stream(stream: bool, extra: &Extra, writer: &mut RequestWriter<'_>) {
    if !stream {
        return;
    }
    writer.json.value_field("stream", true);
    if !writer.profile.asks_for_usage() {
        return;
    }
    writer.json.open_field("stream_options", b'{');
    writer.json.value_field("include_usage", true);
    let own = extra.fields.get("stream_options").filter(|_| !writer.cross_dialect);
    if let Some(mut fields) = own.and_then(|raw| serde_json::from_str::<Fields>(raw.get()).ok()) {
        fields.remove("include_usage");
        writer.json.fields(&fields);
    }
    writer.json.close(b'}');
}

/// Gives the caller's own fields back; of another dialect's, only what has an equivalent, what may go by rule, and what
/// the provider's policy passes.
fn write_extra(extra: &Extra, writer: &mut RequestWriter<'_>) -> Result<(), Refusal> {
    let Extra { dialect, fields } = extra;
    let sibling = dialect.habits().header_beginning == Dialect::OpenAiChat.habits().header_beginning;
    for (name, raw) in fields {
        if !writer.cross_dialect {
            if name != "stream_options" {
                writer.json.raw_field(name, raw);
            }
            continue;
        }
        match writer.policy(name) {
            Some(FieldAction::Pass) => writer.json.raw_field(name, raw),
            Some(FieldAction::Rename(to)) => writer.json.raw_field(to, raw),
            Some(FieldAction::Drop) => writer.drop(name),
            Some(FieldAction::Refuse) => return Err(ROOT.field(name).refuse("this provider does not take it")),
            None if sibling => write_sibling(name, raw, writer)?,
            None => write_cross_dialect(name, raw, writer)?,
        }
    }
    Ok(())
}

/// A field of another dialect of OpenAI's: what OpenAI has in both passes to OpenAI itself.
fn write_sibling(name: &str, raw: &RawValue, writer: &mut RequestWriter<'_>) -> Result<(), Refusal> {
    match name {
        "tool_choice" => return Err(ROOT.field(name).refuse("this provider has no tool of that kind")),
        "top_logprobs" if raw.get() != "0" => {
            return Err(ROOT.field(name).refuse("is not translated to this provider"));
        }
        "prompt_cache_key" | "prompt_cache_retention" | "safety_identifier" | "service_tier" | "verbosity" => {
            if writer.look_alike().is_none() {
                writer.json.raw_field(name, raw);
            } else {
                writer.drop(name);
            }
        }
        _ => return write_cross_dialect(name, raw, writer),
    }
    Ok(())
}

/// Another dialect's field that the hub has no word for.
fn write_cross_dialect(name: &str, raw: &RawValue, writer: &mut RequestWriter<'_>) -> Result<(), Refusal> {
    match name {
        "logprobs" if raw.get() == "true" && !vendors::takes_logprobs(writer.model) => {
            return Err(ROOT.field("logprobs").refuse("a model that reasons tells no log probabilities"));
        }
        // Another dialect's reader has these words of ours for its own.
        "logprobs" if raw.get() == "true" => writer.json.raw_field(name, raw),
        "top_logprobs" if raw.get() != "0" => writer.json.raw_field(name, raw),
        // The one dialect beside this that has the word means the same by it.
        "logit_bias" => writer.json.raw_field(name, raw),
        // The words of others are others.
        "service_tier" if writer.look_alike().is_some() => writer.drop(name),
        "service_tier" => match raw.get() {
            "\"standard_only\"" => writer.json.text_field(name, "default"),
            _ => writer.json.text_field(name, "auto"),
        },
        // Nothing is asked for.
        "mcp_servers" | "cachedContent" if matches!(raw.get(), "[]" | "\"\"") => {}
        // These decide what is answered, not how.
        "mcp_servers" | "container" | "cachedContent" => {
            return Err(ROOT.field(name).refuse("has no equivalent at this provider"));
        }
        "thread" => return Err(no_threads()),
        _ => writer.drop(name),
    }
    Ok(())
}
