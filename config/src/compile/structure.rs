//! Holds a document against a kind's schema, as an API server would: types, required and unknown fields, enums, bounds,
//! patterns, caps. The words are the API server's, so that a message can be looked up, with what to write added.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

use regex::Regex;
use serde_json::{Map, Value};
use sluicegate_crds::schema::{ADVICE, NOT_EMPTY};
use sluicegate_crds::{patterns, schema};

use super::document::{Node, NodeContent, join};
use super::inputs::Fault;
use crate::Kind;

/// The schemas that manifests are held against; the same for all, so made once.
static SCHEMAS: LazyLock<Schemas> = LazyLock::new(Schemas::new);

struct Schemas {
    /// The schema of each kind's `spec`.
    specs: BTreeMap<String, Value>,
    /// The compiled patterns in them.
    patterns: BTreeMap<String, Regex>,
}

impl Schemas {
    fn new() -> Self {
        // A test holds that the text can be read; were it not, `check` would refuse every object.
        let specs: BTreeMap<String, Value> = serde_json::from_str(schema::STRUCTURES).unwrap_or_default();
        let mut patterns = BTreeMap::new();
        specs.values().for_each(|spec| compile(spec, &mut patterns));
        Self { specs, patterns }
    }
}

fn compile(schema: &Value, patterns: &mut BTreeMap<String, Regex>) {
    if let Some(pattern) = pattern_of(schema)
        && !patterns.contains_key(pattern)
        && let Ok(regex) = Regex::new(pattern)
    {
        patterns.insert(pattern.to_owned(), regex);
    }
    match schema {
        Value::Object(fields) => fields.values().for_each(|inner| compile(inner, patterns)),
        Value::Array(items) => items.iter().for_each(|inner| compile(inner, patterns)),
        _ => {}
    }
}

/// The faults found so far.
#[derive(Default)]
struct Checker {
    faults: Vec<Fault>,
}

/// The `spec` in a node, `null`s taken out as an API server takes them out, or what is wrong with it.
pub(super) fn check(kind: Kind, node: &Node) -> Result<Value, Vec<Fault>> {
    let Some(schema) = SCHEMAS.specs.get(kind.as_str()) else {
        return Err(vec![Fault {
            path: "spec".to_owned(),
            message: format!("there is no schema for {kind} in this build"),
        }]);
    };
    let mut checker = Checker::default();
    let value = checker.value(schema, node, "spec");
    if checker.faults.is_empty() { Ok(value) } else { Err(checker.faults) }
}

impl Checker {
    fn fault(&mut self, path: &str, message: String) {
        self.faults.push(Fault { path: path.to_owned(), message });
    }

    fn value(&mut self, schema: &Value, node: &Node, path: &str) -> Value {
        if let Some(message) = type_mismatch(schema, node) {
            self.fault(path, message);
            return Value::Null;
        }
        match &node.content {
            NodeContent::Null | NodeContent::Float(_) => Value::Null,
            NodeContent::Bool(flag) => {
                self.one_of(schema, &Value::Bool(*flag), path);
                Value::Bool(*flag)
            }
            NodeContent::Int(number) => {
                self.bounds(schema, *number, path);
                (*number).into()
            }
            NodeContent::Str(text) => {
                self.text(schema, text, path);
                Value::String(text.clone())
            }
            NodeContent::Seq(items) => self.items(schema, items, path),
            NodeContent::Map(fields) => self.fields(schema, fields, path),
        }
    }

    fn one_of(&mut self, schema: &Value, value: &Value, path: &str) {
        let Some(allowed) = schema.get("enum").and_then(Value::as_array) else { return };
        if !allowed.contains(value) {
            // An API server puts them all in quotes, texts or not.
            let quoted =
                |value: &Value| value.as_str().map_or_else(|| format!("\"{value}\""), |text| format!("{text:?}"));
            let supported: Vec<String> = allowed.iter().map(quoted).collect();
            let value = value.as_str().map_or_else(|| value.to_string(), |text| shown(text, path));
            self.fault(path, format!("Unsupported value: {value}: supported values: {}", supported.join(", ")));
        }
    }

    fn bounds(&mut self, schema: &Value, number: i64, path: &str) {
        if let Some(least) = schema.get("minimum").and_then(Value::as_i64).filter(|least| number < *least) {
            self.fault(path, format!("Invalid value: {number}: should be greater than or equal to {least}"));
        }
        if let Some(most) = schema.get("maximum").and_then(Value::as_i64).filter(|most| number > *most) {
            self.fault(path, format!("Invalid value: {number}: should be less than or equal to {most}"));
        }
    }

