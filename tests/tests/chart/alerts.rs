//! Alerts and dashboard: valid, and about metrics that there are.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::cases::case;
use crate::helm::{chart, find, read, root};

/// Names as they appear in a sample, from docs/metrics.md, which a test of the proxy holds to its exposition, and from what
/// docs/life-of-a-resource.md says of the operator.
fn known() -> BTreeSet<String> {
    let document = read(&root().join("docs/metrics.md"));
    let mut names = BTreeSet::new();
    for line in document.lines().filter(|line| line.starts_with("| `")) {
        let mut cells = line.split('|').map(str::trim).skip(1);
        let (name, kind) = (cells.next().unwrap_or_default().trim_matches('`'), cells.next().unwrap_or_default());
        if kind == "histogram" {
            names.extend(["_bucket", "_sum", "_count"].map(|suffix| format!("{name}{suffix}")));
        } else {
            names.insert(name.to_owned());
        }
    }
    assert!(names.len() > 40, "docs/metrics.md lists the metrics");
    // And the operator's, with their labels.
    let document = read(&root().join("docs/life-of-a-resource.md"));
    for line in document.lines().filter_map(|line| line.strip_prefix("| `sluicegate_operator_")) {
        let name = line.split(['{', '`']).next().unwrap_or_default();
        names.insert(format!("sluicegate_operator_{name}"));
        if name.ends_with("_seconds") {
            names.extend(["_bucket", "_sum", "_count"].map(|suffix| format!("sluicegate_operator_{name}{suffix}")));
        }
    }
    names
}

/// The metrics that a query names.
fn named(query: &str) -> impl Iterator<Item = &str> {
    let words = query.split(|letter: char| !(letter.is_ascii_alphanumeric() || letter == '_'));
    words.filter(|word| ["sluicegate_", "gen_ai_", "process_"].iter().any(|prefix| word.starts_with(prefix)))
}

/// Labels look like metrics of OpenTelemetry's.
const LABELS: [&str; 1] = ["gen_ai_response_model"];

fn groups(name: &str) -> &'static Value {
    &find(&case(name).documents, "PrometheusRule/sluicegate")["spec"]["groups"]
}

fn queries(node: &Value, found: &mut Vec<String>) {
    match node {
        Value::Object(map) => {
            found.extend(
                ["expr", "query", "description"].iter().filter_map(|key| map.get(*key)?.as_str()).map(str::to_owned),
            );
            map.values().for_each(|node| queries(node, found));
        }
        Value::Array(list) => list.iter().for_each(|node| queries(node, found)),
        _ => {}
    }
}

fn dashboard() -> Value {
    serde_json::from_str(&read(&chart().join("files/dashboard.json"))).expect("the dashboard is JSON")
}

#[test]
fn alerts_dashboard_and_scaling_name_metrics_that_there_are() {
    let known = known();
    let everything = &case("everything").documents;
    let production = &case("production").documents;
    let mut found = Vec::new();
    queries(groups("everything"), &mut found);
    queries(&dashboard(), &mut found);
    queries(find(everything, "ScaledObject/sluicegate-proxy"), &mut found);
    let hpa = find(production, "HorizontalPodAutoscaler/sluicegate-proxy");
    found.push(hpa.pointer("/spec/metrics/0/pods/metric/name").and_then(Value::as_str).expect("a metric").to_owned());
    let mut seen = BTreeSet::new();
    for query in &found {
        for name in named(query).filter(|name| !LABELS.contains(name)) {
            assert!(known.contains(name), "no proxy exposes {name}, in {query}");
            seen.insert(name);
        }
    }
    assert!(seen.len() > 25, "only {seen:?} are used");
}

#[test]
fn panels_have_a_unit_a_description_and_a_place_of_their_own() {
    let dashboard = dashboard();
    let mut places = BTreeSet::new();
    let mut ids = BTreeSet::new();
    for panel in dashboard["panels"].as_array().expect("panels") {
        assert!(ids.insert(panel["id"].as_u64().expect("an id")));
        let place = (panel["gridPos"]["y"].as_u64(), panel["gridPos"]["x"].as_u64());
        assert!(places.insert(place), "{}", panel["title"]);
        if panel["type"] != "row" {
            assert!(panel["description"].as_str().is_some_and(|text| !text.is_empty()), "{}", panel["title"]);
            assert!(panel["fieldConfig"]["defaults"]["unit"].is_string(), "{}", panel["title"]);
        }
    }
    let config = find(&case("production").documents, "ConfigMap/sluicegate-dashboard");
    let carried: Value = serde_json::from_str(config["data"]["sluicegate.json"].as_str().expect("JSON")).expect("JSON");
    assert_eq!(carried, dashboard, "Helm changed it on the way");
    assert_eq!(config["metadata"]["labels"]["grafana_dashboard"], "1");
}

