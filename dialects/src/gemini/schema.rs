//! Schemas, in both directions: OpenAPI's, as Gemini's older fields have them, made JSON Schema; and any JSON Schema made
//! one of the words that Gemini acts on.
//!
//! Source of the words: the Gemini API reference, `Schema` and `GenerationConfig.responseJsonSchema`.

use serde_json::value::RawValue;
use serde_json::{Map, Value};

use crate::codec::Refusal;
use crate::grammar::merge;
use crate::hub::Raw;
use crate::json::{Path, camel_case};
use crate::schema_refs;

/// An OpenAPI schema in JSON Schema's words: types in small letters, `nullable` as a type, counts as numbers, properties
/// in the order that they are wanted in. Errors: it is no object.
pub(super) fn to_json_schema(raw: &RawValue, at: &Path<'_>) -> Result<Raw, Refusal> {
    match serde_json::from_str(raw.get()) {
        Ok(Value::Object(schema)) => written(&Value::Object(from_open_api(schema)), at),
        _ => Err(at.refuse("must be a schema")),
    }
}

fn written(schema: &Value, at: &Path<'_>) -> Result<Raw, Refusal> {
    RawValue::from_string(schema.to_string()).map_err(|_| at.refuse("must be a schema"))
}

fn from_open_api(schema: Map<String, Value>) -> Map<String, Value> {
    let (mut out, mut nullable, mut order) = (Map::new(), false, None);
    for (name, value) in schema {
        let name = camel_case(&name);
        match (name.as_str(), value) {
            ("type", Value::String(kind)) if kind != "TYPE_UNSPECIFIED" => {
                out.insert(name, Value::String(kind.to_ascii_lowercase()));
            }
            ("type", Value::String(_)) | (_, Value::Null) => {}
            ("nullable", value) => nullable = value == Value::Bool(true),
            ("propertyOrdering", Value::Array(names)) => order = Some(names),
            // Says only that `enum` stands beside it.
            ("format", Value::String(format)) if format == "enum" => {}
            ("example", value) => drop(out.insert("examples".to_owned(), Value::Array(vec![value]))),
            ("ref", value) => drop(out.insert("$ref".to_owned(), value)),
            ("properties" | "defs" | "$defs", Value::Object(members)) => {
                let members = members.into_iter().map(|(name, value)| (name, within(value))).collect();
                out.insert(if name == "defs" { "$defs".to_owned() } else { name }, Value::Object(members));
            }
            ("anyOf" | "prefixItems", Value::Array(list)) => {
                out.insert(name, list.into_iter().map(within).collect());
            }
            ("items" | "additionalProperties", value) => drop(out.insert(name, within(value))),
            // Google writes whole numbers of 64 bits as text.
            (
                "minItems" | "maxItems" | "minLength" | "maxLength" | "minProperties" | "maxProperties",
                Value::String(count),
            ) => {
                let count = count.parse::<u64>().map_or(Value::String(count), Value::from);
                out.insert(name, count);
            }
            (_, value) => drop(out.insert(name, value)),
        }
    }
    if let Some(order) = order {
        reorder(&mut out, &order);
    }
    if nullable {
        or_null(&mut out);
    }
    out
}

fn within(value: Value) -> Value {
    match value {
        Value::Object(schema) => Value::Object(from_open_api(schema)),
        other => other,
    }
}

/// Puts the properties that are named first, in the order they are named in.
fn reorder(schema: &mut Map<String, Value>, order: &[Value]) {
    let Some(Value::Object(properties)) = schema.get_mut("properties") else { return };
    let mut rest = std::mem::take(properties);
    for name in order.iter().filter_map(Value::as_str) {
        properties.extend(rest.shift_remove_entry(name));
    }
    properties.extend(rest);
}

fn or_null(schema: &mut Map<String, Value>) {
    let null = || Value::String("null".to_owned());
    if let Some(Value::Array(values)) = schema.get_mut("enum") {
        values.push(Value::Null);
    }
    match schema.get_mut("type") {
        Some(Value::Array(kinds)) => kinds.push(null()),
        Some(kind) => *kind = Value::Array(vec![kind.take(), null()]),
        None => {
            if let Some(Value::Array(list)) = schema.get_mut("anyOf") {
                list.push(Value::Object([("type".to_owned(), null())].into_iter().collect()));
            }
        }
    }
}

/// The words of JSON Schema that Gemini acts on.
const KNOWN: [&str; 19] = [
    "$anchor",
    "$defs",
    "$id",
    "$ref",
    "additionalProperties",
    "anyOf",
    "description",
    "enum",
    "format",
    "items",
    "maxItems",
    "maximum",
    "minItems",
    "minimum",
    "oneOf",
    "prefixItems",
    "properties",
    "required",
    "title",
];

/// Words that constrain nothing.
const HARMLESS: [&str; 9] =
    ["$comment", "$schema", "contentMediaType", "default", "deprecated", "examples", "readOnly", "strict", "writeOnly"];

