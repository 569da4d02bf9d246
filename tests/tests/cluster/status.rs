//! What a status says is so: proxies are counted by what they answer, those that lag or refuse are named, and nothing is
//! written or told twice.

use std::cell::Cell;
use std::collections::BTreeSet;
use std::time::Duration;

use kube::api::{Patch, PatchParams};
use rustix::process::Signal;
use serde_json::json;
use sluicegate_tests::kube::{ControlPlane, manifests, pod};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use crate::gateway::{Gateway, current, objects, operator, pool, route};

#[tokio::test]
async fn programmed_counts_every_ready_proxy() {
    let mut gateway = Gateway::start(0).await;
    gateway.apply(&(pool("p", "one") + &route("r", "p"))).await;
    let (message, proxies) = gateway.programmed("LLMRoute", "r", "False NoProxies").await;
    assert!(message.contains("no proxy is ready") && proxies == "0/0", "{message} {proxies}");
    gateway.add_proxy().await;
    gateway.add_proxy().await;
    let (message, _) = gateway.programmed("LLMRoute", "r", "True Programmed").await;
    assert!(message.contains(" proxies run it"), "{message}");
    gateway.add_proxy().await;
    for (kind, name) in [("LLMRoute", "r"), ("ProviderPool", "p")] {
        gateway.message(kind, name, "True Programmed", "3/3 proxies run it (revision ").await;
    }
    assert_eq!(gateway.answers("r").await, BTreeSet::from(["one".to_owned()]));
}

#[tokio::test]
async fn a_frozen_proxy_is_named_and_waited_for() {
    let gateway = Gateway::start(3).await;
    gateway.apply(&(pool("p", "one") + &route("r", "p"))).await;
    gateway.programmed("LLMRoute", "r", "True Programmed").await;
    gateway.programmed("ProviderPool", "p", "True Programmed").await;
    gateway.proxies[1].process().signal(Signal::STOP).unwrap();
    gateway.apply(&pool("p", "two")).await;
    let (message, proxies) = gateway.programmed("ProviderPool", "p", "False Pending").await;
    assert!(message.starts_with("2/3 ") && message.ends_with("waiting for pod-1") && proxies == "2/3", "{message}");
    // Nothing of the route has changed; but nobody knows any more what the frozen one runs.
    let (message, _) = gateway.programmed("LLMRoute", "r", "False Pending").await;
    assert!(message.starts_with("2/3 ") && message.ends_with("waiting for pod-1"), "{message}");
    // Its probe fails: no calls are sent to it, and it is not counted.
    pod::set_ready(&gateway.client, (&gateway.namespace, "pod-1"), false).await.unwrap();
    gateway.message("ProviderPool", "p", "True Programmed", "2/2 ").await;
    gateway.proxies[1].process().signal(Signal::CONT).unwrap();
    pod::set_ready(&gateway.client, (&gateway.namespace, "pod-1"), true).await.unwrap();
    gateway.message("ProviderPool", "p", "True Programmed", "3/3 ").await;
    assert_eq!(gateway.answers("r").await, BTreeSet::from(["two".to_owned()]));
}

#[tokio::test]
async fn a_proxy_that_refuses_is_named_with_its_reason() {
    let gateway = Gateway::start(1).await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    gateway.add_pod("pod-old", listener.local_addr().unwrap()).await;
    let rejected = json!({"revision": "", "message": "format 9 is newer than this proxy"});
    let line = json!({
        "whole": true, "ready": true,
        "objects": {
            "LLMRoute": {format!("{}/r", gateway.namespace): {"rejected": rejected}},
            "ProviderPool": {format!("{}/p", gateway.namespace): {"refusedKeys": ["one/team-a"]}},
        },
    });
    // Whoever asks anew, as the operator does with another token, is told the same.
    let served = async {
        loop {
            let (mut socket, _) = listener.accept().await.unwrap();
            let mut request = [0; 4_096];
            assert!(socket.read(&mut request).await.unwrap() > 0);
            let mut said = format!("HTTP/1.1 200 OK\r\n\r\n{line}\n");
            while socket.write_all(said.as_bytes()).await.is_ok() {
                tokio::time::sleep(Duration::from_secs(2)).await;
                "\n".clone_into(&mut said);
            }
        }
    };
    let asked = async {
        gateway.apply(&(pool("p", "one") + &route("r", "p"))).await;
        let (message, proxies) = gateway.programmed("LLMRoute", "r", "False Rejected").await;
        assert!(message.starts_with("1/2 "), "{message}");
        assert!(message.ends_with("refused by pod-old: format 9 is newer than this proxy"), "{message}");
        assert_eq!(proxies, "1/2");
        let (message, _) = gateway.programmed("ProviderPool", "p", "False Pending").await;
        assert!(message.ends_with("waiting for pod-old"), "{message}");
        let status = gateway.get("ProviderPool", "p").await.data["status"].clone();
        let refs =
            status["conditions"].as_array().unwrap().iter().find(|found| found["type"] == "ResolvedRefs").unwrap();
        assert_eq!(refs["status"], "True", "{refs}");
        let told = "warning (KeyRefused): provider one refuses the key team-a, as 1/2 proxies have found";
        assert!(refs["message"].as_str().unwrap().contains(told), "{refs}");
        assert!(status["prices"].is_null(), "a stand-in costs nothing: {status}");
    };
    tokio::select! {
        () = served => {}
        () = asked => {}
    }
}

