//! JSON schemas of another dialect's callers, made what a vendor takes that compiles them into a grammar.
//!
//! It refuses what its grammars can not hold: numbers within bounds, texts of a length, objects with other properties than those
//! named. What is lost is said in the description, for the model to keep to. A word that nobody has called unsupported is kept.
//! Sources, read in November 2026: platform.claude.com/docs/en/build-with-claude/structured-outputs, "JSON Schema limitations";
//! docs.cohere.com/docs/structured-outputs, "Parameter types support" and "Unsupported schema features".

pub(crate) use crate::schema_merge::merge;
use crate::schema_refs;
use serde_json::value::RawValue;
use serde_json::{Map, Value};
use std::borrow::Cow;

/// The words that a vendor's grammars hold, and do not.
pub(crate) struct GrammarRule {
    /// Words that are refused, beside [`REFUSED`], and so said in the description.
    refused: &'static [&'static str],
    /// The formats that are known.
    formats: &'static [&'static str],
    /// Pieces with which a pattern is refused.
    unmatched: &'static [&'static str],
    /// The most that `minItems` may be.
    least_items: u64,
    /// True if an object can have no other properties than those that it names.
    closed: bool,
    /// True if `allOf` is refused: what it says stands in the schema itself then. One with a reference in it no vendor takes.
    merges: bool,
}

/// Anthropic's, for structured output and strict tools; Bedrock's, too.
pub(crate) const ANTHROPIC: GrammarRule = GrammarRule {
    refused: &["pattern"],
    formats: &["date-time", "time", "date", "duration", "email", "hostname", "uri", "ipv4", "ipv6", "uuid"],
    unmatched: &[],
    least_items: 1,
    closed: true,
    merges: false,
};
/// Cohere's, for the same.
pub(crate) const COHERE: GrammarRule = GrammarRule {
    refused: &[],
    formats: &["date-time", "uuid", "date", "time"],
    unmatched: &["^", "$", "?=", "?!"],
    least_items: 0,
    closed: false,
    merges: true,
};

/// Words that no vendor's grammar holds.
const REFUSED: [&str; 23] = [
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
    "patternProperties",
    "propertyNames",
    "then",
    "unevaluatedProperties",
    "uniqueItems",
];

/// The schema as a vendor takes it; the same bytes where nothing has to change.
pub(crate) fn held<'a>(schema: Cow<'a, RawValue>, rule: &GrammarRule) -> Cow<'a, RawValue> {
    let Ok(mut value) = serde_json::from_str::<Value>(schema.get()) else { return schema };
    let root = value.clone();
    if !hold(&mut value, rule, &root) {
        return schema;
    }
    RawValue::from_string(value.to_string()).map_or(schema, Cow::Owned)
}

/// Makes a schema and all in it what a grammar holds; `true`: something has changed. Depth is bounded by the parser.
fn hold(schema: &mut Value, rule: &GrammarRule, root: &Value) -> bool {
    let Value::Object(schema) = schema else { return false };
    let mut lost = Vec::new();
    let mut changed = false;
    while (rule.merges || points(schema))
        && let Some(Value::Array(all)) = schema.shift_remove("allOf")
    {
        unite(schema, all, root);
        changed = true;
    }
    take_out(schema, rule, &mut lost);
    // One of them or several: a grammar takes the first that fits.
    if !schema.contains_key("anyOf")
        && let Some(all) = schema.shift_remove("oneOf")
    {
        schema.insert("anyOf".to_owned(), all);
        changed = true;
    }
    changed |= rule.closed && shut(schema, &mut lost);
    for (name, value) in schema.iter_mut() {
        match value {
            Value::Object(inner) if matches!(&**name, "properties" | "$defs" | "definitions") => {
                inner.values_mut().for_each(|schema| changed |= hold(schema, rule, root));
            }
            Value::Array(inner) if matches!(&**name, "anyOf" | "allOf" | "prefixItems") => {
                inner.iter_mut().for_each(|schema| changed |= hold(schema, rule, root));
            }
            schema if matches!(&**name, "items" | "additionalProperties") => changed |= hold(schema, rule, root),
            _ => {}
        }
    }
    if lost.is_empty() {
        return changed;
    }
    tell(schema, &lost);
    true
}

/// True if one of `allOf` is a reference.
fn points(schema: &Map<String, Value>) -> bool {
    let all = schema.get("allOf").and_then(Value::as_array);
    all.is_some_and(|all| all.iter().any(|part| part.get("$ref").is_some()))
}

