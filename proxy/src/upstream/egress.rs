//! The way out of a network that has one door: a proxy that tunnels (`CONNECT`), and what goes around it; and where no
//! connection goes at all.
//!
//! Names are resolved by the proxy at the door, not here. TLS to a provider runs through the tunnel, so the door sees names and
//! bytes, not calls.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ipnet::IpNet;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use sluicegate_config::compile::DeniedNetworks;

use super::error::{SendError, SendErrorKind, SendPhase};
use super::host::Host;

/// The longest head of an answer to `CONNECT` that is read.
const HEAD: usize = 8 * 1024;
/// The most header lines of it.
const HEADERS: usize = 64;
/// In-cluster names end so; they never leave the cluster.
const INSIDE: [&str; 2] = [".svc", ".cluster.local"];

/// The way in which this process reaches providers.
#[derive(Debug, Clone, Default)]
pub struct Outward {
    /// Through which proxy.
    pub egress: Egress,
    /// The addresses that nothing goes to.
    pub denied: Arc<DeniedNetworks>,
}

/// The rules that send connections to providers through a proxy, or around it.
#[derive(Debug, Clone, Default)]
pub struct Egress {
    /// For `https` providers.
    pub https: Option<Door>,
    /// For `http` providers.
    pub http: Option<Door>,
    /// The places that are reached around both.
    pub around: Vec<Around>,
}

/// A proxy: where it is, and how one logs in there.
#[derive(Clone, PartialEq, Eq)]
pub struct Door(Arc<Lock>);

#[derive(PartialEq, Eq)]
struct Lock {
    host: Host,
    port: u16,
    /// The value of `proxy-authorization`. A secret.
    authorization: Option<String>,
}

/// A place that is reached around the proxy, as an item of `NO_PROXY` says it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Around {
    what: What,
    port: Option<u16>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum What {
    /// `*`
    Everything,
    /// `10.0.0.0/8`, `10.1.2.3`
    Network(IpNet),
    /// `example.com`: the name, and all below it.
    Name(String),
    /// `.example.com`: all below it.
    Below(String),
}

impl Egress {
    /// The door that a connection to this place goes through, if it goes through one.
    pub(super) fn door(&self, host: &Host, port: u16, tls: bool) -> Option<&Door> {
        let door = if tls { self.https.as_ref() } else { self.http.as_ref() }?;
        let is_around = is_inside(host) || self.around.iter().any(|around| around.holds(host, port));
        (!is_around).then_some(door)
    }
}

/// True if a host is this machine's or the cluster's own, whatever `NO_PROXY` says.
fn is_inside(host: &Host) -> bool {
    match host {
        Host::Ip(ip) => ip.to_canonical().is_loopback(),
        Host::Name(name) => {
            let name = name.trim_end_matches('.');
            name == "localhost" || name.ends_with(".localhost") || INSIDE.iter().any(|suffix| name.ends_with(suffix))
        }
    }
}

impl Around {
    fn holds(&self, host: &Host, port: u16) -> bool {
        if self.port.is_some_and(|own| own != port) {
            return false;
        }
        match (&self.what, host) {
            (What::Everything, _) => true,
            (What::Network(network), Host::Ip(ip)) => network.contains(&ip.to_canonical()),
            (What::Name(name), Host::Name(host)) => {
                let host = host.trim_end_matches('.');
                host == name || is_below(host, name)
            }
            (What::Below(name), Host::Name(host)) => is_below(host.trim_end_matches('.'), name),
            (What::Network(_), Host::Name(_)) | (What::Name(_) | What::Below(_), Host::Ip(_)) => false,
        }
    }
}

fn is_below(host: &str, name: &str) -> bool {
    host.strip_suffix(name).is_some_and(|rest| rest.ends_with('.'))
}

impl FromStr for Around {
    type Err = String;

    /// One item. A name that is no name matches nothing, as it does elsewhere; what looks like a network must be one.
    fn from_str(text: &str) -> Result<Self, String> {
        let text = text.trim().to_ascii_lowercase();
        if text == "*" {
            return Ok(Self { what: What::Everything, port: None });
        }
        if text.contains('/') {
            let network = text.parse().map_err(|_| format!("`{text}` is no network, write e.g. 10.0.0.0/8"))?;
            return Ok(Self { what: What::Network(network), port: None });
        }
        let (host, port) = split_port(&text)?;
        let what = match host.parse::<IpAddr>() {
            Ok(address) => What::Network(address.into()),
            Err(_) => match host.strip_prefix("*.").or_else(|| host.strip_prefix('.')) {
                Some(below) => What::Below(below.trim_end_matches('.').to_owned()),
                None => What::Name(host.trim_end_matches('.').to_owned()),
            },
        };
        Ok(Self { what, port })
    }
}

