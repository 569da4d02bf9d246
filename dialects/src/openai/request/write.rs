//! Writes a request's top level out of the hub's words. The rules of what is dropped or refused are those of
//! docs/dialects-openai.md, section "Towards OpenAI".

use super::pen::Pen;
use super::write_turns;
use crate::dialect::Dialect;
use crate::hub::{Call, Extra, Fields, Format, Reasoning, Sampling, Tool, ToolChoice};
use crate::json::{ROOT, Writer};
use crate::seam::{Encoded, NO_THREADS, Refusal, Target};

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
        max_tokens,
        sampling,
        stop,
        format,
        reasoning,
        stream,
        stream_usage: _,
        end_user,
        extra,
    } = call;
    let mut pen = Pen {
        json: Writer::with_capacity(4096),
        dropped: Vec::new(),
        same: extra.dialect == Dialect::OpenAiChat,
        compatible: target.compatible,
    };
    pen.json.open(b'{');
    pen.json.text_field("model", model);
    pen.json.open_field("messages", b'[');
    write_turns::system(system, &mut pen);
    write_turns::messages(messages, &mut pen)?;
    pen.json.close(b']');
    write_tools(tools, &mut pen)?;
    if let Some(choice) = tool_choice {
        write_tool_choice(choice, &mut pen.json);
    }
    // OpenAI refuses the switch where there are no tools; other dialects' callers may set it all the same.
    if let Some(parallel) = parallel_tools.filter(|_| pen.same || !tools.is_empty()) {
        pen.json.value_field("parallel_tool_calls", parallel);
    }
    if let Some(most) = max_tokens.or(target.default_max_tokens) {
        pen.json.value_field(if target.compatible { "max_tokens" } else { "max_completion_tokens" }, most);
    }
    write_sampling(sampling, target, &mut pen);
    if !stop.is_empty() {
        pen.json.open_field("stop", b'[');
        stop.iter().for_each(|text| pen.json.text(text));
        pen.json.close(b']');
    }
    if let Some(format) = format {
        write_format(format, &mut pen.json);
    }
    write_reasoning(reasoning.as_ref(), &mut pen);
    write_end_user(end_user.as_deref(), &mut pen);
    write_stream(*stream, extra, &mut pen);
    write_extra(extra, &mut pen)?;
    pen.json.close(b'}');
    Ok(Encoded { body: pen.json.into_bytes(), dropped: pen.dropped, headers: Vec::new() })
}

fn write_tools(tools: &[Tool], pen: &mut Pen) -> Result<(), Refusal> {
    if tools.is_empty() {
        return Ok(());
    }
    let list = ROOT.field("tools");
    pen.json.open_field("tools", b'[');
    for (index, tool) in tools.iter().enumerate() {
        let at = list.index(index);
        match tool {
            Tool::Function { name, description, parameters, strict, cache, extra } => {
                pen.json.open(b'{');
                pen.json.text_field("type", "function");
                pen.json.open_field("function", b'{');
                pen.json.text_field("name", name);
                if let Some(text) = description {
                    pen.json.text_field("description", text);
                }
                if let Some(schema) = parameters {
                    pen.json.raw_field("parameters", schema);
                }
                if let Some(strict) = strict {
                    pen.json.value_field("strict", strict);
                }
                pen.extra(extra, &at);
                pen.json.close(b'}');
                pen.cache(cache.as_ref(), &at);
                pen.json.close(b'}');
            }
            Tool::Other { dialect: Dialect::OpenAiChat, raw } => pen.json.raw(raw.get()),
            Tool::Other { dialect, raw: _ } => {
                let what = format!("a tool that {} runs itself has no equivalent at this provider", dialect.name());
                return Err(at.refuse(what));
            }
        }
    }
    pen.json.close(b']');
    Ok(())
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

fn write_sampling(sampling: &Sampling, target: &Target, pen: &mut Pen) {
    let Sampling { temperature, top_p, top_k, seed, frequency_penalty, presence_penalty, choices } = sampling;
    let numbers = [
        ("temperature", temperature.as_ref().or(target.default_temperature.as_ref())),
        ("top_p", top_p.as_ref()),
        ("frequency_penalty", frequency_penalty.as_ref()),
        ("presence_penalty", presence_penalty.as_ref()),
    ];
    for (name, number) in numbers {
        if let Some(number) = number {
            pen.json.value_field(name, number);
        }
    }
    if let Some(k) = top_k {
        if pen.same || pen.compatible {
            pen.json.value_field("top_k", k);
        } else {
            pen.drop("top_k");
        }
    }
    if let Some(seed) = seed {
        pen.json.value_field("seed", seed);
    }
    if let Some(choices) = choices {
        pen.json.value_field("n", choices);
    }
}

fn write_format(format: &Format, json: &mut Writer) {
    json.open_field("response_format", b'{');
    match format {
        Format::Json => json.text_field("type", "json_object"),
        Format::Schema { name, description, schema, strict } => {
            json.text_field("type", "json_schema");
            json.open_field("json_schema", b'{');
            // OpenAI requires a name.
            json.text_field("name", name.as_deref().unwrap_or("response"));
            if let Some(text) = description {
                json.text_field("description", text);
            }
            json.raw_field("schema", schema);
            if let Some(strict) = strict {
                json.value_field("strict", strict);
            }
            json.close(b'}');
        }
    }
    json.close(b'}');
}

/// The effort a budget of thinking tokens stands for: up to 2 048 low, up to 8 192 medium, above high.
fn effort_of_budget(tokens: u64) -> &'static str {
    match tokens {
        0..=2048 => "low",
        2049..=8192 => "medium",
        _ => "high",
    }
}

