//! What people read first works as it stands, and what the API server refuses is refused in the same words.
#![cfg(feature = "compile")]
#![expect(clippy::unwrap_used, reason = "tests say what they expect")]

use std::fs;
use std::path::Path;

use serde_json::{Value, json};
use sluicegate_config::compile::{compile, manifests};

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

#[test]
fn rules_are_told_in_the_words_of_the_api_server() {
    let cases: Vec<Value> =
        serde_saphyr::from_str(&fs::read_to_string(format!("{CRDS}/testdata/refused.yaml")).unwrap()).unwrap();
    let others = "
apiVersion: sluicegate.dev/v1alpha1
kind: ProviderPool
metadata: {name: p}
spec: {providers: [{name: a, type: Simulated}]}
---
apiVersion: v1
kind: Secret
metadata: {name: s}
stringData: {api-key: k}
";
    for case in cases {
        let expected = case["message"].as_str().unwrap();
        let object = json!({
            "apiVersion": "sluicegate.dev/v1alpha1",
            "kind": case["kind"],
            "metadata": {"name": "x"},
            "spec": case["spec"],
        });
        let (inputs, findings) = manifests::read(&[("x.yaml".to_owned(), format!("{others}---\n{object}\n"))]);
        assert!(findings.is_empty(), "{findings:?}");
        let compiled = compile(&inputs);
        let said: Vec<&str> = compiled.verdicts.iter().map(|verdict| verdict.message.as_str()).collect();
        assert!(said.len() == 1 && said[0].starts_with(expected), "{case}\nexpected: {expected}\nsaid: {said:?}");
    }
}
