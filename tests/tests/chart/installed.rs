//! The chart on a real API server: what it installs is taken, upgraded and collected, by both Helms; and accounts may do
//! what their work needs, and no more. Pods do not run here: what they do is tried on a node.

use std::path::Path;
use std::process::Command;

use serde_json::Value;
use sluicegate_tests::kube::{ControlPlane, assets};
use sluicegate_tests::process::pause;

use crate::helm::{BOTH, Helm, chart, root};

/// A cluster, as somebody with kubectl sees it.
pub(crate) struct Cluster<'a>(pub(crate) &'a ControlPlane);

impl Cluster<'_> {
    fn shared() -> Self {
        Self(ControlPlane::shared().unwrap_or_else(|error| panic!("{error:#}")))
    }

    /// Whether it went well, and what was said.
    pub(crate) fn kubectl(&self, words: &[&str]) -> (bool, String) {
        let mut command = Command::new(assets().expect("Kubernetes is built").join("kubectl"));
        let output =
            command.arg("--kubeconfig").arg(self.0.kubeconfig()).args(words).output().expect("kubectl can be run");
        let said = [output.stdout, output.stderr].concat();
        (output.status.success(), String::from_utf8_lossy(&said).into_owned())
    }

    pub(crate) fn must(&self, words: &[&str]) -> String {
        let (well, said) = self.kubectl(words);
        assert!(well, "kubectl {words:?}: {said}");
        said
    }

    /// Whether a ServiceAccount gets an answer to this.
    fn sees(&self, account: &str, words: &[&str]) -> bool {
        let account = format!("--as=system:serviceaccount:{account}");
        let (well, said) = self.kubectl(&[words, &[account.as_str()]].concat());
        assert!(well || said.contains("is forbidden"), "kubectl {words:?}: {said}");
        well
    }

    /// Whether a ServiceAccount may do this to a resource (`GROUP/RESOURCE` or `GROUP/RESOURCE/SUBRESOURCE`).
    fn may(&self, account: &str, namespace: &str, (verb, resource): (&str, &str)) -> bool {
        let mut parts = resource.split('/');
        let review = serde_json::json!({
            "apiVersion": "authorization.k8s.io/v1",
            "kind": "SubjectAccessReview",
            "spec": {
                "user": format!("system:serviceaccount:{account}"),
                "resourceAttributes": {
                    "verb": verb, "namespace": namespace, "group": parts.next(), "resource": parts.next(),
                    "subresource": parts.next().unwrap_or_default(),
                },
            },
        });
        let file = tempfile::NamedTempFile::new().expect("a file");
        std::fs::write(file.path(), review.to_string()).expect("written");
        let path = file.path().display().to_string();
        self.must(&["create", "-f", &path, "-o", "jsonpath={.status.allowed}"]) == "true"
    }

    pub(crate) fn helm(&self, helm: Helm, words: &[&str]) -> String {
        let kubeconfig = self.0.kubeconfig().display().to_string();
        let output = helm.run(&[words, &["--kubeconfig", &kubeconfig]].concat());
        let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
        assert!(output.status.success(), "{helm:?} {words:?}: {said}");
        said
    }
}

pub(crate) fn values(name: &str) -> String {
    let shipped = chart().join(format!("values-{name}.yaml"));
    let own = root().join(format!("tests/tests/chart/cases/{name}.yaml"));
    [shipped, own]
        .iter()
        .find(|path| path.exists())
        .map(|path: &std::path::PathBuf| path.display().to_string())
        .expect("values")
}

/// What an API server says to the installed definition of routes when it is written with that change; it stays as it is.
fn told_of_changed(cluster: &Cluster<'_>, change: impl Fn(&mut Value)) -> (bool, String) {
    let text = cluster.must(&["get", "crd", "llmroutes.sluicegate.dev", "-o", "json"]);
    let mut definition: Value = serde_json::from_str(&text).expect("JSON");
    change(&mut definition);
    let file = tempfile::NamedTempFile::new().expect("a file");
    std::fs::write(file.path(), definition.to_string()).expect("written");
    let path = file.path().display().to_string();
    cluster.kubectl(&["replace", "--dry-run=server", "-f", &path])
}

/// The same when it says to have so many fields more or fewer.
fn told_of_definition(cluster: &Cluster<'_>, change: i64) -> (bool, String) {
    told_of_changed(cluster, |definition| {
        let fields = &mut definition["metadata"]["annotations"]["sluicegate.dev/fields"];
        let count: i64 = fields.as_str().and_then(|fields| fields.parse().ok()).expect("the number of its fields");
        *fields = Value::from((count + change).to_string());
    })
}

