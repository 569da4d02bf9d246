//! The ConfigMap that owns what is published comes, goes and is replaced, and published objects are deleted by hand: no
//! call fails, nothing is written in a loop, and nothing is left behind.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::time::Duration;

use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::api::{Api, ListParams};
use sluicegate_tests::kube::{ControlPlane, manifests};
use sluicegate_tests::operator::Operator;

use crate::gateway::{Gateway, OWNER, objects, pool, rights, route};

const SECRET: &str = "{apiVersion: v1, kind: Secret, metadata: {name: key}, stringData: {token: sk-planted}}\n---\n";
const KEYED: &str = "apiVersion: sluicegate.dev/v1alpha1\nkind: ProviderPool\nmetadata: {name: keyed}\nspec: {providers: [\
                     {name: one, type: OpenAI, url: 'https://llm.example.com', credentials: {secretRef: {name: key, key: token}}}]}\n---\n";

/// What stands published, credentials too.
async fn published(gateway: &Gateway) -> BTreeMap<String, ObjectMeta> {
    let ours =
        ListParams::default().labels("sluicegate.dev/gateway=gw,sluicegate.dev/content in (route, pool, credentials)");
    let maps: Api<ConfigMap> = Api::namespaced(gateway.client.clone(), &gateway.namespace);
    let secrets: Api<Secret> = Api::namespaced(gateway.client.clone(), &gateway.namespace);
    let maps = maps.list(&ours).await.unwrap().items.into_iter().map(|map| map.metadata);
    let secrets = secrets.list(&ours).await.unwrap().items.into_iter().map(|secret| secret.metadata);
    maps.chain(secrets).map(|meta| (meta.name.clone().unwrap(), meta)).collect()
}

