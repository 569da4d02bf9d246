//! Kept answers: given again only to whom they may be, and only as long as nobody would be answered otherwise now.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::{Value, json};
use sluicegate_tests::client::{Answer, Client};
use sluicegate_tests::proxy::Proxy;
use sluicegate_tests::upstream::{Act, Upstream, answer};

use crate::resources::{CHAT, MESSAGES, plain_upstream, pool, provider, rule};

/// A route that caches.
fn caching(cache: &str, target: &str) -> String {
    rule("m", &format!("    targets: [{target}]\n    cache: {cache}\n"))
}

fn house(cache: &str) -> (Upstream, Proxy) {
    let upstream = plain_upstream();
    let text = pool("p", &[provider("a", "OpenAICompatible", upstream.address, "")], "")
        + &pool("c", &[provider("a", "Anthropic", upstream.address, "")], "")
        + &caching(cache, "{poolRef: {name: p}}")
        + &rule("claude", &format!("    targets: [{{poolRef: {{name: c}}}}]\n    cache: {cache}\n"));
    let proxy = Proxy::start(&[("all.yaml", &text)], &["--workers", "1"]).unwrap();
    (upstream, proxy)
}

fn whole(body: &Value) -> Act {
    answer(200, &[("content-type", "application/json")], body.to_string().as_bytes())
}

async fn ask(client: &Client, path: &str, headers: &[(&str, &str)], body: &Value) -> Answer {
    let answer = client.post(path, headers, body.to_string()).await.unwrap();
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer
}

