//! Where calls come in: sockets, TLS, limits.
//!
//! Each worker has a socket of its own on the same address (`SO_REUSEPORT`): the kernel spreads new connections, and
//! nothing is handed from thread to thread.

mod connection;
mod io;
mod pending_answer;
mod request_body;
mod streams;
mod table;
pub mod tls;
mod wake_filter;

use std::net::{SocketAddr, TcpListener as StdListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::{TcpListener, TcpStream};

pub use connection::{Service, serve};
pub use request_body::RequestBody;
pub use table::{Busy, Connection, ConnectionTable, TICK};

/// The kernel holds this many connections that no worker has accepted yet.
const BACKLOG: i32 = 4096;

/// When no socket can be had (too many files open), the next try waits this long instead of spinning.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// One listening socket per worker, all on the same address.
///
/// # Errors
/// The address is taken or not ours.
pub fn bind(address: SocketAddr, count: usize) -> std::io::Result<Vec<StdListener>> {
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

fn socket(address: SocketAddr) -> std::io::Result<StdListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

/// Counts connections over all workers.
#[derive(Debug, Default)]
pub struct Open {
    count: AtomicUsize,
}

/// One connection's place in the count; given back on drop.
#[derive(Debug)]
pub struct ConnectionSlot(Arc<Open>);

impl Open {
    /// A place, unless `limit` are taken.
    pub fn take(self: &Arc<Self>, limit: usize) -> Option<ConnectionSlot> {
        let place = ConnectionSlot(Arc::clone(self));
        (self.count.fetch_add(1, Ordering::Relaxed) < limit).then_some(place)
    }
}

impl Drop for ConnectionSlot {
    fn drop(&mut self) {
        self.0.count.fetch_sub(1, Ordering::Relaxed);
    }
}

/// The next connection. Never fails: what is wrong with one connection concerns that one, and what is wrong with the
/// process passes; `shed` is to make room meanwhile.
pub async fn accept(listener: &TcpListener, shed: impl Fn()) -> (TcpStream, SocketAddr) {
    let mut told = false;
    loop {
        match listener.accept().await {
            Ok((stream, peer)) => {
                // Every event of a stream is its own small write.
                if stream.set_nodelay(true).is_ok() {
                    return (stream, peer);
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

fn is_of_one_connection(error: &std::io::Error) -> bool {
    use std::io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset)
}

#[cfg(test)]
mod tests {
    use super::bind;

    #[test]
    fn workers_share_a_port_and_processes_do_not() {
        let ours = bind("127.0.0.1:0".parse().unwrap(), 3).unwrap();
        let address = ours[0].local_addr().unwrap();
        assert!(ours.iter().all(|socket| socket.local_addr().unwrap() == address));
        assert!(bind(address, 1).is_err());
        drop(ours);
        assert!(bind(address, 1).is_ok());
    }
}
