//! One cache for all proxies: what one has answered another gives again, and no trouble of Redis fails a call. And one count of
//! what limits let through, budgets have spent and providers work on at once; and one flight of identical calls.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a test says what it expects")]

mod budgets;
mod checks;
mod cost_limits;
mod files;
mod flights;
mod learning;
mod limit_queues;
mod limits;
mod provider_limits;
mod queues;
mod responses;

use std::collections::BTreeMap;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde_json::{Value, json};
use sluicegate_tests::binaries::binary;
use sluicegate_tests::listen::free_port;
use sluicegate_tests::process::Process;
use sluicegate_tests::redis_cluster::RedisCluster;
use tempfile::TempDir;

const OPENAI: &str = "/v1/chat/completions";
const ANTHROPIC: &str = "/v1/messages";

struct Proxy {
    _process: Process,
    _manifests: TempDir,
    listen: u16,
    admin: u16,
    client: Client<HttpConnector, Full<Bytes>>,
}

/// What a call was answered.
#[derive(Debug)]
struct Answer {
    status: StatusCode,
    cache: String,
    layer: Option<String>,
    body: Bytes,
}

impl Answer {
    fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    fn is_hit(&self) -> bool {
        self.cache == "hit"
    }
}

impl Proxy {
    /// Starts a proxy on this cluster, whose one route caches as `cache` says.
    async fn start(cluster: &RedisCluster, cache: &str) -> Self {
        Self::start_with(cluster, cache, &[]).await
    }

