//! Requests over a size go out compressed, where the pool says that its provider reads that.

use std::io::Read as _;

use serde_json::json;
use sluicegate_tests::proxy::Proxy;
use sluicegate_tests::upstream::{Received, Upstream, answer};

use crate::resources::{CHAT, MESSAGES, openai_stream, openai_whole, pool, provider, route};

const JSON: &[(&str, &str)] = &[("content-type", "application/json")];

fn gateway(upstream: &Upstream) -> Proxy {
    let text = pool("p", &[provider("a", "OpenAI", upstream.address, "connection: {compressRequestsOver: 2Ki}")], "");
    Proxy::start(&[("all.yaml", &(text + &route("m", "p")))], &["--workers", "1"]).unwrap()
}

fn body(words: usize, stream: bool) -> String {
    json!({"model": "m", "stream": stream, "max_tokens": 9, "messages": [{"role": "user", "content": "word ".repeat(words)}]}).to_string()
}

fn is_coded(received: &Received) -> bool {
    received.header("content-encoding") == "gzip"
}

fn plain(received: &Received) -> String {
    let mut text = String::new();
    match is_coded(received) {
        true => flate2::read::GzDecoder::new(&*received.body).read_to_string(&mut text).unwrap(),
        false => (&*received.body).read_to_string(&mut text).unwrap(),
    };
    text
}

#[tokio::test]
async fn large_ones_go_out_in_gzip_and_say_the_same() {
    let upstream = Upstream::start(|received| {
        let streams = if is_coded(received) { plain(received).contains("\"stream\":true") } else { received.streams() };
        if streams { openai_stream("fine") } else { vec![openai_whole("fine")] }
    })
    .unwrap();
    let proxy = gateway(&upstream);
    for (words, coded) in [(100, false), (1_000, true), (200_000, true)] {
        for stream in [false, true] {
            let body = body(words, stream);
            let got = proxy.client().post(CHAT, JSON, body.clone()).await.unwrap();
            assert!(got.is_good() && got.text().contains("fine"), "{}", got.text());
            let received = upstream.received().pop().unwrap();
            assert_eq!(is_coded(&received), coded, "{words}");
            assert!(!coded || received.body.len() * 10 < body.len());
            let said = plain(&received);
            // A stream's usage is asked for beside what the caller says.
            assert!(said == body || (stream && said.contains("include_usage")), "{said}");
        }
    }
    let got = proxy.client().post(MESSAGES, JSON, body(1_000, false)).await.unwrap();
    assert_eq!(got.status, 200, "{}", got.text());
    let received = upstream.received().pop().unwrap();
    assert!(is_coded(&received) && plain(&received).contains("max_completion_tokens"), "{}", plain(&received));
}

#[tokio::test]
async fn who_refuses_them_is_sent_the_request_as_it_was_and_no_more_of_them() {
    for status in [415, 400, 422] {
        let upstream = Upstream::start(move |received| match is_coded(received) {
            true => vec![answer(
                status,
                JSON,
                br#"{"error":{"message":"can not read that","type":"invalid_request_error"}}"#,
            )],
            false => vec![openai_whole("fine")],
        })
        .unwrap();
        let proxy = gateway(&upstream);
        for _ in 0..3 {
            let got = proxy.client().post(CHAT, JSON, body(1_000, false)).await.unwrap();
            assert_eq!(got.status, 200, "{status}: {}", got.text());
        }
        let coded: Vec<bool> = upstream.received().iter().map(is_coded).collect();
        assert_eq!(coded, [true, false, false, false], "{status}");
        assert!(
            proxy.log().iter().any(|line| line.contains("requests go out uncompressed for ten minutes")),
            "{:?}",
            proxy.log()
        );
    }
}

#[tokio::test]
async fn a_call_that_is_wrong_either_way_is_answered_as_it_is_and_forbids_nothing() {
    let upstream = Upstream::start(|received| match plain(received).contains("wrong") {
        true => vec![answer(400, JSON, br#"{"error":{"message":"wrong it is","type":"invalid_request_error"}}"#)],
        false => vec![openai_whole("fine")],
    })
    .unwrap();
    let proxy = gateway(&upstream);
    let wrong = body(1_000, false).replacen("word", "wrong", 1);
    for (body, status) in [(wrong.clone(), 400), (body(1_000, false), 200), (wrong, 400)] {
        let got = proxy.client().post(CHAT, JSON, body).await.unwrap();
        assert_eq!(got.status, status, "{}", got.text());
    }
    // The first may be about the coding. Then one was read: the last is about the call.
    let coded: Vec<bool> = upstream.received().iter().map(is_coded).collect();
    assert_eq!(coded, [true, false, true, true]);
}
