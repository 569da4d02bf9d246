//! Regular expressions in JSON schemas on their way to vendors that compile them: one of them that the engine does not know has the whole
//! call refused, whichever tool it belongs to. What others take alone is said in the description, for the model to keep to.

use std::borrow::Cow;

use serde_json::value::RawValue;
use serde_json::{Map, Value};

use crate::grammar::tell;
use crate::pattern::is_portable;

/// The schema with those patterns alone that every engine compiles; the same bytes where it has no others.
pub(crate) fn portable(schema: Cow<'_, RawValue>) -> Cow<'_, RawValue> {
    if !schema.get().contains("\"pattern") {
        return schema;
    }
    let Ok(mut value) = serde_json::from_str::<Value>(schema.get()) else { return schema };
    if !fit(&mut value) {
        return schema;
    }
    RawValue::from_string(value.to_string()).map_or(schema, Cow::Owned)
}

/// Takes the patterns out of a schema and of all in it; `true`: there were some. Depth is bounded by the parser.
fn fit(schema: &mut Value) -> bool {
    let Value::Object(schema) = schema else { return false };
    let mut lost = Vec::new();
    if let Some(Value::String(pattern)) = schema.get("pattern")
        && !is_portable(pattern)
        && let Some(pattern) = schema.shift_remove("pattern")
    {
        lost.push(format!("pattern: {pattern}"));
    }
    names(schema, &mut lost);
    negations(schema, &mut lost);
    let mut changed = !lost.is_empty();
    for (name, value) in schema.iter_mut() {
        match (&**name, value) {
            (
                "properties" | "$defs" | "definitions" | "patternProperties" | "dependentSchemas",
                Value::Object(inner),
            ) => inner.values_mut().for_each(|schema| changed |= fit(schema)),
            ("anyOf" | "oneOf" | "allOf" | "prefixItems" | "items", Value::Array(inner)) => {
                inner.iter_mut().for_each(|schema| changed |= fit(schema));
            }
            (
                "items"
                | "additionalProperties"
                | "propertyNames"
                | "contains"
                | "then"
                | "else"
                | "unevaluatedItems"
                | "unevaluatedProperties",
                schema,
            ) => changed |= fit(schema),
            _ => {}
        }
    }
    if !lost.is_empty() {
        tell(schema, &lost);
    }
    changed
}

/// Takes out the properties that are told by such a pattern of their names. They are allowed all the same.
fn names(schema: &mut Map<String, Value>, lost: &mut Vec<String>) {
    let Some(Value::Object(named)) = schema.get_mut("patternProperties") else { return };
    let (kept, gone): (Map<String, Value>, Map<String, Value>) =
        std::mem::take(named).into_iter().partition(|(pattern, _)| is_portable(pattern));
    if gone.is_empty() {
        *named = kept;
        return;
    }
    if kept.is_empty() {
        schema.shift_remove("patternProperties");
    } else {
        *named = kept;
    }
    if schema.get("additionalProperties") == Some(&Value::Bool(false)) {
        schema.shift_remove("additionalProperties");
    }
    lost.push(format!("patternProperties: {}", Value::Object(gone)));
}

/// Takes out conditions that hold such a pattern: without it they would hold for all.
fn negations(schema: &mut Map<String, Value>, lost: &mut Vec<String>) {
    for (condition, words) in [("not", &["not"][..]), ("if", &["if", "then", "else"])] {
        let is_lost = schema.get(condition).is_some_and(|inner| fit(&mut inner.clone()));
        for word in words.iter().filter(|_| is_lost) {
            if let Some(value) = schema.shift_remove(*word) {
                lost.push(format!("{word}: {value}"));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_engines_do_not_compile_is_said_in_words() {
        for (given, made) in [
            (
                r#"{"type":"object","properties":{"to":{"type":"array","items":{"type":"string","pattern":"^(?!\\.)a"}},"ok":{"type":"string", "pattern":"^a$"}}}"#,
                r#"{"type":"object","properties":{"to":{"type":"array","items":{"type":"string","description":"Constraints: pattern: \"^(?!\\\\.)a\"."}},"ok":{"type":"string","pattern":"^a$"}}}"#,
            ),
            // A property may be called so.
            (
                r#"{"properties":{"pattern":{"type":"string","description":"It.","pattern":"\\p{L}"}}}"#,
                r#"{"properties":{"pattern":{"type":"string","description":"It.\nConstraints: pattern: \"\\\\p{L}\"."}}}"#,
            ),
            (
                r#"{"type":"object","patternProperties":{"^(?=x)":{"type":"string"},"^y":{"pattern":"\\0"}},"additionalProperties":false}"#,
                r#"{"type":"object","patternProperties":{"^y":{"description":"Constraints: pattern: \"\\\\0\"."}},"description":"Constraints: patternProperties: {\"^(?=x)\":{\"type\":\"string\"}}."}"#,
            ),
            (
                r#"{"not":{"pattern":"(?!a)"},"if":{"pattern":"a"},"then":{"pattern":"(?=a)"}}"#,
                r#"{"if":{"pattern":"a"},"then":{"description":"Constraints: pattern: \"(?=a)\"."},"description":"Constraints: not: {\"pattern\":\"(?!a)\"}."}"#,
            ),
            (r#"{"pattern": "^a"}"#, r#"{"pattern": "^a"}"#),
            ("true", "true"),
        ] {
            let given = Cow::Owned(RawValue::from_string(given.to_owned()).unwrap());
            assert_eq!(portable(given).get(), made);
        }
    }
}
