//! How much the model may think and how its answer is shaped: `thinking`, `output_config` and `output_format`.

use crate::anthropic::blocks_out::Writer;
use crate::hub::{Call, Format, Raw, Reasoning, ToolChoice};
use crate::json::{Object, Path, ROOT};
use crate::seam::{Refusal, Target};
use serde::Serialize;
use serde_json::value::RawValue;

/// What `max_tokens` is when neither the caller nor the pool says: every Claude model can answer with so many.
const DEFAULT_MAX_TOKENS: u64 = 4096;
/// The least that Anthropic takes as `budget_tokens`.
const LEAST_BUDGET: u64 = 1024;

/// OpenAI's `reasoning_effort`, the `budget_tokens` it becomes and the `effort` it becomes.
const EFFORTS: [(&str, u64, &str); 6] = [
    ("minimal", 1024, "low"),
    ("low", 2048, "low"),
    ("medium", 8192, "medium"),
    ("high", 16_384, "high"),
    ("xhigh", 32_768, "xhigh"),
    ("max", 32_768, "max"),
];

/// How a model is told to think.
#[derive(Clone, Copy, PartialEq)]
enum Way {
    /// It does not.
    Never,
    /// `thinking.budget_tokens`.
    Budget,
    /// `thinking: adaptive` with `output_config.effort`; later models refuse a budget.
    Effort,
}

/// Models by a piece of their name, first match counts; all others are told by effort, as every model since Claude 4.6.
const WAYS: [(&str, Way); 14] = [
    ("claude-instant", Way::Never),
    ("claude-2", Way::Never),
    ("claude-3-7", Way::Budget),
    ("claude-3", Way::Never),
    ("claude-opus-4-0", Way::Budget),
    ("claude-opus-4-1", Way::Budget),
    ("claude-opus-4-5", Way::Budget),
    ("claude-opus-4-2025", Way::Budget),
    ("claude-opus-4@", Way::Budget),
    ("claude-sonnet-4-0", Way::Budget),
    ("claude-sonnet-4-5", Way::Budget),
    ("claude-sonnet-4-2025", Way::Budget),
    ("claude-sonnet-4@", Way::Budget),
    ("claude-haiku-4-5", Way::Budget),
];

/// What was read: the hub's words, and the fields whole where they say more than those.
#[derive(Default)]
pub(super) struct Thought {
    pub(super) format: Option<Format>,
    pub(super) reasoning: Option<Reasoning>,
    pub(super) thinking: Option<Raw>,
    pub(super) output_config: Option<Raw>,
}

const CONFIG: Path<'static> = ROOT.field("output_config");

/// Reads the three fields. `output_format` is where `output_config.format` stood while it was in beta.
pub(super) fn read(top: &mut Object<'_>) -> Result<Thought, Refusal> {
    let mut thought = Thought::default();
    if let Some(raw) = top.take("thinking") {
        let (reasoning, whole) = thinking(raw)?;
        thought.reasoning = reasoning;
        thought.thinking = whole.then(|| raw.to_owned());
    }
    let beta = top.take("output_format");
    if let Some(raw) = beta {
        thought.format = Some(format(raw, &ROOT.field("output_format"))?);
    }
    let Some(raw) = top.take("output_config") else { return Ok(thought) };
    let mut config = Object::read(raw.get(), &CONFIG)?;
    if let Some(raw) = config.take("format") {
        if beta.is_some() {
            return Err(Refusal::field(
                "output_format",
                "given beside `output_config.format`, which has taken its place",
            ));
        }
        thought.format = Some(format(raw, &CONFIG.field("format"))?);
    }
    let effort = config.text("effort", &CONFIG)?;
    // Effort shapes all of an answer, with or without thinking; the hub's word for it includes thinking.
    let adaptive = matches!(thought.reasoning, Some(Reasoning::Adaptive)) && thought.thinking.is_none();
    if !config.is_empty() || (effort.is_some() && !adaptive) {
        thought.output_config = Some(raw.to_owned());
    }
    if let Some(effort) = effort
        && matches!(thought.reasoning, None | Some(Reasoning::Adaptive))
    {
        thought.reasoning = Some(Reasoning::Effort(effort));
    }
    Ok(thought)
}

