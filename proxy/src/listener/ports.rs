//! The ports that calls come in at: each worker has a socket of its own at each of them, and what is spoken there.

use std::cell::Cell;
use std::io;
use std::net::{SocketAddr, TcpListener as StdListener};
use std::task::Poll;
use std::time::Duration;

use anyhow::Context as _;
use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

use crate::settings::Settings;

/// The kernel holds this many connections that no worker has accepted yet.
const BACKLOG: i32 = 4096;

/// The pause before the next try when no socket can be had (too many files open), instead of spinning.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// A socket that listens, and the TLS that is spoken at it.
#[expect(missing_debug_implementations, reason = "an acceptor has none")]
pub struct Port<S> {
    socket: S,
    tls: Option<TlsAcceptor>,
}

/// One worker's sockets, bound: connections come in at them already.
pub type BoundPorts = Vec<Port<StdListener>>;

/// The addresses where calls come in.
#[derive(Debug, Clone, Copy)]
pub struct Addresses {
    /// `--listen`.
    pub listen: SocketAddr,
    /// `--tls-listen`.
    pub tls_listen: Option<SocketAddr>,
}

/// Binds the ports that the settings name, for so many workers: without `--tls-listen` there is one, with TLS if there is
/// a certificate; with it there is a plain one beside the one with TLS.
///
/// # Errors
/// An address is taken or not ours.
pub fn bind_all(
    settings: &Settings,
    tls: Option<&TlsAcceptor>,
    workers: usize,
) -> anyhow::Result<(Addresses, Vec<BoundPorts>)> {
    let bind = |address| bind(address, workers).with_context(|| format!("can not listen on {address}"));
    let beside = settings.tls_listen.map(|address| bind(address).context("--tls-listen")).transpose()?;
    let first_tls = if beside.is_some() { None } else { tls };
    let first = bind(settings.listen)?;
    let address = |sockets: &[StdListener]| sockets.first().context("no worker")?.local_addr().context("no address");
    let addresses = Addresses { listen: address(&first)?, tls_listen: beside.as_deref().map(address).transpose()? };
    let mut ports: Vec<BoundPorts> =
        first.into_iter().map(|socket| vec![Port { socket, tls: first_tls.cloned() }]).collect();
    for (ports, socket) in ports.iter_mut().zip(beside.into_iter().flatten()) {
        ports.push(Port { socket, tls: tls.cloned() });
    }
    Ok((addresses, ports))
}

/// One listening socket per worker, all on the same address.
fn bind(address: SocketAddr, count: usize) -> io::Result<Vec<StdListener>> {
    // Sockets that share a port share it with any other process of the same user too: half of the calls would go
    // there. So the port is first asked for alone.
    if address.port() != 0 {
        let probe = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
        probe.set_reuse_address(true)?;
        probe.bind(&address.into())?;
    }
    let first = socket(address)?;
    let bound = first.local_addr()?;
    let others = (1..count).map(|_| socket(bound)).collect::<Result<Vec<_>, _>>()?;
    Ok(std::iter::once(first).chain(others).collect())
}

fn socket(address: SocketAddr) -> io::Result<StdListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

/// One worker's sockets, on its runtime.
#[expect(missing_debug_implementations, reason = "an acceptor has none")]
pub struct Ports {
    ports: Vec<Port<TcpListener>>,
    /// The one that is asked first: a port that is full of callers leaves the other its turn.
    first: Cell<usize>,
}

/// A connection that came in.
#[expect(missing_debug_implementations, reason = "an acceptor has none")]
pub struct Accepted {
    pub(super) stream: TcpStream,
    pub(super) peer: SocketAddr,
    pub(super) tls: Option<TlsAcceptor>,
}

impl Ports {
    /// Takes them to the worker's runtime.
    ///
    /// # Errors
    /// The runtime can not watch a socket.
    pub fn watch(bound: BoundPorts) -> io::Result<Self> {
        let watch = |Port { socket, tls }| Ok(Port { socket: TcpListener::from_std(socket)?, tls });
        Ok(Self { ports: bound.into_iter().map(watch).collect::<io::Result<_>>()?, first: Cell::new(0) })
    }

    /// The next connection. Never fails: what is wrong with one connection concerns that one, and what is wrong with the
    /// process passes; `shed` is to make room meanwhile.
    pub async fn accept(&self, shed: impl Fn()) -> Accepted {
        let mut told = false;
        loop {
            match self.next().await {
                Ok(accepted) => {
                    // Every event of a stream is its own small write.
                    if accepted.stream.set_nodelay(true).is_ok() {
                        return accepted;
                    }
                }
                Err(error) if is_of_one_connection(&error) => {}
                Err(error) => {
                    if !std::mem::replace(&mut told, true) {
                        tracing::warn!(%error, "can not accept connections; trying again");
                    }
                    shed();
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }

    async fn next(&self) -> io::Result<Accepted> {
        std::future::poll_fn(|cx| {
            let first = self.first.get();
            let ports = self.ports.iter().enumerate().cycle().skip(first).take(self.ports.len());
            for (at, port) in ports {
                if let Poll::Ready(accepted) = port.socket.poll_accept(cx) {
                    self.first.set((at + 1) % self.ports.len());
                    return Poll::Ready(accepted.map(|(stream, peer)| Accepted {
                        stream,
                        peer,
                        tls: port.tls.clone(),
                    }));
                }
            }
            Poll::Pending
        })
        .await
    }
}

fn is_of_one_connection(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset)
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;

    #[test]
    fn workers_share_a_port_and_processes_do_not() {
        let ours = bind("127.0.0.1:0".parse().unwrap(), 3).unwrap();
        let address = ours[0].local_addr().unwrap();
        assert!(ours.iter().all(|socket| socket.local_addr().unwrap() == address));
        assert!(bind(address, 1).is_err());
        drop(ours);
        assert!(bind(address, 1).is_ok());
    }

    #[tokio::test]
    async fn a_port_that_is_full_of_callers_leaves_the_other_its_turn() {
        let sockets = [0; 2].map(|_| bind("127.0.0.1:0".parse().unwrap(), 1).unwrap().remove(0));
        let addresses = sockets.each_ref().map(|socket| socket.local_addr().unwrap());
        let ports = Ports::watch(sockets.map(|socket| Port { socket, tls: None }).into()).unwrap();
        assert!(ports.accept(|| ()).now_or_never().is_none());
        let callers: Vec<_> =
            addresses.iter().flat_map(|to| [to; 3]).map(|to| std::net::TcpStream::connect(to).unwrap()).collect();
        let mut seen = Vec::new();
        for _ in &callers {
            let accepted = ports.accept(|| ()).await;
            seen.push(usize::from(accepted.stream.local_addr().unwrap() == addresses[1]));
        }
        assert!(seen.windows(2).all(|two| two[0] != two[1]), "{seen:?}");
        assert!(ports.accept(|| ()).now_or_never().is_none());
    }
}
