//! Every pod of the chart is hardened, ends in time, and is found by whom it must be found.

use serde_json::{Value, json};

use crate::cases::{all, case};
use crate::helm::{BOTH, Helm, find, root, title};

/// Every pod that the documents make: where it comes from, its labels, its spec.
fn pods(documents: &[Value]) -> impl Iterator<Item = (String, &Value, &Value)> {
    documents.iter().filter_map(|document| {
        let pod = if document["kind"] == "Pod" { document } else { &document["spec"]["template"] };
        let spec = pod.get("spec")?;
        spec.get("containers")?;
        Some((title(document), &pod["metadata"]["labels"], spec))
    })
}

#[test]
fn every_pod_keeps_to_the_restricted_standard() {
    for case in all() {
        for (name, _, spec) in pods(&case.documents) {
            let security = &spec["securityContext"];
            assert_eq!(security["runAsNonRoot"], true, "{name}");
            if case.name == "openshift" {
                let own = ["runAsUser", "runAsGroup", "fsGroup"].map(|field| security.get(field));
                assert_eq!(own, [None; 3], "{name}: OpenShift says these");
            } else {
                assert!(security["runAsUser"].as_u64().is_some_and(|user| user > 10_000), "{name}");
            }
            assert_eq!(security["seccompProfile"]["type"], "RuntimeDefault", "{name}");
            for host in ["hostNetwork", "hostPID", "hostIPC"] {
                assert!(spec.get(host).is_none(), "{name}");
            }
            for container in spec["containers"].as_array().expect("containers") {
                let security = &container["securityContext"];
                assert_eq!(security["allowPrivilegeEscalation"], false, "{name}");
                assert_eq!(security["readOnlyRootFilesystem"], true, "{name}");
                assert_eq!(security["capabilities"], json!({"drop": ["ALL"]}), "{name}");
                assert!(container["resources"]["requests"]["memory"].is_string(), "{name}");
                assert!(container["resources"]["limits"]["memory"].is_string(), "{name}");
            }
        }
    }
}

/// The pods of operator, proxies and `helm test` under these settings.
fn three(helm: Helm, more: &[&str]) -> [Value; 3] {
    let documents = helm.documents(&[], more);
    let own = |title: &str, path: &str| find(&documents, title).pointer(path).expect("a pod").clone();
    [
        own("Deployment/sluicegate-operator", "/spec/template"),
        own("Deployment/sluicegate-proxy", "/spec/template"),
        own("Pod/sluicegate-test", ""),
    ]
}

#[test]
fn security_contexts_can_be_changed_and_unset() {
    for helm in BOTH {
        let set = "podSecurityContext.runAsUser=null,podSecurityContext.fsGroup=null,securityContext.privileged=false";
        for pod in three(helm, &["--set", set]) {
            let security = &pod["spec"]["securityContext"];
            assert_eq!((security.get("runAsUser"), security.get("fsGroup")), (None, None), "{helm:?}");
            assert_eq!(security["runAsGroup"], 65532);
            let container = &pod["spec"]["containers"][0]["securityContext"];
            assert_eq!((&container["privileged"], &container["readOnlyRootFilesystem"]), (&json!(false), &json!(true)));
        }
        for pod in three(helm, &["--set", "podSecurityContext=null,securityContext=null"]) {
            assert_eq!(pod["spec"]["securityContext"], json!({}), "{helm:?}");
            assert_eq!(pod["spec"]["containers"][0]["securityContext"], json!({}), "{helm:?}");
        }
    }
}