/// Puts all of `allOf` into the schema. A reference stays one where it is alone; of several each is what it points to.
fn unite(schema: &mut Map<String, Value>, mut all: Vec<Value>, root: &Value) {
    if all.len() > 1 {
        let parts = all.iter_mut().filter_map(Value::as_object_mut);
        parts.for_each(|part| _ = schema_refs::inline(part, root));
    }
    all.into_iter().for_each(|part| merge(schema, part));
}

/// Takes out the words that a grammar can not hold, and notes them.
fn take_out(schema: &mut Map<String, Value>, rule: &GrammarRule, lost: &mut Vec<String>) {
    for name in REFUSED.iter().chain(rule.refused) {
        if let Some(value) = schema.shift_remove(*name) {
            lost.push(format!("{name}: {value}"));
        }
    }
    let text = |schema: &Map<String, Value>, name: &str| schema.get(name).and_then(Value::as_str).map(str::to_owned);
    if let Some(format) = text(schema, "format").filter(|format| !rule.formats.contains(&format.as_str())) {
        lost.push(format!("format: \"{format}\""));
        schema.shift_remove("format");
    }
    let unmatched = |pattern: &str| rule.unmatched.iter().any(|piece| pattern.contains(piece));
    if let Some(pattern) = text(schema, "pattern").filter(|pattern| unmatched(pattern)) {
        lost.push(format!("pattern: {}", Value::String(pattern)));
        schema.shift_remove("pattern");
    }
    if let Some(least) = schema.get("minItems").filter(|least| least.as_u64().is_none_or(|it| it > rule.least_items)) {
        lost.push(format!("minItems: {least}"));
        schema.shift_remove("minItems");
    }
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
pub(crate) fn tell(schema: &mut Map<String, Value>, lost: &[String]) {
    let said = schema.get("description").and_then(Value::as_str).unwrap_or_default();
    let gap = if said.is_empty() { "" } else { "\n" };
    let text = format!("{said}{gap}Constraints: {}.", lost.join(", "));
    schema.insert("description".to_owned(), text.into());
}

#[cfg(test)]
mod tests {
    use super::*;

    fn closed_of(json: &str) -> String {
        held(Cow::Owned(RawValue::from_string(json.to_owned()).unwrap()), &ANTHROPIC).get().to_owned()
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
            (
                r##"{"type":"object","properties":{"a":{"allOf":[{"$ref":"#/$defs/a"}],"description":"D."},"b":{"allOf":[{"$ref":"#/$defs/a"},{"title":"B"}]}},"additionalProperties":false,"$defs":{"a":{"type":"string"}}}"##,
                r##"{"type":"object","properties":{"a":{"description":"D.","$ref":"#/$defs/a"},"b":{"type":"string","title":"B"}},"additionalProperties":false,"$defs":{"a":{"type":"string"}}}"##,
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

    #[test]
    fn cohere_holds_less_of_numbers_and_more_of_objects() {
        for (given, made) in [
            (
                r#"{"type":"object","properties":{"n":{"type":"integer","minimum":1},"p":{"type":"string","pattern":"[A-Z]{3}"},"q":{"type":"string","pattern":"^\"x$"}},"additionalProperties":{"type":"array","minItems":1}}"#,
                r#"{"type":"object","properties":{"n":{"type":"integer","description":"Constraints: minimum: 1."},"p":{"type":"string","pattern":"[A-Z]{3}"},"q":{"type":"string","description":"Constraints: pattern: \"^\\\"x$\"."}},"additionalProperties":{"type":"array","description":"Constraints: minItems: 1."}}"#,
            ),
            (
                r##"{"allOf":[{"$ref":"#/$defs/a"}],"$defs":{"a":{"oneOf":[{"type":"string","format":"email"},{"type":"string","format":"uuid"}]}}}"##,
                r##"{"$defs":{"a":{"anyOf":[{"type":"string","description":"Constraints: format: \"email\"."},{"type":"string","format":"uuid"}]}},"$ref":"#/$defs/a"}"##,
            ),
            // Kept as it stands.
            (r#"{"type": "object","additionalProperties":true}"#, r#"{"type": "object","additionalProperties":true}"#),
        ] {
            let given = Cow::Owned(RawValue::from_string(given.to_owned()).unwrap());
            assert_eq!(held(given, &COHERE).get(), made);
        }
    }
}
