//! The chart's own Redis Cluster, for trying out: proxies share what they were answered through it, and it is whole again
//! after a loss.

use serde_json::json;
use sluicegate_tests::client::{Answer, Client};
use sluicegate_tests::kube::image::Image;
use sluicegate_tests::kube::node::Forward;

use crate::gateway::{Gateway, NAME};

/// What the chart's own values call the image of its nodes; here it has what is installed on this machine.
const IMAGE: &str = "docker.io/library/redis:7.2";
/// What the chart's scripts for nodes use.
const PROGRAMS: [&str; 6] = ["redis-server", "redis-cli", "sh", "getent", "grep", "sleep"];
const SET: &str = "proxy.replicas=2,redis.cluster.enabled=true";

const RESOURCES: &str = "
apiVersion: sluicegate.dev/v1alpha1
kind: ProviderPool
metadata: {name: models}
spec: {providers: [{name: one, type: Simulated}]}
---
apiVersion: sluicegate.dev/v1alpha1
kind: LLMRoute
metadata: {name: shared}
spec:
  cache: {ttl: 1h}
  rules: [{name: all, matches: [{model: {exact: shared}}], targets: [{poolRef: {name: models}}]}]
";

async fn ask(way: &Forward, question: &str, stream: bool) -> Answer {
    let messages = json!([{"role": "user", "content": question}]);
    let body = json!({"model": "shared", "stream": stream, "messages": messages}).to_string();
    let headers = [("authorization", "Bearer one-caller")];
    Client::new(way.address).post("/v1/chat/completions", &headers, body).await.unwrap()
}

/// One proxy is asked something new until the other one has the answer: for a while after a loss it may be lost, too.
async fn shared(gateway: &Gateway, [one, other]: [&Forward; 2], topic: &str) {
    let mut last = None;
    for number in 0..300 {
        let question = format!("{topic}, for the time {number}?");
        let first = ask(one, &question, false).await;
        assert!(first.is_good() && first.header("x-cache") == "miss", "{first:?}");
        // Nobody waits for an answer to be kept.
        for _ in 0..20 {
            let again = ask(other, &question, false).await;
            assert!(again.is_good(), "{again:?}");
            if again.header("x-sluicegate-cache") == "redis" {
                assert_eq!(again.json(), first.json());
                let streamed = ask(other, &question, true).await;
                assert!(
                    streamed.header("x-cache") == "hit" && streamed.text().ends_with("data: [DONE]\n\n"),
                    "{streamed:?}"
                );
                return;
            }
            let kept_here = again.header("x-cache") == "hit";
            last = Some(again);
            // It kept an answer of its own and will not look elsewhere again.
            if kept_here {
                break;
            }
        }
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
    panic!("{topic}: nothing is shared, {last:?}\n{}", gateway.state());
}

/// What a node says, or why it says nothing.
fn redis(gateway: &Gateway, node: usize, words: &[&str]) -> String {
    let pod = format!("{NAME}-redis-{node}");
    gateway.try_kubectl(&[&["exec", "-n", NAME, &pod, "--", "redis-cli"], words].concat()).1
}

/// Waits until all six nodes know each other and every slot has a master with a replica.
fn whole(gateway: &Gateway) {
    gateway.until("a whole Redis Cluster", |gateway| {
        let knows = |node: usize| {
            let said = redis(gateway, node, &["cluster", "info"]);
            ["cluster_state:ok", "cluster_slots_ok:16384", "cluster_known_nodes:6"]
                .iter()
                .all(|part| said.contains(part))
        };
        let nodes = redis(gateway, 0, &["cluster", "nodes"]);
        let replicas = nodes.lines().filter(|line| line.contains("slave") && line.ends_with("connected")).count();
        (replicas == 3 && !nodes.contains("fail") && (0..6).all(knows)).then_some(())
    });
}

/// Whether a node is gone, as this one sees it, and its slots are another's.
fn taken_over(gateway: &Gateway, witness: usize) -> bool {
    let says = |words: &[&str], part: &str| redis(gateway, witness, words).contains(part);
    says(&["cluster", "nodes"], "fail") && says(&["cluster", "info"], "cluster_slots_ok:16384")
}

#[tokio::test]
async fn proxies_share_answers_through_the_charts_redis_and_its_loss_fails_no_call() {
    let Some(gateway) = Gateway::bare().await else { return };
    gateway.node.load(&Image::of_installed(IMAGE, &PROGRAMS).unwrap()).unwrap();
    gateway.upgrade(4, SET);
    whole(&gateway);
    gateway.apply("shared", RESOURCES);
    gateway.programmed("shared");
    let ways: Vec<Forward> = gateway.ready().iter().map(|pod| gateway.pod(pod, 8080)).collect();
    let [one, other] = &ways[..] else { panic!("two proxies") };
    shared(&gateway, [one, other], "From here to there").await;
    shared(&gateway, [other, one], "And back").await;

    // A master is gone with all it held: its replica takes over.
    let is_master = |node: &usize| redis(&gateway, *node, &["role"]).starts_with("master");
    let master = (0..6).find(is_master).unwrap();
    let pod = format!("pod/{NAME}-redis-{master}");
    let before = gateway.kubectl(&["get", "-n", NAME, &pod, "-o", "jsonpath={.metadata.uid}"]);
    gateway.kubectl(&["delete", "-n", NAME, &pod, "--grace-period=0", "--force"]);
    let witness = (master + 1) % 6;
    let mut calls = 0;
    while !taken_over(&gateway, witness) {
        for way in ways.iter().cycle().take(20) {
            let answer = ask(way, &format!("While it is away, {calls}?"), calls % 4 < 2).await;
            assert!(answer.is_good(), "{answer:?}");
            calls += 1;
        }
        assert!(calls < 10_000, "no replica takes over: {}", redis(&gateway, witness, &["cluster", "nodes"]));
    }
    println!("{calls} calls while a master was away");
    shared(&gateway, [one, other], "With one node less").await;

    // Its next life is empty, and the next upgrade brings it in again.
    gateway.until("its next life", |gateway| {
        let (there, life) = gateway.try_kubectl(&["get", "-n", NAME, &pod, "-o", "jsonpath={.metadata.uid}"]);
        (there && life != before && redis(gateway, master, &["ping"]).contains("PONG")).then_some(())
    });
    gateway.upgrade(4, SET);
    whole(&gateway);
    shared(&gateway, [one, other], "Whole again").await;
    gateway.forget(&["shared"]);
}
