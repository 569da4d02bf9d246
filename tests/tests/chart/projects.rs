//! Kinds of other projects, judged by these projects' own definitions on a real API server: KEDA's ScaledObject,
//! cert-manager's Certificate, and the Prometheus operator's monitors and rules.

use std::path::Path;
use std::process::Command;

use sluicegate_tests::kube::ControlPlane;

use crate::cases::{MORE, NAMES, case};
use crate::helm::{BOTH, Helm, root, title};
use crate::installed::{Cluster, switched_on, values};

const KINDS: [&str; 5] = [
    "scaledobjects.keda.sh",
    "certificates.cert-manager.io",
    "servicemonitors.monitoring.coreos.com",
    "podmonitors.monitoring.coreos.com",
    "prometheusrules.monitoring.coreos.com",
];

/// A control plane of its own that knows them: where other tests install, these kinds are not known.
fn knowing() -> ControlPlane {
    let script = root().join("tests/setup/definitions.sh");
    let output = Command::new(script).output().expect("tests/setup/definitions.sh can be run");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let folder = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    let plane = ControlPlane::start().unwrap_or_else(|error| panic!("{error:#}"));
    let cluster = Cluster(&plane);
    // Some are too long for the annotation that an apply from the client's side leaves.
    cluster.must(&["apply", "--server-side", "-f", &folder]);
    for kind in KINDS {
        cluster.must(&["wait", "--for=condition=Established", "crd", kind, "--timeout=30s"]);
    }
    plane
}

/// A rendered set of values, as a file of this folder.
fn rendered(folder: &Path, name: &str) -> String {
    let path = values(name);
    let text = Helm::Four.text(&[Path::new(&path)], MORE).unwrap_or_else(|error| panic!("{error}"));
    let file = folder.join(format!("{name}.yaml"));
    std::fs::write(&file, text).expect("written");
    file.display().to_string()
}

#[test]
fn the_definitions_of_other_projects_take_what_is_rendered_and_both_helms_install_it() {
    let plane = knowing();
    let cluster = Cluster(&plane);
    for namespace in ["gateways", "team-a", "team-b"] {
        cluster.must(&["create", "namespace", namespace]);
    }
    // The pod of `helm test` is refused until there is an account for it.
    cluster.must(&["wait", "-n", "gateways", "--for=create", "serviceaccount/default", "--timeout=30s"]);
    // And until there is its priority.
    cluster.must(&["create", "priorityclass", "important", "--value=1000"]);
    let folder = tempfile::tempdir().expect("a folder");
    let strict = ["apply", "--dry-run=server", "--validate=strict", "-f"];
    for name in NAMES {
        let said = cluster.must(&[&strict[..], &[&rendered(folder.path(), name)]].concat());
        assert!(!said.contains("Warning"), "{name}: {said}");
        let taken = said.lines().filter(|line| line.ends_with("(server dry run)")).count();
        assert_eq!(taken, case(name).documents.len(), "{name}: {said}");
    }
    // The judge judges.
    let everything = std::fs::read_to_string(folder.path().join("everything.yaml")).expect("it is there");
    for (word, other) in [
        ("pollingInterval:", "poolingInterval:"),
        ("renewBefore:", "renewedBefore:"),
        ("relabelings:", "relabellings:"),
        ("expr:", "expression:"),
    ] {
        let changed = folder.path().join("changed.yaml");
        assert!(everything.contains(word), "{word} is not used");
        std::fs::write(&changed, everything.replace(word, other)).expect("written");
        let (taken, said) = cluster.kubectl(&[&strict[..], &[&changed.display().to_string()]].concat());
        assert!(!taken && said.contains(other.trim_end_matches(':')), "{other}: {said}");
    }
    // And there, Helm finds the kinds by itself.
    for (helm, name) in
        BOTH.into_iter().flat_map(|helm| ["everything", "staging", "production"].map(|name| (helm, name)))
    {
        let there = ["sluicegate", "charts/sluicegate", "--namespace", "gateways", "--no-hooks"];
        let set = ["--values", &values(name), "--set", "crds.enabled=false"];
        let notes = cluster.helm(helm, &[&["install"], &there[..], &set[..]].concat());
        assert!(!notes.contains("does not know"), "{name}: {notes}");
        for document in &case(name).documents {
            if KINDS.iter().any(|kind| kind.ends_with(group(document))) {
                let words = ["get", "-n", "gateways", &title(document).to_lowercase()];
                cluster.must(&words);
            }
        }
        cluster.helm(helm, &["uninstall", "sluicegate", "--namespace", "gateways", "--no-hooks"]);
    }
    for helm in BOTH {
        switched_on(&cluster, helm, "gateways", "proxy.autoscaling.keda.enabled=true");
    }
    plane.stop().unwrap_or_else(|error| panic!("{error:#}"));
}

/// The API group of a document.
fn group(document: &serde_json::Value) -> &str {
    let version = document["apiVersion"].as_str().unwrap_or_default();
    version.split_once('/').map_or("core", |(group, _)| group)
}
