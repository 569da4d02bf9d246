//! One proxy's stream: connected again and again, read line by line, within bounds of size and silence.

use std::net::SocketAddr;
use std::pin::pin;
use std::time::Duration;

use bytes::Bytes;
use http::Request;
use http::header::{ACCEPT, AUTHORIZATION, HOST};
use http_body_util::{BodyExt as _, Empty};
use hyper::body::{Body, Incoming};
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use sluicegate_config::rollout::{HEARTBEAT_SECONDS, Line, MEDIA_TYPE, PATH};
use thiserror::Error;
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};

/// A connection is made, or not, within this.
const CONNECT_WITHIN: Duration = Duration::from_secs(1);
/// Three signs of life missed.
const MOST_SILENCE: Duration = Duration::from_secs(3 * HEARTBEAT_SECONDS);
/// The wait before a stream is begun again, the first time and at most.
const FIRST_WAIT: Duration = Duration::from_millis(20);
const LONGEST_WAIT: Duration = Duration::from_millis(500);
/// The longest line; 50 000 objects are some 8 MB.
const MOST_LINE: usize = 32 * 1024 * 1024;
/// A line buffer that grew beyond this is given back.
const KEPT_BUFFER: usize = 64 * 1024;

/// An event of a stream.
#[derive(Debug)]
pub(super) enum StreamEvent {
    /// A line.
    Line(Line),
    /// It has ended, or could not be begun; why.
    Lost(String),
    /// It said nothing for too long.
    Silent,
}

#[derive(Debug, Error)]
enum End {
    #[error("no connection: {0}")]
    Unreachable(std::io::Error),
    #[error("no connection within {} s", CONNECT_WITHIN.as_secs())]
    ConnectTimedOut,
    #[error("{0}")]
    Http(#[from] hyper::Error),
    #[error("answered {0}")]
    Status(http::StatusCode),
    #[error("not a line of a rollout: {0}")]
    Malformed(#[from] serde_json::Error),
    #[error("a line is longer than {MOST_LINE} bytes")]
    TooLong,
    #[error("silent for {} s", MOST_SILENCE.as_secs())]
    Silent,
    #[error("begun without the token that proxies know the operator by now")]
    OtherToken,
    #[error("closed")]
    Closed,
}

/// Reads a proxy's stream until it is dropped, beginning it again when it ends.
/// `token`: by which the proxy knows the operator; asked for each time, and at each sign of life: a stream that was begun
/// before there was this token has a place that anybody may take, and is told less.
pub(super) async fn follow(address: SocketAddr, token: impl Fn() -> Option<String>, tell: impl Fn(StreamEvent)) {
    let mut wait = FIRST_WAIT;
    loop {
        let mut heard = false;
        let end = read(address, &token, |line| {
            heard = true;
            tell(StreamEvent::Line(line));
        });
        match end.await {
            End::Silent => tell(StreamEvent::Silent),
            end => tell(StreamEvent::Lost(end.to_string())),
        }
        if heard {
            wait = FIRST_WAIT;
        }
        sleep(wait).await;
        wait = (wait * 2).min(LONGEST_WAIT);
    }
}

/// Reads one stream to its end.
async fn read(address: SocketAddr, token: impl Fn() -> Option<String>, tell: impl FnMut(Line)) -> End {
    let socket = match timeout(CONNECT_WITHIN, TcpStream::connect(address)).await {
        Ok(Ok(socket)) => socket,
        Ok(Err(error)) => return End::Unreachable(error),
        Err(_) => return End::ConnectTimedOut,
    };
    let (sender, connection) = match http1::handshake(TokioIo::new(socket)).await {
        Ok(parts) => parts,
        Err(error) => return error.into(),
    };
    let mut connection = pin!(connection);
    let said = token();
    let request = request(address, said.as_deref());
    let is_of_now = || token().is_none_or(|now| said.as_ref() == Some(&now));
    // The connection is polled beside its reader, in one task.
    tokio::select! {
        biased;
        end = lines(sender, request, is_of_now, tell) => end.err().unwrap_or(End::Closed),
        ended = &mut connection => ended.err().map_or(End::Closed, End::Http),
    }
}

/// The request for a stream; a token that no header can carry makes none.
fn request(address: SocketAddr, token: Option<&str>) -> Option<Request<Empty<Bytes>>> {
    let mut request = Request::get(PATH).header(HOST, address.to_string()).header(ACCEPT, MEDIA_TYPE);
    if let Some(token) = token {
        request = request.header(AUTHORIZATION, format!("Bearer {token}"));
    }
    request.body(Empty::new()).ok()
}

async fn lines(
    mut sender: SendRequest<Empty<Bytes>>,
    request: Option<Request<Empty<Bytes>>>,
    is_of_now: impl Fn() -> bool,
    tell: impl FnMut(Line),
) -> Result<(), End> {
    let Some(request) = request else { return Ok(()) };
    let answer = timeout(MOST_SILENCE, sender.send_request(request)).await.map_err(|_| End::Silent)??;
    if answer.status() != http::StatusCode::OK {
        return Err(End::Status(answer.status()));
    }
    each_line(answer.into_body(), is_of_now, tell).await
}

/// Tells the lines of a body, as long as its request is of now. An empty one is a sign of life and is not told.
async fn each_line(mut body: Incoming, is_of_now: impl Fn() -> bool, mut tell: impl FnMut(Line)) -> Result<(), End> {
    let mut buffer = Vec::new();
    loop {
        timeout(MOST_SILENCE, next_line(&mut body, &mut buffer)).await.map_err(|_| End::Silent)??;
        while let Some(end) = buffer.iter().position(|byte| *byte == b'\n') {
            let rest = buffer.split_off(end + 1);
            let line = std::mem::replace(&mut buffer, rest);
            if line.len() > 1 {
                tell(serde_json::from_slice(&line)?);
            }
        }
        if !is_of_now() {
            return Err(End::OtherToken);
        }
        if buffer.capacity() > KEPT_BUFFER {
            buffer.shrink_to(KEPT_BUFFER);
        }
    }
}

/// Fills the buffer until a line ends in it.
async fn next_line<B>(body: &mut B, buffer: &mut Vec<u8>) -> Result<(), End>
where
    B: Body<Data = Bytes, Error = hyper::Error> + Unpin,
{
    loop {
        let Some(frame) = body.frame().await else { return Err(End::Closed) };
        let Ok(data) = frame?.into_data() else { continue };
        let ends = data.contains(&b'\n');
        buffer.extend_from_slice(&data);
        if buffer.len() > MOST_LINE {
            return Err(End::TooLong);
        }
        if ends {
            return Ok(());
        }
    }
}
