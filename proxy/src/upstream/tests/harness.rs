//! Servers on loopback that do as a test says, and a client to call them with.

use std::cell::Cell;
use std::future::Future;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{Method, Request, Response};
use http_body_util::BodyExt;
use sluicegate_config::{Connection, Defaults, HttpVersion, Millis, ObjectId, Provider, ProviderKind, Simulated};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::upstream::dns::Dns;
use crate::upstream::{Origin, PoolTotals, SendError, SendLimits, StatsBoard, UpstreamBody, UpstreamClient};

/// A whole answer as a raw server writes it.
pub(super) const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nhi";

/// Runs a test on one thread, as a worker would; no test hangs for ever.
pub(super) fn worker<F: Future<Output = ()>>(test: F) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let local = tokio::task::LocalSet::new();
    let bounded = async { tokio::time::timeout(Duration::from_secs(60), test).await.expect("the test hangs") };
    local.block_on(&runtime, bounded);
}

pub(super) fn connection() -> Connection {
    Connection {
        http: HttpVersion::Auto,
        max_connections: 100,
        max_idle: 100,
        idle_timeout: Millis(60_000),
        idle_said: true,
        tcp_keepalive: Some(Millis(30_000)),
        dns_ttl: None,
        compress_requests_over: None,
        drain_abandoned: None,
        ca_pem: None,
        server_name: None,
    }
}

/// So long for a connection, and long enough for an answer.
pub(super) fn limits(connect: Duration) -> SendLimits {
    let now = Instant::now();
    SendLimits { connect, until: now + Duration::from_secs(30), now, resend: true }
}

pub(super) fn origin(url: &str, connection: Connection) -> Origin {
    Origin::new(&ObjectId("ns/pool".to_owned()), &provider(url, connection, None)).unwrap()
}

pub(super) fn provider(url: &str, connection: Connection, simulated: Option<Simulated>) -> Provider {
    Provider {
        name: "one".to_owned(),
        kind: if simulated.is_some() { ProviderKind::Simulated } else { ProviderKind::OpenAiCompatible },
        url: url.to_owned(),
        api_version: None,
        service: None,
        model_server: None,
        endpoints: None,
        credential: None,
        keys: Vec::new(),
        identity: None,
        weight: 1,
        priority: 0,
        models: Default::default(),
        region: None,
        regions: std::collections::BTreeMap::new(),
        discovery: None,
        defaults: Defaults::default(),
        connection,
        set_headers: Default::default(),
        pass_headers: Vec::new(),
        remove_headers: Vec::new(),
        compatibility: Default::default(),
        concurrency: None,
        endpoint_concurrency: None,
        rate: Vec::new(),
        simulated,
    }
}

/// A client and what it counts.
pub(super) struct TestCaller {
    pub(super) client: UpstreamClient,
    board: Arc<StatsBoard>,
    /// Requests that were sent once more.
    pub(super) resent: Cell<u32>,
}

impl TestCaller {
    pub(super) fn new() -> Self {
        let board = Arc::new(StatsBoard::default());
        Self { client: UpstreamClient::new(1, Arc::clone(&board)), board, resent: Cell::new(0) }
    }

    /// One that asks this DNS for names.
    pub(super) fn asking(dns: Dns) -> Self {
        let board = Arc::new(StatsBoard::default());
        Self { client: UpstreamClient::asking(dns, Arc::clone(&board)), board, resent: Cell::new(0) }
    }

    pub(super) async fn send(&self, origin: &Origin, body: &str) -> Result<Response<UpstreamBody>, SendError> {
        self.send_within(origin, body, Duration::from_secs(20)).await
    }

    pub(super) async fn send_within(
        &self,
        origin: &Origin,
        body: &str,
        connect: Duration,
    ) -> Result<Response<UpstreamBody>, SendError> {
        self.send_until(origin, body, limits(connect)).await
    }

    pub(super) async fn send_until(
        &self,
        origin: &Origin,
        body: &str,
        limits: SendLimits,
    ) -> Result<Response<UpstreamBody>, SendError> {
        let body = Bytes::copy_from_slice(body.as_bytes());
        let request = || {
            Request::builder()
                .method(Method::POST)
                .uri(origin.uri("/chat/completions").unwrap())
                .header("content-type", "application/json")
                .body(body.clone())
                .unwrap()
        };
        let sent = self.client.send(origin, request, limits).await?;
        self.resent.set(self.resent.get() + u32::from(sent.resent));
        Ok(sent.response)
    }

    /// One call to its end.
    pub(super) async fn text(&self, origin: &Origin, body: &str) -> String {
        let response = self.send(origin, body).await.unwrap();
        let whole = response.into_body().collect().await.unwrap().to_bytes();
        String::from_utf8(whole.to_vec()).unwrap()
    }

    pub(super) fn totals(&self) -> PoolTotals {
        self.board.read().first().map(|row| row.totals).unwrap_or_default()
    }
}

/// Serves each connection with `each`, telling its number; gives the server's address.
pub(super) async fn serve<F, Fut>(each: F) -> SocketAddr
where
    F: Fn(usize, TcpStream) -> Fut + 'static,
    Fut: Future<Output = ()> + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let each = Rc::new(each);
    tokio::task::spawn_local(async move {
        let mut number = 0;
        while let Ok((stream, _)) = listener.accept().await {
            tokio::task::spawn_local(each(number, stream));
            number += 1;
        }
    });
    address
}

pub(super) fn url(address: SocketAddr) -> String {
    format!("http://{address}/v1")
}

/// Reads one request with a content-length; gives its text, or nothing at the connection's end.
pub(super) async fn read_request(stream: &mut TcpStream) -> Option<String> {
    let mut text = Vec::new();
    let mut buffer = [0; 4096];
    loop {
        let got = stream.read(&mut buffer).await.ok().filter(|got| *got > 0)?;
        text.extend_from_slice(&buffer[..got]);
        let so_far = String::from_utf8_lossy(&text).into_owned();
        if let Some(head) = so_far.find("\r\n\r\n") {
            let length = so_far
                .to_ascii_lowercase()
                .split("content-length: ")
                .nth(1)
                .map_or(0, |rest| rest.split("\r\n").next().unwrap().parse::<usize>().unwrap());
            if text.len() >= head + 4 + length {
                return Some(so_far);
            }
        }
    }
}

/// Answers every request of a connection with the same text, in one write.
pub(super) async fn answer_all(mut stream: TcpStream, answer: &str) {
    while read_request(&mut stream).await.is_some() {
        if stream.write_all(answer.as_bytes()).await.is_err() {
            return;
        }
    }
}

/// Answers one request, then closes.
pub(super) async fn answer_once(mut stream: TcpStream, answer: &str) {
    read_request(&mut stream).await;
    let _ = stream.write_all(answer.as_bytes()).await;
    let _ = stream.shutdown().await;
}
