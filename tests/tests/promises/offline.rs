//! The operator's commands that need no cluster: what they print, and the status they end with.

use std::path::Path;
use std::process::{Command, Output};

use sluicegate_tests::binaries::binary;

const GOOD: &str = r"
apiVersion: sluicegate.dev/v1alpha1
kind: ProviderPool
metadata: {name: pool}
spec:
  providers:
  - {name: one, type: OpenAI, url: https://llm.example.com, credentials: {secretRef: {name: key, key: token}}}
---
apiVersion: v1
kind: Secret
metadata: {name: key}
stringData: {token: sk-planted}
---
apiVersion: sluicegate.dev/v1alpha1
kind: LLMRoute
metadata: {name: chat}
spec: {rules: [{name: all, targets: [{poolRef: {name: pool}}]}]}
";

fn operator(arguments: &[&str]) -> Output {
    let output = Command::new(binary("sluicegate-operator").unwrap()).args(arguments).output().unwrap();
    let all = [&output.stdout[..], &output.stderr[..]].concat();
    assert!(!String::from_utf8_lossy(&all).contains("planted"), "a key is printed");
    output
}

fn compile(folder: &Path, output: &str) -> (Option<i32>, String) {
    let done = operator(&["compile", "--manifests", folder.to_str().unwrap(), "-o", output]);
    (done.status.code(), String::from_utf8(done.stdout).unwrap())
}

fn folder(text: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("all.yaml"), text).unwrap();
    folder
}

#[test]
fn good_manifests_are_compiled_to_what_proxies_run_on() {
    let folder = folder(GOOD);
    let (status, text) = compile(folder.path(), "text");
    assert_eq!(status, Some(0), "{text}");
    assert!(text.ends_with("1 of 1 routes and 1 of 1 pools compile\n"), "{text}");
    let (status, json) = compile(folder.path(), "json");
    let (_, yaml) = compile(folder.path(), "yaml");
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    let yaml: serde_json::Value = serde_saphyr::from_str(&yaml).unwrap();
    assert_eq!((status, &json), (Some(0), &yaml));
    assert_eq!(json["snapshot"]["routes"]["default/chat"]["rules"][0]["targets"][0]["pool"], "default/pool");
    assert_eq!(json["verdicts"], serde_json::json!([]));
}

#[test]
fn what_is_refused_is_named_by_file_and_line_and_ends_with_one() {
    let folder = folder(&GOOD.replace("name: pool}}]", "name: absent}}]"));
    let (status, text) = compile(folder.path(), "text");
    assert_eq!(status, Some(1), "{text}");
    assert!(text.contains("all.yaml:") && text.contains("error: LLMRoute default/chat: spec.rules[0]"), "{text}");
    let (status, json) = compile(folder.path(), "json");
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!((status, &json["verdicts"][0]["reason"]), (Some(1), &"BackendNotFound".into()));
    assert_eq!(json["verdicts"][0]["file"], "all.yaml");
}

#[test]
fn what_cannot_be_read_ends_with_two() {
    let empty = tempfile::tempdir().unwrap();
    assert_eq!(compile(empty.path(), "text").0, Some(2));
    assert_eq!(compile(&empty.path().join("absent"), "text").0, Some(2));
    assert_eq!(operator(&["compile"]).status.code(), Some(2));
    assert_eq!(operator(&[]).status.code(), Some(2));
    assert_eq!(operator(&["crds", "-o", "toml"]).status.code(), Some(2));
}

#[test]
fn the_kinds_are_printed_as_they_are_kept() {
    let manifests = Path::new(env!("CARGO_MANIFEST_DIR")).join("../crds/manifests");
    let mut kept: Vec<serde_json::Value> = Vec::new();
    for entry in std::fs::read_dir(manifests).unwrap() {
        let text = std::fs::read_to_string(entry.unwrap().path()).unwrap();
        kept.extend(serde_saphyr::from_multiple::<serde_json::Value>(&text).unwrap());
    }
    kept.sort_by_key(|definition| definition["metadata"]["name"].to_string());
    let printed = operator(&["crds"]);
    assert!(printed.status.success());
    let yaml: Vec<serde_json::Value> =
        serde_saphyr::from_multiple(&String::from_utf8(printed.stdout).unwrap()).unwrap();
    assert_eq!(yaml, kept);
    let json: serde_json::Value = serde_json::from_slice(&operator(&["crds", "-o", "json"]).stdout).unwrap();
    assert_eq!(json["items"], serde_json::Value::Array(kept));
}
