//! Limits in a cluster: written on a resource, they hold at the proxies, and a new amount goes on from what was counted.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use sluicegate_tests::redis_cluster::RedisCluster;

use crate::gateway::{Gateway, pool};

/// A route with this limit; without a window, as most are written.
fn route(name: &str, amount: u32) -> String {
    json!({"apiVersion": "sluicegate.dev/v1alpha1", "kind": "LLMRoute", "metadata": {"name": name}, "spec": {
        "limits": {"rate": [
            {"per": "Route", "unit": "Requests", "amount": amount, "window": "1h"},
            {"per": "Route", "unit": "Tokens", "amount": 1_000_000},
        ]},
        "rules": [{"name": "only", "matches": [{"model": {"exact": name}}], "targets": [{"poolRef": {"name": "p"}}]}],
    }})
    .to_string()
}

/// How many of these calls, one after the other, were answered with which status.
async fn statuses(gateway: &Gateway, calls: u32) -> BTreeMap<u16, u32> {
    let mut all = BTreeMap::new();
    for _ in 0..calls {
        let body = json!({"model": "m", "messages": [{"role": "user", "content": "?"}]}).to_string();
        let answer = gateway.proxies[0].client().post("/v1/chat/completions", &[], body).await.unwrap();
        assert!(answer.status != 429 || !answer.header("retry-after").is_empty(), "{answer:?}");
        *all.entry(answer.status).or_default() += 1;
    }
    all
}

#[tokio::test]
async fn a_budget_is_spent_where_it_is_programmed_and_a_larger_one_is_not_given_twice() {
    let gateway = Gateway::start(1).await;
    let route = |amount: &str| {
        json!({"apiVersion": "sluicegate.dev/v1alpha1", "kind": "LLMRoute", "metadata": {"name": "m"}, "spec": {
            "limits": {"budgets": [{"unit": "Tokens", "amount": amount, "period": "Monthly", "timeZone": "Asia/Tokyo"}]},
            "rules": [{"name": "only", "targets": [{"poolRef": {"name": "p"}}]}],
        }})
        .to_string()
    };
    gateway.apply(&[pool("p", "fine"), route("100")].join("\n")).await;
    gateway.programmed("LLMRoute", "m", "True Programmed").await;
    let ask = |max_tokens: u32| {
        let body = json!({"model": "m", "max_tokens": max_tokens, "messages": [{"role": "user", "content": "?"}]});
        let client = gateway.proxies[0].client();
        async move { client.post("/v1/chat/completions", &[], body.to_string()).await.unwrap() }
    };
    assert_eq!(ask(50).await.status, 200);
    let refused = ask(100).await;
    assert_eq!((refused.status, refused.header("x-should-retry")), (429, "false"), "{}", refused.text());
    assert!(refused.text().contains("insufficient_quota"), "{}", refused.text());
    gateway.apply(&route("120")).await;
    gateway.programmed("LLMRoute", "m", "True Programmed").await;
    assert_eq!(ask(100).await.status, 429, "what was spent is spent");
    assert_eq!(ask(50).await.status, 200);
}

#[tokio::test]
async fn a_limit_holds_where_it_is_programmed_and_a_new_amount_goes_on_from_what_was_counted() {
    let gateway = Gateway::start(1).await;
    gateway.apply(&[pool("p", "fine"), route("m", 5)].join("\n")).await;
    gateway.programmed("LLMRoute", "m", "True Programmed").await;
    assert_eq!(statuses(&gateway, 8).await, [(200, 5), (429, 3)].into());
    // One that grows is not given twice.
    gateway.apply(&route("m", 7)).await;
    gateway.programmed("LLMRoute", "m", "True Programmed").await;
    assert_eq!(statuses(&gateway, 4).await, [(200, 2), (429, 2)].into());
    // One that shrinks holds at once.
    gateway.apply(&route("m", 6)).await;
    gateway.programmed("LLMRoute", "m", "True Programmed").await;
    assert_eq!(statuses(&gateway, 2).await, [(429, 2)].into());
}

/// Waits until the status of an object says so of its limits; gives all of the status.
async fn says(gateway: &Gateway, kind: &str, name: &str, wanted: impl Fn(&Value) -> bool) -> Value {
    let (deadline, mut last) = (Instant::now() + Duration::from_secs(150), Value::Null);
    while Instant::now() < deadline {
        last = gateway.get(kind, name).await.data["status"].clone();
        if wanted(&last["limits"]) {
            return last;
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    panic!("{kind} {name}: {last:#}\n{}", gateway.operator.log().join("\n"));
}

#[tokio::test]
async fn a_status_says_how_much_of_its_limits_all_proxies_use_and_who_is_over() {
    let redis = RedisCluster::start().unwrap();
    let nodes = redis.urls().join(",");
    let mut gateway = Gateway::start(0).await;
    for _ in 0..2 {
        gateway.add_proxy_with(&["--redis", &nodes]).await;
    }
    let limited = json!({"apiVersion": "sluicegate.dev/v1alpha1", "kind": "LLMRoute", "metadata": {"name": "m"}, "spec": {
        "limits": {
            "rate": [{"per": "Route", "unit": "Requests", "amount": 5, "window": "1h"}],
            "concurrency": {"max": 3},
        },
        "rules": [
            {"name": "whole", "targets": [{"poolRef": {"name": "p"}}]},
            {
                "name": "own", "matches": [{"model": {"exact": "own"}}], "targets": [{"poolRef": {"name": "p"}}],
                "limits": {"rate": [{"per": "Header", "header": "x-user", "unit": "Tokens", "amount": 1000}]},
            },
        ],
    }});
    gateway.apply(&[pool("p", "fine"), limited.to_string()].join("\n")).await;
    gateway.programmed("LLMRoute", "m", "True Programmed").await;
    let fresh = says(&gateway, "LLMRoute", "m", |limits| limits[0]["used"] == "0").await;
    assert_eq!(fresh["limits"].as_array().map(Vec::len), Some(3), "{fresh:#}");
    let names: Vec<_> = fresh["limits"].as_array().unwrap().iter().map(|limit| limit["name"].clone()).collect();
    assert_eq!(names, [Value::Null, Value::Null, json!("own")], "{fresh:#}");
    let mut refused = 0;
    for number in 0..8 {
        let body = json!({"model": "m", "messages": [{"role": "user", "content": "?"}]}).to_string();
        let client = gateway.proxies[number % 2].client();
        refused += u32::from(client.post("/v1/chat/completions", &[], body).await.unwrap().status == 429);
    }
    assert_eq!(refused, 3);
    let full = says(&gateway, "LLMRoute", "m", |limits| limits[0]["used"] == "5").await;
    let limit = &full["limits"][0];
    assert_eq!((&limit["percent"], &limit["per"], &limit["window"]), (&json!(100), &json!("Route"), &json!("1h")));
    assert!(limit["exceededSince"].is_string() && limit.get("proxies").is_none(), "{limit:#}");
    assert_eq!(full["usage"], "5 of 5 requests per 1h, exceeded");
    // Nothing changes any more: nothing is written any more.
    let writes = gateway.operator.writes("llmroutes/status").await.unwrap();
    tokio::time::sleep(Duration::from_secs(25)).await;
    assert_eq!(gateway.operator.writes("llmroutes/status").await.unwrap(), writes);
}
