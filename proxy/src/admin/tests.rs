//! The admin pages, asked over a socket as probes and scrapers do.

use std::sync::Arc;
use std::time::Duration;

use sluicegate_config::compile::SecretValue;
use sluicegate_config::rollout::Line;
use sluicegate_config::{Kind, ObjectId};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

use super::{Admin, router, serve};
use crate::account::{LogQueue, Metrics};
use crate::drain::{Lifecycle, Post};
use crate::limit::SharedLimits;
use crate::source::{ObjectReport, ObjectState, Report};

/// What a process tells its admin pages.
struct Process {
    reports: watch::Sender<Arc<Report>>,
    draining: watch::Sender<bool>,
    lifecycle: Arc<Lifecycle>,
}

impl Process {
    /// Its one worker takes connections for as long as this is kept.
    fn serves(&self) -> Post {
        let mut post = self.lifecycle.post(0);
        post.accepts();
        post
    }

    fn applies(&self, objects: &[(&'static str, &str, &str)]) {
        let mut report = Report { revision: Some("r1".to_owned()), ..Report::default() };
        for (kind, name, revision) in objects {
            report.put(Arc::new(ObjectReport {
                kind,
                name: Arc::new(ObjectId((*name).to_owned())),
                revision: Some((*revision).into()),
                state: ObjectState::Applied,
                version: None,
                credentials: None,
                rejected: None,
            }));
        }
        self.reports.send_replace(Arc::new(report));
    }
}

fn admin() -> (Admin, Process) {
    let (queue, _writer) = LogQueue::new();
    let (reports, report) = watch::channel(Arc::default());
    let (draining, drains) = watch::channel(false);
    let lifecycle = Lifecycle::new(1);
    let admin = Admin {
        metrics: Metrics::new(queue),
        report,
        staff: lifecycle.staff(),
        draining: drains,
        tokens: Arc::default(),
        registry: Arc::default(),
        limits: Arc::new(SharedLimits::default()),
    };
    (admin, Process { reports, draining, lifecycle })
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
    let (admin, process) = admin();
    assert!(get(&admin, "/healthz").await.starts_with("HTTP/1.1 200"));
    let answer = get(&admin, "/readyz").await;
    assert!(answer.starts_with("HTTP/1.1 503") && answer.contains("no configuration is applied"), "{answer}");
    process.applies(&[]);
    assert!(get(&admin, "/readyz").await.contains("not every worker takes connections"));
    let _worker = process.serves();
    assert!(get(&admin, "/readyz").await.starts_with("HTTP/1.1 200"));
    assert!(get(&admin, "/config").await.contains(r#""revision":"r1""#));
    process.draining.send_replace(true);
    let answer = get(&admin, "/readyz").await;
    assert!(answer.starts_with("HTTP/1.1 503") && answer.contains("draining"), "{answer}");
    assert!(get(&admin, "/status").await.contains(r#""ready":false"#));
}

#[tokio::test]
async fn metrics_come_in_the_format_asked_for() {
    let (admin, _process) = admin();
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
    let (admin, _process) = admin();
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

/// Opens a stream; gives back its status line and a reader of what follows the head.
async fn follow(address: std::net::SocketAddr) -> (String, BufReader<TcpStream>) {
    follow_as(address, "").await
}

/// The same, with a header line.
async fn follow_as(address: std::net::SocketAddr, header: &str) -> (String, BufReader<TcpStream>) {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(format!("GET /rollout HTTP/1.1\r\nhost: a\r\n{header}\r\n").as_bytes()).await.unwrap();
    let mut reader = BufReader::new(stream);
    let (mut status, mut line) = (String::new(), String::new());
    reader.read_line(&mut status).await.unwrap();
    while line != "\r\n" {
        line.clear();
        reader.read_line(&mut line).await.unwrap();
    }
    (status, reader)
}

/// The next chunk of a stream; `None`: it ended.
async fn chunk(reader: &mut BufReader<TcpStream>) -> Option<Vec<u8>> {
    let mut size = String::new();
    reader.read_line(&mut size).await.ok()?;
    let size = usize::from_str_radix(size.trim(), 16).ok()?;
    let mut chunk = vec![0; size + 2];
    reader.read_exact(&mut chunk).await.ok()?;
    chunk.truncate(size);
    Some(chunk)
}

/// The next line that says something.
async fn line(reader: &mut BufReader<TcpStream>) -> Line {
    loop {
        let text = chunk(reader).await.unwrap();
        if text != b"\n" {
            return serde_json::from_slice(&text).unwrap();
        }
    }
}

/// Runs against a server of these pages.
async fn against<T>(admin: Admin, asking: impl AsyncFnOnce(std::net::SocketAddr) -> T) -> T {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::select! {
        served = serve(listener, router(admin)) => panic!("ended: {served:?}"),
        done = tokio::time::timeout(Duration::from_secs(20), asking(address)) => done.unwrap(),
    }
}

#[tokio::test]
async fn the_rollout_is_told_whole_and_then_by_what_changes() {
    let (admin, process) = admin();
    let worker = process.serves();
    against(admin, async |address| {
        let (status, mut reader) = follow(address).await;
        assert!(status.starts_with("HTTP/1.1 200"), "{status}");
        assert_eq!(line(&mut reader).await, Line { whole: true, ..Line::default() });
        process.applies(&[("LLMRoute", "a/r", "1"), ("ProviderPool", "a/p", "1")]);
        let told = line(&mut reader).await;
        assert!(told.ready && !told.whole && told.objects.len() == 2, "{told:?}");
        process.applies(&[("LLMRoute", "a/r", "2")]);
        let told = line(&mut reader).await;
        assert_eq!(told.objects[&Kind::LlmRoute][&ObjectId("a/r".to_owned())].revision.as_deref(), Some("2"));
        assert_eq!(told.objects.len(), 1);
        assert_eq!(told.gone, [(Kind::ProviderPool, vec![ObjectId("a/p".to_owned())])].into());
        assert_eq!(chunk(&mut reader).await.unwrap(), b"\n", "a sign of life while nothing changes");
        drop(worker);
        assert!(!line(&mut reader).await.ready, "a worker is gone");
        let _another = process.serves();
        assert!(line(&mut reader).await.ready);
        process.draining.send_replace(true);
        assert!(!line(&mut reader).await.ready);
    })
    .await;
}

#[tokio::test]
async fn a_slow_reader_is_told_the_end_of_many_changes_and_streams_are_bounded() {
    let (admin, process) = admin();
    against(admin, async |address| {
        let mut readers = Vec::new();
        for _ in 0..8 {
            let (_, mut reader) = follow(address).await;
            line(&mut reader).await;
            readers.push(reader);
        }
        let (status, _) = follow(address).await;
        assert!(status.starts_with("HTTP/1.1 503"), "{status}");
        for number in 0..100 {
            process.applies(&[("LLMRoute", "a/r", &number.to_string())]);
        }
        let told = line(&mut readers[0]).await;
        assert_eq!(told.objects[&Kind::LlmRoute][&ObjectId("a/r".to_owned())].revision.as_deref(), Some("99"));
        // A reader that left frees its place.
        readers.clear();
        process.applies(&[]);
        while !follow(address).await.0.starts_with("HTTP/1.1 200") {}
    })
    .await;
}

#[tokio::test]
async fn the_operators_place_is_nobody_elses() {
    let (admin, process) = admin();
    let word = "w".repeat(32);
    let operator = Some(SecretValue::new(word.clone().into_bytes()));
    process.reports.send_replace(Arc::new(Report { operator, ..Report::default() }));
    assert!(!get(&admin, "/config").await.contains(&word), "it is shown to nobody");
    against(admin, async |address| {
        let (known, forged) = (format!("authorization: Bearer {word}\r\n"), "authorization: Bearer x\r\n");
        let (_, mut operator) = follow_as(address, &known).await;
        line(&mut operator).await;
        let mut held = Vec::new();
        for _ in 0..8 {
            held.push(follow_as(address, forged).await);
        }
        for header in ["", forged, &format!("authorization: Bearer {}\r\n", "v".repeat(32)), &known.to_lowercase()[1..]]
        {
            assert!(follow_as(address, header).await.0.starts_with("HTTP/1.1 503"), "{header}");
        }
        let (status, _) = follow_as(address, &known).await;
        assert!(status.starts_with("HTTP/1.1 200"), "{status}");
        // Connections that say nothing: the pages are answered, and the operator's stream goes on.
        for _ in 0..200 {
            held.push((String::new(), BufReader::new(TcpStream::connect(address).await.unwrap())));
        }
        let (status, _) = follow_as(address, &known).await;
        assert!(status.starts_with("HTTP/1.1 200"), "{status}");
        process.applies(&[("LLMRoute", "a/r", "1")]);
        assert!(line(&mut operator).await.of(Kind::LlmRoute, &ObjectId("a/r".to_owned())).is_some());
    })
    .await;
}
