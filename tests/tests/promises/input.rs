//! Whatever a client sends: an error of the 4xx kind in its dialect that names what is wrong, and a proxy that lives on.

use std::time::Duration;

use http::{Method, Request};
use http_body_util::Full;
use sluicegate_tests::client::{Answer, raw};
use sluicegate_tests::load::post;
use sluicegate_tests::proxy::Proxy;

use crate::resources::{CHAT, MESSAGES, WAYS, Way, chat, good, message, plain_upstream, pool, provider, route, rule};

const TIGHT: [&str; 8] =
    ["--body-limit", "64Ki", "--header-timeout", "1s", "--body-idle-timeout", "1s", "--body-timeout", "3s"];

fn proxy() -> (sluicegate_tests::upstream::Upstream, Proxy) {
    let upstream = plain_upstream();
    let text = pool("p", &[provider("a", "OpenAI", upstream.address, "")], "")
        + &pool("q", &[provider("a", "Anthropic", upstream.address, "")], "")
        + &route("m", "p")
        + &route("across", "q");
    let proxy = Proxy::start(&[("all.yaml", &text)], &TIGHT).unwrap();
    (upstream, proxy)
}

/// An error in this dialect; gives its message.
fn error(answer: &Answer, anthropic: bool) -> String {
    let way = Way { anthropic, stream: false };
    let (name, message) = way.error(answer);
    assert!(!name.is_empty() && !message.is_empty(), "no error of the dialect: {}", answer.text());
    assert_eq!(answer.header("content-type"), "application/json");
    assert!(!answer.header("x-request-id").is_empty());
    if anthropic {
        assert!(!answer.header("request-id").is_empty());
        assert!(answer.json()["request_id"].is_string(), "{}", answer.text());
    } else {
        let error = &answer.json()["error"];
        assert!(error.get("param").is_some() && error.get("code").is_some(), "{error}");
    }
    message
}

#[tokio::test]
async fn a_body_that_is_no_call_is_refused_by_name() {
    let (upstream, proxy) = proxy();
    let client = proxy.client();
    let bomb = format!("{{\"model\":\"m\",\"messages\":{}", "[".repeat(30_000));
    let cases: [(&[u8], &str); 16] = [
        (b"", ""),
        (b"{", ""),
        (b"nonsense", ""),
        (b"[1,2]", ""),
        (b"null", ""),
        (b"\"text\"", ""),
        (b"{\"model\":\"m\",}", ""),
        (b"{\"model\":\"m\"} {\"model\":\"m\"}", ""),
        (b"{\"model\":\"\xff\xfe\",\"messages\":[]}", ""),
        (b"{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":\"\xc3\x28\"}]}", ""),
        (b"{\"messages\":[]}", "model"),
        (b"{\"model\":5,\"messages\":[]}", "model"),
        (b"{\"model\":null,\"messages\":[]}", "model"),
        (b"{\"model\":\"m\",\"stream\":\"yes\",\"messages\":[]}", "stream"),
        (b"{\"model\":\"m\",\"model\":\"n\",\"messages\":[]}", "model"),
        (bomb.as_bytes(), ""),
    ];
    for (path, anthropic) in [(CHAT, false), (MESSAGES, true)] {
        for (body, field) in &cases {
            let answer = client.post(path, &[], body.to_vec()).await.unwrap();
            let shown = String::from_utf8_lossy(&body[..body.len().min(60)]);
            assert_eq!(answer.status, 400, "{shown}: {}", answer.text());
            let message = error(&answer, anthropic);
            assert!(message.contains(field), "{shown}: `{field}` is not named: {message}");
        }
    }
    assert_eq!(upstream.calls(), 0, "none of it was sent on");
    still_answers(&proxy).await;
}

