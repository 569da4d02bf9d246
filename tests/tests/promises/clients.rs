//! What HTTP lets a client do, and some clients do.

use std::net::SocketAddr;

use http::{Method, Request};
use http_body_util::Full;
use sluicegate_tests::client::raw;
use sluicegate_tests::load::post;
use sluicegate_tests::proxy::Proxy;
use sluicegate_tests::upstream::Upstream;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::resources::{CHAT, chat, plain_upstream, pool, provider, route};

fn proxy() -> (Upstream, Proxy) {
    let upstream = plain_upstream();
    let text = pool("p", &[provider("a", "OpenAI", upstream.address, "")], "") + &route("m", "p");
    let proxy = Proxy::start(&[("all.yaml", &text)], &[]).unwrap();
    (upstream, proxy)
}

async fn exchange(address: SocketAddr, request: &[u8]) -> String {
    let (seen, _) = raw(address, request, usize::MAX).await.unwrap();
    String::from_utf8_lossy(&seen).into_owned()
}

#[tokio::test]
async fn calls_sent_one_after_the_other_without_waiting_are_answered_in_order() {
    let (_upstream, proxy) = proxy();
    let (first, second) = (
        post(CHAT, &[("x-request-id", "first")], &chat("m", true)),
        post(CHAT, &[("x-request-id", "second"), ("connection", "close")], &chat("m", false)),
    );
    let seen = exchange(proxy.address, &[first, second].concat()).await;
    let (first, second) = (seen.find("x-request-id: first").unwrap(), seen.find("x-request-id: second").unwrap());
    assert!(first < second && seen.matches("HTTP/1.1 200").count() == 2, "{seen}");
}

#[tokio::test]
async fn a_client_that_asks_first_is_told_to_go_on() {
    let (_upstream, proxy) = proxy();
    let body = chat("m", false);
    let mut socket = tokio::net::TcpStream::connect(proxy.address).await.unwrap();
    let head = format!(
        "POST {CHAT} HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\nexpect: 100-continue\r\nconnection: close\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    socket.write_all(head.as_bytes()).await.unwrap();
    let mut seen = [0; 25];
    socket.read_exact(&mut seen).await.unwrap();
    assert!(seen.starts_with(b"HTTP/1.1 100 Continue\r\n\r\n"), "{}", String::from_utf8_lossy(&seen));
    socket.write_all(body.as_bytes()).await.unwrap();
    let mut rest = String::new();
    socket.read_to_string(&mut rest).await.unwrap();
    assert!(rest.starts_with("HTTP/1.1 200"), "{rest}");
}

#[tokio::test]
async fn a_body_in_chunks_is_a_body() {
    let (upstream, proxy) = proxy();
    let body = chat("m", false);
    let mut request =
        format!("POST {CHAT} HTTP/1.1\r\nhost: x\r\nconnection: close\r\ntransfer-encoding: chunked\r\n\r\n");
    for piece in body.as_bytes().chunks(3) {
        request += &format!("{:x};ext=1\r\n{}\r\n", piece.len(), String::from_utf8_lossy(piece));
    }
    request += "0\r\nx-trailer: ignored\r\n\r\n";
    let seen = exchange(proxy.address, request.as_bytes()).await;
    assert!(seen.starts_with("HTTP/1.1 200"), "{seen}");
    let sent = upstream.received().pop().unwrap();
    assert_eq!((String::from_utf8_lossy(&sent.body).as_ref(), sent.header("transfer-encoding")), (body.as_str(), ""));
}

#[tokio::test]
async fn old_clients_and_absolute_targets_are_answered() {
    let (_upstream, proxy) = proxy();
    let body = chat("m", false);
    let old = format!(
        "POST {CHAT} HTTP/1.0\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    let seen = exchange(proxy.address, old.as_bytes()).await;
    assert!(seen.contains(" 200 ") && !seen.contains("transfer-encoding"), "{seen}");
    let absolute = format!(
        "POST http://gateway.example{CHAT}?api-version=1 HTTP/1.1\r\nhost: gateway.example\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    let seen = exchange(proxy.address, absolute.as_bytes()).await;
    assert!(seen.starts_with("HTTP/1.1 200"), "{seen}");
    let lines = format!(
        "\r\n\r\nPOST {CHAT} HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    let seen = exchange(proxy.address, lines.as_bytes()).await;
    assert!(seen.starts_with("HTTP/1.1 200"), "empty lines before a request are skipped (RFC 9112, 2.2): {seen}");
}

/// More than the sockets between hold: its writing ends only when somebody reads, or hangs up.
#[tokio::test]
async fn a_body_that_nobody_reads_does_not_lose_its_answer() {
    let (_upstream, proxy) = proxy();
    let body = vec![b' '; 24 << 20];
    for (path, status) in [("/v1/uploads", "404"), ("/v1/models", "405")] {
        let mut socket = tokio::net::TcpStream::connect(proxy.address).await.unwrap();
        let head = format!("POST {path} HTTP/1.1\r\nhost: x\r\ncontent-length: {}\r\n\r\n", body.len());
        socket.write_all(head.as_bytes()).await.unwrap();
        socket.write_all(&body).await.unwrap();
        let mut seen = String::new();
        socket.read_to_string(&mut seen).await.unwrap();
        assert!(seen.starts_with(&format!("HTTP/1.1 {status}")) && seen.contains("connection: close"), "{seen}");
    }
}

#[tokio::test]
async fn head_and_options_are_answered() {
    let (_upstream, proxy) = proxy();
    let client = proxy.client();
    let ask = |method: Method, path: &str| Request::builder().method(method).uri(path).body(Full::default()).unwrap();
    let head = client.send(ask(Method::HEAD, "/v1/models")).await.unwrap();
    assert_eq!((head.status, head.body.len(), head.header("content-type")), (200, 0, "application/json"));
    let options = client.send(ask(Method::OPTIONS, CHAT)).await.unwrap();
    assert!(options.status < 300 && options.header("allow").contains("POST"), "{}", options.status);
}
