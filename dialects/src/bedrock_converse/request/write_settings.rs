//! Writes a request's settings: how long the answer may be, how it is drawn and shaped, how much the model may think.

use std::borrow::Cow;

use serde_json::Number;

use super::draft::ConverseDraft;
use crate::codec::{Refusal, no_threads};
use crate::grammar;
use crate::hub::{Call, Format, Reasoning, Sampling};
use crate::json::Writer;
use crate::left_out::beside;
use crate::schema_refs;
use crate::thoughts::may_think;
use crate::vendors::{self, ConverseThinking, ConverseTopK, FieldAction, nearest};

/// Fields of other dialects whose meaning would be lost, and the values of each that ask for nothing.
const REFUSED: [(&str, &[&str]); 11] = [
    ("audio", &[]),
    ("cachedContent", &["\"\""]),
    ("container", &[]),
    ("logit_bias", &["{}"]),
    ("logprobs", &["false"]),
    ("mcp_servers", &["[]"]),
    ("modalities", &["[\"text\"]", "[]"]),
    // Held raw by readers only where they ask for what the hub has no word for, as is a choice of tools.
    ("response_format", &[]),
    ("tool_choice", &[]),
    ("top_logprobs", &["0"]),
    ("web_search_options", &[]),
];
/// Fields that the hub says, or that nothing is lost with.
const SILENT: [&str; 5] =
    ["additionalModelRequestFields", "output_config", "service_tier", "stream_options", "thinking"];

/// Writes all of them; gives what the most tokens were brought down to.
///
/// Errors: more answers than one, a temperature that Converse's range does not have, a field whose meaning would be lost.
pub(super) fn write(call: &Call, draft: &mut ConverseDraft<'_>) -> Result<Option<u64>, Refusal> {
    let clamped = inference(call, draft)?;
    format(call, draft);
    tier(call, draft);
    let mut more = Writer::default();
    thinking(call, &mut more, draft);
    top_k(call, &mut more, draft);
    extra(call, &mut more, draft)?;
    let more = more.into_bytes();
    if !more.is_empty() {
        draft.json.open_field("additionalModelRequestFields", b'{');
        draft.json.open_written(&more);
        draft.json.close(b'}');
    }
    Ok(clamped)
}

fn inference(call: &Call, draft: &mut ConverseDraft<'_>) -> Result<Option<u64>, Refusal> {
    let Sampling { temperature, top_p, top_k: _, seed, frequency_penalty, presence_penalty, choices } = &call.sampling;
    if choices.is_some_and(|n| n != 1) {
        let why = "Bedrock gives one answer to a call; send as many calls as answers are wanted";
        return Err(Refusal::field("n", why));
    }
    let is_set = |penalty: &Option<Number>| penalty.as_ref().and_then(Number::as_f64).is_some_and(|value| value != 0.0);
    let unknown = [
        ("seed", seed.is_some()),
        ("frequency_penalty", is_set(frequency_penalty)),
        ("presence_penalty", is_set(presence_penalty)),
        ("user", call.end_user.is_some()),
    ];
    drop_said(draft, &unknown);
    let target = draft.target;
    let temperature = temperature.as_ref().or(target.default_temperature.as_ref());
    if let Some(degree) = temperature.and_then(Number::as_f64)
        && !draft.same()
        && !(0.0..=1.0).contains(&degree)
    {
        return Err(Refusal::field("temperature", format_args!("{degree} is outside Bedrock's range of 0 to 1")));
    }
    let most = target.max_output.get(&call.model).copied();
    let asked = call.max_tokens.or(target.default_max_tokens);
    let tokens = asked.map(|asked| most.map_or(asked, |most| most.min(asked)));
    let name = vendors::openais_name(&call.model);
    let least = if draft.same() { 0 } else { draft.model.least_output };
    let tokens = tokens.map(|tokens| tokens.max(least));
    let is_taken = |text: &str| draft.same() || (vendors::takes_stops(name) && !text.trim().is_empty());
    let stop: Vec<&String> = call.stop.iter().filter(|text| is_taken(text)).collect();
    if stop.len() < call.stop.len() {
        draft.drop("stop");
    }
    let drawn = [("temperature", call.sampling.temperature.is_some()), ("top_p", top_p.is_some())];
    let draws = draft.same() || (vendors::openai(name).sampling && draft.model.draws);
    let (tokens, temperature, top_p) = if !draws {
        drop_said(draft, &drawn);
        (tokens, None, None)
    } else if thinks_its_most(call, draft) {
        drop_said(draft, &[("max_tokens", call.max_tokens.is_some())]);
        drop_said(draft, &drawn);
        (None, None, None)
    } else {
        (tokens, temperature, top_p.as_ref())
    };
    if tokens.is_some() || temperature.is_some() || top_p.is_some() || !stop.is_empty() {
        draft.json.open_field("inferenceConfig", b'{');
        tokens.into_iter().for_each(|tokens| draft.json.value_field("maxTokens", tokens));
        temperature.into_iter().for_each(|degree| draft.json.value_field("temperature", degree));
        top_p.iter().for_each(|share| draft.json.value_field("topP", share));
        if !stop.is_empty() {
            draft.json.open_field("stopSequences", b'[');
            stop.into_iter().for_each(|text| draft.json.text(text));
            draft.json.close(b']');
        }
        draft.json.close(b'}');
    }
    Ok(tokens.filter(|tokens| call.max_tokens.is_some_and(|asked| *tokens < asked)))
}

