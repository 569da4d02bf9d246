//! Consumers in a cluster: keys from Secrets, rotated under load; what is published holds digests; whose key it is where two
//! have the same.

use std::cell::Cell;
use std::collections::BTreeSet;
use std::time::Duration;

use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use kube::api::{Api, DeleteParams, ListParams};
use serde_json::json;

use crate::gateway::{Gateway, current, objects, pool};

const OTHER: &str = "the-other-key-that-stays-as-it-is";

fn secret(name: &str, key: &str) -> String {
    json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "stringData": {"api-key": key}})
        .to_string()
}

fn consumer(name: &str, secrets: &[&str]) -> String {
    let keys: Vec<_> = secrets.iter().map(|secret| json!({"name": secret, "secretRef": {"name": secret}})).collect();
    json!({"apiVersion": "sluicegate.dev/v1alpha1", "kind": "LLMConsumer", "metadata": {"name": name}, "spec": {"keys": keys}})
        .to_string()
}

fn route(name: &str) -> String {
    json!({"apiVersion": "sluicegate.dev/v1alpha1", "kind": "LLMRoute", "metadata": {"name": name}, "spec": {
        "access": {"from": "Known"},
        "rules": [{"name": "only", "matches": [{"model": {"exact": name}}], "targets": [{"poolRef": {"name": "p"}}]}],
    }})
    .to_string()
}

/// The status codes that proxies answer with to a call by this key.
async fn statuses(gateway: &Gateway, key: &str) -> BTreeSet<u16> {
    let mut all = BTreeSet::new();
    for proxy in &gateway.proxies {
        let body = json!({"model": "m", "messages": [{"role": "user", "content": "?"}]}).to_string();
        let answer = proxy.client().post("/v1/chat/completions", &[("x-api-key", key)], body).await.unwrap();
        all.insert(answer.status);
    }
    all
}

