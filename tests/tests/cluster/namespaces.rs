//! Namespaces are deleted under everything that runs: they go, what is of them goes with them, and the rest serves.

use std::time::Duration;

use k8s_openapi::api::core::v1::{ConfigMap, Namespace};
use kube::Client;
use kube::api::{Api, ListParams};
use sluicegate_config::published::GATEWAY_LABEL;
use sluicegate_tests::client::Answer;
use sluicegate_tests::kube::{ControlPlane, manifests};
use sluicegate_tests::operator::Operator;

use crate::gateway::{Gateway, objects, pool, rights, route};

/// Deletes a namespace and waits until it is gone.
async fn delete(client: &Client, namespace: &str) {
    let api: Api<Namespace> = Api::all(client.clone());
    api.delete(namespace, &Default::default()).await.unwrap();
    let mut last = None;
    for _ in 0..1_200 {
        last = api.get_opt(namespace).await.unwrap();
        if last.is_none() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("{namespace} does not go: {:#?}", last.and_then(|namespace| namespace.status));
}

/// Names of the published ConfigMaps.
async fn published(gateway: &Gateway) -> Vec<String> {
    let api: Api<ConfigMap> = Api::namespaced(gateway.client.clone(), &gateway.namespace);
    let all = api.list(&ListParams::default().labels(&format!("{GATEWAY_LABEL}=gw"))).await.unwrap().items;
    all.into_iter().filter_map(|map| map.metadata.name).collect()
}

/// Waits until the team's routes are answered so by all proxies; empty: not at all.
async fn answered(gateway: &Gateway, wanted: &str) {
    let mut last = Default::default();
    for _ in 0..1_500 {
        last = gateway.answers("t0").await;
        if last == [wanted.to_owned()].into() && gateway.answers("t9").await == last {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("{last:?}, not {wanted:?}: {}", gateway.operator.log().join("\n"));
}

#[tokio::test]
async fn a_namespace_deleted_under_a_running_operator_goes_and_the_others_serve() {
    let client = ControlPlane::shared().unwrap().client().await.unwrap();
    let team = manifests::namespace(&client, "team", &[]).await.unwrap();
    let gateway = Gateway::watching(2, &[&team]).await;
    let routes: String = (0..10).map(|number| route(&format!("t{number}"), "theirs")).collect();
    let theirs = pool("theirs", "theirs") + &routes;
    gateway.apply(&(pool("p", "ours") + &route("r", "p"))).await;
    manifests::apply(&client, &team, &theirs).await.unwrap();
    gateway.programmed("LLMRoute", "r", "True Programmed").await;
    answered(&gateway, "theirs").await;

    delete(&client, &team).await;
    answered(&gateway, "").await;
    let ours = ["pool", "route"].map(|kind| format!("gw.{kind}.{}", gateway.namespace));
    let mut names = Vec::new();
    for _ in 0..1_500 {
        names = published(&gateway).await;
        if names.len() == 2 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(names, [format!("{}.p", ours[0]), format!("{}.r", ours[1])]);
    // What is there still is followed still.
    gateway.apply(&pool("p", "changed")).await;
    gateway.programmed("ProviderPool", "p", "True Programmed").await;
    assert_eq!(gateway.answers("r").await, ["changed".to_owned()].into());

    // It comes again under its name, and its rights with it.
    let again: Namespace = serde_json::from_value(serde_json::json!({"metadata": {"name": team}})).unwrap();
    Api::<Namespace>::all(client.clone()).create(&Default::default(), &again).await.unwrap();
    drop(rights(&client, &gateway.namespace, &[&team]).await);
    manifests::apply(&client, &team, &theirs).await.unwrap();
    answered(&gateway, "theirs").await;
    delete(&client, &team).await;
}

#[tokio::test]
async fn a_namespace_deleted_while_no_operator_runs_does_not_keep_the_next_one_from_being_ready() {
    let client = ControlPlane::shared().unwrap().client().await.unwrap();
    let team = manifests::namespace(&client, "team", &[]).await.unwrap();
    let gateway = Gateway::watching(1, &[&team]).await;
    gateway.apply(&(pool("p", "ours") + &route("r", "p"))).await;
    manifests::apply(&client, &team, &(pool("theirs", "theirs") + &route("t0", "theirs"))).await.unwrap();
    gateway.programmed("LLMRoute", "r", "True Programmed").await;
    for _ in 0..1_500 {
        if published(&gateway).await.len() == 4 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let Gateway { client, namespace, operator, proxies } = gateway;
    operator.stop().await.unwrap();
    delete(&client, &team).await;
    // Its Role has gone with it: nothing may be read there, and nobody can tell why.
    let kubeconfig = rights(&client, &namespace, &[]).await;
    let start = |watched: &str| {
        let flags = ["--watch-namespaces", watched];
        Operator::start(&kubeconfig, ("gw", &namespace), &flags).unwrap()
    };
    let operator = start(&format!("{namespace},{team}"));
    operator.ready().await.unwrap();
    let (_, said) = operator.page("/readyz").await.unwrap();
    assert!(said.contains(&format!("nothing may be read in {team}")), "{said}");
    let gateway = Gateway { client, namespace: namespace.clone(), operator, proxies };
    gateway.apply(&pool("p", "changed")).await;
    gateway.programmed("ProviderPool", "p", "True Programmed").await;
    assert_eq!(gateway.answers("r").await, ["changed".to_owned()].into());
    let left = published(&gateway).await;
    assert_eq!(left.len(), 4, "what is not known to be gone stands: {left:?}");
    // It is watched no longer.
    let Gateway { client, namespace: own, operator, proxies } = gateway;
    operator.stop().await.unwrap();
    let operator = start(&namespace);
    operator.ready().await.unwrap();
    let gateway = Gateway { client, namespace: own, operator, proxies };
    for _ in 0..1_500 {
        if published(&gateway).await.len() == 2 {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("{:?}", published(&gateway).await);
}

#[tokio::test]
async fn the_gateways_namespace_deleted_under_everything_that_runs_goes_and_nothing_hangs() {
    let gateway = Gateway::start(2).await;
    let routes: String = (0..20).map(|number| route(&format!("t{number}"), "p")).collect();
    gateway.apply(&(pool("p", "ours") + &routes)).await;
    gateway.programmed("LLMRoute", "t19", "True Programmed").await;
    answered(&gateway, "ours").await;
    delete(&gateway.client, &gateway.namespace).await;
    assert!(
        objects(&gateway.client, &gateway.namespace, "LLMRoute")
            .list(&Default::default())
            .await
            .unwrap()
            .items
            .is_empty()
    );
    // Nobody has ended what ran in it: it answers, and ends when it is told to.
    assert_eq!(gateway.operator.page("/healthz").await.unwrap().0, 200);
    for proxy in &gateway.proxies {
        assert_eq!(proxy.page("/healthz").unwrap().0, 200);
    }
    answered(&gateway, "").await;
    // There is no configuration any longer, which is nobody's mistake of a model's name; unless the routes went first, and the operator has
    // withdrawn them one by one: then there is one without any.
    let body = r#"{"model":"t0","messages":[{"role":"user","content":"?"}]}"#;
    let ask = async || gateway.proxies[0].client().post("/v1/chat/completions", &[], body).await.unwrap();
    let is_told = |refused: &Answer| {
        [(503, "true"), (404, "false")].contains(&(refused.status, refused.header("x-should-retry")))
    };
    let mut refused = ask().await;
    // What is published goes one by one.
    for _ in 0..1_500 {
        if is_told(&refused) {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
        refused = ask().await;
    }
    assert!(is_told(&refused), "{} {}", refused.status, refused.text());
    let Gateway { operator, proxies, .. } = gateway;
    assert!(operator.stop().await.unwrap().success());
    for mut proxy in proxies {
        proxy.terminate().unwrap();
        assert!(proxy.ended().await.unwrap().success());
    }
}
