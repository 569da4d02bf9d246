//! What was spent, in a cluster: statuses say it to the last digit, of all proxies together, once a minute at most; Events tell
//! what happened to a budget, once in its period.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use sluicegate_tests::redis_cluster::RedisCluster;

use crate::gateway::Gateway;

const KEY: &str = "the-key-of-the-team-that-spends-money";

/// A pool with prices, a consumer with these budgets, and a route for it with another.
fn resources(budgets: &Value) -> String {
    let object = |kind: &str, name: &str, spec: Value| {
        json!({"apiVersion": "sluicegate.dev/v1alpha1", "kind": kind, "metadata": {"name": name}, "spec": spec})
            .to_string()
    };
    let price = json!({"inputPerMillion": "1000", "outputPerMillion": "2000"});
    [
        json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "team"}, "stringData": {"api-key": KEY}})
            .to_string(),
        object(
            "ProviderPool",
            "p",
            json!({"providers": [{"name": "one", "type": "Simulated", "models": [{"name": "m", "price": price}]}]}),
        ),
        object(
            "LLMConsumer",
            "team",
            json!({"keys": [{"name": "own", "secretRef": {"name": "team"}}], "limits": {"budgets": budgets}}),
        ),
        object(
            "LLMRoute",
            "m",
            json!({
                "access": {"from": "Known"},
                "rules": [{
                    "name": "only", "targets": [{"poolRef": {"name": "p"}}],
                    "limits": {"budgets": [{"unit": "Tokens", "amount": "1000000", "period": "Yearly"}]},
                }],
            }),
        ),
    ]
    .join("\n---\n")
}

/// A call through a proxy: its status, its tokens, and what they cost in thousandths of a dollar.
async fn ask(gateway: &Gateway, proxy: usize) -> (u16, u64, u64) {
    let body = json!({"model": "m", "max_tokens": 40, "messages": [{"role": "user", "content": "Hello"}]}).to_string();
    let answer =
        gateway.proxies[proxy].client().post("/v1/chat/completions", &[("x-api-key", KEY)], body).await.unwrap();
    let usage = &answer.json()["usage"];
    let of = |name: &str| usage[name].as_u64().unwrap_or_default();
    let (input, output) = (of("prompt_tokens"), of("completion_tokens"));
    (answer.status, input + output, input + 2 * output)
}

