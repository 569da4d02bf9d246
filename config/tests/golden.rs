//! Golden directories: `testdata/*/in.yaml` (after `previous.yaml`, where there is one) compiles to `out.yaml`. What a
//! cluster would tell beside manifests, Services, is in `cluster.yaml` and `previous-cluster.yaml`; what the platform says
//! of models is in `claims.json`.
//! `UPDATE_GOLDEN=1 cargo test -p sluicegate-config` writes them anew.
#![cfg(feature = "compile")]
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "tests say what they expect")]

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use serde_json::{Value, json};
use sluicegate_config::ObjectId;
use sluicegate_config::compile::{Compiled, ModelClaims, Service, Verdict, compile, manifests};

fn told(verdict: &Verdict) -> String {
    format!("{verdict} [{} {}]", verdict.reason.condition(), verdict.reason.as_str())
}

/// `services: {namespace/name: {ports: {80: [10.0.0.1:8080]}, isExternalName: true}}`
fn services(text: &str) -> BTreeMap<ObjectId, Service> {
    let cluster: Value = serde_saphyr::from_str(text).unwrap();
    let service = |said: &Value| Service {
        ports: said["ports"]
            .as_object()
            .into_iter()
            .flatten()
            .map(|(port, list)| (port.parse().unwrap(), serde_json::from_value(list.clone()).unwrap()))
            .collect(),
        is_external_name: said["isExternalName"] == true,
    };
    cluster
        .get("services")
        .and_then(Value::as_object)
        .unwrap()
        .iter()
        .map(|(id, said)| (ObjectId(id.clone()), service(said)))
        .collect()
}

fn run(
    text: &str,
    cluster: Option<&str>,
    previous: Option<&Compiled>,
    claims: Option<&ModelClaims>,
) -> (Compiled, Value) {
    let (mut inputs, findings) = manifests::read(&[("in.yaml".to_owned(), text.to_owned())]);
    inputs.services = cluster.map(services);
    inputs.previous = previous.map(|compiled| &compiled.snapshot);
    inputs.previous_credentials = previous.map(|compiled| &compiled.credentials);
    inputs.model_claims = claims;
    let compiled = compile(&inputs);
    let said = json!({
        "findings": findings.iter().map(ToString::to_string).collect::<Vec<_>>(),
        "verdicts": compiled.verdicts.iter().map(told).collect::<Vec<_>>(),
        "kept": compiled.kept.iter().map(|(kind, id)| format!("{kind} {}", id.0)).collect::<Vec<_>>(),
        "credentials": compiled.credentials.keys().collect::<Vec<_>>(),
        "withdrawn": compiled.withdrawn.iter().map(|(_, id)| id).collect::<Vec<_>>(),
        "snapshot": compiled.snapshot,
    });
    (compiled, said)
}

fn case(directory: &Path, update: bool) {
    let read = |name: &str| fs::read_to_string(directory.join(name)).ok();
    let previous = read("previous.yaml").map(|text| run(&text, read("previous-cluster.yaml").as_deref(), None, None).0);
    let claims = read("claims.json").map(|text| ModelClaims::parse(&text).unwrap());
    let text = read("in.yaml").expect("every case has an in.yaml");
    let (compiled, said) = run(&text, read("cluster.yaml").as_deref(), previous.as_ref(), claims.as_ref());
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
