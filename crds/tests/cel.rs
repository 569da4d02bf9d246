//! The CEL rules, run without an API server on what it would see: defaults filled in.
#![expect(clippy::unwrap_used, reason = "tests say what they expect")]

use std::collections::BTreeSet;

use kube::core::cel::Validator;
use serde_json::{Value, json};
use sluicegate_crds::{LLMConsumerSpec, LLMRouteSpec, ProviderPoolSpec, patterns, schema};

fn definition(kind: &str) -> Value {
    let definitions = schema::definitions().unwrap();
    definitions.into_iter().find(|d| d.pointer("/spec/names/kind") == Some(&kind.into())).unwrap()
}

/// Fills defaults in as an API server does: those of the schema, and no others.
fn fill(schema: &Value, value: &mut Value) {
    if let Some(fields) = value.as_object_mut() {
        for (name, schema) in schema.get("properties").and_then(Value::as_object).into_iter().flatten() {
            if let (None, Some(default)) = (fields.get(name), schema.get("default")) {
                fields.insert(name.clone(), default.clone());
            }
            if let Some(field) = fields.get_mut(name) {
                fill(schema, field);
            }
        }
    }
    if let (Some(items), Some(schema)) = (value.as_array_mut(), schema.get("items")) {
        items.iter_mut().for_each(|item| fill(schema, item));
    }
}

fn spec_of(kind: &str) -> Value {
    schema::of_objects(&definition(kind)).unwrap().pointer("/properties/spec").unwrap().clone()
}

/// The spec with its defaults, as the API server hands it to the rules.
fn defaulted(kind: &str, spec: &Value) -> Value {
    let mut spec = spec.clone();
    fill(&spec_of(kind), &mut spec);
    spec
}

/// The spec with its defaults, as who reads it has it.
fn read(kind: &str, spec: &Value) -> Value {
    match kind {
        "ProviderPool" => serde_json::to_value(serde_json::from_value::<ProviderPoolSpec>(spec.clone()).unwrap()),
        "LLMConsumer" => serde_json::to_value(serde_json::from_value::<LLMConsumerSpec>(spec.clone()).unwrap()),
        _ => serde_json::to_value(serde_json::from_value::<LLMRouteSpec>(spec.clone()).unwrap()),
    }
    .unwrap()
}

fn messages(kind: &str, spec: &Value) -> Vec<String> {
    let definition = definition(kind);
    let object = json!({"apiVersion": "sluicegate.dev/v1alpha1", "kind": kind, "metadata": {"name": "x"}, "spec": defaulted(kind, spec)});
    match Validator::new().validate(schema::of_objects(&definition).unwrap(), &object, None) {
        Ok(()) => Vec::new(),
        Err(errors) => errors.iter().map(|error| error.message.clone()).collect(),
    }
}

fn refused() -> Vec<Value> {
    serde_saphyr::from_str(include_str!("../testdata/refused.yaml")).unwrap()
}

#[test]
fn the_absurd_is_refused_in_the_right_words() {
    for case in refused() {
        let expected = case["message"].as_str().unwrap();
        let said = messages(case["kind"].as_str().unwrap(), &case["spec"]);
        assert!(said.len() == 1 && said[0].starts_with(expected), "{case}\nexpected: {expected}\nsaid: {said:?}");
    }
}

#[test]
fn every_rule_is_in_the_table() {
    fn collect(value: &Value, rules: &mut BTreeSet<String>) {
        match value {
            Value::Object(map) => map.iter().for_each(|(name, inner)| match (name.as_str(), inner.as_array()) {
                ("x-kubernetes-validations", Some(list)) => {
                    // Those of single texts are in the table of what is malformed.
                    let messages = list.iter().map(|rule| rule["message"].as_str().unwrap());
                    let of_texts = |message: &str| patterns::ADVICE.iter().any(|(_, advice)| *advice == message);
                    rules.extend(messages.filter(|message| !of_texts(message)).map(str::to_owned));
                }
                _ => collect(inner, rules),
            }),
            Value::Array(list) => list.iter().for_each(|inner| collect(inner, rules)),
            _ => {}
        }
    }
    let mut rules = BTreeSet::new();
    schema::definitions().unwrap().iter().for_each(|definition| collect(definition, &mut rules));
    let cases = refused();
    for rule in rules {
        assert!(
            cases.iter().any(|case| rule.starts_with(case["message"].as_str().unwrap())),
            "not in the table: {rule}"
        );
    }
}

#[test]
fn every_spelling_that_is_advised_of_is_in_the_table() {
    let malformed: Vec<Value> = serde_saphyr::from_str(include_str!("../testdata/malformed.yaml")).unwrap();
    for (pattern, advice) in patterns::ADVICE {
        let is_told = |case: &Value| advice.starts_with(case["message"].as_str().unwrap());
        assert!(malformed.iter().any(is_told), "not in the table: {pattern}: {advice}");
    }
}

