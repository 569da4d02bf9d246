//! A second attempt where the first keeps its caller waiting: the first token counts, both are metered, and no more are made than the
//! rule says.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use serde_json::json;
use sluicegate_tests::client::{Answer, Client};
use sluicegate_tests::proxy::Proxy;
use sluicegate_tests::upstream::{Act, Upstream, answer};

use crate::resources::{CHAT, WAYS, openai_stream, openai_whole, plain_upstream, pool, provider, rule};

/// An upstream that says nothing while it is slow.
fn slow_at_times(slow: &Arc<AtomicBool>, quick: Duration) -> Upstream {
    let slow = Arc::clone(slow);
    Upstream::start(move |received| {
        if slow.load(Ordering::Relaxed) {
            return vec![Act::Hang];
        }
        let acts = if received.streams() { openai_stream("first") } else { vec![openai_whole("first")] };
        std::iter::once(Act::Wait(quick)).chain(acts).collect()
    })
    .unwrap()
}

/// A pool whose first tier is `first`, and a route `m` with these lines, in flow style.
fn house(first: &Upstream, second: &Upstream, more: &str) -> Proxy {
    priced((first, second), Some("1"), more)
}

/// The same, whose second tier has this price.
fn priced((first, second): (&Upstream, &Upstream), price: Option<&str>, more: &str) -> Proxy {
    let at = |price: &str| format!(", price: {{inputPerMillion: \"{price}\", outputPerMillion: \"{price}\"}}");
    let model = |price: Option<&str>| format!("models: [{{name: m{}}}]", price.map(at).unwrap_or_default());
    let providers = [
        provider("first", "OpenAICompatible", first.address, &format!("priority: 0, {}", model(Some("1")))),
        provider("second", "OpenAICompatible", second.address, &format!("priority: 1, {}", model(price))),
    ];
    let lines = format!("    targets: [{{poolRef: {{name: p}}}}]\n{more}");
    Proxy::start(&[("all.yaml", &(pool("p", &providers, "") + &rule("m", &lines)))], &[]).unwrap()
}

fn count(proxy: &Proxy, name: &str, labels: &[(&str, &str)]) -> f64 {
    proxy.metrics().unwrap().sum(name, labels)
}

async fn ask(client: &Client, more: serde_json::Value) -> Answer {
    let mut body = json!({"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": "Say something."}]});
    body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    client.post(CHAT, &[], body.to_string()).await.unwrap()
}

#[tokio::test]
async fn who_waits_for_one_is_answered_by_another_and_both_are_metered() {
    let slow = Arc::new(AtomicBool::new(true));
    let (first, second) = (slow_at_times(&slow, Duration::ZERO), plain_upstream());
    let proxy = house(&first, &second, "    hedge: {after: 100ms, maxPercent: 100}\n");
    for (number, way) in (1..).zip(WAYS) {
        let answer = way.call(&proxy.client(), "m", &[]).await;
        assert!(answer.is_good(), "{way:?}: {}", answer.text());
        assert_eq!(way.said(&answer), "fine", "{way:?}");
        assert!(!way.stream || way.says_end(&answer), "{way:?}");
        assert_eq!((first.calls(), second.calls()), (number, number), "{way:?}");
    }
    let done = |proxy: &Proxy| count(proxy, "sluicegate_requests_total", &[("outcome", "done")]) > 3.5;
    proxy.until("all are counted", done).await.unwrap();
    for (name, labels, wanted) in [
        ("sluicegate_attempts_total", &[("provider", "first"), ("result", "cancelled")][..], 4.0),
        ("sluicegate_attempts_total", &[("provider", "second"), ("result", "success")], 4.0),
        ("sluicegate_hedged_attempts_total", &[("outcome", "sent")], 4.0),
        ("sluicegate_hedged_attempts_total", &[("outcome", "won")], 4.0),
        ("sluicegate_requests_total", &[("outcome", "done")], 4.0),
    ] {
        let is = count(&proxy, name, labels);
        assert!((is - wanted).abs() < 0.1, "{name} {labels:?}: {is}");
    }
    // What was let go of has read its prompt.
    for provider in ["first", "second"] {
        for name in ["sluicegate_tokens_total", "sluicegate_cost_usd_total"] {
            assert!(count(&proxy, name, &[("provider", provider)]) > 0.0, "{name} {provider}");
        }
    }
    // One that answers in time has nobody beside it.
    slow.store(false, Ordering::Relaxed);
    for way in WAYS {
        let answer = way.call(&proxy.client(), "m", &[]).await;
        assert_eq!(way.said(&answer), "first", "{way:?}");
    }
    assert_eq!(second.calls(), 4);
}

