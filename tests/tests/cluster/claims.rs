//! Who gets the calls where several routes would take them, and whether each is told: a route that can serve nothing is not
//! `Programmed`, the loser of two equal conditions hears who won, and a platform keeps models for namespaces.

use std::time::Duration;

use kube::api::DynamicObject;
use sluicegate_tests::kube::{ControlPlane, manifests};
use sluicegate_tests::operator::Operator;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::gateway::{Gateway, current, objects, pool, rights, route};

/// Waits until a condition reads `STATUS REASON`, and gives its message.
async fn condition(gateway: &Gateway, name: &str, kind: &str, wanted: &str) -> String {
    let mut last = DynamicObject::new("none", &kube::core::ApiResource::erase::<k8s_openapi::api::core::v1::Pod>(&()));
    for _ in 0..1_500 {
        last = gateway.get("LLMRoute", name).await;
        if let Some(found) = current(&last, kind) {
            let text = |key: &str| found[key].as_str().unwrap_or_default().to_owned();
            if format!("{} {}", text("status"), text("reason")) == wanted {
                return text("message");
            }
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("{name}: no {kind} {wanted}: {:#}\n{}", last.data["status"], gateway.operator.log().join("\n"));
}

#[tokio::test]
async fn a_route_no_rule_of_which_can_serve_is_not_programmed() {
    let gateway = Gateway::start(1).await;
    gateway.apply(&route("r", "missing")).await;
    let (message, proxies) = gateway.programmed("LLMRoute", "r", "False NotServed").await;
    assert!(message.contains("none of the pools that its rules name can serve") && proxies == "1/1", "{message}");
    gateway.apply(&pool("missing", "one")).await;
    gateway.programmed("LLMRoute", "r", "True Programmed").await;
    objects(&gateway.client, &gateway.namespace, "ProviderPool").delete("missing", &Default::default()).await.unwrap();
    gateway.programmed("LLMRoute", "r", "False NotServed").await;
}

#[tokio::test]
async fn the_loser_of_two_equal_conditions_is_told_who_won_and_follows_when_that_goes() {
    let gateway = Gateway::start(1).await;
    gateway.apply(&(pool("p", "one") + &pool("q", "two") + &route("a", "p"))).await;
    gateway.programmed("LLMRoute", "a", "True Programmed").await;
    gateway.apply(&route("b", "q").replace("exact: b", "exact: a")).await;
    let message = condition(&gateway, "b", "Accepted", "False Shadowed").await;
    assert!(message.contains(&format!("the route {}/a matches the same calls", gateway.namespace)), "{message}");
    condition(&gateway, "b", "ResolvedRefs", "True ResolvedRefs").await;
    gateway.programmed("LLMRoute", "b", "False NotServed").await;
    assert_eq!(gateway.answers("a").await, ["one".to_owned()].into());
    assert!(current(&gateway.get("LLMRoute", "a").await, "Accepted").is_some_and(|found| found["status"] == "True"));
    // It is published all the same: when the other goes there is no gap.
    objects(&gateway.client, &gateway.namespace, "LLMRoute").delete("a", &Default::default()).await.unwrap();
    gateway.programmed("LLMRoute", "b", "True Programmed").await;
    assert_eq!(gateway.answers("a").await, ["two".to_owned()].into());
    // A name that looks like a pattern is taken, and warned of.
    gateway.apply(&route("glob", "p").replace("exact: glob", "exact: 'gpt-*'")).await;
    let message = condition(&gateway, "glob", "Accepted", "True Accepted").await;
    assert!(message.contains("LooksLikePattern") && message.contains("write prefix: gpt-"), "{message}");
}

#[tokio::test]
async fn a_tenant_takes_no_model_that_the_platform_keeps() {
    let client = ControlPlane::shared().unwrap().client().await.unwrap();
    manifests::install_crds(&client).await.unwrap();
    let namespace = manifests::namespace(&client, "platform", &[]).await.unwrap();
    let team = manifests::namespace(&client, "team", &[]).await.unwrap();
    let kubeconfig = rights(&client, &namespace, &[&team]).await;
    let watched = format!("{namespace},{team}");
    let claims = format!(r#"[{{"models": ["gpt-*"], "namespaces": ["{namespace}"]}}]"#);
    let start = |claims: &str| {
        let flags = ["--watch-namespaces", &watched, "--model-claims", claims];
        Operator::start(&kubeconfig, ("gw", &namespace), &flags).unwrap()
    };
    let operator = start("[]");
    operator.ready().await.unwrap();
    let mut gateway = Gateway { client: client.clone(), namespace: namespace.clone(), operator, proxies: Vec::new() };
    gateway.add_proxy().await;
    let model = |route: String, from: &str, to: &str| route.replace(&format!("exact: {from}"), to);
    gateway.apply(&(pool("p", "platform") + &model(route("ours", "p"), "ours", "prefix: gpt-"))).await;
    gateway.programmed("LLMRoute", "ours", "True Programmed").await;
    let theirs = pool("t", "tenant") + &model(route("theirs", "t"), "theirs", "exact: gpt-5") + &route("llama", "t");
    manifests::apply(&client, &team, &theirs).await.unwrap();
    // What the platform does not keep is anybody's.
    let mut rounds = 0;
    while gateway.answers("gpt-5").await != ["tenant".to_owned()].into() {
        rounds += 1;
        assert!(rounds < 1_500, "{}", gateway.operator.log().join("\n"));
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    // Started anew it keeps them: the tenant's route is withdrawn, also where it served before.
    let Gateway { operator, proxies, .. } = gateway;
    operator.stop().await.unwrap();
    let operator = start(&claims);
    operator.ready().await.unwrap();
    let gateway = Gateway { client: client.clone(), namespace: team, operator, proxies };
    let message = condition(&gateway, "theirs", "Accepted", "False ModelNotAllowed").await;
    assert!(message.contains("may not claim the model \"gpt-5\""), "{message}");
    gateway.programmed("LLMRoute", "theirs", "False NotServed").await;
    let mut rounds = 0;
    while gateway.answers("gpt-5").await != ["platform".to_owned()].into() {
        rounds += 1;
        assert!(rounds < 1_500, "{}", gateway.operator.log().join("\n"));
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(gateway.answers("llama").await, ["tenant".to_owned()].into());
}

/// Any pod may open streams; the operator's is its own.
#[tokio::test]
async fn the_operators_place_at_a_proxy_is_nobody_elses() {
    let gateway = Gateway::start(1).await;
    gateway.apply(&(pool("p", "one") + &route("r", "p"))).await;
    gateway.programmed("LLMRoute", "r", "True Programmed").await;
    let mut taken = Vec::new();
    for _ in 0..40 {
        let mut socket = TcpStream::connect(gateway.proxies[0].admin).await.unwrap();
        socket.write_all(b"GET /rollout HTTP/1.1\r\nhost: a\r\n\r\n").await.unwrap();
        assert!(socket.read(&mut [0; 16]).await.unwrap() > 0);
        taken.push(socket);
    }
    // A new operator finds its place, with the word that the one before has published.
    let Gateway { client, namespace, operator, proxies } = gateway;
    operator.stop().await.unwrap();
    let operator = crate::gateway::operator(&client, &namespace, &[]).await;
    operator.ready().await.unwrap();
    let gateway = Gateway { client, namespace, operator, proxies };
    gateway.apply(&pool("p", "two")).await;
    gateway.message("ProviderPool", "p", "True Programmed", "1/1 ").await;
    let config = gateway.proxies[0].page("/config").unwrap().1;
    assert!(!config.contains("word") && config.contains("revision"), "{config}");
}
