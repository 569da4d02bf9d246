//! JSON schemas on their way to OpenAI: made whole where it refuses what others take, and held against the subset that
//! `strict` asks for.
//!
//! Source: developers.openai.com/api/docs/guides/structured-outputs, "Supported schemas", read in November 2026.

use std::borrow::Cow;

use serde_json::value::RawValue;
use serde_json::{Map, Value};

use crate::{schema_refs, schema_root};

/// Words inside which further schemas stand, by name or in a list.
const NAMED: [&str; 4] = ["properties", "$defs", "definitions", "patternProperties"];
const LISTED: [&str; 4] = ["anyOf", "oneOf", "allOf", "prefixItems"];
/// The nesting, and the number of properties, up to which `strict` is taken.
const DEEPEST: usize = 10;
const MOST_PROPERTIES: usize = 5000;

/// A tool's parameters as OpenAI takes them: a plain object at the root, which has `properties` if only empty ones, and a list says of
/// what.
pub(crate) fn whole(parameters: &RawValue) -> Cow<'_, RawValue> {
    let parameters = schema_root::plain(parameters);
    let text = parameters.get();
    let Ok(mut schema) = serde_json::from_str::<Map<String, Value>>(text) else { return parameters };
    let mut changed = false;
    if !schema.contains_key("type") {
        changed = true;
        schema.shift_insert(0, "type".to_owned(), "object".into());
    }
    if schema.get("type").is_some_and(|kind| kind == "object") && !schema.contains_key("properties") {
        changed = true;
        schema.insert("properties".to_owned(), Value::Object(Map::new()));
    }
    let mut schema = Value::Object(schema);
    if text.contains("\"array\"") {
        changed |= lists(&mut schema);
    }
    if !changed {
        return parameters;
    }
    RawValue::from_string(schema.to_string()).map_or(parameters, Cow::Owned)
}

/// The schema of an answer as OpenAI takes it, with strictness or without: its root is an object's, and a list says of what. `None`: it
/// asks for another thing than an object ("schema must be a JSON Schema of 'type: \"object\"', got 'type: \"array\"'").
pub(crate) fn form(schema: &RawValue) -> Option<Cow<'_, RawValue>> {
    let schema = schema_refs::rooted(schema);
    let mut made: Map<String, Value> = serde_json::from_str(schema.get()).ok()?;
    let untold = !made.contains_key("type") && made.contains_key("properties");
    if untold {
        made.shift_insert(0, "type".to_owned(), "object".into());
    }
    made.get("type").filter(|kind| *kind == "object")?;
    let mut made = Value::Object(made);
    if !lists(&mut made) && !untold {
        return Some(schema);
    }
    Some(RawValue::from_string(made.to_string()).map_or(schema, Cow::Owned))
}

/// Says of every list that does not say so itself that it may hold anything; `true`: there was one.
fn lists(schema: &mut Value) -> bool {
    let Value::Object(schema) = schema else { return false };
    let mut changed = false;
    let is_list = schema.get("type").is_some_and(|kind| is_or_holds(kind, "array"));
    if is_list && !schema.contains_key("items") && !schema.contains_key("prefixItems") {
        changed = true;
        schema.insert("items".to_owned(), Value::Object(Map::new()));
    }
    for (name, value) in schema.iter_mut() {
        match value {
            Value::Object(inner) if NAMED.contains(&&**name) => {
                inner.values_mut().for_each(|schema| changed |= lists(schema));
            }
            Value::Array(inner) if LISTED.contains(&&**name) => {
                inner.iter_mut().for_each(|schema| changed |= lists(schema));
            }
            schema if name == "items" || name == "additionalProperties" => changed |= lists(schema),
            _ => {}
        }
    }
    changed
}

fn is_or_holds(kind: &Value, word: &str) -> bool {
    match kind {
        Value::String(kind) => kind == word,
        Value::Array(kinds) => kinds.iter().any(|kind| kind == word),
        _ => false,
    }
}

/// True if a schema is inside the subset that `strict` asks for. What is not known to be inside is outside.
pub(crate) fn is_strict(schema: &RawValue) -> bool {
    let Ok(schema) = serde_json::from_str::<Value>(schema.get()) else { return false };
    let object = schema.get("type").is_some_and(|kind| kind == "object");
    let mut properties = 0;
    object && schema.get("anyOf").is_none() && inside(&schema, 0, &mut properties)
}

fn inside(schema: &Value, depth: usize, properties: &mut usize) -> bool {
    let Value::Object(schema) = schema else { return false };
    let says_what = ["type", "anyOf", "$ref"].into_iter().any(|word| schema.contains_key(word));
    let is_list = schema.get("type").is_some_and(|kind| is_or_holds(kind, "array"));
    if depth > DEEPEST || !closed(schema) || !says_what || (is_list && !schema.contains_key("items")) {
        return false;
    }
    schema.iter().all(|(name, value)| match &**name {
        "type" | "title" | "description" | "enum" | "const" | "required" | "$schema" | "pattern" | "multipleOf"
        | "minimum" | "maximum" | "exclusiveMinimum" | "exclusiveMaximum" | "minItems" | "maxItems" => true,
        "additionalProperties" => *value == Value::Bool(false),
        "$ref" => value.as_str().is_some_and(|to| to.starts_with('#')),
        "format" => value.as_str().is_some_and(|format| FORMATS.contains(&format)),
        "items" => inside(value, depth + 1, properties),
        "anyOf" => value.as_array().is_some_and(|all| all.iter().all(|one| inside(one, depth + 1, properties))),
        "properties" | "$defs" | "definitions" => value.as_object().is_some_and(|all| {
            *properties += all.len();
            *properties <= MOST_PROPERTIES && all.values().all(|one| inside(one, depth + 1, properties))
        }),
        _ => false,
    })
}

