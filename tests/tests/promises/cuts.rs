//! A stream that breaks after its first token ends in the dialect's error event and an aborted connection, never in
//! anything that could be taken for its end.

use sluicegate_tests::client::{self, Client, raw};
use sluicegate_tests::load::post;
use sluicegate_tests::proxy::Proxy;
use sluicegate_tests::upstream::{Act, Upstream, chunk, last_chunk, stream_head};

use crate::resources::{CHAT, MESSAGES, Way, chat, good, message, openai_piece, pool, provider, route};

const KINDS: [(&str, bool); 4] = [("OpenAI", false), ("OpenAI", true), ("Anthropic", false), ("Anthropic", true)];

fn manifests(address: std::net::SocketAddr) -> String {
    let patience = "  timeouts: {firstToken: 5s, idle: 300ms, total: 20s}";
    ["OpenAI", "Anthropic"]
        .map(|kind| {
            let name = kind.to_lowercase();
            pool(&name, &[provider("only", kind, address, "")], patience) + &route(&name, &name)
        })
        .concat()
}

async fn breaks(client: &Client, why: &str) {
    for (kind, anthropic) in KINDS {
        let way = Way { anthropic, stream: true };
        let steer = format!("{why}; text=one two three four five six seven eight; id={kind}{anthropic}");
        let answer = way.call(client, &kind.to_lowercase(), &[("x-simulate", &steer)]).await;
        let told = format!("{why}: {way:?} of {kind}: {}", answer.text());
        assert_eq!(answer.status, 200, "{told}");
        assert!(way.said(&answer).starts_with("one"), "what came before is passed on: {told}");
        assert!(!answer.whole, "a clean end: {told}");
        assert!(!way.says_end(&answer), "it says that it is whole: {told}");
        let (name, text) = way.error(&answer);
        assert!(!name.is_empty() && !text.is_empty(), "no error event: {told}");
    }
}

#[tokio::test]
async fn a_stream_that_breaks_says_so_and_is_aborted() {
    let simulator = good();
    let proxy = Proxy::start(&[("all.yaml", &manifests(simulator.address))], &[]).unwrap();
    for why in ["fail=cut; after=3", "fail=reset; after=3", "fail=stall; after=3", "fail=stream-error; after=3"] {
        breaks(&proxy.client(), why).await;
    }
}

#[tokio::test]
async fn a_broken_stream_is_reset_over_http2_too() {
    let simulator = good();
    let proxy = Proxy::start(&[("all.yaml", &manifests(simulator.address))], &[]).unwrap();
    let client = Client::http2(proxy.address);
    for why in ["fail=cut; after=3", "fail=stall; after=3"] {
        breaks(&client, why).await;
    }
    // The connection itself goes on.
    let way = Way { anthropic: false, stream: true };
    let answer = way.call(&client, "openai", &[]).await;
    assert!(answer.is_good() && way.says_end(&answer));
}

#[tokio::test]
async fn no_last_chunk_ends_a_broken_stream() {
    let simulator = good();
    let proxy = Proxy::start(&[("all.yaml", &manifests(simulator.address))], &[]).unwrap();
    for (path, body) in [(CHAT, chat("openai", true)), (MESSAGES, message("anthropic", true))] {
        let request = post(path, &[("x-simulate", "fail=cut; after=2; tokens=9")], &body);
        let (seen, _) = raw(proxy.address, &request, usize::MAX).await.unwrap();
        let text = String::from_utf8_lossy(&seen);
        assert!(text.contains("transfer-encoding: chunked"), "{text}");
        assert!(text.contains("error"), "{text}");
        assert!(!text.ends_with("0\r\n\r\n"), "{text}");
    }
}

