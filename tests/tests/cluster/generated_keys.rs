//! Keys that the operator makes: from `kubectl apply` to a call, rotated, refused; what is somebody else's is left alone.

use std::collections::BTreeSet;
use std::path::Path;

use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use k8s_openapi::api::events::v1::Event;
use kube::api::{Api, DeleteParams, ListParams, Patch, PatchParams};
use serde_json::{Value, json};
use sluicegate_tests::kube::{ControlPlane, account, manifests};
use sluicegate_tests::operator::Operator;
use tempfile::TempPath;

use crate::gateway::{Gateway, current, objects, pool, route};

/// A gateway that makes keys in this other namespace, which it watches, with the rights that the chart gives it then.
async fn start(proxies: usize) -> (Gateway, String, TempPath) {
    let mut gateway = Gateway::start(0).await;
    let team = manifests::namespace(&gateway.client, "team", &[]).await.unwrap();
    let (admin, namespace) = (ControlPlane::shared().unwrap().kubeconfig(), gateway.namespace.clone());
    let mut grants = account::of_operator(("gw", &namespace), &[&namespace, &team]).unwrap();
    grants.push(account::of_key_generator(&team).unwrap());
    let kubeconfig = account::create(&gateway.client, admin, (&namespace, "generator"), &grants).await.unwrap();
    gateway.operator = operator(&gateway, &team, &kubeconfig).await;
    for _ in 0..proxies {
        gateway.add_proxy().await;
    }
    let known = route("m", "p").replace("spec:", "spec:\n  access: {from: Known}");
    gateway.apply(&[pool("p", "fine"), known].join("\n")).await;
    gateway.programmed("LLMRoute", "m", "True Programmed").await;
    (gateway, team, kubeconfig)
}

async fn operator(gateway: &Gateway, team: &str, kubeconfig: &Path) -> Operator {
    let both = format!("{},{team}", gateway.namespace);
    let flags = ["--watch-namespaces", &both, "--generate-keys"];
    let operator = Operator::start(kubeconfig, ("gw", &gateway.namespace), &flags).unwrap();
    operator.ready().await.unwrap();
    operator
}

fn consumer(name: &str, generate: &Value) -> String {
    let spec = json!({"keys": [{"name": "made", "generate": generate}]});
    json!({"apiVersion": "sluicegate.dev/v1alpha1", "kind": "LLMConsumer", "metadata": {"name": name}, "spec": spec})
        .to_string()
}

/// The status codes that proxies answer with to a call by this key.
async fn statuses(gateway: &Gateway, key: &str) -> BTreeSet<u16> {
    let mut all = BTreeSet::new();
    for proxy in &gateway.proxies {
        let body = json!({"model": "m", "messages": [{"role": "user", "content": "?"}]}).to_string();
        let bearer = format!("Bearer {key}");
        let answer = proxy.client().post("/v1/chat/completions", &[("authorization", &bearer)], body).await.unwrap();
        all.insert(answer.status);
    }
    all
}

