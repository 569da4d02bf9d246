//! Making one connection: name, address, TCP (through a proxy where one is on the way), TLS, and which HTTP was agreed on.

use std::cell::Cell;
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use sluicegate_config::compile::DeniedNetworks;
use sluicegate_config::{Connection, HttpVersion};
use socket2::{SockRef, TcpKeepalive};
use tokio::net::TcpStream;
use tokio::sync::OnceCell;
use tokio_rustls::TlsConnector;

use super::dns::Dns;
use super::egress::Door;
use super::error::{SendError, SendErrorKind, SendPhase};
use super::io::Io;
use super::origin::{Host, OriginParts, OriginTarget};
use super::tls;

/// The next address is tried beside the first when that has not answered for so long (RFC 8305).
const STAGGER: Duration = Duration::from_millis(250);
/// The same trouble is told again after this.
const QUIET: Duration = Duration::from_secs(60);
/// The length by which a simulated provider and we may be ahead of each other, in bytes.
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
    /// The same, that offers no HTTP/2.
    tls_http1: OnceCell<TlsConnector>,
    /// True if HTTP/2 is offered no more.
    http1: Cell<bool>,
    /// The index among several addresses at which the next connection begins.
    turn: Cell<usize>,
    /// The time when it was last told that no way leads there.
    told: Cell<Option<Instant>>,
}

impl Connector {
    /// Makes one connection, TLS included, within `limit`.
    pub(super) async fn connect(&self, place: &OriginParts, dns: &Dns, limit: Duration) -> Result<Wire, SendError> {
        let phase = Cell::new(SendPhase::Resolve);
        let made = match tokio::time::timeout(limit, self.establish(place, dns, &phase)).await {
            Ok(made) => made,
            Err(_) => Err(SendError::new(phase.get(), SendErrorKind::TimedOut, format!("not within {limit:?}"))),
        };
        // Who answers as somebody else may have got an address that the provider has left.
        let is_elsewhere = matches!(phase.get(), SendPhase::Connect | SendPhase::Tls);
        if made.as_ref().is_err_and(|error| is_elsewhere && error.kind != SendErrorKind::Exhausted) {
            doubt(place, dns);
        }
        made
    }

    /// Offers HTTP/2 no more.
    pub(super) fn without_http2(&self) {
        self.http1.set(true);
    }

    async fn establish(&self, place: &OriginParts, dns: &Dns, phase: &Cell<SendPhase>) -> Result<Wire, SendError> {
        let settings = &place.connection;
        let (host, port, secure) = match &place.target {
            OriginTarget::Network { host, port, tls } => (host, *port, *tls),
            OriginTarget::Simulated(serve) => {
                let (ours, theirs) = tokio::io::duplex(MEMORY);
                serve(theirs);
                return Ok(Wire { io: Io::Memory(ours), http2: false });
            }
        };
        let reached = self.reach(place, (host, port), dns, phase).await;
        let tcp = reached.inspect_err(|error| self.tell(place, error))?;
        tune(&tcp, settings);
        if !secure {
            return Ok(Wire { io: Io::Tcp(tcp), http2: settings.http == HttpVersion::Http2 });
        }
        phase.set(SendPhase::Tls);
        let connector = match self.http1.get() {
            true => {
                let settings = Connection { http: HttpVersion::Http1, ..settings.clone() };
                self.tls_http1.get_or_try_init(|| tls::connector(&settings)).await?
            }
            false => self.tls.get_or_try_init(|| tls::connector(settings)).await?,
        };
        let name = tls::server_name(settings, place.name.to_string())?;
        let tls = connector.connect(name, tcp).await.map_err(|error| tls::handshake_error(&error))?;
        let agreed = tls.get_ref().1.alpn_protocol() == Some(b"h2");
        if settings.http == HttpVersion::Http2 && !agreed {
            return Err(SendError::new(SendPhase::Tls, SendErrorKind::Protocol, "the provider does not offer HTTP/2"));
        }
        Ok(Wire { io: Io::Tls(Box::new(tls)), http2: agreed })
    }

