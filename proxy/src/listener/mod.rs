//! The place where calls come in: sockets, TLS, limits.
//!
//! Each worker has a socket of its own on the same address (`SO_REUSEPORT`): the kernel spreads new connections, and
//! nothing is handed from thread to thread.

mod certificate_end;
mod connection;
mod io;
mod pending_answer;
mod ports;
mod request_body;
mod streams;
mod table;
pub mod tls;
mod unwritten;
mod wake_filter;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

pub use connection::{Service, serve};
pub use ports::{Accepted, BoundPorts, Ports, bind_all};
pub use request_body::RequestBody;
pub use table::{Busy, Connection, ConnectionTable, TICK};
pub use unwritten::AwaitsWrite;

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
