//! Rate limits of providers and of their keys: who is used up is not asked, others serve, and every attempt counts.

use std::net::{SocketAddr, TcpListener};
use std::time::Duration;

use sluicegate_tests::proxy::Proxy;
use sluicegate_tests::upstream::{Act, Gate, Received, Upstream, answer, chunk, stream_head};

use crate::rate_limits::{asking, in_every_dialect};
use crate::resources::{
    CHAT, WAYS, chat, openai_piece, openai_stream, openai_whole, plain_upstream, pool, provider, route, rule,
};

/// A provider with these rate limits, in flow style.
fn limited(name: &str, address: SocketAddr, limits: &str, more: &str) -> String {
    provider(name, "OpenAICompatible", address, &format!("limits: {{rate: [{limits}]}}, {more}"))
}

fn checks(proxy: &Proxy, outcome: &str) -> u64 {
    proxy.metrics().unwrap().sum("sluicegate_provider_limit_checks_total", &[("outcome", outcome)]) as u64
}

fn attempts(proxy: &Proxy, provider: &str) -> u64 {
    proxy.metrics().unwrap().sum("sluicegate_attempts_total", &[("provider", provider)]) as u64
}

#[tokio::test]
async fn who_is_used_up_is_not_asked_and_others_serve() {
    let (first, second) = (plain_upstream(), plain_upstream());
    let providers = [
        limited("a", first.address, "{unit: Requests, amount: 5, window: 1h}", "priority: 0"),
        provider("b", "OpenAICompatible", second.address, "priority: 1"),
    ];
    let proxy = Proxy::start(&[("all.yaml", &(pool("p", &providers, "") + &route("m", "p")))], &[]).unwrap();
    let client = proxy.client();
    for _ in 0..5 {
        for way in WAYS {
            let got = way.call(&client, "m", &[]).await;
            assert!(got.is_good(), "{}", got.text());
        }
    }
    assert_eq!((first.calls(), second.calls()), (5, 15));
    // It was no attempt, no failure, and nobody's circuit or cooldown.
    assert_eq!((attempts(&proxy, "a"), attempts(&proxy, "b")), (5, 15));
    let metrics = proxy.metrics().unwrap();
    for series in ["sluicegate_endpoint_circuit_state", "sluicegate_retries_total"] {
        assert_eq!(metrics.sum(series, &[]), 0.0, "{series}");
    }
    assert_eq!(checks(&proxy, "admitted"), 5);
    assert!(checks(&proxy, "refused") >= 1);
    assert_eq!(metrics.sum("sluicegate_limit_checks_total", &[]), 0.0, "it is no limit of a caller's");
    // An amount that grows holds at once, and what was taken is not given again.
    let text = (pool("p", &providers, "") + &route("m", "p")).replace("amount: 5", "amount: 7");
    proxy.write("all.yaml", &text).unwrap();
    for _ in 0..200 {
        assert_eq!(client.post(CHAT, &[], chat("m", false)).await.unwrap().status, 200);
        if first.calls() == 7 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    for _ in 0..5 {
        assert_eq!(client.post(CHAT, &[], chat("m", false)).await.unwrap().status, 200);
    }
    assert_eq!(first.calls(), 7);
}

#[tokio::test]
async fn where_nobody_else_can_serve_the_caller_is_told_so_in_every_dialect() {
    let upstream = plain_upstream();
    let one = |window: &str| format!("{{unit: Requests, amount: 1, window: {window}}}");
    let providers = [
        limited("a", upstream.address, &one("2h"), ""),
        limited("b", upstream.address, &one("60s"), ""),
        limited("c", upstream.address, &one("3h"), ""),
    ];
    let text = pool("p", &providers, "") + &route("m", "p");
    let proxy = Proxy::start(&[("all.yaml", &text)], &[]).unwrap();
    let client = proxy.client();
    for _ in 0..3 {
        assert_eq!(client.post(CHAT, &[], chat("m", false)).await.unwrap().status, 200);
    }
    for (path, body, at, word) in in_every_dialect("m") {
        let answer = client.post(&path, &[], body).await.unwrap();
        assert_eq!((answer.status, answer.header("x-should-retry")), (429, "true"), "{path}: {}", answer.text());
        // Of three the one that has room first.
        let seconds = answer.header("retry-after").parse::<u64>().unwrap();
        assert!((1..=61).contains(&seconds), "{seconds}");
        let said = answer.json();
        let said = said.pointer(at).and_then(serde_json::Value::as_str).unwrap_or_default().to_owned();
        assert!(said.starts_with(word), "{path}: {}", answer.text());
        assert!(answer.text().contains("1 request per 1m"), "{}", answer.text());
    }
    assert_eq!(upstream.calls(), 3);
    let log = proxy.log();
    assert!(log.iter().any(|line| line.contains(r#""limit":"ProviderPool default/p/b: 1 request per 1m""#)), "{log:?}");
}

#[tokio::test(flavor = "local")]
async fn tokens_are_reserved_before_an_attempt_and_settled_by_what_it_used() {
    let gate = Gate::default();
    let (held, second) = (gate.clone(), plain_upstream());
    let first = Upstream::start(move |received| match String::from_utf8_lossy(&received.body).contains("held") {
        true => vec![Act::Until(held.clone()), openai_whole("fine")],
        false => vec![openai_whole("fine")],
    })
    .unwrap();
    let providers = [
        limited("a", first.address, "{unit: Tokens, amount: 260, window: 1h}", "priority: 0"),
        provider("b", "OpenAICompatible", second.address, "priority: 1, models: [{name: m}]"),
    ];
    let text = pool("p", &providers, "") + &route("m", "p") + &route("s", "p");
    let proxy = Proxy::start(&[("all.yaml", &text)], &[]).unwrap();
    let client = proxy.client();
    // Five tokens each: fifteen of them are far more than 260 by what they might have used.
    for _ in 0..15 {
        assert_eq!(client.post(CHAT, &[], asking("m", 100, false)).await.unwrap().status, 200);
    }
    assert_eq!((first.calls(), second.calls()), (15, 0));
    // One that goes on holds what it may use.
    let other = proxy.client();
    let slow = tokio::task::spawn_local(async move {
        let body = asking("m", 100, false).replace("Say something.", "held");
        other.post(CHAT, &[], body).await.unwrap().status
    });
    proxy.until("it is asked", |_| first.calls() == 16).await.unwrap();
    assert_eq!(client.post(CHAT, &[], asking("m", 100, false)).await.unwrap().status, 200);
    assert_eq!((first.calls(), second.calls()), (16, 1));
    // Where nobody else serves the model a smaller one has room, and another such one is told that it has none.
    assert_eq!(client.post(CHAT, &[], asking("s", 1, false)).await.unwrap().status, 200);
    assert_eq!((first.calls(), second.calls()), (17, 1));
    assert_eq!(client.post(CHAT, &[], asking("s", 100, false)).await.unwrap().status, 429);
    gate.open();
    assert_eq!(slow.await.unwrap(), 200);
    // One that may use more than there ever is goes elsewhere.
    assert_eq!(client.post(CHAT, &[], asking("m", 1_000, false)).await.unwrap().status, 200);
    assert_eq!((first.calls(), second.calls()), (17, 2));
}

#[tokio::test]
async fn a_key_that_is_used_up_rests_and_another_is_taken() {
    let key_of =
        |received: &Received| received.header("authorization").trim_start_matches("Bearer planted-").to_owned();
    let (first, second) = (plain_upstream(), plain_upstream());
    let key = |name: &str, amount: u32| {
        format!(
            "{{name: {name}, secretRef: {{name: keys, key: {name}}}, limits: {{rate: [{{unit: Requests, amount: {amount}, window: 1h}}]}}}}"
        )
    };
    let keys = format!("credentials: {{keys: [{}, {}]}}, priority: 0", key("one", 2), key("two", 5));
    let text =
        "apiVersion: v1\nkind: Secret\nmetadata: {name: keys}\nstringData: {one: planted-one, two: planted-two}\n---\n"
            .to_owned()
            + &pool(
                "p",
                &[
                    provider("a", "OpenAI", first.address, &keys),
                    provider("b", "OpenAICompatible", second.address, "priority: 1"),
                ],
                "",
            )
            + &route("m", "p");
    let proxy = Proxy::start(&[("all.yaml", &text)], &[]).unwrap();
    let client = proxy.client();
    for _ in 0..12 {
        assert_eq!(client.post(CHAT, &[], chat("m", false)).await.unwrap().status, 200);
    }
    let with = |key: &str| first.received().iter().filter(|received| key_of(received) == key).count();
    assert_eq!((with("one"), with("two"), second.calls()), (2, 5, 5));
    let state = |key: &str| proxy.metrics().unwrap().sum("sluicegate_provider_key_state", &[("key", key)]);
    assert_eq!((state("one"), state("two")), (0.0, 0.0), "no provider has said anything of them");
}

#[tokio::test]
async fn every_attempt_counts_and_one_that_was_not_made_is_given_back() {
    let failing = Upstream::always(vec![answer(500, &[("content-type", "application/json")], b"{}")]).unwrap();
    // Nobody listens there.
    let nowhere = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let limit = "{unit: Requests, amount: 5, window: 1h}, {unit: Tokens, amount: 100000, window: 1h}";
    let retry = "  retry: {attempts: 3, budgetPercent: 100, backoff: {initial: 1ms, max: 2ms}}\n  circuitBreaker: {consecutiveFailures: 0, minimumRequests: 100000}\n";
    let text = pool("p", &[limited("a", failing.address, limit, "")], retry)
        + &route("m", "p")
        + &pool("q", &[limited("gone", nowhere, limit, "")], retry)
        + &route("away", "q");
    let proxy = Proxy::start(&[("all.yaml", &text)], &[]).unwrap();
    let client = proxy.client();
    assert_eq!(client.post(CHAT, &[], chat("m", false)).await.unwrap().status, 500);
    assert_eq!(failing.calls(), 3);
    // Two more, and then no third: what the provider has said is told.
    assert_eq!(client.post(CHAT, &[], chat("m", false)).await.unwrap().status, 500);
    assert_eq!(failing.calls(), 5);
    assert_eq!(client.post(CHAT, &[], chat("m", false)).await.unwrap().status, 429);
    assert_eq!(failing.calls(), 5);
    for _ in 0..4 {
        let got = client.post(CHAT, &[], chat("away", false)).await.unwrap();
        assert!(got.status >= 500, "{} {}", got.status, got.text());
    }
    let metrics = proxy.metrics().unwrap();
    assert!(metrics.sum("sluicegate_attempts_total", &[("provider", "gone"), ("result", "connect_failed")]) > 5.0);
}

#[tokio::test]
async fn second_attempts_copies_and_the_rests_of_streams_are_made_only_where_there_is_room() {
    let late = |received: &Received| {
        let acts = if received.streams() { openai_stream("late") } else { vec![openai_whole("late")] };
        std::iter::once(Act::Wait(Duration::from_millis(400))).chain(acts).collect()
    };
    let (slow, copies, beside) = (Upstream::start(late).unwrap(), plain_upstream(), plain_upstream());
    let broken = Upstream::always(vec![
        stream_head(),
        chunk(openai_piece(r#"{"content":"one "}"#, "null").as_bytes()),
        Act::Close,
    ]);
    let (broken, once, other) = (broken.unwrap(), plain_upstream(), plain_upstream());
    let rate = |amount: u32| format!("{{unit: Requests, amount: {amount}, window: 1h}}");
    let text = pool(
        "p",
        &[
            provider("slow", "OpenAICompatible", slow.address, "priority: 0"),
            limited("beside", beside.address, &rate(2), "priority: 1"),
        ],
        "",
    ) + &pool("copies", &[limited("copies", copies.address, &rate(3), "")], "")
        + &rule(
            "m",
            "    targets: [{poolRef: {name: p}}]\n    hedge: {after: 50ms, maxPercent: 100}\n    mirror: {poolRef: {name: copies}, percent: 100}\n",
        )
        + &pool(
            "s",
            &[
                provider("broken", "OpenAICompatible", broken.address, "priority: 0"),
                limited("once", once.address, &rate(1), "priority: 1"),
                provider("other", "OpenAICompatible", other.address, "priority: 2"),
            ],
            "  circuitBreaker: {consecutiveFailures: 1000, minimumRequests: 1000}\n",
        )
        + &rule("s", "    targets: [{poolRef: {name: s}}]\n    streamFailover: {}\n");
    let proxy = Proxy::start(&[("all.yaml", &text)], &["--workers", "1"]).unwrap();
    let client = proxy.client();
    for _ in 0..5 {
        let got = client.post(CHAT, &[], chat("m", false)).await.unwrap();
        assert_eq!(got.status, 200, "{}", got.text());
    }
    assert_eq!((slow.calls(), beside.calls()), (5, 2));
    let refused = |proxy: &Proxy| {
        proxy.metrics().unwrap().sum("sluicegate_mirrored_calls_total", &[("outcome", "refused")]) > 1.5
    };
    proxy.until("all copies are counted", refused).await.unwrap();
    assert_eq!(copies.calls(), 3);
    for _ in 0..3 {
        let got = client.post(CHAT, &[], chat("s", true)).await.unwrap();
        assert!(got.is_good() && got.text().contains("fine"), "{}", got.text());
    }
    assert_eq!((broken.calls(), once.calls(), other.calls()), (3, 1, 2));
}

#[tokio::test]
async fn money_is_reserved_by_the_providers_own_price_and_settled_by_what_an_attempt_cost() {
    let price = "price: {inputPerMillion: \"100\", outputPerMillion: \"1000\"}";
    // Three tokens of prompt and two of answer: 0.0023 dollars each.
    for (unknown, of_free) in [("", 0), (", unknownPrice: Free", 1)] {
        let (first, second) = (plain_upstream(), plain_upstream());
        let limit = format!("{{unit: Cost, amount: \"0.02\", window: 1h{unknown}}}");
        let providers = [
            limited(
                "a",
                first.address,
                &limit,
                &format!("priority: 0, models: [{{name: m, {price}}}, {{name: f}}, {{name: alone}}]"),
            ),
            provider("b", "OpenAICompatible", second.address, "priority: 1, models: [{name: m}, {name: f}]"),
        ];
        let text = pool("p", &providers, "") + &["m", "f", "alone"].map(|model| route(model, "p")).concat();
        let proxy = Proxy::start(&[("all.yaml", &text)], &[]).unwrap();
        let client = proxy.client();
        let ask = async |model: &str, most: u64| client.post(CHAT, &[], asking(model, most, false)).await.unwrap();
        // What may cost more than there ever is goes elsewhere, and takes nothing.
        assert_eq!(ask("m", 1_000).await.status, 200);
        assert_eq!((first.calls(), second.calls()), (0, 1));
        assert_eq!(ask("f", 1).await.status, 200);
        assert_eq!((first.calls(), second.calls()), (of_free, 2 - of_free));
        let alone = ask("alone", 1).await;
        assert_eq!(alone.status, if of_free == 0 { 403 } else { 200 }, "{}", alone.text());
        for _ in 0..12 {
            assert_eq!(ask("m", 1).await.status, 200);
        }
        let made = first.calls() - 2 * of_free;
        assert!((6..=8).contains(&made), "{made} of 8 at most");
        assert_eq!(made + second.calls(), 14 - of_free);
    }
}
