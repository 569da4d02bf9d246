//! The settings: the command line and the environment.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use ipnet::IpNet;
use sluicegate_config::compile::ModelClaims;
use sluicegate_config::socket_address;

use crate::world::Watched;

/// Watches resources, compiles them, publishes what proxies run on, and says how it stands.
#[derive(Debug, Clone, Parser)]
#[command(name = "sluicegate-operator", version, args_conflicts_with_subcommands = true)]
pub struct Settings {
    /// The command; `run` when none is given.
    #[command(subcommand)]
    pub command: Option<Command>,
    /// The settings of `run`.
    #[command(flatten)]
    pub run: Option<Run>,
}

/// A command.
#[derive(Debug, Clone, Subcommand)]
pub enum Command {
    /// Operate a gateway in the cluster (the default).
    Run(Run),
    /// Compile manifests offline and print the outcome: exit status 0 when all is well, 1 when something is refused, 2 when
    /// something could not be read.
    Compile(Compile),
    /// Print the CustomResourceDefinitions.
    Crds(Crds),
}

/// Operating a gateway.
#[derive(Debug, Clone, Args)]
pub struct Run {
    /// Name of the gateway: what is published carries it, and proxies find it by it.
    #[arg(long, env = "SLUICEGATE_GATEWAY", value_name = "NAME", value_parser = label)]
    pub gateway: String,
    /// The gateway's namespace, where proxies run and compiled objects are published. Default: the service account's, or
    /// the kubeconfig's.
    #[arg(long, env = "SLUICEGATE_NAMESPACE", value_name = "NS")]
    pub namespace: Option<String>,
    /// Namespaces whose resources count. Default: all.
    #[arg(long, env = "SLUICEGATE_WATCH_NAMESPACES", value_name = "NS,NS…", value_delimiter = ',')]
    pub watch_namespaces: Vec<String>,
    /// Labels of the proxies' Pods. Default: `sluicegate.dev/gateway=NAME,app.kubernetes.io/component=proxy`.
    #[arg(long, env = "SLUICEGATE_PROXY_SELECTOR", value_name = "SELECTOR")]
    pub proxy_selector: Option<String>,
    /// A ConfigMap in the gateway's namespace that owns all that is published: deleted, it takes it along.
    #[arg(long, env = "SLUICEGATE_OWNER_CONFIG_MAP", value_name = "NAME")]
    pub owner_config_map: Option<String>,
    /// The namespaces whose routes may claim models, as a JSON list such as
    /// `[{"models": ["gpt-*", "o3"], "namespaces": ["platform"]}]`; of several patterns that hold a model the closest
    /// decides, and `*` among the namespaces is every one. Default: each may claim all.
    #[arg(long, env = "SLUICEGATE_MODEL_CLAIMS", value_name = "JSON", value_parser = ModelClaims::parse)]
    pub model_claims: Option<ModelClaims>,
    /// Makes the keys that consumers ask for with `generate`, which takes the right to create and patch Secrets in the watched
    /// namespaces.
    #[arg(long, env = "SLUICEGATE_GENERATE_KEYS")]
    pub generate_keys: bool,
    /// A list of what models cost whose pools do not say it (`kind: PriceList`). Read once.
    #[arg(long, env = "SLUICEGATE_PRICES", value_name = "FILE")]
    pub prices: Option<PathBuf>,
    /// Health, readiness and metrics.
    #[arg(long, env = "SLUICEGATE_ADMIN_LISTEN", value_name = "ADDR", default_value = "127.0.0.1:9091", value_parser = socket_address)]
    pub admin_listen: SocketAddr,
    /// True if replicas elect the one that writes. `false` is for one that is surely alone.
    #[arg(long, env = "SLUICEGATE_LEADER_ELECT", value_name = "BOOL", default_value_t = true, action = clap::ArgAction::Set)]
    pub leader_elect: bool,
    /// Name of this replica in the election, such as its Pod's. Default: one made up at each start, which makes a replica
    /// that was killed wait for its own lease to run out.
    #[arg(long, env = "SLUICEGATE_IDENTITY", value_name = "NAME")]
    pub identity: Option<String>,
    /// Networks that no provider may be in, beside metadata and link-local addresses, the proxy's own pod and the API
    /// server.
    #[arg(long, env = "SLUICEGATE_DENY_NETWORKS", value_name = "NET,NET…", value_delimiter = ',')]
    pub deny_networks: Vec<IpNet>,
    /// Networks that providers may be in nevertheless.
    #[arg(long, env = "SLUICEGATE_ALLOW_NETWORKS", value_name = "NET,NET…", value_delimiter = ',')]
    pub allow_networks: Vec<IpNet>,
    /// The log lines that are written, as `level` or `module=level,…`.
    #[arg(long, env = "SLUICEGATE_LOG", value_name = "FILTER", default_value = "info")]
    pub log: String,
}

