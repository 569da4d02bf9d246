//! Values that are good and awkward: names that YAML takes for something else, an older chart's values, labels and strategies of
//! one's own, addresses of IPv6.

use serde_json::{Map, Value, json};

use crate::cases::{MORE, case};
use crate::helm::{BOTH, Helm, chart, copied, find, golden, title};
use crate::readme::{leaves, schema, values};
use crate::typed;

/// Every kind that the chart has …
const KINDS: &str = "proxy.tls.enabled=true,proxy.tls.certManager.enabled=true,proxy.tls.certManager.issuerRef.name=x,\
    redis.cluster.enabled=true,networkPolicy.enabled=true,proxy.service.type=LoadBalancer,\
    proxy.autoscaling.hpa.enabled=true,monitoring.serviceMonitor.enabled=true,monitoring.prometheusRule.enabled=true,\
    monitoring.dashboard.enabled=true";
/// … with names that YAML could read as a number, a truth, nothing or a time.
const NAMES: &str = "redis.auth.secretName=1e3,redis.auth.passwordKey=1e3,trustedCA.configMapName=123,trustedCA.key=1.0,\
    proxy.responseKeys.secretName=0x10,proxy.responseKeys.secretKey=123,egress.secretName=123,egress.secretKey=0x10,\
    proxy.priorityClassName=123,operator.priorityClassName=true,proxy.serviceAccount.name=123,\
    operator.serviceAccount.name=true,operator.watchNamespaces={123,true,null,2024-01-01},\
    proxy.service.loadBalancerClass=123,proxy.autoscaling.hpa.inflightMetric=123,operator.log=a: b #c";

#[test]
fn a_name_is_a_text_whatever_yaml_takes_it_for() {
    for helm in BOTH {
        for (release, namespace, names) in [
            ("123", "456", ""),
            ("on", "true", ",fullnameOverride=on"),
            ("1.5", "null", ",nameOverride=1"),
            ("2024-01-01", "0x10", ",nameOverride=2024"),
            ("1e3", "1", ",nameOverride=1e3"),
        ] {
            let names = format!("{NAMES}{names}");
            let more = ["--set", KINDS, "--set-string", &names];
            for document in helm.released(&chart(), (release, namespace), &[MORE, &more].concat()) {
                assert_eq!(typed::lost(&document), Ok(Vec::new()), "{helm:?} {release}: {}", title(&document));
                // Those that no type is known for here.
                let mut texts = vec!["/metadata/name", "/metadata/labels/app.kubernetes.io~1instance"];
                texts.extend(
                    document["kind"].as_str().filter(|kind| *kind == "Certificate").map(|_| "/spec/dnsNames/1"),
                );
                for path in texts {
                    let there = document.pointer(path).unwrap_or(&Value::Null);
                    assert!(there.is_string(), "{helm:?} {release}: {}: {path}: {there}", title(&document));
                }
            }
        }
    }
}

/// What templates can not do without, as files/defaults.yaml has it: the plain values of values.yaml that may not be `null`. Lists and
/// what Kubernetes defines may be left out.
fn needed(values: &Value, schema: &Value) -> Value {
    let nullable =
        |schema: &Value| schema["type"].as_array().is_some_and(|kinds| kinds.iter().any(|kind| kind == "null"));
    let mut needed = Map::new();
    for (key, value) in values.as_object().expect("a group") {
        let schema = &schema["properties"][key];
        match value {
            Value::Object(_) if crate::readme::is_whole(schema) => {}
            Value::Object(_) => drop(needed.insert(key.clone(), self::needed(value, schema))),
            Value::Array(_) => {}
            _ if nullable(schema) => {}
            value => drop(needed.insert(key.clone(), value.clone())),
        }
    }
    Value::Object(needed)
}

/// `values` without what `needed` has.
fn without(values: &Value, needed: &Value) -> Value {
    let Some(values) = values.as_object() else { return values.clone() };
    let left = values.iter().filter_map(|(key, value)| match needed.get(key) {
        Some(Value::Object(_)) => {
            Some((key.clone(), without(value, &needed[key]))).filter(|(_, left)| *left != json!({}))
        }
        Some(_) => None,
        None => Some((key.clone(), value.clone())),
    });
    Value::Object(left.collect())
}

#[test]
fn the_charts_defaults_are_those_of_its_values() {
    let text = serde_saphyr::to_string(&needed(&values(), &schema())).expect("YAML");
    let head = "# Of values.yaml, for `helm upgrade --reuse-values` from an older chart: templates/_complete.tpl. Generated:\n\
                # UPDATE_GOLDEN=1 cargo test -p sluicegate-tests --test chart\n";
    golden(&chart().join("files/defaults.yaml"), &format!("{head}{text}"));
}

/// `helm upgrade --reuse-values` puts the values of the release that is there in the place of values.yaml.
#[test]
fn values_of_an_older_chart_are_enough() {
    let (_folder, copy) = copied();
    let older = without(&values(), &needed(&values(), &schema()));
    assert!(leaves(&older, &schema()).len() < leaves(&values(), &schema()).len() / 2);
    std::fs::write(copy.join("values.yaml"), serde_saphyr::to_string(&older).expect("YAML")).expect("written");
    for helm in BOTH {
        let documents = helm.released(&copy, ("sluicegate", "gateways"), MORE);
        let meant = &case("default").documents;
        assert_eq!(documents.len(), meant.len());
        for (document, meant) in documents.iter().zip(meant) {
            assert_eq!(document, meant, "{helm:?}: {}", title(meant));
        }
    }
    // With nothing at all there is a gateway, too.
    std::fs::write(copy.join("values.yaml"), "{}").expect("written");
    for document in Helm::Four.released(&copy, ("sluicegate", "gateways"), MORE) {
        assert_eq!(typed::lost(&document), Ok(Vec::new()), "{}", title(&document));
    }
}

