//! The chart says what the rest of the repository says: definitions, versions, settings, flags.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use serde_json::Value;
use sluicegate_tests::binaries::binary;
use sluicegate_tests::proxy::Proxy;

use crate::cases::{all, case};
use crate::helm::{Helm, chart, find, golden, read, root};
use crate::readme::{leaves, schema, values};
use crate::typed;

const DEFINITIONS: [&str; 3] = ["llmconsumers", "llmroutes", "providerpools"];

#[test]
fn the_charts_definitions_are_the_generated_ones() {
    for plural in DEFINITIONS {
        let generated = read(&root().join(format!("crds/manifests/{plural}.yaml")));
        golden(&chart().join(format!("files/crds/{plural}.yaml")), &generated);
    }
}

#[test]
fn definitions_are_installed_kept_or_left_out_as_asked() {
    let definitions = |more: &[&str]| -> Vec<Value> {
        let documents = Helm::Four.documents(&[], more);
        documents.into_iter().filter(|document| document["kind"] == "CustomResourceDefinition").collect()
    };
    let installed = definitions(&[]);
    assert_eq!(installed.len(), DEFINITIONS.len());
    for (plural, definition) in DEFINITIONS.iter().zip(&installed) {
        let text = read(&root().join(format!("crds/manifests/{plural}.yaml")));
        let generated: Value = serde_saphyr::from_str(&text).expect("YAML");
        assert_eq!(definition["metadata"]["name"], generated["metadata"]["name"]);
        assert_eq!(definition["spec"], generated["spec"], "Helm changed {plural} on the way");
        assert_eq!(definition["metadata"]["annotations"]["helm.sh/resource-policy"], "keep");
        for mark in ["sluicegate.dev/fields", "sluicegate.dev/definition"] {
            let marks = [definition, &generated].map(|of| &of["metadata"]["annotations"][mark]);
            assert!(marks[0].is_string() && marks[0] == marks[1], "{plural}: {mark}: {marks:?}");
        }
        assert_eq!(typed::lost(definition), Ok(Vec::new()));
    }
    for definition in definitions(&["--set", "crds.keep=false"]) {
        let annotations = &definition["metadata"]["annotations"];
        assert!(annotations.get("helm.sh/resource-policy").is_none(), "{annotations}");
        let fields = annotations["sluicegate.dev/fields"].as_str().and_then(|fields| fields.parse::<u32>().ok());
        assert!(fields.is_some_and(|fields| fields > 100), "{annotations}");
    }
    assert!(definitions(&["--set", "crds.enabled=false"]).is_empty());
}

#[test]
fn the_charts_version_is_the_programs() {
    let text = read(&chart().join("Chart.yaml"));
    let meta: Value = serde_saphyr::from_str(&text).expect("YAML");
    assert_eq!(meta["version"], env!("CARGO_PKG_VERSION"));
    assert_eq!(meta["appVersion"], env!("CARGO_PKG_VERSION"));
}

/// Variables of docs/settings.md that are no setting of the chart's: it gives them itself, or as arguments.
const GIVEN: [&str; 11] = [
    "SLUICEGATE_MANIFESTS",
    "SLUICEGATE_GATEWAY",
    "SLUICEGATE_NAMESPACE",
    "SLUICEGATE_LISTEN",
    "SLUICEGATE_PRICES",
    "SLUICEGATE_ADMIN_LISTEN",
    "SLUICEGATE_REDIS",
    "SLUICEGATE_REDIS_USERNAME",
    "SLUICEGATE_REDIS_PASSWORD",
    "SLUICEGATE_TLS_CERT",
    "SLUICEGATE_TLS_KEY",
];

#[test]
fn every_setting_of_a_proxy_is_a_value_of_the_chart() {
    let document = read(&root().join("docs/settings.md"));
    let (proxy, _) = document.split_once("## The operator").expect("docs/settings.md tells the proxy's settings first");
    let documented: BTreeSet<&str> =
        proxy.split('`').filter(|word| word.starts_with("SLUICEGATE_") && word.len() > 11).collect();
    let environment = find(&case("everything").documents, "ConfigMap/sluicegate-settings")["data"].clone();
    let more = find(&case("default").documents, "ConfigMap/sluicegate-settings")["data"].clone();
    let set: BTreeSet<String> = [environment, more]
        .iter()
        .flat_map(|data| data.as_object().expect("data").keys().cloned().collect::<Vec<_>>())
        // Others' names: the libraries'.
        .filter(|name| name.starts_with("SLUICEGATE_"))
        .collect();
    for name in &set {
        assert!(documented.contains(name.as_str()), "no proxy knows {name}");
    }
    for name in documented {
        assert!(set.contains(name) || GIVEN.contains(&name), "{name} can not be set by the chart");
    }
}

