//! The settings, by command line and environment.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use clap::Parser;
use ipnet::IpNet;
use sluicegate_config::{FEATURES, socket_address};

use crate::outward::Ways;

/// An LLM gateway: answers calls in the words of OpenAI, Anthropic and Google from the providers that its resources describe.
#[derive(Debug, Clone, Parser)]
#[command(
    name = "sluicegate-proxy",
    version,
    after_help = "`sluicegate-proxy probe URL…` asks whether something answers."
)]
pub struct Settings {
    /// Folder of `LLMRoute`, `ProviderPool`, `LLMConsumer` and `Secret` manifests (YAML), watched for changes.
    #[arg(
        long,
        env = "SLUICEGATE_MANIFESTS",
        value_name = "DIR",
        required_unless_present = "gateway",
        conflicts_with = "gateway"
    )]
    pub manifests: Option<PathBuf>,
    /// A list of what models cost whose pools do not say it (`kind: PriceList`), with `--manifests`; in a cluster the operator
    /// has it. Read once.
    #[arg(long, env = "SLUICEGATE_PRICES", value_name = "FILE", conflicts_with = "gateway")]
    pub prices: Option<PathBuf>,
    /// In a cluster: the gateway whose published configuration is watched.
    #[arg(long, env = "SLUICEGATE_GATEWAY", value_name = "NAME", value_parser = label)]
    pub gateway: Option<String>,
    /// The namespace it is published in; this pod's own (or the kubeconfig's) unless said otherwise.
    #[arg(long, env = "SLUICEGATE_NAMESPACE", value_name = "NS", requires = "gateway", conflicts_with = "manifests", value_parser = label)]
    pub namespace: Option<String>,
    /// The address where calls come in. Port 0 takes a free one; the first log line says which.
    #[arg(long, env = "SLUICEGATE_LISTEN", value_name = "ADDR", default_value = "127.0.0.1:8080", value_parser = socket_address)]
    pub listen: SocketAddr,
    /// The address where calls come in over TLS, beside `--listen`, which is plain then. Without it `--listen` speaks
    /// TLS once there is a certificate.
    #[arg(long, env = "SLUICEGATE_TLS_LISTEN", value_name = "ADDR", requires = "tls_cert", value_parser = socket_address)]
    pub tls_listen: Option<SocketAddr>,
    /// Health, readiness and metrics.
    #[arg(long, env = "SLUICEGATE_ADMIN_LISTEN", value_name = "ADDR", default_value = "127.0.0.1:9090", value_parser = socket_address)]
    pub admin_listen: SocketAddr,
    /// Nodes of the Redis Cluster that shares cached answers, as URLs. Without it the cache is this process's own.
    #[arg(long, env = "SLUICEGATE_REDIS", value_name = "URL,URL…", value_delimiter = ',')]
    pub redis: Vec<String>,
    /// The login at Redis.
    #[command(flatten)]
    pub redis_login: RedisLogin,
    /// Threads that serve calls; all cores unless said otherwise.
    #[arg(long, env = "SLUICEGATE_WORKERS", value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    pub workers: Option<u16>,
    /// Certificate chain (PEM). With `--tls-key` calls come in over TLS; both are read again when they change.
    #[arg(long, env = "SLUICEGATE_TLS_CERT", value_name = "FILE", requires = "tls_key")]
    pub tls_cert: Option<PathBuf>,
    /// Private key (PEM) of `--tls-cert`.
    #[arg(long, env = "SLUICEGATE_TLS_KEY", value_name = "FILE", requires = "tls_cert")]
    pub tls_key: Option<PathBuf>,
    /// The limits on what a client may use up.
    #[command(flatten)]
    pub limits: Limits,
    /// The way in which the process stops.
    #[command(flatten)]
    pub stopping: Stopping,
    /// The way in which providers are reached.
    #[command(flatten)]
    pub ways: Ways,
    /// A stream whose model is still silent after this time is answered with a comment line, and again after each such time.
    #[arg(long, env = "SLUICEGATE_STREAM_KEEP_ALIVE", value_name = "TIME", default_value = "15s", value_parser = some_time)]
    pub stream_keep_alive: Duration,
    /// The region that it runs in: providers' addresses of that region go before others of their tier.
    #[arg(long, env = "SLUICEGATE_REGION", value_name = "NAME")]
    pub region: Option<String>,
    /// Compresses whole answers of more than 1 KiB for callers that accept it (zstd, gzip); streams never.
    #[arg(long, env = "SLUICEGATE_COMPRESS_ANSWERS", value_name = "BOOL", default_value_t = true, action = clap::ArgAction::Set)]
    pub compress_answers: bool,
    /// The callers of routes that do not name them: anyone (`open`), or consumers only (`known`).
    #[arg(long, env = "SLUICEGATE_ACCESS", value_name = "WHO", value_enum, default_value_t = DefaultAccess::Open)]
    pub access: DefaultAccess,
    /// Networks (CIDR or address) whose `x-forwarded-for` is believed.
    #[arg(long, env = "SLUICEGATE_TRUSTED_PROXIES", value_name = "NET,NET…", value_delimiter = ',', value_parser = network)]
    pub trusted_proxies: Vec<IpNet>,
    /// Origins (`https://app.example`) whose web pages may call, or `*`; none unless said. A page shows its user the key.
    #[arg(long, env = "SLUICEGATE_CORS_ORIGINS", value_name = "ORIGIN,ORIGIN…", value_delimiter = ',', value_parser = origin)]
    pub cors_origins: Vec<String>,
    /// A file of keys, one in a line, that the ids of answers which a provider keeps are sealed with: each id leads its owner, and
    /// nobody else, to the provider that keeps it. The first key seals, all of them open; the file is read again when it changes.
    #[arg(long, env = "SLUICEGATE_RESPONSE_KEYS", value_name = "FILE")]
    pub response_keys: Option<PathBuf>,
    /// Keeps conversations of the Responses API for so long after each answer, encrypted, in Redis (without one in this process), so
    /// that `previous_response_id` goes on where a provider keeps nothing. Prompts and answers are kept only if this says so.
    #[arg(long, env = "SLUICEGATE_KEEP_RESPONSES", value_name = "TIME", value_parser = some_time)]
    pub keep_responses: Option<Duration>,
    /// The largest conversation that is kept.
    #[arg(long, env = "SLUICEGATE_KEEP_RESPONSES_SIZE", value_name = "SIZE", default_value = "1Mi", value_parser = some_size)]
    pub keep_responses_size: usize,
    /// Share of successful calls that get a line in the access log, 0 to 1. Failed calls always get one.
    #[arg(long, env = "SLUICEGATE_LOG_SAMPLE", value_name = "SHARE", default_value = "1", value_parser = share)]
    pub log_sample: f64,
    /// The log lines that are written, as `level` or `module=level,…`.
    #[arg(long, env = "SLUICEGATE_LOG", value_name = "FILTER", default_value = "info")]
    pub log: String,
    /// The features of compiled objects that it knows: no setting, all of them; a program that stands for an older version
    /// in tests has fewer.
    #[arg(skip = &FEATURES[..])]
    pub features: &'static [&'static str],
}

