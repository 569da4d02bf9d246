//! Providers that come and go while calls are under way, and callers that do not keep up.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures_util::StreamExt as _;
use http_body_util::BodyExt as _;
use rustix::process::Signal;
use sluicegate_tests::binaries::Simulator;
use sluicegate_tests::client::{Client, post};
use sluicegate_tests::proxy::Proxy;
use sluicegate_tests::upstream::{Act, Upstream, chunk, stream_head};

use crate::resources::{CHAT, WAYS, Way, chat, good, openai_piece, openai_whole, pool, provider, route};

/// So many calls, 16 at once, in every way or whole ones only; gives back those that failed.
async fn failures(client: &Client, calls: usize, only_whole: bool) -> Vec<String> {
    let calls = futures_util::stream::iter(0..calls).map(|number| {
        let way = Way { stream: !only_whole && number % 2 == 0, ..WAYS[number % WAYS.len()] };
        async move {
            let answer = way.call(client, "m", &[]).await;
            let good = answer.is_good() && (!way.stream || way.says_end(&answer));
            (!good).then(|| format!("{number} {way:?}: {} whole={} {}", answer.status, answer.whole, answer.text()))
        }
    });
    calls.buffer_unordered(16).filter_map(std::future::ready).collect().await
}

fn both(flaky: std::net::SocketAddr, well: std::net::SocketAddr, more: &str) -> String {
    let providers = [
        provider("flaky", "OpenAI", flaky, &format!("priority: 0, {more}")),
        provider("well", "Anthropic", well, "priority: 1"),
    ];
    pool("p", &providers, "  timeouts: {firstToken: 1s, idle: 4s, total: 8s}") + &route("m", "p")
}

#[tokio::test]
async fn a_provider_that_fails_every_third_call_fails_no_callers() {
    let well = good();
    for kind in [
        &["reset"][..],
        &["status", "--fail-status", "503"],
        &["cut", "--fail-after", "0"],
        &["status", "--fail-status", "429"],
    ] {
        let flags = [&["--fail-percent", "33", "--fail"], kind].concat();
        let flaky = Simulator::start(&flags).unwrap();
        let proxy =
            Proxy::start(&[("all.yaml", &both(flaky.address, well.address, ""))], &["--log-sample", "0"]).unwrap();
        let lost = failures(&proxy.client(), 400, false).await;
        assert!(lost.is_empty(), "{kind:?}: {} failed, e.g. {:?}", lost.len(), lost.first());
    }
}

#[tokio::test]
async fn a_provider_killed_under_load_fails_no_whole_call_and_a_frozen_one_those_it_has() {
    for connection in ["", "connection: {http: HTTP2}"] {
        // Nobody can tell a frozen provider from one that takes its time over a whole answer: the calls that it has, as many
        // as are made at once, wait out their total time, and then its circuit opens.
        for (signal, most) in [(Signal::KILL, 0), (Signal::STOP, 32)] {
            let (well, ill) = (good(), Simulator::start(&["--first-token", "5ms"]).unwrap());
            let text = both(ill.address, well.address, connection);
            let proxy = Proxy::start(&[("all.yaml", &text)], &["--log-sample", "0"]).unwrap();
            let client = proxy.client();
            let load = failures(&client, 1_500, true);
            let strike = async {
                tokio::time::sleep(Duration::from_millis(150)).await;
                ill.process.signal(signal).unwrap();
            };
            let (lost, ()) = tokio::join!(load, strike);
            assert!(lost.len() <= most, "{signal:?} {connection}: {} failed, e.g. {:?}", lost.len(), lost.first());
        }
    }
}

