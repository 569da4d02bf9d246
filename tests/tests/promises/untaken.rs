//! Time is kept whoever does not read: a caller that takes nothing of its answer, or takes it slowly, holds nothing for ever.

use std::time::Duration;

use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::client::conn::http2::{Builder, SendRequest};
use hyper_util::rt::{TokioExecutor, TokioIo};
use sluicegate_tests::client::post;
use sluicegate_tests::proxy::Proxy;
use sluicegate_tests::upstream::{Act, Upstream, answer, chunk, stream_head};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::resources::{CHAT, Way, chat, openai_piece, openai_stream, openai_whole, pool, provider, route};

const WHOLE: Way = Way { anthropic: false, stream: false };
const CHOICE: &str = r#"{"index":0,"message":{"role":"assistant","content":"hi"},"finish_reason":"stop"}"#;
const REQUESTS: &str = "sluicegate_requests_total";

/// A client that opens no window: whatever it is answered, it takes nothing of it.
#[expect(clippy::disallowed_methods, reason = "no worker of the product is here")]
async fn windowless(proxy: &Proxy) -> SendRequest<Full<Bytes>> {
    let socket = tokio::net::TcpStream::connect(proxy.address).await.unwrap();
    let mut builder = Builder::new(TokioExecutor::new());
    builder.initial_stream_window_size(0);
    let (sender, driver) = builder.handshake(TokioIo::new(socket)).await.unwrap();
    tokio::spawn(driver);
    sender
}

fn request(proxy: &Proxy, stream: bool) -> Request<Full<Bytes>> {
    let mut request = post(CHAT, &[], chat("m", stream)).unwrap();
    *request.uri_mut() = format!("http://{}{CHAT}", proxy.address).parse().unwrap();
    request
}

/// Waits for the stream's reset, of which nothing came before.
async fn is_reset(mut body: Incoming) {
    let frame = tokio::time::timeout(Duration::from_secs(30), body.frame()).await;
    let frame = frame.unwrap_or_else(|_| panic!("it is held for ever"));
    assert!(frame.unwrap().is_err(), "something came");
}