#[test]
fn both_helms_install_upgrade_and_uninstall_and_the_definitions_stay() {
    let cluster = Cluster::shared();
    let quickstart = root().join("crds/examples/quickstart/quickstart.yaml").display().to_string();
    for helm in BOTH {
        // The second finds the definitions that the first left.
        let there = ["gateway", "charts/sluicegate", "--namespace", "installed", "--no-hooks"];
        cluster.helm(helm, &[&["install"], &there[..], &["--create-namespace"]].concat());
        cluster.must(&["wait", "--for=condition=Established", "crd", "llmroutes.sluicegate.dev", "--timeout=20s"]);
        cluster.must(&["apply", "-n", "installed", "-f", &quickstart]);
        // The API server takes a policy up within seconds.
        let refused = (0..60).find_map(|_| {
            let (well, said) = told_of_definition(&cluster, -1);
            if well {
                pause(std::time::Duration::from_millis(500));
            }
            (!well).then_some(said)
        });
        let refused = refused.expect("a definition with fewer fields is refused");
        assert!(refused.contains("every stored object would lose the fields"), "{refused}");
        assert!(refused.contains("--set crds.enabled=false"), "{refused}");
        for change in [0, 1] {
            let (well, said) = told_of_definition(&cluster, change);
            assert!(well, "{said}");
        }
        // As one without the annotations leaves those that are there.
        let another = |definition: &mut Value| definition["spec"]["names"]["categories"] = Value::from(vec!["another"]);
        let (well, said) = told_of_changed(&cluster, another);
        assert!(!well && said.contains("does not say which it is"), "{said}");
        let (well, said) = told_of_changed(&cluster, |definition| {
            another(definition);
            definition["metadata"]["annotations"]["sluicegate.dev/definition"] = Value::from("another");
        });
        assert!(well, "{said}");
        for name in ["development", "staging", "production"] {
            cluster.helm(helm, &[&["upgrade"], &there[..], &["--values", &values(name)]].concat());
        }
        cluster.must(&[
            "get",
            "-n",
            "installed",
            "deployment/gateway-sluicegate-proxy",
            "hpa/gateway-sluicegate-proxy",
        ]);
        // The HPA that goes has set the number of proxies: Helm 4 asks before it takes a field from somebody else.
        let force: &[&str] = if helm == Helm::Four { &["--force-conflicts"] } else { &[] };
        let notes = cluster.helm(helm, &[&["upgrade", "--reset-values"], &there[..], force].concat());
        assert!(notes.contains("The first call, from here:"), "{notes}");
        let (still, said) = cluster.kubectl(&["get", "-n", "installed", "hpa/gateway-sluicegate-proxy"]);
        assert!(!still && said.contains("not found"), "what the values no longer ask for goes: {said}");
        cluster.helm(helm, &["uninstall", "gateway", "--namespace", "installed", "--no-hooks", "--wait"]);
        let left = cluster.must(&["get", "-n", "installed", "lr,pp", "-o", "name"]);
        assert!(
            left.contains("llmroute.sluicegate.dev/chat") && left.contains("providerpool.sluicegate.dev/models"),
            "{left}"
        );
        let (left, said) = cluster.kubectl(&["get", "-n", "installed", "deployments,services,roles", "-o", "name"]);
        assert!(left && said.trim().is_empty(), "{said}");
    }
}

#[test]
fn a_second_gateway_leaves_the_definitions_to_the_first() {
    let cluster = Cluster::shared();
    let set = ["--set", "crds.enabled=false", "--no-hooks", "--create-namespace"];
    for namespace in ["second", "third"] {
        // The same name in two namespaces: what is not namespaced must not clash.
        cluster.helm(
            Helm::Four,
            &[&["install", "sluicegate", "charts/sluicegate", "--namespace", namespace], &set[..]].concat(),
        );
    }
    for namespace in ["second", "third"] {
        cluster.must(&["get", "clusterrole", &format!("{namespace}:sluicegate-operator")]);
        cluster.helm(Helm::Four, &["uninstall", "sluicegate", "--namespace", namespace, "--no-hooks"]);
    }
}

