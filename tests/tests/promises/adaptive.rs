//! Limits of concurrency that find themselves: an upstream that slows down under load is kept near its knee, one that has no knee gets
//! all that is allowed, and one that says that it has too much gets less for a while.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures_util::StreamExt as _;
use sluicegate_tests::client::Answer;
use sluicegate_tests::proxy::Proxy;
use sluicegate_tests::upstream::{Act, AtWork, Upstream, answer};

use crate::resources::{CHAT, chat, openai_whole, pool, provider};

const LIMIT: &str = "sluicegate_endpoint_concurrency_limit";

fn start(upstream: &Upstream, limits: &str) -> Proxy {
    let breaker = "  retry: {attempts: 1}\n  circuitBreaker: {consecutiveFailures: 0, minimumRequests: 100000}\n";
    let text = pool("p", &[provider("a", "OpenAICompatible", upstream.address, limits)], breaker)
        + "apiVersion: sluicegate.dev/v1alpha1\nkind: LLMRoute\nmetadata: {name: m}\nspec:\n  rules:\n  - {name: only, targets: [{poolRef: {name: p}}]}\n";
    Proxy::start(&[("all.yaml", &text)], &["--workers", "2"]).unwrap()
}

/// An upstream that works on calls for as long as this says of how many there are.
fn working(at_work: &AtWork, ill: &Arc<AtomicBool>, time: fn(u64) -> u64) -> Upstream {
    let (at_work, ill) = (at_work.clone(), Arc::clone(ill));
    Upstream::start(move |_| {
        at_work.come();
        let over = Act::Over(at_work.clone());
        if ill.load(Ordering::Relaxed) {
            let body = br#"{"error":{"message":"Overloaded","type":"overloaded_error"}}"#;
            return vec![over, answer(529, &[("content-type", "application/json")], body)];
        }
        vec![Act::Wait(Duration::from_millis(time(at_work.now()))), over, openai_whole("fine")]
    })
    .unwrap()
}

/// So many calls, of which so many are under way at once.
async fn calls(proxy: &Proxy, count: usize, at_once: usize) -> Vec<Answer> {
    let client = proxy.client();
    let calls = (0..count).map(|_| {
        let client = &client;
        async move { client.post(CHAT, &[], chat("m", false)).await.unwrap() }
    });
    futures_util::stream::iter(calls).buffer_unordered(at_once).collect().await
}

fn limit(proxy: &Proxy) -> f64 {
    proxy.metrics().unwrap().sum(LIMIT, &[])
}

#[tokio::test(flavor = "local")]
async fn an_upstream_that_slows_down_under_load_is_kept_near_its_knee() {
    let (at_work, well) = (AtWork::default(), Arc::default());
    // Four at once are as quick as one.
    let upstream = working(&at_work, &well, |calls| 60 * calls.max(4) / 4);
    let proxy = start(&upstream, "limits: {adaptive: {min: 2, max: 40, queue: {timeout: 120s}}}");
    assert!(calls(&proxy, 300, 60).await.iter().all(Answer::is_good));
    assert!(at_work.most() <= 40, "{}", at_work.most());
    at_work.look_again();
    assert!(calls(&proxy, 300, 60).await.iter().all(Answer::is_good));
    assert!((2..=20).contains(&at_work.most()), "{} {}", at_work.most(), limit(&proxy));
    assert_eq!(upstream.calls(), 600);
}

#[tokio::test(flavor = "local")]
async fn an_upstream_that_has_too_much_gets_less_and_later_all_that_is_allowed_again() {
    let (at_work, ill) = (AtWork::default(), Arc::new(AtomicBool::new(false)));
    let upstream = working(&at_work, &ill, |_| 60);
    let proxy = start(&upstream, "limits: {adaptive: {min: 2, max: 12, queue: {timeout: 120s}}}");
    let full = |proxy: &Proxy| limit(proxy) > 11.5;
    for _ in 0..20 {
        assert!(calls(&proxy, 100, 30).await.iter().all(Answer::is_good));
        if full(&proxy) {
            break;
        }
    }
    assert!(full(&proxy), "{}", limit(&proxy));
    assert!((8..=12).contains(&at_work.most()), "{}", at_work.most());
    ill.store(true, Ordering::Relaxed);
    for _ in 0..3 {
        assert!(calls(&proxy, 20, 20).await.iter().all(|answer| !answer.is_good()));
        tokio::time::sleep(Duration::from_millis(1_100)).await;
    }
    let less = limit(&proxy);
    assert!((2.0..7.0).contains(&less), "{less}");
    ill.store(false, Ordering::Relaxed);
    at_work.look_again();
    assert!(calls(&proxy, 8, 30).await.iter().all(Answer::is_good));
    assert!(at_work.most() <= 7, "{}", at_work.most());
    for _ in 0..40 {
        calls(&proxy, 100, 30).await;
        if full(&proxy) {
            break;
        }
    }
    assert!(full(&proxy), "{}", limit(&proxy));
}

#[tokio::test(flavor = "local")]
async fn nobody_finds_out_what_nobody_asked_for() {
    let (at_work, well) = (AtWork::default(), Arc::default());
    let upstream = working(&at_work, &well, |_| 60);
    let proxy = start(&upstream, "limits: {endpointConcurrency: {max: 12, queue: {timeout: 120s}}}");
    assert!(calls(&proxy, 60, 30).await.iter().all(Answer::is_good));
    assert_eq!(at_work.most(), 12);
    assert!(!proxy.metrics().unwrap().0.contains(&format!("{LIMIT}{{")));
}
