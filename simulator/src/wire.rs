//! The connection under the HTTP server, which can be made to break in the ways connections break.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

const WELL: u8 = 0;
const HALF: u8 = 1;
const BROKEN: u8 = 2;
const RESET: u8 = 3;

/// The fate of a connection; shared between the answer that decides it and the owner of the socket.
#[derive(Debug, Default)]
pub struct Fate(AtomicU8);

impl Fate {
    /// A connection that lives on.
    #[must_use]
    pub fn new() -> Arc<Self> {
        Arc::new(Self::default())
    }

    /// True if the connection is to be reset (TCP: RST rather than FIN) when it is dropped.
    #[must_use]
    pub fn is_reset(&self) -> bool {
        self.0.load(Ordering::Relaxed) == RESET
    }

    /// Of the next write only half goes out, nothing after it.
    pub(crate) fn halve(&self) {
        self.0.store(HALF, Ordering::Relaxed);
    }

    /// Nothing more goes out, and the connection is reset.
    pub(crate) fn reset(&self) {
        self.0.store(RESET, Ordering::Relaxed);
    }
}

/// A byte stream with a fate.
#[derive(Debug)]
pub(crate) struct Wire<IO> {
    io: IO,
    fate: Arc<Fate>,
}

impl<IO> Wire<IO> {
    pub(crate) fn new(io: IO, fate: Arc<Fate>) -> Self {
        Self { io, fate }
    }
}

impl<IO: AsyncRead + Unpin> AsyncRead for Wire<IO> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_read(cx, buf)
    }
}

// Not vectored on purpose: HTTP then arrives here flattened, so that half a write is half a chunk, its size line
// included.
impl<IO: AsyncWrite + Unpin> AsyncWrite for Wire<IO> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        match self.fate.0.load(Ordering::Relaxed) {
            WELL => Pin::new(&mut self.io).poll_write(cx, buf),
            HALF => {
                let half = buf.get(..buf.len().div_ceil(2)).unwrap_or(buf);
                let written = std::task::ready!(Pin::new(&mut self.io).poll_write(cx, half))?;
                self.fate.0.store(BROKEN, Ordering::Relaxed);
                Poll::Ready(Ok(written))
            }
            RESET => Poll::Ready(Err(io::ErrorKind::ConnectionReset.into())),
            _ => Poll::Ready(Err(io::ErrorKind::BrokenPipe.into())),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        // Dropping a socket that lingers for no time resets it; an orderly shutdown first would not.
        if self.fate.is_reset() {
            return Poll::Ready(Ok(()));
        }
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}
