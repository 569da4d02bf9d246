//! One HTTP/1.1 connection, polled by the call that has it.
//!
//! The whole of an exchange is in this value: what of the request has not left yet, what of the answer has come. There
//! is no task, channel or waker between the two, so a call costs what it reads and writes.

use std::future::Future;
use std::io::{self, IoSlice};
use std::net::IpAddr;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker, ready};
use std::time::{Duration, Instant};

use bytes::{Buf, Bytes, BytesMut};
use http::{HeaderMap, HeaderValue, Request, Response};
use http_body::Frame;
use tokio::io::{AsyncReadExt, AsyncWrite};

use super::error::{BodyError, Failed, Fate, SendError, SendErrorKind, SendPhase};
use super::framing::{Framing, Piece, ProtocolError};
use super::head::{self, Head, HeadReader};
use super::head_deadline::HeadDeadline;
use super::io::{IdleLook, Io};

/// The bytes that are read at once, at first and at most: it grows for a provider that fills it.
const FIRST_READ: usize = 8 << 10;
const LARGEST_READ: usize = 64 << 10;
/// A read into less than this is not worth its price.
const SMALLEST_READ: usize = 2 << 10;
/// A request's body up to this is copied behind its head: one write of one piece costs less than one of two.
const COPIED: usize = 4 << 10;
/// Room for a request's head.
const HEAD: usize = 1 << 10;
/// A connection that was idle for so long may be dead without a word, and then this is long enough to learn it.
const LONG_IDLE: Duration = Duration::from_secs(2);
const ACKNOWLEDGED: Duration = Duration::from_secs(10);

/// A piece of an answer's body, or why there is none.
pub(super) type Framed = Result<Frame<Bytes>, BodyError>;

/// A connection that is either idle in a pool or owned by one call.
pub(super) struct Conn {
    io: Io,
    /// The bytes that have come and were not taken yet.
    read_buf: BytesMut,
    /// The reader of the answer's head, which knows how far it has looked.
    reader: HeadReader,
    /// The room that the next read is given.
    read_size: usize,
    /// The request's head, and its body if that is short. The room stays for the next one.
    out: Vec<u8>,
    /// The part of the request that has not left yet: usually all of it leaves at once.
    pending_write: Option<PendingWrite>,
    /// True if another exchange may follow this one.
    keep_alive: bool,
    /// True if this exchange is not its first.
    reused: bool,
    /// True if bytes came on it that nobody had asked for.
    stray: bool,
    /// True if what is sent has to be acknowledged soon: it was idle for long.
    hasty: bool,
    /// Memory for the next answer's headers: that of its request's.
    spare: HeaderMap,
    head_deadline: HeadDeadline,
}

/// A request on its way out.
struct PendingWrite {
    /// So much of `out` has left.
    at: usize,
    body: Bytes,
    /// True if anything has.
    wrote: bool,
}

impl Conn {
    pub(super) fn new(io: Io) -> Box<Self> {
        Box::new(Self {
            io,
            read_buf: BytesMut::new(),
            reader: HeadReader::default(),
            read_size: FIRST_READ,
            out: Vec::new(),
            pending_write: None,
            keep_alive: true,
            reused: false,
            stray: false,
            hasty: false,
            spare: HeaderMap::new(),
            head_deadline: HeadDeadline::default(),
        })
    }

    /// The address at its other end.
    pub(super) fn peer(&self) -> Option<IpAddr> {
        self.io.peer()
    }

    /// True if the provider has left the connection open, and said nothing, while it was idle.
    pub(super) fn alive(&mut self) -> bool {
        let found = self.io.look();
        self.stray |= found == IdleLook::Spoke;
        found == IdleLook::Quiet
    }

    /// True if bytes came on it that nobody had asked for: they may have been meant for somebody else.
    pub(super) const fn is_stray(&self) -> bool {
        self.stray
    }

    /// It is used again, after so much idleness.
    pub(super) fn wake(&mut self, idle: Duration) {
        self.reused = true;
        self.hasty = idle > LONG_IDLE;
        if self.hasty {
            self.io.acknowledged_within(Some(ACKNOWLEDGED));
        }
    }

    /// Sends one request and waits for the head of its answer, until `until`.
    pub(super) async fn exchange(
        &mut self,
        request: Request<Bytes>,
        host: &HeaderValue,
        until: Instant,
    ) -> Result<Response<Framing>, Failed> {
        let (mut head, body) = request.into_parts();
        let copied = body.len() <= COPIED;
        self.out.clear();
        self.out.reserve(HEAD + if copied { body.len() } else { 0 });
        head::write(&mut self.out, &head, host, body.len());
        let body = if copied {
            self.out.extend_from_slice(&body);
            Bytes::new()
        } else {
            body
        };
        self.keep_alive = !head::says(&head.headers, b"close");
        self.pending_write = Some(PendingWrite { at: 0, body, wrote: false });
        head.headers.clear();
        self.spare = head.headers;
        self.read_size = FIRST_READ;
        self.reader = HeadReader::default();
        let mut received = false;
        let head = std::future::poll_fn(|cx| self.poll_head(cx, &mut received, until)).await;
        let head = head.map_err(|error| self.failed(error, received))?;
        if std::mem::take(&mut self.hasty) {
            self.io.acknowledged_within(None);
        }
        self.keep_alive &= head.keep_alive;
        let mut response = Response::new(head.framing);
        *response.status_mut() = head.status;
        *response.headers_mut() = head.headers;
        Ok(response)
    }