    /// The same, with further flags.
    async fn start_with(cluster: &RedisCluster, cache: &str, flags: &[&str]) -> Self {
        let manifests = TempDir::new().unwrap();
        let text = format!(
            "apiVersion: sluicegate.dev/v1alpha1\nkind: ProviderPool\nmetadata: {{name: pool}}\nspec:\n  providers:\n  \
             - {{name: one, type: Simulated}}\n---\napiVersion: sluicegate.dev/v1alpha1\nkind: LLMRoute\n\
             metadata: {{name: route}}\nspec:\n  cache: {cache}\n  rules:\n  - {{name: all, targets: [{{poolRef: {{name: pool}}}}]}}\n"
        );
        std::fs::write(manifests.path().join("all.yaml"), text).unwrap();
        let (listen, admin) = (free_port().unwrap(), free_port().unwrap());
        let mut command = Command::new(binary("sluicegate-proxy").unwrap());
        command.arg("--manifests").arg(manifests.path()).args(["--workers", "1", "--log", "warn"]).args(flags);
        command.args(["--listen", &format!("127.0.0.1:{listen}"), "--admin-listen", &format!("127.0.0.1:{admin}")]);
        command.args(["--redis", &cluster.urls().join(",")]).stdin(Stdio::null()).stdout(Stdio::null());
        let process = Process::start(&mut command).unwrap();
        let client = Client::builder(TokioExecutor::new()).build_http();
        let proxy = Self { _process: process, _manifests: manifests, listen, admin, client };
        for _ in 0..1000 {
            if proxy.admin("/readyz").await.is_some_and(|(status, _)| status == StatusCode::OK) {
                return proxy;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("the proxy is not ready");
    }

    async fn admin(&self, path: &str) -> Option<(StatusCode, String)> {
        let request = Request::get(format!("http://127.0.0.1:{}{path}", self.admin)).body(Full::default()).unwrap();
        let answer = self.client.request(request).await.ok()?;
        let status = answer.status();
        Some((status, String::from_utf8(answer.collect().await.ok()?.to_bytes().to_vec()).unwrap()))
    }

    /// The sum of a metric's series.
    async fn metric(&self, name: &str, label: &str) -> f64 {
        let (_, text) = self.admin("/metrics").await.unwrap();
        let lines = text.lines().filter(|line| line.starts_with(name) && line.contains(label));
        lines.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum()
    }

    async fn call(&self, path: &str, key: &str, body: &Value) -> Answer {
        self.call_with(path, &[("authorization", &format!("Bearer {key}"))], body).await
    }

    async fn call_with(&self, path: &str, headers: &[(&str, &str)], body: &Value) -> Answer {
        let request = Request::post(format!("http://127.0.0.1:{}{path}", self.listen));
        let request = headers.iter().fold(request, |request, (name, value)| request.header(*name, *value));
        let request = request.header("content-type", "application/json");
        let answer = self.client.request(request.body(Full::from(body.to_string())).unwrap()).await.unwrap();
        let header = |name: &str| answer.headers().get(name).map(|value| value.to_str().unwrap().to_owned());
        let (status, cache, layer) = (answer.status(), header("x-cache"), header("x-sluicegate-cache"));
        let body = answer.collect().await.unwrap().to_bytes();
        Answer { status, cache: cache.unwrap_or_default(), layer, body }
    }

    /// Calls until the answer comes from the cache: what another proxy keeps is there a moment later.
    async fn until_hit(&self, path: &str, key: &str, body: &Value) -> Answer {
        for _ in 0..500 {
            let answer = self.call(path, key, body).await;
            if answer.is_hit() {
                return answer;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        panic!("never a hit: {body}");
    }
}

fn question(text: &str) -> Value {
    json!({"model": "m", "max_tokens": 20, "messages": [{"role": "user", "content": text}]})
}

fn streamed(text: &str) -> Value {
    let mut body = question(text);
    body["stream"] = true.into();
    body
}

/// The text of an OpenAI stream.
fn text_of_stream(body: &[u8]) -> String {
    let text = std::str::from_utf8(body).unwrap();
    assert!(text.trim_end().ends_with("data: [DONE]"), "{text}");
    let chunks = text.lines().filter_map(|line| serde_json::from_str::<Value>(line.strip_prefix("data: ")?).ok());
    chunks.filter_map(|chunk| Some(chunk["choices"].get(0)?["delta"]["content"].as_str()?.to_owned())).collect()
}

fn text_of(body: &Value) -> String {
    body["choices"][0]["message"]["content"].as_str().unwrap().to_owned()
}

const REDIS_ONLY: &str = "{ttl: 10m, scope: Route, memory: {maxEntries: 0}, redis: {enabled: true}}";

fn run(test: impl Future<Output = ()>) {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap().block_on(test);
}

#[test]
fn what_one_proxy_answered_is_a_hit_at_another_whole_or_streamed() {
    run(async {
        let cluster = RedisCluster::start().unwrap();
        let cache = "{ttl: 10m, scope: Route, redis: {enabled: true}}";
        let (one, two) = (Proxy::start(&cluster, cache).await, Proxy::start(&cluster, cache).await);
        // Redis is connected in the background: the first answers may have been kept by their own proxy only.
        until_shared(&one, &two).await;

        let kept = cluster.keys().unwrap().len();
        let asked_whole = one.call(OPENAI, "k", &question("asked whole")).await;
        assert_eq!((asked_whole.status, asked_whole.cache.as_str()), (StatusCode::OK, "miss"));
        until_kept(&cluster, kept + 1).await;
        let as_stream = two.call(OPENAI, "k", &streamed("asked whole")).await;
        assert_eq!((as_stream.cache.as_str(), as_stream.layer.as_deref()), ("hit", Some("redis")));
        assert_eq!(text_of_stream(&as_stream.body), text_of(&asked_whole.json()));
        let there = two.call(OPENAI, "k", &question("asked whole")).await;
        assert_eq!((there.cache.as_str(), there.layer.as_deref()), ("hit", Some("memory")), "copied at the first hit");
        assert_eq!(there.body, asked_whole.body, "byte for byte");

        let asked_streamed = two.call(OPENAI, "k", &streamed("asked streamed")).await;
        assert_eq!((asked_streamed.status, asked_streamed.cache.as_str()), (StatusCode::OK, "miss"));
        until_kept(&cluster, kept + 2).await;
        let there = one.call(OPENAI, "k", &question("asked streamed")).await;
        assert!(there.is_hit());
        assert_eq!(text_of(&there.json()), text_of_stream(&asked_streamed.body));
        assert!(there.json()["usage"]["completion_tokens"].as_u64().unwrap() > 0, "{:?}", there.json());

        let claude = one.call(ANTHROPIC, "k", &question("asked whole")).await;
        assert_eq!((claude.status, claude.cache.as_str()), (StatusCode::OK, "miss"), "another dialect, another answer");
        until_kept(&cluster, kept + 3).await;
        let there = two.call(ANTHROPIC, "k", &streamed("asked whole")).await;
        assert!(there.is_hit());
        let stream = String::from_utf8(there.body.to_vec()).unwrap();
        assert!(stream.contains("event: message_start") && stream.contains("event: message_stop"), "{stream}");
        let key = cluster.keys().unwrap().pop().unwrap();
        let node = cluster.master_of(&key).unwrap();
        let left = cluster.nodes()[node].ask::<i64>(&["PTTL", &key]).unwrap();
        assert!(left > 0 && left <= 600_000, "{left}");
    });
}

async fn until_shared(one: &Proxy, two: &Proxy) {
    for n in 0..100 {
        let body = question(&format!("warm {n}"));
        one.call(OPENAI, "k", &body).await;
        tokio::time::sleep(Duration::from_millis(50)).await;
        if two.call(OPENAI, "k", &body).await.is_hit() {
            return;
        }
    }
    panic!("the proxies share nothing");
}

/// Waits until Redis holds so many answers: they are written behind the caller's back.
async fn until_kept(cluster: &RedisCluster, count: usize) {
    for _ in 0..500 {
        if cluster.keys().unwrap().len() >= count {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("{count} answers are not in Redis: {:?}", cluster.keys());
}

#[test]
fn callers_share_only_what_the_route_says() {
    run(async {
        let cluster = RedisCluster::start().unwrap();
        let cache = "{ttl: 10m, redis: {enabled: true}}";
        let (one, two) = (Proxy::start(&cluster, cache).await, Proxy::start(&cluster, cache).await);
        until_shared(&one, &two).await;
        let kept = cluster.keys().unwrap().len();
        one.call(OPENAI, "alice", &question("mine")).await;
        until_kept(&cluster, kept + 1).await;
        let hers = two.call(OPENAI, "alice", &question("mine")).await;
        assert_eq!(hers.layer.as_deref(), Some("redis"));
        for proxy in [&one, &two] {
            let his = proxy.call(OPENAI, &format!("bob-{}", proxy.listen), &question("mine")).await;
            assert_eq!(his.cache, "miss");
        }
        assert!(two.call(OPENAI, "alice", &question("mine")).await.is_hit());
    });
}

#[test]
fn an_answer_ends_with_its_lifetime_on_every_proxy() {
    run(async {
        let cluster = RedisCluster::start().unwrap();
        let cache = "{ttl: 2s, scope: Route, redis: {enabled: true}}";
        let (one, two) = (Proxy::start(&cluster, cache).await, Proxy::start(&cluster, cache).await);
        until_shared(&one, &two).await;
        let body = question("short-lived");
        let first = one.call(OPENAI, "k", &body).await.body;
        for proxy in [&one, &two] {
            let mut last = proxy.call(OPENAI, "k", &body).await;
            for _ in 0..1000 {
                if !last.is_hit() {
                    break;
                }
                assert_eq!(last.status, StatusCode::OK);
                tokio::time::sleep(Duration::from_millis(20)).await;
                last = proxy.call(OPENAI, "k", &body).await;
            }
            assert_eq!(last.cache, "miss", "it never ended");
        }
        assert!(!first.is_empty());
        for _ in 0..1000 {
            if cluster.keys().unwrap().is_empty() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        panic!("Redis keeps what has ended: {:?}", cluster.keys());
    });
}

/// Distinct questions that have all been kept, found again by another proxy.
async fn filled(one: &Proxy, two: &Proxy, count: usize) -> Vec<Value> {
    until_shared(one, two).await;
    let questions: Vec<Value> = (0..count).map(|n| question(&format!("question {n}"))).collect();
    for question in &questions {
        assert_eq!(one.call(OPENAI, "k", question).await.status, StatusCode::OK);
    }
    for question in &questions {
        two.until_hit(OPENAI, "k", question).await;
    }
    questions
}

/// Asks everything everywhere, so many times; how many answers came from the cache. Every call must succeed.
async fn ask_all(proxies: &[&Proxy], questions: &[Value], rounds: usize) -> BTreeMap<String, usize> {
    let mut seen = BTreeMap::new();
    for round in 0..rounds {
        for question in questions {
            for proxy in proxies {
                let answer = proxy.call(OPENAI, "k", question).await;
                assert_eq!(answer.status, StatusCode::OK, "round {round}: {answer:?}");
                *seen.entry(answer.cache).or_default() += 1;
            }
        }
    }
    seen
}

#[test]
fn a_killed_master_fails_no_call_and_its_replica_takes_over() {
    run(async {
        let mut cluster = RedisCluster::start().unwrap();
        let (one, two) = (Proxy::start(&cluster, REDIS_ONLY).await, Proxy::start(&cluster, REDIS_ONLY).await);
        let questions = filled(&one, &two, 30).await;
        let key = cluster.keys().unwrap().pop().unwrap();
        let dead = cluster.master_of(&key).unwrap();
        cluster.node(dead).unwrap().kill().unwrap();
        ask_all(&[&one, &two], &questions, 3).await;
        cluster.wait_until_whole().unwrap();
        // What was lost is asked again and kept again; then everything comes from Redis.
        for question in &questions {
            one.until_hit(OPENAI, "k", question).await;
            two.until_hit(OPENAI, "k", question).await;
        }
        let seen = ask_all(&[&one, &two], &questions, 1).await;
        assert_eq!(seen, BTreeMap::from([("hit".to_owned(), 60)]));
    });
}

#[test]
fn a_frozen_master_costs_a_few_waits_and_fails_no_call() {
    run(async {
        let mut cluster = RedisCluster::start().unwrap();
        let proxy = Proxy::start(&cluster, REDIS_ONLY).await;
        let questions = filled(&proxy, &proxy, 60).await;
        let before = proxy.metric("sluicegate_cache_errors_total", "redis").await;
        let frozen = cluster.master_of(&cluster.keys().unwrap().pop().unwrap()).unwrap();
        cluster.node(frozen).unwrap().freeze().unwrap();
        let calls = 60.0 * 5.0;
        ask_all(&[&proxy], &questions, 5).await;
        // A call that waited is an error counted; a third of all would have, without a breaker.
        let waited = proxy.metric("sluicegate_cache_errors_total", "redis").await - before;
        assert!((1.0..=calls / 10.0).contains(&waited), "{waited} of {calls} calls waited");
        cluster.node(frozen).unwrap().thaw().unwrap();
        cluster.wait_until_whole().unwrap();
        for question in &questions {
            proxy.until_hit(OPENAI, "k", question).await;
        }
    });
}

#[test]
fn with_all_of_redis_gone_calls_go_on() {
    run(async {
        let mut cluster = RedisCluster::start().unwrap();
        let cache = "{ttl: 10m, scope: Route, redis: {enabled: true}}";
        let (one, two) = (Proxy::start(&cluster, cache).await, Proxy::start(&cluster, REDIS_ONLY).await);
        for node in 0..cluster.nodes().len() {
            cluster.node(node).unwrap().kill().unwrap();
        }
        let questions: Vec<Value> = (0..30).map(|n| question(&format!("question {n}"))).collect();
        let seen = ask_all(&[&two], &questions, 3).await;
        assert_eq!(seen, BTreeMap::from([("miss".to_owned(), 90)]));
        let seen = ask_all(&[&one], &questions, 3).await;
        assert!(seen["hit"] >= 30, "memory serves on: {seen:?}");
        // A proxy that starts without its Redis serves as well.
        let three = Proxy::start(&cluster, cache).await;
        ask_all(&[&three], &questions, 1).await;
    });
}

/// Asks everything again and again until told to stop; how many answers there were, and how many of them from Redis. Every
/// call must succeed.
async fn under_load(proxy: &Proxy, questions: &[Value], stop: &AtomicBool) -> (usize, usize) {
    let (mut calls, mut hits) = (0, 0);
    while !stop.load(Ordering::Relaxed) {
        for question in questions {
            let answer = proxy.call(OPENAI, "k", question).await;
            assert_eq!(answer.status, StatusCode::OK, "{answer:?}");
            calls += 1;
            hits += usize::from(answer.is_hit());
        }
    }
    (calls, hits)
}

#[test]
fn slots_that_move_under_load_fail_no_call_and_hits_go_on() {
    run(async {
        let cluster = RedisCluster::start().unwrap();
        let proxy = Proxy::start(&cluster, REDIS_ONLY).await;
        let questions = filled(&proxy, &proxy, 20).await;
        let stop = AtomicBool::new(false);
        let moving = async {
            for key in cluster.keys().unwrap().into_iter().take(6) {
                let from = cluster.master_of(&key).unwrap();
                let to = cluster.masters().unwrap().into_iter().find(|node| *node != from).unwrap();
                move_slot(&cluster, &key, (from, to), async || {
                    // On its way: every answer is still found, wherever its key is by now.
                    for question in &questions {
                        proxy.until_hit(OPENAI, "k", question).await;
                    }
                })
                .await;
                assert_eq!(cluster.master_of(&key).unwrap(), to);
                for question in &questions {
                    proxy.until_hit(OPENAI, "k", question).await;
                }
            }
            stop.store(true, Ordering::Relaxed);
        };
        let ((), (calls, hits)) = tokio::join!(moving, under_load(&proxy, &questions, &stop));
        assert!(calls > 0 && hits > 0, "{hits} hits of {calls} calls");
    });
}

/// Moves the slot of a key from one master to another, as an operator's tool does, and pauses half way: the key is moved,
/// and the slot is not yet.
async fn move_slot(cluster: &RedisCluster, key: &str, (from, to): (usize, usize), half_way: impl AsyncFn()) {
    let nodes = cluster.nodes();
    let slot = nodes[from].ask::<u64>(&["CLUSTER", "KEYSLOT", key]).unwrap().to_string();
    let id = |node: usize| nodes[node].ask::<String>(&["CLUSTER", "MYID"]).unwrap();
    let (source, target) = (id(from), id(to));
    let done = |node: usize, words: &[&str]| nodes[node].ask::<String>(words).unwrap();
    done(to, &["CLUSTER", "SETSLOT", &slot, "IMPORTING", &source]);
    done(from, &["CLUSTER", "SETSLOT", &slot, "MIGRATING", &target]);
    half_way().await;
    let port = nodes[to].port().to_string();
    done(from, &["MIGRATE", "127.0.0.1", &port, "", "0", "5000", "REPLACE", "KEYS", key]);
    half_way().await;
    for node in [to, from] {
        done(node, &["CLUSTER", "SETSLOT", &slot, "NODE", &target]);
    }
}

#[test]
fn one_callers_freshness_evicts_nobodys_answer_in_redis() {
    run(async {
        let cluster = RedisCluster::start().unwrap();
        let proxy = Proxy::start(&cluster, REDIS_ONLY).await;
        let questions = filled(&proxy, &proxy, 1).await;
        let kept = cluster.keys().unwrap();
        let fresh = proxy.call_with(OPENAI, &[("cache-control", "max-age=0")], &questions[0]).await;
        assert_eq!((fresh.status, fresh.cache.as_str()), (StatusCode::OK, "miss"));
        assert_eq!(cluster.keys().unwrap(), kept);
        assert!(proxy.call(OPENAI, "k", &questions[0]).await.is_hit());
    });
}
