//! The admin pages, asked over a socket as probes and scrapers do.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

use super::{Admin, router, serve};
use crate::account::{LogQueue, Metrics};
use crate::source::Report;

fn admin() -> (Admin, watch::Sender<Arc<Report>>) {
    let (queue, _writer) = LogQueue::new();
    let (reports, report) = watch::channel(Arc::default());
    let flag = || Arc::new(AtomicBool::new(false));
    (Admin { metrics: Metrics::new(queue), report, serving: flag(), draining: flag() }, reports)
}

/// Sends raw bytes to a server of these pages, and returns all it answered.
async fn ask(admin: &Admin, request: &[u8]) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let asking = async {
        let mut stream = TcpStream::connect(address).await.unwrap();
        // A server that refuses early may close before all is written.
        drop(stream.write_all(request).await);
        let mut answer = Vec::new();
        drop(stream.read_to_end(&mut answer).await);
        String::from_utf8_lossy(&answer).into_owned()
    };
    tokio::select! {
        served = serve(listener, router(admin.clone())) => panic!("ended: {served:?}"),
        answer = tokio::time::timeout(Duration::from_secs(20), asking) => answer.unwrap(),
    }
}

async fn get(admin: &Admin, path: &str) -> String {
    ask(admin, format!("GET {path} HTTP/1.1\r\nhost: a\r\n\r\n").as_bytes()).await
}

#[tokio::test]
async fn readiness_says_why_not() {
    let (admin, reports) = admin();
    assert!(get(&admin, "/healthz").await.starts_with("HTTP/1.1 200"));
    let answer = get(&admin, "/readyz").await;
    assert!(answer.starts_with("HTTP/1.1 503") && answer.contains("no configuration is applied"), "{answer}");
    reports.send_replace(Arc::new(Report { revision: Some("r1".to_owned()), ..Report::default() }));
    assert!(get(&admin, "/readyz").await.contains("workers are starting"));
    admin.serving.store(true, Relaxed);
    assert!(get(&admin, "/readyz").await.starts_with("HTTP/1.1 200"));
    assert!(get(&admin, "/config").await.contains(r#""revision":"r1""#));
    admin.draining.store(true, Relaxed);
    let answer = get(&admin, "/readyz").await;
    assert!(answer.starts_with("HTTP/1.1 503") && answer.contains("draining"), "{answer}");
    assert!(get(&admin, "/status").await.contains(r#""ready":false"#));
}

#[tokio::test]
async fn metrics_come_in_the_format_asked_for() {
    let (admin, _reports) = admin();
    let answer = get(&admin, "/metrics").await;
    assert!(answer.contains("content-type: text/plain; version=0.0.4"), "{answer}");
    assert!(
        answer.contains("# TYPE sluicegate_inflight_seconds_total counter") && !answer.contains("# EOF"),
        "{answer}"
    );
    let open = b"GET /metrics HTTP/1.1\r\nhost: a\r\naccept: application/openmetrics-text\r\n\r\n";
    let answer = ask(&admin, open).await;
    assert!(answer.contains("content-type: application/openmetrics-text") && answer.ends_with("# EOF\n"), "{answer}");
}

#[tokio::test]
async fn hostile_requests_end_in_an_error() {
    let (admin, _reports) = admin();
    assert!(get(&admin, "/nothing").await.starts_with("HTTP/1.1 404"));
    assert!(
        ask(&admin, b"POST /config HTTP/1.1\r\nhost: a\r\ncontent-length: 3\r\n\r\nabc")
            .await
            .starts_with("HTTP/1.1 405")
    );
    assert!(ask(&admin, b"\x16\x03\x01\x02\x00\x01\r\n\r\n").await.starts_with("HTTP/1.1 400"));
    let flood = format!("GET /healthz HTTP/1.1\r\nhost: a\r\nx: {}\r\n\r\n", "a".repeat(100_000));
    let answer = ask(&admin, flood.as_bytes()).await;
    assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 431"), "{answer}");
}
