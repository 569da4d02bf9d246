//! HTTP itself, beyond what a parser looks at: compressed bodies, web pages of other origins, probes, framing.

use base64::Engine as _;
use http::{Method, Request};
use http_body_util::Full;
use sluicegate_tests::client::{Answer, raw};
use sluicegate_tests::load::post;
use sluicegate_tests::proxy::Proxy;
use sluicegate_tests::upstream::Upstream;

use crate::resources::{CHAT, MESSAGES, chat, plain_upstream, pool, provider, route};

fn proxy(flags: &[&str]) -> (Upstream, Proxy) {
    let upstream = plain_upstream();
    let text = pool("p", &[provider("a", "OpenAI", upstream.address, "")], "") + &route("m", "p");
    let proxy = Proxy::start(&[("all.yaml", &text)], flags).unwrap();
    (upstream, proxy)
}

async fn asked(proxy: &Proxy, method: Method, path: &str, headers: &[(&str, &str)]) -> Answer {
    let mut request = Request::builder().method(method).uri(path);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    proxy.client().send(request.body(Full::default()).unwrap()).await.unwrap()
}

/// `{"model":"m","messages":[{"role":"user","content":"hi"}]}`, as the coding's own tools pack it.
const PACKED: [(&str, &str); 5] = [
    ("gzip", "H4sIAAAAAAACA6tWys1PSc1RslLKVdJRyk0tLk5MTy1WsoquVirKz0kFipcWpxYBpZLz80pS80qAAhmZSrWxtQDvNcJUOQAAAA=="),
    ("GZIP", "H4sIAAAAAAACA6tWys1PSc1RslLKVdJRyk0tLk5MTy1WsoquVirKz0kFipcWpxYBpZLz80pS80qAAhmZSrWxtQDvNcJUOQAAAA=="),
    ("deflate", "eJyrVsrNT0nNUbJSylXSUcpNLS5OTE8tVrKKrlYqys9JBYqXFqcWAaWS8/NKUvNKgAIZmUq1sbUAHJ0S2A=="),
    ("br", "GzgAQBwHdoyzhTkcbOe1yF7a1mhrFp2uPuCQA6cDZW2BfF5nNh2WhHqCPLlklkwDgMV37wY="),
    ("identity", "eyJtb2RlbCI6Im0iLCJtZXNzYWdlcyI6W3sicm9sZSI6InVzZXIiLCJjb250ZW50IjoiaGkifV19"),
];

#[tokio::test]
async fn compressed_calls_are_read_and_go_on_plain() {
    let (upstream, proxy) = proxy(&["--body-limit", "64Ki"]);
    let plain = br#"{"model":"m","messages":[{"role":"user","content":"hi"}]}"#;
    for (coding, packed) in PACKED {
        let body = base64::engine::general_purpose::STANDARD.decode(packed).unwrap();
        let answer = proxy.client().post(CHAT, &[("content-encoding", coding)], body).await.unwrap();
        assert_eq!(answer.status, 200, "{coding}: {}", answer.text());
        let sent = upstream.received().pop().unwrap();
        assert_eq!(sent.body, plain, "{coding}");
        assert_eq!(sent.header("content-encoding"), "", "{coding}");
        assert_eq!(sent.header("content-length"), plain.len().to_string());
    }
    let calls = upstream.calls();
    for (coding, body, status, said) in [
        ("gzip", plain.to_vec(), 400, "gzip"),
        ("compress", plain.to_vec(), 415, "compress"),
        // Three megabytes of zeros.
        (
            "br",
            base64::engine::general_purpose::STANDARD.decode("m///L/gnAOKxQCD3/gU=").unwrap(),
            413,
            "larger than 65536",
        ),
    ] {
        for (path, anthropic) in [(CHAT, false), (MESSAGES, true)] {
            let answer = proxy.client().post(path, &[("content-encoding", coding)], body.clone()).await.unwrap();
            assert_eq!(answer.status, status, "{coding}: {}", answer.text());
            assert!(answer.text().contains(said), "{}", answer.text());
            assert_eq!(answer.json()["type"] == "error", anthropic);
            let expected = if status == 415 { "gzip, deflate, br, zstd" } else { "" };
            assert_eq!(answer.header("accept-encoding"), expected);
        }
    }
    assert_eq!(upstream.calls(), calls);
}

const ORIGIN: &str = "https://app.example";
const PREFLIGHT: [(&str, &str); 3] = [
    ("origin", ORIGIN),
    ("access-control-request-method", "POST"),
    ("access-control-request-headers", "authorization,content-type,x-stainless-os,anthropic-version"),
];

