//! The release's life as its users see it: installed, called, tested, upgraded, uninstalled, installed again.

use sluicegate_tests::kube::assets;
use sluicegate_tests::sdk::{Judged, PROVIDERS_KEY, Suite, judge, manifests};

use std::path::Path;
use std::process::Command;

use crate::gateway::{CHART, Gateway, IMAGE, NAME, call, helm, question, quick, root, slow, wrong};
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
        gateway.apply("first", &quick("first"));
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
        as_printed(&gateway, version, &notes, 1);
        gateway.helm(version, &["uninstall", "sluicegate", "--namespace", "sluicegate", "--wait"]);
    }
}

/// Types what the notes tell to type: a route, so many calls, a test.
fn as_printed(gateway: &Gateway, version: u8, notes: &str, calls: usize) {
    let is_command = |part: &&str| ["kubectl ", "curl ", "helm "].iter().any(|word| part.starts_with(word));
    let commands: Vec<&str> = notes.split("\n\n").filter(is_command).collect();
    let [route, first_call, test] = commands[..] else { panic!("{notes}") };
    let folders = [assets().unwrap(), helm(version).parent().unwrap().to_owned()];
    let folders = folders.map(|folder| folder.display().to_string()).join(":");
    let typed = |command: &str| {
        let script = format!("set -e; PATH={folders}:$PATH\n{command}\n[ -z \"$!\" ] || kill $!\n");
        gateway.node.sh(&["bash", "-c", &script]).unwrap_or_else(|error| panic!("{error}\n{}", gateway.state()))
    };
    let said = typed(route);
    assert!(said.contains("llmroute.sluicegate.dev/chat created"), "{said}");
    gateway.programmed(NAME);
    let said = typed(first_call);
    assert!(said.matches("\"choices\"").count() == calls && said.contains("Hello"), "{said}");
    let said = typed(test);
    assert!(said.contains("Succeeded"), "{said}");
    // What Helm leaves of a test is nobody's: not even an uninstall takes it.
    gateway.kubectl(&["delete", "pod", "-n", NAME, "sluicegate-test"]);
    gateway.kubectl(&["delete", "-n", NAME, "llmroute/chat", "providerpool/models"]);
}

#[tokio::test]
async fn with_tls_and_a_plain_port_side_by_side_both_answer_and_are_tested() {
    let Some(gateway) = Gateway::bare().await else { return };
    let name = format!("{NAME}.{NAME}.svc");
    let made = rcgen::generate_simple_self_signed([name.clone()]).unwrap();
    let pair = serde_json::json!({"tls.crt": made.cert.pem(), "tls.key": made.signing_key.serialize_pem()});
    let secret = serde_json::json!({
        "apiVersion": "v1", "kind": "Secret", "type": "kubernetes.io/tls", "metadata": {"name": "edge"}, "stringData": pair,
    });
    gateway.apply(NAME, &secret.to_string());
    let set = "proxy.tls.enabled=true,proxy.tls.secretName=edge,proxy.tls.plain.enabled=true,proxy.replicas=1";
    let notes = gateway.upgrade(4, set);
    assert!(notes.contains(&format!("https://{name}/v1")) && notes.contains(&format!("http://{name} in")), "{notes}");
    // A call to each port, and `helm test`, which asks both.
    as_printed(&gateway, 4, &notes, 2);
    // The certificate is the one that is meant.
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), made.cert.pem()).unwrap();
    let authority = file.path().display().to_string();
    let url = format!("https://{name}/v1/models");
    let models = gateway.node.sh(&["curl", "-sSf", "--max-time", "20", "--cacert", &authority, &url]).unwrap();
    assert!(models.contains("\"list\""), "{models}");
    gateway.kubectl(&["delete", "secret", "edge", "-n", NAME]);
    gateway.uninstall();
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
    // It is installed without keys for answers: nobody goes on from one by its id, or asks for one, and there are no files and batches.
    const KEYLESS: &str = "not gone_on_from_by_its_id and not fetched_listed_and_forgotten and not waited_for_or_ended and not test_files";
    for (suite, only) in [(Suite::Python, Some(KEYLESS)), (Suite::Node, None)] {
        judge(suite, &judged, only).unwrap();
    }
    gateway.forget(&["judged"]);
}

