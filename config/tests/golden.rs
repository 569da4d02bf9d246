//! Golden directories: `testdata/*/in.yaml` (after `previous.yaml`, where there is one) compiles to `out.yaml`.
//! `UPDATE_GOLDEN=1 cargo test -p sluicegate-config` writes them anew.
#![cfg(feature = "compile")]
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "tests say what they expect")]

use std::fs;
use std::path::Path;

use serde_json::{Value, json};
use sluicegate_config::compile::{Compiled, Verdict, compile, manifests};

fn told(verdict: &Verdict) -> String {
    format!("{verdict} [{} {}]", verdict.reason.condition(), verdict.reason.as_str())
}

fn run(text: &str, previous: Option<&Compiled>) -> (Compiled, Value) {
    let (mut inputs, findings) = manifests::read(&[("in.yaml".to_owned(), text.to_owned())]);
    inputs.previous = previous.map(|compiled| &compiled.snapshot);
    inputs.previous_credentials = previous.map(|compiled| &compiled.credentials);
    let compiled = compile(&inputs);
    let said = json!({
        "findings": findings.iter().map(ToString::to_string).collect::<Vec<_>>(),
        "verdicts": compiled.verdicts.iter().map(told).collect::<Vec<_>>(),
        "credentials": compiled.credentials.keys().collect::<Vec<_>>(),
        "snapshot": compiled.snapshot,
    });
    (compiled, said)
}

fn case(directory: &Path, update: bool) {
    let read = |name: &str| fs::read_to_string(directory.join(name)).ok();
    let previous = read("previous.yaml").map(|text| run(&text, None).0);
    let (compiled, said) = run(&read("in.yaml").expect("every case has an in.yaml"), previous.as_ref());
    let written = serde_saphyr::to_string(&said).unwrap();
    if update {
        fs::write(directory.join("out.yaml"), &written).unwrap();
    }
    let stored = read("out.yaml").unwrap_or_default();
    assert!(
        stored == written,
        "{} compiles to something else now:\n{written}\nIf that is meant: UPDATE_GOLDEN=1 cargo test -p sluicegate-config",
        directory.display()
    );
    let json = serde_json::to_vec(&compiled.snapshot).unwrap();
    assert_eq!(serde_json::from_slice::<sluicegate_config::Snapshot>(&json).unwrap(), compiled.snapshot);
}

#[test]
fn every_case_compiles_to_what_is_written() {
    #[expect(clippy::disallowed_methods, reason = "the one switch of all golden tests")]
    let update = std::env::var_os("UPDATE_GOLDEN").is_some();
    let testdata = concat!(env!("CARGO_MANIFEST_DIR"), "/testdata");
    let mut cases: Vec<_> = fs::read_dir(testdata).unwrap().map(|entry| entry.unwrap().path()).collect();
    cases.sort();
    assert!(cases.len() >= 10, "only {} cases were found", cases.len());
    for directory in cases {
        case(&directory, update);
    }
}
