//! Bounded in sum: whatever callers send, announce or do not take, calls hold so much memory and no more.

use std::sync::{Arc, Mutex, PoisonError};

use sluicegate_tests::client::post;
use sluicegate_tests::memory_group::MemoryGroup;
use sluicegate_tests::proxy::Proxy;
use sluicegate_tests::upstream::{Act, Upstream, answer, chunk, last_chunk, stream_head};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::task::JoinHandle;

use crate::resources::{CHAT, MESSAGES, Way, chat, message, openai_piece, plain_upstream, pool, provider, route, rule};

const WHOLE: Way = Way { anthropic: false, stream: false };
const REFUSALS: &str = "sluicegate_memory_budget_refusals_total";
const USED: &str = "sluicegate_memory_budget_used_bytes";

/// What the proxy said to uploads, each as far as its head.
type Said = Arc<Mutex<Vec<String>>>;

fn heads(said: &Said) -> Vec<String> {
    said.lock().unwrap_or_else(PoisonError::into_inner).clone()
}

/// An upload that says it will be so long, sends so much, and then only listens.
#[expect(clippy::disallowed_methods, reason = "no worker of the product is here")]
fn upload(proxy: &Proxy, path: &str, (announced, sent): (usize, usize), said: &Said) -> JoinHandle<()> {
    let (address, said) = (proxy.address, Arc::clone(said));
    let head = format!(
        "POST {path} HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: {announced}\r\n\r\n"
    );
    tokio::spawn(async move {
        let socket = tokio::net::TcpStream::connect(address).await.unwrap();
        let (mut reader, mut writer) = socket.into_split();
        let writing = async {
            writer.write_all(head.as_bytes()).await?;
            let piece = vec![b' '; 64 << 10];
            for _ in 0..sent / piece.len() {
                writer.write_all(&piece).await?;
            }
            Ok::<(), std::io::Error>(())
        };
        let reading = async {
            let (mut text, mut room) = (Vec::new(), [0; 4096]);
            while !text.windows(4).any(|end| end == b"\r\n\r\n") {
                match reader.read(&mut room).await {
                    Ok(0) | Err(_) => break,
                    Ok(count) => text.extend_from_slice(&room[..count]),
                }
            }
            said.lock().unwrap_or_else(PoisonError::into_inner).push(String::from_utf8_lossy(&text).into_owned());
        };
        let (_, ()) = tokio::join!(writing, reading);
    })
}

fn assert_refused(head: &str) {
    let (anthropic, head) = (head.contains("\r\nrequest-id: "), head.to_lowercase());
    // Overloaded, as either dialect's own vendor says it.
    let status = if anthropic { "http/1.1 529" } else { "http/1.1 503" };
    assert!(head.starts_with(status), "{head}");
    assert!(head.contains("\r\nretry-after: 1\r\n") && head.contains("\r\nx-should-retry: true\r\n"), "{head}");
}