#[test]
fn what_a_cluster_asks_of_pods_reaches_both_workloads_and_helm_test() {
    let values = |part: &str| {
        json!({
            "priorityClassName": "important", "nodeSelector": {"pool": part}, "podLabels": {"team": part},
            "tolerations": [{"key": part, "operator": "Exists"}], "dnsConfig": {"nameservers": ["192.0.2.53"], "options": [{"name": "ndots", "value": "1"}]},
            "extraEnv": [{"name": "EXTRA", "value": part}], "extraVolumes": [{"name": "scratch", "emptyDir": {}}],
            "extraVolumeMounts": [{"name": "scratch", "mountPath": "/scratch"}],
        })
    };
    let all = json!({
        "imagePullSecrets": [{"name": "registry"}], "trustedCA": {"configMapName": "authority"},
        "egress": {"proxy": "http://out.example:3128", "noProxy": ["10.0.0.0/8", ".example"]},
        "operator": values("operator"), "proxy": values("proxy"),
    });
    let file = tempfile::NamedTempFile::new().expect("a file");
    std::fs::write(file.path(), all.to_string()).expect("written");
    let file = file.path().display().to_string();
    for (pod, part) in three(Helm::Four, &["--values", &file]).into_iter().zip(["operator", "proxy", "proxy"]) {
        let (spec, values) = (&pod["spec"], values(part));
        assert_eq!(spec["imagePullSecrets"], all["imagePullSecrets"]);
        assert_eq!(pod["metadata"]["labels"]["team"], part);
        for field in ["priorityClassName", "nodeSelector", "tolerations", "dnsConfig"] {
            assert_eq!(spec[field], values[field], "{part}: {field}");
        }
        let container = &spec["containers"][0];
        let has = |list: &Value, item: &Value| list.as_array().is_some_and(|list| list.contains(item));
        assert!(has(&container["env"], &values["extraEnv"][0]), "{part}: {container}");
        for (name, value) in [
            ("HTTPS_PROXY", "http://out.example:3128"),
            ("HTTP_PROXY", "http://out.example:3128"),
            ("NO_PROXY", "10.0.0.0/8,.example"),
        ] {
            assert!(has(&container["env"], &json!({"name": name, "value": value})), "{part}: {container}");
        }
        assert!(has(&container["volumeMounts"], &values["extraVolumeMounts"][0]), "{part}: {container}");
        assert!(has(&spec["volumes"], &values["extraVolumes"][0]), "{part}: {spec}");
        let authority = json!({"name": "trusted-ca", "mountPath": "/etc/sluicegate/ca", "readOnly": true});
        assert!(has(&container["volumeMounts"], &authority), "{part}: {container}");
    }
}

#[test]
fn only_who_talks_to_the_api_server_has_a_token_for_it() {
    for case in all() {
        for (name, labels, spec) in pods(&case.documents) {
            let needs_one = matches!(labels["app.kubernetes.io/component"].as_str(), Some("proxy" | "operator"));
            assert_eq!(spec.get("automountServiceAccountToken") != Some(&json!(false)), needs_one, "{name}");
            assert_eq!(spec.get("serviceAccountName").is_some(), needs_one, "{name}");
        }
    }
}

#[test]
fn a_pod_has_longer_to_end_than_its_drain_takes() {
    for (settings, seconds) in [
        ("proxy.settings.drainDelay=5s", 5 + 300 + 15),
        ("proxy.settings.drainDelay=1500ms,proxy.settings.drainTimeout=2m", 2 + 120 + 15),
        ("proxy.settings.drainDelay=0s,proxy.settings.drainTimeout=1h", 3600 + 15),
        ("proxy.settings.drainDelay=10,proxy.settings.drainTimeout=20", 10 + 20 + 15),
        ("proxy.settings.drainDelay=0,proxy.settings.drainTimeout=86400", 86_400 + 15),
    ] {
        // Helm reads a bare number as one.
        let documents = Helm::Four.documents(&[], &["--set", settings]);
        let deployment = find(&documents, "Deployment/sluicegate-proxy");
        assert_eq!(deployment["spec"]["template"]["spec"]["terminationGracePeriodSeconds"], seconds, "{settings}");
    }
}