/// Waits until a condition of a consumer is of its generation and reads so; its message.
async fn condition(gateway: &Gateway, namespace: &str, name: &str, kind: &str, wanted: &str) -> String {
    let mut last = json!(null);
    for _ in 0..3_000 {
        let object = objects(&gateway.client, namespace, "LLMConsumer").get(name).await.unwrap();
        if let Some(found) = current(&object, kind) {
            let text = |key: &str| found[key].as_str().unwrap_or_default().to_owned();
            if format!("{} {}", text("status"), text("reason")) == wanted {
                return text("message");
            }
        }
        last = object.data["status"].clone();
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    panic!("{name} is not {wanted}: {last:#}\n{}", gateway.operator.log().join("\n"));
}

/// Waits until a Secret is as it is to be.
async fn secret_until(gateway: &Gateway, at: (&str, &str), is_so: impl Fn(&Secret) -> bool) -> Secret {
    let api: Api<Secret> = Api::namespaced(gateway.client.clone(), at.0);
    for _ in 0..3_000 {
        if let Some(secret) = api.get_opt(at.1).await.unwrap().filter(&is_so) {
            return secret;
        }
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    panic!("{at:?} is not so\n{}", gateway.operator.log().join("\n"));
}

fn value(secret: &Secret, key: &str) -> Option<String> {
    let value = secret.data.as_ref()?.get(key)?;
    Some(String::from_utf8(value.0.clone()).unwrap())
}

async fn until(gateway: &Gateway, key: &str, wanted: u16) {
    for _ in 0..3_000 {
        if statuses(gateway, key).await == [wanted].into() {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    panic!("not {wanted} everywhere\n{}", gateway.operator.log().join("\n"));
}

/// Everything that is told of a consumer: published, in statuses, events, logs and metrics.
async fn told(gateway: &Gateway, team: &str) -> String {
    let mut told = gateway.operator.log().join("\n");
    for namespace in [gateway.namespace.as_str(), team] {
        let maps: Api<ConfigMap> = Api::namespaced(gateway.client.clone(), namespace);
        let events: Api<Event> = Api::namespaced(gateway.client.clone(), namespace);
        let consumers = objects(&gateway.client, namespace, "LLMConsumer");
        let all = ListParams::default();
        told += &format!("{:?}", maps.list(&all).await.unwrap().items);
        told += &format!("{:?}", events.list(&all).await.unwrap().items);
        told += &format!("{:?}", consumers.list(&all).await.unwrap().items);
    }
    told += &gateway.operator.page("/metrics").await.unwrap().1;
    for proxy in &gateway.proxies {
        told += &proxy.log().join("\n");
        told += &["/metrics", "/config", "/status"].map(|page| proxy.page(page).unwrap().1).concat();
    }
    told
}

#[tokio::test]
async fn a_key_that_is_asked_for_is_made_rotated_and_taken_back_and_nobody_tells_it() {
    let (mut gateway, team, kubeconfig) = start(2).await;
    let generate = json!({"secretName": "team-key", "rotateEvery": "12s", "overlap": "6s"});
    manifests::apply(&gateway.client, &team, &consumer("team", &generate)).await.unwrap();
    let first = secret_until(&gateway, (&team, "team-key"), |_| true).await;
    let key = value(&first, "api-key").unwrap();
    assert!(key.starts_with("sgk_") && key.len() == 68, "{} letters", key.len());
    let owner = &first.metadata.owner_references.as_ref().unwrap()[0];
    assert_eq!((owner.kind.as_str(), owner.name.as_str(), owner.controller), ("LLMConsumer", "team", Some(true)));
    assert_eq!(first.metadata.labels.as_ref().unwrap()["app.kubernetes.io/managed-by"], "sluicegate-operator");
    assert!(statuses(&gateway, "nobodys-key-that-is-long-enough").await == [401].into());
    until(&gateway, &key, 200).await;
    // The key of then stays good beside the new one, and is refused after that.
    let is_next = |secret: &Secret| value(secret, "api-key").is_some_and(|now| now != key);
    let second = secret_until(&gateway, (&team, "team-key"), is_next).await;
    let next = value(&second, "api-key").unwrap();
    assert_eq!(value(&second, "previous-api-key").as_ref(), Some(&key));
    assert_eq!(statuses(&gateway, &key).await, [200].into(), "both are good");
    until(&gateway, &next, 200).await;
    until(&gateway, &key, 401).await;
    secret_until(&gateway, (&team, "team-key"), |secret| value(secret, "previous-api-key").as_ref() != Some(&key))
        .await;
    let told = told(&gateway, &team).await;
    assert!(!told.contains(&key[4..]) && !told.contains(&next[4..]));
    // A slower rotation, an operator that starts anew: nothing is made.
    let generate = json!({"secretName": "team-key", "rotateEvery": "720h"});
    manifests::apply(&gateway.client, &team, &consumer("team", &generate)).await.unwrap();
    let gone = |secret: &Secret| value(secret, "previous-api-key").is_none();
    let stands = secret_until(&gateway, (&team, "team-key"), gone).await;
    gateway.operator = operator(&gateway, &team, &kubeconfig).await;
    gateway.add_proxy().await;
    condition(&gateway, &team, "team", "Programmed", "True Programmed").await;
    until(&gateway, &value(&stands, "api-key").unwrap(), 200).await;
    assert_eq!(gateway.operator.writes("secrets").await.unwrap(), 0);
    // What its annotations say counts, not what an operator remembers.
    let api: Api<Secret> = Api::namespaced(gateway.client.clone(), &team);
    let back = json!({"metadata": {"annotations": {"sluicegate.dev/rotated-at": "2020-01-01T00:00:00Z"}}});
    api.patch("team-key", &PatchParams::default(), &Patch::Merge(&back)).await.unwrap();
    let before = value(&stands, "api-key");
    let third = secret_until(&gateway, (&team, "team-key"), |secret| value(secret, "previous-api-key") == before).await;
    until(&gateway, &value(&third, "api-key").unwrap(), 200).await;
    let before = before.unwrap();
    assert_eq!(statuses(&gateway, &before).await, [200].into());
    // Once more while both are good, as for a key that has leaked: the oldest of three is refused at once.
    api.patch("team-key", &PatchParams::default(), &Patch::Merge(&back)).await.unwrap();
    let leaked = value(&third, "api-key");
    let third = secret_until(&gateway, (&team, "team-key"), |secret| value(secret, "previous-api-key") == leaked).await;
    until(&gateway, &value(&third, "api-key").unwrap(), 200).await;
    until(&gateway, &before, 401).await;
    assert_eq!(statuses(&gateway, &leaked.unwrap()).await, [200].into());
    // It is made again when it is deleted, and then the one before is good no longer.
    api.delete("team-key", &DeleteParams::default()).await.unwrap();
    let fourth = secret_until(&gateway, (&team, "team-key"), |_| true).await;
    until(&gateway, &value(&fourth, "api-key").unwrap(), 200).await;
    until(&gateway, &value(&third, "api-key").unwrap(), 401).await;
}

#[tokio::test]
async fn somebody_elses_secret_and_somebody_elses_key_are_left_alone() {
    let (gateway, team, _kubeconfig) = start(1).await;
    let theirs = "their-own-key-that-is-long-enough";
    let secret = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "theirs"}, "stringData": {"api-key": theirs}});
    manifests::apply(&gateway.client, &team, &secret.to_string()).await.unwrap();
    let rotated = json!({"secretName": "theirs", "rotateEvery": "10s"});
    manifests::apply(&gateway.client, &team, &consumer("team", &rotated)).await.unwrap();
    let message = condition(&gateway, &team, "team", "ResolvedRefs", "False SecretNotOwned").await;
    assert!(message.contains("spec.keys[0].generate") && message.contains("left alone"), "{message}");
    assert_eq!(statuses(&gateway, theirs).await, [401].into(), "it is nobody's key");
    let api: Api<Secret> = Api::namespaced(gateway.client.clone(), &team);
    let stands = api.get("theirs").await.unwrap();
    assert_eq!((value(&stands, "api-key").as_deref(), stands.metadata.annotations), (Some(theirs), None));
    // It goes, and the operator makes one by itself.
    api.delete("theirs", &DeleteParams::default()).await.unwrap();
    condition(&gateway, &team, "team", "ResolvedRefs", "True ResolvedRefs").await;
    let made = secret_until(&gateway, (&team, "theirs"), |_| true).await;
    until(&gateway, &value(&made, "api-key").unwrap(), 200).await;
    // Somebody writes a key of theirs into it: it is good, as any that is named would be, and stays.
    let by_hand = json!({"stringData": {"api-key": theirs}});
    api.patch("theirs", &PatchParams::default(), &Patch::Merge(&by_hand)).await.unwrap();
    condition(&gateway, &team, "team", "ResolvedRefs", "False SecretNotOwned").await;
    until(&gateway, theirs, 200).await;
    assert!(!told(&gateway, &team).await.contains(theirs));
    assert_eq!(value(&api.get("theirs").await.unwrap(), "api-key").as_deref(), Some(theirs));
}

#[tokio::test]
async fn an_operator_that_may_not_make_keys_says_what_to_set() {
    let gateway = Gateway::start(1).await;
    let generate = json!({"secretName": "team-key"});
    gateway.apply(&consumer("team", &generate)).await;
    let namespace = gateway.namespace.clone();
    let message = condition(&gateway, &namespace, "team", "ResolvedRefs", "False GenerationDisabled").await;
    assert!(message.contains("operator.generateKeys: true"), "{message}");
    let api: Api<Secret> = Api::namespaced(gateway.client.clone(), &namespace);
    assert!(api.get_opt("team-key").await.unwrap().is_none());
}