#[tokio::test]
async fn pages_of_other_origins_are_refused_unless_they_are_allowed() {
    let (upstream, closed) = proxy(&[]);
    for path in [CHAT, MESSAGES, "/v1/models"] {
        let answer = asked(&closed, Method::OPTIONS, path, &PREFLIGHT).await;
        assert_eq!((answer.status, answer.header("access-control-allow-origin")), (403, ""), "{path}");
        assert!(answer.text().contains("--cors-origins"), "{}", answer.text());
    }
    let (_upstream, open) = proxy(&["--cors-origins", "https://other.example,https://app.example"]);
    let answer = asked(&open, Method::OPTIONS, CHAT, &PREFLIGHT).await;
    assert_eq!(answer.status, 204);
    for (name, value) in [
        ("access-control-allow-origin", ORIGIN),
        ("access-control-allow-headers", "authorization,content-type,x-stainless-os,anthropic-version"),
        ("access-control-max-age", "7200"),
        ("vary", "origin"),
    ] {
        assert_eq!(answer.header(name), value, "{name}");
    }
    assert!(answer.header("access-control-allow-methods").contains("POST"));
    for (model, status) in [("m", 200), ("none", 404)] {
        let answer = open.client().post(CHAT, &[("origin", ORIGIN)], chat(model, false)).await.unwrap();
        assert_eq!(
            (answer.status, answer.header("access-control-allow-origin")),
            (status, ORIGIN),
            "{}",
            answer.text()
        );
        let stranger = [("origin", "https://evil.example")];
        let answer = open.client().post(CHAT, &stranger, chat(model, false)).await.unwrap();
        assert_eq!((answer.status, answer.header("access-control-allow-origin")), (status, ""));
    }
    assert_eq!(upstream.calls(), 0);
}

#[tokio::test]
async fn what_a_page_says_of_itself_does_not_go_on() {
    let (upstream, proxy) = proxy(&["--cors-origins", "*"]);
    let headers = [("origin", ORIGIN), ("referer", "https://app.example/x"), ("cookie", "session=1")];
    assert_eq!(proxy.client().post(CHAT, &headers, chat("m", false)).await.unwrap().status, 200);
    let sent = upstream.received().pop().unwrap();
    for (name, _) in headers {
        assert_eq!(sent.header(name), "", "{name}");
    }
}

#[tokio::test]
async fn probes_are_answered_at_once() {
    let (upstream, proxy) = proxy(&[]);
    for method in [Method::GET, Method::HEAD] {
        assert_eq!(asked(&proxy, method, "/", &[]).await.status, 200);
    }
    let websocket = [("upgrade", "websocket"), ("connection", "upgrade"), ("sec-websocket-version", "13")];
    for path in ["/v1/responses", CHAT, "/"] {
        let answer = asked(&proxy, Method::GET, path, &websocket).await;
        assert_eq!((answer.status, answer.header("upgrade")), (426, "HTTP/1.1"), "{path}: {}", answer.text());
    }
    assert_eq!(upstream.calls(), 0);
}

#[tokio::test]
async fn what_two_proxies_could_read_differently_is_refused() {
    let (upstream, proxy) = proxy(&[]);
    let body = chat("m", false);
    let whole = String::from_utf8(post(CHAT, &[], &body).to_vec()).unwrap();
    let host = whole.lines().find(|line| line.to_ascii_lowercase().starts_with("host:")).unwrap();
    let length = format!("content-length: {}", body.len());
    assert!(whole.to_ascii_lowercase().contains(&length), "{whole}");
    let chunked = format!("{:x}\r\n{body}\r\n0\r\n\r\n", body.len());
    let framed = |coding: &str| {
        let head = whole.split("\r\n\r\n").next().unwrap();
        let head = head.lines().filter(|line| !line.to_ascii_lowercase().starts_with("content-length"));
        format!("{}\r\ntransfer-encoding: {coding}\r\n\r\n{chunked}", head.collect::<Vec<_>>().join("\r\n"))
    };
    for (request, status) in [
        (whole.clone(), "200"),
        (whole.replace(&format!("{host}\r\n"), ""), "400"),
        (whole.replace(host, &format!("{host}\r\nHost: other.example")), "400"),
        (framed("chunked"), "200"),
        (framed("gzip, chunked"), "501"),
    ] {
        let (seen, _) = raw(proxy.address, request.as_bytes(), 20).await.unwrap();
        let seen = String::from_utf8_lossy(&seen);
        assert!(seen.starts_with(&format!("HTTP/1.1 {status}")), "{request}: {seen}");
    }
    assert_eq!(upstream.calls(), 2);
}
