//! Writes a request's settings: how long the answer may be, how it is drawn and shaped, how much the model may think; and
//! what becomes of other dialects' own fields.

use serde::Deserialize;
use serde_json::value::RawValue;

use super::draft::Draft;
use super::write_tools;
use crate::codec::{Refusal, no_threads};
use crate::gemini::schema;
use crate::hub::{Call, Format, Reasoning, Sampling};
use crate::json::{Object, ROOT};
use crate::left_out::beside;
use crate::vendors::{FieldAction, GeminiThinking, nearest};

/// The most texts that end an answer.
const MOST_STOPS: usize = 5;

/// Writes `generationConfig`; gives what the most tokens were brought down to. Errors: a setting that Gemini has not.
pub(super) fn config(call: &Call, draft: &mut Draft<'_>) -> Result<Option<u64>, Refusal> {
    draft.json.open_field("generationConfig", b'{');
    let clamped = max_tokens(call, draft);
    sampling(&call.sampling, draft);
    let stops: Vec<&String> = call.stop.iter().filter(|text| !text.is_empty()).collect();
    if stops.len() > MOST_STOPS {
        return Err(Refusal::field("stop", format!("a Gemini model takes at most {MOST_STOPS} stop texts")));
    }
    if !stops.is_empty() {
        draft.json.open_field("stopSequences", b'[');
        stops.into_iter().for_each(|text| draft.json.text(text));
        draft.json.close(b']');
    }
    format(call, draft);
    thinking(call, draft);
    logprobs(call, draft)?;
    if let Some(raw) = call.extra.fields.get("generationConfig").filter(|_| draft.same())
        && let Ok(more) = Object::read(raw.get(), &ROOT)
    {
        more.members().for_each(|(name, raw)| draft.json.raw_field(name, raw));
    }
    draft.json.close(b'}');
    Ok(clamped)
}

fn max_tokens(call: &Call, draft: &mut Draft<'_>) -> Option<u64> {
    let asked = call.max_tokens.or(draft.target.default_max_tokens)?;
    let most = draft.target.max_output.get(&call.model).copied().or(draft.model.max_output);
    let written = most.map_or(asked, |most| most.min(asked));
    draft.json.value_field("maxOutputTokens", written);
    (written < asked).then_some(written)
}

fn sampling(sampling: &Sampling, draft: &mut Draft<'_>) {
    let Sampling { temperature, top_p, top_k, seed, frequency_penalty, presence_penalty, choices } = sampling;
    let numbers = [
        ("temperature", temperature.as_ref().or(draft.target.default_temperature.as_ref())),
        ("topP", top_p.as_ref()),
        ("frequencyPenalty", frequency_penalty.as_ref()),
        ("presencePenalty", presence_penalty.as_ref()),
    ];
    for (name, number) in numbers {
        if let Some(number) = number {
            draft.json.value_field(name, number);
        }
    }
    if let Some(k) = top_k {
        draft.json.value_field("topK", k);
    }
    match seed.map(i32::try_from) {
        Some(Ok(seed)) => draft.json.value_field("seed", seed),
        // Google takes 32 bits.
        Some(Err(_)) => draft.drop("seed"),
        None => {}
    }
    if let Some(choices) = choices.filter(|choices| *choices != 1) {
        draft.json.value_field("candidateCount", choices);
    }
}

/// The form that the model can not be told by a field: models before Gemini 3 refuse one beside tools.
pub(super) fn unsaid_format<'a>(call: &'a Call, draft: &Draft<'_>) -> Option<&'a Format> {
    let said = draft.model.format_beside_tools || draft.same() || !write_tools::gives(call);
    call.format.as_ref().filter(|_| !said)
}

fn format(call: &Call, draft: &mut Draft<'_>) {
    let Some(format) = &call.format else { return };
    if unsaid_format(call, draft).is_some() {
        return draft.drop("response_format");
    }
    draft.json.text_field("responseMimeType", "application/json");
    if let Format::Schema { name: _, description: _, schema, strict: _ } = format {
        let mut lost = Vec::new();
        let schema = schema::for_gemini(schema, "response_format.schema", &mut |path| lost.push(path));
        draft.json.raw_field("responseJsonSchema", &schema);
        lost.into_iter().for_each(|path| draft.drop(path));
    }
}

/// The budget that an effort stands for where a model is told tokens: Google's own table for OpenAI's word.
fn budget_of(effort: &str) -> Option<u64> {
    Some(match effort {
        "none" => 0,
        "minimal" | "low" => 1024,
        "medium" => 8192,
        "high" | "xhigh" | "max" => 24_576,
        _ => return None,
    })
}

