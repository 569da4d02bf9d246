//! Making one connection: name, address, TCP, TLS, and which HTTP was agreed on.

use std::cell::Cell;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use sluicegate_config::{Connection, HttpVersion};
use socket2::{SockRef, TcpKeepalive};
use tokio::net::TcpStream;
use tokio::sync::OnceCell;
use tokio_rustls::TlsConnector;

use super::dns::Dns;
use super::error::{Kind, Phase, SendError};
use super::io::Io;
use super::origin::{Host, Place, Target};
use super::tls;

/// The next address is tried beside the first when that has not answered for so long (RFC 8305).
const STAGGER: Duration = Duration::from_millis(250);
/// What a simulated provider and we may be ahead of each other, in bytes.
const MEMORY: usize = 64 * 1024;

/// Bytes to a provider, and the HTTP to speak over them.
pub(super) struct Wire {
    pub(super) io: Io,
    pub(super) http2: bool,
}

/// Makes connections to one origin.
#[derive(Default)]
pub(super) struct Connector {
    tls: OnceCell<TlsConnector>,
    /// Where among several addresses the next connection begins.
    turn: Cell<usize>,
}

impl Connector {
    /// Makes one connection, TLS included, within `limit`.
    pub(super) async fn connect(&self, place: &Place, dns: &Dns, limit: Duration) -> Result<Wire, SendError> {
        let phase = Cell::new(Phase::Resolve);
        match tokio::time::timeout(limit, self.establish(place, dns, &phase)).await {
            Ok(made) => made,
            Err(_) => Err(SendError::new(phase.get(), Kind::TimedOut, format!("not within {limit:?}"))),
        }
    }

    async fn establish(&self, place: &Place, dns: &Dns, phase: &Cell<Phase>) -> Result<Wire, SendError> {
        let settings = &place.connection;
        let (host, port, secure) = match &place.target {
            Target::Network { host, port, tls } => (host, *port, *tls),
            Target::Simulated(serve) => {
                let (ours, theirs) = tokio::io::duplex(MEMORY);
                serve(theirs);
                return Ok(Wire { io: Io::Memory(ours), http2: false });
            }
        };
        let tcp = match host {
            Host::Ip(ip) => {
                phase.set(Phase::Connect);
                dial(SocketAddr::new(*ip, port)).await?
            }
            Host::Name(name) => {
                let addresses = dns.resolve(name, settings.dns_ttl.map(|ttl| ttl.get())).await?;
                phase.set(Phase::Connect);
                let turn = self.turn.replace(self.turn.get().wrapping_add(1));
                dial_any(&in_turn(&addresses, turn), port).await?
            }
        };
        tune(&tcp, settings);
        if !secure {
            return Ok(Wire { io: Io::Tcp(tcp), http2: settings.http == HttpVersion::Http2 });
        }
        phase.set(Phase::Tls);
        let connector = self.tls.get_or_try_init(|| tls::connector(settings)).await?;
        let name = tls::server_name(settings, place.name.to_string())?;
        let tls = connector.connect(name, tcp).await.map_err(|error| tls::handshake_error(&error))?;
        let agreed = tls.get_ref().1.alpn_protocol() == Some(b"h2");
        if settings.http == HttpVersion::Http2 && !agreed {
            return Err(SendError::new(Phase::Tls, Kind::Protocol, "the provider does not offer HTTP/2"));
        }
        Ok(Wire { io: Io::Tls(Box::new(tls)), http2: agreed })
    }
}

/// Addresses of one name beginning at another one each time, so that connections spread over them. Steps by
/// two keep the families in turn.
fn in_turn(addresses: &[IpAddr], turn: usize) -> Vec<IpAddr> {
    let mut list = addresses.to_vec();
    let mixed = addresses.iter().any(IpAddr::is_ipv6) && addresses.iter().any(IpAddr::is_ipv4);
    let step = if mixed { turn.wrapping_mul(2) } else { turn };
    if let Some(start) = step.checked_rem(list.len()) {
        list.rotate_left(start);
    }
    list
}

async fn dial(address: SocketAddr) -> Result<TcpStream, SendError> {
    TcpStream::connect(address).await.map_err(|error| SendError::io(Phase::Connect, &error))
}

/// The first of the addresses to answer; the next one starts when one fails or keeps silent for `STAGGER`.
async fn dial_any(addresses: &[IpAddr], port: u16) -> Result<TcpStream, SendError> {
    let mut waiting = addresses.iter().map(|ip| SocketAddr::new(*ip, port));
    let mut dialling = FuturesUnordered::new();
    let mut failed = SendError::new(Phase::Resolve, Kind::UnknownName, "the name has no address");
    loop {
        let next = waiting.next();
        let more = next.is_some();
        dialling.extend(next.map(dial));
        let answered = if more {
            match tokio::time::timeout(STAGGER, dialling.next()).await {
                Ok(answered) => answered,
                Err(_) => continue,
            }
        } else {
            dialling.next().await
        };
        match answered {
            Some(Ok(stream)) => return Ok(stream),
            Some(Err(error)) => failed = error,
            None if !more => return Err(failed),
            None => {}
        }
    }
}

/// Small writes leave at once; a dead peer is noticed. Neither failing is a reason not to go on.
fn tune(tcp: &TcpStream, settings: &Connection) {
    let _ = tcp.set_nodelay(true);
    if let Some(after) = settings.tcp_keepalive {
        let probes = TcpKeepalive::new().with_time(after.get()).with_interval(after.get() / 4).with_retries(4);
        let _ = SockRef::from(tcp).set_tcp_keepalive(&probes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_connection_begins_at_another_address() {
        let ips: Vec<IpAddr> = ["10.0.0.1", "10.0.0.2", "10.0.0.3"].iter().map(|ip| ip.parse().unwrap()).collect();
        let firsts: Vec<IpAddr> = (0..4).map(|turn| in_turn(&ips, turn)[0]).collect();
        assert_eq!(firsts, [ips[0], ips[1], ips[2], ips[0]]);
        assert!(in_turn(&[], 3).is_empty());
    }
}
