//! A way to a server that can be frozen, as a network that is cut: connections stay open, and nothing passes on them. Or the server is
//! away: they end, and so does every new one.

use std::io;
use std::net::SocketAddr;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// Carries connections until it is dropped; on a thread of its own, so that a test that waits holds up nothing.
#[derive(Debug)]
pub struct Forwarder {
    /// Where it listens.
    pub address: SocketAddr,
    frozen: watch::Sender<bool>,
    away: watch::Sender<bool>,
}

impl Forwarder {
    /// Starts one on a free loopback port.
    ///
    /// # Errors
    /// No port can be had.
    pub fn start(target: SocketAddr) -> io::Result<Self> {
        let listener = std::net::TcpListener::bind(("127.0.0.1", 0))?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let ((frozen, is_frozen), (away, is_away)) = (watch::channel(false), watch::channel(false));
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        std::thread::spawn(move || {
            let carrying = carry(listener, target, (is_frozen, is_away));
            tokio::task::LocalSet::new().block_on(&runtime, async { drop(carrying.await) });
        });
        Ok(Self { address, frozen, away })
    }

    /// From now on nothing passes, or all of it does, what came meanwhile first.
    pub fn freeze(&self, frozen: bool) {
        self.frozen.send_replace(frozen);
    }

    /// From now on every connection ends, or none does.
    pub fn leave(&self, away: bool) {
        self.away.send_replace(away);
    }
}

async fn carry(
    listener: std::net::TcpListener,
    target: SocketAddr,
    (frozen, away): (watch::Receiver<bool>, watch::Receiver<bool>),
) -> io::Result<()> {
    let listener = TcpListener::from_std(listener)?;
    let ended = async {
        let mut frozen = frozen.clone();
        while frozen.changed().await.is_ok() {}
    };
    let mut ended = std::pin::pin!(ended);
    loop {
        let (near, _) = tokio::select! {
            accepted = listener.accept() => accepted?,
            () = &mut ended => return Ok(()),
        };
        let (mut waits, mut leaves) = (frozen.clone(), away.clone());
        let carried = async move {
            thawed(&mut waits).await?;
            let far = TcpStream::connect(target).await?;
            near.set_nodelay(true)?;
            far.set_nodelay(true)?;
            let ((near_reads, near_writes), (far_reads, far_writes)) = (near.into_split(), far.into_split());
            let there = pass(near_reads, far_writes, waits.clone());
            // Either end ends both.
            tokio::select! {
                ended = there => ended,
                ended = pass(far_reads, near_writes, waits) => ended,
            }
        };
        tokio::task::spawn_local(async move {
            tokio::select! {
                biased;
                _ = leaves.wait_for(|away| *away) => Ok(()),
                ended = carried => ended,
            }
        });
    }
}

async fn pass(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    mut frozen: watch::Receiver<bool>,
) -> io::Result<()> {
    let mut buffer = vec![0; 16 << 10];
    loop {
        let count = from.read(&mut buffer).await?;
        thawed(&mut frozen).await?;
        if count == 0 {
            return Ok(());
        }
        to.write_all(buffer.get(..count).unwrap_or_default()).await?;
    }
}

async fn thawed(frozen: &mut watch::Receiver<bool>) -> io::Result<()> {
    frozen.wait_for(|frozen| !frozen).await.map(drop).map_err(io::Error::other)
}
