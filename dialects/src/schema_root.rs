//! The root of a tool's schema. A union stands there in what many servers of tools offer; Anthropic, OpenAI and others refuse every call
//! that brings such a tool: at its root a schema is a plain object's.
//!
//! Sources, read in November 2026: Anthropic's 400 "input_schema does not support oneOf, allOf, or anyOf at the top level", OpenAI's
//! "schema must have type 'object' and not have 'oneOf'/'anyOf'/'allOf'/'enum'/'not' at the top level".

use std::borrow::Cow;
use std::collections::HashSet;

use serde_json::value::RawValue;
use serde_json::{Map, Value};

use crate::grammar::{merge, tell};
use crate::schema_refs;

/// Words that unite schemas.
const UNIONS: [&str; 3] = ["allOf", "anyOf", "oneOf"];
/// Further words that are refused at the root.
const OTHERS: [&str; 2] = ["enum", "not"];
/// The nesting of unions in unions up to which they are looked into.
const DEEPEST: usize = 8;
/// So many members are told of, and so many forms a property may have: with more it may be anything.
const MOST: usize = 64;

/// A tool's schema whose root is a plain object's; the same bytes where it is. What only some members of a union say is said in the
/// description.
pub(crate) fn plain(schema: &RawValue) -> Cow<'_, RawValue> {
    let text = schema.get();
    let has = |word: &str| memchr::memmem::find(text.as_bytes(), word.as_bytes()).is_some();
    if !["Of\"", "\"enum\"", "\"not\"", "\"null\"", "\"$ref\""].into_iter().any(has) {
        return Cow::Borrowed(schema);
    }
    let Ok(Value::Object(mut given)) = serde_json::from_str(text) else { return Cow::Borrowed(schema) };
    let inlined = schema_refs::inline_root(&mut given);
    let kinds = given.get("type").and_then(Value::as_array);
    let of_kinds = kinds.is_some_and(|kinds| kinds.iter().any(|kind| kind == "object"));
    if !inlined && !of_kinds && !UNIONS.iter().chain(&OTHERS).any(|word| given.contains_key(*word)) {
        return Cow::Borrowed(schema);
    }
    let root = Value::Object(given.clone());
    let mut made = given;
    let mut union = Union { root: &root, pointed: HashSet::new(), lost: Vec::new() };
    union.unite(&mut made, 0);
    let mut lost = union.lost;
    for word in OTHERS {
        if let Some(value) = made.shift_remove(word) {
            lost.push(format!("{word}: {value}"));
        }
    }
    made.shift_remove("type");
    made.shift_insert(0, "type".to_owned(), "object".into());
    made.entry("properties").or_insert_with(|| Value::Object(Map::new()));
    if !lost.is_empty() {
        tell(&mut made, &lost);
    }
    RawValue::from_string(Value::Object(made).to_string()).map_or(Cow::Borrowed(schema), Cow::Owned)
}

/// The unions of one schema, on their way into its root.
struct Union<'a> {
    root: &'a Value,
    /// The places that a member has pointed to: each is looked at once.
    pointed: HashSet<String>,
    /// The rules that are not so any longer.
    lost: Vec<String>,
}

impl Union<'_> {
    /// Puts what a schema's unions say into the schema itself.
    fn unite(&mut self, schema: &mut Map<String, Value>, depth: usize) {
        for word in UNIONS {
            let Some(Value::Array(members)) = schema.shift_remove(word) else { continue };
            if depth == DEEPEST {
                continue;
            }
            let members: Vec<Map<String, Value>> = members.into_iter().filter_map(|one| self.resolved(one)).collect();
            if word == "allOf" || members.len() == 1 {
                for mut member in members {
                    self.unite(&mut member, depth + 1);
                    merge(schema, Value::Object(member));
                }
                continue;
            }
            let outlines: Vec<Value> = members.iter().take(MOST).map(outline).collect();
            if !outlines.is_empty() {
                self.lost.push(format!("{word}: {}", Value::Array(outlines)));
            }
            self.any_of(members, schema, depth);
        }
        if let Some(Value::Array(names)) = schema.get_mut("required") {
            let mut seen = HashSet::new();
            names.retain(|name| name.as_str().is_some_and(|name| seen.insert(name.to_owned())));
        }
    }

    /// Adds what any of several may have, and requires what they all do.
    fn any_of(&mut self, members: Vec<Map<String, Value>>, schema: &mut Map<String, Value>, depth: usize) {
        let mut required: Option<Vec<Value>> = None;
        for mut member in members {
            self.unite(&mut member, depth + 1);
            let own = match member.shift_remove("required") {
                Some(Value::Array(own)) => own,
                _ => Vec::new(),
            };
            required = Some(match required {
                None => own,
                Some(mut all) => {
                    let own: HashSet<&str> = own.iter().filter_map(Value::as_str).collect();
                    all.retain(|name| name.as_str().is_some_and(|name| own.contains(name)));
                    all
                }
            });
            take_properties(schema, member);
        }
        if let Some(all) = required.filter(|all| !all.is_empty()) {
            merge(schema, Value::Object([("required".to_owned(), Value::Array(all))].into_iter().collect()));
        }
    }

    /// The schema that a member is, if need be where it points to; `None`: it is none of an object, as `null`.
    fn resolved(&mut self, member: Value) -> Option<Map<String, Value>> {
        let Value::Object(mut member) = member else { return None };
        let place = member.get("$ref").and_then(Value::as_str).and_then(|place| place.strip_prefix('#'));
        let place = place.filter(|place| !place.is_empty()).map(str::to_owned);
        if let Some(place) = place
            && let Some(Value::Object(there)) = self.root.pointer(&place)
            && self.pointed.insert(place)
        {
            let there = there.clone();
            member.shift_remove("$ref");
            merge(&mut member, Value::Object(there));
        }
        let is_object = |kind: &Value| match kind {
            Value::Array(kinds) => kinds.iter().any(|kind| kind == "object"),
            kind => kind == "object",
        };
        member.get("type").is_none_or(is_object).then_some(member)
    }
}

