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
    changed |= one_type(schema);
    changed |= texts_alone(schema);
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

/// Says one type where there is a list of them ("Proto field is not repeating"); `null` among them is a word of its own.
fn one_type(schema: &mut Map<String, Value>) -> bool {
    let Some(Value::Array(mut kinds)) = schema.get("type").cloned() else { return false };
    let all = Value::Array(kinds.clone());
    kinds.retain(|kind| kind != "null");
    if all.as_array().is_some_and(|all| kinds.len() < all.len()) {
        schema.insert("nullable".to_owned(), Value::Bool(true));
    }
    let is_plain = kinds.iter().all(|kind| kind != "object" && kind != "array");
    if kinds.len() > 1 && is_plain && !schema.contains_key("anyOf") {
        schema.shift_remove("type");
        let members = kinds.into_iter().map(|kind| Value::Object(Map::from_iter([("type".to_owned(), kind)])));
        schema.insert("anyOf".to_owned(), members.collect());
        return true;
    }
    let several = kinds.len() > 1;
    match kinds.into_iter().next() {
        Some(kind) => schema.insert("type".to_owned(), kind),
        None => schema.shift_remove("type"),
    };
    if several {
        tell(schema, &[format!("type: {all}")]);
    }
    true
}

/// Leaves texts alone in a list of values (`(TYPE_STRING)`, `enum[0]: cannot be empty`); one that has others is said.
fn texts_alone(schema: &mut Map<String, Value>) -> bool {
    let is_text = |value: &Value| value.as_str().is_some_and(|text| !text.is_empty());
    let Some(Value::Array(mut values)) = schema.get("enum").cloned() else { return false };
    if values.iter().all(is_text) {
        return false;
    }
    if values.iter().any(Value::is_null) {
        schema.insert("nullable".to_owned(), Value::Bool(true));
    }
    values.retain(|value| !value.is_null());
    if values.iter().all(is_text) && !values.is_empty() {
        schema.insert("enum".to_owned(), Value::Array(values));
        return true;
    }
    schema.shift_remove("enum");
    if !values.is_empty() {
        tell(schema, &[format!("enum: {}", Value::Array(values))]);
    }
    true
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
            (
                r#"{"properties":{"a":{"type":["string","null"]},"b":{"type":["string","integer"]},"c":{"type":["array","string"],"items":{}}}}"#,
                r#"{"properties":{"a":{"type":"string","nullable":true},"b":{"anyOf":[{"type":"string"},{"type":"integer"}]},"c":{"type":"array","items":{},"description":"Constraints: type: [\"array\",\"string\"]."}}}"#,
            ),
            (
                r#"{"properties":{"a":{"enum":["x",null]},"b":{"type":"integer","enum":[1,2]},"c":{"type":"string","enum":["","x"]}}}"#,
                r#"{"properties":{"a":{"enum":["x"],"nullable":true},"b":{"type":"integer","description":"Constraints: enum: [1,2]."},"c":{"type":"string","description":"Constraints: enum: [\"\",\"x\"]."}}}"#,
            ),
            (r#"{"type": "object","properties":{}}"#, r#"{"type": "object","properties":{}}"#),
            ("true", "true"),
        ] {
            let given = RawValue::from_string(given.to_owned()).unwrap();
            assert_eq!(in_open_api(&given).get(), made);
        }
    }
}