async fn until(gateway: &Gateway, what: &str, holds: impl Fn(&BTreeMap<String, ObjectMeta>) -> bool) {
    for _ in 0..3_000 {
        if holds(&published(gateway).await) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("{what} did not come: {:#?}\n{}", published(gateway).await, gateway.operator.log().join("\n"));
}

/// As `kubectl replace --force` does it.
async fn replace_owner(gateway: &Gateway) -> String {
    let maps: Api<ConfigMap> = Api::namespaced(gateway.client.clone(), &gateway.namespace);
    maps.delete("settings", &Default::default()).await.unwrap();
    let made = manifests::apply(&gateway.client, &gateway.namespace, OWNER).await.unwrap();
    made[0].metadata.uid.clone().unwrap()
}

/// Whether all of it is owned by this alone.
fn owned_by(all: &BTreeMap<String, ObjectMeta>, uid: &str) -> bool {
    all.values().all(|meta| meta.owner_references.iter().flatten().map(|owner| &*owner.uid).eq([uid]))
}

/// Asks all proxies again and again while something is done, and gives how many calls there were; none fails.
async fn under_load(gateway: &Gateway, done: impl Future<Output = ()>) -> usize {
    let calls = Cell::new(0);
    let load = async {
        loop {
            assert_eq!(gateway.answers("r").await, ["one".to_owned()].into(), "after {} calls", calls.get());
            calls.set(calls.get() + gateway.proxies.len());
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    tokio::select! {
        () = load => {}
        () = done => {}
    }
    calls.get()
}

#[tokio::test]
async fn an_owner_that_is_replaced_is_followed_without_a_lost_call() {
    let gateway = Gateway::owned(2).await;
    gateway.apply(&(SECRET.to_owned() + KEYED + &pool("p", "one") + &route("r", "p"))).await;
    gateway.programmed("LLMRoute", "r", "True Programmed").await;
    until(&gateway, "all of it", |all| all.len() == 4).await;
    let replaced = async {
        for turn in 1..=3_u32 {
            let uid = replace_owner(&gateway).await;
            until(&gateway, "the new owner", |all| all.len() == 4 && owned_by(all, &uid)).await;
            // What the garbage collector has not taken by now it leaves.
            tokio::time::sleep(Duration::from_secs(2)).await;
            until(&gateway, "the new owner", |all| all.len() == 4 && owned_by(all, &uid)).await;
            assert!(
                gateway.operator.metric("sluicegate_operator_owner_changes_total", &[]).await.unwrap()
                    >= f64::from(turn)
            );
        }
        let writes = gateway.operator.writes("").await.unwrap();
        tokio::time::sleep(Duration::from_secs(3)).await;
        assert_eq!(gateway.operator.writes("").await.unwrap(), writes, "it writes on and on");
    };
    let calls = under_load(&gateway, replaced).await;
    assert!(calls > 100, "{calls} calls are no load");
    let log = gateway.operator.log().join("\n");
    assert!(log.contains("was replaced") && !log.contains("planted"), "{log}");
    assert!(gateway.events("settings").await.contains(&"Warning OwnerReplaced".to_owned()));
    gateway.programmed("LLMRoute", "r", "True Programmed").await;
}

#[tokio::test]
async fn without_its_owner_nothing_is_published_and_nothing_is_left_behind() {
    let client = ControlPlane::shared().unwrap().client().await.unwrap();
    manifests::install_crds(&client).await.unwrap();
    let namespace = manifests::namespace(&client, "ownerless", &[]).await.unwrap();
    let kubeconfig = rights(&client, &namespace, &[]).await;
    let flags = ["--watch-namespaces", &namespace, "--owner-config-map", "settings"];
    let operator = Operator::start(&kubeconfig, ("gw", &namespace), &flags).unwrap();
    let gateway = Gateway { client, namespace, operator, proxies: Vec::new() };
    gateway.apply(&(SECRET.to_owned() + KEYED)).await;
    let (message, _) = gateway.programmed("ProviderPool", "keyed", "False NotPublished").await;
    assert!(message.contains("the ConfigMap settings, which owns what is published, is not there"), "{message}");
    assert!(published(&gateway).await.is_empty());
    let (status, text) = gateway.operator.page("/readyz").await.unwrap();
    assert!(status == 503 && text.contains("ConfigMap settings"), "{status} {text}");
    assert!(gateway.operator.metric("sluicegate_operator_is_owned", &[]).await.unwrap() < 1.0);

    gateway.apply(OWNER).await;
    until(&gateway, "pool and key", |all| all.len() == 2).await;
    gateway.operator.ready().await.unwrap();
    gateway.programmed("ProviderPool", "keyed", "False NoProxies").await;
    // As an uninstallation does it, while the operator still runs.
    let maps: Api<ConfigMap> = Api::namespaced(gateway.client.clone(), &gateway.namespace);
    maps.delete("settings", &Default::default()).await.unwrap();
    until(&gateway, "the end of it", BTreeMap::is_empty).await;
    gateway.programmed("ProviderPool", "keyed", "False NotPublished").await;
    assert!(published(&gateway).await.is_empty());
    // Nobody needs an owner in order to take something away.
    objects(&gateway.client, &gateway.namespace, "ProviderPool").delete("keyed", &Default::default()).await.unwrap();
    let log = gateway.operator.log().join("\n");
    assert!(!log.contains("planted"), "{log}");
}

#[tokio::test]
async fn what_is_deleted_by_hand_is_put_back_and_no_call_notices() {
    let gateway = Gateway::start(2).await;
    let bad = route("kept", "p");
    gateway.apply(&(pool("p", "one") + &route("r", "p") + &bad)).await;
    gateway.programmed("LLMRoute", "r", "True Programmed").await;
    // One whose last good form stands nowhere else.
    gateway.programmed("LLMRoute", "kept", "True Programmed").await;
    gateway.apply(&bad.replace("exact: kept", "regex: '('")).await;
    gateway.programmed("LLMRoute", "kept", "False KeepsPrevious").await;
    let maps: Api<ConfigMap> = Api::namespaced(gateway.client.clone(), &gateway.namespace);
    let deletions = async {
        for _ in 0..10 {
            let ours = ListParams::default().labels("sluicegate.dev/gateway=gw");
            maps.delete_collection(&Default::default(), &ours).await.unwrap();
            until(&gateway, "what was deleted", |all| all.len() == 3).await;
        }
        // The operator is away, and somebody deletes: it is put back within the time that proxies wait.
        gateway.operator.process().signal(rustix::process::Signal::STOP).unwrap();
        let ours = ListParams::default().labels("sluicegate.dev/gateway=gw");
        maps.delete_collection(&Default::default(), &ours).await.unwrap();
        tokio::time::sleep(Duration::from_secs(4)).await;
        gateway.operator.process().signal(rustix::process::Signal::CONT).unwrap();
        until(&gateway, "what was deleted", |all| all.len() == 3).await;
    };
    let calls = under_load(&gateway, deletions).await;
    assert!(calls > 100, "{calls} calls are no load");
    assert_eq!(gateway.answers("kept").await, ["one".to_owned()].into(), "the last good form came back");
    // What its user deletes goes at once: no proxy takes it for a mishap.
    let waits = || {
        let log = gateway.proxies.iter().flat_map(|proxy| proxy.log());
        log.filter(|line| line.contains("not by the operator")).count()
    };
    let before = waits();
    assert!(before > 0);
    objects(&gateway.client, &gateway.namespace, "LLMRoute").delete("r", &Default::default()).await.unwrap();
    let mut rounds = 0;
    while !gateway.answers("r").await.contains("") {
        rounds += 1;
        assert!(rounds < 3_000, "a deleted route serves on");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(waits(), before);
}
