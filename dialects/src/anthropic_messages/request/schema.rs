//! JSON schemas of another dialect's callers, made what Anthropic takes for structured output and strict tools.
//!
//! It compiles a schema into a grammar, and refuses what a grammar can not hold: numbers within bounds, texts of a length,
//! objects with other properties than those named. What is lost is said in the description, for the model to keep to.
//! Source: platform.claude.com/docs/en/build-with-claude/structured-outputs, "JSON Schema limitations", read in November
//! 2026. A word that nobody has called unsupported is kept.

use serde_json::value::RawValue;
use serde_json::{Map, Value};
use std::borrow::Cow;

/// Words that are refused, and so said in the description.
const REFUSED: [&str; 24] = [
    "contains",
    "dependentRequired",
    "dependentSchemas",
    "else",
    "exclusiveMaximum",
    "exclusiveMinimum",
    "if",
    "maxContains",
    "maxItems",
    "maxLength",
    "maxProperties",
    "maximum",
    "minContains",
    "minLength",
    "minProperties",
    "minimum",
    "multipleOf",
    "not",
    "pattern",
    "patternProperties",
    "propertyNames",
    "then",
    "unevaluatedProperties",
    "uniqueItems",
];
const FORMATS: [&str; 10] =
    ["date-time", "time", "date", "duration", "email", "hostname", "uri", "ipv4", "ipv6", "uuid"];

/// The schema as Anthropic takes it; the same bytes where nothing has to change.
pub(crate) fn closed(schema: Cow<'_, RawValue>) -> Cow<'_, RawValue> {
    let Ok(mut value) = serde_json::from_str::<Value>(schema.get()) else { return schema };
    if !close(&mut value) {
        return schema;
    }
    RawValue::from_string(value.to_string()).map_or(schema, Cow::Owned)
}

/// Closes a schema and all in it; `true`: something has changed. Depth is bounded by the parser.
fn close(schema: &mut Value) -> bool {
    let Value::Object(schema) = schema else { return false };
    let mut lost = Vec::new();
    let mut changed = false;
    for name in REFUSED {
        if let Some(value) = schema.shift_remove(name) {
            lost.push(format!("{name}: {value}"));
        }
    }
    if let Some(format) = schema.get("format").and_then(Value::as_str)
        && !FORMATS.contains(&format)
    {
        lost.push(format!("format: \"{format}\""));
        schema.shift_remove("format");
    }
    if let Some(least) = schema.get("minItems").filter(|least| least.as_u64().is_none_or(|least| least > 1)) {
        lost.push(format!("minItems: {least}"));
        schema.shift_remove("minItems");
    }
    // One of them or several: a grammar takes the first that fits.
    if !schema.contains_key("anyOf")
        && let Some(all) = schema.shift_remove("oneOf")
    {
        schema.insert("anyOf".to_owned(), all);
        changed = true;
    }
    changed |= shut(schema, &mut lost);
    for (name, value) in schema.iter_mut() {
        match value {
            Value::Object(inner) if matches!(&**name, "properties" | "$defs" | "definitions") => {
                inner.values_mut().for_each(|schema| changed |= close(schema));
            }
            Value::Array(inner) if matches!(&**name, "anyOf" | "allOf" | "prefixItems") => {
                inner.iter_mut().for_each(|schema| changed |= close(schema));
            }
            schema if name == "items" => changed |= close(schema),
            _ => {}
        }
    }
    if lost.is_empty() {
        return changed;
    }
    tell(schema, &lost);
    true
}

/// Lets an object have no other properties than those it names; `true`: it was open.
fn shut(schema: &mut Map<String, Value>, lost: &mut Vec<String>) -> bool {
    let kind = schema.get("type");
    let object = kind.is_some_and(|kind| {
        kind == "object" || kind.as_array().is_some_and(|kinds| kinds.iter().any(|kind| kind == "object"))
    });
    if !(object || schema.contains_key("properties")) || schema.get("additionalProperties") == Some(&Value::Bool(false))
    {
        return false;
    }
    let open = schema.insert("additionalProperties".to_owned(), Value::Bool(false));
    // That any others were allowed is no constraint.
    if let Some(open @ Value::Object(_)) = open {
        lost.push(format!("additionalProperties: {open}"));
    }
    true
}

/// Says in the description what is no longer said in words of the schema.
fn tell(schema: &mut Map<String, Value>, lost: &[String]) {
    let said = schema.get("description").and_then(Value::as_str).unwrap_or_default();
    let gap = if said.is_empty() { "" } else { "\n" };
    let text = format!("{said}{gap}Constraints: {}.", lost.join(", "));
    schema.insert("description".to_owned(), text.into());
}

#[cfg(test)]
mod tests {
    use super::*;

    fn closed_of(json: &str) -> String {
        closed(Cow::Owned(RawValue::from_string(json.to_owned()).unwrap())).get().to_owned()
    }

    #[test]
    fn what_a_grammar_can_not_hold_is_said_in_words() {
        for (given, made) in [
            (
                r#"{"type":"object","properties":{"n":{"type":"integer","minimum":0,"maximum":9,"description":"How many."}}}"#,
                r#"{"type":"object","properties":{"n":{"type":"integer","description":"How many.\nConstraints: maximum: 9, minimum: 0."}},"additionalProperties":false}"#,
            ),
            (
                r#"{"type":"array","minItems":2,"items":{"oneOf":[{"type":"string","pattern":"^a"},{"type":"null"}]}}"#,
                r#"{"type":"array","items":{"anyOf":[{"type":"string","description":"Constraints: pattern: \"^a\"."},{"type":"null"}]},"description":"Constraints: minItems: 2."}"#,
            ),
            (
                r#"{"type":"object","additionalProperties":{"type":"string"}}"#,
                r#"{"type":"object","additionalProperties":false,"description":"Constraints: additionalProperties: {\"type\":\"string\"}."}"#,
            ),
            // Kept as it stands, unknown words and white space too.
            (
                r#"{"type":"object", "properties":{"t":{"x-order":1,"type":"string","format":"uuid"}},"additionalProperties":false}"#,
                r#"{"type":"object", "properties":{"t":{"x-order":1,"type":"string","format":"uuid"}},"additionalProperties":false}"#,
            ),
        ] {
            assert_eq!(closed_of(given), made);
        }
    }
}
