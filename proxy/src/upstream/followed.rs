//! A provider's name as one pool of connections follows it: which addresses it has, and whether they have changed.

use std::cell::{Cell, OnceCell};
use std::net::IpAddr;
use std::rc::Rc;
use std::time::Instant;

use super::dns::{Dns, DnsName, is_localhost};
use super::h1::Conn;
use super::origin::{Host, Origin, OriginTarget};

/// One pool's view of the name that it is at.
#[derive(Default)]
pub(super) struct Followed {
    /// `None` inside where there is no name to follow.
    name: OnceCell<Option<Rc<DnsName>>>,
    /// As many moves of the name as the pool has followed.
    moves: Cell<u64>,
}

impl Followed {
    /// True if the name's addresses are others than at the last look. Two comparisons, as long as DNS need not be
    /// asked.
    pub(super) fn has_moved(&self, origin: &Origin, dns: &Dns, now: Instant) -> bool {
        let Some(name) = self.name.get_or_init(|| followed(origin, dns)) else { return false };
        let ttl = origin.0.connection.dns_ttl.map(|ttl| ttl.get());
        let moves = dns.follow(name, ttl, now);
        let before = self.moves.replace(moves);
        // The first answer is where the first connection went.
        before != moves && before != 0
    }

    /// True if a connection to this address may be given calls.
    pub(super) fn has(&self, address: Option<IpAddr>) -> bool {
        match (self.name.get(), address) {
            (Some(Some(name)), Some(address)) => name.has(address),
            _ => true,
        }
    }

    /// True if a connection that a call gives back may be given another one. Nobody looks where it goes to, as long as
    /// the name has not moved.
    pub(super) fn keeps(&self, conn: &Conn) -> bool {
        self.moves.get() <= 1 || self.has(conn.peer())
    }
}

fn followed(origin: &Origin, dns: &Dns) -> Option<Rc<DnsName>> {
    match &origin.0.target {
        OriginTarget::Network { host: Host::Name(name), .. } if !is_localhost(name) => Some(dns.name(name)),
        _ => None,
    }
}
