//! Whose turn it is, by counts of calls served: half for who wants half, whatever the other one sends, and a turn for those of low
//! priority within their ageing time. At one proxy and over several.

use std::cell::Cell;
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use sluicegate_tests::client::Client;
use sluicegate_tests::proxy::Proxy;
use sluicegate_tests::redis_cluster::RedisCluster;
use sluicegate_tests::upstream::{Act, Upstream, answer};

/// The time that a provider takes for a call.
const WORK: Duration = Duration::from_millis(25);
const PLACES: u64 = 8;
const AGEING: Duration = Duration::from_secs(2);

fn provider() -> Upstream {
    let body = r#"{"id":"c","object":"chat.completion","created":1,"model":"m","choices":[{"index":0,"message":{"role":"assistant","content":"fine"},"finish_reason":"stop"}],"usage":{"prompt_tokens":3,"completion_tokens":2,"total_tokens":5}}"#;
    Upstream::always(vec![Act::Wait(WORK), answer(200, &[("content-type", "application/json")], body.as_bytes())])
        .unwrap()
}

fn key(name: &str) -> String {
    format!("key-of-{name}-that-nobody-can-guess")
}

/// Proxies with two consumers of these priorities, over a route whose provider works on eight calls at once.
fn proxies(count: usize, cluster: &RedisCluster, upstream: &Upstream, priorities: (i32, i32)) -> Vec<Proxy> {
    let consumer = |name: &str, priority: i32| {
        format!(
            "---\napiVersion: v1\nkind: Secret\nmetadata: {{name: {name}}}\nstringData: {{api-key: {}}}\n---\n\
             apiVersion: sluicegate.dev/v1alpha1\nkind: LLMConsumer\nmetadata: {{name: {name}}}\nspec:\n  \
             priority: {priority}\n  keys: [{{name: k, secretRef: {{name: {name}}}}}]\n",
            key(name)
        )
    };
    let text = format!(
        "apiVersion: sluicegate.dev/v1alpha1\nkind: ProviderPool\nmetadata: {{name: p}}\nspec:\n  providers:\n  \
         - {{name: one, type: OpenAICompatible, url: \"http://{}\", headers: {{pass: [x-lane]}}}}\n---\n\
         apiVersion: sluicegate.dev/v1alpha1\nkind: LLMRoute\nmetadata: {{name: r}}\nspec:\n  \
         limits: {{concurrency: {{max: {PLACES}, queue: {{timeout: 60s, ageing: {}s}}}}}}\n  \
         rules:\n  - {{name: all, targets: [{{poolRef: {{name: p}}}}]}}\n{}{}",
        upstream.address,
        AGEING.as_secs(),
        consumer("many", priorities.0),
        consumer("few", priorities.1)
    );
    let urls = cluster.urls().join(",");
    (0..count).map(|_| Proxy::start(&[("all.yaml", &text)], &["--workers", "1", "--redis", &urls]).unwrap()).collect()
}

async fn ask(client: &Client, name: &str) {
    let body = r#"{"model":"m","messages":[{"role":"user","content":"?"}]}"#;
    let headers = [("x-api-key", &*key(name)), ("x-lane", name)];
    let answer = client.post("/v1/chat/completions", &headers, body).await.unwrap();
    assert_eq!(answer.status, 200, "{}", answer.text());
}

/// So many callers of a consumer ask each proxy again and again, until it is over.
async fn callers(clients: &[Client], name: &str, each: usize, is_over: &Cell<bool>) {
    let all = clients.iter().flat_map(|client| (0..each).map(move |_| client)).map(|client| async move {
        while !is_over.get() {
            ask(client, name).await;
        }
    });
    join_all(all).await;
}

/// The calls of both that the provider had in the meantime.
fn served(upstream: &Upstream, between: (Instant, Instant)) -> (usize, usize) {
    let within: Vec<String> = upstream
        .received()
        .iter()
        .filter(|call| (between.0..between.1).contains(&call.at))
        .map(|call| call.header("x-lane").to_owned())
        .collect();
    let of = |name: &str| within.iter().filter(|lane| *lane == name).count();
    (of("many"), of("few"))
}

async fn half_is_for_who_wants_half(count: usize) {
    let (cluster, upstream) = (RedisCluster::start().unwrap(), provider());
    let all = proxies(count, &cluster, &upstream, (0, 0));
    let clients: Vec<Client> = all.iter().map(Proxy::client).collect();
    let is_over = Cell::new(false);
    // The one has ten times as many callers as there are places, the other one as many as there are.
    let (many, few) = (10 * 8 / count, 8 / count);
    let watch = async {
        tokio::time::sleep(Duration::from_secs(1)).await;
        let from = Instant::now();
        tokio::time::sleep(Duration::from_secs(3)).await;
        is_over.set(true);
        (from, Instant::now())
    };
    let (between, (), ()) =
        tokio::join!(watch, callers(&clients, "many", many, &is_over), callers(&clients, "few", few, &is_over));
    let (of_many, of_few) = served(&upstream, between);
    println!("{count} proxies: {of_many} of who floods, {of_few} of the other");
    assert!(of_few > 50, "{of_many} and {of_few}: too little to judge by");
    assert!(of_few * 100 >= (of_many + of_few) * 45, "{of_many} and {of_few}");
}

#[tokio::test]
async fn who_wants_half_has_half_whatever_the_other_one_sends() {
    half_is_for_who_wants_half(1).await;
}

#[tokio::test]
async fn who_wants_half_has_half_over_four_proxies() {
    half_is_for_who_wants_half(4).await;
}

async fn low_priority_has_its_turn(count: usize) {
    let (cluster, upstream) = (RedisCluster::start().unwrap(), provider());
    let all = proxies(count, &cluster, &upstream, (100, -100));
    let clients: Vec<Client> = all.iter().map(Proxy::client).collect();
    let is_over = Cell::new(false);
    // So many calls are served in the ageing time if the provider takes no longer than it does; more before a low one's turn, and it came too late.
    let most = usize::try_from(AGEING.as_millis() / WORK.as_millis()).unwrap() * usize::try_from(PLACES).unwrap();
    let low = async {
        tokio::time::sleep(Duration::from_millis(500)).await;
        for client in clients.iter().cycle().take(3) {
            let from = Instant::now();
            ask(client, "few").await;
            let until = upstream.received().iter().rev().find(|call| call.header("x-lane") == "few").unwrap().at;
            let (before, _) = served(&upstream, (from, until));
            println!("{count} proxies: {before} calls of high priority before one of low, of {most} at most");
            assert!(before <= most, "{before} before it, of {most}");
        }
        is_over.set(true);
    };
    tokio::join!(low, callers(&clients, "many", 40 / count, &is_over));
}

#[tokio::test]
async fn low_priority_has_its_turn_within_its_ageing_time() {
    low_priority_has_its_turn(1).await;
}

#[tokio::test]
async fn low_priority_has_its_turn_over_four_proxies() {
    low_priority_has_its_turn(4).await;
}
