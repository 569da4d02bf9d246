//! Two gateways run the same objects: the status is the word of the one that was there first, the other one says in a condition of its
//! own how the object stands with it, and neither writes when nothing changes.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use kube::api::DynamicObject;
use serde_json::{Value, json};

use crate::gateway::{Gateway, objects, pool, route};

/// An object of the first gateway's namespace, as soon as it holds.
async fn until(gateway: &Gateway, (kind, name): (&str, &str), holds: impl Fn(&DynamicObject) -> bool) -> Value {
    let (api, deadline) =
        (objects(&gateway.client, &gateway.namespace, kind), Instant::now() + Duration::from_secs(90));
    let mut last = Value::Null;
    while Instant::now() < deadline {
        let object = api.get(name).await.unwrap();
        if holds(&object) {
            return object.data["status"].clone();
        }
        last = object.data["status"].clone();
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("{kind} {name}: {last:#}");
}

/// A condition of the object's own generation says that it runs.
fn says(object: &DynamicObject, kind: &str) -> bool {
    let conditions = object.data["status"]["conditions"].as_array();
    let found = conditions.into_iter().flatten().find(|condition| condition["type"] == kind);
    found.is_some_and(|found| {
        found["status"] == "True" && found["observedGeneration"] == json!(object.metadata.generation)
    })
}

#[tokio::test]
async fn a_gateway_that_is_gone_is_named_no_longer_once_the_object_has_changed() {
    let first = Gateway::start(1).await;
    first.apply(&(pool("p", "one") + &pool("q", "two") + &route("r", "p"))).await;
    first.programmed("LLMRoute", "r", "True Programmed").await;
    let second = Gateway::watching(1, &[&first.namespace]).await;
    let beside = format!("gw.{}.gateways.sluicegate.dev/Programmed", second.namespace);
    let is_named = |object: &DynamicObject| {
        let named = object.data["status"]["otherGateways"].as_array().is_some_and(|others| !others.is_empty());
        named && says(object, &beside)
    };
    until(&first, ("LLMRoute", "r"), is_named).await;
    let Gateway { operator, proxies, .. } = second;
    operator.stop().await.unwrap();
    drop(proxies);
    first.apply(&route("r", "q")).await;
    let is_alone = |object: &DynamicObject| {
        let status = &object.data["status"];
        let conditions = status["conditions"].as_array().into_iter().flatten();
        let told = conditions.filter(|condition| condition["type"] == json!(beside)).count();
        says(object, "Programmed") && told == 0 && status.get("otherGateways").is_none()
    };
    until(&first, ("LLMRoute", "r"), is_alone).await;
    // Of an object that has not changed nobody knows.
    until(&first, ("ProviderPool", "q"), is_named).await;
    let before = first.operator.writes("").await.unwrap();
    tokio::time::sleep(Duration::from_secs(6)).await;
    assert_eq!(first.operator.writes("").await.unwrap(), before);
}

#[tokio::test]
async fn two_gateways_of_the_same_objects_do_not_write_each_other_over() {
    let first = Gateway::start(1).await;
    first.apply(&(pool("p", "one") + &pool("q", "two") + &route("r", "p"))).await;
    first.programmed("LLMRoute", "r", "True Programmed").await;
    let second = Gateway::watching(1, &[&first.namespace]).await;
    let beside = format!("gw.{}.gateways.sluicegate.dev/Programmed", second.namespace);
    let names = [&first, &second].map(|gateway| format!("{}/gw", gateway.namespace));
    let both = |object: &DynamicObject| {
        let status = &object.data["status"];
        says(object, "Programmed") && says(object, &beside) && status["otherGateways"] == json!([names[1]])
    };
    for object in [("LLMRoute", "r"), ("ProviderPool", "p"), ("ProviderPool", "q")] {
        let status = until(&first, object, both).await;
        assert_eq!((&status["gateway"], &status["proxies"]), (&json!(names[0]), &json!("1/1")), "{status:#}");
    }
    // Nothing changes: neither writes.
    let writes = async || [first.operator.writes("").await.unwrap(), second.operator.writes("").await.unwrap()];
    let before = writes().await;
    tokio::time::sleep(Duration::from_secs(7)).await;
    assert_eq!(writes().await, before);
    // A change is a write of each, and perhaps another one where both come at once.
    for number in 0..5 {
        first.apply(&route("r", if number % 2 == 0 { "q" } else { "p" })).await;
        until(&first, ("LLMRoute", "r"), both).await;
    }
    let ours = first.operator.writes("llmroutes/status").await.unwrap();
    let theirs = second.operator.writes("llmroutes/status").await.unwrap();
    assert!((6..=24).contains(&ours) && (6..=24).contains(&theirs), "{ours} {theirs}");
    for gateway in [&first, &second] {
        assert_eq!(gateway.answers("r").await, BTreeSet::from(["two".to_owned()]));
    }
    // The first one is gone for good: with the next change the status is the other one's word.
    let Gateway { client, namespace, operator, proxies } = first;
    operator.stop().await.unwrap();
    drop(proxies);
    let first = objects(&client, &namespace, "LLMRoute");
    sluicegate_tests::kube::manifests::apply(&client, &namespace, &route("r", "p")).await.unwrap();
    let deadline = Instant::now() + Duration::from_secs(60);
    loop {
        let object = first.get("r").await.unwrap();
        if says(&object, "Programmed") && object.data["status"]["gateway"] == json!(names[1]) {
            let conditions = object.data["status"]["conditions"].as_array().unwrap();
            if !conditions.iter().any(|condition| condition["type"] == json!(beside)) {
                break;
            }
        }
        assert!(Instant::now() < deadline, "{:#}\n{}", object.data["status"], second.operator.log().join("\n"));
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let before = second.operator.writes("").await.unwrap();
    tokio::time::sleep(Duration::from_secs(6)).await;
    assert_eq!(second.operator.writes("").await.unwrap(), before);
}