#[test]
fn accounts_may_what_their_work_needs_and_no_more() {
    let cluster = Cluster::shared();
    let words =
        ["install", "sluicegate", "charts/sluicegate", "--namespace", "rights", "--create-namespace", "--no-hooks"];
    cluster.helm(Helm::Four, &[&words[..], &["--set", "crds.enabled=false"]].concat());
    let (proxy, operator) = ("rights:sluicegate-proxy", "rights:sluicegate-operator");
    let allowed = [
        (proxy, "rights", ("watch", "/configmaps")),
        (proxy, "rights", ("watch", "/secrets")),
        (operator, "rights", ("patch", "/configmaps")),
        (operator, "rights", ("delete", "/secrets")),
        (operator, "rights", ("create", "coordination.k8s.io/leases")),
        (operator, "rights", ("watch", "/pods")),
        (operator, "default", ("watch", "sluicegate.dev/llmroutes")),
        (operator, "default", ("patch", "sluicegate.dev/providerpools/status")),
        (operator, "default", ("watch", "/secrets")),
        (operator, "default", ("watch", "discovery.k8s.io/endpointslices")),
        (operator, "default", ("create", "events.k8s.io/events")),
    ];
    let refused = [
        (proxy, "default", ("get", "/secrets")),
        (proxy, "default", ("get", "/configmaps")),
        (proxy, "rights", ("create", "/configmaps")),
        (proxy, "rights", ("get", "/pods")),
        (proxy, "rights", ("get", "sluicegate.dev/llmroutes")),
        (operator, "default", ("patch", "/secrets")),
        (operator, "default", ("create", "/configmaps")),
        (operator, "default", ("get", "/pods")),
        (operator, "default", ("patch", "sluicegate.dev/llmroutes")),
        (operator, "default", ("delete", "sluicegate.dev/providerpools")),
        (operator, "rights", ("create", "/pods")),
        (operator, "rights", ("update", "/configmaps")),
        // Its own by name, and no other's.
        (operator, "rights", ("update", "coordination.k8s.io/leases")),
        (operator, "rights", ("patch", "coordination.k8s.io/leases")),
    ];
    for (expected, table) in [(true, &allowed[..]), (false, &refused)] {
        for &(account, namespace, question) in table {
            assert_eq!(cluster.may(account, namespace, question), expected, "{account} in {namespace}: {question:?}");
        }
    }
}

#[test]
fn with_a_list_of_namespaces_the_operator_sees_those() {
    let cluster = Cluster::shared();
    for namespace in ["team-a", "team-b"] {
        cluster.must(&["create", "namespace", namespace]);
    }
    let words = ["install", "listed", "charts/sluicegate", "--namespace", "listed", "--create-namespace", "--no-hooks"];
    let set = "crds.enabled=false,operator.watchNamespaces={team-a,team-b}";
    cluster.helm(Helm::Three, &[&words[..], &["--set", set]].concat());
    let operator = "listed:listed-sluicegate-operator";
    let kinds = ["secrets", "services", "endpointslices"];
    for namespace in ["team-a", "team-b"] {
        for kind in kinds {
            assert!(cluster.sees(operator, &["get", kind, "-n", namespace]), "{kind} in {namespace}");
        }
        // Namespaces are no namespaced kind, and yet a Role inside lets one be read.
        assert!(cluster.sees(operator, &["get", "namespace", namespace]), "{namespace}");
    }
    for kind in kinds {
        assert!(!cluster.sees(operator, &["get", kind, "-n", "default"]), "{kind} in default");
        assert!(!cluster.sees(operator, &["get", kind, "--all-namespaces"]), "{kind} everywhere");
    }
    assert!(!cluster.sees(operator, &["get", "namespace", "default"]));
    assert!(!cluster.sees(operator, &["get", "namespaces"]));
    let (bound, said) = cluster.kubectl(&["get", "clusterrole", "listed:listed-sluicegate-operator"]);
    assert!(!bound && said.contains("not found"), "{said}");
}

/// The number of proxies that a release's Deployment asks for.
pub(crate) fn replicas(cluster: &Cluster<'_>, namespace: &str) -> String {
    cluster.must(&["get", "-n", namespace, "deployment/sluicegate-proxy", "-o", "jsonpath={.spec.replicas}"])
}

/// From four proxies that the values say to a number that something else says: it stays four, also at the upgrade after
/// that, and what was scaled meanwhile stays as it was scaled.
pub(crate) fn switched_on(cluster: &Cluster<'_>, helm: Helm, namespace: &str, scaler: &str) {
    let there = ["upgrade", "--install", "sluicegate", "charts/sluicegate", "--namespace", namespace, "--no-hooks"];
    let set = |values: &str| {
        let more = ["--create-namespace", "--reset-values", "--set", "crds.enabled=false", "--set", values];
        cluster.helm(helm, &[&there[..], &more[..]].concat());
        replicas(cluster, namespace)
    };
    assert_eq!(set("proxy.replicas=4"), "4");
    let on = format!("{scaler},proxy.autoscaling.minReplicas=1,proxy.autoscaling.maxReplicas=9");
    assert_eq!(set(&on), "4", "{helm:?}: {scaler} switched on");
    assert_eq!(set(&on), "4", "{helm:?}: {scaler} as it was");
    cluster.must(&["scale", "-n", namespace, "deployment/sluicegate-proxy", "--replicas=6"]);
    assert_eq!(set(&format!("{on},operator.replicas=2")), "6", "{helm:?}: {scaler} has scaled");
    cluster.helm(helm, &["uninstall", "sluicegate", "--namespace", namespace, "--no-hooks"]);
    // A release that never said a number says none later either.
    assert_eq!(set(&on), "1", "what an API server makes of none");
    cluster.must(&["scale", "-n", namespace, "deployment/sluicegate-proxy", "--replicas=6"]);
    assert_eq!(set(&format!("{on},operator.replicas=2")), "6", "{helm:?}: {scaler} has scaled");
    let manifest = cluster.helm(helm, &["get", "manifest", "sluicegate", "--namespace", namespace]);
    let all = crate::helm::documents(&manifest);
    assert!(crate::helm::find(&all, "Deployment/sluicegate-proxy")["spec"].get("replicas").is_none());
    cluster.helm(helm, &["uninstall", "sluicegate", "--namespace", namespace, "--no-hooks"]);
}

