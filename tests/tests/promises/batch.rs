//! Several requests in one call: each is a call of its own, so many at a time, with one answer each, in order or as they come.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use serde_json::{Value, json};
use sluicegate_tests::client::Answer;
use sluicegate_tests::process::pause;
use sluicegate_tests::proxy::Proxy;
use sluicegate_tests::upstream::{Act, Gate, Upstream, answer};

use crate::resources::{SAVED, chat, message, openai_whole, plain_upstream, pool, provider, route, rule};

const JSON: &[(&str, &str)] = &[("content-type", "application/json")];
const BATCH: &str = "/v1/batch";

fn value(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

fn asking(model: &str, content: &str) -> Value {
    json!({"model": model, "messages": [{"role": "user", "content": content}]})
}

fn item(id: &str, url: &str, body: &Value) -> Value {
    json!({"custom_id": id, "method": "POST", "url": url, "body": body})
}

async fn sent(proxy: &Proxy, batch: &Value) -> Answer {
    proxy.client().post(BATCH, JSON, batch.to_string()).await.unwrap()
}

fn lines(answer: &Answer) -> Vec<Value> {
    answer.text().lines().map(value).collect()
}

#[tokio::test]
async fn each_request_is_answered_in_its_own_dialect_and_order_whatever_becomes_of_the_others() {
    let upstream = plain_upstream();
    let text = pool("p", &[provider("only", "OpenAI", upstream.address, "")], "") + &route("m", "p");
    let proxy = Proxy::start(&[("all.yaml", &text)], &[]).unwrap();
    let requests = [
        item("a", "/v1/chat/completions", &value(&chat("m", false))),
        item("b", "/v1/messages", &value(&message("m", false))),
        item("c", "/v1/chat/completions", &value(&chat("nobody", false))),
        item("d", "/v1/chat/completions", &value(&chat("m", true))),
        item("e", "/v1/nowhere", &json!({})),
        item("f", "/v1/batch", &json!({"requests": []})),
        json!({"url": "/v1/models", "method": "GET", "body": {}}),
        json!({"url": "/v1beta/models/m:generateContent", "body": {"contents": [{"parts": [{"text": "x"}]}]}}),
    ];
    let batch = json!({"requests": requests, "parallel": 3});
    let got = proxy.client().post(BATCH, &[JSON[0], ("x-request-id", "mine")], batch.to_string()).await.unwrap();
    assert_eq!((got.status, got.header("content-type")), (200, "application/json"), "{}", got.text());
    let whole = got.json();
    let data = whole["data"].as_array().unwrap();
    let of = |name: &str| data.iter().map(|one| one[name].clone()).collect::<Vec<_>>();
    assert_eq!(of("index"), (0..8).map(Value::from).collect::<Vec<_>>());
    assert_eq!(of("custom_id")[..6], ["a", "b", "c", "d", "e", "f"].map(Value::from));
    let status: Vec<u64> = data.iter().map(|one| one["response"]["status_code"].as_u64().unwrap()).collect();
    assert_eq!(status, [200, 200, 404, 400, 404, 400, 400, 200], "{whole}");
    let body = |at: usize| &data[at]["response"]["body"];
    assert_eq!(body(0)["choices"][0]["message"]["content"], "fine");
    assert_eq!(body(1)["content"][0]["text"], "fine");
    assert_eq!(body(2)["error"]["code"], "model_not_found");
    assert_eq!(body(7)["candidates"][0]["content"]["parts"][0]["text"], "fine");
    assert_eq!(data[1]["response"]["request_id"], "mine-1");
    // Each is a call in the log, and the batch one of its own.
    let told = |proxy: &Proxy| proxy.log().iter().filter(|line| line.contains("\"request_id\":\"mine")).count() == 9;
    proxy.until("nine calls are in the log", told).await.unwrap();
    assert_eq!(proxy.metrics().unwrap().sum("sluicegate_requests_total", &[("model", "m"), ("code", "200")]), 3.0);
}

#[tokio::test]
async fn so_many_are_under_way_at_once_and_lines_come_as_answers_do() {
    let (running, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let (now, seen, gate) = (Arc::clone(&running), Arc::clone(&most), Gate::default());
    let last = gate.clone();
    let upstream = Upstream::start(move |received| {
        seen.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
        pause(Duration::from_millis(20));
        now.fetch_sub(1, Ordering::SeqCst);
        let first = String::from_utf8_lossy(&received.body).contains("first");
        let waits = if first { vec![Act::Until(last.clone())] } else { Vec::new() };
        [waits, vec![openai_whole("fine")]].concat()
    })
    .unwrap();
    let text = pool("p", &[provider("only", "OpenAI", upstream.address, "")], "") + &route("m", "p");
    let proxy = Proxy::start(&[("all.yaml", &text)], &[]).unwrap();
    let requests: Vec<Value> = (0..24)
        .map(|at| item(&at.to_string(), "/v1/chat/completions", &asking("m", if at == 0 { "first" } else { "later" })))
        .collect();
    let opener = gate.clone();
    let all_others = async {
        while upstream.calls() < 24 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        opener.open();
    };
    let batch = json!({"requests": requests, "parallel": 3, "stream": true});
    let (got, ()) = tokio::join!(sent(&proxy, &batch), all_others);
    assert_eq!((got.status, got.header("content-type"), got.whole), (200, "application/x-ndjson", true));
    let lines = lines(&got);
    assert_eq!(lines.len(), 24);
    assert!(lines.iter().all(|line| line["response"]["status_code"] == 200));
    // The first request's answer came when all the others had been asked for.
    let at = lines.iter().position(|line| line["custom_id"] == "0").unwrap();
    assert!(at >= 21, "{at}");
    assert_eq!(most.load(Ordering::SeqCst), 3);
}

#[tokio::test]
async fn each_has_limits_cache_and_failover_of_its_own() {
    let bad = Upstream::always(vec![answer(500, JSON, b"{\n\"error\": {}}")]).unwrap();
    let good = Upstream::always(vec![openai_whole(SAVED)]).unwrap();
    let providers = [
        provider("bad", "OpenAI", bad.address, "priority: 0"),
        provider("good", "OpenAI", good.address, "priority: 1"),
    ];
    let target = "    targets: [{poolRef: {name: p}}]\n";
    let text = pool("p", &providers, "")
        + &pool("broken", &[provider("bad", "OpenAI", bad.address, "")], "")
        + &rule(
            "limited",
            &format!("    limits: {{rate: [{{per: Route, unit: Requests, amount: 2, window: 1h}}]}}\n{target}"),
        )
        + &rule("kept", &format!("    cache: {{ttl: 1h, scope: Route}}\n{target}"))
        + &route("m", "broken");
    let proxy = Proxy::start(&[("all.yaml", &text)], &["--workers", "1"]).unwrap();
    let many = |model: &str, count: usize| {
        let one = item("x", "/v1/chat/completions", &asking(model, "same"));
        json!({"requests": vec![one; count], "parallel": 1, "stream": true})
    };
    let statuses = |answer: &Answer| -> Vec<u64> {
        lines(answer).iter().map(|line| line["response"]["status_code"].as_u64().unwrap()).collect()
    };
    assert_eq!(statuses(&sent(&proxy, &many("limited", 4)).await), [200, 200, 429, 429]);
    let calls = good.calls();
    let kept = sent(&proxy, &many("kept", 5)).await;
    assert_eq!(statuses(&kept), [200; 5]);
    // An answer is kept a moment after it went out.
    assert!(good.calls() < calls + 5, "{}", good.calls());
    assert!(kept.text().contains(SAVED));
    // A provider's error of several lines is one line still.
    let failed = sent(&proxy, &many("m", 2)).await;
    assert_eq!(statuses(&failed), [500, 500], "{}", failed.text());
}

#[tokio::test]
async fn what_is_no_batch_is_refused_and_asks_nobody() {
    let upstream = plain_upstream();
    let text = pool("p", &[provider("only", "OpenAI", upstream.address, "")], "") + &route("m", "p");
    let proxy = Proxy::start(&[("all.yaml", &text)], &[]).unwrap();
    let one = item("a", "/v1/chat/completions", &value(&chat("m", false)));
    for (batch, said) in [
        (json!({"requests": []}), "at least one"),
        (json!({"requests": vec![one.clone(); 257]}), "at most 256"),
        (json!({"requests": [one.clone()], "parallel": 17}), "between 1 and 16"),
        (json!({"requests": [one.clone()], "paralel": 1}), "paralel"),
        (json!({"requests": [{"url": "http://elsewhere/v1/chat/completions", "body": {}}]}), "requests[0].url"),
        (json!({"requests": [{"url": "/v1/chat/completions"}]}), "body"),
        (json!([one.clone()]), "no batch"),
        (json!([[one.clone()], 2, false]), "no batch"),
        (json!({"requests": [["x", "POST", "/v1/chat/completions", {}]]}), "requests[0]: must be an object"),
        (json!({"requests": {"a": 1}}), "requests: must be a list"),
        (json!({"requests": [one.clone()], "parallel": -1}), "parallel: must be a whole number"),
        (json!({"requests": [one.clone()], "stream": 1}), "stream: must be true or false"),
        (json!({"requests": [{"custom_id": 1, "url": "/v1/chat/completions", "body": {}}]}), "requests[0].custom_id"),
        (json!({"requests": [{"url": "/v1/chat/completions", "body": {}, "x": 1}]}), "requests[0]: unknown field `x`"),
        (json!({"requests": [{"url": "/v1beta/models/m:generateContent?key=k", "body": {}}]}), "key of the batch"),
    ] {
        let got = sent(&proxy, &batch).await;
        let text = got.text();
        assert!(got.status == 400 && text.contains(said), "{said}: {} {text}", got.status);
        assert!(!["struct", "usize", "Wire", "sequence"].iter().any(|word| text.contains(word)), "{text}");
    }
    let many = sent(&proxy, &json!({"requests": vec![one; 257]})).await.json();
    assert_eq!(many["error"]["param"], "requests");
    assert_eq!(upstream.calls(), 0);
}

#[tokio::test]
async fn a_consumers_key_is_that_of_each_request() {
    let upstream = plain_upstream();
    let consumer = "apiVersion: v1\nkind: Secret\nmetadata: {name: bob}\nstringData: {api-key: planted-gateway-key-of-bob}\n---\napiVersion: sluicegate.dev/v1alpha1\nkind: LLMConsumer\nmetadata: {name: bob}\nspec: {keys: [{name: current, secretRef: {name: bob}}], models: {allow: [{exact: m}]}}\n---\n";
    let known = |text: String| text.replace("spec:\n  rules", "spec:\n  access: {from: Known}\n  rules");
    let text = consumer.to_owned()
        + &pool("p", &[provider("only", "OpenAI", upstream.address, "")], "")
        + &known(route("m", "p"))
        + &known(route("other", "p"));
    let proxy = Proxy::start(&[("all.yaml", &text)], &[]).unwrap();
    let requests = ["m", "other"].map(|model| item(model, "/v1/chat/completions", &asking(model, "x")));
    let batch = json!({"requests": requests}).to_string();
    assert_eq!(proxy.client().post(BATCH, JSON, batch.clone()).await.unwrap().status, 401);
    let key = ("authorization", "Bearer planted-gateway-key-of-bob");
    let got = proxy.client().post(BATCH, &[JSON[0], key], batch).await.unwrap();
    let whole = got.json();
    let status = |at: usize| whole["data"][at]["response"]["status_code"].as_u64().unwrap();
    assert!(status(0) == 200 && matches!(status(1), 403 | 404), "{whole}");
    assert_eq!(upstream.calls(), 1);
    // In the query it is the same key, whether or not a request has a query of its own.
    let urls = ["/v1/chat/completions", "/v1/chat/completions?alt=json"];
    let batch = json!({"requests": urls.map(|url| item("x", url, &asking("m", "x")))}).to_string();
    let with = |key: &str| format!("{BATCH}?key={key}");
    assert_eq!(proxy.client().post(&with("another"), JSON, batch.clone()).await.unwrap().status, 401);
    let got = proxy.client().post(&with("planted-gateway-key-of-bob"), JSON, batch).await.unwrap().json();
    let status = |at: usize| got["data"][at]["response"]["status_code"].as_u64().unwrap();
    assert_eq!((status(0), status(1)), (200, 200), "{got}");
    // And a request has no other one.
    let url = "/v1/chat/completions?key=planted-gateway-key-of-bob";
    let batch = json!({"requests": [item("x", url, &asking("m", "x"))]}).to_string();
    let got = proxy.client().post(BATCH, &[JSON[0], key], batch).await.unwrap();
    assert!(got.status == 400 && !got.text().contains("planted"), "{}", got.text());
    assert_eq!(got.json()["error"]["param"], "requests[0].url");
    assert_eq!(upstream.calls(), 3);
}