/// The callers of routes that do not name them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum DefaultAccess {
    /// Anyone.
    Open,
    /// Consumers only.
    Known,
}

/// The login at Redis, where a URL does not say so itself.
#[derive(Clone, Default, clap::Args)]
pub struct RedisLogin {
    /// User at Redis; the default user when there is none.
    #[arg(id = "redis_username", long = "redis-username", env = "SLUICEGATE_REDIS_USERNAME", value_name = "NAME")]
    pub username: Option<String>,
    /// Password at Redis. Better given as the variable: a command line can be read by others.
    #[arg(
        id = "redis_password",
        long = "redis-password",
        env = "SLUICEGATE_REDIS_PASSWORD",
        value_name = "PASSWORD",
        hide_env_values = true
    )]
    pub password: Option<String>,
}

impl std::fmt::Debug for RedisLogin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RedisLogin").field("username", &self.username).finish_non_exhaustive()
    }
}

/// The limits on what a client may use up.
#[derive(Debug, Clone, clap::Args)]
pub struct Limits {
    /// The largest request body; beyond it the answer is 413.
    #[arg(long, env = "SLUICEGATE_BODY_LIMIT", value_name = "SIZE", default_value = "32Mi", value_parser = some_size)]
    pub body_limit: usize,
    /// The memory that calls may hold in sum; beyond it the answer is 503. Half of the memory limit unless said
    /// otherwise.
    #[arg(long, env = "SLUICEGATE_MEMORY_BUDGET", value_name = "SIZE", value_parser = size)]
    pub memory_budget: Option<usize>,
    /// The largest request head; beyond it the answer is 431.
    #[arg(long, env = "SLUICEGATE_HEADER_LIMIT", value_name = "SIZE", default_value = "64Ki", value_parser = head_size)]
    pub header_limit: usize,
    /// The most header lines of a request; beyond it the answer is 431.
    #[arg(long, env = "SLUICEGATE_HEADER_COUNT", value_name = "N", default_value_t = 100, value_parser = count)]
    pub header_count: usize,
    /// A request head must be whole within this time of its first byte.
    #[arg(long, env = "SLUICEGATE_HEADER_TIMEOUT", value_name = "TIME", default_value = "10s", value_parser = some_time)]
    pub header_timeout: Duration,
    /// The longest silence within a request body; beyond it the answer is 408.
    #[arg(long, env = "SLUICEGATE_BODY_IDLE_TIMEOUT", value_name = "TIME", default_value = "10s", value_parser = some_time)]
    pub body_idle_timeout: Duration,
    /// A request body must be whole within this time of its head; beyond it the answer is 408.
    #[arg(long, env = "SLUICEGATE_BODY_TIMEOUT", value_name = "TIME", default_value = "60s", value_parser = some_time)]
    pub body_timeout: Duration,
    /// A connection without a call is closed after this.
    #[arg(long, env = "SLUICEGATE_KEEP_ALIVE_TIMEOUT", value_name = "TIME", default_value = "75s", value_parser = some_time)]
    pub keep_alive_timeout: Duration,
    /// A client that takes nothing of its answer for this long is given up.
    #[arg(long, env = "SLUICEGATE_WRITE_TIMEOUT", value_name = "TIME", default_value = "60s", value_parser = some_time)]
    pub write_timeout: Duration,
    /// Connections open at once, over all workers; further ones are closed at once.
    #[arg(long, env = "SLUICEGATE_MAX_CONNECTIONS", value_name = "N", default_value_t = 65_536, value_parser = count)]
    pub max_connections: usize,
}

