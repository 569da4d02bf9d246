//! The connections to a provider, compiled.

use serde::{Deserialize, Serialize};

use crate::millis::Millis;

/// The rules by which connections to a provider are made and kept.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Connection {
    /// The version of HTTP.
    pub http: HttpVersion,
    /// At most this many connections per endpoint and proxy; a call over it waits (within its connect timeout).
    pub max_connections: u32,
    /// At most this many of them kept idle.
    pub max_idle: u32,
    /// An idle one is closed after this.
    pub idle_timeout: Millis,
    /// True if the user has said so; else what is known of the provider may be less.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub idle_said: bool,
    /// First TCP keep-alive probe after this silence; `None`: off.
    pub tcp_keepalive: Option<Millis>,
    /// The time that an address is believed; `None`: as long as DNS says.
    pub dns_ttl: Option<Millis>,
    /// Larger requests go out compressed; `None`: none does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub compress_requests_over: Option<u64>,
    /// A stream whose caller has left is listened to for so long at most; `None`: it is cancelled at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub drain_abandoned: Option<Millis>,
    /// PEM certificates to trust beside the system's.
    pub ca_pem: Option<String>,
    /// The name to ask for and to verify instead of the URL's host.
    pub server_name: Option<String>,
}

/// The version of HTTP that is spoken to a provider.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum HttpVersion {
    /// HTTP/2 where TLS negotiates it, else HTTP/1.1.
    Auto,
    /// HTTP/1.1.
    Http1,
    /// HTTP/2, without TLS too (prior knowledge).
    Http2,
}