/// Words without end: as much as anybody can read in a test.
fn endless(pieces: usize) -> Vec<Act> {
    let piece = openai_piece(&format!(r#"{{"content":"{}"}}"#, "word ".repeat(13_000)), "null");
    std::iter::once(stream_head()).chain((0..pieces).map(|_| chunk(piece.as_bytes()))).collect()
}

#[tokio::test]
async fn a_caller_without_a_window_gives_back_its_providers_connections() {
    let upstream =
        Upstream::start(|received| if received.streams() { endless(1_000) } else { vec![openai_whole("served")] })
            .unwrap();
    let text = pool("p", &[provider("a", "OpenAI", upstream.address, "connection: {maxConnections: 4}")], "")
        + &route("m", "p");
    let proxy = Proxy::start(&[("all.yaml", &text)], &["--write-timeout", "2s", "--workers", "1"]).unwrap();
    let mut sender = windowless(&proxy).await;
    let mut held = Vec::new();
    for _ in 0..4 {
        let response = sender.send_request(request(&proxy, true)).await.unwrap();
        assert_eq!(response.status(), 200);
        held.push(response.into_body());
    }
    for body in held {
        is_reset(body).await;
    }
    let served = WHOLE.call(&proxy.client(), "m", &[]).await;
    assert!(served.is_good(), "{}", served.text());
    let counts = |proxy: &Proxy, outcome| proxy.metrics().unwrap().sum(REQUESTS, &[("outcome", outcome)]);
    proxy.until("all are counted", |proxy| counts(proxy, "client_gone") == 4.0).await.unwrap();
    assert_eq!(counts(&proxy, "done"), 1.0);
}

#[tokio::test]
async fn a_whole_answer_that_nobody_takes_is_let_go_and_is_not_done() {
    let body = format!(r#"{{"choices":[{CHOICE}],"usage":{{"prompt_tokens":1}}{}}}"#, " ".repeat(1 << 20));
    for body in [body.as_str(), &format!(r#"{{"choices":[{CHOICE}],"usage":{{"prompt_tokens":1}}}}"#)] {
        let upstream =
            Upstream::always(vec![answer(200, &[("content-type", "application/json")], body.as_bytes())]).unwrap();
        let text = pool("p", &[provider("a", "OpenAI", upstream.address, "")], "") + &route("m", "p");
        let proxy = Proxy::start(&[("all.yaml", &text)], &["--write-timeout", "1s", "--workers", "1"]).unwrap();
        let response = windowless(&proxy).await.send_request(request(&proxy, false)).await.unwrap();
        if body.len() > 4096 {
            assert!(proxy.metrics().unwrap().sum("sluicegate_memory_budget_used_bytes", &[]) >= body.len() as f64);
        }
        is_reset(response.into_body()).await;
        let gone = |proxy: &Proxy| proxy.metrics().unwrap().sum(REQUESTS, &[("outcome", "client_gone")]) == 1.0;
        proxy.until("it is counted", gone).await.unwrap();
        let metrics = proxy.metrics().unwrap();
        assert_eq!(metrics.sum(REQUESTS, &[]), 1.0, "{}", metrics.0);
        assert_eq!(metrics.sum("sluicegate_memory_budget_used_bytes", &[]), 0.0);
    }
}

#[tokio::test]
async fn answers_that_nobody_takes_are_held_up_to_the_memory_budget() {
    let body = format!(r#"{{"choices":[{CHOICE}],"usage":{{"prompt_tokens":1}}{}}}"#, " ".repeat(1 << 20));
    let large = answer(200, &[("content-type", "application/json")], body.as_bytes());
    let upstream = Upstream::always(vec![large]).unwrap();
    let text = pool("p", &[provider("a", "OpenAI", upstream.address, "")], "") + &route("m", "p");
    let proxy = Proxy::start(&[("all.yaml", &text)], &["--memory-budget", "8Mi", "--workers", "1"]).unwrap();
    let mut sender = windowless(&proxy).await;
    let (mut held, mut refused) = (Vec::new(), 0);
    for _ in 0..20 {
        let response = sender.send_request(request(&proxy, false)).await.unwrap();
        match response.status().as_u16() {
            200 => held.push(response.into_body()),
            503 => refused += 1,
            other => panic!("{other}"),
        }
    }
    assert!(held.len() >= 2 && refused >= 12, "{} held, {refused} refused", held.len());
    let used = |proxy: &Proxy| proxy.metrics().unwrap().sum("sluicegate_memory_budget_used_bytes", &[]);
    assert!(used(&proxy) <= f64::from(8 << 20), "{}", used(&proxy));
    drop((held, sender));
    proxy.until("all is given back", |proxy| used(proxy) == 0.0).await.unwrap();
    assert!(WHOLE.call(&proxy.client(), "m", &[]).await.is_good());
}

#[tokio::test]
async fn the_total_time_ends_an_answer_that_nobody_takes() {
    let upstream =
        Upstream::start(
            |received| {
                if received.streams() { endless(1_000) } else { vec![openai_whole(&"word ".repeat(100_000))] }
            },
        )
        .unwrap();
    let text = pool(
        "p",
        &[provider("a", "OpenAI", upstream.address, "")],
        "  timeouts: {connect: 1s, firstToken: 2s, idle: 2s, total: 2s}\n",
    ) + &route("m", "p");
    let proxy = Proxy::start(&[("all.yaml", &text)], &["--write-timeout", "300s", "--workers", "1"]).unwrap();
    let mut sender = windowless(&proxy).await;
    for stream in [true, false] {
        let response = sender.send_request(request(&proxy, stream)).await.unwrap();
        assert_eq!(response.status(), 200);
        is_reset(response.into_body()).await;
    }
    let late = |proxy: &Proxy| proxy.metrics().unwrap().sum(REQUESTS, &[("outcome", "timed_out")]) == 2.0;
    proxy.until("they are counted", late).await.unwrap();
}

#[tokio::test]
async fn the_total_time_holds_for_a_provider_that_always_has_something_and_a_slow_caller() {
    let upstream = Upstream::always(endless(1_000)).unwrap();
    let text = pool(
        "p",
        &[provider("a", "OpenAI", upstream.address, "")],
        "  timeouts: {connect: 1s, firstToken: 2s, idle: 2s, total: 2s}\n",
    ) + &route("m", "p");
    let proxy = Proxy::start(&[("all.yaml", &text)], &["--workers", "1"]).unwrap();
    let mut socket = tokio::net::TcpStream::connect(proxy.address).await.unwrap();
    let body = chat("m", true);
    let head = format!(
        "POST {CHAT} HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    socket.write_all(head.as_bytes()).await.unwrap();
    let (mut room, mut come) = (vec![0; 64 << 10], 0_usize);
    let reading = async {
        while let Ok(count @ 1..) = socket.read(&mut room).await {
            come += count;
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), reading).await.unwrap_or_else(|_| panic!("it goes on for ever"));
    assert!(come > 0 && come < 60_000_000, "{come}: all of it came");
    let late = |proxy: &Proxy| proxy.metrics().unwrap().sum(REQUESTS, &[("outcome", "timed_out")]) == 1.0;
    proxy.until("it is counted", late).await.unwrap();
}

/// A connection whose kernel holds little of what its client does not read.
async fn narrow(proxy: &Proxy) -> tokio::net::TcpStream {
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    socket.set_recv_buffer_size(4 << 10).unwrap();
    // Small segments make a small buffer on the other side.
    socket.set_tcp_mss(1_000).unwrap();
    socket.connect(&proxy.address.into()).unwrap();
    socket.set_nonblocking(true).unwrap();
    tokio::net::TcpStream::from_std(socket.into()).unwrap()
}

#[tokio::test]
async fn over_http1_an_answer_is_done_when_it_is_written_and_not_when_its_caller_leaves_before() {
    let text = "word ".repeat(60_000);
    let upstream = Upstream::start(
        move |received| {
            if received.streams() { openai_stream(&text) } else { vec![openai_whole(&text)] }
        },
    )
    .unwrap();
    let resources = pool("p", &[provider("a", "OpenAI", upstream.address, "")], "") + &route("m", "p");
    let proxy = Proxy::start(&[("all.yaml", &resources)], &["--workers", "1"]).unwrap();
    let count = |outcome: &'static str, wanted: f64| {
        move |proxy: &Proxy| proxy.metrics().unwrap().sum(REQUESTS, &[("outcome", outcome)]) == wanted
    };
    for (calls, (stream, reads)) in [(false, false), (true, false), (false, true), (true, true)].into_iter().enumerate()
    {
        let mut socket = narrow(&proxy).await;
        let body = chat("m", stream);
        let head = format!(
            "POST {CHAT} HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        );
        socket.write_all(head.as_bytes()).await.unwrap();
        // The first bytes are here: HTTP/1 has been given all it takes.
        socket.readable().await.unwrap();
        let wanted = (calls % 2 + 1) as f64;
        if reads {
            let mut all = Vec::new();
            socket.read_to_end(&mut all).await.unwrap();
            assert!(all.len() > 300_000, "{}", all.len());
            proxy.until("it is done", count("done", wanted)).await.unwrap();
        } else {
            assert!(count("done", 0.0)(&proxy), "stream={stream}: it is not written yet");
            socket2::SockRef::from(&socket).set_linger(Some(Duration::ZERO)).unwrap();
            drop(socket);
            proxy.until("its caller is gone", count("client_gone", wanted)).await.unwrap();
            assert!(count("done", 0.0)(&proxy), "stream={stream}");
        }
    }
    assert_eq!(proxy.metrics().unwrap().sum(REQUESTS, &[]), 4.0);
}