fn write_reasoning(reasoning: Option<&Reasoning>, pen: &mut Pen) {
    let effort = match reasoning {
        None => return,
        Some(Reasoning::Effort(effort)) if pen.same => effort,
        // The efforts above `high` that other dialects know are not known by every model here.
        Some(Reasoning::Effort(effort)) if matches!(effort.as_str(), "max" | "xhigh") => "high",
        Some(Reasoning::Effort(effort)) => effort,
        Some(Reasoning::Budget(tokens)) => effort_of_budget(*tokens),
        Some(Reasoning::Off) if pen.same => "none",
        // Models that do not reason refuse the field, and those that do choose for themselves without it.
        Some(Reasoning::Off | Reasoning::Adaptive) => return pen.drop("thinking"),
    };
    pen.json.text_field("reasoning_effort", effort);
}

fn write_end_user(end_user: Option<&str>, pen: &mut Pen) {
    /// OpenAI refuses a longer `user`; Claude Code's ids are longer.
    const LONGEST: usize = 64;
    match end_user {
        Some(user) if pen.same || user.chars().count() <= LONGEST => pen.json.text_field("user", user),
        Some(_) => pen.drop("metadata.user_id"),
        None => {}
    }
}

fn write_stream(stream: bool, extra: &Extra, pen: &mut Pen) {
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

/// Gives the caller's own fields back; of another dialect's, only what has an equivalent or may go by rule.
fn write_extra(extra: &Extra, pen: &mut Pen) -> Result<(), Refusal> {
    let Extra { dialect, fields } = extra;
    for (name, raw) in fields {
        match (dialect, name.as_str()) {
            (Dialect::OpenAiChat, "stream_options") => {}
            (Dialect::OpenAiChat, _) => pen.json.raw_field(name, raw),
            (Dialect::AnthropicMessages, "service_tier") => match raw.get() {
                "\"standard_only\"" => pen.json.text_field(name, "default"),
                _ => pen.json.text_field(name, "auto"),
            },
            // These decide what is answered, not how.
            (Dialect::AnthropicMessages, "mcp_servers" | "container") => {
                return Err(ROOT.field(name).refuse("has no equivalent at this provider"));
            }
            // A conversation that the vendor holds: only what came last is in this body. SDKs that try it first go on
            // without when they are told so in these words.
            (Dialect::AnthropicMessages, "thread") => {
                let refusal = ROOT.field(name).refuse("message threads are not available at this provider");
                return Err(refusal.code(NO_THREADS));
            }
            (Dialect::AnthropicMessages, _) => pen.drop(name),
        }
    }
    Ok(())
}
