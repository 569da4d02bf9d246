//! The amount that the model may think, and the shape of its answer: `thinking`, `output_config` and `output_format`.

use crate::anthropic_messages::blocks_out::BlockWriter;
use crate::codec::{ProviderProfile, Refusal};
use crate::hub::{Call, Format, Raw, Reasoning, ToolChoice};
use crate::json::{Object, Path, ROOT};
use crate::thoughts::may_think;
use crate::vendors::{self, Claude, ThinkingMode};
use crate::verbatim::adaptive;
use serde::Serialize;
use serde_json::value::RawValue;
use std::borrow::Cow;

/// The value of `max_tokens` when neither the caller nor the pool says, of a model that nobody knows: every Claude model can answer with
/// so many.
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

/// The settings as read: the hub's words, and the fields whole where they say more than those.
#[derive(Default)]
pub(super) struct ThinkingRead {
    pub(super) format: Option<Format>,
    pub(super) reasoning: Option<Reasoning>,
    /// True if thoughts are asked to be told.
    pub(super) told: bool,
    pub(super) thinking: Option<Raw>,
    pub(super) output_config: Option<Raw>,
}

const CONFIG: Path<'static> = ROOT.field("output_config");

/// Reads the three fields. `output_format` is where `output_config.format` stood while it was in beta.
pub(super) fn read(top: &mut Object<'_>) -> Result<ThinkingRead, Refusal> {
    let mut thought = ThinkingRead::default();
    if let Some(raw) = top.take("thinking") {
        let (reasoning, whole) = thinking(raw)?;
        thought.reasoning = reasoning;
        thought.told = whole && raw.get().contains("\"summarized\"");
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
    Enabled {
        budget_tokens: u64,
    },
    Adaptive {
        #[serde(skip_serializing_if = "Option::is_none")]
        display: Option<ThoughtDisplay>,
    },
    Disabled,
}

impl Thinking {
    /// As much as the model finds right, told as it is where nobody asks.
    const ADAPTIVE: Self = Self::Adaptive { display: None };
}

/// `thinking.display`.
#[derive(Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum ThoughtDisplay {
    Summarized,
}

/// `max_tokens`, `thinking` and `output_config.effort`, which hang together: thoughts count as answer tokens.
pub(super) struct Plan<'a> {
    pub(super) max_tokens: u64,
    /// Set where nobody has said how many tokens: the fewest to ask for beside a prompt that leaves no room for as many.
    pub(super) least: Option<u64>,
    /// Set where the caller asked for more tokens than the model answers with.
    pub(super) clamped: Option<u64>,
    pub(super) thinking: Option<Thinking>,
    pub(super) effort: Option<&'a str>,
}

/// The number of tokens that are asked for.
struct Room<'a> {
    call: &'a Call,
    /// Those that the pool says.
    default: Option<u64>,
    /// Those that the model answers with, where that is known: other vendors' callers are used to get as many where they say nothing.
    usual: Option<u64>,
    /// The most that the model answers with, where it is known.
    most: Option<u64>,
}

impl<'a> Room<'a> {
    fn new(call: &'a Call, profile: &ProviderProfile, model: &Claude, foreign: bool) -> Self {
        let known = profile.max_output.get(&call.model).copied();
        let usual = known.or(model.max_output).or_else(|| profile.known_output.get(&call.model).copied());
        // A caller of this dialect knows this vendor's limits.
        let most = known.or_else(|| model.max_output.filter(|_| foreign));
        Self { call, default: profile.default_max_tokens, usual, most }
    }

    /// The tokens that the caller allows, as far as the model goes.
    fn allowed(&self) -> Option<u64> {
        self.call.max_tokens.map(|asked| self.most.map_or(asked, |most| most.min(asked)))
    }