/// The effort that a budget stands for where a model is told a level.
const fn level_of(budget: u64) -> &'static str {
    match budget {
        0..=512 => "minimal",
        513..=2048 => "low",
        2049..=8192 => "medium",
        _ => "high",
    }
}

fn thinking(call: &Call, draft: &mut Draft<'_>) {
    let asked = asked(call);
    let Some(reasoning) = asked.as_ref().or(call.reasoning.as_ref()) else { return };
    let mut unsaid = false;
    let told = match (draft.model.thinking, reasoning) {
        (GeminiThinking::Never, Reasoning::Off) => return,
        (GeminiThinking::Never, _) => return draft.drop("thinking"),
        (_, Reasoning::Adaptive) => None,
        (GeminiThinking::Budget { least, most }, reasoning) => {
            let wanted = match reasoning {
                Reasoning::Off => Some(0),
                Reasoning::Budget(tokens) => Some(*tokens),
                // Thoughts count as answer: it needs its half of what the caller allows.
                Reasoning::Effort(effort) => {
                    let half = call.max_tokens.or(draft.target.default_max_tokens).map_or(u64::MAX, |most| most / 2);
                    budget_of(effort).map(|budget| budget.min(half))
                }
                Reasoning::Adaptive => None,
            };
            unsaid = wanted.is_none_or(|wanted| wanted < least && wanted == 0);
            wanted.map(|wanted| ("thinkingBudget", wanted.clamp(least, most).to_string()))
        }
        (GeminiThinking::Level(levels), reasoning) => {
            let wanted = match reasoning {
                Reasoning::Off => "minimal",
                Reasoning::Budget(tokens) => level_of(*tokens),
                Reasoning::Effort(effort) if effort == "none" => "minimal",
                Reasoning::Effort(effort) => effort,
                Reasoning::Adaptive => "",
            };
            let level = nearest(wanted, levels);
            // It can not be turned off.
            unsaid = level.is_none() || *reasoning == Reasoning::Off;
            level.map(|level| ("thinkingLevel", format!("\"{level}\"")))
        }
    };
    if unsaid {
        draft.drop("thinking");
    }
    draft.json.open_field("thinkingConfig", b'{');
    if let Some((name, value)) = told {
        draft.json.key(name);
        draft.json.raw(&value);
    }
    // Who asks for thoughts in these dialects is told them.
    if *reasoning != Reasoning::Off {
        draft.json.value_field("includeThoughts", true);
    }
    draft.json.close(b'}');
}

/// Anthropic's word for thinking, as OpenAI's SDKs send it by `extra_body`.
fn asked(call: &Call) -> Option<Reasoning> {
    let raw = call.extra.fields.get("thinking")?;
    let mut thinking = Object::read(raw.get(), &ROOT).ok()?;
    match thinking.text("type", &ROOT).ok()??.as_str() {
        "disabled" => Some(Reasoning::Off),
        "enabled" => Some(thinking.count("budget_tokens", &ROOT).ok()?.map_or(Reasoning::Adaptive, Reasoning::Budget)),
        _ => Some(Reasoning::Adaptive),
    }
}

/// OpenAI's `logprobs` and `top_logprobs`. Errors: they are no switch and no count, or the second stands alone.
fn logprobs(call: &Call, draft: &mut Draft<'_>) -> Result<(), Refusal> {
    let field = |name: &str| call.extra.fields.get(name).map(|raw| raw.get());
    // OpenAI refuses it without the switch, too, and Responses has none: what comes back is told in the words of Chat Completions.
    let asks_in_vain =
        field("top_logprobs").is_some_and(|count| count != "0") && !draft.target.fields.contains_key("top_logprobs");
    match field("logprobs") {
        None | Some("false") if asks_in_vain => {
            return Err(Refusal::field("top_logprobs", "the answer would tell no log probabilities"));
        }
        None | Some("false") => return Ok(()),
        Some("true") => draft.json.value_field("responseLogprobs", true),
        Some(_) => return Err(Refusal::field("logprobs", "must be true or false")),
    }
    if let Some(count) = field("top_logprobs").filter(|count| *count != "0") {
        let count = crate::json::count(count);
        let count =
            count.ok_or_else(|| Refusal::field("top_logprobs", "must be a whole number that is not negative"))?;
        draft.json.value_field("logprobs", count);
    }
    Ok(())
}