/// Compiling offline.
#[derive(Debug, Clone, Args)]
pub struct Compile {
    /// Folder (or one file) of `LLMRoute`, `ProviderPool`, `LLMConsumer` and `Secret` manifests; sub-folders are not read.
    #[arg(long, env = "SLUICEGATE_MANIFESTS", value_name = "DIR")]
    pub manifests: PathBuf,
    /// The namespaces whose routes may claim models, as `run` takes it.
    #[arg(long, env = "SLUICEGATE_MODEL_CLAIMS", value_name = "JSON", value_parser = ModelClaims::parse)]
    pub model_claims: Option<ModelClaims>,
    /// A list of what models cost whose pools do not say it (`kind: PriceList`). Read once.
    #[arg(long, env = "SLUICEGATE_PRICES", value_name = "FILE")]
    pub prices: Option<PathBuf>,
    /// The format of the outcome. Credentials never are.
    #[arg(short, long, value_enum, default_value_t = Output::Text)]
    pub output: Output,
    /// Networks that no provider may be in, beside metadata and link-local addresses, the proxy's own pod and the API
    /// server.
    #[arg(long, env = "SLUICEGATE_DENY_NETWORKS", value_name = "NET,NET…", value_delimiter = ',')]
    pub deny_networks: Vec<IpNet>,
    /// Networks that providers may be in nevertheless.
    #[arg(long, env = "SLUICEGATE_ALLOW_NETWORKS", value_name = "NET,NET…", value_delimiter = ',')]
    pub allow_networks: Vec<IpNet>,
}

/// Printing the CustomResourceDefinitions.
#[derive(Debug, Clone, Args)]
pub struct Crds {
    /// Their format.
    #[arg(short, long, value_enum, default_value_t = CrdFormat::Yaml)]
    pub output: CrdFormat,
}

/// A format of the outcome.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Output {
    /// For people: a line for each thing to say.
    Text,
    /// One JSON object.
    Json,
    /// The same as YAML.
    Yaml,
}

/// A format of the definitions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum CrdFormat {
    /// YAML documents.
    Yaml,
    /// A JSON `List`.
    Json,
}

impl Run {
    /// The namespaces that count.
    #[must_use]
    pub fn watched(&self) -> Watched {
        let names: BTreeSet<String> =
            self.watch_namespaces.iter().map(|name| name.trim().to_owned()).filter(|name| !name.is_empty()).collect();
        if names.is_empty() { Watched::All } else { Watched::Only(names) }
    }

    /// The labels of the proxies' Pods.
    #[must_use]
    pub fn selector(&self) -> String {
        self.proxy_selector.clone().unwrap_or_else(|| {
            format!(
                "{}={},app.kubernetes.io/component=proxy",
                sluicegate_config::published::GATEWAY_LABEL,
                self.gateway
            )
        })
    }
}

/// A gateway's name is the value of a label and the beginning of names.
fn label(text: &str) -> Result<String, String> {
    let inner = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let fits = (1..=53).contains(&text.len())
        && text.bytes().all(|byte| inner(byte) || byte == b'-')
        && text.bytes().next().is_some_and(inner)
        && text.bytes().last().is_some_and(inner);
    if fits { Ok(text.to_owned()) } else { Err("write up to 53 lower-case letters, digits and dashes".to_owned()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn run_is_what_is_done_when_nothing_is_said() {
        let settings = Settings::try_parse_from(["x", "--gateway", "gw", "--watch-namespaces", "b,a"]).unwrap();
        let run = settings.run.unwrap();
        assert!(settings.command.is_none() && run.leader_elect);
        assert_eq!(run.watched(), Watched::Only(["a".to_owned(), "b".to_owned()].into()));
        assert_eq!(run.selector(), "sluicegate.dev/gateway=gw,app.kubernetes.io/component=proxy");
        let settings = Settings::try_parse_from(["x", "run", "--gateway", "gw", "--leader-elect", "false"]).unwrap();
        assert!(
            matches!(settings.command, Some(Command::Run(run)) if !run.leader_elect && run.watched() == Watched::All)
        );
        assert!(Settings::try_parse_from(["x", "--gateway", "No.Label"]).is_err());
        assert!(Settings::try_parse_from(["x", "--gateway", "gw", "--admin-listen", ":::9090"]).is_ok());
        assert!(Settings::try_parse_from(["x", "--gateway", "gw", "--admin-listen", "localhost:9090"]).is_err());
        assert!(Settings::try_parse_from(["x", "--gateway", "gw", "--model-claims", "gpt-*"]).is_err());
        assert!(Settings::try_parse_from(["x", "compile", "--manifests", "dir", "-o", "json"]).is_ok());
        assert!(Settings::try_parse_from(["x", "crds"]).is_ok());
    }
}