#[test]
fn a_proxy_starts_with_the_settings_of_every_case() {
    for case in all() {
        let data = &find(&case.documents, "ConfigMap/sluicegate-settings")["data"];
        let mut flags = Vec::new();
        for (name, value) in data.as_object().expect("data") {
            // Addresses are the test's own; certificates, keys and names of Redis nodes are not here.
            let elsewhere = ["LISTEN", "TLS", "SSL", "REDIS", "RESPONSE"];
            if !elsewhere.iter().any(|word| name.contains(word)) {
                let flag = name.trim_start_matches("SLUICEGATE_").to_lowercase().replace('_', "-");
                flags.push(format!("--{flag}={}", value.as_str().expect("a word")));
            }
        }
        let flags: Vec<&str> = flags.iter().map(String::as_str).collect();
        let quickstart = read(&root().join("crds/examples/quickstart/quickstart.yaml"));
        Proxy::start(&[("quickstart.yaml", &quickstart)], &flags)
            .unwrap_or_else(|error| panic!("{}: {error:#}", case.name));
    }
}

#[test]
fn the_programs_know_the_arguments_they_are_given() {
    for case in all() {
        for part in ["proxy", "operator"] {
            let deployment = find(&case.documents, &format!("Deployment/sluicegate-{part}"));
            let container = &deployment["spec"]["template"]["spec"]["containers"][0];
            let args = container["args"].as_array().expect("args").iter().filter_map(Value::as_str);
            // `--help` last: whatever stands before it is read, and refused when it is not known.
            let program = binary(&format!("sluicegate-{part}")).expect("the workspace is built");
            let output = Command::new(program).args(args).arg("--help").output().expect("it can be run");
            let (out, error) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
            assert!(output.status.success() && out.contains("Usage"), "{}: {part}: {error}{out}", case.name);
        }
    }
}

#[test]
fn schema_and_values_have_the_same_keys() {
    let (schema, values) = (schema(), values());
    let mut told = BTreeSet::new();
    walk(&schema, &mut String::new(), &mut told);
    told.remove("global");
    let there: BTreeSet<String> = leaves(&values, &schema).into_keys().collect();
    assert_eq!(told, there);
}

fn walk(node: &Value, path: &mut String, found: &mut BTreeSet<String>) {
    let inner = node.get("properties").and_then(Value::as_object);
    let is_leaf = node["additionalProperties"] != false || crate::readme::is_whole(node);
    let Some(inner) = inner.filter(|_| !is_leaf) else {
        found.insert(path.clone());
        return;
    };
    for (key, node) in inner {
        let length = path.len();
        if !path.is_empty() {
            path.push('.');
        }
        path.push_str(key);
        walk(node, path, found);
        path.truncate(length);
    }
}

#[test]
fn every_value_is_used() {
    let mut templates = String::new();
    let mut folders = vec![chart().join("templates")];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).expect("templates") {
            let path = entry.expect("a file").path();
            if path.is_dir() { folders.push(path) } else { templates += &read(&path) }
        }
    }
    let known: BTreeMap<String, Value> = leaves(&values(), &schema());
    for path in known.keys().filter(|path| !path.starts_with("proxy.settings.")) {
        let key = path.rsplit('.').next().expect("a key");
        assert!(
            templates.contains(&format!(".{key}")) || templates.contains(&format!("\"{key}\"")),
            "{path} does nothing"
        );
    }
}

#[test]
fn the_notes_say_how_to_make_the_first_call() {
    for helm in crate::helm::BOTH {
        for (more, said) in [
            ("", "curl http://127.0.0.1:8080/v1/chat/completions"),
            ("proxy.tls.enabled=true,proxy.tls.secretName=edge", "curl -k https://127.0.0.1:8080/v1/chat/completions"),
            ("proxy.service.port=8000", "OpenAI SDK      http://sluicegate.gateways.svc:8000/v1"),
            ("operator.watchNamespaces={team-a}", "kubectl apply -n team-a -f -"),
            ("monitoring.podMonitor.enabled=true", "does not know monitoring.coreos.com/v1"),
        ] {
            let notes = helm.notes(more);
            assert!(notes.contains(said), "{helm:?} {more}: {notes}");
            assert!(!notes.contains("<no value>") && !notes.contains("%!"), "{notes}");
        }
    }
}

#[test]
fn what_the_notes_apply_is_a_configuration() {
    let notes = read(&chart().join("templates/NOTES.txt"));
    let text = notes.split("<<'END'\n").nth(1).and_then(|rest| rest.split("END\n").next()).expect("resources");
    let files = [("notes.yaml".to_owned(), text.to_owned())];
    let (inputs, findings) = sluicegate_config::compile::manifests::read(&files);
    let compiled = sluicegate_config::compile::compile(&inputs);
    assert!(findings.is_empty() && compiled.verdicts.is_empty(), "{findings:?}");
    assert_eq!((compiled.snapshot.routes.len(), compiled.snapshot.pools.len()), (1, 1));
}