#[tokio::test]
async fn a_call_that_is_translated_is_read_with_care() {
    let (upstream, proxy) = proxy();
    let client = proxy.client();
    let user = r#"[{"role":"user","content":"a"}]"#;
    let cases = [
        (r#""messages":"x""#.to_owned(), "messages"),
        (r#""messages":[5]"#.to_owned(), "messages"),
        (r#""messages":[{"role":"wizard","content":"a"}]"#.to_owned(), "role"),
        (r#""messages":[{"role":"user","content":7}]"#.to_owned(), "content"),
        (format!(r#""messages":{user},"tools":"hammer""#), "tools"),
        (format!(r#""messages":{user},"temperature":"warm""#), "temperature"),
        (format!(r#""messages":{user},"max_tokens":-1"#), "max_tokens"),
        (format!(r#""messages":{user},"max_tokens":"9""#), "max_tokens"),
        (format!(r#""messages":{user},"stream":1"#), "stream"),
    ];
    // The provider of `across` speaks Anthropic's dialect, that of `m` OpenAI's: both callers need a translator.
    for (path, model, anthropic) in [(CHAT, "across", false), (MESSAGES, "m", true)] {
        for (fields, field) in &cases {
            let most = if fields.contains("max_tokens") { "" } else { r#""max_tokens":5,"# };
            let answer = client.post(path, &[], format!(r#"{{"model":"{model}",{most}{fields}}}"#)).await.unwrap();
            assert_eq!(answer.status, 400, "{fields}: {}", answer.text());
            let message = error(&answer, anthropic);
            assert!(message.contains(field), "{fields}: `{field}` is not named: {message}");
        }
    }
    assert_eq!(upstream.calls(), 0);
}

/// Nested so deep that a reader that calls itself for each level would run out of stack. It is JSON: where nobody here
/// has to understand it, it passes, and where somebody has, it is refused.
#[tokio::test]
async fn a_depth_bomb_goes_off_nowhere() {
    let upstream = plain_upstream();
    let text = pool("p", &[provider("a", "OpenAI", upstream.address, "")], "")
        + &pool("q", &[provider("a", "Anthropic", upstream.address, "")], "")
        + &route("m", "p")
        + &route("across", "q")
        + &rule("kept", "    targets: [{poolRef: {name: p}}]\n    cache: {ttl: 60s, scope: Route}\n");
    let proxy = Proxy::start(&[("all.yaml", &text)], &[]).unwrap();
    let client = proxy.client();
    for depth in [200, 10_000, 200_000] {
        for (open, close) in [("[", "]"), ("{\"a\":", "}")] {
            let deep = format!("{}1{}", open.repeat(depth), close.repeat(depth));
            for (model, path, anthropic) in
                [("m", CHAT, false), ("kept", CHAT, false), ("across", CHAT, false), ("m", MESSAGES, true)]
            {
                for field in ["messages", "future", "tools"] {
                    let messages =
                        if field == "messages" { "" } else { r#","messages":[{"role":"user","content":"a"}]"# };
                    let body = format!(r#"{{"model":"{model}","max_tokens":5,"{field}":{deep}{messages}}}"#);
                    let answer = client.post(path, &[], body).await;
                    let answer = answer.unwrap_or_else(|error| panic!("{model} {path} {field} {depth}: {error:#}"));
                    assert!(
                        matches!(answer.status, 200 | 400 | 413),
                        "{model} {path} {field} {depth}: {}",
                        answer.status
                    );
                    if answer.status != 200 {
                        error(&answer, anthropic);
                    } else if field == "messages" {
                        assert!(matches!(model, "m" | "kept") && !anthropic, "{model} {path}: understood?");
                    }
                }
            }
        }
    }
    still_answers(&proxy).await;
}

#[tokio::test]
async fn an_oversize_body_is_refused_whether_its_length_is_said_or_not() {
    let (upstream, proxy) = proxy();
    let filler = "x".repeat(80 << 10);
    for (path, anthropic) in [(CHAT, false), (MESSAGES, true)] {
        let body = format!(r#"{{"model":"m","max_tokens":5,"messages":[{{"role":"user","content":"{filler}"}}]}}"#);
        let answer = proxy.client().post(path, &[], body.clone()).await.unwrap();
        assert_eq!(answer.status, 413, "{}", answer.text());
        assert!(error(&answer, anthropic).contains("65536"), "{}", answer.text());
        // Chunked: nobody says how long it will be.
        let mut request = format!(
            "POST {path} HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n"
        )
        .into_bytes();
        for piece in body.as_bytes().chunks(8 << 10) {
            request.extend_from_slice(format!("{:x}\r\n", piece.len()).as_bytes());
            request.extend_from_slice(piece);
            request.extend_from_slice(b"\r\n");
        }
        request.extend_from_slice(b"0\r\n\r\n");
        let (seen, _) = raw(proxy.address, &request, usize::MAX).await.unwrap();
        let seen = String::from_utf8_lossy(&seen);
        assert!(seen.starts_with("HTTP/1.1 413"), "{seen}");
    }
    // A length far beyond what there is memory for is believed by nobody.
    let said = b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 99999999999999\r\n\r\n{";
    let (seen, _) = raw(proxy.address, said, 12).await.unwrap();
    assert!(seen.starts_with(b"HTTP/1.1 413"), "{}", String::from_utf8_lossy(&seen));
    assert_eq!(upstream.calls(), 0);
    still_answers(&proxy).await;
}

#[tokio::test]
async fn unknown_models_paths_and_methods_are_refused_in_the_callers_dialect() {
    let (_upstream, proxy) = proxy();
    let client = proxy.client();
    for way in WAYS {
        let answer = way.call(&client, "no-such-model", &[]).await;
        assert_eq!(answer.status, 404);
        assert!(error(&answer, way.anthropic).contains("no-such-model"));
        if !way.anthropic {
            assert_eq!(answer.json()["error"]["code"], "model_not_found");
            assert_eq!(answer.json()["error"]["param"], "model");
        }
    }
    for (method, path, allow, anthropic) in [
        (Method::GET, CHAT, "POST", false),
        (Method::PUT, MESSAGES, "POST", true),
        (Method::DELETE, "/v1/models", "GET", false),
        (Method::PATCH, "/v1/messages/count_tokens", "POST", true),
    ] {
        let request = Request::builder().method(&method).uri(path).body(Full::default()).unwrap();
        let answer = client.send(request).await.unwrap();
        assert_eq!(answer.status, 405, "{method} {path}");
        assert!(answer.header("allow").contains(allow), "{}", answer.header("allow"));
        error(&answer, anthropic);
    }
    for path in ["/", "/v1", "/v1/chat/completion", "/v1/uploads", "/metrics", "/config", "/v1/../admin", "/%00"] {
        let answer = client.post(path, &[], "{}").await.unwrap();
        assert_eq!(answer.status, 404, "{path}");
        error(&answer, false);
    }
    let claude = client.post("/v1/complete", &[("anthropic-version", "2023-06-01")], "{}").await.unwrap();
    assert_eq!(claude.status, 404);
    error(&claude, true);
    for kind in ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x"] {
        let answer = client.post(MESSAGES, &[("content-type", kind)], message("m", false)).await.unwrap();
        assert_eq!(answer.status, 415, "{kind}");
        assert!(error(&answer, true).contains("content-type"));
    }
    let packed = client.post(CHAT, &[("content-encoding", "gzip")], chat("m", false)).await.unwrap();
    assert_eq!(packed.status, 400);
    assert!(error(&packed, false).contains("gzip"));
    still_answers(&proxy).await;
}

#[tokio::test]
async fn floods_of_headers_are_refused() {
    let (_upstream, proxy) = proxy();
    let body = chat("m", false);
    let many: Vec<(String, String)> = (0..500).map(|number| (format!("x-{number}"), "y".to_owned())).collect();
    let many: Vec<(&str, &str)> = many.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    let long = "y".repeat(300 << 10);
    for headers in [many, vec![("x-long", long.as_str())]] {
        let (seen, _) = raw(proxy.address, &post(CHAT, &headers, &body), usize::MAX).await.unwrap();
        let seen = String::from_utf8_lossy(&seen);
        assert!(seen.starts_with("HTTP/1.1 431"), "{}", &seen[..seen.len().min(200)]);
    }
    for junk in [
        &b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"[..],
        b"GET / HTTP/9.9\r\n\r\n",
        b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ncontent-length: ten\r\n\r\n",
        b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ncontent-length: 3\r\ntransfer-encoding: chunked\r\n\r\nabc",
    ] {
        let (seen, _) = raw(proxy.address, junk, usize::MAX).await.unwrap();
        let seen = String::from_utf8_lossy(&seen);
        assert!(seen.is_empty() || seen.starts_with("HTTP/1.1 4"), "{seen}");
    }
    still_answers(&proxy).await;
}

#[tokio::test]
async fn slow_heads_and_slow_bodies_are_not_waited_for() {
    let (upstream, proxy) = proxy();
    let slow_head = raw(proxy.address, b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nx-slow", usize::MAX);
    let head = |path: &str| {
        format!(
            "POST {path} HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 500\r\n\r\n{{\"model\":"
        )
    };
    let (openai, anthropic) = (head(CHAT), head(MESSAGES));
    let slow_openai = raw(proxy.address, openai.as_bytes(), usize::MAX);
    let slow_anthropic = raw(proxy.address, anthropic.as_bytes(), usize::MAX);
    let (head, openai, anthropic) = tokio::join!(slow_head, slow_openai, slow_anthropic);
    for (seen, word) in [(head, "error"), (openai, "error"), (anthropic, "\"type\":\"error\"")] {
        let seen = String::from_utf8_lossy(&seen.unwrap().0).into_owned();
        assert!(seen.starts_with("HTTP/1.1 408"), "{seen}");
        assert!(seen.contains(word), "{seen}");
    }
    // A drop at a time, each soon enough, and all together too late.
    let dripping = tokio::time::timeout(Duration::from_secs(30), drip(proxy.address)).await.unwrap();
    assert!(dripping.starts_with("HTTP/1.1 408"), "{dripping}");
    assert_eq!(upstream.calls(), 0);
    still_answers(&proxy).await;
}

async fn drip(address: std::net::SocketAddr) -> String {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let socket = tokio::net::TcpStream::connect(address).await.unwrap();
    let (mut reader, mut writer) = socket.into_split();
    let head =
        format!("POST {CHAT} HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 5000\r\n\r\n");
    writer.write_all(head.as_bytes()).await.unwrap();
    let mut seen = vec![0; 4096];
    for _ in 0..500 {
        tokio::select! {
            read = reader.read(&mut seen) => {
                let count = read.unwrap_or(0);
                return String::from_utf8_lossy(&seen[..count]).into_owned();
            }
            () = tokio::time::sleep(Duration::from_millis(200)) => {
                let _ = writer.write_all(b" ").await;
            }
        }
    }
    panic!("a body that never ends was waited for");
}

#[tokio::test]
async fn bad_input_costs_bounded_memory() {
    let simulator = good();
    let text = pool("p", &[provider("a", "OpenAI", simulator.address, "")], "") + &route("m", "p");
    let proxy = Proxy::start(&[("all.yaml", &text)], &["--body-limit", "1Mi", "--log-sample", "0"]).unwrap();
    still_answers(&proxy).await;
    let client = proxy.client();
    let before = proxy.process().resident().unwrap();
    let filler = vec![b'x'; 2 << 20];
    let bomb = "[".repeat(900_000);
    for round in 0..20 {
        let model = format!(r#"{{"model":"{round}{}"}}"#, "m".repeat(100_000));
        let (big, deep, long) = tokio::join!(
            client.post(CHAT, &[], filler.clone()),
            client.post(MESSAGES, &[], bomb.clone()),
            client.post(CHAT, &[], model)
        );
        // The proxy may close before such a body is all sent; an answer that does come is a refusal.
        for answer in [big, deep, long].into_iter().flatten() {
            assert!((400..500).contains(&answer.status), "{}", answer.status);
            assert!(answer.body.len() < 4096, "an error repeats its request: {} bytes", answer.body.len());
        }
    }
    // Said to be huge, and left open: what is only promised costs nothing.
    let mut open = Vec::new();
    for _ in 0..200 {
        use tokio::io::AsyncWriteExt as _;
        let mut socket = tokio::net::TcpStream::connect(proxy.address).await.unwrap();
        socket.write_all(b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 1000000\r\n\r\n{").await.unwrap();
        open.push(socket);
    }
    still_answers(&proxy).await;
    let grown = proxy.process().resident().unwrap().saturating_sub(before);
    assert!(grown < 128 << 20, "{} MiB more", grown >> 20);
    drop(open);
    still_answers(&proxy).await;
}

async fn still_answers(proxy: &Proxy) {
    let way = Way { anthropic: false, stream: false };
    let answer = way.call(&proxy.client(), "m", &[]).await;
    assert!(answer.is_good(), "{}", answer.text());
}
