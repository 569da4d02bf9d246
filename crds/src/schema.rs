//! The finished CustomResourceDefinitions: what derive gives, made to fit the conventions.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::CustomResourceExt;
use serde_json::{Map, Value, json};

use crate::patterns;
use crate::rules::MATCHES_EMPTY;
use crate::{LLMConsumer, LLMRoute, ProviderPool};

/// The definition of each kind, as JSON, finished for an API server; in the order of their names.
///
/// # Errors
/// If a derived definition cannot be written as JSON; no input makes that happen.
pub fn definitions() -> Result<Vec<Value>, serde_json::Error> {
    [LLMConsumer::crd(), LLMRoute::crd(), ProviderPool::crd()].iter().map(finished).collect()
}

fn finished(crd: &CustomResourceDefinition) -> Result<Value, serde_json::Error> {
    let mut value = serde_json::to_value(crd)?;
    tidy(&mut value);
    leave_items(&mut value, false);
    if let Some(spec) = value.pointer_mut("/spec/versions/0/schema/openAPIV3Schema/properties/spec") {
        advise(spec);
    }
    if crd.spec.names.kind != "ProviderPool" {
        // One type serves all kinds; nothing but a pool has routes attached, and prices.
        if let Some(status) = value.pointer_mut("/spec/versions/0/schema/openAPIV3Schema/properties/status/properties")
        {
            for only in ["attachedRoutes", "prices"] {
                status.as_object_mut().map(|fields| fields.remove(only));
            }
        }
    }
    let marks = value.get("spec").map(marks);
    if let Some((metadata, marks)) = value.get_mut("metadata").and_then(Value::as_object_mut).zip(marks) {
        metadata.insert("annotations".to_owned(), marks);
    }
    Ok(value)
}