    fn plan(&self, budget: u64, thinking: Option<Thinking>) -> Plan<'a> {
        let beside = |tokens: u64| if tokens > budget { tokens } else { budget.saturating_add(DEFAULT_MAX_TOKENS) };
        let within = |tokens: u64| self.most.map_or(tokens, |most| most.min(tokens));
        let said = self.call.max_tokens.or_else(|| self.default.map(beside));
        let asked = said.unwrap_or_else(|| beside(self.usual.unwrap_or(DEFAULT_MAX_TOKENS)));
        let max_tokens = within(asked);
        let least = said.is_none().then(|| within(beside(DEFAULT_MAX_TOKENS)));
        Plan { max_tokens, least, clamped: (max_tokens < asked).then_some(max_tokens), thinking, effort: None }
    }
}

/// Decides the three. Errors: a `reasoning_effort` that nobody knows.
pub(super) fn plan<'a>(
    call: &'a Call,
    profile: &ProviderProfile,
    writer: &mut BlockWriter,
) -> Result<Plan<'a>, Refusal> {
    let model = vendors::claude(&call.model);
    let room = Room::new(call, profile, model, writer.cross_dialect());
    let mut plan = match &call.reasoning {
        None => Plan { effort: effort_of_budget(call).filter(|_| writer.cross_dialect()), ..room.plan(0, None) },
        Some(Reasoning::Off) if writer.cross_dialect() && !model.can_rest => {
            writer.drop_field("reasoning_effort");
            room.plan(0, None)
        }
        Some(Reasoning::Off) => room.plan(0, (model.thinking != ThinkingMode::Never).then_some(Thinking::Disabled)),
        Some(Reasoning::Adaptive) if writer.cross_dialect() => by_budget(None, model, &room, writer),
        Some(Reasoning::Budget(n)) if writer.cross_dialect() => by_budget(Some(*n), model, &room, writer),
        Some(Reasoning::Adaptive) => room.plan(0, Some(Thinking::ADAPTIVE)),
        Some(Reasoning::Budget(n)) => room.plan(*n, Some(Thinking::Enabled { budget_tokens: *n })),
        Some(Reasoning::Effort(effort)) if !writer.cross_dialect() => {
            let said = call.extra.fields.contains_key("output_config");
            let thinking = (!said).then_some(Thinking::ADAPTIVE);
            Plan { effort: Some(effort), ..room.plan(0, thinking) }
        }
        Some(Reasoning::Effort(effort)) => by_effort(effort, model, &room, writer)?,
    };
    if writer.cross_dialect() && call.thoughts_told && vendors::omits_thoughts(&call.model) {
        plan.thinking = summarized(plan.thinking, call, model);
    }
    Ok(plan)
}

/// The same thinking of a model that tells nothing of it unless it is asked to, for a caller who asks.
fn summarized(thinking: Option<Thinking>, call: &Call, model: &Claude) -> Option<Thinking> {
    match thinking {
        None if !model.thinks_untold || is_forced(call, model) => None,
        None | Some(Thinking::Adaptive { .. }) => {
            Some(Thinking::Adaptive { display: Some(ThoughtDisplay::Summarized) })
        }
        other @ Some(Thinking::Enabled { .. } | Thinking::Disabled) => other,
    }
}

/// The translation of OpenAI's `reasoning_effort`.
fn by_effort<'a>(effort: &str, model: &Claude, room: &Room<'a>, writer: &mut BlockWriter) -> Result<Plan<'a>, Refusal> {
    let row = EFFORTS.iter().find(|row| row.0 == effort);
    let Some((_, full, effort)) = row else {
        let known = EFFORTS.map(|row| row.0).join("`, `");
        let why = format_args!("`{effort}` is none of `none`, `{known}`");
        return Err(Refusal::field("reasoning_effort", why));
    };
    let forced = is_forced(room.call, model);
    // The answer needs its half of what the caller allows, and of what the model can.
    let most = room.allowed().or(room.most).unwrap_or(u64::MAX);
    let budget = (most / 2).min(*full);
    Ok(match model.thinking {
        ThinkingMode::Adaptive => {
            Plan { effort: Some(effort), ..room.plan(*full, (!forced).then_some(Thinking::ADAPTIVE)) }
        }
        ThinkingMode::Budget if !forced && budget >= LEAST_BUDGET && may_think(&room.call.messages) => {
            room.plan(budget, Some(Thinking::Enabled { budget_tokens: budget }))
        }
        ThinkingMode::Budget | ThinkingMode::Never => {
            writer.drop_field("reasoning_effort");
            room.plan(0, None)
        }
    })
}

