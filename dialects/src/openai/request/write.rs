//! Writes a request's top level out of the hub's words. The rules of what is dropped or refused are those of
//! docs/dialects-openai.md, section "Towards OpenAI".

use serde_json::value::RawValue;

use super::pen::Pen;
use super::write_parts::type_of;
use super::{schema, write_settings, write_system, write_turns};
use crate::dialect::Dialect;
use crate::hub::{Call, Extra, Fields, Tool, ToolChoice};
use crate::json::{Path, ROOT, Writer};
use crate::seam::{Encoded, NO_THREADS, Refusal, Target};
use crate::vendors::FieldAction;

/// Writes what a provider is sent.
///
/// A streamed call always asks for usage, for the ledger; the caller's stream shows it only when the caller asked.
/// Errors: the call holds what Chat Completions has no word for.
pub fn encode(call: &Call, target: &Target) -> Result<Encoded, Refusal> {
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
        format,
        reasoning: _,
        stream,
        stream_usage: _,
        end_user,
        extra,
    } = call;
    let mut pen = Pen::new(extra.dialect, target);
    pen.json.open(b'{');
    pen.json.text_field("model", model);
    pen.json.open_field("messages", b'[');
    write_system::system(system, messages, &mut pen)?;
    write_turns::messages(messages, &mut pen)?;
    if pen.json.is_bare() {
        return Err(ROOT.field("messages").refuse("at least one message with content is required"));
    }
    pen.json.close(b']');
    let tools = write_tools(tools, &mut pen)?;
    // OpenAI refuses both where there are no tools; other dialects' callers may set them all the same.
    if let Some(choice) = tool_choice.as_ref().filter(|_| pen.same || tools) {
        write_tool_choice(choice, &mut pen.json);
    }
    if let Some(parallel) = parallel_tools.filter(|_| pen.same || tools) {
        pen.json.value_field("parallel_tool_calls", parallel);
    }
    let clamped = write_settings::max_tokens(call, &mut pen);
    write_settings::sampling(call, &mut pen);
    if !stop.is_empty() {
        pen.json.open_field("stop", b'[');
        stop.iter().for_each(|text| pen.json.text(text));
        pen.json.close(b']');
    }
    if let Some(format) = format {
        write_settings::format(format, &mut pen);
    }
    write_settings::reasoning(call, tools, &mut pen);
    write_end_user(end_user.as_deref(), &mut pen);
    write_stream(*stream, extra, &mut pen);
    write_extra(extra, &mut pen)?;
    pen.json.close(b'}');
    Ok(Encoded { body: pen.json.into_bytes(), dropped: pen.dropped, headers: Vec::new(), clamped })
}

/// Writes the tools; `false`: there are none.
fn write_tools(tools: &[Tool], pen: &mut Pen<'_>) -> Result<bool, Refusal> {
    const LIST: Path<'static> = ROOT.field("tools");
    let mut written = false;
    for (index, tool) in tools.iter().enumerate() {
        let at = LIST.index(index);
        match tool {
            Tool::Other { dialect: Dialect::AnthropicMessages, .. } if pen.target.drop_server_tools => {
                pen.drop(at);
                continue;
            }
            Tool::Other { dialect: dialect @ Dialect::AnthropicMessages, raw } => {
                let kind = type_of(raw.get());
                let what = format!(
                    "`{kind}` is a tool that {} runs itself, and this provider has none of that kind",
                    dialect.name()
                );
                return Err(at.refuse(what));
            }
            Tool::Function { .. } | Tool::Other { dialect: Dialect::OpenAiChat, .. } => {}
        }
        if !written {
            pen.json.open_field("tools", b'[');
            written = true;
        }
        write_tool(tool, &at, pen);
    }
    if written {
        pen.json.close(b']');
    }
    Ok(written)
}

