//! Calls that wait for room in the window of a rate limit (`onExceeded: Queue`) of one proxy: each goes when there is room, by priority,
//! is refused where it would wait in vain, and leaves when its caller leaves.

use std::time::Duration;

use sluicegate_tests::client::Answer;
use sluicegate_tests::proxy::Proxy;
use sluicegate_tests::upstream::{Act, Gate, Received, Upstream};

use crate::rate_limits::{asking, limited};
use crate::resources::{CHAT, chat, openai_whole, plain_upstream, pool, provider};

fn start(upstream: &Upstream, routes: &str) -> Proxy {
    let lane = "headers: {pass: [x-lane]}";
    let pool = pool("p", &[provider("a", "OpenAICompatible", upstream.address, lane)], "  retry: {attempts: 1}\n");
    Proxy::start(&[("all.yaml", &(pool + routes))], &["--workers", "2"]).unwrap()
}

fn waiting(proxy: &Proxy) -> u64 {
    sum(proxy, "sluicegate_queued_calls", &[("scope", "rate")])
}

fn sum(proxy: &Proxy, name: &str, labels: &[(&str, &str)]) -> u64 {
    proxy.metrics().unwrap().sum(name, labels).round() as u64
}

/// A call on its way.
fn call(
    proxy: &Proxy,
    lane: &'static str,
    more: Option<&'static str>,
    body: String,
) -> tokio::task::JoinHandle<Answer> {
    let client = proxy.client();
    tokio::task::spawn_local(async move {
        let headers: Vec<_> = [("x-lane", lane)].into_iter().chain(more.map(|value| ("x-priority", value))).collect();
        client.post(CHAT, &headers, body).await.unwrap()
    })
}

/// The most calls that came within a window, by the upstream's own clock.
fn most_within(window: Duration, received: &[Received]) -> usize {
    let mut times: Vec<_> = received.iter().map(|call| call.at).collect();
    times.sort_unstable();
    let within = |from: usize| times[from..].iter().take_while(|at| **at - times[from] < window).count();
    (0..times.len()).map(within).max().unwrap_or_default()
}

#[tokio::test(flavor = "local")]
async fn calls_beyond_a_limit_wait_for_their_room_and_all_are_answered() {
    let upstream = plain_upstream();
    let queue = "onExceeded: Queue, queue: {timeout: 60s}";
    let proxy =
        start(&upstream, &limited("m", &format!("{{per: Route, unit: Requests, amount: 3, window: 2s, {queue}}}")));
    let calls: Vec<_> = (0..10).map(|_| call(&proxy, "", None, chat("m", false))).collect();
    proxy.until("some wait", |proxy| waiting(proxy) > 0).await.unwrap();
    // Those who wait are calls in flight: what scales proxies by those counts them.
    assert!(sum(&proxy, "sluicegate_inflight_requests", &[]) > 0);
    for call in calls {
        let answer = call.await.unwrap();
        assert!(answer.is_good(), "{}", answer.text());
    }
    assert!(most_within(Duration::from_secs(2), &upstream.received()) <= 3);
    let checks = |outcome| sum(&proxy, "sluicegate_limit_checks_total", &[("outcome", outcome)]);
    // A check is counted by what became of it in the end.
    assert_eq!((checks("admitted"), checks("refused"), waiting(&proxy)), (10, 0, 0));
    assert!(proxy.metrics().unwrap().sum("sluicegate_queued_seconds_total", &[("scope", "rate")]) > 0.0);
    let all = proxy.metrics().unwrap();
    assert!(!all.0.contains("sluicegate_concurrency_inflight_calls{scope=\"rate\"}"), "nobody has a place");
    assert!(proxy.log().iter().any(|line| line.contains("\"queued_ms\":")), "{:?}", proxy.log());
}