#[test]
fn every_template_completes_the_values_first() {
    let mut folders = vec![chart().join("templates")];
    let mut seen = 0;
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).expect("templates") {
            let path = entry.expect("a file").path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|ending| ending != "tpl") {
                let text = crate::helm::read(&path);
                assert!(text.starts_with("{{- include \"sluicegate.complete\" . -}}\n"), "{}", path.display());
                seen += 1;
            }
        }
    }
    assert!(seen > 20, "{seen}");
}

#[test]
fn labels_of_ones_own_stand_once_and_those_nearer_win() {
    let set = "commonLabels.team=all,proxy.podLabels.team=pods,proxy.podLabels.app\\.kubernetes\\.io/part-of=shop,\
               proxy.podLabels.app\\.kubernetes\\.io/version=v7,proxy.service.labels.team=callers,proxy.podAnnotations.checksum/settings=x";
    for helm in BOTH {
        // The parser refuses a key that stands twice.
        let documents = helm.documents(&[], &["--set", set]);
        let label = |name: &str, path: &str, label: &str| {
            find(&documents, name).pointer(path).expect("labels")[label].as_str().unwrap_or_default().to_owned()
        };
        let pods = "/spec/template/metadata/labels";
        assert_eq!(label("Deployment/sluicegate-proxy", pods, "team"), "pods");
        assert_eq!(label("Deployment/sluicegate-proxy", pods, "app.kubernetes.io/part-of"), "shop");
        assert_eq!(label("Deployment/sluicegate-proxy", pods, "app.kubernetes.io/version"), "v7");
        assert_eq!(label("Deployment/sluicegate-operator", pods, "team"), "all");
        assert_eq!(label("Service/sluicegate", "/metadata/labels", "team"), "callers");
        assert_eq!(label("Pod/sluicegate-test", "/metadata/labels", "team"), "pods");
        let annotations = "/spec/template/metadata/annotations";
        assert_eq!(label("Deployment/sluicegate-proxy", annotations, "checksum/settings").len(), 64);
    }
}

#[test]
fn a_strategy_that_does_not_roll_has_no_words_about_rolling() {
    for (set, wanted) in [
        ("proxy.updateStrategy.type=Recreate", json!({"type": "Recreate"})),
        (
            "proxy.updateStrategy.rollingUpdate.maxSurge=2",
            json!({"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 2, "maxUnavailable": 0}}),
        ),
    ] {
        let documents = Helm::Four.documents(&[], &["--set", set]);
        assert_eq!(find(&documents, "Deployment/sluicegate-proxy")["spec"]["strategy"], wanted, "{set}");
    }
}

#[test]
fn an_address_of_ipv6_is_bound_however_it_is_written() {
    for (set, wanted) in [("::", "[::]"), ("[::]", "[::]"), ("fd00::7", "[fd00::7]"), ("127.0.0.1", "127.0.0.1")] {
        let more = [
            "--set",
            &format!(
                "proxy.bindAddress={set},proxy.tls.enabled=true,proxy.tls.secretName=e,proxy.tls.plain.enabled=true"
            ),
        ];
        let documents = Helm::Four.documents(&[], &more);
        let data = &find(&documents, "ConfigMap/sluicegate-settings")["data"];
        for (name, port) in [("LISTEN", 8080), ("TLS_LISTEN", 8443), ("ADMIN_LISTEN", 9090)] {
            assert_eq!(data[format!("SLUICEGATE_{name}")], format!("{wanted}:{port}"), "{set}");
        }
        let operator = &find(&documents, "Deployment/sluicegate-operator")["spec"]["template"]["spec"]["containers"][0];
        let args = operator["args"].as_array().expect("args");
        assert!(args.iter().any(|arg| *arg == format!("--admin-listen={wanted}:9090")), "{args:?}");
    }
}

#[test]
fn what_is_near_to_what_is_refused_is_taken() {
    for set in [
        "proxy.settings.memoryBudget=1023Mi",
        "proxy.settings.memoryBudget=2Gi,proxy.resources.limits.memory=null",
        "proxy.settings.memoryBudget=900M,proxy.resources.limits.memory=1.5G",
        "proxy.autoscaling.hpa.enabled=true,proxy.resources.requests.cpu=null,proxy.autoscaling.hpa.cpuPercent=null",
        "proxy.autoscaling.hpa.enabled=true,proxy.resources.requests.cpu=null,proxy.resources.limits.cpu=2",
        "proxy.resources.requests.cpu=null",
        "redis.urls={redis://a:6379/1}",
        "redis.urls={redis://a:6379/0,redis://b:6379/}",
        "redis.urls={rediss://a:6379?protocol=resp3#insecure}",
        "redis.cluster.enabled=true,redis.auth.secretName=s",
        "operator.priceList.enabled=false,operator.priceList.custom=xyz",
    ] {
        for helm in BOTH {
            helm.documents(&[], &["--set", set]);
        }
    }
    // A list of prices of one's own is taken as the chart's is written.
    let own = chart().join("files/prices.yaml").display().to_string();
    Helm::Four.documents(&[], &["--set-file", &format!("operator.priceList.custom={own}")]);
}
