//! The release's life as its users see it: installed, called, tested, upgraded, uninstalled, installed again.

use sluicegate_tests::sdk::{Judged, PROVIDERS_KEY, Suite, judge, manifests};

use crate::gateway::{Gateway, NAME, call, question, slow, wrong};
use crate::load::Load;

#[tokio::test]
async fn installed_by_helm_a_route_applied_a_call_is_answered_whole_and_streamed() {
    let Some(gateway) = Gateway::bare().await else { return };
    for version in [3, 4] {
        // To the letter what docs/install.md says.
        let install =
            ["install", "sluicegate", "charts/sluicegate", "--namespace", "sluicegate", "--create-namespace", "--wait"];
        let notes = gateway.helm(version, &install);
        assert!(notes.contains("The first call, from here:"), "{notes}");
        gateway.apply("first", &slow("first"));
        gateway.programmed("first");
        let shown = gateway.kubectl(&["get", "llmroutes,providerpools", "-n", "first"]);
        assert_eq!(shown.matches("2/2").count(), 2, "{shown}");
        let way = gateway.service();
        for stream in [false, true] {
            let answer = call(way.address, question("first", stream, 20)).await;
            assert_eq!(wrong(&answer, stream), None);
        }
        // And from inside, by the name that the notes tell.
        let url = format!("http://{NAME}.{NAME}.svc/v1/models");
        let models = gateway.node.sh(&["curl", "-sSf", "--max-time", "20", &url]).unwrap();
        assert!(models.contains("\"first\""), "{models}");
        gateway.delete(&["first"]);
        gateway.helm(version, &["uninstall", "sluicegate", "--namespace", "sluicegate", "--wait"]);
    }
}

#[tokio::test]
async fn the_official_sdks_are_content_with_the_service() {
    let Some(gateway) = Gateway::installed("proxy.replicas=2").await else { return };
    let simulator = gateway.simulator(&["--models", "simulated-1", "--journal", "4096", "--api-key", PROVIDERS_KEY]);
    gateway.apply("judged", &manifests(&simulator.url(""), "simulated-1"));
    gateway.programmed("judged");
    let (way, journal) = (gateway.service(), gateway.node.forward(simulator.address).unwrap());
    let judged = Judged {
        openai_url: format!("http://{}/v1", way.address),
        anthropic_url: format!("http://{}", way.address),
        model: "through-openai".to_owned(),
        provider: Some("openai".to_owned()),
        journal: format!("http://{}/__journal", journal.address),
    };
    judge(Suite::Python, &judged, None).unwrap();
    gateway.delete(&["judged"]);
}

#[tokio::test]
async fn helm_test_passes() {
    let Some(gateway) = Gateway::installed("proxy.replicas=1").await else { return };
    for version in [3, 4] {
        let said = gateway.helm(version, &["test", NAME, "--namespace", NAME, "--timeout", "120s"]);
        assert!(said.contains("Succeeded"), "{said}");
        // What Helm leaves of a test is nobody's: not even an uninstall takes it.
        gateway.kubectl(&["delete", "pod", "-n", NAME, "sluicegate-test", "--ignore-not-found"]);
    }
}

#[tokio::test]
async fn an_upgrade_keeps_resources_and_serves_throughout() {
    let Some(gateway) = Gateway::installed("proxy.replicas=2").await else { return };
    gateway.apply("upgraded", &slow("upgraded"));
    gateway.programmed("upgraded");
    let identities = |gateway: &Gateway| {
        let path =
            "jsonpath={range .items[*]}{.metadata.name} {.metadata.uid} {.metadata.resourceVersion}{\"\\n\"}{end}";
        let published = format!("sluicegate.dev/gateway={NAME}");
        gateway.kubectl(&["get", "configmaps", "-n", NAME, "-l", &published, "-o", path])
    };
    let (way, before, pods) = (gateway.service(), identities(&gateway), gateway.ready());
    assert!(before.lines().count() >= 2, "{before}");
    let load = Load::start(way.address, "upgraded", 8);
    load.streams(4);
    for version in [4, 3] {
        let set = format!("proxy.replicas=3,proxy.settings.keepAliveTimeout=7{version}s,operator.log=debug");
        gateway.upgrade(version, &set);
        load.streams(4);
    }
    // New settings are new pods, and the old ones go when their streams are at their end.
    gateway.until("the old pods' end", |gateway| gateway.pods().is_disjoint(&pods).then_some(()));
    let seen = load.end();
    println!("upgraded twice under {} whole calls and {} streams", seen.whole, seen.streams);
    seen.is_flawless();
    assert_eq!(identities(&gateway), before, "what is published was written again, to no end");
    gateway.delete(&["upgraded"]);
}

#[tokio::test]
async fn uninstalled_it_leaves_the_definitions_and_installed_again_it_serves_what_it_served() {
    let Some(gateway) = Gateway::installed("proxy.replicas=1").await else { return };
    gateway.apply("kept", &slow("kept"));
    gateway.programmed("kept");
    gateway.helm(4, &["uninstall", NAME, "--namespace", NAME, "--wait", "--timeout", "180s"]);
    // What is in any namespace by itself.
    let own = ["configmap/kube-root-ca.crt", "serviceaccount/default"];
    let kinds = gateway.kubectl(&["api-resources", "--verbs=list", "--namespaced", "-o", "name"]);
    let kinds: Vec<&str> = kinds.lines().filter(|kind| !kind.starts_with("events")).collect();
    let kinds = kinds.join(",");
    gateway.until("an empty namespace", |gateway| {
        let left = gateway.kubectl(&["get", &kinds, "-n", NAME, "-o", "name", "--ignore-not-found"]);
        let foreign = |line: &str| line.contains('/') && !line.starts_with("Warning") && !own.contains(&line);
        (!left.lines().any(foreign)).then_some(())
    });
    let kinds = gateway.kubectl(&["api-resources", "--verbs=list", "--namespaced=false", "-o", "name"]);
    let kinds = kinds.lines().collect::<Vec<_>>().join(",");
    let label = format!("app.kubernetes.io/instance={NAME}");
    let left = gateway.kubectl(&["get", &kinds, "-l", &label, "-o", "name"]);
    let definitions: Vec<&str> = left.lines().filter(|line| !line.starts_with("Warning")).collect();
    let prefix = "customresourcedefinition.apiextensions.k8s.io/";
    assert!(definitions.len() == 2 && definitions.iter().all(|line| line.starts_with(prefix)), "{left}");

    // A namespace's end is looked at again after half of the longest grace of its pods, whether they needed it or not.
    gateway.upgrade(4, "proxy.replicas=1,proxy.settings.drainTimeout=10s");
    gateway.programmed("kept");
    let way = gateway.service();
    // The status is of before, and so not to be waited for.
    let mut last = None;
    for _ in 0..600 {
        last = wrong(&call(way.address, question("kept", false, 5)).await, false);
        if last.is_none() {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
    assert_eq!(last, None, "{}", gateway.state());

    // Nothing of it has finalizers, so no namespace waits for an operator that is gone with it.
    gateway.delete(&["kept", NAME]);
    let left = gateway.kubectl(&["get", "clusterroles,clusterrolebindings", "-l", &label, "-o", "name"]);
    for line in left.lines() {
        gateway.kubectl(&["delete", line]);
    }
}