/// The rule for another dialect's own field.
enum Rule {
    /// It is Gemini's word, which SDKs of others send by `extra_body`.
    Pass(&'static str),
    /// Nothing is lost by leaving it out, or another field says it.
    Silent,
    /// These of its members are said by other fields; others are left out and said so.
    Partly(&'static [&'static str]),
    /// Refused, unless it is one of these values that ask for nothing.
    Refuse(&'static [&'static str]),
    /// Left out and said so, unless it is one of these values that ask for nothing.
    Drop(&'static [&'static str]),
}

/// Fields of other dialects. Whatever is not here is left out and said so in the call's `dropped`.
const FOREIGN: [(&str, Rule); 21] = [
    ("audio", Rule::Refuse(&[])),
    ("cachedContent", Rule::Pass("cachedContent")),
    ("cached_content", Rule::Pass("cachedContent")),
    ("container", Rule::Refuse(&[])),
    ("labels", Rule::Pass("labels")),
    ("logit_bias", Rule::Refuse(&["{}"])),
    ("logprobs", Rule::Silent),
    ("mcp_servers", Rule::Refuse(&["[]"])),
    ("modalities", Rule::Refuse(&["[\"text\"]", "[]"])),
    ("output_config", Rule::Partly(&["effort", "format"])),
    ("response_format", Rule::Refuse(&[])),
    ("safetySettings", Rule::Pass("safetySettings")),
    ("safety_settings", Rule::Pass("safetySettings")),
    ("service_tier", Rule::Drop(&["\"auto\"", "\"default\"", "\"standard_only\""])),
    ("store", Rule::Drop(&["false"])),
    ("stream_options", Rule::Silent),
    ("thinking", Rule::Silent),
    ("tool_choice", Rule::Refuse(&[])),
    ("toolConfig", Rule::Silent),
    ("top_logprobs", Rule::Silent),
    ("web_search_options", Rule::Refuse(&[])),
];

/// Writes the fields beside those the hub has words for. Errors: one whose meaning would be lost.
pub(super) fn rest(call: &Call, draft: &mut Draft<'_>) -> Result<(), Refusal> {
    if call.end_user.is_some() {
        draft.drop("user");
    }
    for (name, raw) in &call.extra.fields {
        if draft.same() {
            if !matches!(name.as_str(), "generationConfig" | "logprobs" | "top_logprobs") {
                draft.json.raw_field(name, raw);
            }
            continue;
        }
        match draft.target.fields.get(name) {
            Some(FieldAction::Pass) => draft.json.raw_field(name, raw),
            Some(FieldAction::Rename(to)) => draft.json.raw_field(to, raw),
            Some(FieldAction::Drop) => draft.drop(name),
            Some(FieldAction::Refuse) => return Err(Refusal::field(name, "this provider does not take it")),
            None => by_rule(name, raw, draft)?,
        }
    }
    Ok(())
}

/// The tier, which Google's models take as a word and Converse's callers say in an object.
fn service_tier(raw: &RawValue, draft: &mut Draft<'_>) {
    let Some(tier) = serde_json::from_str::<ConverseTier<'_>>(raw.get()).ok().map(|said| said.r#type) else {
        return draft.json.raw_field("serviceTier", raw);
    };
    match tier.get() {
        "\"flex\"" | "\"priority\"" => draft.json.raw_field("serviceTier", tier),
        "\"default\"" => {}
        _ => draft.drop("serviceTier"),
    }
}

#[derive(Deserialize)]
struct ConverseTier<'a> {
    #[serde(borrow)]
    r#type: &'a RawValue,
}

fn by_rule(name: &str, raw: &RawValue, draft: &mut Draft<'_>) -> Result<(), Refusal> {
    if name == "thread" {
        return Err(no_threads());
    }
    if name == "serviceTier" {
        service_tier(raw, draft);
        return Ok(());
    }
    match FOREIGN.iter().find(|(known, _)| *known == name).map(|(_, rule)| rule) {
        Some(Rule::Pass(to)) => draft.json.raw_field(to, raw),
        Some(Rule::Silent) => {}
        Some(Rule::Partly(known)) => {
            beside(raw, known).iter().for_each(|member| draft.drop(format!("{name}.{member}")));
        }
        Some(Rule::Drop(harmless)) => {
            if !harmless.contains(&raw.get()) {
                draft.drop(name);
            }
        }
        Some(Rule::Refuse(harmless)) => {
            let value: String = raw.get().split_ascii_whitespace().collect();
            if !harmless.contains(&&*value) {
                let why = "Gemini has no counterpart of this field, and the answer would lack what it asks for";
                return Err(Refusal::field(name, why));
            }
        }
        None => draft.drop(name),
    }
    Ok(())
}