/// The way in which the process stops.
#[derive(Debug, Clone, clap::Args)]
pub struct Stopping {
    /// After SIGTERM, calls in flight may take this long to end.
    #[arg(long, env = "SLUICEGATE_DRAIN_TIMEOUT", value_name = "TIME", default_value = "300s", value_parser = time)]
    pub drain_timeout: Duration,
    /// After SIGTERM, new connections are still taken for this long, while load balancers learn of it.
    #[arg(long, env = "SLUICEGATE_DRAIN_DELAY", value_name = "TIME", default_value = "2s", value_parser = time)]
    pub drain_delay: Duration,
}

impl Settings {
    /// The number of workers to start.
    #[must_use]
    pub fn worker_count(&self) -> usize {
        self.workers.map_or_else(|| std::thread::available_parallelism().map_or(1, std::num::NonZero::get), usize::from)
    }

    /// True if a peer's `x-forwarded-for` is believed.
    #[must_use]
    pub fn trusts(&self, peer: IpAddr) -> bool {
        self.trusted_proxies.iter().any(|net| net.contains(&peer.to_canonical()))
    }
}

/// A web page's origin as browsers write it: a scheme, a host, a port if it is not the scheme's.
fn origin(text: &str) -> Result<String, String> {
    let parts = |text: &str| {
        let uri: http::Uri = text.parse().ok()?;
        let bare = uri.path() == "/" && uri.query().is_none() && !text.ends_with('/');
        (bare && uri.scheme().is_some() && uri.authority().is_some_and(|host| !host.as_str().contains('@')))
            .then_some(())
    };
    if text == "*" || parts(text).is_some() {
        return Ok(text.to_owned());
    }
    Err(format!("`{text}` is no origin, write e.g. https://app.example (no path), or *"))
}