/// Asks until the answer is a hit: what is kept is kept behind the caller's back.
async fn until_hit(client: &Client, path: &str, headers: &[(&str, &str)], body: &Value) -> Answer {
    for _ in 0..100 {
        let answer = ask(client, path, headers, body).await;
        if answer.header("x-cache") == "hit" {
            return answer;
        }
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    panic!("never a hit: {body}");
}

fn question() -> Value {
    json!({"model": "m", "max_tokens": 64, "messages": [{"role": "user", "content": "hi"}]})
}

#[tokio::test]
async fn every_key_header_tells_callers_apart() {
    let (_upstream, proxy) = house("{ttl: 1h}");
    let client = proxy.client();
    let body = question();
    let alice = [("authorization", ""), ("x-api-key", "alice")];
    until_hit(&client, CHAT, &alice, &body).await;
    for other in [
        &[("authorization", ""), ("x-api-key", "bob")][..],
        &[("authorization", "Bearer bob"), ("x-api-key", "alice")],
        &[("authorization", ""), ("x-api-key", "alice"), ("api-key", "bob")],
        &[("x-goog-api-key", "alice")],
        &[("authorization", "")],
    ] {
        assert_eq!(ask(&client, CHAT, other, &body).await.header("x-cache"), "miss", "{other:?}");
    }
    assert_eq!(ask(&client, CHAT, &alice, &body).await.header("x-cache"), "hit");
}

#[tokio::test]
async fn what_goes_on_and_may_change_an_answer_is_part_of_its_key() {
    let (_upstream, proxy) = house("{ttl: 1h, scope: Route}");
    let client = proxy.client();
    let body = json!({"model": "claude", "max_tokens": 64, "messages": [{"role": "user", "content": "hi"}]});
    let version = ("anthropic-version", "2023-06-01");
    until_hit(&client, MESSAGES, &[version], &body).await;
    let other = [version, ("anthropic-beta", "context-1m-2025-08-07")];
    assert_eq!(ask(&client, MESSAGES, &other, &body).await.header("x-cache"), "miss");
    let idle = [
        version,
        ("user-agent", "another/1.0"),
        ("x-stainless-retry-count", "3"),
        ("x-claude-code-session-id", "s-9"),
        ("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"),
        ("idempotency-key", "k"),
    ];
    assert_eq!(ask(&client, MESSAGES, &idle, &body).await.header("x-cache"), "hit");
}

#[tokio::test]
async fn a_billing_line_and_markers_for_the_prompt_cache_change_no_key() {
    let (_upstream, proxy) = house("{ttl: 1h}");
    let client = proxy.client();
    let line = |hash: u32| {
        let text = format!("x-anthropic-billing-header: cc_version=2.1.330.abc; cc_entrypoint=cli; cch={hash};");
        json!({"model": "claude", "max_tokens": 256, "messages": [{"role": "user", "content": "hi"}],
            "system": [{"type": "text", "text": text}, {"type": "text", "text": "You are a coder."}]})
    };
    until_hit(&client, MESSAGES, &[], &line(11111)).await;
    let mut other = line(22222);
    other["system"][1]["cache_control"] = json!({"type": "ephemeral"});
    assert_eq!(ask(&client, MESSAGES, &[], &other).await.header("x-cache"), "hit");
    other["system"][1]["text"] = "You are a poet.".into();
    assert_eq!(ask(&client, MESSAGES, &[], &other).await.header("x-cache"), "miss");
}

#[tokio::test]
async fn one_callers_freshness_takes_no_answer_from_another() {
    let bad = Arc::new(AtomicBool::new(false));
    let filtered = Arc::clone(&bad);
    let upstream = Upstream::start(move |_| {
        let finish = if filtered.load(Ordering::Relaxed) { "content_filter" } else { "stop" };
        vec![whole(&json!({"id": "c", "object": "chat.completion", "created": 1, "model": "m",
            "choices": [{"index": 0, "message": {"role": "assistant", "content": "fine"}, "finish_reason": finish}],
            "usage": {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}}))]
    });
    let upstream = upstream.unwrap();
    let text = pool("p", &[provider("a", "OpenAICompatible", upstream.address, "")], "")
        + &caching("{ttl: 1h, scope: Route}", "{poolRef: {name: p}}");
    let proxy = Proxy::start(&[("all.yaml", &text)], &["--workers", "1"]).unwrap();
    let client = proxy.client();
    let body = question();
    until_hit(&client, CHAT, &[], &body).await;
    bad.store(true, Ordering::Relaxed);
    tokio::time::sleep(std::time::Duration::from_millis(1100)).await;
    // It is too old for this caller, and what comes instead is not kept: the one that is there stays.
    for wish in ["max-age=1", "no-cache", "max-age=0"] {
        let calls = upstream.calls();
        let fresh = ask(&client, CHAT, &[("cache-control", wish)], &body).await;
        assert_eq!((fresh.header("x-cache"), upstream.calls()), ("miss", calls + 1), "{wish}");
        assert_eq!(ask(&client, CHAT, &[], &body).await.header("x-cache"), "hit", "{wish}");
    }
}

#[tokio::test]
async fn who_is_asked_and_what_for_is_part_of_the_key() {
    let (upstream, proxy) = house("{ttl: 1h, scope: Route}");
    let client = proxy.client();
    let body = question();
    until_hit(&client, CHAT, &[], &body).await;
    let with = |pool_lines: &str, target: &str| {
        pool("p", &[provider("a", "OpenAICompatible", upstream.address, pool_lines)], "")
            + &caching("{ttl: 1h, scope: Route}", target)
    };
    let target = "{poolRef: {name: p}}";
    for (what, text) in [
        ("a target's model", with("", "{poolRef: {name: p}, model: other}")),
        ("a pool's default", with("defaults: {temperature: \"0.5\"}", target)),
        ("a header of the pool's", with("headers: {set: [{name: x-option, value: b}]}", target)),
        ("the model's name at the provider", with("models: [{name: m, upstreamName: m-2}]", target)),
    ] {
        let calls = upstream.calls();
        proxy.write("all.yaml", &text).unwrap();
        for _ in 0..1000 {
            if upstream.calls() > calls {
                break;
            }
            ask(&client, CHAT, &[], &body).await;
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
        assert!(upstream.calls() > calls, "{what}: the answer of before is given still");
        until_hit(&client, CHAT, &[], &body).await;
    }
    // A price changes no answer.
    let calls = upstream.calls();
    let priced = "models: [{name: m, upstreamName: m-2, price: {inputPerMillion: \"1\", outputPerMillion: \"2\"}}]";
    let revision = proxy.page("/config").unwrap().1;
    proxy.write("all.yaml", &with(priced, target)).unwrap();
    for _ in 0..1000 {
        if proxy.page("/config").unwrap().1 != revision {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    assert_eq!(ask(&client, CHAT, &[], &body).await.header("x-cache"), "hit");
    assert_eq!(upstream.calls(), calls);
}