/// In the hub's words, and whether the field says more than those.
fn thinking(raw: &RawValue) -> Result<(Option<Reasoning>, bool), Refusal> {
    const AT: Path<'static> = ROOT.field("thinking");
    let mut object = Object::read(raw.get(), &AT)?;
    let kind = object.required("type", &AT)?;
    let reasoning = match &*kind {
        "enabled" => {
            let budget = object.count("budget_tokens", &AT)?;
            Reasoning::Budget(budget.ok_or_else(|| AT.field("budget_tokens").refuse("the field is required"))?)
        }
        "adaptive" => Reasoning::Adaptive,
        "disabled" => Reasoning::Off,
        // `between_tools` and whatever comes: only Anthropic knows what it means.
        _ => return Ok((None, true)),
    };
    Ok((Some(reasoning), !object.is_empty()))
}

fn format(raw: &RawValue, at: &Path<'_>) -> Result<Format, Refusal> {
    let mut object = Object::read(raw.get(), at)?;
    let kind = object.required("type", at)?;
    if kind != "json_schema" {
        return Err(at.field("type").refuse("only `json_schema` is known"));
    }
    let schema = object.raw("schema").ok_or_else(|| at.field("schema").refuse("the field is required"))?;
    Ok(Format::Schema { name: None, description: None, schema, strict: Some(true) })
}

/// `thinking` on the wire.
#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(super) enum Thinking {
    Enabled { budget_tokens: u64 },
    Adaptive,
    Disabled,
}

/// `max_tokens`, `thinking` and `output_config.effort`, which hang together: thoughts count as answer tokens.
pub(super) struct Plan<'a> {
    pub(super) max_tokens: u64,
    pub(super) thinking: Option<Thinking>,
    pub(super) effort: Option<&'a str>,
}

/// Decides the three. Errors: a `reasoning_effort` that nobody knows.
pub(super) fn plan<'a>(call: &'a Call, target: &Target, writer: &mut Writer) -> Result<Plan<'a>, Refusal> {
    let default = target.default_max_tokens.unwrap_or(DEFAULT_MAX_TOKENS);
    let room = |budget: u64| {
        let roomy = if default > budget { default } else { budget.saturating_add(DEFAULT_MAX_TOKENS) };
        call.max_tokens.unwrap_or(roomy)
    };
    let plan = |budget, thinking| Plan { max_tokens: room(budget), thinking, effort: None };
    Ok(match &call.reasoning {
        None => plan(0, None),
        Some(Reasoning::Off) => plan(0, (way(&call.model) != Way::Never).then_some(Thinking::Disabled)),
        Some(Reasoning::Adaptive) => plan(0, Some(Thinking::Adaptive)),
        Some(Reasoning::Budget(n)) => plan(*n, Some(Thinking::Enabled { budget_tokens: *n })),
        Some(Reasoning::Effort(effort)) if !writer.foreign() => {
            let said = call.extra.fields.contains_key("output_config");
            Plan { max_tokens: room(0), thinking: (!said).then_some(Thinking::Adaptive), effort: Some(effort) }
        }
        Some(Reasoning::Effort(effort)) => {
            let row = EFFORTS.iter().find(|row| row.0 == effort);
            let Some((_, budget, effort)) = row else {
                let known = EFFORTS.map(|row| row.0).join("`, `");
                let why = format_args!("`{effort}` is none of `none`, `{known}`");
                return Err(Refusal::field("reasoning_effort", why));
            };
            let max_tokens = room(*budget);
            // Anthropic refuses thinking where a tool is forced.
            let forced = matches!(call.tool_choice, Some(ToolChoice::Required | ToolChoice::Named(_)));
            // The answer needs its half of what the caller allows.
            let budget = call.max_tokens.map_or(*budget, |most| (most / 2).min(*budget));
            match way(&call.model) {
                Way::Effort => {
                    Plan { max_tokens, thinking: (!forced).then_some(Thinking::Adaptive), effort: Some(effort) }
                }
                Way::Budget if !forced && budget >= LEAST_BUDGET => {
                    plan(budget, Some(Thinking::Enabled { budget_tokens: budget }))
                }
                Way::Budget | Way::Never => {
                    writer.drop_field("reasoning_effort");
                    plan(0, None)
                }
            }
        }
    })
}

fn way(model: &str) -> Way {
    WAYS.iter().find(|(piece, _)| model.contains(piece)).map_or(Way::Effort, |(_, way)| *way)
}