    async fn reach(
        &self,
        place: &OriginParts,
        to: (&Host, u16),
        dns: &Dns,
        phase: &Cell<SendPhase>,
    ) -> Result<TcpStream, SendError> {
        if let Some(door) = &place.door {
            return self.through(door, to, dns, phase).await;
        }
        let ttl = place.connection.dns_ttl.map(|ttl| ttl.get());
        let addresses = self.addresses(to.0, dns, ttl, Some(&place.denied)).await?;
        phase.set(SendPhase::Connect);
        dial_any(&addresses, to.1).await
    }

    /// Tells in the log what the platform has to mend, and not to callers: where nothing may go, and a proxy that does
    /// not let us out.
    fn tell(&self, place: &OriginParts, error: &SendError) {
        let now = Instant::now();
        let is_ours = place.door.is_some() || error.kind == SendErrorKind::Invalid;
        let was_told = self.told.get().is_some_and(|told| now.saturating_duration_since(told) < QUIET);
        if is_ours && !was_told {
            self.told.set(Some(now));
            tracing::warn!(pool = place.pool, provider = place.provider, %error, "no way leads to a provider");
        }
    }

    /// The addresses of a host, beginning at another one each time. What is denied is none of them, and checked here each time:
    /// what a name leads to is for others to say.
    async fn addresses(
        &self,
        host: &Host,
        dns: &Dns,
        ttl: Option<Duration>,
        denied: Option<&DeniedNetworks>,
    ) -> Result<Vec<IpAddr>, SendError> {
        let found = match host {
            Host::Ip(ip) => vec![*ip],
            Host::Name(name) => {
                let turn = self.turn.replace(self.turn.get().wrapping_add(1));
                in_turn(&dns.resolve(name, ttl).await?, turn)
            }
        };
        let (mut good, mut denial) = (Vec::with_capacity(found.len()), None);
        for address in found {
            match denied.map_or(Ok(()), |denied| denied.check(address)) {
                Ok(()) => good.push(address),
                Err(why) => denial = Some(why),
            }
        }
        match denial {
            Some(why) if good.is_empty() => {
                Err(SendError::new(SendPhase::Resolve, SendErrorKind::Invalid, why.to_string()))
            }
            _ => Ok(good),
        }
    }

    /// A connection that leads to a provider through a proxy. The proxy is the platform's, so nothing is denied for it.
    async fn through(
        &self,
        door: &Door,
        to: (&Host, u16),
        dns: &Dns,
        phase: &Cell<SendPhase>,
    ) -> Result<TcpStream, SendError> {
        let unreached = |error: SendError| door.failed(SendErrorKind::Local, &error.to_string());
        let addresses = self.addresses(door.host(), dns, None, None).await.map_err(unreached)?;
        phase.set(SendPhase::Connect);
        let mut tcp = dial_any(&addresses, door.port()).await.map_err(unreached)?;
        door.tunnel(&mut tcp, to.0, to.1).await?;
        Ok(tcp)
    }
}

/// Doubts the addresses of the name at which nobody could be reached.
fn doubt(place: &OriginParts, dns: &Dns) {
    let (host, ttl) = match (&place.door, &place.target) {
        (Some(door), _) => (door.host(), None),
        (None, OriginTarget::Network { host, .. }) => (host, place.connection.dns_ttl.map(|ttl| ttl.get())),
        (None, OriginTarget::Simulated(_)) => return,
    };
    if let Host::Name(name) = host {
        dns.doubt(name, ttl, Instant::now());
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
    TcpStream::connect(address).await.map_err(|error| SendError::io(SendPhase::Connect, &error))
}

/// The first of the addresses to answer; the next one starts when one fails or keeps silent for `STAGGER`.
async fn dial_any(addresses: &[IpAddr], port: u16) -> Result<TcpStream, SendError> {
    let mut waiting = addresses.iter().map(|ip| SocketAddr::new(*ip, port));
    let mut dialling = FuturesUnordered::new();
    let mut failed = SendError::new(SendPhase::Resolve, SendErrorKind::UnknownName, "the name has no address");
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