#[tokio::test]
async fn half_an_event_never_reaches_the_caller() {
    let (said, half) = (openai_piece(r#"{"content":"one"}"#, "null"), openai_piece(r#"{"content":"two"}"#, "null"));
    let acts = vec![stream_head(), chunk(said.as_bytes()), chunk(&half.as_bytes()[..40]), Act::Close];
    let upstream = Upstream::always(acts).unwrap();
    let proxy = Proxy::start(&[("all.yaml", &manifests(upstream.address))], &[]).unwrap();
    let way = Way { anthropic: false, stream: true };
    let answer = way.call(&proxy.client(), "openai", &[]).await;
    assert!(!answer.whole);
    for line in answer.text().lines().filter_map(|line| line.strip_prefix("data: ")) {
        assert!(serde_json::from_str::<serde_json::Value>(line).is_ok(), "half an event: {line}");
    }
    assert!(!way.error(&answer).1.is_empty());
}

#[tokio::test]
async fn a_clean_end_without_the_dialects_end_is_no_end() {
    let said = openai_piece(r#"{"content":"one"}"#, "null");
    let acts = vec![stream_head(), chunk(said.as_bytes()), last_chunk()];
    let upstream = Upstream::always(acts).unwrap();
    let proxy = Proxy::start(&[("all.yaml", &manifests(upstream.address))], &[]).unwrap();
    let way = Way { anthropic: false, stream: true };
    let answer = way.call(&proxy.client(), "openai", &[]).await;
    assert!(!answer.whole && !way.says_end(&answer), "{}", answer.text());
    assert!(!way.error(&answer).1.is_empty());
}

#[tokio::test]
async fn an_error_is_no_end_whatever_the_provider_says_or_does_not_say_after_it() {
    let openai =
        openai_piece(r#"{"content":"one"}"#, "null") + "data: {\"error\":{\"message\":\"boom\",\"type\":\"t\"}}\n\n";
    let anthropic = concat!(
        "event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"id\":\"m\",\"model\":\"m\"}}\n\n",
        "event: content_block_start\ndata: {\"type\":\"content_block_start\",\"index\":0,\"content_block\":{\"type\":\"text\",\"text\":\"one\"}}\n\n",
        "event: error\ndata: {\"type\":\"error\",\"error\":{\"type\":\"overloaded_error\",\"message\":\"boom\"}}\n\n",
    );
    let ends = ["data: [DONE]\n\n", "event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n", ""];
    for (end, last) in ends.into_iter().flat_map(|end| [(end, last_chunk()), (end, Act::Hang)]) {
        let (openai, end, last) = (openai.clone(), end.to_owned(), last.clone());
        let upstream = Upstream::start(move |received| {
            let said = if received.head.contains("/messages HTTP") { anthropic } else { openai.as_str() };
            vec![stream_head(), chunk((said.to_owned() + &end).as_bytes()), last.clone()]
        })
        .unwrap();
        // A provider that says nothing more is not waited for until it has fallen silent by its timeout.
        let text = manifests(upstream.address).replace("idle: 300ms, total: 20s", "idle: 60s, total: 600s");
        let proxy = Proxy::start(&[("all.yaml", &text)], &[]).unwrap();
        for (kind, anthropic) in KINDS {
            let way = Way { anthropic, stream: true };
            let answer = way.call(&proxy.client(), &kind.to_lowercase(), &[]).await;
            let text = answer.text();
            assert!(!answer.whole, "a clean end: {text}");
            assert_eq!(text.matches("boom").count(), 1, "{text}");
            // Within a dialect the provider's own words pass, whatever they are.
            assert!((kind == "Anthropic") == anthropic || !way.says_end(&answer), "it says that it is whole: {text}");
        }
        let metrics = proxy.metrics().unwrap();
        assert_eq!(metrics.sum("sluicegate_requests_total", &[("outcome", "upstream_cut")]), 4.0, "{}", metrics.0);
    }
}

#[tokio::test]
async fn a_caller_who_leaves_takes_the_call_to_the_provider_with_it() {
    let simulator = good();
    let proxy = Proxy::start(&[("all.yaml", &manifests(simulator.address))], &[]).unwrap();
    let client = proxy.client();
    for (path, body) in [(CHAT, chat("openai", true)), (MESSAGES, message("openai", true))] {
        let request = client::post(path, &[("x-simulate", "tokens=2000; interval=50ms")], body).unwrap();
        let response = client.open(request).await.unwrap();
        assert_eq!(response.status(), 200);
        drop(response);
    }
    let journal = Client::new(simulator.address);
    for _ in 0..400 {
        let calls = journal.get("/__journal").await.unwrap().json();
        let gone = calls.as_array().unwrap().iter().filter(|call| call["outcome"] == "gone").count();
        if gone == 2 {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(25)).await;
    }
    panic!("the provider still works for nobody");
}

#[tokio::test]
async fn a_broken_stream_is_no_clean_end_over_http_1_0_either() {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let simulator = good();
    let proxy = Proxy::start(&[("all.yaml", &manifests(simulator.address))], &[]).unwrap();
    let body = chat("openai", true);
    for (steer, breaks) in [("tokens=3", false), ("fail=cut; after=2; tokens=9", true)] {
        let mut client = tokio::net::TcpStream::connect(proxy.address).await.unwrap();
        let request = format!(
            "POST {CHAT} HTTP/1.0\r\ncontent-type: application/json\r\nx-simulate: {steer}\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        );
        client.write_all(request.as_bytes()).await.unwrap();
        let mut seen = Vec::new();
        let ended = client.read_to_end(&mut seen).await;
        let seen = String::from_utf8_lossy(&seen);
        assert_eq!(ended.is_err(), breaks, "{steer}: {ended:?}: {seen}");
        assert!(!seen.contains("transfer-encoding") && seen.contains("data: "), "{seen}");
        assert_eq!(seen.contains("error"), breaks, "{seen}");
    }
}