#[tokio::test]
async fn a_budget_counts_both_attempts() {
    let slow = Arc::new(AtomicBool::new(false));
    let (first, second) = (slow_at_times(&slow, Duration::ZERO), plain_upstream());
    let budget = "    hedge: {after: 100ms, maxPercent: 100}\n    limits: {budgets: [{amount: \"100000\", unit: Tokens, period: Total}]}\n";
    let proxy = house(&first, &second, budget);
    let client = proxy.client();
    let mut remaining = Vec::new();
    for is_slow in [false, true, false] {
        slow.store(is_slow, Ordering::Relaxed);
        let answer = ask(&client, json!({})).await;
        assert!(answer.is_good(), "{}", answer.text());
        remaining.push(answer.header("x-sluicegate-token-budget-remaining").parse::<u64>().unwrap());
        // Settled when its entry closes, which is a moment after its answer.
        let calls = f64::from(u32::try_from(remaining.len()).unwrap());
        proxy
            .until("it is counted", |proxy| count(proxy, "sluicegate_requests_total", &[]) > calls - 0.5)
            .await
            .unwrap();
    }
    assert_eq!(remaining[0] - remaining[1], 5, "three of prompt and two of answer");
    assert!(remaining[1] - remaining[2] > 5 + 3, "{remaining:?}: the prompt was read twice");
}

#[tokio::test]
async fn second_attempts_are_no_more_than_their_share() {
    let (first, second) = (slow_at_times(&Arc::default(), Duration::from_millis(60)), plain_upstream());
    let proxy = house(&first, &second, "    hedge: {after: 5ms, maxPercent: 5}\n");
    let client = proxy.client();
    for _ in 0..60 {
        assert!(ask(&client, json!({})).await.is_good());
    }
    assert_eq!((first.calls(), second.calls()), (60, 3));
}

#[tokio::test]
async fn of_calls_that_are_slow_now_and_then_few_are_made_twice() {
    // One of thirty waits half a second, all others fifty milliseconds.
    let waiting = |slow_ones: bool| {
        let count = AtomicU64::new(0);
        Upstream::start(move |_| {
            let is_slow = slow_ones && count.fetch_add(1, Ordering::Relaxed) % 30 == 29;
            vec![Act::Wait(Duration::from_millis(if is_slow { 500 } else { 50 })), openai_whole("fine")]
        })
        .unwrap()
    };
    for hedge in ["", "    hedge: {maxPercent: 5}\n"] {
        let (first, second) = (waiting(true), waiting(false));
        let proxy = house(&first, &second, hedge);
        let client = proxy.client();
        let mut took = Vec::new();
        for _ in 0..300 {
            let begun = std::time::Instant::now();
            assert!(ask(&client, json!({})).await.is_good());
            took.push(begun.elapsed().as_millis());
        }
        took.sort_unstable();
        let word = if hedge.is_empty() { "not hedged" } else { "hedged" };
        println!("{word}: p50 {} ms, p99 {} ms, {} calls more for 300", took[150], took[297], second.calls());
        assert!(second.calls() * 100 <= 300 * 5, "{}", second.calls());
        assert_eq!(second.calls() == 0, hedge.is_empty());
    }
}