    fn failed(&self, error: SendError, received: bool) -> Failed {
        let sent = self.pending_write.as_ref().is_none_or(|pending_write| pending_write.wrote);
        let fate = match (sent, received) {
            (false, false) => Fate::Unprocessed,
            // Silent is not closed: the provider would be no quicker on another connection.
            (true, false) if self.reused && error.kind != SendErrorKind::AttemptTimeout => Fate::Unanswered,
            _ => Fate::Unknown,
        };
        Failed { error: SendError { sent, ..error }, fate }
    }

    fn poll_head(
        &mut self,
        cx: &mut Context<'_>,
        received: &mut bool,
        until: Instant,
    ) -> Poll<Result<Head, SendError>> {
        let left = self.poll_leave(cx);
        // An answer may come before the request has left, and although it can not.
        let phase = SendPhase::Head;
        loop {
            match self.poll_read(cx) {
                Poll::Ready(Ok(0)) => {
                    return Poll::Ready(Err(SendError::new(phase, SendErrorKind::Reset, "the connection ended")));
                }
                Poll::Ready(Ok(_)) => *received = true,
                Poll::Ready(Err(error)) => return Poll::Ready(Err(SendError::io(phase, &error))),
                Poll::Pending => break,
            }
            match self.reader.read(&mut self.read_buf, &mut self.spare) {
                Ok(None) => {}
                // What is said before it was asked for answers somebody else. Only an error may be early: a provider need
                // not read on what it refuses.
                Ok(Some(head)) if self.reused && self.pending_write.is_some() && head.status.as_u16() < 400 => {
                    self.stray = true;
                    return Poll::Ready(Err(SendError::new(
                        phase,
                        SendErrorKind::Protocol,
                        "it answered before it was asked",
                    )));
                }
                Ok(Some(head)) => return Poll::Ready(Ok(head)),
                Err(ProtocolError(what)) => {
                    return Poll::Ready(Err(SendError::new(phase, SendErrorKind::Protocol, what)));
                }
            }
        }
        if let Poll::Ready(Err(error)) = left {
            return Poll::Ready(Err(SendError::io(phase, &error)));
        }
        if self.head_deadline.has_passed(until, cx) { Poll::Ready(Err(SendError::late())) } else { Poll::Pending }
    }

    /// Lets the request leave. Done when all of it has.
    fn poll_leave(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let Some(PendingWrite { at, body, wrote: some }) = &mut self.pending_write else {
            return Poll::Ready(Ok(()));
        };
        let mut io = Pin::new(&mut self.io);
        loop {
            let rest = self.out.get(*at..).unwrap_or_default();
            let wrote = ready!(match (rest.is_empty(), body.is_empty()) {
                (true, true) => break,
                (false, false) => io.as_mut().poll_write_vectored(cx, &[IoSlice::new(rest), IoSlice::new(body)]),
                (false, true) => io.as_mut().poll_write(cx, rest),
                (true, false) => io.as_mut().poll_write(cx, body),
            })?;
            if wrote == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            *some = true;
            let of_head = wrote.min(rest.len());
            *at += of_head;
            body.advance(wrote - of_head);
        }
        ready!(io.poll_flush(cx))?;
        self.pending_write = None;
        Poll::Ready(Ok(()))
    }

    /// Reads what there is; 0 at the connection's end.
    fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        // The memory is used again once nobody holds what was in it.
        if !self.read_buf.try_reclaim(self.read_size) && self.read_buf.capacity() - self.read_buf.len() < SMALLEST_READ
        {
            self.read_buf.reserve(self.read_size);
        }
        let room = self.read_buf.capacity() - self.read_buf.len();
        let read = ready!(pin!(self.io.read_buf(&mut self.read_buf)).poll(cx))?;
        if read == room {
            self.read_size = (self.read_size * 2).min(LARGEST_READ);
        }
        Poll::Ready(Ok(read))
    }

    /// The next piece of the answer's body.
    pub(super) fn poll_frame(&mut self, body: &mut Framing, cx: &mut Context<'_>) -> Poll<Option<Framed>> {
        if self.pending_write.is_some() {
            // What has to be told of it, the answer's end tells.
            let _ = self.poll_leave(cx);
        }
        loop {
            match body.take(&mut self.read_buf) {
                Ok(Piece::Data(data)) => return Poll::Ready(Some(Ok(Frame::data(data)))),
                Ok(Piece::Over) => return Poll::Ready(None),
                Ok(Piece::More) => {}
                Err(ProtocolError(what)) => return Poll::Ready(Some(Err(BodyError::Protocol(what.to_owned())))),
            }
            match ready!(self.poll_read(cx)) {
                Ok(0) if body.ended() => return Poll::Ready(None),
                Ok(0) => return Poll::Ready(Some(Err(BodyError::Cut("the connection ended".to_owned())))),
                Ok(_) => {}
                Err(error) => return Poll::Ready(Some(Err(BodyError::io(&error)))),
            }
        }
    }

    /// After the last piece. Whether the connection can be kept: all of the request has left, and all of the answer has
    /// been read.
    pub(super) fn settle(&mut self, body: &mut Framing) -> bool {
        let mut cx = Context::from_waker(Waker::noop());
        let over = body.is_over() || matches!(self.poll_frame(body, &mut cx), Poll::Ready(None));
        self.stray |= over && !self.read_buf.is_empty();
        if self.read_buf.is_empty() && self.read_buf.capacity() > FIRST_READ {
            self.read_buf = BytesMut::new();
        }
        over && self.keep_alive && self.pending_write.is_none() && !self.stray
    }
}
