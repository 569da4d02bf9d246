//! Writes a request's settings: how long the answer may be, how it is drawn and shaped, how much the model may think.

use std::borrow::Cow;

use serde_json::Number;

use super::schema;
use super::writer::RequestWriter;
use crate::codec::Refusal;
use crate::format_in_words::{in_words, says_json};
use crate::hub::{Call, Format, Reasoning, Sampling, Tool};
use crate::schema_refs;
use crate::vendors::{self, Beside, FieldAction, OffWord};

/// Writes the token limit. Gives what it was brought down to, where the caller asked for more than the model answers with.
pub(super) fn max_tokens(call: &Call, writer: &mut RequestWriter<'_>) -> Option<u64> {
    let asked = call.max_tokens.or(writer.profile.default_max_tokens)?;
    let known = writer.profile.max_output.get(&call.model).copied();
    // A caller of this dialect knows this vendor's limits.
    let most = known.or_else(|| vendors::openai(&call.model).max_output.filter(|_| writer.cross_dialect));
    let written = most.map_or(asked, |most| most.min(asked));
    writer.json.value_field(if writer.profile.compatible() { "max_tokens" } else { "max_completion_tokens" }, written);
    (written < asked).then_some(written)
}

/// The most texts that may end an answer of OpenAI's.
const MOST_STOPS: usize = 4;

/// Writes the texts that end an answer. Errors: more of them than OpenAI takes; another provider may take all.
pub(super) fn stops(stop: &[String], writer: &mut RequestWriter<'_>) -> Result<(), Refusal> {
    if stop.is_empty() {
        return Ok(());
    }
    let passed = !writer.cross_dialect || writer.policy("stop") == Some(&FieldAction::Pass);
    if !passed && !vendors::takes_stops(writer.model) {
        writer.drop("stop");
        return Ok(());
    }
    if !passed && !writer.profile.compatible() && stop.len() > MOST_STOPS {
        return Err(Refusal::field("stop", format_args!("an OpenAI model takes at most {MOST_STOPS} stop texts")));
    }
    writer.json.open_field("stop", b'[');
    stop.iter().for_each(|text| writer.json.text(text));
    writer.json.close(b']');
    Ok(())
}

/// Writes how answers are drawn.
pub(super) fn sampling(call: &Call, writer: &mut RequestWriter<'_>) {
    let Sampling { temperature, top_p, top_k, seed, frequency_penalty, presence_penalty, choices } = &call.sampling;
    let taken = !writer.cross_dialect || vendors::openai(&call.model).sampling;
    let temperature = temperature.as_ref().or(writer.profile.default_temperature.as_ref());
    let is = |number: Option<&Number>, value: f64| number.and_then(Number::as_f64) == Some(value);
    // At 0 the likeliest word is drawn, whatever the others are.
    let greedy = writer.cross_dialect && writer.look_alike().is_some_and(|row| row.greedy_alone);
    let unneeded = greedy && is(temperature, 0.0) && top_p.is_some() && !is(top_p.as_ref(), 1.0);
    if unneeded {
        writer.drop("top_p");
    }
    let numbers = [
        ("temperature", temperature),
        ("top_p", top_p.as_ref().filter(|_| !unneeded)),
        ("frequency_penalty", frequency_penalty.as_ref()),
        ("presence_penalty", presence_penalty.as_ref()),
    ];
    for (name, number) in numbers {
        match number {
            Some(number) if taken => writer.json.value_field(name, number),
            Some(_) => writer.drop(name),
            None => {}
        }
    }
    if let Some(k) = top_k {
        if !writer.cross_dialect || writer.profile.compatible() {
            writer.json.value_field("top_k", k);
        } else {
            writer.drop("top_k");
        }
    }
    if let Some(seed) = seed {
        writer.json.value_field("seed", seed);
    }
    if let Some(choices) = choices {
        writer.json.value_field("n", choices);
    }
}

/// The way in which the form of an answer is told.
#[derive(Default)]
pub(super) struct ToldFormat<'a> {
    /// By the field.
    pub(super) field: Option<&'a Format>,
    /// By an instruction.
    pub(super) words: Option<Cow<'static, str>>,
    /// True if nothing holds the model to all of it.
    pub(super) is_lost: bool,
}

static ANY_JSON: Format = Format::Json;

/// The form of another dialect's, as the provider takes it: a look-alike may refuse one beside tools, or any schema, and an object of JSON
/// is refused where no word says so.
pub(super) fn told_format<'a>(call: &'a Call, writer: &RequestWriter<'_>) -> ToldFormat<'a> {
    let Some(format) = &call.format else { return ToldFormat::default() };
    let by_field = ToldFormat { field: Some(format), ..ToldFormat::default() };
    if !writer.cross_dialect || writer.policy("response_format") == Some(&FieldAction::Pass) {
        return by_field;
    }
    let tools = call.tools.iter().any(|tool| matches!(tool, Tool::Function { .. }));
    let words = Some(in_words(format, tools));
    match (format, writer.look_alike()) {
        (_, Some(row)) if tools && !row.takes_form_beside_tools(writer.model) => {
            ToldFormat { field: None, words, is_lost: true }
        }
        // What is no object can be asked for in words alone.
        (Format::Schema { schema, .. }, row)
            if row.is_none_or(|row| !row.schemas) && schema::form(schema).is_none() =>
        {
            ToldFormat { field: None, words, is_lost: true }
        }
        (Format::Schema { .. }, Some(row)) if !row.schemas => {
            ToldFormat { field: Some(&ANY_JSON), words, is_lost: true }
        }
        (Format::Json, _) if !says_json(call, true) => ToldFormat { words, ..by_field },
        _ => by_field,
    }
}