#[tokio::test]
async fn a_stream_outlives_its_route_and_its_pool() {
    let simulator = good();
    let text = pool("p", &[provider("a", "OpenAI", simulator.address, "")], "") + &route("m", "p");
    let other = pool("q", &[provider("a", "OpenAI", simulator.address, "")], "") + &route("other", "q");
    let proxy = Proxy::start(&[("all.yaml", &text)], &[]).unwrap();
    let client = proxy.client();
    let way = Way { anthropic: false, stream: true };
    let headers = [("x-simulate", "tokens=60; interval=50ms")];
    let request = post(CHAT, &headers, chat("m", true)).unwrap();
    let open = client.open(request).await.unwrap();
    proxy.write("all.yaml", &other).unwrap();
    proxy
        .until("the route is gone", |proxy| proxy.page("/config").is_ok_and(|(_, text)| !text.contains("default/m")))
        .await
        .unwrap();
    // Workers take it a moment after the page tells of it.
    for _ in 0..400 {
        if way.call(&client, "m", &[]).await.status == 404 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert_eq!(way.call(&client, "m", &[]).await.status, 404);
    let answer = sluicegate_tests::client::read(open).await.unwrap();
    assert!(answer.is_good() && way.says_end(&answer), "{}", answer.text());
}

#[tokio::test]
async fn a_caller_that_reads_nothing_costs_bounded_memory_and_slows_its_provider_down() {
    let piece = openai_piece(&format!("{{\"content\":\"{}\"}}", "x".repeat(16 << 10)), "null");
    // 160 MiB a stream, if anybody took it.
    let mut acts = vec![stream_head()];
    acts.extend(std::iter::repeat_n(chunk(piece.as_bytes()), 10_000));
    acts.push(Act::Close);
    let upstream = Upstream::always(acts).unwrap();
    let text = pool("p", &[provider("a", "OpenAI", upstream.address, "")], "") + &route("m", "p");
    let proxy = Proxy::start(&[("all.yaml", &text)], &["--log-sample", "0"]).unwrap();
    let before = proxy.process().resident().unwrap();
    let mut open = Vec::new();
    // Each on a connection of its own: streams of one HTTP/2 connection share its window.
    for connect in [Client::new, Client::http2] {
        for _ in 0..8 {
            let client = connect(proxy.address);
            let mut response = client.open(post(CHAT, &[], chat("m", true)).unwrap()).await.unwrap();
            assert!(response.body_mut().frame().await.unwrap().is_ok());
            open.push((client, response));
        }
    }
    // Long enough for all of it to have come, if nothing held it back.
    tokio::time::sleep(Duration::from_secs(2)).await;
    let grown = proxy.process().resident().unwrap().saturating_sub(before);
    assert!(grown < 64 << 20, "{} MiB for 16 streams that nobody reads", grown >> 20);
    drop(open);
}

#[tokio::test]
async fn a_pool_that_is_all_down_answers_soon_and_comes_back_by_itself() {
    let ill = Arc::new(AtomicBool::new(false));
    let seen = Arc::clone(&ill);
    let upstream =
        Upstream::start(
            move |_| {
                if seen.load(Ordering::Relaxed) { vec![Act::Reset] } else { vec![openai_whole("here")] }
            },
        )
        .unwrap();
    let breaker = "  circuitBreaker: {consecutiveFailures: 2, openFor: 100ms, maxOpenFor: 200ms}\n  retry: {backoff: {initial: 1ms, max: 5ms}}";
    let text = pool("p", &[provider("a", "OpenAI", upstream.address, "")], breaker) + &route("m", "p");
    let proxy = Proxy::start(&[("all.yaml", &text)], &[]).unwrap();
    let (client, way) = (proxy.client(), Way { anthropic: false, stream: false });
    assert!(way.call(&client, "m", &[]).await.is_good());
    ill.store(true, Ordering::Relaxed);
    for _ in 0..20 {
        let answer = way.call(&client, "m", &[]).await;
        assert!((500..600).contains(&answer.status), "{}", answer.status);
        assert!(!way.error(&answer).1.is_empty());
    }
    ill.store(false, Ordering::Relaxed);
    for _ in 0..400 {
        if way.call(&client, "m", &[]).await.is_good() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(25)).await;
    }
    panic!("it was given up for good");
}
