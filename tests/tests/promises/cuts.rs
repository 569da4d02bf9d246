//! A stream that breaks after its first token ends in the dialect's error event, and its body as the vendors' own does;
//! where no event can be said the connection is aborted. Never is there anything that could be taken for the answer's end.

use std::time::Duration;

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
        assert!(answer.whole, "an SDK that has read the error is told of another: {told}");
        assert!(!way.says_end(&answer), "it says that it is whole: {told}");
        let (name, text) = way.error(&answer);
        assert!(!name.is_empty() && !text.is_empty(), "no error event: {told}");
    }
}

#[tokio::test]
async fn a_stream_that_breaks_says_so_and_never_that_it_is_whole() {
    let simulator = good();
    let proxy = Proxy::start(&[("all.yaml", &manifests(simulator.address))], &[]).unwrap();
    for why in ["fail=cut; after=3", "fail=reset; after=3", "fail=stall; after=3", "fail=stream-error; after=3"] {
        breaks(&proxy.client(), why).await;
    }
}

#[tokio::test]
async fn a_broken_stream_says_so_over_http2_too() {
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
async fn an_event_that_breaks_off_in_its_middle_is_aborted() {
    // Too long to be held back: its beginning has passed, and an error event in it would be none.
    let text = format!("data: {{\"choices\":[{{\"index\":0,\"delta\":{{\"content\":\"{}", "x".repeat(3 << 20));
    let upstream = Upstream::always(vec![stream_head(), chunk(text.as_bytes()), Act::Close]).unwrap();
    let proxy = Proxy::start(&[("all.yaml", &manifests(upstream.address))], &[]).unwrap();
    // Who asks for usage himself is passed every byte as it comes; else the gateway's own usage event is looked for.
    let usage = "\"stream\":true,\"stream_options\":{\"include_usage\":true}";
    let body = chat("openai", true).replace("\"stream\":true", usage);
    let (seen, _) = raw(proxy.address, &post(CHAT, &[], &body), usize::MAX).await.unwrap();
    let seen = String::from_utf8_lossy(&seen);
    assert!(seen.len() > 1 << 20 && seen.contains("transfer-encoding: chunked"));
    assert!(!seen.ends_with("0\r\n\r\n") && !seen.contains("error"), "{}", &seen[seen.len() - 99..]);
    assert!(!Client::http2(proxy.address).post(CHAT, &[], body).await.unwrap().whole);
}

/// A stream whose answer is whole by its own reason, and that goes on with nothing.
fn without_an_end(anthropic: bool) -> Vec<Act> {
    let said = if anthropic {
        concat!(
            "event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"id\":\"m\",\"model\":\"m\"}}\n\n",
            "event: content_block_start\ndata: {\"type\":\"content_block_start\",\"index\":0,\"content_block\":{\"type\":\"text\",\"text\":\"\"}}\n\n",
            "event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"type\":\"text_delta\",\"text\":\"one\"}}\n\n",
            "event: content_block_stop\ndata: {\"type\":\"content_block_stop\",\"index\":0}\n\n",
            "event: message_delta\ndata: {\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"end_turn\"},\"usage\":{\"output_tokens\":1}}\n\n",
        )
        .to_owned()
    } else {
        openai_piece(r#"{"role":"assistant","content":"one"}"#, "\"stop\"")
    };
    let heartbeat = [chunk(b": hb\n\n"), Act::Wait(Duration::from_millis(200))];
    let heartbeats = heartbeat.into_iter().cycle().take(200);
    [stream_head(), chunk(said.as_bytes())].into_iter().chain(heartbeats).chain([Act::Hang]).collect()
}

#[tokio::test]
async fn an_answer_that_is_whole_is_ended_though_its_provider_never_ends_it() {
    let upstream = Upstream::start(|received| without_an_end(received.head.contains("/messages HTTP"))).unwrap();
    // Neither silence nor the total time can end it.
    let text = manifests(upstream.address).replace("idle: 300ms, total: 20s", "idle: 300s, total: 600s");
    let proxy = Proxy::start(&[("all.yaml", &text)], &[]).unwrap();
    for (kind, anthropic) in KINDS {
        let way = Way { anthropic, stream: true };
        let answer = way.call(&proxy.client(), &kind.to_lowercase(), &[]).await;
        let text = answer.text();
        assert!(answer.is_good() && way.says_end(&answer), "{way:?} of {kind}: {text}");
        assert_eq!(way.said(&answer), "one", "{text}");
        let end = if anthropic { "\"type\":\"message_stop\"}\n\n" } else { "data: [DONE]\n\n" };
        assert!(text.ends_with(end), "something stands behind the end: {text}");
    }
    let metrics = proxy.metrics().unwrap();
    assert_eq!(metrics.sum("sluicegate_requests_total", &[("outcome", "done")]), 4.0, "{}", metrics.0);
}

#[tokio::test]
async fn nothing_stands_behind_an_answers_end() {
    let more = openai_piece(r#"{"content":"two"}"#, "null");
    let said = openai_piece(r#"{"content":"one"}"#, "\"stop\"") + "data: [DONE]\n\n";
    for acts in [
        vec![chunk((said.clone() + &more).as_bytes()), last_chunk()],
        vec![chunk(said.as_bytes()), chunk(more.as_bytes()), chunk(b": hb\n\n"), Act::Hang],
    ] {
        let upstream = Upstream::always([vec![stream_head()], acts].concat()).unwrap();
        let proxy = Proxy::start(&[("all.yaml", &manifests(upstream.address))], &[]).unwrap();
        for anthropic in [false, true] {
            let way = Way { anthropic, stream: true };
            let answer = way.call(&proxy.client(), "openai", &[]).await;
            assert!(answer.is_good() && way.says_end(&answer) && way.said(&answer) == "one", "{}", answer.text());
        }
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
    assert!(!way.says_end(&answer), "{}", answer.text());
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
            assert_eq!(text.matches("boom").count(), 1, "{text}");
            assert!(!way.says_end(&answer), "it says that it is whole: {text}");
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
        tokio::time::sleep(Duration::from_millis(25)).await;
    }
    panic!("the provider still works for nobody");
}

#[tokio::test]
async fn a_broken_stream_says_so_over_http_1_0_too() {
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
        assert!(ended.is_ok(), "{steer}: {ended:?}: {seen}");
        assert!(!seen.contains("transfer-encoding") && seen.contains("data: "), "{seen}");
        assert_eq!((seen.contains("error"), seen.contains("[DONE]")), (breaks, !breaks), "{seen}");
    }
}

#[tokio::test]
async fn half_of_the_last_event_is_no_end() {
    let responses = "event: response.created\ndata: {\"type\":\"response.created\",\"sequence_number\":0,\"response\":{\"id\":\"r\",\"object\":\"response\",\"created_at\":1,\"model\":\"m\",\"status\":\"in_progress\",\"output\":[]}}\n\n\
                     event: response.output_text.delta\ndata: {\"type\":\"response.output_text.delta\",\"sequence_number\":1,\"item_id\":\"i\",\"output_index\":0,\"content_index\":0,\"delta\":\"one\"}\n\n\
                     event: response.completed\ndata: {\"type\":\"response.completed\",\"sequence_number\":2,\"response\":{\"id\":\"r\",\"status\":\"comp";
    let messages = "event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"id\":\"m\",\"type\":\"message\",\"role\":\"assistant\",\"model\":\"m\",\"content\":[],\"usage\":{\"input_tokens\":3,\"output_tokens\":1}}}\n\n\
                    event: content_block_start\ndata: {\"type\":\"content_block_start\",\"index\":0,\"content_block\":{\"type\":\"text\",\"text\":\"\"}}\n\n\
                    event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"type\":\"text_delta\",\"text\":\"one\"}}\n\n\
                    event: message_stop\ndata: {\"type\":\"mess";
    for (kind, path, cut) in [("OpenAI", "/v1/responses", responses), ("Anthropic", MESSAGES, messages)] {
        let upstream = Upstream::always(vec![stream_head(), chunk(cut.as_bytes()), last_chunk()]).unwrap();
        let text = pool("p", &[provider("only", kind, upstream.address, "")], "") + &route("m", "p");
        let proxy = Proxy::start(&[("all.yaml", &text)], &[]).unwrap();
        let body = match kind {
            "OpenAI" => r#"{"model":"m","input":"x","stream":true}"#.to_owned(),
            _ => message("m", true),
        };
        let answer = proxy.client().post(path, &[], body).await.unwrap();
        let text = answer.text();
        assert!(text.contains("event: error") && text.contains("one"), "{kind}: {text}");
        assert!(!text.contains("\"comp") && !text.contains("\"mess\""), "{kind}: {text}");
        let cut = |proxy: &Proxy| {
            proxy.metrics().unwrap().sum("sluicegate_requests_total", &[("outcome", "upstream_cut")]) as u64 == 1
        };
        proxy.until("the call is told of as it ended", cut).await.unwrap();
    }
}
