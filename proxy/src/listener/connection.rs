//! One client connection, from its first byte to its last: which HTTP, its limits, its end.

use std::convert::Infallible;
use std::future::Future;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::FutureExt;
use http::{Request, Response, Version};
use http_body::Body;
use hyper::body::{Bytes, Incoming};
use hyper::server::conn::{http1, http2};
use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;

use super::io::WatchedIo;
use super::ports::Accepted;
use super::request_body::{LINGER_BYTES, LINGER_TIME};
use super::streams::StreamExecutor;
use super::table::{Connection, ConnectionVerdict, Entered};
use crate::settings::Limits;

/// The first bytes of HTTP/2 without TLS; no HTTP/1 method begins so.
const PREFACE: &[u8] = b"PRI ";
/// Calls at once on one HTTP/2 connection.
const STREAMS: u32 = 250;
/// The bytes that a client may send ahead on one HTTP/2 stream, and on all of its streams together.
const STREAM_WINDOW: u32 = 256 << 10;
const CONNECTION_WINDOW: u32 = 1 << 20;
/// The number of headers that hyper takes on its own.
const HYPERS_HEADER_COUNT: usize = 100;
/// Short waits for the rest of a preface that came in pieces.
const SNIFF_TRIES: usize = 50;
const SNIFF_PAUSE: Duration = Duration::from_millis(10);
/// Said to a client whose request head never ended: there is no call yet, and so no dialect.
const SLOW_HEAD: &[u8] = b"HTTP/1.1 408 Request Timeout\r\ncontent-type: application/json\r\ncontent-length: 112\r\nconnection: close\r\n\r\n{\"error\":{\"message\":\"The request head took too long.\",\"type\":\"invalid_request_error\",\"param\":null,\"code\":null}}\n";

/// The service that answers a connection's calls.
pub trait Service: 'static {
    /// The body of its answers.
    type Body: Body<Data = Bytes, Error: Into<Box<dyn std::error::Error + Send + Sync>>> + 'static;

    /// Answers one call.
    fn call(
        self: Rc<Self>,
        request: Request<Incoming>,
        from: Rc<Connection>,
        peer: SocketAddr,
    ) -> impl Future<Output = Response<Self::Body>> + 'static;
}

/// Serves a connection to its end.
pub async fn serve<S: Service>(
    Accepted { stream, peer, tls }: Accepted,
    (connection, limits, service): (Entered, Rc<Limits>, Rc<S>),
) {
    let serving = Serving { connection, limits, service, peer };
    match tls {
        None => match serving.before_http(is_http2(&stream, serving.limits.header_timeout)).await {
            Some(true) => serving.http2(stream).await,
            Some(false) => serving.http1(stream).await,
            None => {}
        },
        Some(acceptor) => {
            let handshake = tokio::time::timeout(serving.limits.header_timeout, acceptor.accept(stream));
            let Some(Ok(Ok(stream))) = Box::pin(serving.before_http(handshake)).await else { return };
            if stream.get_ref().1.alpn_protocol() == Some(b"h2") {
                serving.http2(stream).await;
            } else {
                serving.http1(stream).await;
            }
        }
    }
}

/// Looks at the first bytes and leaves them in the socket.
async fn is_http2(stream: &TcpStream, timeout: Duration) -> bool {
    let mut first = [0; PREFACE.len()];
    for _ in 0..SNIFF_TRIES {
        let Ok(Ok(seen)) = tokio::time::timeout(timeout, stream.peek(&mut first)).await else { return false };
        if seen == PREFACE.len() {
            return first == PREFACE;
        }
        if seen == 0 || first.get(..seen) != PREFACE.get(..seen) {
            return false;
        }
        tokio::time::sleep(SNIFF_PAUSE).await;
    }
    false
}

struct Serving<S> {
    connection: Entered,
    limits: Rc<Limits>,
    service: Rc<S>,
    peer: SocketAddr,
}

impl<S: Service> Serving<S> {
    /// A step before there is HTTP; `None` when the connection is given up meanwhile.
    async fn before_http<T>(&self, step: impl Future<Output = T>) -> Option<T> {
        let mut step = pin!(step);
        std::future::poll_fn(|cx| match step.as_mut().poll(cx) {
            Poll::Ready(done) => Poll::Ready(Some(done)),
            Poll::Pending if self.connection.is_given_up(cx.waker()) => Poll::Ready(None),
            Poll::Pending => Poll::Pending,
        })
        .await
    }