/// A network, or an address alone.
fn network(text: &str) -> Result<IpNet, String> {
    let text = text.trim();
    let alone = || text.parse::<IpAddr>().map(IpNet::from).ok();
    text.parse().ok().or_else(alone).ok_or_else(|| {
        format!("`{text}` is no network, write e.g. 10.0.0.0/8; the number after / is at most 32, for IPv6 128")
    })
}

/// Checks what a label's value (and a namespace) may be.
fn label(text: &str) -> Result<String, String> {
    let inside = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    let ends =
        text.starts_with(|c: char| c.is_ascii_alphanumeric()) && text.ends_with(|c: char| c.is_ascii_alphanumeric());
    if ends && text.len() <= 63 && text.chars().all(inside) {
        return Ok(text.to_owned());
    }
    Err("write 1 to 63 letters, digits, `-`, `_` or `.`, beginning and ending with a letter or digit".to_owned())
}

/// `250ms`, `30s`, `5m`, `1h`; a bare number is seconds.
fn time(text: &str) -> Result<Duration, String> {
    let text = text.trim();
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let number: u64 = number.parse().map_err(|_| format!("`{text}` is no time, write e.g. 30s, 250ms or 5m"))?;
    let millis = match unit {
        "ms" => Some(1),
        "" | "s" => Some(1_000),
        "m" => Some(60_000),
        "h" => Some(3_600_000),
        _ => None,
    };
    millis
        .and_then(|unit| number.checked_mul(unit))
        .map(Duration::from_millis)
        .ok_or_else(|| format!("`{text}` is no time, write e.g. 30s, 250ms or 5m"))
}

/// `65536`, `64Ki`, `32Mi`, `1Gi`; a trailing `B` is taken too.
fn size(text: &str) -> Result<usize, String> {
    let text = text.trim();
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let number: usize = number.parse().map_err(|_| format!("`{text}` is no size, write e.g. 32Mi"))?;
    let factor = match unit.trim_end_matches('B') {
        "" => Some(1),
        "k" | "K" => Some(1_000),
        "M" => Some(1_000_000),
        "G" => Some(1_000_000_000),
        "Ki" => Some(1 << 10),
        "Mi" => Some(1 << 20),
        "Gi" => Some(1 << 30),
        _ => None,
    };
    factor.and_then(|unit| number.checked_mul(unit)).ok_or_else(|| format!("`{text}` is no size, write e.g. 32Mi"))
}

/// A limit of 0 would be kept by refusing everything.
fn some_time(text: &str) -> Result<Duration, String> {
    time(text).and_then(|time| if time.is_zero() { Err("write a time above 0".to_owned()) } else { Ok(time) })
}

fn some_size(text: &str) -> Result<usize, String> {
    size(text).and_then(|size| if size == 0 { Err("write a size above 0".to_owned()) } else { Ok(size) })
}

/// Every client sends some hundred bytes of head.
fn head_size(text: &str) -> Result<usize, String> {
    size(text).and_then(|size| if size < 1024 { Err("write a size of 1Ki or more".to_owned()) } else { Ok(size) })
}

fn count(text: &str) -> Result<usize, String> {
    text.parse().ok().filter(|count| *count > 0).ok_or_else(|| format!("`{text}` is no number above 0"))
}

