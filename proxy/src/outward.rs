//! The settings of the way to providers, by command line and environment: through which proxy, and where not at all.

use std::convert::Infallible;
use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;
use std::sync::Arc;

use ipnet::IpNet;
use sluicegate_config::compile::DeniedNetworks;

use crate::upstream::{Around, Door, Egress, Outward};

/// The way to providers.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct Ways {
    /// A proxy for the way to `https` providers, which tunnels (`CONNECT`): `http://[USER:PASSWORD@]HOST:PORT`. Better given as
    /// the variable: a command line can be read by others.
    #[arg(long, env = "HTTPS_PROXY", value_name = "URL", hide_env_values = true)]
    pub https_proxy: Option<Hidden>,
    /// The same for `http` providers; it must tunnel to their ports, too.
    #[arg(long, env = "HTTP_PROXY", value_name = "URL", hide_env_values = true)]
    pub http_proxy: Option<Hidden>,
    /// The places that are reached around the proxy: names (those below them included), addresses, networks, each with
    /// a port if need be, or `*`. Services of the cluster and this machine go around it in any case.
    #[arg(long, env = "NO_PROXY", value_name = "ITEM,ITEM…", value_delimiter = ',')]
    pub no_proxy: Vec<Around>,
    /// Networks that no provider may be in, beside those that are never good: metadata and link-local addresses, and with
    /// `--gateway` the proxy's own pod and the API server.
    #[arg(long, env = "SLUICEGATE_DENY_NETWORKS", value_name = "NET,NET…", value_delimiter = ',')]
    pub deny_networks: Vec<IpNet>,
    /// Networks that providers may be in nevertheless.
    #[arg(long, env = "SLUICEGATE_ALLOW_NETWORKS", value_name = "NET,NET…", value_delimiter = ',')]
    pub allow_networks: Vec<IpNet>,
}

impl Ways {
    /// The same, read. In a cluster the proxy's own pod and the API server are no providers.
    ///
    /// # Errors
    /// A proxy's address is none; said without the login in it.
    pub fn read(&self, in_cluster: bool) -> anyhow::Result<Outward> {
        let denied = if in_cluster { DeniedNetworks::in_cluster(api_server()) } else { DeniedNetworks::everywhere() };
        let egress = Egress {
            https: door("--https-proxy (HTTPS_PROXY)", self.https_proxy.as_ref())?,
            http: door("--http-proxy (HTTP_PROXY)", self.http_proxy.as_ref())?,
            around: self.no_proxy.clone(),
        };
        Ok(Outward { egress, denied: Arc::new(denied.with(&self.deny_networks, &self.allow_networks)) })
    }
}

fn door(setting: &str, text: Option<&Hidden>) -> anyhow::Result<Option<Door>> {
    // Set to nothing is how a variable is unset in many places.
    let Some(text) = text.map(|text| text.0.trim()).filter(|text| !text.is_empty()) else { return Ok(None) };
    text.parse().map(Some).map_err(|why: String| anyhow::anyhow!("{setting}: {why}"))
}

/// The API server's address, as Kubernetes tells it to a pod.
#[expect(clippy::disallowed_methods, reason = "Kubernetes sets it in every container; it is no setting of ours")]
fn api_server() -> Option<IpAddr> {
    std::env::var("KUBERNETES_SERVICE_HOST").ok()?.parse().ok()
}

/// A text with a secret in it, which shows nothing of itself.
#[derive(Clone, PartialEq, Eq)]
pub struct Hidden(String);

impl FromStr for Hidden {
    type Err = Infallible;

    fn from_str(text: &str) -> Result<Self, Infallible> {
        Ok(Self(text.to_owned()))
    }
}

impl fmt::Debug for Hidden {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("…")
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;
    use crate::settings::Settings;

    fn ways(flags: &[&str]) -> Ways {
        Settings::parse_from(["sluicegate-proxy", "--manifests", "x"].iter().chain(flags)).ways
    }

    #[test]
    fn the_way_out_is_read_and_a_login_never_shown() {
        let flags = ["--https-proxy", "http://me:s3cret@out:3128", "--no-proxy", "", "--http-proxy", ""];
        let ways = ways(&flags);
        let read = ways.read(false).unwrap();
        assert!(read.egress.https.is_some() && read.egress.http.is_none());
        assert!(!format!("{ways:?} {read:?}").contains("s3cret"));
        let wrong = super::tests::ways(&["--https-proxy", "socks5://me:s3cret@out:1080"]).read(false).unwrap_err();
        let said = format!("{wrong:#}");
        assert!(said.starts_with("--https-proxy (HTTPS_PROXY): ") && !said.contains("s3cret"), "{said}");
    }

    #[test]
    fn where_no_provider_may_be_depends_on_where_this_is() {
        let at = |flags: &[&str], in_cluster, address: &str| {
            ways(flags).read(in_cluster).unwrap().denied.check(address.parse().unwrap()).is_ok()
        };
        assert!(at(&[], false, "127.0.0.1") && !at(&[], true, "127.0.0.1") && !at(&[], false, "169.254.169.254"));
        assert!(at(&["--allow-networks", "127.0.0.0/8"], true, "127.0.0.1"));
        assert!(!at(&["--deny-networks", "10.0.0.0/8,192.168.0.0/16"], false, "192.168.0.9"));
    }
}