/// Waits until the status of an object's first budget says so; gives all of the status.
async fn says(gateway: &Gateway, kind: &str, name: &str, wanted: impl Fn(&Value) -> bool) -> Value {
    let (deadline, mut last) = (Instant::now() + Duration::from_secs(120), Value::Null);
    while Instant::now() < deadline {
        last = gateway.get(kind, name).await.data["status"].clone();
        if wanted(&last["budgets"][0]) {
            return last;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("{kind} {name}: {last:#}\n{}", gateway.operator.log().join("\n"));
}

fn dollars(thousandths: u64) -> String {
    let text = format!("{}.{:03}", thousandths / 1_000, thousandths % 1_000);
    let text = text.trim_end_matches('0');
    let fraction = text.split_once('.').unwrap().1;
    if fraction.is_empty() {
        text.trim_end_matches('.').to_owned()
    } else {
        format!("{text}{}", "0".repeat(2_usize.saturating_sub(fraction.len())))
    }
}

#[tokio::test]
async fn a_status_says_what_all_proxies_spent_together_and_events_what_came_of_it() {
    let redis = RedisCluster::start().unwrap();
    let nodes = redis.urls().join(",");
    let mut gateway = Gateway::start(0).await;
    for _ in 0..2 {
        gateway.add_proxy_with(&["--redis", &nodes]).await;
    }
    gateway.apply(&resources(&json!([{"amount": "1", "period": "Yearly", "alertAt": [25, 50]}]))).await;
    for (kind, name) in [("LLMConsumer", "team"), ("LLMRoute", "m")] {
        gateway.programmed(kind, name, "True Programmed").await;
    }
    let fresh = says(&gateway, "LLMConsumer", "team", |budget| budget["used"] == "0").await;
    assert_eq!((&fresh["spend"], &fresh["budgets"][0]["left"]), (&json!("0% of 1 USD per year"), &json!("1")));
    // Both spend until there is no room: what is left is told to the last digit, whoever was asked.
    let (mut tokens, mut cost, mut refused) = (0, 0, 0);
    for number in 0..100 {
        let (status, used, paid) = ask(&gateway, number % 2).await;
        (tokens, cost) = (tokens + used, cost + paid);
        refused += u32::from(status == 429);
        assert!(status == 200 || status == 429, "{status}");
        if refused >= 4 {
            break;
        }
    }
    assert!(refused >= 4 && cost > 500, "{refused} {cost}");
    let used = dollars(cost);
    let full = says(&gateway, "LLMConsumer", "team", |budget| budget["used"] == json!(used)).await;
    let budget = &full["budgets"][0];
    assert_eq!(budget["left"], json!(dollars(1_000 - cost)), "{budget:#}");
    assert_eq!((&budget["reached"], budget["percent"].as_u64()), (&json!(50), Some(cost / 10)), "{budget:#}");
    assert!(budget["exceededSince"].as_str().unwrap() < budget["until"].as_str().unwrap(), "{budget:#}");
    assert!(budget.get("proxies").is_none(), "{budget:#}");
    assert_eq!(full["spend"], json!(format!("{}% of 1 USD per year, exceeded", cost / 10)));
    let route = says(&gateway, "LLMRoute", "m", |budget| budget["used"] == json!(tokens.to_string())).await;
    assert_eq!(route["budgets"][0]["name"], "only");
    // Each is told once, also after the operator begins anew.
    let told = |all: Vec<String>| {
        let mut own: Vec<String> = all.into_iter().filter(|event| event.contains("Budget")).collect();
        own.sort();
        own
    };
    let expected = ["Warning BudgetAlert", "Warning BudgetExceeded"];
    let events = told(gateway.events("team").await);
    assert!(events.iter().all(|event| expected.contains(&event.as_str())), "{events:?}");
    assert_eq!(events.iter().filter(|event| event.contains("Exceeded")).count(), 1, "{events:?}");
    assert!((1..=2).contains(&events.iter().filter(|event| event.contains("Alert")).count()), "{events:?}");
    // Nothing changes any more: nothing is written any more.
    let writes = gateway.operator.writes("llmconsumers/status").await.unwrap();
    tokio::time::sleep(Duration::from_secs(25)).await;
    assert_eq!(gateway.operator.writes("llmconsumers/status").await.unwrap(), writes);
    assert_eq!(told(gateway.events("team").await), events);
    // More of it: there is room again.
    gateway.apply(&resources(&json!([{"amount": "2", "period": "Yearly", "alertAt": [25, 50]}]))).await;
    gateway.programmed("LLMConsumer", "team", "True Programmed").await;
    let more = says(&gateway, "LLMConsumer", "team", |budget| budget["amount"] == "2").await;
    assert_eq!(
        (&more["budgets"][0]["used"], more["budgets"][0].get("exceededSince")),
        (&json!(used), None),
        "{more:#}"
    );
}

#[tokio::test]
async fn proxies_that_count_by_themselves_are_said_to_and_their_counts_are_added_up() {
    let gateway = Gateway::start(2).await;
    gateway
        .apply(&resources(
            &json!([{"amount": "9", "period": "Total"}, {"amount": "5", "period": "Yearly", "mode": "Shadow"}]),
        ))
        .await;
    for (kind, name) in [("LLMConsumer", "team"), ("LLMRoute", "m")] {
        gateway.programmed(kind, name, "True Programmed").await;
    }
    let mut cost = 0;
    for number in 0..6 {
        let (status, _, paid) = ask(&gateway, number % 2).await;
        assert_eq!(status, 200);
        cost += paid;
    }
    let status = says(&gateway, "LLMConsumer", "team", |budget| budget["used"] == json!(dollars(cost))).await;
    let (total, shadow) = (&status["budgets"][0], &status["budgets"][1]);
    assert_eq!((&total["proxies"], total.get("until")), (&json!(2), None), "{status:#}");
    assert_eq!((&shadow["mode"], &shadow["used"]), (&json!("Shadow"), &total["used"]), "{status:#}");
}