/// Notes those of the settings that are said, and left out.
fn drop_said(draft: &mut ConverseDraft<'_>, settings: &[(&str, bool)]) {
    settings.iter().filter(|(_, said)| *said).for_each(|(name, _)| draft.drop(*name));
}

/// The form that the model can not be told by a field: Converse has no word for any JSON object, and only some models take a schema.
pub(super) fn unsaid_format<'a>(call: &'a Call, draft: &ConverseDraft<'_>) -> Option<&'a Format> {
    let is_said = |format: &Format| match format {
        Format::Json => false,
        Format::Schema { schema, .. } => draft.same() || (draft.model.schemas && schema_refs::is_finite(schema)),
    };
    call.format.as_ref().filter(|format| !is_said(format))
}

fn format(call: &Call, draft: &mut ConverseDraft<'_>) {
    let said = call.format.as_ref().filter(|_| unsaid_format(call, draft).is_none());
    let Some(Format::Schema { name, description, schema, strict: _ }) = said else { return };
    let schema = match draft.same() {
        true => Cow::Borrowed(&**schema),
        false => grammar::held(schema_refs::rooted(schema), &grammar::ANTHROPIC),
    };
    draft.json.open_field("outputConfig", b'{');
    draft.json.open_field("textFormat", b'{');
    draft.json.text_field("type", "json_schema");
    draft.json.open_field("structure", b'{');
    draft.json.open_field("jsonSchema", b'{');
    draft.json.text_field("schema", schema.get());
    name.iter().for_each(|name| draft.json.text_field("name", name));
    description.iter().for_each(|text| draft.json.text_field("description", text));
    (0..4).for_each(|_| draft.json.close(b'}'));
}

/// The speed at which the call is served, in the words that both sides have.
fn tier(call: &Call, draft: &mut ConverseDraft<'_>) {
    let Some(tier) = call.extra.fields.get("service_tier") else { return };
    if draft.target.fields.contains_key("service_tier") {
        return;
    }
    match tier.get() {
        "\"default\"" | "\"flex\"" | "\"priority\"" => {
            draft.json.open_field("serviceTier", b'{');
            draft.json.raw_field("type", tier);
            draft.json.close(b'}');
        }
        "\"auto\"" => {}
        _ => draft.drop("service_tier"),
    }
}

/// The word for an amount of thinking; `None`: none is wanted.
fn effort(reasoning: &Reasoning) -> Option<&str> {
    match reasoning {
        Reasoning::Effort(effort) => Some(effort.as_str()),
        Reasoning::Budget(0..=2048) => Some("low"),
        Reasoning::Budget(2049..=8192) | Reasoning::Adaptive => Some("medium"),
        Reasoning::Budget(_) => Some("high"),
        Reasoning::Off => None,
    }
}

/// True if the model is told to think as much as it can: with `high`, Nova 2 takes neither a bound for the answer nor a temperature (Nova's
/// user guide, "Extended thinking").
fn thinks_its_most(call: &Call, draft: &ConverseDraft<'_>) -> bool {
    let ConverseThinking::Config(known) = draft.model.thinking else { return false };
    let told = call.reasoning.as_ref().and_then(effort).and_then(|effort| nearest(effort, known));
    told == Some("high") && !draft.same()
}

