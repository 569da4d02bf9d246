//! Proxies of one gateway share what they were answered, through a Redis Cluster.

use std::time::Duration;

use serde_json::json;
use sluicegate_tests::client::Answer;
use sluicegate_tests::kube::{ControlPlane, manifests};
use sluicegate_tests::operator::Operator;
use sluicegate_tests::proxy::Proxy;
use sluicegate_tests::redis_cluster::RedisCluster;

const RESOURCES: &str = "
apiVersion: sluicegate.dev/v1alpha1
kind: ProviderPool
metadata: {name: models}
spec: {providers: [{name: one, type: Simulated}]}
---
apiVersion: sluicegate.dev/v1alpha1
kind: LLMRoute
metadata: {name: kept}
spec:
  cache: {ttl: 1h}
  rules: [{name: all, targets: [{poolRef: {name: models}}]}]
";

async fn ask(proxy: &Proxy, question: &str, stream: bool) -> Answer {
    let messages = json!([{"role": "user", "content": question}]);
    let body = json!({"model": "demo", "stream": stream, "messages": messages}).to_string();
    let headers = [("authorization", "Bearer one-caller")];
    proxy.client().post("/v1/chat/completions", &headers, body).await.unwrap()
}

/// Asks until there is a good answer that was kept, or was not.
async fn until(proxy: &Proxy, question: &str, stream: bool, cache: &str) -> Answer {
    let mut last = None;
    for _ in 0..1_000 {
        let answer = ask(proxy, question, stream).await;
        if answer.is_good() && answer.header("x-cache") == cache {
            return answer;
        }
        last = Some(answer);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("never a {cache}: {last:?}\n{}", proxy.log().join("\n"));
}

/// A question that one proxy had answered and another one knew the answer to, and both answers.
async fn asked_of_both(one: &Proxy, other: &Proxy) -> (String, Answer, Answer) {
    for number in 0..200 {
        let question = format!("Who are you, for the {number}th time?");
        let first = until(one, &question, false, "miss").await;
        tokio::time::sleep(Duration::from_millis(50)).await;
        let again = ask(other, &question, false).await;
        if again.is_good() && again.header("x-cache") == "hit" {
            return (question, first, again);
        }
    }
    panic!("never a hit\n{}", other.log().join("\n"));
}

#[tokio::test]
async fn an_answer_cached_by_one_proxy_is_a_hit_on_another() {
    let plane = ControlPlane::shared().unwrap();
    let client = plane.client().await.unwrap();
    manifests::install_crds(&client).await.unwrap();
    let namespace = manifests::namespace(&client, "shared-answers", &[]).await.unwrap();
    let gateway = ("gw", namespace.as_str());
    let operator = Operator::start(plane.kubeconfig(), gateway, &["--watch-namespaces", &namespace]).unwrap();
    operator.ready().await.unwrap();
    let mut redis = RedisCluster::start().unwrap();
    let nodes = redis.urls().join(",");
    let flags = ["--workers", "1", "--redis", &nodes];
    let [one, other] = [0, 1].map(|_| Proxy::in_cluster(plane.kubeconfig(), gateway, &flags).unwrap());
    manifests::apply(&client, &namespace, RESOURCES).await.unwrap();

    // Whole here, streamed there, and the other way round. The first call of all is repeated until the route has come, and
    // the first question of all until both proxies have found their Redis.
    let (question, first, again) = asked_of_both(&one, &other).await;
    assert_eq!(again.json(), first.json());
    assert_eq!(again.header("x-sluicegate-cache"), "redis", "{again:?}");
    let streamed = until(&other, &question, true, "hit").await;
    assert!(streamed.text().ends_with("data: [DONE]\n\n"), "{streamed:?}");
    until(&other, "And who am I?", true, "miss").await;
    assert_eq!(until(&one, "And who am I?", false, "hit").await.status, 200);

    // A master dies, another stands still: what is kept there may be lost, no call is.
    let masters = redis.masters().unwrap();
    redis.node(masters[0]).unwrap().kill().unwrap();
    redis.node(masters[1]).unwrap().freeze().unwrap();
    for number in 0..60 {
        for proxy in [&one, &other] {
            let answer = ask(proxy, &format!("Number {number}?"), number % 2 == 0).await;
            assert!(answer.is_good(), "{answer:?}");
        }
    }
    redis.node(masters[1]).unwrap().thaw().unwrap();
    redis.wait_until_whole().unwrap();
    until(&one, "Are you well again?", false, "miss").await;
    until(&other, "Are you well again?", false, "hit").await;
    operator.stop().await.unwrap();
}