#[test]
fn defaults_in_the_schema_are_those_of_the_types() {
    // What the API server fills in and what standalone mode fills in come from one place; this holds them together.
    let spec = json!({"providers": [{"name": "a", "type": "Simulated"}]});
    let filled = read("ProviderPool", &spec);
    let properties = spec_of("ProviderPool")["properties"].clone();
    for field in ["loadBalancing", "timeouts", "retry", "circuitBreaker"] {
        assert_eq!(properties[field]["default"], filled[field], "{field}");
        for (name, inner) in properties[field]["properties"].as_object().unwrap() {
            assert_eq!(inner["default"], filled[field][name], "{field}.{name}");
        }
    }
    assert!(messages("ProviderPool", &spec).is_empty());
}

/// Where a list's items, or what is in them, are other than they were.
fn changed(path: &str, before: &Value, after: &Value, inside: bool, found: &mut Vec<String>) {
    match (before, after) {
        (Value::Object(before), Value::Object(after)) => {
            for (name, after) in after {
                match before.get(name) {
                    Some(before) => changed(&format!("{path}.{name}"), before, after, inside, found),
                    None if inside => found.push(format!("{path}.{name}")),
                    None => {}
                }
            }
        }
        (Value::Array(before), Value::Array(after)) => {
            for (number, (before, after)) in before.iter().zip(after).enumerate() {
                changed(&format!("{path}[{number}]"), before, after, true, found);
            }
        }
        (before, after) if before != after => found.push(path.to_owned()),
        _ => {}
    }
}

#[test]
fn nothing_is_filled_in_within_a_list() {
    let mut examples = 0;
    let mut found = Vec::new();
    for folder in std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/examples")).unwrap() {
        let folder = folder.unwrap().path();
        for file in folder.read_dir().into_iter().flatten() {
            let text = std::fs::read_to_string(file.unwrap().path()).unwrap();
            let documents: Vec<Value> = serde_saphyr::from_multiple(&text).unwrap();
            for document in documents.iter().filter(|d| d["apiVersion"] == "sluicegate.dev/v1alpha1") {
                let kind = document["kind"].as_str().unwrap();
                let after = defaulted(kind, &document["spec"]);
                let name = format!("{} {kind}/{}", folder.display(), document["metadata"]["name"]);
                changed(&name, &document["spec"], &after, false, &mut found);
                // What a reader makes of either is the same.
                assert_eq!(read(kind, &after), read(kind, &document["spec"]), "{name}");
                examples += 1;
            }
        }
    }
    assert!(found.is_empty() && examples > 15, "{examples} examples: {found:#?}");
}

#[test]
fn numbers_of_bytes_are_held_by_a_rule_as_by_their_pattern() {
    // How many of these are refused: each in a rule of its own, as many as a route may have.
    let refused = |values: &[Value]| {
        let rule = |(place, value): (usize, &Value)| {
            let cache = json!({"memory": {"maxBytes": value}});
            json!({"name": format!("r{place}"), "targets": [{"poolRef": {"name": "p"}}], "cache": cache})
        };
        let refused = values.chunks(16).map(|values| {
            let rules: Vec<Value> = values.iter().enumerate().map(rule).collect();
            let all = messages("LLMRoute", &json!({"rules": rules}));
            all.iter().filter(|message| message.starts_with("write a number of bytes such as")).count()
        });
        refused.sum::<usize>()
    };
    let texts = |texts: &[&str]| texts.iter().map(|text| (*text).into()).collect::<Vec<Value>>();
    let mut good =
        texts(&["0", "7", "42", "1k", "1Mi", "500k", "12T", "999999999999", "999999999999k", "999999999999Ti"]);
    good.extend([0.into(), 1_048_576.into(), 999_999_999_999_u64.into()]);
    assert_eq!(refused(&good), 0);
    let mut bad =
        texts(&["", "k", "Mi", "i", "1i", "1K", "1ki", "1mi", "1Pi", "64MB", "1.5Mi", "-1", "+1", "1e3", "1 k", "k1"]);
    bad.extend(texts(&[
        "1kk",
        "1Mii",
        "1Mk",
        "a1",
        "1a1",
        "1a1Mi",
        "1234567890123",
        "1234567890123k",
        "1234567890123Ti",
    ]));
    bad.extend(texts(&["99999999999999Ti", "1\u{e9}", "\u{e9}1"]));
    bad.extend([(-1).into(), 1_000_000_000_000_u64.into()]);
    let one = |value: &&Value| refused(std::slice::from_ref(value));
    assert_eq!(refused(&bad), bad.len(), "{:?}", bad.iter().filter(|value| one(value) == 0).collect::<Vec<_>>());
}
