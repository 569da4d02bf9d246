//! References within a JSON schema, which vendors take in some places only.
//!
//! Sources, read in November 2026: platform.claude.com/docs/en/build-with-claude/structured-outputs, "JSON Schema limitations" (recursive
//! and external ones, and those in `allOf`); github.com/anomalyco/opencode/issues/12295 (words beside one, at Google).

use std::borrow::Cow;

use serde_json::value::RawValue;
use serde_json::{Map, Value};

use crate::schema_merge::merge;

/// The word of a reference.
const REF: &str = "$ref";
/// So many references that lead to one another are followed, and so deep is a schema looked into.
const FOLLOWED: usize = 8;
const DEEPEST: usize = 256;

/// The schema with what its root points to in the root itself; the same bytes where it points nowhere.
pub(crate) fn rooted(schema: &RawValue) -> Cow<'_, RawValue> {
    if !has_refs(schema) {
        return Cow::Borrowed(schema);
    }
    let Ok(Value::Object(mut made)) = serde_json::from_str(schema.get()) else { return Cow::Borrowed(schema) };
    if !inline_root(&mut made) {
        return Cow::Borrowed(schema);
    }
    RawValue::from_string(Value::Object(made).to_string()).map_or(Cow::Borrowed(schema), Cow::Owned)
}

/// Puts what a root points to into it; `true`: it did. What it says itself stays.
pub(crate) fn inline_root(schema: &mut Map<String, Value>) -> bool {
    if !schema.contains_key(REF) {
        return false;
    }
    let root = Value::Object(schema.clone());
    inline(schema, &root)
}

/// Puts what a schema points to in `root` into it; `true`: it did.
pub(crate) fn inline(schema: &mut Map<String, Value>, root: &Value) -> bool {
    let mut changed = false;
    for _ in 0..FOLLOWED {
        let place = schema.get(REF).and_then(Value::as_str).and_then(|place| place.strip_prefix('#'));
        let Some(Value::Object(there)) =
            place.filter(|place| !place.is_empty()).and_then(|place| root.pointer(place)).cloned()
        else {
            break;
        };
        schema.shift_remove(REF);
        merge(schema, Value::Object(there));
        changed = true;
    }
    changed
}

/// True if all of a schema's references lead to an end within it: none to another document, and none to what it stands in.
pub(crate) fn is_finite(schema: &RawValue) -> bool {
    if !has_refs(schema) {
        return true;
    }
    let Ok(root) = serde_json::from_str::<Value>(schema.get()) else { return true };
    let mut walk = Walk { root: &root, path: Vec::new(), seen: Vec::new() };
    walk.is_finite(&root, 0)
}

fn has_refs(schema: &RawValue) -> bool {
    memchr::memmem::find(schema.get().as_bytes(), b"\"$ref\"").is_some()
}

struct Walk<'a> {
    root: &'a Value,
    /// The references that lead to what is looked at.
    path: Vec<&'a str>,
    /// Those that have been followed to their end.
    seen: Vec<&'a str>,
}

impl<'a> Walk<'a> {
    fn is_finite(&mut self, value: &'a Value, depth: usize) -> bool {
        if depth > DEEPEST {
            return false;
        }
        match value {
            Value::Array(list) => list.iter().all(|value| self.is_finite(value, depth + 1)),
            Value::Object(schema) => {
                let place = schema.get(REF).and_then(Value::as_str);
                place.is_none_or(|place| self.leads_on(place, depth))
                    && schema.values().all(|value| self.is_finite(value, depth + 1))
            }
            _ => true,
        }
    }

    fn leads_on(&mut self, place: &'a str, depth: usize) -> bool {
        if self.seen.contains(&place) {
            return true;
        }
        let there = place.strip_prefix('#').filter(|pointer| !pointer.is_empty());
        let there = there.and_then(|pointer| self.root.pointer(pointer));
        let Some(there) = there.filter(|_| !self.path.contains(&place)) else { return false };
        self.path.push(place);
        let finite = self.is_finite(there, depth + 1);
        self.path.pop();
        self.seen.push(place);
        finite
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn raw(json: &str) -> Box<RawValue> {
        RawValue::from_string(json.to_owned()).unwrap()
    }

    #[test]
    fn what_a_root_points_to_stands_in_it() {
        for (given, made) in [
            (
                r##"{"$ref":"#/$defs/a","title":"T","$defs":{"a":{"type":"object","title":"A","properties":{"b":{"$ref":"#/$defs/b"}}},"b":{"type":"string"}}}"##,
                r##"{"title":"T","$defs":{"a":{"type":"object","title":"A","properties":{"b":{"$ref":"#/$defs/b"}}},"b":{"type":"string"}},"type":"object","properties":{"b":{"$ref":"#/$defs/b"}}}"##,
            ),
            (
                r##"{"type": "object","properties":{"a":{"$ref":"#/$defs/a"}}}"##,
                r##"{"type": "object","properties":{"a":{"$ref":"#/$defs/a"}}}"##,
            ),
            (r##"{"$ref": "#"}"##, r##"{"$ref": "#"}"##),
            (r#"{"$ref": "https://e.example/s"}"#, r#"{"$ref": "https://e.example/s"}"#),
        ] {
            assert_eq!(rooted(&raw(given)).get(), made);
        }
        // A circle ends somewhere.
        let _ = rooted(&raw(r##"{"$ref":"#/$defs/a","$defs":{"a":{"$ref":"#/$defs/b"},"b":{"$ref":"#/$defs/a"}}}"##));
    }

    #[test]
    fn recursion_and_other_documents_have_no_end() {
        for (given, finite) in [
            (
                r##"{"properties":{"a":{"$ref":"#/$defs/a"},"b":{"$ref":"#/$defs/a"}},"$defs":{"a":{"type":"string"}}}"##,
                true,
            ),
            (r##"{"properties":{"$ref":{"type":"string"}}}"##, true),
            (r##"{"$ref":"#/$defs/n","$defs":{"n":{"properties":{"next":{"$ref":"#/$defs/n"}}}}}"##, false),
            (r##"{"properties":{"all":{"items":{"$ref":"#"}}}}"##, false),
            (r##"{"$defs":{"a":{"$ref":"#/$defs/b"},"b":{"$ref":"#/$defs/a"}}}"##, false),
            (r#"{"properties":{"a":{"$ref":"https://e.example/s"}}}"#, false),
            (r##"{"properties":{"a":{"$ref":"#/$defs/none"}}}"##, false),
        ] {
            assert_eq!(is_finite(&raw(given)), finite, "{given}");
        }
    }
}
