//! The client's socket as hyper sees it, noting for the table when bytes come and when none can go.

use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use hyper::rt::{Read, ReadBufCursor, Write};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::table::Connection;

/// Pieces of up to this much together are copied into one: one write of one piece costs less than one of several.
const COPIED: usize = 2 << 10;

/// A stream and who watches it.
pub(super) struct WatchedIo<T> {
    inner: TokioIo<Counted<T>>,
    connection: Rc<Connection>,
}

/// A stream whose incoming bytes are counted: hyper's own buffers do not say how much they were given.
struct Counted<T> {
    stream: T,
    connection: Rc<Connection>,
}

impl<T> WatchedIo<T> {
    pub(super) fn new(stream: T, connection: Rc<Connection>) -> Self {
        let counted = Counted { stream, connection: Rc::clone(&connection) };
        Self { inner: TokioIo::new(counted), connection }
    }

    pub(super) fn into_inner(self) -> T {
        self.inner.into_inner().stream
    }
}

impl<T: AsyncRead + Unpin> Read for WatchedIo<T> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: ReadBufCursor<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_read(cx, buf)
    }
}

impl<T: AsyncRead + Unpin> AsyncRead for Counted<T> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let polled = Pin::new(&mut self.stream).poll_read(cx, buf);
        if polled.is_ready() {
            self.connection.read(buf.filled().len().saturating_sub(before));
        }
        polled
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for Counted<T> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}

impl<T: AsyncWrite + Unpin> Write for WatchedIo<T> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.inner).poll_write(cx, buf);
        self.connection.wrote(polled.is_ready());
        polled
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        // Only TLS has anything to flush: what did not fit into the socket. HTTP/1 asks when it has nothing left itself.
        let polled = Pin::new(&mut self.inner).poll_flush(cx);
        match &polled {
            Poll::Ready(Ok(())) => self.connection.flushed(),
            Poll::Ready(Err(_)) => {}
            Poll::Pending => self.connection.wrote(false),
        }
        polled
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let inner = Pin::new(&mut self.inner);
        let polled = match bufs {
            [head, body] if head.len() + body.len() <= COPIED => {
                let (mut room, length) = ([0; COPIED], head.len() + body.len());
                let places = room.get_mut(..length).and_then(|room| room.split_at_mut_checked(head.len()));
                if let Some((at_head, at_body)) = places {
                    at_head.copy_from_slice(head);
                    at_body.copy_from_slice(body);
                }
                inner.poll_write(cx, room.get(..length).unwrap_or_default())
            }
            several => inner.poll_write_vectored(cx, several),
        };
        self.connection.wrote(polled.is_ready());
        polled
    }
}