/// `host`, `host:port`, `[v6]:port` or a bare IPv6 address.
fn split_port(text: &str) -> Result<(&str, Option<u16>), String> {
    let wrong = || format!("`{text}` has no valid port");
    if let Some(rest) = text.strip_prefix('[') {
        let (host, rest) = rest.split_once(']').ok_or_else(|| format!("`{text}` has no closing bracket"))?;
        let port = rest.strip_prefix(':').map(|port| port.parse().map_err(|_| wrong())).transpose()?;
        return Ok((host, port));
    }
    match text.split_once(':') {
        Some((host, port)) if !port.contains(':') => Ok((host, Some(port.parse().map_err(|_| wrong())?))),
        _ => Ok((text, None)),
    }
}

impl FromStr for Door {
    type Err = String;

    /// `http://[USER:PASSWORD@]HOST[:PORT]`; without a scheme it is `http`. What is wrong is said without the login.
    fn from_str(text: &str) -> Result<Self, String> {
        let text = text.trim();
        let rest = match text.split_once("://") {
            Some((scheme, rest)) if scheme.eq_ignore_ascii_case("http") => rest,
            Some((scheme, _)) => {
                return Err(format!("a proxy is spoken to in plain HTTP, not {scheme}: write http://HOST:PORT"));
            }
            None => text,
        };
        let rest = rest.trim_end_matches('/');
        let (login, place) = rest.rsplit_once('@').map_or((None, rest), |(login, place)| (Some(login), place));
        if place.is_empty() || place.contains(['/', '?', '#', ' ']) {
            return Err(
                "that is no proxy's address: write http://HOST:PORT, with USER:PASSWORD@ before HOST".to_owned()
            );
        }
        let (host, port) = split_port(place)?;
        let host = host.parse().map_or_else(|_| Host::Name(host.to_ascii_lowercase()), Host::Ip);
        let authorization = login.map(decoded).map(|login| format!("Basic {}", STANDARD.encode(login)));
        Ok(Self(Arc::new(Lock { host, port: port.unwrap_or(80), authorization })))
    }
}

/// A login as it was before it was written into a URL.
fn decoded(login: &str) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(login.len());
    let mut rest = login.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        let escaped = (*first == b'%')
            .then(|| after.get(..2).and_then(|hex| std::str::from_utf8(hex).ok()))
            .flatten()
            .and_then(|hex| u8::from_str_radix(hex, 16).ok());
        bytes.push(escaped.unwrap_or(*first));
        rest = if escaped.is_some() { after.get(2..).unwrap_or_default() } else { after };
    }
    bytes
}

impl Door {
    pub(super) fn host(&self) -> &Host {
        &self.0.host
    }

    pub(super) fn port(&self) -> u16 {
        self.0.port
    }

    /// Asks for a tunnel over a connection to this proxy; after that the connection is one to the provider.
    ///
    /// # Errors
    /// The proxy refuses, or answers with something else.
    pub(super) async fn tunnel(&self, tcp: &mut TcpStream, host: &Host, port: u16) -> Result<(), SendError> {
        let place = match host {
            Host::Ip(IpAddr::V6(ip)) => format!("[{ip}]:{port}"),
            host => format!("{host}:{port}"),
        };
        let mut asked = format!("CONNECT {place} HTTP/1.1\r\nhost: {place}\r\n");
        if let Some(authorization) = &self.0.authorization {
            asked.extend(["proxy-authorization: ", authorization, "\r\n"]);
        }
        asked.push_str("\r\n");
        let broken = |error: &std::io::Error| self.failed(SendErrorKind::of_io(error), &error.to_string());
        tcp.write_all(asked.as_bytes()).await.map_err(|error| broken(&error))?;
        let mut head = Vec::new();
        loop {
            let length = tcp.read_buf(&mut head).await.map_err(|error| broken(&error))?;
            if length == 0 {
                return Err(self.failed(SendErrorKind::Reset, "it closed the connection"));
            }
            if let Some(status) = status(&head).map_err(|why| self.failed(SendErrorKind::Protocol, why))? {
                return self.judge(status, &place);
            }
        }
    }

    fn judge(&self, status: u16, place: &str) -> Result<(), SendError> {
        match status {
            200..300 => Ok(()),
            // Of every provider the same: it says nothing about this one.
            407 => {
                Err(self.failed(SendErrorKind::Local, "it wants a login (407): write http://USER:PASSWORD@HOST:PORT"))
            }
            // It has found nobody there (502 to 504); else it is its own rule, which says nothing of the provider.
            status => {
                let kind =
                    if (502..=504).contains(&status) { SendErrorKind::Unreachable } else { SendErrorKind::Local };
                Err(self.failed(kind, &format!("it makes no tunnel to {place}: {status}")))
            }
        }
    }

    /// An error that says that it was the proxy.
    pub(super) fn failed(&self, kind: SendErrorKind, why: &str) -> SendError {
        SendError::new(SendPhase::Connect, kind, format!("the egress proxy {}:{}: {why}", self.0.host, self.0.port))
    }
}

/// The status of a whole head; `None` while more is to come. Who tunnels says nothing before we do, so nothing follows a head.
fn status(head: &[u8]) -> Result<Option<u16>, &'static str> {
    let mut headers = [httparse::EMPTY_HEADER; HEADERS];
    let mut answer = httparse::Response::new(&mut headers);
    match answer.parse(head) {
        Ok(httparse::Status::Complete(length)) => {
            let status = answer.code.unwrap_or_default();
            let has_more = length < head.len();
            if has_more && (200..300).contains(&status) {
                Err("it sent bytes that nobody asked for")
            } else {
                Ok(Some(status))
            }
        }
        Ok(httparse::Status::Partial) if head.len() > HEAD => Err("the head of its answer is too long"),
        Ok(httparse::Status::Partial) => Ok(None),
        Err(_) => Err("its answer is no HTTP"),
    }
}