#[test]
fn scaling_switched_on_leaves_the_number_of_proxies_as_it_is() {
    let cluster = Cluster::shared();
    for (number, helm) in BOTH.into_iter().enumerate() {
        switched_on(&cluster, helm, &format!("scaled-{number}"), "proxy.autoscaling.hpa.enabled=true");
        // Or something of which the chart knows nothing.
        switched_on(&cluster, helm, &format!("foreign-{number}"), "proxy.replicas=null");
    }
}

#[test]
fn kubectl_refuses_nothing_that_is_rendered() {
    let cluster = Cluster::shared();
    cluster.must(&["create", "namespace", "gateways"]);
    for name in ["default", "development", "staging", "production", "namespaced"] {
        let path = values(name);
        let text = Helm::Four
            .text(&[Path::new(&path)], &["--set", "crds.enabled=false"])
            .unwrap_or_else(|error| panic!("{error}"));
        // What is in other namespaces than this would need them.
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("all.yaml");
        std::fs::write(
            &file,
            text.replace("namespace: \"team-a\"", "namespace: gateways")
                .replace("namespace: \"team-b\"", "namespace: gateways"),
        )
        .expect("written");
        let said = cluster.must(&["apply", "--dry-run=server", "--validate=strict", "-f", &file.display().to_string()]);
        assert!(!said.contains("Warning"), "{name}: {said}");
    }
}

/// What of an applied document reads otherwise afterwards. What the API server adds is its own.
fn changed(path: &str, applied: &Value, there: &Value, found: &mut Vec<String>) {
    match (applied, there) {
        (Value::Object(applied), Value::Object(there)) => {
            for (key, value) in applied {
                let there = there.get(key).unwrap_or(&Value::Null);
                changed(&format!("{path}.{key}"), value, there, found);
            }
        }
        (Value::Array(applied), Value::Array(there)) if applied.len() == there.len() => {
            for (number, (applied, there)) in applied.iter().zip(there).enumerate() {
                changed(&format!("{path}[{number}]"), applied, there, found);
            }
        }
        // Left out and empty are the same to it.
        (Value::Object(empty), Value::Null) if empty.is_empty() => {}
        (Value::Array(empty), Value::Null) if empty.is_empty() => {}
        (applied, there) if applied != there => found.push(format!("{path}: {applied} became {there}")),
        _ => {}
    }
}

#[test]
fn what_is_rendered_reads_back_as_it_was_applied() {
    let cluster = Cluster::shared();
    for name in ["default", "development", "staging", "production"] {
        let namespace = format!("drift-{name}");
        cluster.must(&["create", "namespace", &namespace]);
        cluster.must(&["wait", "-n", &namespace, "--for=create", "serviceaccount/default", "--timeout=30s"]);
        let path = values(name);
        let more = ["--set", "crds.enabled=false", "--namespace", &namespace, "--no-hooks"];
        let text = Helm::Four.text(&[Path::new(&path)], &more).unwrap_or_else(|error| panic!("{error}"));
        let file = tempfile::NamedTempFile::new().expect("a file");
        std::fs::write(file.path(), &text).expect("written");
        let file = file.path().display().to_string();
        let there = cluster.must(&["apply", "--server-side", "-f", &file, "-o", "json"]);
        let there: Value = serde_json::from_str(&there).expect("JSON");
        let mut found = Vec::new();
        for document in crate::helm::documents(&text) {
            let title = crate::helm::title(&document);
            let read = there["items"].as_array().expect("a list").iter().find(|read| crate::helm::title(read) == title);
            let read = read.unwrap_or_else(|| panic!("{title} is not there"));
            for part in ["metadata", "spec", "data", "rules", "subjects", "roleRef"] {
                if let Some(applied) = document.get(part) {
                    changed(&format!("{title}.{part}"), applied, &read[part], &mut found);
                }
            }
        }
        assert!(found.is_empty(), "{name}: {found:#?}");
        cluster.must(&["delete", "-f", &file]);
    }
}
