//! The chart with several sets of values: the same documents from both Helms, as they are written in `golden/`, each of
//! them read by the type of its kind without loss.

use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use serde_json::Value;

use crate::helm::{BOTH, Helm, chart, golden, root, title};
use crate::typed;

/// A set of values.
pub(crate) struct Case {
    pub name: &'static str,
    /// Without CRDs, from Helm 4.
    pub documents: Vec<Value>,
    values: Vec<PathBuf>,
}

/// In `cases/`, or a values file of the chart.
pub(crate) const NAMES: [&str; 7] =
    ["default", "development", "staging", "production", "everything", "namespaced", "openshift"];
/// What a cluster has that knows all kinds; and the definitions, which have tests of their own, left out.
pub(crate) const MORE: &[&str] = &["--set", "crds.enabled=false", "--api-versions", "monitoring.coreos.com/v1"];

fn folder() -> PathBuf {
    root().join("tests/tests/chart")
}

fn values(name: &str) -> Vec<PathBuf> {
    let own = folder().join(format!("cases/{name}.yaml"));
    let shipped = chart().join(format!("values-{name}.yaml"));
    let found: Vec<PathBuf> = [own, shipped].into_iter().filter(|path| path.exists()).collect();
    assert!(name == "default" || found.len() == 1, "{name} is no set of values");
    found
}

fn render(helm: Helm, values: &[PathBuf]) -> Vec<Value> {
    let values: Vec<&Path> = values.iter().map(PathBuf::as_path).collect();
    helm.documents(&values, MORE)
}

/// All of them, rendered once.
pub(crate) fn all() -> &'static [Case] {
    static ALL: OnceLock<Vec<Case>> = OnceLock::new();
    ALL.get_or_init(|| {
        let case = |name| {
            let values = values(name);
            Case { name, documents: render(Helm::Four, &values), values }
        };
        NAMES.into_iter().map(case).collect()
    })
}

pub(crate) fn case(name: &str) -> &'static Case {
    all().iter().find(|case| case.name == name).unwrap_or_else(|| panic!("there is no case {name}"))
}

/// As it stands in a golden file: without the dashboard's text, which stands in a file of its own.
fn shown(document: &Value) -> String {
    let mut document = document.clone();
    if let Some(text) = document.pointer_mut("/data/sluicegate.json") {
        *text = "(files/dashboard.json)".into();
    }
    serde_saphyr::to_string(&document).expect("YAML")
}

#[test]
fn every_set_of_values_gives_the_documents_that_are_written() {
    for case in all() {
        let parts: Vec<String> = case.documents.iter().map(shown).collect();
        golden(&folder().join(format!("golden/{}.yaml", case.name)), &parts.join("---\n"));
    }
}

#[test]
fn the_same_values_give_the_same_text() {
    for helm in BOTH {
        for case in all() {
            let values: Vec<&Path> = case.values.iter().map(PathBuf::as_path).collect();
            let text = || helm.text(&values, MORE).unwrap_or_else(|error| panic!("{error}"));
            assert!(text() == text(), "{helm:?} {}: not the same twice", case.name);
        }
    }
}

#[test]
fn helm_3_and_helm_4_give_the_same_documents() {
    for case in all() {
        let three = render(Helm::Three, &case.values);
        let titles = |documents: &[Value]| documents.iter().map(title).collect::<Vec<_>>();
        assert_eq!(titles(&three), titles(&case.documents), "{}", case.name);
        for (left, right) in three.iter().zip(&case.documents) {
            assert_eq!(left, right, "{}: {}", case.name, title(left));
        }
    }
}

#[test]
fn every_document_is_read_by_its_type_without_loss() {
    for case in all() {
        for document in &case.documents {
            let lost =
                typed::lost(document).unwrap_or_else(|error| panic!("{}: {}: {error}", case.name, title(document)));
            assert!(lost.is_empty(), "{}: {} has what its type does not know: {lost:?}", case.name, title(document));
        }
    }
}

#[test]
fn names_are_unique_and_everything_is_in_the_releases_namespace_or_a_watched_one() {
    for case in all() {
        let mut seen = std::collections::BTreeSet::new();
        for document in &case.documents {
            let namespace = document.pointer("/metadata/namespace").and_then(Value::as_str).unwrap_or_default();
            assert!(
                seen.insert(format!("{namespace} {}", title(document))),
                "{}: {} twice",
                case.name,
                title(document)
            );
            let kind = document["kind"].as_str().unwrap_or_default();
            let is_wide = kind.starts_with("Cluster");
            assert_eq!(is_wide, namespace.is_empty(), "{}: {}", case.name, title(document));
            if namespace != "gateways" && !is_wide {
                assert!(kind.starts_with("Role"), "{}: {} is in {namespace}", case.name, title(document));
            }
        }
    }
}

#[test]
fn lint_finds_nothing() {
    for helm in BOTH {
        for name in NAMES {
            let files: Vec<String> = values(name).iter().map(|path| path.display().to_string()).collect();
            let mut words = vec!["lint", "--strict", "--kube-version", "1.35.0", "charts/sluicegate"];
            for file in &files {
                words.extend(["--values", file]);
            }
            let output = helm.run(&words);
            let said = String::from_utf8_lossy(&output.stdout);
            assert!(output.status.success(), "{helm:?} {name}: {said}{}", String::from_utf8_lossy(&output.stderr));
        }
    }
}

#[test]
fn it_renders_for_the_oldest_and_the_newest_kubernetes_and_not_for_an_older_one() {
    for helm in BOTH {
        for version in ["1.33.0", "1.34.4-gke.100", "1.37.2"] {
            helm.documents(&[], &["--kube-version", version]);
        }
        let error = helm.text(&[], &["--kube-version", "1.32.9"]).expect_err("1.32 is too old");
        assert!(error.contains("requires kubeVersion: >=1.33.0-0"), "{error}");
    }
}