#[tokio::test]
async fn one_change_is_one_write_and_an_idle_operator_makes_none() {
    let gateway = Gateway::start(2).await;
    gateway.apply(&(pool("p", "one") + &pool("q", "two") + &route("r", "p"))).await;
    for (kind, name) in [("LLMRoute", "r"), ("ProviderPool", "p"), ("ProviderPool", "q")] {
        gateway.programmed(kind, name, "True Programmed").await;
    }
    assert_eq!(gateway.operator.writes("llmroutes/status").await.unwrap(), 1);
    for number in 0..10_u64 {
        gateway.apply(&route("r", if number % 2 == 0 { "q" } else { "p" })).await;
        gateway.programmed("LLMRoute", "r", "True Programmed").await;
        assert_eq!(gateway.operator.writes("llmroutes/status").await.unwrap(), number + 2);
    }
    assert_eq!(gateway.events("r").await, Vec::<String>::new(), "what is good from the beginning is no news");
    // Routes come and go: pools are told of that in a while.
    for (name, count) in [("p", 1), ("q", 0)] {
        for _ in 0..1_000 {
            if gateway.get("ProviderPool", name).await.data["status"]["attachedRoutes"] == json!(count) {
                break;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
    let writes = gateway.operator.writes("").await.unwrap();
    tokio::time::sleep(Duration::from_secs(6)).await;
    assert_eq!(gateway.operator.writes("").await.unwrap(), writes);

    // Started anew, it finds all as it is.
    let Gateway { client, namespace, operator: before, proxies } = gateway;
    before.stop().await.unwrap();
    let operator = operator(&client, &namespace, &[]).await;
    operator.ready().await.unwrap();
    tokio::time::sleep(Duration::from_secs(6)).await;
    assert_eq!(operator.writes("").await.unwrap(), 0, "{}", operator.log().join("\n"));
    // And it works.
    let gateway = Gateway { client, namespace, operator, proxies };
    gateway.apply(&route("r", "p")).await;
    gateway.apply(&route("r", "q")).await;
    gateway.programmed("LLMRoute", "r", "True Programmed").await;
    assert_eq!(gateway.answers("r").await, BTreeSet::from(["two".to_owned()]));
}

/// Somebody else writes a status: with nothing else said of it the rest stays.
async fn overwrite(gateway: &Gateway, status: serde_json::Value) {
    let api = objects(&gateway.client, &gateway.namespace, "LLMRoute");
    api.patch_status("r", &PatchParams::default(), &Patch::Merge(json!({ "status": status }))).await.unwrap();
}

#[tokio::test]
async fn a_status_that_others_remove_or_change_is_put_right_and_nobody_fights_for_it() {
    let gateway = Gateway::start(1).await;
    gateway.apply(&(pool("p", "one") + &route("r", "p"))).await;
    gateway.programmed("LLMRoute", "r", "True Programmed").await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    let writes = gateway.operator.writes("llmroutes/status").await.unwrap();
    // Nothing else changes.
    overwrite(&gateway, serde_json::Value::Null).await;
    gateway.message("LLMRoute", "r", "True Programmed", "1/1 proxies run it").await;
    assert_eq!(gateway.operator.writes("llmroutes/status").await.unwrap(), writes + 1);
    // It is done again and again, for as long as it takes to put right a few.
    let start = std::time::Instant::now();
    let mut undone = 0;
    while start.elapsed() < Duration::from_secs(12) {
        if !gateway.get("LLMRoute", "r").await.data["status"].is_null() {
            overwrite(&gateway, serde_json::Value::Null).await;
            undone += 1;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let more = gateway.operator.writes("llmroutes/status").await.unwrap() - writes - 1;
    assert!((2..=5).contains(&more) && undone <= 6, "{more} {undone}");
    // And when they let it be, it is right.
    gateway.message("LLMRoute", "r", "True Programmed", "1/1 proxies run it").await;
    assert_eq!(gateway.events("r").await, Vec::<String>::new());
}

#[tokio::test]
async fn events_are_told_where_a_condition_turns_and_only_there() {
    let gateway = Gateway::start(1).await;
    gateway.apply(&(pool("p", "one") + &route("r", "p"))).await;
    gateway.programmed("LLMRoute", "r", "True Programmed").await;
    let bad = route("r", "p").replace("exact: r", "regex: '('");
    for _ in 0..2 {
        gateway.apply(&bad).await;
        gateway.programmed("LLMRoute", "r", "False KeepsPrevious").await;
        // Bad in another way: it is told already that it is bad.
        gateway.apply(&bad.replace("'('", "'[('")).await;
        gateway.programmed("LLMRoute", "r", "False KeepsPrevious").await;
        gateway.apply(&route("r", "p")).await;
        gateway.programmed("LLMRoute", "r", "True Programmed").await;
    }
    let round = ["Warning Invalid", "Normal Accepted", "Normal Programmed"];
    let mut told = Vec::new();
    for _ in 0..500 {
        told = gateway.events("r").await;
        if told.len() >= 6 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(told, [round, round].concat());
    assert_eq!(gateway.events("p").await, Vec::<String>::new());
}

/// What the operator relies on: a status that was decided for an object is not written over what it has become, nor
/// over its namesake.
#[tokio::test]
async fn a_status_for_what_is_no_more_is_refused() {
    let client = ControlPlane::shared().unwrap().client().await.unwrap();
    manifests::install_crds(&client).await.unwrap();
    let namespace = manifests::namespace(&client, "uid", &[]).await.unwrap();
    let made = manifests::apply(&client, &namespace, &route("r", "p")).await.unwrap();
    let version = made[0].metadata.resource_version.clone().unwrap();
    let api = objects(&client, &namespace, "LLMRoute");
    let status = |version: &str| {
        let metadata = json!({"name": "r", "namespace": namespace, "resourceVersion": version});
        let types = ("sluicegate.dev/v1alpha1", "LLMRoute");
        json!({"apiVersion": types.0, "kind": types.1, "metadata": metadata, "status": {"proxies": "1/1"}})
    };
    let how = PatchParams::apply("somebody").force();
    let written = api.patch_status("r", &how, &Patch::Apply(status(&version))).await.unwrap();
    let refused = api.patch_status("r", &how, &Patch::Apply(status(&version))).await.unwrap_err();
    assert!(matches!(&refused, kube::Error::Api(status) if status.is_conflict()), "{refused}");
    api.delete("r", &Default::default()).await.unwrap();
    let version = written.metadata.resource_version.unwrap();
    let refused = api.patch_status("r", &how, &Patch::Apply(status(&version))).await.unwrap_err();
    assert!(matches!(&refused, kube::Error::Api(status) if status.is_not_found() || status.is_conflict()), "{refused}");
    manifests::apply(&client, &namespace, &route("r", "p")).await.unwrap();
    let refused = api.patch_status("r", &how, &Patch::Apply(status(&version))).await.unwrap_err();
    assert!(matches!(&refused, kube::Error::Api(status) if status.is_conflict()), "{refused}");
}

/// Flips routes between two pools; whenever `Programmed` is true of a route's own generation, every ready proxy must answer
/// by it.
#[tokio::test]
async fn programmed_is_never_true_while_a_ready_proxy_answers_otherwise() {
    const ROUTES: usize = 8;
    let gateway = Gateway::start(3).await;
    let routes: String = (0..ROUTES).map(|number| route(&format!("r{number}"), "one")).collect();
    gateway.apply(&(pool("one", "one") + &pool("two", "two") + &routes)).await;
    for number in 0..ROUTES {
        gateway.message("LLMRoute", &format!("r{number}"), "True Programmed", "3/3 ").await;
    }
    let churn = async {
        for turn in 0..150_usize {
            let name = format!("r{}", turn % ROUTES);
            // Now and then a change is taken back at once.
            let pools: &[&str] = match turn % 5 {
                0 => &["two", "one"],
                1 => &["one", "two", "one", "two"],
                even if even % 2 == 0 => &["one"],
                _ => &["two"],
            };
            for pool in pools {
                gateway.apply(&route(&name, pool)).await;
            }
            tokio::time::sleep(Duration::from_millis(u64::try_from(turn % 7).unwrap() * 10)).await;
        }
    };
    let judged = Cell::new(0_u32);
    let probe = async {
        for number in (0..ROUTES).cycle() {
            let name = format!("r{number}");
            let object = gateway.get("LLMRoute", &name).await;
            if current(&object, "Programmed").is_none_or(|found| found["status"] != "True") {
                continue;
            }
            let answers = gateway.answers(&name).await;
            // What was asked for meanwhile is not to be told from a wrong answer.
            if gateway.get("LLMRoute", &name).await.metadata.generation == object.metadata.generation {
                let wanted = object.data["spec"]["rules"][0]["targets"][0]["poolRef"]["name"].as_str().unwrap();
                assert_eq!(answers, BTreeSet::from([wanted.to_owned()]), "{name}: {:#}", object.data["status"]);
                judged.set(judged.get() + 1);
            }
        }
    };
    tokio::select! {
        () = churn => {}
        () = probe => {}
    }
    assert!(judged.get() > 10, "{judged:?}");
    for number in 0..ROUTES {
        gateway.programmed("LLMRoute", &format!("r{number}"), "True Programmed").await;
    }
}