const FORMATS: [&str; 9] = ["date-time", "time", "date", "duration", "email", "hostname", "ipv4", "ipv6", "uuid"];

/// True if an object allows no other properties and requires all it has; anything else has nothing to close.
fn closed(schema: &Map<String, Value>) -> bool {
    let properties = schema.get("properties").and_then(Value::as_object);
    if properties.is_none() && !schema.get("type").is_some_and(|kind| is_or_holds(kind, "object")) {
        return true;
    }
    let required = schema.get("required").and_then(Value::as_array);
    let is_required = |name: &String| required.is_some_and(|all| all.iter().any(|one| one == name));
    schema.get("additionalProperties") == Some(&Value::Bool(false))
        && properties.is_none_or(|all| all.keys().all(is_required))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn raw(json: &str) -> Box<RawValue> {
        RawValue::from_string(json.to_owned()).unwrap()
    }

    #[test]
    fn parameters_are_made_whole_and_else_left_as_they_are() {
        for (given, made) in [
            (r#"{"type":"object"}"#, r#"{"type":"object","properties":{}}"#),
            ("{}", r#"{"type":"object","properties":{}}"#),
            (r#"{"properties":{"a":{}}}"#, r#"{"type":"object","properties":{"a":{}}}"#),
            (r#"{"type":"object", "properties":{}}"#, r#"{"type":"object", "properties":{}}"#),
            (
                r#"{"type":"object","properties":{"l":{"type":["array","null"]},"m":{"anyOf":[{"type":"array"}]}}}"#,
                r#"{"type":"object","properties":{"l":{"type":["array","null"],"items":{}},"m":{"anyOf":[{"type":"array","items":{}}]}}}"#,
            ),
            (
                r#"{"type":"object","properties":{"l":{"type":"array","items":{"type":"string"}} }}"#,
                r#"{"type":"object","properties":{"l":{"type":"array","items":{"type":"string"}} }}"#,
            ),
            (
                r#"{"anyOf":[{"properties":{"l":{"type":"array"}}}]}"#,
                r#"{"type":"object","properties":{"l":{"type":"array","items":{}}}}"#,
            ),
            ("[1]", "[1]"),
        ] {
            assert_eq!(whole(&raw(given)).get(), made);
        }
    }

    #[test]
    fn a_form_is_an_objects_or_none() {
        for (given, made) in [
            (r#"{"type":"object", "properties":{}}"#, Some(r#"{"type":"object", "properties":{}}"#)),
            (r#"{"properties":{"a":{}}}"#, Some(r#"{"type":"object","properties":{"a":{}}}"#)),
            (
                r#"{"type":"object","properties":{"l":{"type":"array"}}}"#,
                Some(r#"{"type":"object","properties":{"l":{"type":"array","items":{}}}}"#),
            ),
            (r#"{"type":"array","items":{"type":"string"}}"#, None),
            (r#"{"type":"string","enum":["a"]}"#, None),
            (r#"{"anyOf":[{"type":"object"}]}"#, None),
            ("{}", None),
            ("true", None),
        ] {
            assert_eq!(form(&raw(given)).as_deref().map(RawValue::get), made, "{given}");
        }
    }

    #[test]
    fn strict_is_said_inside_the_subset_only() {
        let closed = r#""additionalProperties":false"#;
        for (schema, strict) in [
            (
                format!(r#"{{"type":"object","properties":{{"t":{{"type":"string"}}}},"required":["t"],{closed}}}"#),
                true,
            ),
            (r#"{"type":"object","properties":{"t":{"type":"string"}},"required":["t"]}"#.to_owned(), false),
            (format!(r#"{{"type":"object","properties":{{"t":{{"type":"string"}}}},{closed}}}"#), false),
            (
                format!(r#"{{"type":"object","properties":{{"t":{{"type":"object"}}}},"required":["t"],{closed}}}"#),
                false,
            ),
            (format!(r#"{{"type":"object","properties":{{"t":{{"minLength":1}}}},"required":["t"],{closed}}}"#), false),
            (
                format!(
                    r##"{{"type":"object","properties":{{"t":{{"$ref":"#/$defs/x"}}}},"required":["t"],{closed},"$defs":{{"x":{{"type":"integer"}}}}}}"##
                ),
                true,
            ),
            (format!(r#"{{"type":"object",{closed}}}"#), true),
            (r#"{"type":"array","items":{}}"#.to_owned(), false),
            (
                format!(r#"{{"type":"object","properties":{{"l":{{"type":"array"}}}},"required":["l"],{closed}}}"#),
                false,
            ),
            (format!(r#"{{"type":"object","properties":{{"l":{{}}}},"required":["l"],{closed}}}"#), false),
            ("true".to_owned(), false),
        ] {
            assert_eq!(is_strict(&raw(&schema)), strict, "{schema}");
        }
    }
}