/// Writes the answer's shape.
pub(super) fn format(format: &Format, writer: &mut RequestWriter<'_>) {
    let cross_dialect = writer.cross_dialect;
    let made = match format {
        Format::Schema { schema, .. } if cross_dialect => {
            Some(writer.compiled(schema::form(schema).unwrap_or_else(|| schema_refs::rooted(schema))))
        }
        Format::Schema { .. } | Format::Json => None,
    };
    let json = &mut writer.json;
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
            let schema = made.unwrap_or(Cow::Borrowed(&**schema));
            json.raw_field("schema", &schema);
            if let Some(strict) = strict {
                // Another dialect's schema may be outside what OpenAI is strict about, and would be refused.
                json.value_field("strict", *strict && (!cross_dialect || schema::is_strict(&schema)));
            }
            json.close(b'}');
        }
    }
    json.close(b'}');
}

/// The effort a budget of thinking tokens stands for: up to 2 048 low, up to 8 192 medium, above high.
pub(crate) fn effort_of_budget(tokens: u64) -> &'static str {
    match tokens {
        0..=2048 => "low",
        2049..=8192 => "medium",
        _ => "high",
    }
}

/// Writes how much the model may think, to one that can be told. `rests`: it may not, as a tool is forced.
pub(super) fn reasoning(call: &Call, (tools, rests): (bool, bool), writer: &mut RequestWriter<'_>) {
    if !writer.cross_dialect {
        return match &call.reasoning {
            Some(Reasoning::Effort(effort)) => writer.json.text_field("reasoning_effort", effort),
            Some(Reasoning::Budget(tokens)) => writer.json.text_field("reasoning_effort", effort_of_budget(*tokens)),
            Some(Reasoning::Off) => writer.json.text_field("reasoning_effort", "none"),
            Some(Reasoning::Adaptive) => writer.drop("thinking"),
            None => {}
        };
    }
    let asked = if rests { Some(&Reasoning::Off) } else { call.reasoning.as_ref() };
    let wanted = match asked {
        Some(Reasoning::Effort(effort)) => Some(effort.as_str()),
        Some(Reasoning::Budget(tokens)) => Some(effort_of_budget(*tokens)),
        // Without a word the model chooses for itself.
        Some(Reasoning::Off | Reasoning::Adaptive) | None => None,
    };
    let told = told(call, (wanted, asked == Some(&Reasoning::Off)), tools, writer);
    if let Some(effort) = &told {
        writer.json.text_field("reasoning_effort", effort);
    }
    let is_off = told.is_none() && asked == Some(&Reasoning::Off) && turned_off(writer);
    let unsaid = match &call.reasoning {
        Some(Reasoning::Effort(_)) => {
            told.as_deref().is_none_or(|told| told == "none").then_some("output_config.effort")
        }
        Some(Reasoning::Adaptive) => Some("thinking"),
        Some(Reasoning::Off) if is_off => None,
        Some(Reasoning::Budget(_) | Reasoning::Off) => told.is_none().then_some("thinking"),
        None => None,
    };
    unsaid.into_iter().for_each(|field| writer.drop(field));
}

/// Tells a model that thinks unasked not to, by the provider's own word for it; `false`: it has none, or the model can not rest.
fn turned_off(writer: &mut RequestWriter<'_>) -> bool {
    let Some(off) = writer.look_alike().and_then(|row| row.off).filter(|off| can_rest(*off, writer.model)) else {
        return false;
    };
    let (name, json) = off.member();
    writer.json.value_field(name, json);
    true
}

/// True if a model that thinks unasked can be told not to. A reseller has models of many vendors, and refuses the word for one that
/// always thinks.
fn can_rest(off: OffWord, model: &str) -> bool {
    let claude = vendors::claude(model);
    vendors::thinker(model).is_some_and(|thinker| thinker.rests)
        || (off == OffWord::Reasoning
            && (vendors::openai(model).efforts.contains(&"none") || (claude.thinks_untold && claude.can_rest)))
}

/// Writes the fields that the provider is sent with every call of another dialect's.
pub(super) fn always(writer: &mut RequestWriter<'_>) {
    let Some(row) = writer.look_alike().filter(|_| writer.cross_dialect) else { return };
    for (name, json) in row.always {
        writer.json.value_field(name, json);
    }
}

/// The effort that the model is told.
fn told(call: &Call, (wanted, off): (Option<&str>, bool), tools: bool, writer: &RequestWriter<'_>) -> Option<String> {
    if let (Some(FieldAction::Pass), Some(wanted)) = (writer.policy("reasoning_effort"), wanted) {
        return Some(wanted.to_owned());
    }
    let model = vendors::openai(&call.model);
    let known = writer.look_alike().and_then(|row| row.efforts_of(&call.model)).unwrap_or(model.efforts);
    let rests = known.contains(&"none").then_some("none");
    let must_rest = tools && model.beside_tools == Beside::OnlyNone;
    let effort = match wanted {
        Some(wanted) if !must_rest => vendors::nearest(wanted, known),
        _ if must_rest || off => rests,
        _ => None,
    };
    effort.map(str::to_owned)
}