#[tokio::test(flavor = "local")]
async fn who_would_wait_in_vain_is_refused_at_once_and_told_when_to_come_back() {
    let upstream = plain_upstream();
    let limit = |more: &str| format!("{{per: Route, unit: Requests, amount: 1, window: {more}}}");
    let routes = limited("late", &limit("1h, onExceeded: Queue, queue: {timeout: 60s}"))
        + &limited("full", &limit("1m, onExceeded: Queue, queue: {size: 2, timeout: 5m}"))
        + &limited("mixed", &(limit("1h") + ", " + &limit("2s, onExceeded: Queue")));
    let proxy = start(&upstream, &routes);
    let client = proxy.client();
    for model in ["late", "full", "mixed"] {
        assert!(client.post(CHAT, &[], chat(model, false)).await.unwrap().is_good());
    }
    // Its room comes after its time.
    let late = client.post(CHAT, &[], chat("late", false)).await.unwrap();
    assert_eq!((late.status, late.header("x-should-retry")), (429, "false"), "{}", late.text());
    assert!(late.header("retry-after").parse::<u64>().unwrap() > 60, "{:?}", late.headers);
    assert!(late.text().contains("the limit is 1 request per 1h for this route"), "{}", late.text());
    assert_eq!(late.header("x-ratelimit-remaining-requests"), "0");
    // A limit that lets nobody wait refuses, whatever the others say.
    let mixed = client.post(CHAT, &[], chat("mixed", false)).await.unwrap();
    assert!(mixed.status == 429 && mixed.text().contains("per 1h"), "{}", mixed.text());
    // One waits for the next room, one waits behind it, and no third one may: those are the two that `size` lets wait.
    let (first, second) = (call(&proxy, "", None, chat("full", false)), call(&proxy, "", None, chat("full", false)));
    proxy.until("two wait", |proxy| waiting(proxy) == 2).await.unwrap();
    let third = client.post(CHAT, &[], chat("full", false)).await.unwrap();
    assert_eq!(third.status, 429, "{}", third.text());
    // The next room is theirs, and so is the one behind it: that is longer than anybody is told to stay away.
    assert_eq!(third.header("retry-after"), "120");
    first.abort();
    second.abort();
    proxy.until("nobody waits", |proxy| waiting(proxy) == 0).await.unwrap();
    assert_eq!(upstream.calls(), 3, "who leaves takes nothing");
    assert!(sum(&proxy, "sluicegate_queue_refusals_total", &[("scope", "rate")]) >= 2);
}

#[tokio::test(flavor = "local")]
async fn higher_priorities_go_first() {
    let upstream = plain_upstream();
    let queue = "queue: {timeout: 60s, priorityHeader: {name: X-Priority, values: [{value: urgent, priority: 10}]}}";
    let limit = format!("{{per: Route, unit: Requests, amount: 1, window: 5s, onExceeded: Queue, {queue}}}");
    let proxy = start(&upstream, &limited("m", &limit));
    let mut all = vec![call(&proxy, "first", None, chat("m", false))];
    proxy.until("one has room", |_| upstream.calls() == 1).await.unwrap();
    for (number, (lane, priority)) in (1..).zip([("head", None), ("low", None), ("high", Some("urgent"))]) {
        all.push(call(&proxy, lane, priority, chat("m", false)));
        proxy.until("it waits", |proxy| waiting(proxy) >= number || upstream.calls() > 1).await.unwrap();
    }
    for call in all {
        assert!(call.await.unwrap().is_good());
    }
    let order: Vec<_> = upstream.received().iter().map(|call| call.header("x-lane").to_owned()).collect();
    assert_eq!(order, ["first", "head", "high", "low"]);
}

#[tokio::test(flavor = "local")]
async fn what_a_call_has_not_used_lets_the_next_one_go_long_before_the_window_is_over() {
    let gate = Gate::default();
    let upstream = Upstream::always(vec![Act::Until(gate.clone()), openai_whole("fine")]).unwrap();
    let limit = "{per: Route, unit: Tokens, amount: 1000, window: 1h, onExceeded: Queue, queue: {timeout: 60s}}";
    let proxy = start(&upstream, &limited("m", limit));
    let first = call(&proxy, "", None, asking("m", 900, false));
    proxy.until("one is at work", |_| upstream.calls() == 1).await.unwrap();
    let second = call(&proxy, "", None, asking("m", 900, false));
    proxy.until("one waits", |proxy| waiting(proxy) == 1).await.unwrap();
    gate.open();
    let answers = [first.await.unwrap(), second.await.unwrap()];
    assert!(answers.iter().all(Answer::is_good), "{:?}", answers.map(|answer| answer.text()));
}

