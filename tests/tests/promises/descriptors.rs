//! A process that has as many files open as it may: health answers, calls are told to come again, and no provider is
//! blamed.

use std::time::Duration;

use sluicegate_tests::client::Client;
use sluicegate_tests::proxy::Proxy;
use sluicegate_tests::upstream::{Act, Upstream};

use crate::resources::{CHAT, Way, chat, openai_whole, pool, provider, route};

const WHOLE: Way = Way { anthropic: false, stream: false };
/// Enough for a proxy of two workers, and too few for a hundred calls at once.
const FEW: u32 = 100;

fn said(proxy: &Proxy, words: &str) -> bool {
    proxy.log().iter().any(|line| line.contains(words))
}

#[tokio::test]
async fn callers_can_not_take_every_descriptor() {
    let slow = Upstream::always(vec![openai_whole("fine")]).unwrap();
    let text = pool("p", &[provider("a", "OpenAI", slow.address, "")], "") + &route("m", "p");
    let proxy = Proxy::limited(FEW, &[("all.yaml", &text)], &["--workers", "2"]).unwrap();
    proxy.ready().unwrap();
    assert!(said(&proxy, "the limit of open files is low") && said(&proxy, "\"descriptors\":100"), "{:?}", proxy.log());
    let first = proxy.client();
    assert!(WHOLE.call(&first, "m", &[]).await.is_good());
    let mut open = Vec::new();
    for _ in 0..300 {
        open.push(tokio::net::TcpStream::connect(proxy.address).await.unwrap());
    }
    for path in ["/healthz", "/readyz", "/metrics"] {
        assert_eq!(proxy.page(path).unwrap().0, 200, "{path}");
    }
    assert!(WHOLE.call(&first, "m", &[]).await.is_good(), "who was there before is served");
    drop(open);
    proxy.until("callers come and go again", |proxy| proxy.page("/healthz").is_ok()).await.unwrap();
}

#[tokio::test]
async fn without_a_descriptor_for_a_provider_callers_come_again_and_no_circuit_opens() {
    let slow = Upstream::start(|_| vec![Act::Wait(Duration::from_secs(2)), openai_whole("fine")]).unwrap();
    let text = pool("p", &[provider("a", "OpenAI", slow.address, "")], "  retry: {attempts: 1}") + &route("m", "p");
    let proxy = Proxy::limited(FEW, &[("all.yaml", &text)], &["--workers", "2"]).unwrap();
    proxy.ready().unwrap();
    // Over HTTP/2 a hundred calls are one connection of the caller's, and as many towards the provider as there may be.
    let client = Client::http2(proxy.address);
    let mut calls = tokio::task::JoinSet::new();
    for _ in 0..100 {
        let client = client.clone();
        calls.spawn(async move { client.post(CHAT, &[], chat("m", false)).await });
    }
    let refused = |proxy: &Proxy| {
        proxy.metrics().is_ok_and(|metrics| metrics.sum("sluicegate_attempts_total", &[("result", "gateway")]) > 0.0)
    };
    proxy.until("some attempt finds no descriptor", refused).await.unwrap();
    for _ in 0..50 {
        assert_eq!(proxy.page("/healthz").unwrap().0, 200);
        assert_eq!(proxy.page("/readyz").unwrap().0, 200);
    }
    let answers = calls.join_all().await.into_iter().map(Result::unwrap).collect::<Vec<_>>();
    let (good, bad): (Vec<_>, Vec<_>) = answers.iter().partition(|answer| answer.is_good());
    assert!(!good.is_empty() && !bad.is_empty(), "{} good, {} bad", good.len(), bad.len());
    for answer in bad {
        let (_, words) = WHOLE.error(answer);
        assert!(answer.status == 503 && words.contains("The gateway can not reach"), "{}", answer.text());
        assert_eq!((answer.header("x-should-retry"), answer.header("retry-after")), ("true", "1"));
    }
    // Nobody holds it against the provider. A worker that had no connection has one when another has given one up.
    let client = proxy.client();
    for again in (0..20).rev() {
        let answer = WHOLE.call(&client, "m", &[]).await;
        if answer.is_good() {
            break;
        }
        assert!(answer.status == 503 && again > 0, "{}", answer.text());
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    let metrics = proxy.metrics().unwrap();
    assert_eq!(metrics.sum("sluicegate_attempts_total", &[("result", "connect_failed")]), 0.0);
    assert_eq!(metrics.sum("sluicegate_endpoint_circuit_opened_total", &[]), 0.0);
}