fn write_tool(tool: &Tool, at: &Path<'_>, pen: &mut Pen<'_>) {
    let (name, description, parameters, strict, cache, extra) = match tool {
        Tool::Function { name, description, parameters, strict, cache, extra } => {
            (name, description, parameters, strict, cache, extra)
        }
        Tool::Other { dialect: _, raw } => return pen.json.raw(raw.get()),
    };
    pen.json.open(b'{');
    pen.json.text_field("type", "function");
    pen.json.open_field("function", b'{');
    pen.json.text_field("name", name);
    if let Some(text) = description {
        pen.json.text_field("description", text);
    }
    if let Some(parameters) = parameters {
        write_parameters(parameters, pen);
    }
    if let Some(strict) = strict {
        let strict = *strict && (pen.same || parameters.as_deref().is_some_and(schema::is_strict));
        pen.json.value_field("strict", strict);
    }
    pen.extra(extra, at);
    pen.json.close(b'}');
    pen.cache(cache.as_ref(), at);
    pen.json.close(b'}');
}

fn write_parameters(parameters: &RawValue, pen: &mut Pen<'_>) {
    if pen.same {
        pen.json.raw_field("parameters", parameters);
    } else {
        pen.json.raw_field("parameters", &schema::whole(parameters));
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

fn write_end_user(end_user: Option<&str>, pen: &mut Pen<'_>) {
    /// OpenAI refuses a longer `user`; Claude Code's ids are longer.
    const LONGEST: usize = 64;
    match end_user {
        Some(user) if pen.same || user.chars().count() <= LONGEST => pen.json.text_field("user", user),
        Some(_) => pen.drop("metadata.user_id"),
        None => {}
    }
}

fn write_stream(stream: bool, extra: &Extra, pen: &mut Pen<'_>) {
    if !stream {
        return;
    }
    pen.json.value_field("stream", true);
    pen.json.open_field("stream_options", b'{');
    pen.json.value_field("include_usage", true);
    let own = extra.fields.get("stream_options").filter(|_| pen.same);
    if let Some(mut fields) = own.and_then(|raw| serde_json::from_str::<Fields>(raw.get()).ok()) {
        fields.remove("include_usage");
        pen.json.fields(&fields);
    }
    pen.json.close(b'}');
}

/// Gives the caller's own fields back; of another dialect's, only what has an equivalent, what may go by rule, and what
/// the provider's policy passes.
fn write_extra(extra: &Extra, pen: &mut Pen<'_>) -> Result<(), Refusal> {
    let Extra { dialect, fields } = extra;
    for (name, raw) in fields {
        match (dialect, name.as_str()) {
            (Dialect::OpenAiChat, "stream_options") => continue,
            (Dialect::OpenAiChat, _) => {
                pen.json.raw_field(name, raw);
                continue;
            }
            (Dialect::AnthropicMessages, _) => {}
        }
        match pen.policy(name) {
            Some(FieldAction::Pass) => pen.json.raw_field(name, raw),
            Some(FieldAction::Rename(to)) => pen.json.raw_field(to, raw),
            Some(FieldAction::Drop) => pen.drop(name),
            Some(FieldAction::Refuse) => return Err(ROOT.field(name).refuse("this provider does not take it")),
            None => write_foreign(name, raw, pen)?,
        }
    }
    Ok(())
}

/// A field of Anthropic's that the hub has no word for.
fn write_foreign(name: &str, raw: &RawValue, pen: &mut Pen<'_>) -> Result<(), Refusal> {
    match name {
        "service_tier" => match raw.get() {
            "\"standard_only\"" => pen.json.text_field(name, "default"),
            _ => pen.json.text_field(name, "auto"),
        },
        // These decide what is answered, not how.
        "mcp_servers" | "container" => return Err(ROOT.field(name).refuse("has no equivalent at this provider")),
        // A conversation that the vendor holds: only what came last is in this body. SDKs that try it first go on
        // without when they are told so in these words.
        "thread" => {
            let refusal = ROOT.field(name).refuse("message threads are not available at this provider");
            return Err(refusal.code(NO_THREADS));
        }
        _ => pen.drop(name),
    }
    Ok(())
}
