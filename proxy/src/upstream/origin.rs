//! The origin of a provider, worked out once per configuration so that a call only clones reference counts.

use std::collections::BTreeMap;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use http::HeaderValue;
use http::uri::{Authority, PathAndQuery, Scheme, Uri};
use sluicegate_config::compile::DeniedNetworks;
use sluicegate_config::{Compatibility, Connection, Defaults, HttpVersion, Millis, ObjectId, Provider, ProviderKind};
use thiserror::Error;
use xxhash_rust::xxh3::Xxh3;

pub(super) use super::host::Host;

use super::egress::{Door, Outward};
use super::simulated::{self, Serve};
use super::tls::{self, Unusable};

/// The key that connections are kept by: pool, provider, address and connection settings, in one number. A provider
/// whose credential, models or weight change keeps its connections; one whose address or TLS changes does not.
pub(super) type OriginKey = u128;

/// The place of a provider, and the way in which it is reached. Cloning is cheap.
#[derive(Clone)]
pub struct Origin(pub(super) Arc<OriginParts>);

pub(super) struct OriginParts {
    pub(super) key: OriginKey,
    pub(super) pool: String,
    pub(super) provider: String,
    pub(super) connection: Connection,
    pub(super) target: OriginTarget,
    /// The URL's host: what its certificate is to say.
    pub(super) name: Host,
    pub(super) scheme: Scheme,
    pub(super) authority: Authority,
    pub(super) host_header: HeaderValue,
    /// The proxy that the way there leads through.
    pub(super) door: Option<Door>,
    /// The addresses where no provider may be.
    pub(super) denied: Arc<DeniedNetworks>,
    prefix: String,
}

/// The target that a connection is made to.
pub(super) enum OriginTarget {
    Network { host: Host, port: u16, tls: bool },
    Simulated(Serve),
}

/// A provider's URL (or connection settings) that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum OriginError {
    /// Not a URL of the form `https://host[:port][/prefix]`; the text says why.
    #[error("url: {0}")]
    Url(String),
    /// `serverName` is neither a DNS name nor an IP address.
    #[error("serverName is neither a DNS name nor an IP address")]
    ServerName,
    /// `caPem` holds no certificate that can be read.
    #[error("caPem: {0}")]
    CaPem(String),
}

impl Origin {
    /// Works out where `provider` (of `pool`) is by its URL.
    ///
    /// # Errors
    /// When its URL, server name or CA certificates cannot be used.
    pub fn new(pool: &ObjectId, provider: &Provider) -> Result<Self, OriginError> {
        Self::at(pool, provider, None, &Outward::default())
    }

    /// Works out where `provider` (of `pool`) is, or the endpoint of it `at` this `ip:port`: there the URL's host is
    /// still what requests and certificates are about. `outward` says which way leads there.
    ///
    /// # Errors
    /// When its URL, the endpoint's address, server name or CA certificates cannot be used.
    pub fn at(pool: &ObjectId, provider: &Provider, at: Option<&str>, outward: &Outward) -> Result<Self, OriginError> {
        let in_memory = provider.kind == ProviderKind::Simulated;
        let url = if in_memory { "http://simulated" } else { provider.url.as_str() };
        let uri: Uri = url.parse().map_err(|error| OriginError::Url(format!("{error}")))?;
        let parts = uri.into_parts();
        let scheme = parts.scheme.ok_or_else(|| bad_url("the scheme (http or https) is missing"))?;
        let tls = match scheme.as_str() {
            "https" => true,
            "http" => false,
            _ => return Err(bad_url("the scheme is neither http nor https")),
        };
        let authority = parts.authority.ok_or_else(|| bad_url("the host is missing"))?;
        if authority.as_str().contains('@') {
            return Err(bad_url("credentials do not belong in a URL"));
        }
        let host_header =
            HeaderValue::from_str(authority.as_str()).map_err(|_| bad_url("the host is not a header's value"))?;
        let prefix = prefix_of(parts.path_and_query.as_ref())?;
        tls::check(&provider.connection).map_err(|unusable| match unusable {
            Unusable::ServerName => OriginError::ServerName,
            Unusable::CaPem(why) => OriginError::CaPem(why),
        })?;
        let name = host_of(authority.host());
        let (host, port) = match at {
            Some(at) => {
                let address: SocketAddr = at.parse().map_err(|_| bad_url("an endpoint's address is not ip:port"))?;
                (Host::Ip(address.ip()), address.port())
            }
            None => (name.clone(), authority.port_u16().unwrap_or(if tls { 443 } else { 80 })),
        };
        // Pods are called by their addresses, and never leave the cluster.
        let is_inside = provider.service.is_some() || at.is_some();
        let door = if is_inside { None } else { outward.egress.door(&host, port, tls).cloned() };
        let target = if in_memory {
            OriginTarget::Simulated(simulated::server(provider.simulated.as_ref()))
        } else {
            OriginTarget::Network { host: host.clone(), port, tls }
        };
        let place = OriginParts {
            key: key_of(pool, provider, (tls, &name, &host, port)),
            pool: pool.0.clone(),
            provider: provider.name.clone(),
            connection: provider.connection.clone(),
            target,
            name,
            scheme,
            authority,
            host_header,
            door,
            denied: Arc::clone(&outward.denied),
            prefix,
        };
        Ok(Self(Arc::new(place)))
    }

