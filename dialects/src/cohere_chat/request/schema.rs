//! The schemas that Cohere's structured outputs take.
//!
//! Source: docs.cohere.com/docs/structured-outputs, "Schema constraints" and "Important notes on using `strict_tools`", read in
//! November 2026. The words in them are [`crate::grammar::COHERE`]'s.

use serde_json::value::RawValue;
use serde_json::{Map, Value};

/// The most properties that strict tools may have in sum.
const MOST_PROPERTIES: usize = 200;

/// True if an answer can be held to the schema: it is an object's, and every object in it has to have some property.
pub(super) fn is_taken(schema: &RawValue) -> bool {
    let Ok(Value::Object(schema)) = serde_json::from_str(schema.get()) else { return false };
    schema.get("type").is_some_and(|kind| kind == "object") && requires(&schema, &mut 0)
}

/// True if the schema is an object's.
pub(super) fn is_objects(schema: &RawValue) -> bool {
    let Ok(Value::Object(schema)) = serde_json::from_str(schema.get()) else { return false };
    schema.get("type").is_some_and(|kind| kind == "object")
}

/// True if calls can be held to the parameters of all these tools, too: each has some that is required.
pub(super) fn are_strict<'a>(parameters: impl IntoIterator<Item = Option<&'a RawValue>>) -> bool {
    let mut properties = 0;
    let mut is_strict = |schema: &RawValue| {
        let Ok(Value::Object(schema)) = serde_json::from_str(schema.get()) else { return false };
        has_required(&schema) && requires(&schema, &mut properties)
    };
    let all = parameters.into_iter().all(|schema| schema.is_some_and(&mut is_strict));
    all && properties <= MOST_PROPERTIES
}

fn has_required(schema: &Map<String, Value>) -> bool {
    schema.get("required").and_then(Value::as_array).is_some_and(|names| !names.is_empty())
}

/// True if every object with properties requires one of them; `properties` counts them all.
fn requires(schema: &Map<String, Value>, properties: &mut usize) -> bool {
    let own = schema.get("properties").and_then(Value::as_object).map_or(0, Map::len);
    *properties += own;
    (own == 0 || has_required(schema))
        && schema.iter().all(|(name, value)| match (&**name, value) {
            ("properties" | "$defs" | "definitions", Value::Object(inner)) => {
                inner.values().all(|one| within(one, properties))
            }
            ("anyOf" | "oneOf" | "allOf" | "prefixItems", Value::Array(inner)) => {
                inner.iter().all(|one| within(one, properties))
            }
            ("items" | "additionalProperties", inner) => within(inner, properties),
            _ => true,
        })
}

fn within(schema: &Value, properties: &mut usize) -> bool {
    schema.as_object().is_none_or(|schema| requires(schema, properties))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn raw(json: &str) -> Box<RawValue> {
        RawValue::from_string(json.to_owned()).unwrap()
    }

    #[test]
    fn an_object_has_to_require_some_property() {
        for (schema, taken) in [
            (r#"{"type":"object","properties":{"a":{}},"required":["a"]}"#, true),
            (r#"{"type":"object","properties":{"a":{}},"required":[]}"#, false),
            (r#"{"type":"object","properties":{"a":{"type":"object","properties":{"b":{}}}},"required":["a"]}"#, false),
            (r#"{"type":"object","additionalProperties":{"type":"string"}}"#, true),
            (r#"{"type":"array","items":{"type":"string"}}"#, false),
            (r#"{"anyOf":[{"type":"object"}]}"#, false),
            ("true", false),
        ] {
            assert_eq!(is_taken(&raw(schema)), taken, "{schema}");
        }
    }

    #[test]
    fn tools_are_strict_that_require_something_and_are_not_too_large() {
        let one = raw(r#"{"type":"object","properties":{"a":{}},"required":["a"]}"#);
        let none = raw(r#"{"type":"object","properties":{}}"#);
        assert!(are_strict([Some(&*one), Some(&*one)]));
        assert!(!are_strict([Some(&*one), Some(&*none)]) && !are_strict([Some(&*one), None]));
        let names: Vec<String> = (0..201).map(|number| format!(r#""p{number}":{{}}"#)).collect();
        let large = raw(&format!(r#"{{"type":"object","properties":{{{}}},"required":["p0"]}}"#, names.join(",")));
        assert!(!are_strict([Some(&*large)]));
    }
}