    fn text(&mut self, schema: &Value, text: &str, path: &str) {
        self.one_of(schema, &Value::String(text.to_owned()), path);
        let length = u64::try_from(text.chars().count()).unwrap_or(u64::MAX);
        if let Some(most) = schema.get("maxLength").and_then(Value::as_u64).filter(|most| length > *most) {
            self.fault(path, format!("Too long: may not be more than {most} characters"));
            return;
        }
        if let Some(least) = schema.get("minLength").and_then(Value::as_u64).filter(|least| length < *least) {
            self.fault(path, format!("Invalid value: {text:?}: should be at least {least} chars long"));
            return;
        }
        let Some(pattern) = pattern_of(schema) else { return };
        if SCHEMAS.patterns.get(pattern).is_some_and(|regex| !regex.is_match(text)) {
            let value = shown(text, path);
            let said = match schema.get(ADVICE).and_then(Value::as_str) {
                Some(advice) => advice.to_owned(),
                None => format!("should match '{pattern}'{}", example(schema)),
            };
            self.fault(path, format!("Invalid value: {value}: {said}"));
        }
    }

    fn items(&mut self, schema: &Value, items: &[Node], path: &str) -> Value {
        let count = u64::try_from(items.len()).unwrap_or(u64::MAX);
        if let Some(most) = schema.get("maxItems").and_then(Value::as_u64).filter(|most| count > *most) {
            self.fault(path, format!("Too many: {count}: must have at most {most} items"));
            return Value::Null;
        }
        if let Some(least) = schema.get("minItems").and_then(Value::as_u64).filter(|least| count < *least) {
            self.fault(
                path,
                format!("Invalid value: {count}: should have at least {least} items: add what belongs in it"),
            );
        }
        if let Some(message) = schema.get(NOT_EMPTY).and_then(Value::as_str).filter(|_| items.is_empty()) {
            self.fault(path, message.to_owned());
        }
        let inner = schema.get("items").unwrap_or(&Value::Null);
        let values: Vec<Value> =
            items.iter().enumerate().map(|(i, node)| self.value(inner, node, &format!("{path}[{i}]"))).collect();
        self.duplicates(schema, &values, path);
        Value::Array(values)
    }

    fn duplicates(&mut self, schema: &Value, values: &[Value], path: &str) {
        let keys = schema.get("x-kubernetes-list-map-keys").and_then(Value::as_array);
        let is_set = schema.get("x-kubernetes-list-type").and_then(Value::as_str) == Some("set");
        let mut seen = BTreeSet::new();
        for (index, value) in values.iter().enumerate() {
            let identity = match keys {
                Some(keys) => keys
                    .iter()
                    .filter_map(Value::as_str)
                    .filter_map(|key| value.get(key).map(|own| (key.to_owned(), own.clone())))
                    .collect::<Map<_, _>>()
                    .into(),
                None if is_set => value.clone(),
                None => return,
            };
            if !seen.insert(identity.to_string()) {
                self.fault(&format!("{path}[{index}]"), format!("Duplicate value: {identity}: write it once"));
            }
        }
    }

    fn fields(&mut self, schema: &Value, fields: &[(String, Node)], path: &str) -> Value {
        let empty = Map::new();
        let properties = schema.get("properties").and_then(Value::as_object).unwrap_or(&empty);
        let mut map = Map::new();
        let count = u64::try_from(fields.len()).unwrap_or(u64::MAX);
        if let Some(most) = schema.get("maxProperties").and_then(Value::as_u64).filter(|most| count > *most) {
            self.fault(path, format!("Too many: {count}: must have at most {most} items"));
        }
        for (name, node) in fields {
            let path = join(path, name);
            match properties.get(name).or_else(|| schema.get("additionalProperties")) {
                // An API server takes `null` for a field that is left out.
                Some(_) if node.content == NodeContent::Null => {}
                Some(inner) => {
                    map.insert(name.clone(), self.value(inner, node, &path));
                }
                None => self.fault(&path, format!("unknown field {name:?}{}", suggestion(name, properties))),
            }
        }
        for name in schema.get("required").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str) {
            if !map.contains_key(name) {
                let what = properties.get(name).map(wanted).unwrap_or_default();
                self.fault(&join(path, name), format!("Required value{what}"));
            }
        }
        Value::Object(map)
    }
}

fn type_mismatch(schema: &Value, node: &Node) -> Option<String> {
    let found = match &node.content {
        NodeContent::Null => "null",
        NodeContent::Bool(_) => "boolean",
        NodeContent::Int(_) => "integer",
        NodeContent::Float(_) => "number",
        NodeContent::Str(_) => "string",
        NodeContent::Seq(_) => "array",
        NodeContent::Map(_) => "object",
    };
    if schema.get("x-kubernetes-int-or-string").and_then(Value::as_bool) == Some(true) {
        return (found != "integer" && found != "string")
            .then(|| format!("Invalid value: must be of type integer or string: {found:?}"));
    }
    let expected = schema.get("type").and_then(Value::as_str)?;
    if expected == found {
        return None;
    }
    let hint = match (&node.content, expected) {
        (NodeContent::Int(_) | NodeContent::Float(_), "string") if pattern_of(schema) == Some(patterns::DURATION) => {
            example(schema)
        }
        (NodeContent::Float(number), "string") => format!(": put it in quotes: \"{number}\""),
        (NodeContent::Int(number), "string") => format!(": put it in quotes: \"{number}\""),
        (NodeContent::Bool(flag), "string") => format!(": put it in quotes: \"{flag}\""),
        (NodeContent::Str(text), "integer") if text.parse::<i64>().is_ok() => format!(": write {text} without quotes"),
        (NodeContent::Str(text), "boolean") if matches!(text.as_str(), "true" | "false") => {
            format!(": write {text} without quotes")
        }
        (_, "boolean") => ": write true or false".to_owned(),
        (NodeContent::Str(text), "object") => field_for(schema, text).unwrap_or_else(|| wanted(schema)),
        (_, "array" | "object") => wanted(schema),
        _ => String::new(),
    };
    Some(format!("Invalid value: must be of type {expected}: {found:?}{hint}"))
}