/// The translation of another dialect's budget of tokens, or of its wish that the model thinks as much as it finds
/// right.
fn by_budget<'a>(budget: Option<u64>, model: &Claude, room: &Room<'a>, writer: &mut BlockWriter) -> Plan<'a> {
    // Of a model that is told a budget and not how much, what is in the middle.
    const USUAL: u64 = 8192;
    let forced = is_forced(room.call, model);
    let most = room.allowed().or(room.most).unwrap_or(u64::MAX);
    let tokens = budget.unwrap_or_else(|| USUAL.min(most / 2)).min(most.saturating_sub(1));
    match model.thinking {
        ThinkingMode::Adaptive => room.plan(budget.unwrap_or(0), (!forced).then_some(Thinking::ADAPTIVE)),
        ThinkingMode::Budget if !forced && tokens >= LEAST_BUDGET && may_think(&room.call.messages) => {
            room.plan(tokens, Some(Thinking::Enabled { budget_tokens: tokens }))
        }
        ThinkingMode::Budget | ThinkingMode::Never => {
            writer.drop_field("thinking");
            room.plan(0, None)
        }
    }
}

/// The field `thinking` of a caller who sends Anthropic's own words beside OpenAI's, as the model takes it; `None`: as it stands.
pub(super) fn without_budget(raw: &RawValue, model: &str) -> Option<(Box<RawValue>, u64)> {
    let (Some(Reasoning::Budget(tokens)), _) = thinking(raw).ok()? else { return None };
    if vendors::claude(model).takes_budgets() {
        return None;
    }
    Some((RawValue::from_string(adaptive(raw.get())?).ok()?, tokens))
}

/// The effort that stands in for such a budget.
fn effort_of_budget(call: &Call) -> Option<&'static str> {
    let (_, tokens) = without_budget(call.extra.fields.get("thinking")?, &call.model)?;
    let row = EFFORTS.iter().filter(|(.., effort)| *effort != "max").rfind(|(_, full, _)| *full <= tokens);
    Some(row.map_or("low", |(.., effort)| effort))
}

/// True if a tool is forced: Anthropic refuses thinking beside it.
fn is_forced(call: &Call, model: &Claude) -> bool {
    call.tool_choice.as_ref().is_some_and(ToolChoice::is_a_must) && model.takes_a_must()
}

