//! JSON schemas in the words that Google's older field for a tool's parameters has, for servers that hand a caller's schema on to it as it
//! is: an unknown word is refused with the whole call ("Unknown name \"$schema\": Cannot find field").
//!
//! Source of the words: the Gemini API reference, `Schema`; github.com/databricks/unity-gateway/issues/491.

use std::borrow::Cow;

use serde_json::value::RawValue;
use serde_json::{Map, Value};

use crate::grammar::{merge, tell};

/// The words that stay. `additionalProperties` and those by which schemas point to each other have been taken so far.
const KNOWN: [&str; 26] = [
    "$defs",
    "$ref",
    "additionalProperties",
    "anyOf",
    "default",
    "definitions",
    "description",
    "enum",
    "example",
    "format",
    "items",
    "maxItems",
    "maxLength",
    "maxProperties",
    "maximum",
    "minItems",
    "minLength",
    "minProperties",
    "minimum",
    "nullable",
    "pattern",
    "properties",
    "propertyOrdering",
    "required",
    "title",
    "type",
];

/// Words that constrain nothing.
const HARMLESS: [&str; 9] =
    ["$anchor", "$comment", "$id", "$schema", "contentMediaType", "deprecated", "examples", "readOnly", "writeOnly"];

/// The schema in those words; the same bytes where it has no others. What is lost is said in the description.
pub(crate) fn in_open_api(schema: &RawValue) -> Cow<'_, RawValue> {
    let Ok(mut value) = serde_json::from_str::<Value>(schema.get()) else { return Cow::Borrowed(schema) };
    if !fit(&mut value) {
        return Cow::Borrowed(schema);
    }
    RawValue::from_string(value.to_string()).map_or(Cow::Borrowed(schema), Cow::Owned)
}

/// Fits a schema and all in it; `true`: something has changed. Depth is bounded by the parser.
fn fit(schema: &mut Value) -> bool {
    let Value::Object(schema) = schema else { return false };
    let mut changed = false;
    while let Some(Value::Array(all)) = schema.shift_remove("allOf") {
        all.into_iter().for_each(|part| merge(schema, part));
        changed = true;
    }
    if !schema.contains_key("anyOf")
        && let Some(all) = schema.shift_remove("oneOf")
    {
        schema.insert("anyOf".to_owned(), all);
        changed = true;
    }
    if let Some(value) = schema.shift_remove("const") {
        schema.insert("enum".to_owned(), Value::Array(vec![value]));
        changed = true;
    }
    changed |= take_out(schema);
    for (name, value) in schema.iter_mut() {
        match value {
            Value::Object(inner) if matches!(&**name, "properties" | "$defs" | "definitions") => {
                inner.values_mut().for_each(|schema| changed |= fit(schema));
            }
            Value::Array(inner) if name == "anyOf" => inner.iter_mut().for_each(|schema| changed |= fit(schema)),
            schema if matches!(&**name, "items" | "additionalProperties") => changed |= fit(schema),
            _ => {}
        }
    }
    changed
}

/// Takes out the words that are not known, and says those that constrain something.
fn take_out(schema: &mut Map<String, Value>) -> bool {
    let unknown: Vec<String> = schema.keys().filter(|name| !KNOWN.contains(&&***name)).cloned().collect();
    let mut lost = Vec::new();
    for name in &unknown {
        if let Some(value) = schema.shift_remove(name)
            && !HARMLESS.contains(&&**name)
        {
            lost.push(format!("{name}: {value}"));
        }
    }
    if !lost.is_empty() {
        tell(schema, &lost);
    }
    !unknown.is_empty()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_that_are_not_known_are_left_out_or_said() {
        for (given, made) in [
            (
                r#"{"$schema":"x","type":"object","properties":{"$schema":{"type":"integer","exclusiveMinimum":0},"k":{"const":"a"},"u":{"oneOf":[{"type":"string"}]}},"additionalProperties":false}"#,
                r#"{"type":"object","properties":{"$schema":{"type":"integer","description":"Constraints: exclusiveMinimum: 0."},"k":{"enum":["a"]},"u":{"anyOf":[{"type":"string"}]}},"additionalProperties":false}"#,
            ),
            (r#"{"type": "object","properties":{}}"#, r#"{"type": "object","properties":{}}"#),
            ("true", "true"),
        ] {
            let given = RawValue::from_string(given.to_owned()).unwrap();
            assert_eq!(in_open_api(&given).get(), made);
        }
    }
}
