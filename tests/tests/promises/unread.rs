//! Refusals over HTTP/2 while the request is still being sent: the client gets its answer and can send the rest.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use bytes::Bytes;
use futures_util::{Stream, StreamExt as _};
use http::Request;
use http_body::Frame;
use http_body_util::StreamBody;
use hyper::rt::Executor as _;
use hyper_util::rt::{TokioExecutor, TokioIo};
use sluicegate_tests::client::read;
use sluicegate_tests::proxy::Proxy;

use crate::resources::{CHAT, plain_upstream, pool, provider, route};

const PIECE: usize = 64 << 10;
/// More than every window together.
const PIECES: usize = 160;

/// How far a body was sent.
#[derive(Debug, Default)]
struct Sent {
    pieces: AtomicUsize,
    /// Nobody takes any more of it.
    over: AtomicBool,
}

/// Says that a body is dropped.
struct Dropped(Arc<Sent>);

impl Drop for Dropped {
    fn drop(&mut self) {
        self.0.over.store(true, Ordering::Release);
    }
}

fn body(
    pieces: impl Stream<Item = ()> + Send + Unpin + 'static,
) -> (Arc<Sent>, StreamBody<impl Stream<Item = Result<Frame<Bytes>, Infallible>> + Send + Unpin>) {
    let sent = Arc::new(Sent::default());
    let dropped = Dropped(Arc::clone(&sent));
    let frames = pieces.map(move |()| {
        dropped.0.pieces.fetch_add(1, Ordering::AcqRel);
        Ok(Frame::data(Bytes::from(vec![b' '; PIECE])))
    });
    (sent, StreamBody::new(frames))
}

/// Sends a request over a connection of its own; gives its answer's status, once nobody takes more of the request.
async fn refused(
    proxy: &Proxy,
    (path, headers): (&str, &[(&str, &str)]),
    pieces: impl Stream<Item = ()> + Send + Unpin + 'static,
) -> (u16, usize) {
    let (sent, body) = body(pieces);
    let socket = tokio::net::TcpStream::connect(proxy.address).await.unwrap();
    let (mut sender, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(socket)).await.unwrap();
    TokioExecutor::new().execute(async move { drop(connection.await) });
    let mut request =
        Request::post(format!("http://{}{path}", proxy.address)).header("content-type", "application/json");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let answer = sender.send_request(request.body(body).unwrap()).await.unwrap();
    let answer = read(answer).await.unwrap();
    assert!(answer.whole && answer.json()["error"].is_object(), "{}", answer.text());
    proxy.until("the body is sent or given up", |_| sent.over.load(Ordering::Acquire)).await.unwrap();
    (answer.status, sent.pieces.load(Ordering::Acquire))
}

fn proxy() -> Proxy {
    let upstream = plain_upstream();
    let text = pool("p", &[provider("a", "OpenAI", upstream.address, "")], "") + &route("m", "p");
    Proxy::start(&[("all.yaml", &text)], &["--body-limit", "64Ki"]).unwrap()
}

#[tokio::test]
async fn a_refused_body_is_read_on_over_http2_so_that_its_client_sees_the_answer() {
    let proxy = proxy();
    let length = (PIECE * PIECES).to_string();
    for (path, headers, status) in [
        ("/v1/none", &[][..], 404),
        (CHAT, &[("content-length", length.as_str())], 413),
        (CHAT, &[], 413),
        (CHAT, &[("content-encoding", "compress")], 415),
    ] {
        let pieces = futures_util::stream::iter(0..PIECES).map(drop);
        assert_eq!(refused(&proxy, (path, headers), pieces).await, (status, PIECES), "{path} {headers:?}");
    }
}

#[tokio::test]
async fn what_is_read_on_of_a_refused_body_is_bounded() {
    let proxy = proxy();
    let (status, pieces) = refused(&proxy, ("/v1/none", &[]), futures_util::stream::repeat(())).await;
    // 64 MiB, and what the windows hold; less on a machine that is too busy to send so much while it is read on.
    assert!(status == 404 && (1..1024 + PIECES).contains(&pieces), "{status}: {pieces} pieces");
    let silent = futures_util::stream::iter(0..2).map(drop).chain(futures_util::stream::pending());
    assert_eq!(refused(&proxy, ("/v1/none", &[]), Box::pin(silent)).await, (404, 2), "given up after a while");
    // The connections were given back, and the next call is answered.
    proxy
        .until("no call is left", |proxy| proxy.metrics().unwrap().sum("sluicegate_inflight_requests", &[]) == 0.0)
        .await
        .unwrap();
}
