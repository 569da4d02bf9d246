//! What people read first works as it stands, and what the API server refuses is refused in the same words.
#![cfg(feature = "compile")]
#![expect(clippy::unwrap_used, reason = "tests say what they expect")]

use std::fs;
use std::path::Path;

use serde_json::{Value, json};
use sluicegate_config::compile::{Verdict, compile, manifests};

const CRDS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../crds");

fn files(directory: &Path) -> Vec<(String, String)> {
    let mut files: Vec<_> = fs::read_dir(directory)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .map(|path| (path.display().to_string(), fs::read_to_string(&path).unwrap()))
        .collect();
    files.sort();
    files
}

#[test]
fn every_example_compiles_without_a_word() {
    let mut seen = 0;
    for entry in fs::read_dir(format!("{CRDS}/examples")).unwrap() {
        let directory = entry.unwrap().path();
        if !directory.is_dir() {
            continue;
        }
        let (inputs, findings) = manifests::read(&files(&directory));
        let compiled = compile(&inputs);
        let mut said: Vec<String> = findings.iter().map(ToString::to_string).collect();
        said.extend(compiled.verdicts.iter().map(ToString::to_string));
        assert!(said.is_empty(), "{}: {said:#?}", directory.display());
        assert!(!compiled.snapshot.routes.is_empty() && !compiled.snapshot.pools.is_empty(), "{}", directory.display());
        seen += 1;
    }
    assert!(seen >= 5, "only {seen} examples were found");
}

/// A table of bad objects.
fn table(name: &str) -> Vec<Value> {
    let text = fs::read_to_string(format!("{CRDS}/testdata/{name}.yaml")).unwrap();
    let cases: Vec<Value> = serde_saphyr::from_str(&text).unwrap();
    assert!(cases.len() >= 10, "only {} cases in {name}", cases.len());
    cases
}

/// What is said about a bad object in good company.
fn verdicts(case: &Value) -> Vec<Verdict> {
    let others = "
apiVersion: sluicegate.dev/v1alpha1
kind: ProviderPool
metadata: {name: p}
spec: {providers: [{name: a, type: Simulated, models: [{name: m}]}]}
---
apiVersion: v1
kind: Secret
metadata: {name: s}
stringData: {api-key: a-key-that-nobody-can-guess}
";
    let mut object = json!({
        "apiVersion": "sluicegate.dev/v1alpha1",
        "kind": case["kind"],
        "metadata": {"name": "x"},
    });
    if let Some((object, spec)) = object.as_object_mut().zip(case.get("spec")) {
        object.insert("spec".to_owned(), spec.clone());
    }
    let (inputs, findings) = manifests::read(&[("x.yaml".to_owned(), format!("{others}---\n{object}\n"))]);
    assert!(findings.is_empty(), "{findings:?}");
    compile(&inputs).verdicts.iter().cloned().collect()
}

#[test]
fn rules_are_told_in_the_words_of_the_api_server() {
    for case in table("refused") {
        let expected = case["message"].as_str().unwrap();
        let said = verdicts(&case);
        let right = said.len() == 1 && said[0].message.starts_with(expected);
        assert!(right, "{case}\nexpected: {expected}\nsaid: {said:?}");
    }
}

#[test]
fn the_schema_is_told_in_the_words_of_the_api_server() {
    for case in table("malformed") {
        let (path, expected) = (case["path"].as_str().unwrap(), case["message"].as_str().unwrap());
        let said = verdicts(&case);
        let right = said.len() == 1 && said[0].path == path && said[0].message.contains(expected);
        assert!(right, "{case}\nexpected: {path}: {expected}\nsaid: {said:?}");
    }
}

#[test]
fn what_an_api_server_cannot_see_is_told_here() {
    for case in table("told") {
        let text = |field: &str| case[field].as_str().unwrap();
        let said = verdicts(&case);
        let right = said.len() == 1
            && said[0].path == text("path")
            && said[0].reason.as_str() == text("reason")
            && said[0].message.contains(text("message"));
        assert!(right, "{case}\nsaid: {said:?}");
    }
}
