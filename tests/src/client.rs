//! A small HTTP client for tests: it never sends twice what was sent once, and tells a clean end from a cut.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::Context as _;
use bytes::{Bytes, BytesMut};
use http::{HeaderMap, Method, Request, Response, Uri};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper_util::client::legacy::Client as Pooled;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

/// No call of a test takes longer; one that does has hung.
const PATIENCE: Duration = Duration::from_secs(60);

/// A client of one server, with a pool of connections.
#[derive(Debug, Clone)]
pub struct Client {
    http: Pooled<HttpConnector, Full<Bytes>>,
    address: SocketAddr,
}

/// An answer, read to its end or to where it was cut.
#[derive(Debug, Clone)]
pub struct Answer {
    /// Its status.
    pub status: u16,
    /// Its headers.
    pub headers: HeaderMap,
    /// What came of its body.
    pub body: Bytes,
    /// Whether the body came to a clean end.
    pub whole: bool,
}

impl Answer {
    /// The body as text; what is not UTF-8 is replaced.
    #[must_use]
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body as JSON; null when it is none.
    #[must_use]
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }

    /// A header's value; empty when it is not there.
    #[must_use]
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }

    /// Whether it is a success that came whole: a stream that tells of an error ends cleanly, and is none.
    #[must_use]
    pub fn is_good(&self) -> bool {
        self.status == 200 && self.whole && !self.tells_an_error()
    }

    /// Whether it is a stream in which an error is told, in either dialect's form.
    fn tells_an_error(&self) -> bool {
        let stream = self.header("content-type").starts_with("text/event-stream");
        let error = |line: &str| line.starts_with("event: error") || line.starts_with("data: {\"error\"");
        stream && self.text().lines().any(error)
    }
}

impl Client {
    /// Speaks HTTP/1.1.
    #[must_use]
    pub fn new(address: SocketAddr) -> Self {
        Self::of(address, false)
    }

    /// Speaks HTTP/2 from the first byte.
    #[must_use]
    pub fn http2(address: SocketAddr) -> Self {
        Self::of(address, true)
    }

    fn of(address: SocketAddr, http2: bool) -> Self {
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        let mut builder = Pooled::builder(TokioExecutor::new());
        // What fails is to be seen, not saved.
        builder.retry_canceled_requests(false).http2_only(http2);
        Self { http: builder.build(connector), address }
    }

    /// Sends a request and gives its answer when the head has come.
    ///
    /// # Errors
    /// No head came.
    pub async fn open(&self, mut request: Request<Full<Bytes>>) -> anyhow::Result<Response<Incoming>> {
        let path = request.uri().path_and_query().map_or("/", |path| path.as_str());
        let uri: Uri = format!("http://{}{path}", self.address).parse()?;
        *request.uri_mut() = uri;
        Ok(tokio::time::timeout(PATIENCE, self.http.request(request)).await.context("no answer in time")??)
    }

    /// Sends a request and reads its answer.
    ///
    /// # Errors
    /// No head came, or the rest did not come in time.
    pub async fn send(&self, request: Request<Full<Bytes>>) -> anyhow::Result<Answer> {
        read(self.open(request).await?).await
    }

    /// Gets a page.
    ///
    /// # Errors
    /// As `send`.
    pub async fn get(&self, path: &str) -> anyhow::Result<Answer> {
        self.send(Request::get(path).body(Full::default())?).await
    }

    /// Posts JSON.
    ///
    /// # Errors
    /// As `send`.
    pub async fn post(&self, path: &str, headers: &[(&str, &str)], body: impl Into<Bytes>) -> anyhow::Result<Answer> {
        self.send(post(path, headers, body)?).await
    }
}

/// A POST of JSON.
///
/// # Errors
/// A path or header that HTTP does not allow.
pub fn post(path: &str, headers: &[(&str, &str)], body: impl Into<Bytes>) -> anyhow::Result<Request<Full<Bytes>>> {
    let mut builder = Request::builder().method(Method::POST).uri(path);
    if !headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("content-type")) {
        builder = builder.header("content-type", "application/json");
    }
    for (name, value) in headers {
        builder = builder.header(*name, *value);
    }
    Ok(builder.body(Full::new(body.into()))?)
}

/// Reads an answer to its end, or to where it is cut.
///
/// # Errors
/// Neither comes in time.
pub async fn read(response: Response<Incoming>) -> anyhow::Result<Answer> {
    let (head, mut incoming) = response.into_parts();
    let mut body = BytesMut::new();
    let reading = async {
        while let Some(frame) = incoming.frame().await {
            match frame {
                Ok(frame) => frame.data_ref().into_iter().for_each(|data| body.extend_from_slice(data)),
                Err(_) => return false,
            }
        }
        true
    };
    let whole = tokio::time::timeout(PATIENCE, reading).await.context("the answer did not end in time")?;
    Ok(Answer { status: head.status.as_u16(), headers: head.headers, body: body.freeze(), whole })
}

/// Sends these very bytes and gives back everything that comes until the server closes or resets, or `enough` of it
/// has come. The second value says that it was reset.
///
/// # Errors
/// The connection can not be made, or nothing ends it in time.
pub async fn raw(address: SocketAddr, request: &[u8], enough: usize) -> anyhow::Result<(Vec<u8>, bool)> {
    let mut socket = tokio::net::TcpStream::connect(address).await?;
    let mut seen = Vec::new();
    let (mut reader, mut writer) = socket.split();
    let reading = async {
        let mut buffer = vec![0; 16 << 10];
        while seen.len() < enough {
            match reader.read(&mut buffer).await {
                Ok(0) => return false,
                Ok(count) => seen.extend_from_slice(buffer.get(..count).unwrap_or_default()),
                Err(_) => return true,
            }
        }
        false
    };
    // The server may answer and close before it has everything.
    let writing = async {
        let _ = writer.write_all(request).await;
    };
    let both = futures_util::future::join(reading, writing);
    let (reset, ()) = tokio::time::timeout(PATIENCE, both).await.context("the connection did not end in time")?;
    Ok((seen, reset))
}
