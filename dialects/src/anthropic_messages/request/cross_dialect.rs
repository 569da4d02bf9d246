//! Top-level fields that the hub has no word for: one table of what becomes of another dialect's.

use super::thinking;
use crate::anthropic_messages::blocks_out::BlockWriter;
use crate::codec::{ProviderProfile, Refusal};
use crate::hub::Call;
use crate::thoughts::may_think;
use crate::vendors::FieldAction;
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::collections::BTreeMap;

/// The rule for a field.
enum CrossDialectRule {
    /// It is Anthropic's own word, which OpenAI SDKs send by `extra_body`.
    Pass,
    /// Nothing is lost by leaving it out, or another field says it.
    Silent,
    /// Refused, unless it is one of these values that ask for nothing.
    Refuse(&'static [&'static str]),
}

/// OpenAI's fields, and Gemini's. Whatever is not here is left out and said so in the call's `dropped`.
const OPENAI: [(&str, CrossDialectRule); 19] = [
    ("audio", CrossDialectRule::Refuse(&[])),
    ("cache_control", CrossDialectRule::Pass),
    // What it holds is in no body.
    ("cachedContent", CrossDialectRule::Refuse(&["\"\""])),
    ("container", CrossDialectRule::Pass),
    ("context_management", CrossDialectRule::Pass),
    ("inference_geo", CrossDialectRule::Pass),
    ("logit_bias", CrossDialectRule::Refuse(&["{}"])),
    ("logprobs", CrossDialectRule::Refuse(&["false"])),
    ("mcp_servers", CrossDialectRule::Pass),
    ("modalities", CrossDialectRule::Refuse(&["[\"text\"]", "[]"])),
    // Held raw by OpenAI's reader only where they ask for what the hub has no word for.
    ("response_format", CrossDialectRule::Refuse(&[])),
    // Handled with `metadata` and `service_tier` below.
    ("safety_identifier", CrossDialectRule::Silent),
    ("service_tier", CrossDialectRule::Silent),
    ("speed", CrossDialectRule::Pass),
    // The hub says it.
    ("stream_options", CrossDialectRule::Silent),
    ("thinking", CrossDialectRule::Pass),
    ("tool_choice", CrossDialectRule::Refuse(&[])),
    ("top_logprobs", CrossDialectRule::Refuse(&["0"])),
    ("web_search_options", CrossDialectRule::Refuse(&[])),
];

/// The fields to write beside those the hub has words for. Errors: one whose meaning would be lost.
pub(super) fn fields<'a>(
    call: &'a Call,
    profile: &'a ProviderProfile,
    writer: &mut BlockWriter,
) -> Result<BTreeMap<&'a str, Cow<'a, RawValue>>, Refusal> {
    let mut fields = BTreeMap::new();
    for (name, raw) in &call.extra.fields {
        if !writer.cross_dialect() {
            fields.insert(&**name, Cow::Borrowed(&**raw));
            continue;
        }
        match profile.fields.get(name) {
            Some(FieldAction::Pass) => {
                fields.insert(&**name, Cow::Borrowed(&**raw));
                continue;
            }
            Some(FieldAction::Rename(to)) => {
                fields.insert(&**to, Cow::Borrowed(&**raw));
                continue;
            }
            Some(FieldAction::Drop) => {
                writer.drop_field(name);
                continue;
            }
            Some(FieldAction::Refuse) => return Err(Refusal::field(name, "this provider does not take it")),
            None => {}
        }
        match OPENAI.iter().find(|(known, _)| known == name).map(|(_, rule)| rule) {
            // A budget for thoughts is refused where those of the turn before have not come back.
            Some(CrossDialectRule::Pass)
                if name == "thinking" && raw.get().contains("\"enabled\"") && !may_think(&call.messages) =>
            {
                writer.drop_field(name);
            }
            // OpenAI's field of that name is a list, and another thing.
            Some(CrossDialectRule::Pass) if name == "context_management" && !raw.get().starts_with('{') => {
                writer.drop_field(name);
            }
            Some(CrossDialectRule::Pass) => {
                let newer = (name == "thinking").then(|| thinking::without_budget(raw, &call.model)).flatten();
                fields.insert(&**name, newer.map_or(Cow::Borrowed(&**raw), |(adaptive, _)| Cow::Owned(adaptive)));
            }
            Some(CrossDialectRule::Silent) => {}
            Some(CrossDialectRule::Refuse(harmless)) => {
                let value: String = raw.get().split_ascii_whitespace().collect();
                if !harmless.contains(&&*value) {
                    return Err(Refusal::field(
                        name,
                        "Anthropic has no counterpart of this field, and the answer would lack what it asks for",
                    ));
                }
            }
            None => writer.drop_field(name),
        }
    }
    if writer.cross_dialect() && !profile.fields.contains_key("service_tier") {
        tier(call, &mut fields, writer);
    }
    Ok(fields)
}

/// OpenAI's word for how fast the call is served.
fn tier<'a>(call: &'a Call, fields: &mut BTreeMap<&'a str, Cow<'a, RawValue>>, writer: &mut BlockWriter) {
    let Some(tier) = call.extra.fields.get("service_tier") else { return };
    match tier.get() {
        "\"auto\"" => {
            fields.insert("service_tier", Cow::Borrowed(&**tier));
        }
        "\"default\"" => {
            let word = RawValue::from_string("\"standard_only\"".to_owned()).map(Cow::Owned);
            fields.extend(word.ok().map(|word| ("service_tier", word)));
        }
        _ => writer.drop_field("service_tier"),
    }
}

/// The end user's id: `user`, or `safety_identifier` that has taken its place.
pub(super) fn end_user(call: &Call) -> Option<Cow<'_, str>> {
    if let Some(user) = &call.end_user {
        return Some(Cow::Borrowed(user));
    }
    let id = call.extra.fields.get("safety_identifier")?;
    serde_json::from_str(id.get()).ok().map(Cow::Owned)
}