/// The annotations by which the chart's policy tells a definition from an older one: how many fields it has, and which it is. An API
/// server leaves them as they are where a definition without them is applied over it.
fn marks(spec: &Value) -> Value {
    let text = spec.to_string();
    let fields = text.matches(r#""type":"#).count();
    // FNV-1a: it tells one from another, and guards nothing.
    let add = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    let definition = text.bytes().fold(0xcbf2_9ce4_8422_2325, add);
    json!({ "sluicegate.dev/fields": fields.to_string(), "sluicegate.dev/definition": format!("fnv-{definition:016x}") })
}

/// The schema of the objects that a definition defines (its only version's).
#[must_use]
pub fn of_objects(definition: &Value) -> Option<&Value> {
    definition.pointer("/spec/versions/0/schema/openAPIV3Schema")
}

/// The structure of each kind's `spec`, by kind, as JSON: what [`structures`] gives. It is kept as text, since a program
/// that derives it takes a megabyte for that, and a proxy holds manifests against it whenever it starts.
pub const STRUCTURES: &str = include_str!("structure.json");

/// The schema of each kind's `spec`, by kind, without what is for people, for CEL and for an API server that fills in.
///
/// # Errors
/// As [`definitions`].
pub fn structures() -> Result<Value, serde_json::Error> {
    let mut structures = Map::new();
    for definition in definitions()? {
        let kind = definition.pointer("/spec/names/kind").and_then(Value::as_str);
        let spec = of_objects(&definition).and_then(|object| object.pointer("/properties/spec"));
        structures.extend(kind.zip(spec).map(|(kind, spec)| (kind.to_owned(), bare(spec))));
    }
    Ok(structures.into())
}

/// In a structure: what is said about a text that does not match the pattern.
pub const ADVICE: &str = "x-advice";

/// Turns patterns into rules that say what to write.
fn advise(schema: &mut Value) {
    match schema {
        Value::Object(words) => {
            let pattern = words.get("pattern").and_then(Value::as_str);
            if let Some((pattern, advice)) =
                pattern.and_then(|own| patterns::ADVICE.iter().find(|(pattern, _)| own == *pattern))
            {
                words.shift_remove("pattern");
                words.insert(RULES.to_owned(), json!([{"rule": matching(pattern), "message": advice}]));
            }
            words.values_mut().for_each(advise);
        }
        Value::Array(items) => items.iter_mut().for_each(advise),
        _ => {}
    }
}

const RULES: &str = "x-kubernetes-validations";

/// The rule that holds a pattern.
fn matching(pattern: &str) -> String {
    if pattern == patterns::BYTES {
        return patterns::BYTES_RULE.to_owned();
    }
    format!("self.matches(r\"{pattern}\")")
}

/// The pattern of a text and what to write where it is not kept to, if a rule holds one.
#[must_use]
pub fn advice(words: &Map<String, Value>) -> Option<(&'static str, &'static str)> {
    let rules = words.get(RULES).and_then(Value::as_array)?;
    let rule = rules.first()?.get("rule").and_then(Value::as_str)?;
    patterns::ADVICE.into_iter().find(|(pattern, _)| matching(pattern) == rule)
}

/// In a structure: what is said about a list that is there and empty.
pub const NOT_EMPTY: &str = "x-not-empty";

/// The message of the rule by which a list has at least one item, if there is one.
fn not_empty(words: &Map<String, Value>) -> Option<&Value> {
    let rules = words.get("x-kubernetes-validations").and_then(Value::as_array)?;
    let rule = rules.iter().find(|rule| rule.get("rule").and_then(Value::as_str) == Some(MATCHES_EMPTY.cel))?;
    rule.get("message")
}

fn bare(schema: &Value) -> Value {
    let all = |fields: &Map<String, Value>| fields.iter().map(|(name, of_it)| (name.clone(), bare(of_it))).collect();
    match schema {
        Value::Object(words) => {
            let kept = words
                .iter()
                .filter(|(word, _)| !matches!(word.as_str(), "description" | "default" | "x-kubernetes-validations"));
            let value = |(word, value): (&String, &Value)| match value {
                // Their names are the resource's, not the schema's.
                Value::Object(fields) if word == "properties" => (word.clone(), all(fields)),
                value => (word.clone(), bare(value)),
            };
            let mut bare: Map<String, Value> = kept.map(value).collect();
            if let Some((pattern, advice)) = advice(words) {
                bare.insert("pattern".to_owned(), pattern.into());
                bare.insert(ADVICE.to_owned(), advice.into());
            }
            // That a list is not empty a type that leaves out empty lists does not show any more.
            if let Some(message) = not_empty(words) {
                bare.insert(NOT_EMPTY.to_owned(), message.clone());
            }
            bare.into()
        }
        Value::Array(items) => items.iter().map(bare).collect(),
        value => value.clone(),
    }
}

/// Takes defaults out of the items of lists. A list is compared whole by who keeps a cluster to what is written
/// elsewhere: an item that an API server has filled in is another than the one that was applied, for ever. What is left
/// out there is filled in by who reads it, as the descriptions say; outside of lists a filled-in field is nobody's but
/// the API server's.
fn leave_items(value: &mut Value, inside: bool) {
    match value {
        Value::Object(words) => {
            if inside {
                words.shift_remove("default");
            }
            for (word, inner) in words.iter_mut() {
                match inner {
                    // Their names are the resource's, not the schema's.
                    Value::Object(fields) if word == "properties" => {
                        fields.values_mut().for_each(|field| leave_items(field, inside));
                    }
                    inner => leave_items(inner, inside || word == "items"),
                }
            }
        }
        Value::Array(list) => list.iter_mut().for_each(|inner| leave_items(inner, inside)),
        _ => {}
    }
}

fn tidy(value: &mut Value) {
    match value {
        Value::Object(map) => {
            // `null` then means "left out", as the API server has it for fields that are not nullable; otherwise a
            // present `null` would reach the CEL rules.
            map.remove("nullable");
            // Formats of Rust's, not of OpenAPI; the bounds say more.
            if map.get("format").and_then(Value::as_str).is_some_and(|f| f.starts_with("uint")) {
                map.remove("format");
            }
            for (name, inner) in map.iter_mut() {
                if matches!(name.as_str(), "minimum" | "maximum")
                    && let Some(whole) = inner.as_f64().filter(|f| f.fract() == 0.0)
                {
                    #[expect(clippy::cast_possible_truncation, reason = "bounds are whole and small")]
                    let whole = whole as i64;
                    *inner = whole.into();
                } else {
                    tidy(inner);
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(tidy),
        _ => {}
    }
}
