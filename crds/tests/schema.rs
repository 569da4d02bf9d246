//! What an API server asks of every schema, and what people ask of this one.
#![expect(clippy::unwrap_used, reason = "tests say what they expect")]

use serde_json::Value;
use sluicegate_crds::schema;

fn walk(path: &str, schema: &Value, visit: &mut impl FnMut(&str, &Value)) {
    visit(path, schema);
    for (name, inner) in schema.get("properties").and_then(Value::as_object).into_iter().flatten() {
        walk(&format!("{path}.{name}"), inner, visit);
    }
    if let Some(values) = schema.get("additionalProperties") {
        walk(&format!("{path}[]"), values, visit);
    }
    if let Some(items) = schema.get("items") {
        walk(&format!("{path}[]"), items, visit);
    }
}

fn every(mut visit: impl FnMut(&str, &Value)) {
    for definition in schema::definitions().unwrap() {
        let kind = definition.pointer("/spec/names/kind").unwrap().as_str().unwrap().to_owned();
        for part in ["spec", "status"] {
            let pointer = format!("/properties/{part}");
            let schema = schema::of_objects(&definition).unwrap().pointer(&pointer).unwrap();
            walk(&format!("{kind}.{part}"), schema, &mut visit);
        }
    }
}

#[test]
fn every_field_says_what_it_is() {
    every(|path, schema| {
        let said = schema.get("description").and_then(Value::as_str).is_some_and(|text| text.len() > 5);
        // Items of scalars are said by their list.
        assert!(said || path.ends_with("[]") || path.ends_with(".spec"), "{path} has no description");
    });
}

#[test]
fn everything_is_bounded() {
    every(|path, schema| {
        let has = |name: &str| schema.get(name).is_some();
        match schema.get("type").and_then(Value::as_str) {
            Some("array") => {
                assert!(has("maxItems"), "{path} has no maxItems");
                assert!(has("x-kubernetes-list-type"), "{path} has no list type");
            }
            Some("string") => {
                let bounded = has("maxLength") || has("enum") || schema.get("format") == Some(&"date-time".into());
                assert!(bounded, "{path} has no maxLength");
            }
            Some("integer") => {
                assert!(path.contains(".status") || (has("minimum") && has("maximum")), "{path} has no bounds");
            }
            Some("object") if has("additionalProperties") => {
                assert!(has("maxProperties"), "{path} has no maxProperties");
            }
            Some("object") => assert!(has("properties"), "{path} takes anything"),
            Some("boolean") => {}
            other => assert!(has("x-kubernetes-int-or-string"), "{path} is {other:?}"),
        }
    });
}

#[test]
fn null_is_nowhere_allowed() {
    let text = serde_json::to_string(&schema::definitions().unwrap()).unwrap();
    assert!(!text.contains("nullable") && !text.contains("[null]") && !text.contains("anyOf"));
}

#[test]
fn every_rule_has_a_message_that_says_what_to_do() {
    let verbs = ["write", "remove", "give", "lower", "raise", "set", "keep", "leave", "choose"];
    every(|path, schema| {
        for rule in schema.get("x-kubernetes-validations").and_then(Value::as_array).into_iter().flatten() {
            let message = rule.get("message").and_then(Value::as_str).unwrap();
            assert!(verbs.iter().any(|verb| message.contains(verb)), "{path}: {message}");
            assert!(!message.contains('\n'), "{path}: {message}");
        }
    });
}