/// A description of what belongs where nothing of the kind is there.
fn wanted(schema: &Value) -> String {
    let fields = |schema: &Value| -> Option<String> {
        let fields = schema.get("properties").and_then(Value::as_object).filter(|fields| !fields.is_empty())?;
        let fields: Vec<&str> = fields.keys().map(String::as_str).collect();
        Some(fields.join(", "))
    };
    match schema.get("type").and_then(Value::as_str) {
        Some("array") => match schema.get("items").and_then(fields) {
            Some(fields) => format!(": begin each item with a dash; its fields are {fields}"),
            None => ": begin each item with a dash".to_owned(),
        },
        Some("object") => fields(schema).map(|fields| format!(": its fields are {fields}")).unwrap_or_default(),
        _ => example(schema),
    }
}

/// The field that takes a word which stands in place of all fields. No other text is repeated: it may be a key.
fn field_for(schema: &Value, word: &str) -> Option<String> {
    let fields = schema.get("properties").and_then(Value::as_object)?;
    let takes = |field: &Value| {
        let words = field.get("enum").and_then(Value::as_array);
        words.is_some_and(|words| words.iter().any(|known| known.as_str() == Some(word)))
    };
    fields.iter().find(|(_, field)| takes(field)).map(|(name, _)| format!(": write {{{name}: {word}}}"))
}

fn pattern_of(schema: &Value) -> Option<&str> {
    schema.get("pattern").and_then(Value::as_str)
}

/// A value as a message may repeat it: not where a key may have been pasted, and not at any length.
fn shown(text: &str, path: &str) -> String {
    if path.contains(".credentials.") || text.contains('@') {
        return "(not repeated here, since it may hold a secret)".to_owned();
    }
    match text.char_indices().nth(80) {
        Some((end, _)) => format!("{:?}…", text.get(..end).unwrap_or_default()),
        None => format!("{text:?}"),
    }
}

/// A description of valid values, where its pattern is hard to read.
fn example(schema: &Value) -> String {
    if let Some(allowed) = schema.get("enum").and_then(Value::as_array) {
        let allowed: Vec<String> = allowed.iter().map(Value::to_string).collect();
        return format!(": write one of {}", allowed.join(", "));
    }
    let Some(pattern) = pattern_of(schema) else { return String::new() };
    let example = match pattern {
        patterns::DURATION => "30s, 100ms or 1h30m",
        patterns::BYTES => "1048576 or \"1Mi\"",
        patterns::DECIMAL => "\"2.50\"",
        patterns::NAME => "my-name-1",
        patterns::URL => "https://api.openai.com",
        _ => return String::new(),
    };
    format!(": write a value such as {example}")
}

/// The known field that was probably meant.
fn suggestion(name: &str, properties: &Map<String, Value>) -> String {
    let near = properties
        .keys()
        .map(|known| (distance(&name.to_lowercase(), &known.to_lowercase()), known))
        .min()
        .filter(|(distance, known)| *distance <= 1 + known.len() / 4);
    match near {
        Some((_, known)) => format!(": did you mean {known:?}?"),
        None if properties.is_empty() => String::new(),
        None => {
            let known: Vec<&str> = properties.keys().map(String::as_str).collect();
            format!(": known here are {}", known.join(", "))
        }
    }
}

/// Letters to change, add or leave out to get from one word to the other.
fn distance(from: &str, to: &str) -> usize {
    let to: Vec<char> = to.chars().collect();
    let mut row: Vec<usize> = (0..=to.len()).collect();
    for (i, a) in from.chars().take(64).enumerate() {
        let mut next = vec![i + 1];
        for (j, b) in to.iter().enumerate() {
            let at = |row: &[usize], index: usize| row.get(index).copied().unwrap_or(usize::MAX - 1);
            let changed = at(&row, j) + usize::from(a != *b);
            next.push(changed.min(at(&row, j + 1) + 1).min(at(&next, j) + 1));
        }
        row = next;
    }
    row.last().copied().unwrap_or(usize::MAX)
}