async fn condition(gateway: &Gateway, name: &str, kind: &str, wanted: &str) -> String {
    let mut last = json!(null);
    for _ in 0..3_000 {
        let object = gateway.get("LLMConsumer", name).await;
        if let Some(found) = current(&object, kind) {
            let text = |key: &str| found[key].as_str().unwrap_or_default().to_owned();
            if format!("{} {}", text("status"), text("reason")) == wanted {
                return text("message");
            }
        }
        last = object.data["status"].clone();
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("{name} is not {wanted}: {last:#}\n{}", gateway.operator.log().join("\n"));
}

fn number(turn: u32) -> String {
    format!("key-number-{turn:08}-that-nobody-can-guess")
}

#[tokio::test]
async fn a_replaced_key_is_refused_everywhere_before_the_status_says_so() {
    const TURNS: u32 = 20;
    let gateway = Gateway::start(3).await;
    gateway.apply(&[secret("a", &number(0)), secret("b", OTHER)].join("\n---\n")).await;
    gateway.apply(&[pool("p", "fine"), route("m"), "---".to_owned(), consumer("team", &["a", "b"])].join("\n")).await;
    gateway.programmed("LLMConsumer", "team", "True Programmed").await;
    gateway.programmed("LLMRoute", "m", "True Programmed").await;
    assert_eq!(statuses(&gateway, &number(0)).await, [200].into());
    assert_eq!(statuses(&gateway, "nobodys-key-that-is-long-enough").await, [401].into());
    let (turn, judged) = (Cell::new(0), Cell::new(0_u32));
    let churn = async {
        for next in 1..=TURNS {
            gateway.apply(&secret("a", &number(next))).await;
            turn.set(next);
            tokio::time::sleep(Duration::from_millis(u64::from(next % 5) * 40)).await;
        }
        while !published(&gateway).await.contains(&digest(&number(TURNS))) {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        gateway.programmed("LLMConsumer", "team", "True Programmed").await;
    };
    // The operator may not have seen the newest key when a status is read: what is published is what the status is about.
    let probe = async {
        loop {
            let published = published(&gateway).await;
            let before = turn.get();
            let object = gateway.get("LLMConsumer", "team").await;
            if current(&object, "Programmed").is_some_and(|found| found["status"] == "True") {
                let stands = (0..=before).rev().find(|turn| published.contains(&digest(&number(*turn)))).unwrap();
                for older in (0..stands).rev().take(2) {
                    assert_eq!(statuses(&gateway, &number(older)).await, [401].into(), "{older} of {stands}");
                }
                judged.set(judged.get() + 1);
            }
        }
    };
    let others = async {
        loop {
            let other = statuses(&gateway, OTHER).await;
            assert_eq!(other, [200].into(), "the other key serves throughout");
        }
    };
    tokio::select! {
        () = churn => {}
        () = probe => {}
        () = others => {}
    }
    assert!(judged.get() > 3, "{judged:?}");
    assert_eq!(statuses(&gateway, &number(TURNS)).await, [200].into());
    assert_eq!(statuses(&gateway, &number(TURNS - 1)).await, [401].into());
}

#[tokio::test]
async fn what_is_taken_away_is_refused_and_the_rest_serves() {
    let gateway = Gateway::start(2).await;
    gateway.apply(&[secret("a", &number(0)), secret("b", OTHER)].join("\n---\n")).await;
    gateway.apply(&[pool("p", "fine"), route("m"), "---".to_owned(), consumer("team", &["a", "b"])].join("\n")).await;
    gateway.programmed("LLMConsumer", "team", "True Programmed").await;
    gateway.programmed("LLMRoute", "m", "True Programmed").await;
    assert_eq!(statuses(&gateway, &number(0)).await, [200].into());
    // Its Secret is taken away: the key goes, the other one stays.
    let secrets: Api<Secret> = Api::namespaced(gateway.client.clone(), &gateway.namespace);
    secrets.delete("a", &DeleteParams::default()).await.unwrap();
    condition(&gateway, "team", "ResolvedRefs", "False SecretNotFound").await;
    gateway.programmed("LLMConsumer", "team", "True Programmed").await;
    assert_eq!(statuses(&gateway, &number(0)).await, [401].into());
    // The consumer is taken away.
    objects(&gateway.client, &gateway.namespace, "LLMConsumer").delete("team", &DeleteParams::default()).await.unwrap();
    for _ in 0..1_000 {
        if statuses(&gateway, OTHER).await == [401].into() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("a consumer that is gone is known still");
}

fn digest(key: &str) -> String {
    use sluicegate_config::compile::{compile, manifests};
    let text = [secret("a", key), consumer("team", &["a"])].join("\n---\n");
    let compiled = compile(&manifests::read(&[("x.yaml".to_owned(), text)]).0);
    let consumer = compiled.snapshot.consumers.into_values().next().unwrap();
    String::from(consumer.keys[0].digest)
}

/// What is published of the consumer.
async fn published(gateway: &Gateway) -> String {
    let maps: Api<ConfigMap> = Api::namespaced(gateway.client.clone(), &gateway.namespace);
    let all = maps.list(&ListParams::default().labels("sluicegate.dev/content=consumer")).await.unwrap();
    all.items.into_iter().map(|map| format!("{map:?}")).collect()
}

#[tokio::test]
async fn what_is_published_holds_no_key_and_the_older_of_two_is_known_by_it() {
    let gateway = Gateway::start(1).await;
    let key = "one-key-that-two-consumers-have";
    gateway.apply(&[secret("a", key), secret("b", "a-key-of-its-own-that-is-long")].join("\n---\n")).await;
    gateway.apply(&[pool("p", "fine"), route("m"), "---".to_owned(), consumer("older", &["a"])].join("\n")).await;
    gateway.programmed("LLMConsumer", "older", "True Programmed").await;
    // Creation times are whole seconds.
    tokio::time::sleep(Duration::from_millis(1_100)).await;
    gateway.apply(&consumer("another", &["a", "b"])).await;
    let message = condition(&gateway, "another", "Accepted", "False DuplicateKey").await;
    assert!(message.contains("spec.keys[0]") && message.contains("/older has the same key"), "{message}");
    condition(&gateway, "older", "Accepted", "True Accepted").await;
    assert_eq!(statuses(&gateway, "a-key-of-its-own-that-is-long").await, [200].into(), "its other key serves");
    let log = || gateway.proxies[0].log().join("\n");
    assert_eq!(statuses(&gateway, key).await, [200].into());
    let line = format!("\"consumer\":\"{}/older\"", gateway.namespace);
    gateway.proxies[0].until("the log tells who calls", |_| log().contains(&line)).await.unwrap();
    objects(&gateway.client, &gateway.namespace, "LLMConsumer")
        .delete("older", &DeleteParams::default())
        .await
        .unwrap();
    condition(&gateway, "another", "Accepted", "True Accepted").await;
    assert!(published(&gateway).await.contains(&digest(key)));
    let told = published(&gateway).await + &log() + &gateway.operator.log().join("\n") + &message;
    assert!(!told.contains(key));
}
