//! Connections to providers: what goes out twice, and that no answer reaches a caller that it was not for.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use sluicegate_tests::proxy::Proxy;
use sluicegate_tests::upstream::{Act, Upstream, answer};

use crate::resources::{CHAT, Way, chat, openai_whole, pool, provider, route};

const WHOLE: Way = Way { anthropic: false, stream: false };

fn one(upstream: &Upstream, more: &str) -> String {
    pool("p", &[provider("only", "OpenAI", upstream.address, more)], "") + &route("m", "p")
}

/// An answer that says the prompt again.
fn echo(received: &sluicegate_tests::upstream::Received) -> Act {
    let body: serde_json::Value = serde_json::from_slice(&received.body).unwrap_or_default();
    openai_whole(body["messages"][0]["content"].as_str().unwrap_or_default())
}

#[tokio::test]
async fn a_late_second_answer_reaches_nobody() {
    let turn = AtomicU64::new(0);
    // Behind each answer another one that nobody asked for, somewhat later each time.
    let upstream = Upstream::start(move |received| {
        let late = Duration::from_micros(turn.fetch_add(1, Ordering::Relaxed) % 40 * 50);
        vec![echo(received), Act::Wait(late), openai_whole("of another caller")]
    })
    .unwrap();
    let proxy = Proxy::start(&[("all.yaml", &one(&upstream, ""))], &[]).unwrap();
    let mut crossed = Vec::new();
    for number in 0..300 {
        let words = format!("words {number}");
        let body = format!(r#"{{"model":"m","messages":[{{"role":"user","content":"{words}"}}]}}"#);
        let said = proxy.client().post(CHAT, &[], body).await.unwrap();
        assert_eq!(said.status, 200, "{}", said.text());
        if WHOLE.said(&said) != words {
            crossed.push(number);
        }
    }
    assert!(crossed.is_empty(), "{} of 300: {crossed:?}", crossed.len());
    assert!(proxy.log().iter().any(|line| line.contains("no connection to it is used twice")));
}

#[tokio::test]
async fn a_connection_that_ends_at_the_next_request_fails_no_call_and_is_counted() {
    // Answers once; leaves when the connection is used again, without a word.
    let upstream = Upstream::start(|received| match received.number % 2 {
        0 => vec![echo(received)],
        _ => vec![Act::Close],
    })
    .unwrap();
    let proxy = Proxy::start(&[("all.yaml", &one(&upstream, ""))], &["--workers", "1"]).unwrap();
    let client = proxy.client();
    for _ in 0..100 {
        let said = WHOLE.call(&client, "m", &[]).await;
        assert_eq!(said.status, 200, "{}", said.text());
    }
    let metrics = proxy.metrics().unwrap();
    let resent = metrics.sum("sluicegate_resends_total", &[("pool", "default/p"), ("provider", "only")]);
    assert_eq!(resent, 99.0, "{}", metrics.0);
    assert_eq!(metrics.sum("sluicegate_attempts_total", &[("result", "success")]), 100.0);
    assert_eq!(metrics.sum("sluicegate_attempts_total", &[]), 100.0);
    assert_eq!(metrics.sum("sluicegate_retries_total", &[]), 0.0);
    proxy.until("the log tells it", |proxy| proxy.log().iter().any(|l| l.contains("\"resends\":1"))).await.unwrap();
}

#[tokio::test]
async fn where_a_pool_wants_no_retry_after_a_reset_nothing_goes_out_twice() {
    let upstream = Upstream::start(|received| match received.number {
        0 => vec![echo(received)],
        _ => vec![Act::Close],
    })
    .unwrap();
    let never = "  retry: {attempts: 1, retryOn: {triggers: [Connect]}}";
    let text = pool("p", &[provider("only", "OpenAI", upstream.address, "")], never) + &route("m", "p");
    let proxy = Proxy::start(&[("all.yaml", &text)], &["--workers", "1"]).unwrap();
    assert_eq!(WHOLE.call(&proxy.client(), "m", &[]).await.status, 200);
    let said = WHOLE.call(&proxy.client(), "m", &[]).await;
    assert_eq!((said.status, upstream.calls()), (502, 2));
    assert!(said.text().contains("it closed the connection before it answered"), "{}", said.text());
}

#[tokio::test]
async fn an_idle_connection_is_let_go_before_its_provider_does() {
    let upstream = Upstream::always(vec![openai_whole("fine")]).unwrap();
    let more = "connection: {idleTimeout: 1ms}";
    let proxy = Proxy::start(&[("all.yaml", &one(&upstream, more))], &["--workers", "1"]).unwrap();
    for calls in 1..=3 {
        assert!(WHOLE.call(&proxy.client(), "m", &[]).await.is_good());
        assert_eq!(upstream.connections(), calls);
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn a_coding_that_nobody_asked_for_is_named() {
    let coded = [("content-type", "application/json"), ("content-encoding", "gzip")];
    for (status, told) in [(200, 502), (400, 400)] {
        let upstream = Upstream::always(vec![answer(status, &coded, b"\x1f\x8b\x08\x00")]).unwrap();
        let proxy = Proxy::start(&[("all.yaml", &one(&upstream, ""))], &[]).unwrap();
        let said = proxy.client().post(CHAT, &[("accept-encoding", "gzip, br")], chat("m", false)).await.unwrap();
        assert_eq!((said.status, said.header("content-encoding")), (told, ""), "{}", said.text());
        assert_eq!(upstream.received().pop().unwrap().header("accept-encoding"), "identity");
        assert!(status != 200 || said.text().contains("`gzip`, which nobody asked for"), "{}", said.text());
    }
}