/// Many uploads that never end: some are held, the others refused, small calls served; and all is given back.
async fn flood(proxy: &Proxy, uploads: usize, size: (usize, usize)) {
    let said = Said::default();
    let paths = [CHAT, MESSAGES].into_iter().cycle();
    let running: Vec<_> = paths.take(uploads).map(|path| upload(proxy, path, size, &said)).collect();
    let at_rest = |proxy: &Proxy| {
        let metrics = proxy.metrics().unwrap();
        metrics.sum(REFUSALS, &[("purpose", "bulk")]) > 0.0 && !heads(&said).is_empty()
    };
    proxy.until("an upload is refused", at_rest).await.unwrap();
    let metrics = proxy.metrics().unwrap();
    assert!(metrics.sum(USED, &[]) <= metrics.sum("sluicegate_memory_budget_bytes", &[]), "{}", metrics.0);
    // Large bodies leave room for small calls.
    for _ in 0..20 {
        assert!(WHOLE.call(&proxy.client(), "m", &[]).await.is_good());
    }
    assert!(heads(&said).len() < uploads, "none was held");
    heads(&said).iter().for_each(|head| assert_refused(head));
    running.iter().for_each(JoinHandle::abort);
    proxy.until("all is given back", |proxy| proxy.metrics().unwrap().sum(USED, &[]) == 0.0).await.unwrap();
    let filler = " ".repeat(size.1);
    let body = format!(r#"{{"model":"m","messages":[{{"role":"user","content":"a"}}]{filler}}}"#);
    let answer = proxy.client().post(CHAT, &[], body).await.unwrap();
    assert!(answer.is_good(), "{}", answer.text());
}

#[tokio::test]
async fn unfinished_uploads_are_held_up_to_the_budget_and_refused_beyond_it() {
    let upstream = plain_upstream();
    let text = pool("p", &[provider("a", "OpenAI", upstream.address, "")], "") + &route("m", "p");
    let flags = ["--memory-budget", "16Mi", "--body-idle-timeout", "60s"];
    let proxy = Proxy::start(&[("all.yaml", &text)], &flags).unwrap();
    flood(&proxy, 24, (3 << 20, 2 << 20)).await;
}

#[tokio::test]
async fn unfinished_uploads_do_not_kill_a_process_with_a_memory_limit() {
    let group = match MemoryGroup::new(256 << 20) {
        Ok(group) => group,
        Err(why) => return println!("skipped: {why}"),
    };
    let upstream = plain_upstream();
    let text = pool("p", &[provider("a", "OpenAI", upstream.address, "")], "") + &route("m", "p");
    let proxy =
        Proxy::start_within(&group, &[("all.yaml", &text)], &["--body-idle-timeout", "60s", "--workers", "2"]).unwrap();
    let budget = proxy.metrics().unwrap().sum("sluicegate_memory_budget_bytes", &[]);
    assert_eq!(budget, f64::from(128 << 20), "half of the cgroup's limit");
    flood(&proxy, 31, (30 << 20, 29 << 20)).await;
    println!("at most {:?} bytes", group.peak());
}

#[tokio::test]
async fn a_body_that_never_fits_is_too_large() {
    let upstream = plain_upstream();
    let text = pool("p", &[provider("a", "OpenAI", upstream.address, "")], "") + &route("m", "p");
    let proxy = Proxy::start(&[("all.yaml", &text)], &["--memory-budget", "1Mi"]).unwrap();
    let answer = proxy.client().post(CHAT, &[], " ".repeat(2 << 20)).await.unwrap();
    assert_eq!(answer.status, 413, "{}", answer.text());
    assert!(WHOLE.call(&proxy.client(), "m", &[]).await.is_good());
}

#[tokio::test]
async fn an_answer_that_does_not_fit_is_no_providers_fault() {
    let body = format!(r#"{{"choices":[],"usage":{{"prompt_tokens":1}}{}}}"#, " ".repeat(6 << 20));
    let large = Upstream::always(vec![answer(200, &[("content-type", "application/json")], body.as_bytes())]).unwrap();
    let other = plain_upstream();
    let providers = [
        provider("large", "OpenAI", large.address, "priority: 0"),
        provider("other", "OpenAI", other.address, "priority: 1"),
    ];
    let proxy =
        Proxy::start(&[("all.yaml", &(pool("p", &providers, "") + &route("m", "p")))], &["--memory-budget", "4Mi"])
            .unwrap();
    for _ in 0..20 {
        let said = WHOLE.call(&proxy.client(), "m", &[]).await;
        assert_eq!((said.status, said.header("x-should-retry")), (503, "true"), "{}", said.text());
    }
    assert_eq!((large.calls(), other.calls()), (20, 0), "the provider was left alone for it");
    let metrics = proxy.metrics().unwrap();
    assert_eq!(metrics.sum(REFUSALS, &[("purpose", "bulk")]), 20.0);
    assert_eq!(metrics.sum(USED, &[]), 0.0);
}

#[tokio::test]
async fn a_recording_without_room_is_given_up_and_its_call_goes_on() {
    let piece = openai_piece(&format!(r#"{{"content":"{}"}}"#, "word ".repeat(2_000)), "null");
    let last = openai_piece("{}", r#""stop""#);
    let pieces = std::iter::repeat_n(chunk(piece.as_bytes()), 200);
    let ends = [chunk(last.as_bytes()), chunk(b"data: [DONE]\n\n"), last_chunk()];
    let acts: Vec<Act> = std::iter::once(stream_head()).chain(pieces).chain(ends).collect();
    let upstream = Upstream::always(acts).unwrap();
    let kept = "    targets: [{poolRef: {name: p}}]\n    cache: {ttl: 60s, scope: Route, store: {maxBytes: 8Mi}}\n";
    let text = pool("p", &[provider("a", "OpenAI", upstream.address, "")], "") + &rule("kept", kept);
    for (budget, refused) in [("2Mi", 2.0), ("64Mi", 0.0)] {
        let before = upstream.calls();
        let proxy = Proxy::start(&[("all.yaml", &text)], &["--memory-budget", budget]).unwrap();
        for _ in 0..2 {
            let answer = proxy.client().post(CHAT, &[], chat("kept", true)).await.unwrap();
            assert!(answer.is_good() && answer.text().ends_with("data: [DONE]\n\n"));
            let stored = |proxy: &Proxy| {
                let metrics = proxy.metrics().unwrap();
                let given_up = metrics.sum("sluicegate_cache_refused_total", &[("reason", "memory")]);
                given_up + metrics.sum("sluicegate_cache_stores_total", &[("layer", "memory")]) > 0.0
            };
            proxy.until("it is kept or given up", stored).await.unwrap();
        }
        let metrics = proxy.metrics().unwrap();
        assert_eq!(metrics.sum("sluicegate_cache_refused_total", &[("reason", "memory")]), refused, "{}", metrics.0);
        let calls = if refused > 0.0 { 2 } else { 1 };
        assert_eq!(upstream.calls() - before, calls);
        assert_eq!(metrics.sum(USED, &[]), 0.0);
    }
}

#[tokio::test]
async fn heads_that_never_end_are_held_up_to_the_budget() {
    let upstream = plain_upstream();
    let text = pool("p", &[provider("a", "OpenAI", upstream.address, "")], "") + &route("m", "p");
    let flags = ["--memory-budget", "2Mi", "--header-timeout", "60s", "--workers", "1"];
    let proxy = Proxy::start(&[("all.yaml", &text)], &flags).unwrap();
    let head = format!("GET / HTTP/1.1\r\nhost: x\r\na: {}", "b".repeat(60 << 10));
    let mut open = Vec::new();
    for _ in 0..60 {
        let mut socket = tokio::net::TcpStream::connect(proxy.address).await.unwrap();
        // One that is refused may be closed before all of it is written.
        let _ = socket.write_all(head.as_bytes()).await;
        open.push(socket);
    }
    let refused = |proxy: &Proxy| proxy.metrics().unwrap().sum(REFUSALS, &[("purpose", "call")]) >= 20.0;
    proxy.until("heads are refused", refused).await.unwrap();
    let metrics = proxy.metrics().unwrap();
    assert!((1.0..=f64::from(2 << 20)).contains(&metrics.sum(USED, &[])), "{}", metrics.0);
    drop(open);
    proxy.until("all is given back", |proxy| proxy.metrics().unwrap().sum(USED, &[]) == 0.0).await.unwrap();
    assert!(WHOLE.call(&proxy.client(), "m", &[]).await.is_good());
}

#[tokio::test]
async fn there_are_no_more_connections_than_there_is_memory_for() {
    let upstream = plain_upstream();
    let text = pool("p", &[provider("a", "OpenAI", upstream.address, "")], "") + &route("m", "p");
    let proxy = Proxy::start(&[("all.yaml", &text)], &["--memory-budget", "1Mi", "--workers", "1"]).unwrap();
    let mut open = Vec::new();
    for _ in 0..128 {
        open.push(tokio::net::TcpStream::connect(proxy.address).await.unwrap());
    }
    let mut further = tokio::net::TcpStream::connect(proxy.address).await.unwrap();
    // Closed at once, in order or not.
    assert!(matches!(further.read(&mut [0; 1]).await, Ok(0) | Err(_)));
    assert!(proxy.log().iter().any(|line| line.contains("little memory") && line.contains("\"max_connections\":128")));
}

/// Nothing but comments comes, more than is held back for a first token: the caller's answer begins, whether it is
/// translated, recorded or neither.
#[tokio::test]
async fn a_stream_that_says_nothing_is_held_up_to_a_bound_whatever_its_way_back() {
    let comments = ": still thinking\n\n".repeat(20_000);
    let acts = vec![stream_head(), chunk(comments.as_bytes()), Act::Hang];
    let upstream = Upstream::always(acts).unwrap();
    let cached = "    targets: [{poolRef: {name: p}}]\n    cache: {ttl: 60s, scope: Route}\n";
    let text = pool("p", &[provider("a", "OpenAI", upstream.address, "")], "  timeouts: {firstToken: 300s}\n")
        + &route("m", "p")
        + &rule("kept", cached);
    let proxy = Proxy::start(&[("all.yaml", &text)], &["--stream-keep-alive", "300s"]).unwrap();
    for model in ["m", "kept"] {
        for (path, body) in [(CHAT, chat(model, true)), (MESSAGES, message(model, true))] {
            let head = proxy.client().open(post(path, &[], body).unwrap()).await.unwrap();
            assert_eq!(head.status(), 200, "{model} {path}");
        }
    }
}