/// The chart as it may have been before: an older version of an image of its own, and definitions that lack something.
fn previous(gateway: &Gateway, folder: &Path) -> String {
    let copied = Command::new("cp").arg("-r").arg(root().join(CHART)).arg(folder).status().unwrap();
    assert!(copied.success());
    let chart = folder.join("sluicegate");
    let changed = |file: &str, from: &str, to: &str| {
        let text = std::fs::read_to_string(chart.join(file)).unwrap();
        assert!(text.contains(from), "{file} has no {from:?}");
        std::fs::write(chart.join(file), text.replace(from, to)).unwrap();
    };
    changed("Chart.yaml", env!("CARGO_PKG_VERSION"), OLD);
    changed("files/crds/llmroutes.yaml", "    - llmr\n", "");
    changed("files/crds/llmroutes.yaml", "sluicegate.dev/definition: fnv-", "sluicegate.dev/definition: older-");
    let socket = gateway.node.folder().join("containerd/socket").display().to_string();
    let tag = ["ctr", "--address", &socket, "--namespace", "k8s.io", "images", "tag", "--force", IMAGE];
    let (name, _) = IMAGE.rsplit_once(':').unwrap();
    gateway.node.sh(&[&tag[..], &[&format!("{name}:{OLD}")]].concat()).unwrap();
    chart.display().to_string()
}

/// The version before.
const OLD: &str = "0.0.1";

/// What is published, and whether it was written since.
fn published(gateway: &Gateway) -> String {
    let path = "jsonpath={range .items[*]}{.metadata.name} {.metadata.uid} {.metadata.resourceVersion}{\"\\n\"}{end}";
    let label = format!("sluicegate.dev/gateway={NAME}");
    gateway.kubectl(&["get", "configmaps", "-n", NAME, "-l", &label, "-o", path])
}

#[tokio::test]
async fn an_upgrade_from_the_previous_chart_keeps_resources_and_serves_throughout() {
    let Some(gateway) = Gateway::bare().await else { return };
    let folder = tempfile::tempdir().unwrap();
    let previous = previous(&gateway, folder.path());
    for (version, other) in [(3, 4), (4, 3)] {
        gateway.uninstall();
        gateway.upgrade_from(&previous, version, "proxy.replicas=2", &[]);
        gateway.apply("upgraded", &slow("upgraded"));
        gateway.programmed("upgraded");
        let (way, before, pods) = (gateway.service(), published(&gateway), gateway.ready());
        assert!(before.lines().count() >= 2, "{before}");
        let image = |pod: &str| gateway.of_pod(pod, ".spec.containers[0].image");
        assert!(pods.iter().all(|pod| image(pod).ends_with(OLD)), "{pods:?}");
        let load = Load::start(way.address, "upgraded", 8);
        load.calls();
        // By the Helm that installed it; then by the other one, with other settings.
        gateway.upgrade(version, "proxy.replicas=2");
        let words = ["get", "crd", "llmroutes.sluicegate.dev", "-o", "jsonpath={.spec.names.shortNames}"];
        assert!(gateway.kubectl(&words).contains("llmr"), "the definitions are of before");
        gateway.until("the old pods' end", |gateway| gateway.pods().is_disjoint(&pods).then_some(()));
        assert!(gateway.ready().iter().all(|pod| image(pod) == IMAGE), "{:?}", gateway.ready());
        gateway.upgrade(other, "proxy.replicas=3,proxy.settings.keepAliveTimeout=73s,operator.log=debug");
        load.calls();
        let seen = load.end();
        println!("Helm {version}, then {other}: {} whole calls and {} streams", seen.whole, seen.streams);
        seen.is_flawless();
        assert_eq!(published(&gateway), before, "what is published was written again, to no end");
        gateway.delete(&["upgraded"]);
    }
}

#[tokio::test]
async fn uninstalled_it_leaves_the_definitions_and_installed_again_it_serves_what_it_served() {
    let Some(gateway) = Gateway::installed("proxy.replicas=1").await else { return };
    gateway.apply("kept", &quick("kept"));
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
    let kept = ["llmconsumers", "llmroutes", "providerpools"];
    let kept = kept.map(|kind| format!("customresourcedefinition.apiextensions.k8s.io/{kind}.sluicegate.dev"));
    assert_eq!(definitions, kept, "{left}");

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

    // Not kept, the definitions go with the release, and with them every route: nothing of it waits for the operator.
    gateway.upgrade(4, "proxy.replicas=1,crds.keep=false");
    gateway.apply("gone", &quick("gone"));
    gateway.programmed("gone");
    gateway.uninstall();
    let definitions = gateway.kubectl(&["get", "crds", "-o", "name"]);
    assert!(!definitions.contains("sluicegate.dev"), "{definitions}");
    gateway.delete(&["gone"]);
}