fn share(text: &str) -> Result<f64, String> {
    text.parse().ok().filter(|share| (0.0..=1.0).contains(share)).ok_or_else(|| format!("`{text}` is not 0 to 1"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_and_sizes_are_read_with_their_units() {
        assert_eq!(time("250ms"), Ok(Duration::from_millis(250)));
        assert_eq!(time("30"), Ok(Duration::from_secs(30)));
        assert_eq!(time("5m"), Ok(Duration::from_secs(300)));
        assert!(time("soon").is_err());
        assert!(time("18446744073709551615h").is_err());
        assert_eq!(size("32Mi"), Ok(32 << 20));
        assert_eq!(size("64KiB"), Ok(64 << 10));
        assert_eq!(size("1G"), Ok(1_000_000_000));
        assert!(size("-1").is_err());
    }

    #[test]
    fn what_would_refuse_everything_is_refused() {
        let parse = |flag: &str, value: &str| {
            Settings::try_parse_from(["sluicegate-proxy", "--manifests", "x", flag, value]).map(drop)
        };
        for flag in [
            "--workers",
            "--body-limit",
            "--header-limit",
            "--header-count",
            "--header-timeout",
            "--body-idle-timeout",
            "--body-timeout",
            "--keep-alive-timeout",
            "--write-timeout",
            "--max-connections",
            "--stream-keep-alive",
        ] {
            assert!(parse(flag, "0").is_err(), "{flag}");
        }
        assert!(parse("--header-limit", "1023").is_err());
        assert!(parse("--drain-timeout", "0").is_ok() && parse("--drain-delay", "0s").is_ok());
        assert!(parse("--header-count", "1000").is_ok());
    }

    #[test]
    fn a_network_holds_its_addresses_only() {
        let trusts = |net: &str, peer: &str| {
            let parsed =
                Settings::try_parse_from(["sluicegate-proxy", "--manifests", "x", "--trusted-proxies", net]).unwrap();
            parsed.trusts(peer.parse().unwrap())
        };
        for (net, peer, holds) in [
            ("10.1.0.0/16", "10.1.2.3", true),
            ("10.1.0.0/16", "::ffff:10.1.2.3", true),
            ("10.1.0.0/16", "10.2.0.1", false),
            ("10.1.0.0/16", "fd00::1", false),
            ("0.0.0.0/0", "8.8.8.8", true),
            ("::1", "::1", true),
            ("10.0.0.1", "10.0.0.2", false),
        ] {
            assert_eq!(trusts(net, peer), holds, "{peer} in {net}");
        }
        for text in ["10.0.0.0/33", "", "10.0.0/8", "localhost"] {
            assert!(network(text).is_err(), "{text}");
        }
    }

    #[test]
    fn the_configuration_comes_from_one_place() {
        let parse = |flags: &[&str]| Settings::try_parse_from(["sluicegate-proxy"].iter().chain(flags));
        assert_eq!(parse(&["--gateway", "gw", "--namespace", "ns"]).unwrap().gateway.as_deref(), Some("gw"));
        for (flags, said) in [
            (&[][..], "--manifests <DIR>"),
            (&["--manifests", "x", "--gateway", "gw"], "cannot be used with '--gateway <NAME>'"),
            (&["--manifests", "x", "--namespace", "ns"], "cannot be used with"),
            (&["--gateway", "a,b=c"], "letters, digits"),
        ] {
            let error = parse(flags).unwrap_err().to_string();
            assert!(error.contains(said), "{flags:?}: {error}");
        }
    }

    #[test]
    fn defaults_are_the_documented_ones() {
        let settings = Settings::parse_from(["sluicegate-proxy", "--manifests", "x", "--redis", "redis://a,redis://b"]);
        assert!(settings.redis_login.password.is_none());
        assert_eq!(settings.listen.to_string(), "127.0.0.1:8080");
        assert_eq!(settings.admin_listen.to_string(), "127.0.0.1:9090");
        assert_eq!(settings.redis.len(), 2);
        assert_eq!(settings.limits.body_limit, 32 << 20);
    }

    #[test]
    fn addresses_are_taken_with_brackets_and_without() {
        let parse =
            |address: &str| Settings::try_parse_from(["sluicegate-proxy", "--manifests", "x", "--listen", address]);
        assert_eq!(parse(":::8080").unwrap().listen, parse("[::]:8080").unwrap().listen);
        let error = parse("localhost:8080").unwrap_err().to_string();
        assert!(error.contains("names such as localhost are not looked up"), "{error}");
    }

    #[test]
    fn a_password_does_not_show() {
        let words = ["sluicegate-proxy", "--manifests", "x", "--redis-username", "gate", "--redis-password", "s3cret"];
        let settings = Settings::parse_from(words);
        assert_eq!(settings.redis_login.password.as_deref(), Some("s3cret"));
        let shown = format!("{settings:?}");
        assert!(shown.contains("gate") && !shown.contains("s3cret"), "{shown}");
    }
}
