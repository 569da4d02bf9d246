//! A value that conforms to a JSON Schema, made from the caller's words where the schema leaves room.

use serde_json::{Map, Number, Value};

use crate::digest::fnv;

/// Schemas refer to themselves; deeper than this only what is required is filled in, deeper than twice this nothing.
const DEPTH: u32 = 6;

/// A value of this schema. Other `variant`s make other choices.
pub(crate) fn value(schema: &Value, words: &str, variant: u32) -> Value {
    let maker = Maker { root: schema, names: proper_names(words), words, variant };
    maker.make(schema, "value", 0)
}

struct Maker<'a> {
    root: &'a Value,
    names: Vec<&'a str>,
    words: &'a str,
    variant: u32,
}

/// The words that look like names: capitalised, and not first in a sentence.
fn proper_names(words: &str) -> Vec<&str> {
    let mut names = Vec::new();
    let mut fresh = true;
    for word in words.split_whitespace() {
        let bare = word.trim_matches(|letter: char| !letter.is_alphanumeric());
        if !fresh && bare.chars().next().is_some_and(char::is_uppercase) && bare.len() > 1 {
            names.push(bare);
        }
        fresh = word.ends_with(['.', '?', '!', ':']);
    }
    names
}

impl Maker<'_> {
    fn make(&self, schema: &Value, name: &str, depth: u32) -> Value {
        let Some(fields) = schema.as_object() else { return Value::Object(Map::new()) };
        if depth > 2 * DEPTH {
            return Value::Null;
        }
        if let Some(target) = fields.get("$ref").and_then(Value::as_str) {
            return self.resolve(target).map_or(Value::Null, |target| self.make(target, name, depth + 1));
        }
        if let Some(fixed) = fields.get("const") {
            return fixed.clone();
        }
        if let Some(choices) = fields.get("enum").and_then(Value::as_array).filter(|choices| !choices.is_empty()) {
            return choices.get(self.pick(choices.len())).cloned().unwrap_or(Value::Null);
        }
        for key in ["anyOf", "oneOf"] {
            if let Some(branches) = fields.get(key).and_then(Value::as_array) {
                return self.make(self.branch(branches, depth), name, depth + 1);
            }
        }
        if let Some(all) = fields.get("allOf").and_then(Value::as_array) {
            return self.merged(fields, all, name, depth);
        }
        match kind(fields, depth) {
            "object" => self.object(fields, depth),
            "array" => self.array(fields, name, depth),
            "integer" => Value::from(integer(fields)),
            "number" => Number::from_f64(number(fields)).map_or(Value::Null, Value::Number),
            "boolean" => Value::Bool(self.variant.is_multiple_of(2)),
            "null" => Value::Null,
            _ => Value::String(self.string(fields, name)),
        }
    }

    fn resolve(&self, target: &str) -> Option<&Value> {
        self.root.pointer(target.strip_prefix('#')?)
    }

    fn pick(&self, sides: usize) -> usize {
        let choice = (fnv(self.words.as_bytes()) >> 7).wrapping_add(u64::from(self.variant));
        usize::try_from(choice % (sides.max(1) as u64)).unwrap_or(0)
    }

    /// The first branch; deep down the one that ends the descent.
    fn branch<'b>(&self, branches: &'b [Value], depth: u32) -> &'b Value {
        let is_null = |branch: &&Value| branch.get("type").and_then(Value::as_str) == Some("null");
        let chosen = if depth > DEPTH { branches.iter().find(is_null) } else { branches.iter().find(|b| !is_null(b)) };
        chosen.or(branches.first()).unwrap_or(&Value::Null)
    }

    fn merged(&self, fields: &Map<String, Value>, all: &[Value], name: &str, depth: u32) -> Value {
        let mut merged = fields.clone();
        merged.remove("allOf");
        for part in all {
            let part = match part.get("$ref").and_then(Value::as_str) {
                Some(target) => self.resolve(target).unwrap_or(part),
                None => part,
            };
            for (key, value) in part.as_object().into_iter().flatten() {
                match (merged.get_mut(key), value) {
                    (Some(Value::Object(into)), Value::Object(from)) => {
                        into.extend(from.iter().map(|(key, value)| (key.clone(), value.clone())));
                    }
                    (Some(Value::Array(into)), Value::Array(from)) => into.extend(from.iter().cloned()),
                    _ => {
                        merged.insert(key.clone(), value.clone());
                    }
                }
            }
        }
        self.make(&Value::Object(merged), name, depth + 1)
    }

    fn object(&self, fields: &Map<String, Value>, depth: u32) -> Value {
        let required: Vec<&str> =
            fields.get("required").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str).collect();
        let mut object = Map::new();
        for (key, schema) in fields.get("properties").and_then(Value::as_object).into_iter().flatten() {
            if depth <= DEPTH || required.contains(&key.as_str()) {
                object.insert(key.clone(), self.make(schema, key, depth + 1));
            }
        }
        for key in required {
            if !object.contains_key(key) {
                object.insert(key.to_owned(), Value::String(self.string(&Map::new(), key)));
            }
        }
        Value::Object(object)
    }

    fn array(&self, fields: &Map<String, Value>, name: &str, depth: u32) -> Value {
        let least = fields.get("minItems").and_then(Value::as_u64).unwrap_or(0);
        let most = fields.get("maxItems").and_then(Value::as_u64).unwrap_or(u64::MAX);
        let wanted = if depth > DEPTH { 0 } else { 2 };
        let length = wanted.max(least).min(most).min(64);
        let any = Value::Object(Map::from_iter([("type".to_owned(), Value::from("string"))]));
        let item = fields.get("items").filter(|item| item.is_object()).unwrap_or(&any);
        let items = (0..length).map(|at| {
            let variant = self.variant.saturating_add(u32::try_from(at).unwrap_or(0));
            let names = self.names.clone();
            Maker { root: self.root, names, words: self.words, variant }.make(item, name, depth + 1)
        });
        Value::Array(items.collect())
    }

    fn string(&self, fields: &Map<String, Value>, name: &str) -> String {
        let fixed = match fields.get("format").and_then(Value::as_str) {
            Some("date-time") => Some("2026-11-23T09:30:00Z"),
            Some("date") => Some("2026-11-23"),
            Some("time") => Some("09:30:00Z"),
            Some("email") => Some("someone@example.com"),
            Some("uri" | "url") => Some("https://example.com/"),
            Some("uuid") => Some("0193a5c0-0000-7000-8000-000000000001"),
            Some("ipv4") => Some("192.0.2.1"),
            Some("hostname") => Some("example.com"),
            _ => None,
        };
        if let Some(fixed) = fixed {
            return fixed.to_owned();
        }
        let at = usize::try_from(self.variant).unwrap_or(0);
        let mut text = match self.names.get(at.checked_rem(self.names.len()).unwrap_or(0)) {
            Some(found) => (*found).to_owned(),
            None => format!("{name} {}", self.variant + 1),
        };
        let bound = |key: &str| fields.get(key).and_then(Value::as_u64).and_then(|bound| usize::try_from(bound).ok());
        if let Some(most) = bound("maxLength") {
            text = text.chars().take(most).collect();
        }
        while bound("minLength").is_some_and(|least| text.chars().count() < least.min(10_000)) {
            text.push('x');
        }
        text
    }
}