    /// Works out where a service is that is asked for something beside the calls, by a URL without a path, and authorities
    /// that are trusted beside the system's.
    ///
    /// # Errors
    /// When its URL cannot be used.
    pub(crate) fn of_service(
        name: &str,
        (url, ca_pem): (&str, Option<String>),
        outward: &Outward,
    ) -> Result<Self, OriginError> {
        let connection = Connection {
            http: HttpVersion::Http1,
            max_connections: 1,
            max_idle: 0,
            idle_timeout: Millis(0),
            idle_said: true,
            tcp_keepalive: None,
            dns_ttl: None,
            compress_requests_over: None,
            drain_abandoned: None,
            ca_pem,
            server_name: None,
        };
        let provider = Provider {
            name: name.to_owned(),
            kind: ProviderKind::OpenAiCompatible,
            url: url.to_owned(),
            api_version: None,
            service: None,
            model_server: None,
            endpoints: None,
            credential: None,
            keys: Vec::new(),
            identity: None,
            weight: 1,
            priority: 0,
            models: BTreeMap::new(),
            region: None,
            regions: BTreeMap::new(),
            discovery: None,
            defaults: Defaults::default(),
            connection,
            set_headers: BTreeMap::new(),
            pass_headers: Vec::new(),
            remove_headers: Vec::new(),
            compatibility: Compatibility::default(),
            concurrency: None,
            endpoint_concurrency: None,
            rate: Vec::new(),
            simulated: None,
        };
        Self::at(&ObjectId(name.to_owned()), &provider, None, outward)
    }

    /// The URI of `path` (`/chat/completions`) at this provider, as a request line says it; to be worked out
    /// once and cloned per call. `Client::send` takes requests with such a URI.
    ///
    /// # Errors
    /// When `path` is not a path (and query).
    pub fn uri(&self, path: &str) -> Result<Uri, OriginError> {
        let whole = format!("{}{path}", self.0.prefix);
        let path: PathAndQuery = whole.parse().map_err(|error| OriginError::Url(format!("{error}")))?;
        Ok(Uri::from(path))
    }

    /// The URI of a `path` that stands beside the provider's own: in place of the last part of that.
    ///
    /// # Errors
    /// When `path` is not a path (and query).
    pub(crate) fn uri_beside(&self, path: &str) -> Result<Uri, OriginError> {
        let above = self.0.prefix.rsplit_once('/').map_or("", |(above, _)| above);
        let path: PathAndQuery =
            format!("{above}{path}").parse().map_err(|error| OriginError::Url(format!("{error}")))?;
        Ok(Uri::from(path))
    }

    /// The part of its own path that its API's begins behind, as callers write that: of `https://host/openai/v1` it is `/openai`, for their
    /// paths say the version themselves. Azure's say `/openai` too.
    pub(crate) fn above_its_api(&self, is_azures: bool) -> &str {
        let prefix = above_the_version(&self.0.prefix);
        if is_azures { prefix.strip_suffix("/openai").unwrap_or(prefix) } else { prefix }
    }

    /// The value of its `host` header.
    #[must_use]
    pub fn host(&self) -> &HeaderValue {
        &self.0.host_header
    }

    /// `host:port` as the URL names it, or `simulated`: the address an endpoint is known by.
    #[must_use]
    pub fn address(&self) -> String {
        match &self.0.target {
            OriginTarget::Simulated(_) => "simulated".to_owned(),
            OriginTarget::Network { host: Host::Ip(IpAddr::V6(ip)), port, .. } => format!("[{ip}]:{port}"),
            OriginTarget::Network { host: Host::Ip(ip), port, .. } => format!("{ip}:{port}"),
            OriginTarget::Network { host: Host::Name(name), port, .. } => format!("{name}:{port}"),
        }
    }
}

impl fmt::Debug for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Origin({}/{} at {})", self.0.pool, self.0.provider, self.address())
    }
}

fn bad_url(why: &str) -> OriginError {
    OriginError::Url(why.to_owned())
}

fn prefix_of(path: Option<&PathAndQuery>) -> Result<String, OriginError> {
    let Some(path) = path else { return Ok(String::new()) };
    if path.query().is_some() {
        return Err(bad_url("a query does not belong here"));
    }
    Ok(path.path().trim_end_matches('/').to_owned())
}

fn above_the_version(prefix: &str) -> &str {
    // A project and a location stand behind the version at Google's.
    let prefix = prefix.split_once("/projects/").map_or(prefix, |(above, _)| above);
    let (above, last) = prefix.rsplit_once('/').unwrap_or(("", ""));
    let is_version = last.strip_prefix('v').is_some_and(|rest| rest.starts_with(|first: char| first.is_ascii_digit()));
    if is_version { above } else { prefix }
}

fn host_of(host: &str) -> Host {
    let bare = host.strip_prefix('[').and_then(|h| h.strip_suffix(']')).unwrap_or(host);
    bare.parse().map_or_else(|_| Host::Name(bare.to_ascii_lowercase()), Host::Ip)
}

fn key_of(pool: &ObjectId, provider: &Provider, address: (bool, &Host, &Host, u16)) -> OriginKey {
    let mut hasher = Xxh3::new();
    (&pool.0, &provider.name, address, &provider.connection, &provider.simulated).hash(&mut hasher);
    let _ = hasher.finish();
    hasher.digest128()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_at_the_end_is_the_callers_to_say() {
        for (prefix, above) in [
            ("/v1", ""),
            ("", ""),
            ("/v1beta", ""),
            ("/openai/v1", "/openai"),
            ("/api/paas/v4", "/api/paas"),
            ("/openai", "/openai"),
            ("/serving-endpoints", "/serving-endpoints"),
            ("/vendor", "/vendor"),
            ("/v1/projects/p/locations/l", ""),
        ] {
            assert_eq!(above_the_version(prefix), above, "{prefix}");
        }
    }
}
