//! Answers that come compressed to who accepts that: whole ones and long ones, and never another word in them.

use std::io::Read as _;

use http::{Method, Request};
use http_body_util::Full;
use sluicegate_tests::client::{Answer, Client};
use sluicegate_tests::proxy::Proxy;
use sluicegate_tests::upstream::{Upstream, answer, chunk, last_chunk, stream_head};

use crate::resources::{CHAT, MESSAGES, WAYS, Way, chat, message, pool, provider, route, rule};

const WHOLE: [Way; 2] = [Way { anthropic: false, stream: false }, Way { anthropic: true, stream: false }];

/// What a provider says whole: so many times the same word.
fn said(anthropic: bool, words: usize) -> String {
    let text = "sluice ".repeat(words);
    if anthropic {
        format!(
            r#"{{"id":"msg_1","type":"message","role":"assistant","model":"m","content":[{{"type":"text","text":"{text}"}}],"stop_reason":"end_turn","stop_sequence":null,"usage":{{"input_tokens":1,"output_tokens":2}}}}"#
        )
    } else {
        format!(
            r#"{{"id":"c","object":"chat.completion","created":1,"model":"m","choices":[{{"index":0,"message":{{"role":"assistant","content":"{text}"}},"finish_reason":"stop"}}],"usage":{{"prompt_tokens":1,"completion_tokens":2,"total_tokens":3}}}}"#
        )
    }
}