/// True if a model that is known does not think for a call: with what is said of it, or the field `whole`. Other vendors' models
/// behind this dialect may think untold.
pub(super) fn rests(model: &str, thinking: Option<&Thinking>, whole: Option<&Cow<'_, RawValue>>) -> bool {
    let off = match whole {
        Some(raw) => raw.get().contains("\"disabled\""),
        None => matches!(thinking, Some(Thinking::Disabled)),
    };
    let told = !off && (whole.is_some() || thinking.is_some());
    let model = vendors::claude(model);
    model.is_known() && !model.may_think(told, off)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dialect::Dialect;

    #[test]
    fn a_caller_without_a_limit_gets_what_the_model_answers_with_where_that_is_known() {
        let listed = [("claude-of-tomorrow".to_owned(), 200_000)];
        let said = [("claude-said".to_owned(), 9_000)];
        let known =
            ProviderProfile { known_output: listed.into(), max_output: said.into(), ..ProviderProfile::default() };
        let of_pool = ProviderProfile { default_max_tokens: Some(5_000), ..known.clone() };
        for (model, effort, tokens, of_pools) in [
            ("claude-opus-5-5", None, 128_000, 5_000),
            ("claude-sonnet-4-5-20250929", Some("high"), 64_000, 20_480),
            ("claude-3-haiku-20240307", None, 4_096, 4_096),
            ("claude-of-tomorrow", None, 200_000, 5_000),
            ("claude-said", Some("low"), 9_000, 5_000),
            ("claude-unheard-of", None, 4_096, 5_000),
            ("claude-unheard-of", Some("medium"), 12_288, 12_288),
        ] {
            let effort = effort.map_or_else(String::new, |effort| format!(r#","reasoning_effort":"{effort}""#));
            let body = format!(r#"{{"model":"{model}"{effort},"messages":[{{"role":"user","content":"Hi"}}]}}"#);
            let call = Dialect::OpenAiChat.decode_call(body.as_bytes()).unwrap();
            for (profile, tokens) in [(&known, tokens), (&of_pool, of_pools)] {
                let mut writer = BlockWriter::request(Dialect::OpenAiChat, |_, _, _| String::new());
                let plan = plan(&call, profile, &mut writer).unwrap();
                assert_eq!(plan.max_tokens, tokens, "{model} {effort}");
            }
        }
    }

    #[test]
    fn who_asks_for_thoughts_is_told_them_by_models_that_leave_them_out() {
        let (summarized, adaptive) = (r#"{"type":"adaptive","display":"summarized"}"#, r#"{"type":"adaptive"}"#);
        let responses = r#"{"model":"m","input":"Hi","reasoning":{"effort":"low","summary":"auto"}}"#.to_owned();
        let contents = r#""contents":[{"parts":[{"text":"Hi"}]}]"#;
        let gemini = |told: bool| {
            format!(
                r#"{{{contents},"generationConfig":{{"thinkingConfig":{{"thinkingLevel":"low","includeThoughts":{told}}}}}}}"#
            )
        };
        let converse = |display: &str| {
            let thinking = format!(r#"{{"thinking":{{"type":"adaptive"{display}}}}}"#);
            format!(
                r#"{{"messages":[{{"role":"user","content":[{{"text":"Hi"}}]}}],"additionalModelRequestFields":{thinking}}}"#
            )
        };
        for (dialect, body, model, thinking) in [
            (Dialect::OpenAiResponses, responses.clone(), "claude-opus-5-5", summarized),
            (Dialect::OpenAiResponses, responses.clone(), "claude-opus-4-7", summarized),
            (Dialect::OpenAiResponses, responses.clone(), "claude-of-tomorrow", summarized),
            (Dialect::OpenAiResponses, responses.clone(), "claude-opus-4-6", adaptive),
            (Dialect::OpenAiResponses, responses.clone(), "glm-5", adaptive),
            (Dialect::OpenAiResponses, responses.replace(r#""effort":"low","#, ""), "claude-sonnet-5", summarized),
            (Dialect::OpenAiResponses, responses.replace(r#""effort":"low","#, ""), "claude-opus-4-7", "null"),
            (Dialect::OpenAiResponses, responses.replace(r#","summary":"auto""#, ""), "claude-opus-5", adaptive),
            (Dialect::Gemini, gemini(true), "claude-sonnet-5", summarized),
            (Dialect::Gemini, gemini(false), "claude-sonnet-5", adaptive),
            (Dialect::BedrockConverse, converse(r#","display":"summarized""#), "claude-opus-4-8", summarized),
            (Dialect::BedrockConverse, converse(""), "claude-opus-4-8", adaptive),
        ] {
            let mut call = dialect.decode_call(body.as_bytes()).unwrap();
            model.clone_into(&mut call.model);
            let mut writer = BlockWriter::request(dialect, |_, _, _| String::new());
            let plan = plan(&call, &ProviderProfile::default(), &mut writer).unwrap();
            assert_eq!(serde_json::to_string(&plan.thinking).unwrap(), thinking, "{model} {body}");
        }
    }
}