/// Adds what one of several may have.
fn take_properties(schema: &mut Map<String, Value>, member: Map<String, Value>) {
    for (name, value) in member {
        let Value::Object(more) = value else { continue };
        match &*name {
            "properties" => {
                let Value::Object(all) = schema.entry(name).or_insert_with(|| Value::Object(Map::new())) else {
                    continue;
                };
                more.into_iter().for_each(|(name, value)| either(all, name, value));
            }
            "$defs" | "definitions" => {
                merge(schema, Value::Object([(name, Value::Object(more))].into_iter().collect()));
            }
            _ => {}
        }
    }
}

/// Adds a property; one that is there already is either of both.
fn either(all: &mut Map<String, Value>, name: String, value: Value) {
    let Some(known) = all.get_mut(&name) else { return drop(all.insert(name, value)) };
    let takes_anything = |schema: &Value| schema.as_object().is_some_and(Map::is_empty);
    if *known == value || takes_anything(known) || takes_anything(&value) {
        return;
    }
    match known.get_mut("anyOf") {
        Some(Value::Array(list)) if list.len() == MOST => *known = Value::Object(Map::new()),
        Some(Value::Array(list)) if list.contains(&value) => {}
        Some(Value::Array(list)) => list.push(value),
        _ => {
            let both = vec![known.take(), value];
            *known = Value::Object([("anyOf".to_owned(), Value::Array(both))].into_iter().collect());
        }
    }
}

/// A member as a model needs it to tell it from the others: the names of its properties, those with one value whole, and which it
/// requires.
fn outline(member: &Map<String, Value>) -> Value {
    let mut out = Map::new();
    for (name, value) in member {
        match (&**name, value) {
            ("properties", Value::Object(all)) => {
                let short = |(name, value): (&String, &Value)| {
                    let fixed = ["const", "enum"].into_iter().find_map(|word| Some((word, value.get(word)?)));
                    let value = fixed.map(|(word, value)| (word.to_owned(), value.clone()));
                    (name.clone(), Value::Object(value.into_iter().collect()))
                };
                out.insert(name.clone(), Value::Object(all.iter().map(short).collect()));
            }
            ("required" | "not" | "anyOf" | "oneOf" | "allOf" | "minProperties", value) => {
                out.insert(name.clone(), value.clone());
            }
            _ => {}
        }
    }
    Value::Object(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_union_at_the_root_becomes_one_object() {
        for (given, made) in [
            (
                r#"{"type":"object","properties":{"a":{},"b":{}},"anyOf":[{"required":["a"]},{"required":["b"]}]}"#,
                r#"{"type":"object","properties":{"a":{},"b":{}},"description":"Constraints: anyOf: [{\"required\":[\"a\"]},{\"required\":[\"b\"]}]."}"#,
            ),
            (
                r##"{"oneOf":[{"$ref":"#/$defs/A"},{"type":"object","properties":{"kind":{"const":"b"},"y":{"type":"integer"}},"required":["kind","y"]}],"$defs":{"A":{"type":"object","properties":{"kind":{"const":"a"},"x":{"type":"string"}},"required":["kind"]}},"description":"Does."}"##,
                r##"{"type":"object","$defs":{"A":{"type":"object","properties":{"kind":{"const":"a"},"x":{"type":"string"}},"required":["kind"]}},"description":"Does.\nConstraints: oneOf: [{\"properties\":{\"kind\":{\"const\":\"a\"},\"x\":{}},\"required\":[\"kind\"]},{\"properties\":{\"kind\":{\"const\":\"b\"},\"y\":{}},\"required\":[\"kind\",\"y\"]}].","properties":{"kind":{"anyOf":[{"const":"a"},{"const":"b"}]},"x":{"type":"string"},"y":{"type":"integer"}},"required":["kind"]}"##,
            ),
            (
                r#"{"allOf":[{"properties":{"a":{}},"required":["a"]},{"properties":{"b":{}},"required":["a","b"]}]}"#,
                r#"{"type":"object","properties":{"a":{},"b":{}},"required":["a","b"]}"#,
            ),
            (
                r#"{"anyOf":[{"type":"object","properties":{"a":{}},"required":["a"]},{"type":"null"}]}"#,
                r#"{"type":"object","properties":{"a":{}},"required":["a"]}"#,
            ),
            (r#"{"type":["object","null"],"properties":{"a":{}}}"#, r#"{"type":"object","properties":{"a":{}}}"#),
            (
                r#"{"type":"object","properties":{"a":{}},"not":{"required":["a"]}}"#,
                r#"{"type":"object","properties":{"a":{}},"description":"Constraints: not: {\"required\":[\"a\"]}."}"#,
            ),
            // Kept as it stands: what is further in is taken.
            (
                r#"{"type":"object", "properties":{"a":{"anyOf":[{"type":"string"},{"type":"null"}]},"not":{}}}"#,
                r#"{"type":"object", "properties":{"a":{"anyOf":[{"type":"string"},{"type":"null"}]},"not":{}}}"#,
            ),
            ("[1]", "[1]"),
        ] {
            let given = RawValue::from_string(given.to_owned()).unwrap();
            assert_eq!(plain(&given).get(), made);
        }
        // One that points to itself ends.
        let circle = RawValue::from_string(r##"{"anyOf":[{"$ref":"#"},{"$ref":"#"}]}"##.to_owned()).unwrap();
        assert!(plain(&circle).get().starts_with(r#"{"type":"object""#));
    }
}