/// The schema's type; of several the first that is not null.
fn kind(fields: &Map<String, Value>, depth: u32) -> &str {
    match fields.get("type") {
        Some(Value::String(kind)) => kind,
        Some(Value::Array(kinds)) => {
            let mut kinds = kinds.iter().filter_map(Value::as_str);
            let nullable = kinds.clone().any(|kind| kind == "null");
            if nullable && depth > DEPTH { "null" } else { kinds.find(|kind| *kind != "null").unwrap_or("null") }
        }
        _ if fields.contains_key("properties") => "object",
        _ if fields.contains_key("items") => "array",
        _ if depth == 0 => "object",
        _ => "string",
    }
}

fn integer(fields: &Map<String, Value>) -> i64 {
    let bound = |key: &str| fields.get(key).and_then(Value::as_f64);
    #[expect(clippy::cast_possible_truncation, reason = "a bound beyond i64 saturates, which is what is wanted")]
    let whole = |number: f64| number as i64;
    let least = bound("minimum").map(|b| whole(b.ceil()));
    let least = least.or(bound("exclusiveMinimum").map(|b| whole(b.floor()).saturating_add(1)));
    let most = bound("maximum").map(|b| whole(b.floor()));
    let most = most.or(bound("exclusiveMaximum").map(|b| whole(b.ceil()).saturating_sub(1)));
    let mut value = 7_i64.max(least.unwrap_or(i64::MIN)).min(most.unwrap_or(i64::MAX));
    if let Some(step) = bound("multipleOf").map(whole).filter(|step| *step > 0) {
        value -= value.rem_euclid(step);
        if least.is_some_and(|least| value < least) {
            value = value.saturating_add(step);
        }
    }
    value
}

fn number(fields: &Map<String, Value>) -> f64 {
    let bound = |key: &str| fields.get(key).and_then(Value::as_f64);
    if bound("multipleOf").is_some() {
        #[expect(clippy::cast_precision_loss, reason = "a small number")]
        return integer(fields) as f64;
    }
    match (bound("minimum").or(bound("exclusiveMinimum")), bound("maximum").or(bound("exclusiveMaximum"))) {
        (Some(least), Some(most)) => f64::midpoint(least, most),
        (Some(least), None) => least.max(0.0) + 0.5,
        (None, Some(most)) => most.min(22.0) - 0.5,
        (None, None) => 21.5,
    }
}