    async fn http1<T: AsyncRead + AsyncWrite + Abort + Unpin + 'static>(self, stream: T) {
        let mut builder = http1::Builder::new();
        // A client that closes its sending side is taken as gone (`half_close` stays off): that is how a cancelled
        // call is noticed while its model is silent. Head and idle time are the table's, so hyper needs no timer.
        builder.max_header_size(self.limits.header_limit).header_read_timeout(None);
        if self.limits.header_count != HYPERS_HEADER_COUNT {
            // Any other number than its own makes hyper take the list of headers from the heap, for each call.
            builder.max_headers(self.limits.header_count);
        }
        let io = WatchedIo::new(stream, Rc::clone(&self.connection));
        let mut http = builder.serve_connection(io, self.answering());
        let ended = std::future::poll_fn(|cx| {
            let mut cx = Context::from_waker(self.connection.filtered(cx.waker()));
            self.poll(&mut cx, Pin::new(&mut http))
        })
        .await;
        let stream = http.into_parts().io.into_inner();
        match ended {
            Ended::SlowHead => Box::pin(say_and_close(stream)).await,
            Ended::Done if self.connection.lingers() => Box::pin(linger(stream)).await,
            Ended::Cut | Ended::Stuck if self.connection.is_unframed() => stream.abort(),
            Ended::Done | Ended::Cut | Ended::Stuck => {}
        }
    }

    async fn http2<T: AsyncRead + AsyncWrite + Unpin + 'static>(self, stream: T) {
        self.connection.multiplexed();
        let mut builder = http2::Builder::new(StreamExecutor(Rc::clone(&self.connection)));
        builder
            .max_concurrent_streams(STREAMS)
            .initial_stream_window_size(STREAM_WINDOW)
            .initial_connection_window_size(CONNECTION_WINDOW)
            .max_header_list_size(u32::try_from(self.limits.header_limit).unwrap_or(u32::MAX));
        let io = WatchedIo::new(stream, Rc::clone(&self.connection));
        let mut http = pin!(builder.serve_connection(io, self.answering()));
        std::future::poll_fn(|cx| self.poll(cx, http.as_mut())).await;
    }

    fn answering(
        &self,
    ) -> impl hyper::service::Service<
        Request<Incoming>,
        Response = Response<S::Body>,
        Error = Infallible,
        Future = impl Future<Output = Result<Response<S::Body>, Infallible>> + use<S>,
    > + use<S> {
        let (service, connection, peer) = (Rc::clone(&self.service), Rc::clone(&self.connection), self.peer);
        hyper::service::service_fn(move |request| {
            if request.version() == Version::HTTP_10 {
                connection.unframed();
            }
            // A block that awaits it would hold it twice, before and while it does.
            Rc::clone(&service).call(request, Rc::clone(&connection), peer).map(Ok)
        })
    }

    fn poll<C: Conversation>(&self, cx: &mut Context<'_>, mut http: Pin<&mut C>) -> Poll<Ended> {
        match self.connection.verdict(cx.waker()) {
            Some(ConnectionVerdict::Leave) => http.as_mut().graceful_shutdown(),
            Some(ConnectionVerdict::SlowHead) => return Poll::Ready(Ended::SlowHead),
            Some(ConnectionVerdict::Stuck) => return Poll::Ready(Ended::Stuck),
            None => {}
        }
        // The user of hyper is us: an answer's body ended in an error.
        http.poll(cx).map(|ended| if ended.is_err_and(|error| error.is_user()) { Ended::Cut } else { Ended::Done })
    }
}

/// The end of a connection's HTTP.
enum Ended {
    Done,
    /// In the middle of an answer, which says so.
    Cut,
    SlowHead,
    Stuck,
}

/// Ends a connection so that its client can not take what it has for whole.
trait Abort {
    /// Makes the close that follows a reset.
    fn abort(&self) {}
}

impl Abort for TcpStream {
    fn abort(&self) {
        // A socket that takes no option is as good as closed.
        let _ = SockRef::from(self).set_linger(Some(Duration::ZERO));
    }
}

/// Without TLS's own goodbye, which a cut connection lacks, nothing is whole.
impl Abort for tokio_rustls::server::TlsStream<TcpStream> {}

/// The one thing hyper's two connections have in common and no trait of hyper's names.
trait Conversation: Future<Output = hyper::Result<()>> {
    fn graceful_shutdown(self: Pin<&mut Self>);
}

impl<T, S, B> Conversation for http1::Connection<T, S>
where
    S: hyper::service::Service<Request<Incoming>, Response = Response<B>, Error = Infallible>,
    T: hyper::rt::Read + hyper::rt::Write + Unpin,
    B: Body<Data = Bytes, Error: Into<Box<dyn std::error::Error + Send + Sync>>> + 'static,
{
    fn graceful_shutdown(self: Pin<&mut Self>) {
        http1::Connection::graceful_shutdown(self);
    }
}

impl<T, S, B> Conversation for http2::Connection<T, S, StreamExecutor>
where
    S: hyper::service::Service<Request<Incoming>, Response = Response<B>, Error = Infallible, Future: 'static>,
    T: hyper::rt::Read + hyper::rt::Write + Unpin,
    B: Body<Data = Bytes, Error: Into<Box<dyn std::error::Error + Send + Sync>>> + 'static,
{
    fn graceful_shutdown(self: Pin<&mut Self>) {
        http2::Connection::graceful_shutdown(self);
    }
}

async fn say_and_close<T: AsyncRead + AsyncWrite + Unpin>(mut stream: T) {
    let said = async {
        stream.write_all(SLOW_HEAD).await?;
        stream.shutdown().await
    };
    let _ = tokio::time::timeout(LINGER_TIME, said).await;
}

async fn linger<T: AsyncRead + Unpin>(stream: T) {
    let mut rest = stream.take(LINGER_BYTES);
    let taken = async {
        let mut scrap = vec![0; 16 << 10];
        while rest.read(&mut scrap).await.is_ok_and(|read| read > 0) {}
    };
    let _ = tokio::time::timeout(LINGER_TIME, taken).await;
}

#[cfg(test)]
mod tests {
    use super::SLOW_HEAD;

    #[test]
    fn the_canned_answer_says_its_own_length() {
        let text = std::str::from_utf8(SLOW_HEAD).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        assert!(head.contains(&format!("content-length: {}\r\n", body.len())));
    }
}
