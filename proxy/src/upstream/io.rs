//! A connection's bytes: TCP, TLS over it, or memory.

use std::io::{self, IoSlice};
use std::mem::MaybeUninit;
use std::net::IpAddr;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncWrite, DuplexStream, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;

/// One connection's bytes.
pub(super) enum Io {
    Tcp(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
    Memory(DuplexStream),
}

/// The outcome of a look at an idle connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum IdleLook {
    /// Nothing: it is open.
    Quiet,
    /// Its end, or what may be its end.
    Ended,
    /// Bytes that nobody asked for.
    Spoke,
}

impl Io {
    /// The address at its other end; `None` in memory, and where that is gone.
    pub(super) fn peer(&self) -> Option<IpAddr> {
        let tcp = match self {
            Self::Tcp(io) => io,
            Self::Tls(io) => io.get_ref().0,
            Self::Memory(_) => return None,
        };
        tcp.peer_addr().ok().map(|peer| peer.ip().to_canonical())
    }

    /// Looks whether anything has come, and takes at most a byte of it. The kernel is asked as well: the runtime learns of
    /// what has come only when it next looks itself.
    pub(super) fn look(&mut self) -> IdleLook {
        let mut byte = [0];
        let mut read = ReadBuf::new(&mut byte);
        let mut cx = Context::from_waker(Waker::noop());
        match Pin::new(&mut *self).poll_read(&mut cx, &mut read) {
            Poll::Ready(Ok(())) if !read.filled().is_empty() => return IdleLook::Spoke,
            Poll::Ready(_) => return IdleLook::Ended,
            Poll::Pending => {}
        }
        match self {
            Self::Tcp(tcp) => peek(tcp),
            // It may be no more than a session ticket, but only reading it would tell.
            Self::Tls(tls) if peek(tls.get_ref().0) == IdleLook::Quiet => IdleLook::Quiet,
            Self::Tls(_) => IdleLook::Ended,
            Self::Memory(_) => IdleLook::Quiet,
        }
    }

    /// Sets the time within which what is sent has to be acknowledged; `None`: as long as the kernel likes.
    pub(super) fn acknowledged_within(&self, limit: Option<Duration>) {
        let tcp = match self {
            Self::Tcp(tcp) => tcp,
            Self::Tls(tls) => tls.get_ref().0,
            Self::Memory(_) => return,
        };
        // Where it can not be set, the attempt's own time bounds the wait.
        let _ = SockRef::from(tcp).set_tcp_user_timeout(limit);
    }
}

fn peek(tcp: &TcpStream) -> IdleLook {
    match SockRef::from(tcp).peek(&mut [MaybeUninit::uninit()]) {
        Ok(0) => IdleLook::Ended,
        Ok(_) => IdleLook::Spoke,
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => IdleLook::Quiet,
        Err(_) => IdleLook::Ended,
    }
}

impl AsyncRead for Io {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(io) => Pin::new(io).poll_read(cx, buf),
            Self::Tls(io) => Pin::new(io.as_mut()).poll_read(cx, buf),
            Self::Memory(io) => Pin::new(io).poll_read(cx, buf),
        }
    }
}

impl AsyncWrite for Io {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Tcp(io) => Pin::new(io).poll_write(cx, buf),
            Self::Tls(io) => Pin::new(io.as_mut()).poll_write(cx, buf),
            Self::Memory(io) => Pin::new(io).poll_write(cx, buf),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Tcp(io) => Pin::new(io).poll_write_vectored(cx, bufs),
            Self::Tls(io) => Pin::new(io.as_mut()).poll_write_vectored(cx, bufs),
            Self::Memory(io) => Pin::new(io).poll_write_vectored(cx, bufs),
        }
    }

    fn is_write_vectored(&self) -> bool {
        match self {
            Self::Tcp(io) => io.is_write_vectored(),
            Self::Tls(io) => io.is_write_vectored(),
            Self::Memory(io) => io.is_write_vectored(),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(io) => Pin::new(io).poll_flush(cx),
            Self::Tls(io) => Pin::new(io.as_mut()).poll_flush(cx),
            Self::Memory(io) => Pin::new(io).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(io) => Pin::new(io).poll_shutdown(cx),
            Self::Tls(io) => Pin::new(io.as_mut()).poll_shutdown(cx),
            Self::Memory(io) => Pin::new(io).poll_shutdown(cx),
        }
    }
}
