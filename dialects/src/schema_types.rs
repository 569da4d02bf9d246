//! JSON schemas for a server that wants each to say its type: Moonshot's ("tools.function.parameters is not a valid moonshot flavored json
//! schema").
//!
//! Sources, read in November 2026: github.com/MoonshotAI/kimi-cli/issues/1595, …/2061, …/2531 and github.com/MoonshotAI/kimi-code/issues/2661 (types,
//! `anyOf`), github.com/lidge-jun/opencodex/pull/2677 (words beside `$ref`), github.com/NousResearch/hermes-agent/pull/14804 (`definitions`).

use std::borrow::Cow;

use serde_json::value::RawValue;
use serde_json::{Map, Value, json};

use crate::schema_refs;

/// Words of a schema that stand for its type.
const SAYS_TYPE: [&str; 5] = ["type", "anyOf", "oneOf", "allOf", "$ref"];

/// The schema with a type everywhere, none beside `anyOf`, nothing beside `$ref`; the same bytes where it is so already.
pub(crate) fn typed(schema: Cow<'_, RawValue>) -> Cow<'_, RawValue> {
    let Ok(mut value) = serde_json::from_str::<Value>(schema.get()) else { return schema };
    let root = value.clone();
    fit(&mut value, Some(&root), true);
    if value == root {
        return schema;
    }
    RawValue::from_string(value.to_string()).map_or(schema, Cow::Owned)
}

/// Fits a schema and all in it. In what a reference points to no other is followed (`root` is `None`), so depth is bounded by the parser.
fn fit(schema: &mut Value, root: Option<&Value>, is_root: bool) {
    if schema.is_boolean() {
        *schema = json!({});
    }
    let Value::Object(schema) = schema else { return };
    let mut within = root;
    if schema.contains_key("$ref") && !is_root && refer(schema, root) {
        within = None;
    }
    if let Some(named) = schema.shift_remove("definitions") {
        schema.entry("$defs").or_insert(named);
    }
    if !SAYS_TYPE.iter().any(|word| schema.contains_key(*word)) {
        guess(schema);
    }
    hand_down(schema);
    for (name, value) in schema.iter_mut() {
        match (&**name, value) {
            ("properties" | "patternProperties" | "$defs", Value::Object(inner)) => {
                inner.values_mut().for_each(|schema| fit(schema, within, false));
            }
            ("anyOf" | "oneOf" | "allOf" | "prefixItems" | "items", Value::Array(inner)) => {
                inner.iter_mut().for_each(|schema| fit(schema, within, false));
            }
            ("items", schema) => fit(schema, within, false),
            ("additionalProperties", schema @ Value::Object(_)) => fit(schema, within, false),
            _ => {}
        }
    }
}

/// Lets a reference stand alone: words beside it and those that it points to are one schema. `true`: it is what it points to now.
fn refer(schema: &mut Map<String, Value>, root: Option<&Value>) -> bool {
    const OLD: &str = "#/definitions/";
    if schema.len() > 1
        && let Some(root) = root
    {
        schema_refs::inline(schema, root);
    }
    let Some(Value::String(place)) = schema.get_mut("$ref") else { return true };
    *place = place.replacen(OLD, "#/$defs/", 1);
    schema.retain(|name, _| name == "$ref");
    false
}

/// Says the type that a schema's other words tell; one that tells nothing may be anything.
fn guess(schema: &mut Map<String, Value>) {
    let has = |words: &[&str]| words.iter().any(|word| schema.contains_key(*word));
    let listed = schema.get("enum").and_then(Value::as_array).cloned();
    let values = listed.or_else(|| schema.get("const").map(|value| vec![value.clone()])).unwrap_or_default();
    let kind = match values.as_slice() {
        [] if has(&["properties", "required", "additionalProperties", "patternProperties"]) => json!("object"),
        [] if has(&["items", "prefixItems", "minItems", "maxItems"]) => json!("array"),
        [] if has(&["pattern", "format", "minLength", "maxLength"]) => json!("string"),
        [] if has(&["minimum", "maximum", "multipleOf", "exclusiveMinimum", "exclusiveMaximum"]) => json!("number"),
        [] => {
            let any = ["string", "number", "boolean", "object"].map(|kind| json!({ "type": kind }));
            schema.insert("anyOf".to_owned(), any.into_iter().collect());
            return;
        }
        values => {
            let mut kinds: Vec<Value> = values.iter().map(|value| json!(kind_of(value))).collect();
            kinds.dedup();
            if kinds.len() == 1 { kinds.swap_remove(0) } else { Value::Array(kinds) }
        }
    };
    schema.shift_insert(0, "type".to_owned(), kind);
}

fn kind_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(number) if number.is_f64() => "number",
        Value::Number(_) => "integer",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

/// Says the type of all members of `anyOf` in those that have none.
fn hand_down(schema: &mut Map<String, Value>) {
    if !schema.get("anyOf").is_some_and(Value::is_array) {
        return;
    }
    let Some(kind) = schema.shift_remove("type") else { return };
    let members = schema.get_mut("anyOf").and_then(Value::as_array_mut);
    for member in members.into_iter().flatten().filter_map(Value::as_object_mut) {
        if !SAYS_TYPE.iter().any(|word| member.contains_key(*word)) {
            member.shift_insert(0, "type".to_owned(), kind.clone());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_schema_says_its_type() {
        for (given, made) in [
            (
                r#"{"type":"object","properties":{"a":{"enum":["x","y"]},"b":{"description":"Any."},"c":{"const":1},"d":true,"e":{"items":{}}}}"#,
                r#"{"type":"object","properties":{"a":{"type":"string","enum":["x","y"]},"b":{"description":"Any.","anyOf":[{"type":"string"},{"type":"number"},{"type":"boolean"},{"type":"object"}]},"c":{"type":"integer","const":1},"d":{"anyOf":[{"type":"string"},{"type":"number"},{"type":"boolean"},{"type":"object"}]},"e":{"type":"array","items":{"anyOf":[{"type":"string"},{"type":"number"},{"type":"boolean"},{"type":"object"}]}}}}"#,
            ),
            (
                r#"{"type":"object","properties":{"a":{"type":"object","properties":{"x":{"type":"string"}},"anyOf":[{"required":["x"]},{"type":"null"}]}}}"#,
                r#"{"type":"object","properties":{"a":{"properties":{"x":{"type":"string"}},"anyOf":[{"type":"object","required":["x"]},{"type":"null"}]}}}"#,
            ),
            (
                r##"{"type":"object","properties":{"a":{"$ref":"#/definitions/A","description":"It."},"b":{"$ref":"#/definitions/A"}},"definitions":{"A":{"type":"string","description":"An A."}}}"##,
                r##"{"type":"object","properties":{"a":{"description":"It.","type":"string"},"b":{"$ref":"#/$defs/A"}},"$defs":{"A":{"type":"string","description":"An A."}}}"##,
            ),
            // One that holds itself.
            (
                r##"{"type":"object","properties":{"a":{"$ref":"#/$defs/A"}},"$defs":{"A":{"type":"object","properties":{"next":{"$ref":"#/$defs/A","description":"D."}}}}}"##,
                r##"{"type":"object","properties":{"a":{"$ref":"#/$defs/A"}},"$defs":{"A":{"type":"object","properties":{"next":{"description":"D.","type":"object","properties":{"next":{"$ref":"#/$defs/A"}}}}}}}"##,
            ),
            // Kept as it stands.
            (
                r#"{"type": "object","properties":{"a":{"type":["string","null"]}},"additionalProperties":false}"#,
                r#"{"type": "object","properties":{"a":{"type":["string","null"]}},"additionalProperties":false}"#,
            ),
        ] {
            let given = Cow::Owned(RawValue::from_string(given.to_owned()).unwrap());
            assert_eq!(typed(given).get(), made);
        }
    }
}