/// A JSON Schema in the words that Gemini acts on. `lost` is told the path of each constraint that is left out. A schema
/// that is no object (`true`) allows anything.
pub(super) fn for_gemini(raw: &RawValue, at: &str, lost: &mut dyn FnMut(String)) -> Raw {
    let schema = match serde_json::from_str(raw.get()) {
        Ok(Value::Object(mut schema)) => {
            schema_refs::inline_root(&mut schema);
            to_gemini(schema, at, lost)
        }
        _ => Map::new(),
    };
    RawValue::from_string(Value::Object(schema).to_string()).unwrap_or_else(|_| RawValue::NULL.to_owned())
}

fn to_gemini(mut schema: Map<String, Value>, at: &str, lost: &mut dyn FnMut(String)) -> Map<String, Value> {
    if let Some(Value::Array(all)) = schema.shift_remove("allOf") {
        for part in all {
            merge(&mut schema, part);
        }
    }
    let mut out = Map::new();
    for (name, value) in schema {
        let here = format!("{at}.{name}");
        match (name.as_str(), value) {
            ("definitions" | "$defs" | "properties", Value::Object(members)) => {
                let inner = |(name, value)| {
                    let here = format!("{here}.{name}");
                    (name, inner(value, &here, lost))
                };
                let members: Map<String, Value> = members.into_iter().map(inner).collect();
                out.insert(if name == "definitions" { "$defs".to_owned() } else { name }, Value::Object(members));
            }
            ("anyOf" | "oneOf" | "prefixItems", Value::Array(list)) => {
                out.insert(name, list.into_iter().map(|value| inner(value, &here, lost)).collect());
            }
            ("items" | "additionalProperties", value) => drop(out.insert(name, inner(value, &here, lost))),
            ("$ref", Value::String(place)) => {
                out.insert(name, Value::String(place.replacen("#/definitions/", "#/$defs/", 1)));
            }
            ("const", value) => drop(out.insert("enum".to_owned(), Value::Array(vec![value]))),
            ("type", value) => drop(out.insert(name, value)),
            (known, value) if KNOWN.contains(&known) => drop(out.insert(name, value)),
            (harmless, _) if HARMLESS.contains(&harmless) => {}
            _ => lost(here),
        }
    }
    if out.contains_key("$ref") {
        beside_a_reference(&mut out, at, lost);
    }
    out
}

/// Leaves out what Gemini refuses beside `$ref`: a label silently.
fn beside_a_reference(schema: &mut Map<String, Value>, at: &str, lost: &mut dyn FnMut(String)) {
    let names: Vec<String> = schema.keys().cloned().collect();
    for name in names {
        if !matches!(name.as_str(), "$ref" | "$defs" | "description") && schema.shift_remove(&name).is_some() {
            (name != "title").then(|| lost(format!("{at}.{name}")));
        }
    }
}

fn inner(value: Value, at: &str, lost: &mut dyn FnMut(String)) -> Value {
    match value {
        Value::Object(schema) => Value::Object(to_gemini(schema, at, lost)),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json::ROOT;

    #[test]
    fn open_apis_words_become_json_schemas() {
        for (open_api, schema) in [
            (
                r#"{"type":"STRING","nullable":true,"enum":["a"],"format":"enum"}"#,
                r#"{"type":["string","null"],"enum":["a",null]}"#,
            ),
            (
                r#"{"type":"OBJECT","properties":{"TYPE":{"type":"ARRAY","items":{"type":"INTEGER"},"min_items":"1"},"b":{"type":"NUMBER"}},"propertyOrdering":["b","TYPE"],"required":["b"]}"#,
                r#"{"type":"object","properties":{"b":{"type":"number"},"TYPE":{"type":"array","items":{"type":"integer"},"minItems":1}},"required":["b"]}"#,
            ),
            (r#"{"anyOf":[{"type":"STRING"}],"nullable":true}"#, r#"{"anyOf":[{"type":"string"},{"type":"null"}]}"#),
        ] {
            let raw: &RawValue = serde_json::from_str(open_api).unwrap();
            assert_eq!(to_json_schema(raw, &ROOT).unwrap().get(), schema);
        }
        let raw: &RawValue = serde_json::from_str("[]").unwrap();
        assert!(to_json_schema(raw, &ROOT).is_err());
    }

    #[test]
    fn what_gemini_does_not_act_on_is_left_out_and_said() {
        for (schema, gemini, without) in [
            (
                r##"{"$schema":"x","type":"object","properties":{"b":{"$ref":"#/definitions/B"},"a":{"type":"string","pattern":"^a","minLength":2}},"definitions":{"B":{"const":"b"}},"additionalProperties":false}"##,
                r##"{"type":"object","properties":{"b":{"$ref":"#/$defs/B"},"a":{"type":"string"}},"$defs":{"B":{"enum":["b"]}},"additionalProperties":false}"##,
                &["s.properties.a.pattern", "s.properties.a.minLength"][..],
            ),
            (
                r#"{"allOf":[{"type":"object","properties":{"a":{}},"required":["a"]},{"properties":{"b":{}},"required":["b"]}]}"#,
                r#"{"type":"object","properties":{"a":{},"b":{}},"required":["a","b"]}"#,
                &[],
            ),
            ("true", "{}", &[]),
        ] {
            let mut lost = Vec::new();
            let raw: &RawValue = serde_json::from_str(schema).unwrap();
            assert_eq!(for_gemini(raw, "s", &mut |path| lost.push(path)).get(), gemini);
            assert_eq!(lost, without);
        }
    }
}
