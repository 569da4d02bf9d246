//! The CEL rules, run without an API server on what it would see: defaults filled in.
#![expect(clippy::unwrap_used, reason = "tests say what they expect")]

use std::collections::BTreeSet;

use kube::core::cel::Validator;
use serde_json::{Value, json};
use sluicegate_crds::{LLMRouteSpec, ProviderPoolSpec, schema};

fn definition(kind: &str) -> Value {
    let definitions = schema::definitions().unwrap();
    definitions.into_iter().find(|d| d.pointer("/spec/names/kind") == Some(&kind.into())).unwrap()
}

/// The spec with its defaults, as the API server hands it to the rules.
fn defaulted(kind: &str, spec: &Value) -> Value {
    let mut defaulted = filled(kind, spec);
    put_back_empty(&mut defaulted, spec);
    defaulted
}

/// The types leave out empty lists; an API server does not.
fn put_back_empty(defaulted: &mut Value, written: &Value) {
    match (defaulted, written) {
        (Value::Object(defaulted), Value::Object(written)) => {
            for (name, value) in written {
                if value.as_array().is_some_and(Vec::is_empty) {
                    defaulted.entry(name).or_insert_with(|| value.clone());
                } else if let Some(inner) = defaulted.get_mut(name) {
                    put_back_empty(inner, value);
                }
            }
        }
        (Value::Array(defaulted), Value::Array(written)) => {
            defaulted.iter_mut().zip(written).for_each(|(inner, value)| put_back_empty(inner, value));
        }
        _ => {}
    }
}

fn filled(kind: &str, spec: &Value) -> Value {
    match kind {
        "ProviderPool" => serde_json::to_value(serde_json::from_value::<ProviderPoolSpec>(spec.clone()).unwrap()),
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
                    rules.extend(list.iter().map(|rule| rule["message"].as_str().unwrap().to_owned()));
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
fn defaults_in_the_schema_are_those_of_the_types() {
    // What the API server fills in and what standalone mode fills in come from one place; this holds them together.
    let spec = json!({"providers": [{"name": "a", "type": "Simulated"}]});
    let filled = defaulted("ProviderPool", &spec);
    let definition = definition("ProviderPool");
    let properties = schema::of_objects(&definition).unwrap().pointer("/properties/spec/properties").unwrap().clone();
    for field in ["loadBalancing", "timeouts", "retry", "circuitBreaker"] {
        assert_eq!(properties[field]["default"], filled[field], "{field}");
        for (name, inner) in properties[field]["properties"].as_object().unwrap() {
            assert_eq!(inner["default"], filled[field][name], "{field}.{name}");
        }
    }
    assert!(messages("ProviderPool", &spec).is_empty());
}
