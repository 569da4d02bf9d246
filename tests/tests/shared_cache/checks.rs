//! Endpoints that are asked whether they are well: by one of the proxies that share a Redis, for all of them.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use sluicegate_tests::proxy::Proxy;
use sluicegate_tests::redis_cluster::RedisCluster;
use sluicegate_tests::upstream::{Upstream, answer};

const JSON: &[(&str, &str)] = &[("content-type", "application/json")];

fn said(by: &str) -> Vec<u8> {
    format!(
        r#"{{"id":"c","object":"chat.completion","created":1,"model":"m","choices":[{{"index":0,"message":{{"role":"assistant","content":"{by}"}},"finish_reason":"stop"}}],"usage":{{"prompt_tokens":3,"completion_tokens":2,"total_tokens":5}}}}"#
    )
    .into_bytes()
}

/// The provider that a proxy's calls go to, as soon as it is the one that is waited for.
async fn goes_to(proxy: &Proxy, wanted: &str) -> String {
    let mut said = String::new();
    for _ in 0..800 {
        let body = r#"{"model":"m","messages":[{"role":"user","content":"x"}]}"#;
        let answer = proxy.client().post("/v1/chat/completions", JSON, body).await.unwrap();
        assert_eq!(answer.status, 200, "{}", answer.text());
        said = answer.json()["choices"][0]["message"]["content"].as_str().unwrap().to_owned();
        if said == wanted {
            break;
        }
        tokio::time::sleep(Duration::from_millis(25)).await;
    }
    said
}

#[tokio::test]
async fn one_proxy_asks_for_all_and_another_one_when_it_is_gone() {
    let cluster = RedisCluster::start().unwrap();
    let (is_ill, checks) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    let (ill, asked) = (Arc::clone(&is_ill), Arc::clone(&checks));
    let first = Upstream::start(move |received| {
        if !received.head.starts_with("GET /livez ") {
            return vec![answer(200, JSON, &said("first"))];
        }
        asked.fetch_add(1, Ordering::Relaxed);
        vec![answer(if ill.load(Ordering::Relaxed) { 503 } else { 200 }, JSON, b"{}")]
    })
    .unwrap();
    let second = Upstream::start(|received| {
        let is_check = received.head.starts_with("GET /livez ");
        vec![answer(200, JSON, &if is_check { b"{}".to_vec() } else { said("second") })]
    })
    .unwrap();
    let text = format!(
        "apiVersion: sluicegate.dev/v1alpha1\nkind: ProviderPool\nmetadata: {{name: p}}\nspec:\n  \
         healthCheck: {{path: /livez, interval: 1s, timeout: 500ms, healthyAfter: 1, unhealthyAfter: 1}}\n  providers:\n  \
         - {{name: a, type: OpenAICompatible, url: \"http://{}\", priority: 0}}\n  \
         - {{name: b, type: OpenAICompatible, url: \"http://{}\", priority: 1}}\n---\n\
         apiVersion: sluicegate.dev/v1alpha1\nkind: LLMRoute\nmetadata: {{name: m}}\nspec:\n  rules:\n  \
         - {{name: only, targets: [{{poolRef: {{name: p}}}}]}}\n",
        first.address, second.address
    );
    let urls = cluster.urls().join(",");
    let start = || Proxy::start(&[("all.yaml", &text)], &["--workers", "2", "--redis", &urls]).unwrap();
    let mut proxies: Vec<Proxy> = (0..4).map(|_| start()).collect();
    for proxy in &proxies {
        assert_eq!(goes_to(proxy, "first").await, "first");
    }
    is_ill.store(true, Ordering::Relaxed);
    for proxy in &proxies {
        assert_eq!(goes_to(proxy, "second").await, "second");
    }
    // Of four proxies that asked each by itself there would be four answers to every one.
    let before = checks.load(Ordering::Relaxed);
    let began = std::time::Instant::now();
    tokio::time::sleep(Duration::from_secs(5)).await;
    let most = began.elapsed().as_secs_f64() / 0.9 + 2.0;
    let seen = checks.load(Ordering::Relaxed) - before;
    assert!(seen >= 1 && (seen as f64) <= most, "{seen} of {most}");
    // Whoever has the turn goes, and the others know still, and know it when it is well again.
    while proxies.len() > 1 {
        drop(proxies.remove(0));
        assert_eq!(goes_to(&proxies[0], "second").await, "second");
    }
    is_ill.store(false, Ordering::Relaxed);
    assert_eq!(goes_to(&proxies[0], "first").await, "first");
}