#[tokio::test]
async fn second_attempts_cost_no_more_than_their_share() {
    let hedge = "    hedge: {after: 5ms, maxPercent: 100, maxCostPercent: 50}\n";
    // Of forty calls that cost one each, one may be made again where it costs twenty; where it costs half of one, all are.
    for (price, expected) in [(Some("20"), 1), (Some("0.5"), 50), (None, 0)] {
        let (first, second) = (slow_at_times(&Arc::default(), Duration::from_millis(60)), plain_upstream());
        let proxy = priced((&first, &second), price, hedge);
        let client = proxy.client();
        for _ in 0..50 {
            assert!(ask(&client, json!({})).await.is_good());
        }
        assert_eq!((first.calls(), second.calls()), (50, expected), "{price:?}");
    }
}

#[tokio::test]
async fn what_would_leave_something_behind_is_asked_once_and_a_failure_is_mended() {
    let (first, second) = (slow_at_times(&Arc::default(), Duration::from_millis(150)), plain_upstream());
    let proxy = house(&first, &second, "    hedge: {after: 10ms, maxPercent: 100}\n");
    assert!(ask(&proxy.client(), json!({"store": true})).await.is_good());
    assert_eq!((first.calls(), second.calls()), (1, 0));
    // The second attempt fails: the first is waited for. The first fails after the second began: that one is.
    let broken = Upstream::always(vec![Act::Reset]).unwrap();
    let proxy = house(&first, &broken, "    hedge: {after: 10ms, maxPercent: 100}\n");
    assert!(ask(&proxy.client(), json!({})).await.is_good());
    assert_eq!((first.calls(), broken.calls()), (2, 1));
    let late = Upstream::always(vec![Act::Wait(Duration::from_millis(50)), Act::Reset]).unwrap();
    let proxy = house(&late, &first, "    hedge: {after: 10ms, maxPercent: 100}\n");
    assert!(ask(&proxy.client(), json!({})).await.is_good());
    assert_eq!((late.calls(), first.calls()), (1, 3));
}

#[tokio::test]
async fn without_a_time_it_is_what_most_calls_have_waited() {
    let slow = Arc::new(AtomicBool::new(false));
    let (first, second) = (slow_at_times(&slow, Duration::from_millis(20)), plain_upstream());
    let proxy = house(&first, &second, "    hedge: {maxPercent: 50}\n");
    let client = proxy.client();
    for _ in 0..40 {
        assert!(ask(&client, json!({"stream": true})).await.is_good());
    }
    slow.store(true, Ordering::Relaxed);
    let before = second.calls();
    let answer = ask(&client, json!({"stream": true})).await;
    assert!(answer.is_good() && answer.text().contains("fine"), "{}", answer.text());
    assert_eq!(second.calls(), before + 1);
}

#[tokio::test]
async fn who_can_not_take_the_call_spoils_no_answer_that_is_about_to_come() {
    let first = Upstream::start(|received| {
        let acts = if received.streams() { openai_stream("first") } else { vec![openai_whole("first")] };
        std::iter::once(Act::Wait(Duration::from_millis(600))).chain(acts).collect()
    })
    .unwrap();
    let error = br#"{"error":{"message":"no","type":"invalid_request_error"}}"#;
    for code in [400, 404, 413, 422, 500] {
        let second = Upstream::always(vec![answer(code, &[("content-type", "application/json")], error)]).unwrap();
        let proxy = house(&first, &second, "    hedge: {after: 50ms, maxPercent: 100}\n");
        for way in WAYS {
            let got = way.call(&proxy.client(), "m", &[]).await;
            assert_eq!(way.said(&got), "first", "{code} {way:?}: {}", got.text());
        }
        assert_eq!(second.calls(), 4, "{code}");
        let won = count(&proxy, "sluicegate_hedged_attempts_total", &[("outcome", "won")]);
        assert!(won < 0.1, "{code}: {won}");
    }
}