impl fmt::Debug for Door {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let login = if self.0.authorization.is_some() { "…@" } else { "" };
        write!(f, "http://{login}{}:{}", self.0.host, self.0.port)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn host(text: &str) -> Host {
        text.parse().map_or_else(|_| Host::Name(text.to_owned()), Host::Ip)
    }

    fn egress(around: &str) -> Egress {
        let around = around.split(',').map(|item| item.parse().unwrap()).collect();
        Egress { https: Some("http://door:3128".parse().unwrap()), http: None, around }
    }

    #[test]
    fn what_goes_around_the_proxy() {
        for (around, at, port, goes_around) in [
            ("example.com", "example.com", 443, true),
            ("example.com", "api.example.com", 443, true),
            ("EXAMPLE.com.", "api.example.com.", 443, true),
            ("example.com", "notexample.com", 443, false),
            (".example.com", "example.com", 443, false),
            (".example.com", "api.example.com", 443, true),
            ("*.example.com", "a.b.example.com", 443, true),
            ("example.com:8443", "example.com", 443, false),
            ("example.com:8443", "example.com", 8443, true),
            ("*", "anything.example", 443, true),
            ("*", "192.0.2.1", 443, true),
            ("10.0.0.0/8", "10.9.8.7", 443, true),
            ("10.0.0.0/8", "11.0.0.1", 443, false),
            ("10.0.0.0/8", "::ffff:10.0.0.1", 443, true),
            ("10.0.0.0/8", "10.example.com", 443, false),
            ("0.0.0.0/0", "192.0.2.1", 443, true),
            ("192.0.2.1", "192.0.2.1", 443, true),
            ("192.0.2.1:80", "192.0.2.1", 443, false),
            ("fd00::/8", "fd12::1", 443, true),
            ("fd12::1", "fd12::1", 443, true),
            ("[fd12::1]:443", "fd12::1", 443, true),
            ("[fd12::1]:443", "fd12::1", 80, false),
            (" a.example , b.example ", "b.example", 443, true),
            ("nothing.example", "localhost", 443, true),
            ("nothing.example", "127.0.0.9", 443, true),
            ("nothing.example", "::1", 443, true),
            ("nothing.example", "vllm.models.svc", 443, true),
            ("nothing.example", "vllm.models.svc.cluster.local", 443, true),
            ("nothing.example", "api.openai.com", 443, false),
        ] {
            let door = egress(around);
            assert_eq!(door.door(&host(at), port, true).is_none(), goes_around, "{around}: {at}:{port}");
        }
        assert!(egress("x.example").door(&host("api.example"), 80, false).is_none(), "no proxy for http is none");
        for wrong in ["10.0.0.0/33", "a/8", "[fd00::1", "host:port"] {
            assert!(wrong.parse::<Around>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_proxys_address_is_read_and_its_login_never_shown() {
        let door = |text: &str| text.parse::<Door>();
        let plain = door("http://proxy.example:3128/").unwrap();
        assert_eq!((plain.host(), plain.port()), (&host("proxy.example"), 3128));
        assert_eq!(door("proxy.example").unwrap().port(), 80);
        assert_eq!(door("http://[fd00::1]:8080").unwrap().host(), &host("fd00::1"));
        let known = door("http://user:p%40ss%3Aw0rd@proxy.example:3128").unwrap();
        assert_eq!(known.0.authorization.as_deref(), Some(&*format!("Basic {}", STANDARD.encode("user:p@ss:w0rd"))));
        assert_eq!(format!("{known:?}"), "http://…@proxy.example:3128");
        for wrong in [
            "https://user:s3cret@proxy:3128",
            "http://user:s3cret@",
            "http://user:s3cret@proxy:port",
            "http://user:s3cret@a/b",
        ] {
            let said = door(wrong).unwrap_err();
            assert!(!said.contains("s3cret"), "{said}");
        }
    }

    #[test]
    fn an_answer_is_read_to_its_end_and_no_further() {
        assert_eq!(status(b"HTTP/1.1 200 Connection established\r\nvia: x\r\n\r\n"), Ok(Some(200)));
        assert_eq!(status(b"HTTP/1.1 403 No\r\ncontent-length: 4\r\n\r\nlate"), Ok(Some(403)));
        assert_eq!(status(b"HTTP/1.1 200 OK\r\nvia"), Ok(None));
        assert!(status(b"HTTP/1.1 200 OK\r\n\r\nearly").is_err());
        assert!(status(b"SSH-2.0-OpenSSH\r\n\r\n").is_err());
        let long = format!("HTTP/1.1 200 OK\r\nx: {}", "y".repeat(HEAD));
        assert!(status(long.as_bytes()).is_err());
    }
}
