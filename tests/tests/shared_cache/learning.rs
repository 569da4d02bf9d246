//! What one proxy learns of an endpoint all others know: a cooldown, an open circuit, a refused credential. Nothing that a caller
//! provokes spreads, nothing that anybody else writes into the log does harm, and without Redis each proxy learns by itself.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU16, AtomicU64, Ordering};
use std::time::Duration;

use sluicegate_tests::client::{Answer, post};
use sluicegate_tests::proxy::Proxy;
use sluicegate_tests::redis_cluster::RedisCluster;
use sluicegate_tests::upstream::{Act, Gate, Received, Upstream, answer};

const SAID: &str = r#"{"id":"c","object":"chat.completion","created":1,"model":"m","choices":[{"index":0,"message":{"role":"assistant","content":"hi"},"finish_reason":"stop"}],"usage":{"prompt_tokens":3,"completion_tokens":2,"total_tokens":5}}"#;
const NEWS: &str = "sluicegate_endpoint_news_total";

fn good() -> Vec<Act> {
    vec![answer(200, &[("content-type", "application/json")], SAID.as_bytes())]
}

fn bad(status: u16, headers: &[(&str, &str)]) -> Vec<Act> {
    let body = format!(r#"{{"error":{{"message":"no {status}","type":"x"}}}}"#);
    vec![answer(status, &[&[("content-type", "application/json")], headers].concat(), body.as_bytes())]
}

/// Proxies on one cluster, with one provider that a test is about and another one that answers what it does not.
struct House {
    cluster: RedisCluster,
    first: Upstream,
    other: Upstream,
    proxies: Vec<Proxy>,
    /// Further fields of the provider that a test is about.
    more: &'static str,
}

impl House {
    fn start(count: usize, first: impl Fn(&Received) -> Vec<Act> + Send + Sync + 'static) -> Self {
        Self::with("", count, first)
    }

    fn with(more: &'static str, count: usize, first: impl Fn(&Received) -> Vec<Act> + Send + Sync + 'static) -> Self {
        let cluster = RedisCluster::start().unwrap();
        let (first, other) = (Upstream::start(first).unwrap(), Upstream::always(good()).unwrap());
        let mut house = Self { cluster, first, other, proxies: Vec::new(), more };
        (0..count).for_each(|_| house.add());
        house
    }

    /// One more proxy.
    fn add(&mut self) {
        let text = self.text("planted-one");
        let urls = self.cluster.urls().join(",");
        let flags = ["--workers", "2", "--redis", &urls];
        self.proxies.push(Proxy::start(&[("all.yaml", &text)], &flags).unwrap());
    }

    /// The manifests, with this first key.
    fn text(&self, key: &str) -> String {
        // The last attempt is kept for another provider.
        let attempts = if self.more.is_empty() { 2 } else { 3 };
        format!(
            "apiVersion: v1\nkind: Secret\nmetadata: {{name: keys}}\nstringData: {{one: {key}, two: planted-two}}\n---\n\
             apiVersion: sluicegate.dev/v1alpha1\nkind: ProviderPool\nmetadata: {{name: p}}\nspec:\n  \
             retry: {{attempts: {attempts}, budgetPercent: 100}}\n  circuitBreaker: {{consecutiveFailures: 4, openFor: 300s}}\n  providers:\n  \
             - {{name: first, type: OpenAICompatible, url: \"http://{}\", {}}}\n  \
             - {{name: other, type: OpenAICompatible, url: \"http://{}\", priority: 1}}\n---\n\
             apiVersion: sluicegate.dev/v1alpha1\nkind: LLMRoute\nmetadata: {{name: r}}\nspec:\n  \
             rules:\n  - {{name: all, targets: [{{poolRef: {{name: p}}}}]}}\n",
            self.first.address, self.more, self.other.address
        )
    }

    async fn call(&self, proxy: usize) -> Answer {
        let body = r#"{"model":"m","messages":[{"role":"user","content":"Say it."}]}"#.to_owned();
        self.proxies[proxy].client().send(post("/v1/chat/completions", &[], body).unwrap()).await.unwrap()
    }

    async fn calls(&self, proxy: usize, count: usize) {
        for _ in 0..count {
            let answer = self.call(proxy).await;
            assert!(answer.is_good(), "{} {}", answer.status, answer.text());
        }
    }

    /// News of a proxy by what became of it.
    fn news(&self, proxy: usize, outcome: &str) -> u64 {
        let sum = self.proxies[proxy].metrics().unwrap().sum(NEWS, &[("outcome", outcome)]);
        format!("{sum:.0}").parse().unwrap()
    }

    fn told(&self) -> u64 {
        (0..self.proxies.len()).map(|proxy| self.news(proxy, "told")).sum()
    }

    /// Waits until these proxies have heard so much.
    async fn until_heard(&self, proxies: std::ops::Range<usize>, count: u64) {
        self.until(|house| proxies.clone().all(|proxy| house.news(proxy, "heard") >= count)).await;
    }

    async fn until(&self, holds: impl Fn(&Self) -> bool) {
        for _ in 0..1_000 {
            if holds(self) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        let of = |proxy| (self.news(proxy, "told"), self.news(proxy, "heard"), self.news(proxy, "untold"));
        panic!("not in time: {:?}", (0..self.proxies.len()).map(of).collect::<Vec<_>>());
    }

    fn log(&self) -> String {
        let keys = self.cluster.keys().unwrap();
        keys.into_iter().find(|key| key.ends_with(":learned")).unwrap()
    }

    fn ask<T: redis::FromRedisValue>(&self, words: &[&str]) -> T {
        let at = self.cluster.master_of(words[1]).unwrap();
        let cluster = &self.cluster;
        cluster.nodes()[at].ask(words).unwrap()
    }
}

#[tokio::test(flavor = "local")]
async fn one_proxy_is_limited_and_no_other_one_asks_not_even_one_that_starts_later() {
    let mut house = House::start(4, |_| bad(429, &[("retry-after", "3000")]));
    house.calls(0, 1).await;
    house.until_heard(1..4, 1).await;
    for proxy in 0..4 {
        house.calls(proxy, 20).await;
    }
    assert_eq!((house.first.calls(), house.other.calls()), (1, 81));
    house.add();
    house.until_heard(4..5, 1).await;
    house.calls(4, 20).await;
    assert_eq!(house.first.calls(), 1);
    // One cooldown is one message, whoever has heard of it, and names nobody.
    let log = house.log();
    assert_eq!((house.told(), house.ask::<u64>(&["XLEN", &log])), (1, 1));
    let text: Vec<u8> = house.ask::<Vec<(String, Vec<Vec<u8>>)>>(&["XRANGE", &log, "-", "+"])[0].1[1].clone();
    let text = String::from_utf8(text).unwrap();
    assert!(text.contains("\"cooldown\"") && !text.contains("first") && !text.contains("127.0.0.1"), "{text}");
    assert!((1..=7_200_000).contains(&house.ask::<i64>(&["PTTL", &log])));
}

#[tokio::test(flavor = "local")]
async fn an_open_circuit_is_known_to_all_unless_callers_may_have_opened_it() {
    let status = Arc::new(AtomicU16::new(500));
    let says = Arc::clone(&status);
    let house = House::start(3, move |_| bad(says.load(Ordering::Relaxed), &[]));
    // A body that breaks a server: the circuit of the proxy that saw it is open, and nobody else's business.
    house.calls(0, 8).await;
    assert_eq!(house.first.calls(), 4);
    for (code, calls) in [(400, 2), (403, 6), (401, 2)] {
        status.store(code, Ordering::Relaxed);
        for _ in 0..calls {
            house.call(1).await;
        }
    }
    house.calls(2, 1).await;
    assert_eq!((house.first.calls(), house.told()), (4 + 10 + 1, 0));
    status.store(503, Ordering::Relaxed);
    house.calls(1, 8).await;
    house.until_heard(2..3, 1).await;
    let asked = house.first.calls();
    house.calls(2, 20).await;
    assert_eq!((house.first.calls(), house.told()), (asked, 1));
    assert_eq!(asked, 4 + 10 + 1 + 4);
}

#[tokio::test(flavor = "local")]
async fn a_credential_that_is_refused_to_one_is_refused_to_all() {
    let house = House::start(3, |_| bad(401, &[]));
    house.calls(0, 5).await;
    house.until_heard(1..3, 1).await;
    house.calls(1, 10).await;
    house.calls(2, 10).await;
    assert_eq!((house.first.calls(), house.told()), (3, 1));
}

#[tokio::test(flavor = "local")]
async fn after_a_cooldown_one_call_goes_first_and_the_others_wait_for_its_word() {
    let (gate, open) = (Gate::default(), Arc::new(AtomicBool::new(false)));
    let (waits, is_open) = (gate.clone(), Arc::clone(&open));
    let house = House::start(1, move |received| match received.number {
        0 => bad(429, &[("retry-after-ms", "300")]),
        _ if is_open.load(Ordering::Relaxed) => good(),
        _ => [vec![Act::Until(waits.clone())], good()].concat(),
    });
    house.calls(0, 1).await;
    tokio::time::sleep(Duration::from_millis(400)).await;
    let probe = {
        let client = house.proxies[0].client();
        let body = r#"{"model":"m","messages":[{"role":"user","content":"Say it."}]}"#.to_owned();
        tokio::task::spawn_local(async move { client.send(post("/v1/chat/completions", &[], body)?).await })
    };
    house.until(|house| house.first.calls() == 2).await;
    house.calls(0, 5).await;
    assert_eq!((house.first.calls(), house.other.calls()), (2, 6));
    open.store(true, Ordering::Relaxed);
    gate.open();
    assert!(probe.await.unwrap().unwrap().is_good());
    house.calls(0, 10).await;
    assert_eq!(house.first.calls(), 12);
}

#[tokio::test(flavor = "local")]
async fn what_anybody_writes_into_the_log_is_ignored_and_the_log_is_bounded() {
    let pause = Arc::new(AtomicU64::new(300));
    let says = Arc::clone(&pause);
    let mut house = House::start(2, move |_| {
        let pause = says.load(Ordering::Relaxed).to_string();
        bad(429, &[("retry-after-ms", &*pause)])
    });
    house.calls(0, 1).await;
    house.until_heard(1..2, 1).await;
    let log = house.log();
    let (long, name) = ("x".repeat(100_000), "ab".repeat(16));
    let of =
        |name: &str| format!(r#"{{"v":1,"from":"x","news":[{{"endpoint":"{name}","subject":"cooldown","ms":9}}]}}"#);
    for text in ["", "{}", "[1]", &long, &of("zz"), &of(&name)] {
        house.ask::<String>(&["XADD", &log, "*", "m", text]);
    }
    for number in 0..600 {
        house.ask::<String>(&["XADD", &log, "*", "m", &number.to_string()]);
    }
    let unreadable = |house: &House, proxy: usize| {
        house.proxies[proxy].metrics().unwrap().sum("sluicegate_endpoint_news_unreadable_total", &[])
    };
    house.until(|house| (0..2).all(|proxy| unreadable(house, proxy) >= 604.0)).await;
    assert_eq!((house.news(0, "heard"), house.news(1, "heard")), (0, 1));
    pause.store(3_000_000, Ordering::Relaxed);
    house.calls(0, 1).await;
    house.until_heard(1..2, 2).await;
    assert_eq!((house.told(), house.first.calls(), house.ask::<u64>(&["XLEN", &log])), (2, 2, 512));
    house.calls(0, 5).await;
    house.calls(1, 5).await;
    assert_eq!(house.first.calls(), 2);
    // An entry of the end of time, behind which there is none, and a key that is no log: both are swept away.
    house.ask::<String>(&["XADD", &log, "18446744073709551615-18446744073709551615", "m", "x"]);
    house.until(|house| house.ask::<u64>(&["EXISTS", &log]) == 0).await;
    house.ask::<String>(&["SET", &log, "no log"]);
    house.add();
    house.calls(2, 1).await;
    house.until(|house| house.news(2, "untold") + house.news(2, "told") == 1).await;
    assert_eq!((house.news(2, "told"), house.first.calls()), (1, 3));
    assert_eq!(house.ask::<u64>(&["XLEN", &log]), 1);
}

#[tokio::test(flavor = "local")]
async fn without_redis_each_proxy_learns_by_itself_and_together_again_when_it_is_back() {
    let mut house = House::start(2, |_| bad(429, &[("retry-after", "2000")]));
    for node in 0..house.cluster.nodes().len() {
        house.cluster.node(node).unwrap().kill().unwrap();
    }
    house.calls(0, 10).await;
    house.calls(1, 10).await;
    assert_eq!((house.first.calls(), house.other.calls()), (2, 20));
    house.until(|house| house.news(0, "untold") == 1 && house.news(1, "untold") == 1).await;
    assert_eq!((house.told(), house.news(0, "heard")), (0, 0));
}

#[tokio::test(flavor = "local")]
async fn after_a_master_has_died_they_hear_of_one_another_again() {
    let mut house = House::start(3, |_| bad(429, &[("retry-after-ms", "300")]));
    house.calls(0, 1).await;
    house.until_heard(1..3, 1).await;
    let master = house.cluster.master_of(&house.log()).unwrap();
    house.cluster.node(master).unwrap().kill().unwrap();
    let told = house.told();
    for _ in 0..200 {
        house.calls(0, 1).await;
        if house.told() > told {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    house.until_heard(1..3, 2).await;
}

#[tokio::test(flavor = "local")]
async fn what_is_nearly_used_up_of_a_model_is_asked_last_by_all_and_only_of_that_model() {
    let house = House::start(3, |_| {
        let limits = [
            ("content-type", "application/json"),
            ("x-ratelimit-limit-requests", "1000"),
            ("x-ratelimit-remaining-requests", "3"),
            ("x-ratelimit-reset-requests", "50m0s"),
        ];
        vec![answer(200, &limits, SAID.as_bytes())]
    });
    house.calls(0, 1).await;
    house.until_heard(1..3, 1).await;
    for proxy in 0..3 {
        house.calls(proxy, 10).await;
    }
    assert_eq!((house.first.calls(), house.other.calls(), house.told()), (1, 30, 1));
    let body = r#"{"model":"n","messages":[{"role":"user","content":"Say it."}]}"#.to_owned();
    let client = house.proxies[1].client();
    assert!(client.send(post("/v1/chat/completions", &[], body).unwrap()).await.unwrap().is_good());
    assert_eq!(house.first.calls(), 2);
}

const TWO_KEYS: &str = "credentials: {keys: [{name: one, secretRef: {name: keys, key: one}}, {name: two, secretRef: {name: keys, key: two}}]}";

/// The calls with this key.
fn used(house: &House, key: &str) -> usize {
    let received = house.first.received();
    received.iter().filter(|received| received.header("authorization") == format!("Bearer planted-{key}")).count()
}

/// Calls a proxy until it has taken this key.
async fn until_used(house: &House, proxy: usize, key: &str) {
    for _ in 0..200 {
        if used(house, key) > 0 {
            return;
        }
        house.calls(proxy, 1).await;
    }
    panic!("the key {key} is not taken");
}

#[tokio::test(flavor = "local")]
async fn a_key_that_one_proxy_finds_limited_or_refused_rests_on_all_and_a_new_value_does_not() {
    for (status, headers) in [(429, &[("retry-after", "3000")][..]), (401, &[])] {
        let mut house = House::with(TWO_KEYS, 3, move |received| {
            if received.header("authorization") == "Bearer planted-one" { bad(status, headers) } else { good() }
        });
        // Whichever key is taken first.
        until_used(&house, 0, "one").await;
        house.until_heard(1..3, 1).await;
        for proxy in 0..3 {
            house.calls(proxy, 20).await;
        }
        house.add();
        house.until_heard(3..4, 1).await;
        house.calls(3, 20).await;
        assert_eq!((used(&house, "one"), house.other.calls()), (1, 0), "{status}");
        let state = |proxy: usize| {
            let labels = [("key", "one")];
            house.proxies[proxy].metrics().unwrap().sum("sluicegate_provider_key_state", &labels)
        };
        assert!((0..4).all(|proxy| state(proxy) >= 1.0), "{status}");
        // The log names nobody and no key.
        let log = house.log();
        let text: Vec<u8> = house.ask::<Vec<(String, Vec<Vec<u8>>)>>(&["XRANGE", &log, "-", "+"])[0].1[1].clone();
        let text = String::from_utf8(text).unwrap();
        assert!(!text.contains("planted") && !text.contains("one") && !text.contains("first"), "{text}");
        // Another value is another key, wherever it has come.
        house.proxies[2].write("all.yaml", &house.text("planted-new")).unwrap();
        house
            .until(|house| {
                let labels = [("key", "one")];
                house.proxies[2].metrics().unwrap().sum("sluicegate_provider_key_state", &labels) < 0.5
            })
            .await;
        until_used(&house, 2, "new").await;
        house.calls(0, 20).await;
        assert_eq!(used(&house, "one"), 1, "{status}: who has the old one still knows");
    }
}