/// The amount that the model may think, in its own words.
fn thinking(call: &Call, more: &mut Writer, draft: &mut ConverseDraft<'_>) {
    let Some(reasoning) = &call.reasoning else { return };
    let effort = effort(reasoning);
    let dropped = if matches!(call.reasoning, Some(Reasoning::Effort(_))) { "reasoning_effort" } else { "thinking" };
    match (draft.model.thinking, effort) {
        (ConverseThinking::Effort(known), Some(effort)) => match nearest(effort, known) {
            Some(effort) => more.text_field("reasoning_effort", effort),
            None => draft.drop(dropped),
        },
        (ConverseThinking::Reasoning, effort) => {
            let known = vendors::openai(vendors::openais_name(&call.model)).efforts;
            let rests = known.iter().find(|effort| **effort == "none").copied();
            match effort.map_or(rests, |effort| nearest(effort, known)) {
                Some(effort) => {
                    more.open_field("reasoning", b'{');
                    more.text_field("effort", effort);
                    more.close(b'}');
                }
                None => draft.drop(dropped),
            }
        }
        (ConverseThinking::Config(known), effort) => {
            let told = effort.and_then(|effort| nearest(effort, known));
            more.open_field("reasoningConfig", b'{');
            more.text_field("type", if told.is_some() { "enabled" } else { "disabled" });
            told.into_iter().for_each(|effort| more.text_field("maxReasoningEffort", effort));
            more.close(b'}');
        }
        (ConverseThinking::Budget, Some(_)) => match budget(call, draft) {
            Some(tokens) => {
                more.open_field("thinking", b'{');
                more.text_field("type", "enabled");
                more.value_field("budget_tokens", tokens);
                more.close(b'}');
            }
            None => draft.drop(dropped),
        },
        (ConverseThinking::Effort(_) | ConverseThinking::Never, _) => draft.drop(dropped),
        (ConverseThinking::Budget, None) => {}
    }
}

/// The budget that an amount of thinking stands for: the answer needs its half of what the caller allows. `None`: too little is left,
/// or a tool has to be called, beside which there is no thinking, or thoughts that have to come back have not.
fn budget(call: &Call, draft: &ConverseDraft<'_>) -> Option<u64> {
    const LEAST: u64 = 1024;
    let wanted = match &call.reasoning {
        Some(Reasoning::Budget(tokens)) => *tokens,
        Some(Reasoning::Effort(effort)) => match effort.as_str() {
            "minimal" => LEAST,
            "low" => 2048,
            "medium" => 8192,
            _ => 16_384,
        },
        _ => 8192,
    };
    let most = call.max_tokens.or(draft.target.default_max_tokens)?;
    let forced = call.tool_choice.as_ref().is_some_and(crate::hub::ToolChoice::is_a_must);
    Some(wanted.min(most / 2)).filter(|tokens| *tokens >= LEAST && !forced && may_think(&call.messages))
}

fn top_k(call: &Call, more: &mut Writer, draft: &mut ConverseDraft<'_>) {
    let Some(top_k) = call.sampling.top_k else { return };
    match draft.model.top_k {
        ConverseTopK::Field => more.value_field("top_k", top_k),
        ConverseTopK::InConfig => {
            more.open_field("inferenceConfig", b'{');
            more.value_field("topK", top_k);
            more.close(b'}');
        }
        ConverseTopK::Never if draft.same() => more.value_field("top_k", top_k),
        ConverseTopK::Never => draft.drop("top_k"),
    }
}

/// Fields the hub has no word for: Converse's own to itself, others' by the provider's policy or the tables above.
fn extra(call: &Call, more: &mut Writer, draft: &mut ConverseDraft<'_>) -> Result<(), Refusal> {
    for (name, raw) in &call.extra.fields {
        match draft.target.fields.get(name) {
            Some(FieldAction::Pass) => more.raw_field(name, raw),
            Some(FieldAction::Rename(to)) => more.raw_field(to, raw),
            Some(FieldAction::Drop) => draft.drop(name),
            Some(FieldAction::Refuse) => return Err(Refusal::field(name, "this provider does not take it")),
            None if draft.same() && name == "additionalModelRequestFields" => {
                let inner = raw.get().trim().strip_prefix('{').and_then(|rest| rest.strip_suffix('}'));
                inner.filter(|inner| !inner.trim().is_empty()).into_iter().for_each(|inner| more.raw(inner));
            }
            // Of another dialect's caller, who sends it by `extra_body`: the hub has no word of it.
            None if name == "thinking" && call.reasoning.is_none() => draft.drop(name),
            None if name == "output_config" && !draft.same() => {
                beside(raw, &["effort", "format"]).iter().for_each(|member| draft.drop(format!("{name}.{member}")));
            }
            None if SILENT.contains(&name.as_str()) => {}
            None if draft.same() => draft.json.raw_field(name, raw),
            None if name == "thread" => return Err(no_threads()),
            None => {
                let value: String = raw.get().split_ascii_whitespace().collect();
                let rule = REFUSED.iter().find(|(known, _)| known == name);
                if rule.is_some_and(|(_, harmless)| !harmless.contains(&&*value)) {
                    let why = "Bedrock has no counterpart of this field, and the answer would lack what it asks for";
                    return Err(Refusal::field(name, why));
                }
                if rule.is_none() {
                    draft.drop(name);
                }
            }
        }
    }
    Ok(())
}