#[test]
fn proxies_are_found_by_the_operator_and_by_scrapers() {
    let documents = &case("default").documents;
    let proxy = find(documents, "Deployment/sluicegate-proxy");
    let labels = &proxy["spec"]["template"]["metadata"]["labels"];
    // The operator's default selector.
    assert_eq!(labels["sluicegate.dev/gateway"], "sluicegate");
    assert_eq!(labels["app.kubernetes.io/component"], "proxy");
    let container = &proxy["spec"]["template"]["spec"]["containers"][0];
    assert_eq!(container["args"], json!(["--gateway=sluicegate", "--namespace=gateways"]));
    let ports = json!([{"name": "http", "containerPort": 8080}, {"name": "admin", "containerPort": 9090}]);
    assert_eq!(container["ports"], ports);
    // What proxies watch by the label `sluicegate.dev/gateway` is the operator's, not the chart's.
    for document in documents {
        assert!(document["metadata"]["labels"].get("sluicegate.dev/gateway").is_none(), "{}", title(document));
    }
}

#[test]
fn new_settings_are_new_pods_and_nothing_else_is() {
    let pods = |more: &[&str]| {
        let documents = Helm::Four.documents(&[], more);
        find(&documents, "Deployment/sluicegate-proxy")["spec"]["template"].clone()
    };
    let before = pods(&[]);
    assert_eq!(pods(&["--set", "proxy.replicas=5,operator.replicas=2,monitoring.dashboard.enabled=true"]), before);
    assert_ne!(pods(&["--set", "proxy.settings.bodyLimit=1Mi"]), before);
}

#[test]
fn who_scales_the_proxies_is_not_fought_by_the_deployment() {
    for (name, scaled) in [("default", false), ("production", true), ("everything", true)] {
        let proxy = find(&case(name).documents, "Deployment/sluicegate-proxy");
        assert_eq!(proxy["spec"].get("replicas").is_none(), scaled, "{name}");
    }
    // Also where it is not the chart that makes who scales.
    for helm in BOTH {
        let documents = helm.documents(&[], &["--set", "proxy.replicas=null"]);
        let proxy = find(&documents, "Deployment/sluicegate-proxy");
        assert_eq!(proxy["spec"].get("replicas"), None);
        find(&documents, "PodDisruptionBudget/sluicegate-proxy");
    }
}

#[test]
fn services_lead_to_pods_that_have_their_ports() {
    for case in all() {
        for service in case.documents.iter().filter(|document| document["kind"] == "Service") {
            let selector = service["spec"]["selector"].as_object().expect("a selector");
            let found =
                pods(&case.documents).find(|(_, labels, _)| selector.iter().all(|(key, value)| labels[key] == *value));
            let (_, _, spec) = found.unwrap_or_else(|| panic!("{} selects nothing", title(service)));
            let ports = spec["containers"][0]["ports"].as_array().expect("ports");
            for port in service["spec"]["ports"].as_array().expect("ports") {
                assert!(ports.iter().any(|known| known["name"] == port["targetPort"]), "{}: {port}", title(service));
            }
        }
    }
}

#[test]
fn the_image_is_named_by_tag_or_digest() {
    let image = |more: &[&str]| {
        let documents = Helm::Four.documents(&[], more);
        find(&documents, "Deployment/sluicegate-proxy")["spec"]["template"]["spec"]["containers"][0]["image"].clone()
    };
    let version = env!("CARGO_PKG_VERSION");
    assert_eq!(image(&[]), format!("ghcr.io/sluicegate/sluicegate:{version}"));
    assert_eq!(image(&["--set", "image.registry=r.example,image.repository=s,image.tag=t"]), "r.example/s:t");
    assert_eq!(image(&["--set", "image.registry=,image.repository=r.example/s,image.tag=t"]), "r.example/s:t");
    let mirrored = format!("r.example:5000/sluicegate/sluicegate:{version}");
    assert_eq!(image(&["--set", "image.registry=r.example:5000"]), mirrored);
    let digest = format!("sha256:{}", "0".repeat(64));
    assert_eq!(image(&["--set", &format!("image.digest={digest}")]), format!("ghcr.io/sluicegate/sluicegate@{digest}"));
    // The image in the documents is the one that the Dockerfile makes.
    let dockerfile = crate::helm::read(&root().join("image/Dockerfile"));
    for binary in ["sluicegate-proxy", "sluicegate-operator"] {
        assert!(dockerfile.contains(binary), "{binary}");
    }
}
