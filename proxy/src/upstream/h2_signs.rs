//! The signs of life of an HTTP/2 connection that its library tells nobody: that something was heard on it, and that a request has left.

use std::cell::Cell;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::{Body, Frame, SizeHint};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::io::Io;

/// A connection whose reads that brought something are counted.
pub(super) struct HeardIo {
    io: Io,
    heard: Rc<Cell<u64>>,
}

impl HeardIo {
    pub(super) fn new(io: Io, heard: &Rc<Cell<u64>>) -> Self {
        Self { io, heard: Rc::clone(heard) }
    }
}

impl AsyncRead for HeardIo {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let read = Pin::new(&mut self.io).poll_read(cx, buf);
        if buf.filled().len() > before {
            self.heard.set(self.heard.get().wrapping_add(1));
        }
        read
    }
}

impl AsyncWrite for HeardIo {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}

/// A request's body that says when it is asked for: then its stream is open, and the head has left.
pub(super) struct BegunBody {
    body: Full<Bytes>,
    begun: Rc<Cell<bool>>,
}

impl BegunBody {
    /// The body, and the place where it is said. Of an empty one, which nobody asks for, it is said at once.
    pub(super) fn new(body: Full<Bytes>) -> (Self, Rc<Cell<bool>>) {
        let begun = Rc::new(Cell::new(body.is_end_stream()));
        (Self { body, begun: Rc::clone(&begun) }, begun)
    }
}

impl Body for BegunBody {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, std::convert::Infallible>>> {
        self.begun.set(true);
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