#[test]
fn every_alert_says_what_is_and_what_to_do() {
    let rules = groups("everything")[0]["rules"].as_array().expect("rules");
    assert!(rules.len() >= 13);
    for rule in rules {
        for part in ["summary", "description"] {
            let text = rule["annotations"][part].as_str().unwrap_or_default();
            assert!(text.len() > 20 && !text.contains("%!"), "{}: {text}", rule["alert"]);
        }
        assert!(["critical", "warning", "info"].iter().any(|known| rule["labels"]["severity"] == *known));
        assert_eq!(rule["labels"]["team"], "platform");
        let expr = rule["expr"].as_str().unwrap_or_default();
        assert!(expr.contains("namespace=\"gateways\",gateway=\"sluicegate\""), "{expr}");
    }
}

fn promtool(words: &[&str], folder: &Path) {
    let output = Command::new("promtool").args(words).current_dir(folder).output();
    let output = output.expect("promtool must be installed: tests/setup/packages.sh");
    let said = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(output.status.success(), "{}{}", said(&output.stdout), said(&output.stderr));
}

#[test]
fn alerts_fire_when_they_should_and_not_else() {
    let folder = tempfile::tempdir().expect("a folder");
    let rules = serde_json::json!({ "groups": groups("production") }).to_string();
    std::fs::write(folder.path().join("rules.yaml"), rules).expect("written");
    let tests = read(&root().join("tests/tests/chart/alerts.yaml"));
    std::fs::write(folder.path().join("alerts.yaml"), tests).expect("written");
    promtool(&["check", "rules", "--lint=all", "--lint-fatal", "rules.yaml"], folder.path());
    promtool(&["test", "rules", "alerts.yaml"], folder.path());
}

/// What a quiet gateway has: proxies, no call yet, nothing in a cache, nothing wrong.
const QUIET: &str = "sluicegate_build_info{namespace=\"n\",gateway=\"g\",pod=\"a\"} 1x30\n\
    sluicegate_inflight_seconds_total{namespace=\"n\",gateway=\"g\",pod=\"a\"} 0x30\n\
    sluicegate_cache_bytes{namespace=\"n\",gateway=\"g\",pod=\"a\",layer=\"memory\"} 0x30\n\
    sluicegate_config_rejected_objects{namespace=\"n\",gateway=\"g\",pod=\"a\"} 0x30";

#[test]
fn panels_without_labels_show_a_number_on_a_quiet_gateway() {
    let mut tests = Vec::new();
    for panel in dashboard()["panels"].as_array().expect("panels") {
        for target in panel["targets"].as_array().into_iter().flatten() {
            let expr = target["expr"].as_str().expect("a query");
            // A quantile of nothing is nothing, and a label that nobody had is no line.
            if expr.starts_with("histogram_quantile") || expr.contains(" by (") {
                let none = &panel["fieldConfig"]["defaults"]["noValue"];
                assert!(none.is_string(), "{} says nothing where there is nothing", panel["title"]);
                continue;
            }
            let expr = expr.replace("$namespace", "n").replace("$gateway", "g").replace("$__rate_interval", "5m");
            let value = f64::from(u8::from(panel["title"] == "Proxies"));
            tests.push(serde_json::json!({
                "expr": expr, "eval_time": "20m", "exp_samples": [{"labels": "{}", "value": value}],
            }));
        }
    }
    assert!(tests.len() > 8, "{}", tests.len());
    let series: Vec<Value> = QUIET
        .lines()
        .map(|line| line.rsplit_once(' ').expect("values"))
        .map(|(series, values)| serde_json::json!({"series": series, "values": values}))
        .collect();
    let test = serde_json::json!({
        "evaluation_interval": "1m",
        "tests": [{"interval": "1m", "input_series": series, "promql_expr_test": tests}],
    });
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("panels.yaml"), test.to_string()).expect("written");
    promtool(&["test", "rules", "panels.yaml"], folder.path());
}
