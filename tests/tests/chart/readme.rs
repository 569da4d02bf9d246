//! The table of values in the chart's README, made from the comments in values.yaml and the types in its schema.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::helm::{chart, golden, read};

const BEGIN: &str =
    "<!-- generated from values.yaml: UPDATE_GOLDEN=1 cargo test -p sluicegate-tests --test chart -->\n";
const END: &str = "<!-- end of what is generated -->\n";

pub(crate) fn values() -> Value {
    serde_saphyr::from_str(&read(&chart().join("values.yaml"))).expect("values.yaml is YAML")
}

/// With `$ref`s followed.
pub(crate) fn schema() -> Value {
    let whole: Value = serde_json::from_str(&read(&chart().join("values.schema.json"))).expect("the schema is JSON");
    let definitions = whole["$defs"].clone();
    resolve(&whole, &definitions)
}

fn resolve(node: &Value, definitions: &Value) -> Value {
    match node {
        Value::Object(map) => match map.get("$ref").and_then(Value::as_str) {
            Some(name) => {
                let name = name.trim_start_matches("#/$defs/");
                let mut found = definitions[name].clone();
                found["title"] = name.into();
                found
            }
            None => map.iter().map(|(key, node)| (key.clone(), resolve(node, definitions))).collect(),
        },
        other => other.clone(),
    }
}

/// Whether an object is one value, as Kubernetes has it, rather than a group of values.
pub(crate) fn is_whole(node: &Value) -> bool {
    node.get("properties").is_none() || node["title"] == "issuerRef"
}

/// Every value that can be set, with its default.
pub(crate) fn leaves(values: &Value, schema: &Value) -> BTreeMap<String, Value> {
    let mut found = BTreeMap::new();
    descend(values, schema, String::new(), &mut |path, value, _| {
        found.insert(path, value.clone());
    });
    found
}

fn descend(value: &Value, schema: &Value, path: String, take: &mut impl FnMut(String, &Value, &Value)) {
    match value.as_object().filter(|_| !is_whole(schema)) {
        None => take(path, value, schema),
        Some(map) => {
            for (key, value) in map {
                let inner = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
                descend(value, &schema["properties"][key], inner, take);
            }
        }
    }
}

/// The comment above each key.
fn comments(text: &str) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    let mut trail: Vec<(usize, &str)> = Vec::new();
    let mut comment = String::new();
    for line in text.lines() {
        let indent = line.len() - line.trim_start().len();
        let line = line.trim_start();
        if let Some(words) = line.strip_prefix('#') {
            comment += words;
        } else if let Some((key, _)) = line.split_once(':').filter(|(key, _)| key.chars().all(char::is_alphanumeric)) {
            trail.retain(|(outer, _)| *outer < indent);
            trail.push((indent, key));
            let path: Vec<&str> = trail.iter().map(|(_, key)| *key).collect();
            found.insert(path.join("."), std::mem::take(&mut comment).trim().to_owned());
        } else {
            comment.clear();
        }
    }
    found
}

fn kind(schema: &Value) -> String {
    match (schema["title"].as_str(), &schema["enum"], &schema["type"]) {
        (Some("time" | "drainTime" | "someTime" | "goTime"), ..) => "time".to_owned(),
        (Some("size"), ..) => "size".to_owned(),
        (Some("strings"), ..) => "map of strings".to_owned(),
        (_, Value::Array(_), _) => "one of".to_owned(),
        (_, _, Value::String(kind)) => kind.replace("array", "list"),
        (_, _, Value::Array(kinds)) => {
            let kinds: Vec<&str> = kinds.iter().filter_map(Value::as_str).collect();
            kinds.join(" or ")
        }
        _ => "object".to_owned(),
    }
}

fn table() -> String {
    let (values, schema) = (values(), schema());
    let text = read(&chart().join("values.yaml"));
    let comments = comments(&text);
    let mut out = String::new();
    let mut section = "";
    let mut rows = Vec::new();
    descend(&values, &schema, String::new(), &mut |path, value, schema| rows.push((path, value.clone(), kind(schema))));
    // What belongs to no group comes first.
    rows.sort_by_key(|(path, ..)| path.contains('.'));
    out += "| Key | Type | Default | |\n| --- | --- | --- | --- |\n";
    for (path, value, kind) in &rows {
        let group = path.split('.').next().filter(|_| path.contains('.')).unwrap_or_default();
        if group != section && !group.is_empty() {
            let said = comments.get(group).unwrap_or_else(|| panic!("{group} has no comment"));
            out += &format!("\n### {group}\n\n{said}\n\n| Key | Type | Default | |\n| --- | --- | --- | --- |\n");
        }
        section = group;
        let said =
            comments.get(path).filter(|said| !said.is_empty()).unwrap_or_else(|| panic!("{path} has no comment"));
        let value = serde_json::to_string(value).expect("JSON");
        out += &format!("| `{path}` | {kind} | `{value}` | {} |\n", said.replace('|', "\\|"));
    }
    out
}

#[test]
fn the_readme_lists_every_value() {
    let path = chart().join("README.md");
    let text = read(&path);
    let (before, rest) = text.split_once(BEGIN).expect("the README marks what is generated");
    let (_, after) = rest.split_once(END).expect("the README marks its end");
    golden(&path, &format!("{before}{BEGIN}\n{}\n{END}{after}", table()));
}

#[test]
fn comments_belong_to_the_key_below_them() {
    let found = comments(
        "# About a.\n# And more.\na: 1\n\n# About b.\nb:\n  # About c.\n  c: 2\n  d: 3\n# Lost.\n\n# About e.\ne: 4\n",
    );
    let said = |path: &str| found[path].as_str();
    assert_eq!((said("a"), said("b"), said("b.c"), said("b.d")), ("About a. And more.", "About b.", "About c.", ""));
    assert_eq!(said("e"), "About e.");
}