#[tokio::test(flavor = "local")]
async fn a_proxy_that_stops_says_how_many_wait_and_lets_them_have_their_turn() {
    let upstream = plain_upstream();
    let limit = "{per: Route, unit: Requests, amount: 1, window: 1s, onExceeded: Queue, queue: {timeout: 60s}}";
    let mut proxy = start(&upstream, &limited("m", limit));
    let first = call(&proxy, "", None, chat("m", false));
    assert!(first.await.unwrap().is_good());
    let calls: Vec<_> = (0..4).map(|_| call(&proxy, "", None, chat("m", false))).collect();
    proxy.until("most wait", |proxy| waiting(proxy) >= 3).await.unwrap();
    proxy.terminate().unwrap();
    for call in calls {
        let answer = call.await.unwrap();
        assert!(answer.is_good(), "{}", answer.text());
    }
    assert!(proxy.ended().await.unwrap().success());
    let log = proxy.log();
    let told = log.iter().find(|line| line.contains("\"stopping\"")).unwrap();
    let told: serde_json::Value = serde_json::from_str(told).unwrap();
    let queued = told.pointer("/queued").or_else(|| told.pointer("/fields/queued")).and_then(serde_json::Value::as_u64);
    assert!(queued.is_some_and(|queued| queued > 0), "{told}");
}

#[tokio::test(flavor = "local")]
async fn who_stands_behind_those_that_take_the_next_room_is_refused_at_once() {
    let upstream = plain_upstream();
    let limit = "{per: Route, unit: Requests, amount: 2, window: 1m, onExceeded: Queue, queue: {timeout: 90s}}";
    let proxy = start(&upstream, &limited("m", limit));
    let client = proxy.client();
    for _ in 0..2 {
        assert!(client.post(CHAT, &[], chat("m", false)).await.unwrap().is_good());
    }
    let first = call(&proxy, "", None, chat("m", false));
    proxy.until("one waits", |proxy| waiting(proxy) == 1).await.unwrap();
    let second = call(&proxy, "", None, chat("m", false));
    proxy.until("two wait", |proxy| waiting(proxy) == 2).await.unwrap();
    // Theirs is the next room; the one behind it comes after two minutes.
    let third = client.post(CHAT, &[], chat("m", false)).await.unwrap();
    let again = third.header("retry-after").parse::<u64>().unwrap();
    assert!(third.status == 429 && (90..=125).contains(&again), "{again}: {}", third.text());
    first.abort();
    second.abort();
}

#[tokio::test(flavor = "local")]
async fn a_limit_that_is_raised_or_removed_lets_in_who_waits() {
    let limit = |amount: u32| {
        format!(
            "{{per: Route, unit: Requests, amount: {amount}, window: 1m, onExceeded: Queue, queue: {{timeout: 5m}}}}"
        )
    };
    let total = "  timeouts: {total: 5m}\n";
    for then in [limit(100), "{per: Route, unit: Tokens, amount: 1000000, window: 1m}".to_owned()] {
        let upstream = plain_upstream();
        let pool = pool("p", &[provider("a", "OpenAICompatible", upstream.address, "")], total);
        let text = |limits: &str| pool.clone() + &limited("m", limits);
        let proxy = Proxy::start(&[("all.yaml", &text(&limit(1)))], &["--workers", "2"]).unwrap();
        assert!(proxy.client().post(CHAT, &[], chat("m", false)).await.unwrap().is_good());
        let calls: Vec<_> = (0..4).map(|_| call(&proxy, "", None, chat("m", false))).collect();
        proxy.until("they wait", |proxy| waiting(proxy) == 4).await.unwrap();
        proxy.write("all.yaml", &text(&then)).unwrap();
        proxy.until(&format!("`{then}` lets all in"), |_| upstream.calls() == 5).await.unwrap();
        for call in calls {
            assert!(call.await.unwrap().is_good());
        }
    }
}