/// Says a long answer, a short one, an error, or a stream, as the call's text says.
fn upstream(more: &'static [(&'static str, &'static str)]) -> Upstream {
    Upstream::start(move |call| {
        let anthropic = call.head.contains("/messages");
        let headers = [&[("content-type", "application/json")], more].concat();
        let text = String::from_utf8_lossy(&call.body).into_owned();
        if call.streams() {
            let event = "data: {\"id\":\"c\",\"object\":\"chat.completion.chunk\",\"created\":1,\"model\":\"m\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\"sluice sluice\"},\"finish_reason\":null}]}\n\n".repeat(40);
            let end = "data: {\"id\":\"c\",\"object\":\"chat.completion.chunk\",\"created\":1,\"model\":\"m\",\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\ndata: [DONE]\n\n";
            return vec![stream_head(), chunk(event.as_bytes()), chunk(end.as_bytes()), last_chunk()];
        }
        if text.contains("fail") {
            let error = format!(r#"{{"error":{{"message":"{}","type":"invalid_request_error","param":null,"code":null}}}}"#, "no ".repeat(600));
            return vec![answer(400, &headers, error.as_bytes())];
        }
        let words = if text.contains("short") { 10 } else { 400 };
        vec![answer(200, &headers, said(anthropic, words).as_bytes())]
    })
    .unwrap()
}

fn resources(upstream: &Upstream, more: &str) -> String {
    pool("p", &[provider("a", "OpenAI", upstream.address, "")], "")
        + &pool("c", &[provider("a", "Anthropic", upstream.address, "")], "")
        + &rule("m", &format!("    targets: [{{poolRef: {{name: p}}}}]\n{more}"))
        + &rule("claude", &format!("    targets: [{{poolRef: {{name: c}}}}]\n{more}"))
}

/// The answer's bytes as they were before they were compressed.
fn plain(answer: &Answer) -> Vec<u8> {
    match answer.header("content-encoding") {
        "" => answer.body.to_vec(),
        "gzip" => {
            let mut plain = Vec::new();
            flate2::read::GzDecoder::new(&answer.body[..]).read_to_end(&mut plain).unwrap();
            plain
        }
        "zstd" => zstd::stream::decode_all(&answer.body[..]).unwrap(),
        other => panic!("{other}"),
    }
}

fn call(anthropic: bool, word: &str) -> (&'static str, String) {
    let (path, body) = if anthropic { (MESSAGES, message("claude", false)) } else { (CHAT, chat("m", false)) };
    (path, body.replace("Say something.", word))
}

async fn ask(client: &Client, (path, body): &(&str, String), accepts: &str) -> Answer {
    let answer = client.post(path, &[("accept-encoding", accepts)], body.clone()).await.unwrap();
    let length = answer.header("content-length");
    assert!(length.is_empty() || length == answer.body.len().to_string(), "{length}");
    answer
}

#[tokio::test]
async fn a_long_whole_answer_is_compressed_for_who_accepts_it() {
    let upstream = upstream(&[("etag", "\"v1\"")]);
    let proxy = Proxy::start(&[("all.yaml", &resources(&upstream, ""))], &[]).unwrap();
    for client in [proxy.client(), Client::http2(proxy.address)] {
        for way in WHOLE {
            let long = call(way.anthropic, "long");
            for (accepts, coding) in [
                ("gzip, deflate, br, zstd", "zstd"),
                ("gzip, deflate", "gzip"),
                ("br, gzip;q=0.9, zstd;q=0.1", "gzip"),
                ("zstd;q=0, gzip;q=0", ""),
                ("identity", ""),
                ("br", ""),
            ] {
                let answer = ask(&client, &long, accepts).await;
                assert_eq!((answer.status, answer.header("content-encoding")), (200, coding), "{accepts}");
                assert_eq!(answer.header("vary"), "accept-encoding", "{accepts}");
                assert_eq!(answer.header("etag"), if coding.is_empty() { "\"v1\"" } else { "W/\"v1\"" });
                assert!(coding.is_empty() || answer.body.len() < 1000, "{} bytes", answer.body.len());
                assert_eq!(String::from_utf8(plain(&answer)).unwrap(), said(way.anthropic, 400), "{accepts}");
            }
            let short = ask(&client, &call(way.anthropic, "short"), "gzip, zstd").await;
            assert_eq!((short.header("content-encoding"), short.header("vary")), ("", ""));
            let failed = ask(&client, &call(way.anthropic, "fail"), "gzip").await;
            assert_eq!((failed.status, failed.header("content-encoding")), (400, "gzip"));
            assert!(String::from_utf8(plain(&failed)).unwrap().contains("no no no"));
        }
    }
}

#[tokio::test]
async fn streams_and_what_was_forbidden_are_not_compressed() {
    let upstream = upstream(&[("cache-control", "no-transform")]);
    let proxy = Proxy::start(&[("all.yaml", &resources(&upstream, ""))], &[]).unwrap();
    for way in WAYS.into_iter().filter(|way| way.stream) {
        let answer = way.call(&proxy.client(), "m", &[("accept-encoding", "gzip, zstd")]).await;
        assert!(answer.is_good() && answer.body.len() > 1024, "{}", answer.text());
        assert_eq!((answer.header("content-encoding"), answer.header("vary")), ("", ""), "{way:?}");
    }
    let answer = ask(&proxy.client(), &call(false, "long"), "gzip, zstd").await;
    assert_eq!((answer.header("content-encoding"), answer.text()), ("", said(false, 400)));
}

#[tokio::test]
async fn it_can_be_switched_off() {
    let upstream = upstream(&[]);
    let proxy = Proxy::start(&[("all.yaml", &resources(&upstream, ""))], &["--compress-answers", "false"]).unwrap();
    let answer = ask(&proxy.client(), &call(false, "long"), "gzip, zstd").await;
    assert_eq!((answer.header("content-encoding"), answer.header("vary")), ("", ""));
    assert_eq!(answer.text(), said(false, 400));
}

#[tokio::test]
async fn head_says_what_get_says() {
    let upstream = upstream(&[]);
    let routes: String = (0..40).map(|number| route(&format!("model-{number}"), "p")).collect();
    let text = resources(&upstream, "") + &routes;
    let proxy = Proxy::start(&[("all.yaml", &text)], &[]).unwrap();
    for client in [proxy.client(), Client::http2(proxy.address)] {
        for (accepts, coding) in [("gzip", "gzip"), ("identity", "")] {
            let mut seen = Vec::new();
            for method in [Method::GET, Method::HEAD] {
                let request = Request::builder().method(method).uri("/v1/models").header("accept-encoding", accepts);
                let answer = client.send(request.body(Full::default()).unwrap()).await.unwrap();
                assert_eq!((answer.status, answer.header("content-encoding")), (200, coding));
                seen.push((answer.header("content-length").to_owned(), answer.header("vary").to_owned(), answer));
            }
            assert_eq!((&seen[0].0, &seen[0].1), (&seen[1].0, &seen[1].1));
            assert!(seen[1].2.body.is_empty() && String::from_utf8(plain(&seen[0].2)).unwrap().contains("model-39"));
        }
    }
}

#[tokio::test]
async fn a_kept_answer_is_given_in_every_coding_and_is_the_same() {
    let upstream = upstream(&[]);
    for cache in ["{ttl: 1h}", "{ttl: 1h, compression: {over: 1Mi}}"] {
        let text = resources(&upstream, &format!("    cache: {cache}\n"));
        let proxy = Proxy::start(&[("all.yaml", &text)], &["--workers", "1"]).unwrap();
        let client = proxy.client();
        for anthropic in [false, true] {
            for word in ["long", "short"] {
                let question = call(anthropic, word);
                let expected = said(anthropic, if word == "long" { 400 } else { 10 });
                assert_eq!(plain(&ask(&client, &question, "gzip").await), expected.as_bytes());
                let hit = async || ask(&client, &question, "identity").await.header("x-cache") == "hit";
                let mut kept = false;
                for _ in 0..200 {
                    kept = kept || hit().await;
                }
                assert!(kept, "never a hit");
                let calls = upstream.calls();
                // Each twice: the second time as it was made the first time.
                for accepts in ["zstd", "gzip", "identity", "zstd", "gzip", "identity"] {
                    let answer = ask(&client, &question, accepts).await;
                    let coding = if word == "short" || accepts == "identity" { "" } else { accepts };
                    assert_eq!((answer.header("x-cache"), answer.header("content-encoding")), ("hit", coding));
                    assert_eq!(plain(&answer), expected.as_bytes(), "{cache} {accepts}");
                }
                assert_eq!(upstream.calls(), calls);
            }
        }
    }
}
