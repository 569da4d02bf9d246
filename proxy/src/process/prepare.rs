//! The things that the settings name, read and checked before anything is bound. A mistake in any of them ends the
//! process here, with one line that says what to write, and never a worker later.

use std::path::Path;
use std::sync::Arc;

use anyhow::{Context as _, anyhow, bail};
use sluicegate_config::compile::PriceList;
use tokio_rustls::TlsAcceptor;

use crate::account::{Metrics, check_log_filter};
use crate::listener::tls::ServerIdentity;
use crate::redis;
use crate::sealing::KeyFile;
use crate::settings::Settings;
use crate::source::{Cluster, Gateway, Source, Subscription};
use crate::upstream::Outward;

/// All that a process is started with.
pub(super) struct Prepared {
    /// The listener's certificate, to be kept fresh.
    pub(super) identity: Option<ServerIdentity>,
    /// The acceptor that workers answer handshakes with.
    pub(super) tls: Option<TlsAcceptor>,
    /// The keys of response ids, to be kept fresh.
    pub(super) response_keys: Option<Arc<KeyFile>>,
    /// The way in which providers are reached.
    pub(super) outward: Outward,
    /// The source that the configuration comes from.
    pub(super) feed: Feed,
}

/// The source that the configuration comes from.
pub(super) enum Feed {
    /// A folder of manifests, and what was read of it so far.
    Folder(Box<Source>, Subscription),
    /// The objects that an operator publishes.
    Cluster(Box<Gateway>),
}

/// Checks all settings that the command line's own rules do not.
///
/// # Errors
/// One of them can not be used.
pub(super) async fn prepare(settings: &Settings, metrics: &Arc<Metrics>) -> anyhow::Result<Prepared> {
    // Fails only when a test has installed it before: then it is there.
    drop(rustls::crypto::aws_lc_rs::default_provider().install_default());
    check_log_filter(&settings.log).map_err(|why| anyhow!("--log: {why}; write a level or module=level,…"))?;
    if !settings.redis.is_empty() {
        redis::check(&settings.redis).context("--redis")?;
    }
    let identity = match (&settings.tls_cert, &settings.tls_key) {
        (Some(cert), Some(key)) => Some(ServerIdentity::read(cert, key).context("--tls-cert, --tls-key")?),
        _ => None,
    };
    let tls = identity.as_ref().map(ServerIdentity::acceptor).transpose()?;
    let response_keys = settings.response_keys.as_deref().map(KeyFile::read).transpose();
    let response_keys = response_keys.context("--response-keys")?.map(Arc::new);
    if settings.keep_responses.is_some() && response_keys.is_none() {
        bail!(
            "--keep-responses: what is kept is encrypted and named with keys; name a file of them with --response-keys"
        );
    }
    let prices = settings.prices.as_deref().map(price_list).transpose()?;
    prices.iter().for_each(|list| metrics.price_list(list.timestamp()));
    let outward = settings.ways.read(settings.gateway.is_some())?;
    let feed = match &settings.manifests {
        Some(folder) => {
            let denied = Arc::clone(&outward.denied);
            let (source, subscription) = Source::open(folder.clone(), Arc::clone(metrics), denied, prices);
            Feed::Folder(Box::new(source), subscription)
        }
        None => Feed::Cluster(Box::new(watch_gateway(settings, metrics).await?)),
    };
    Ok(Prepared { identity, tls, response_keys, outward, feed })
}

/// The list of prices in a file.
fn price_list(path: &Path) -> anyhow::Result<PriceList> {
    let text = std::fs::read_to_string(path).with_context(|| format!("--prices: {}", path.display()))?;
    PriceList::parse(&text).map_err(|why| anyhow!("--prices: {}: {why}", path.display()))
}

async fn watch_gateway(settings: &Settings, metrics: &Arc<Metrics>) -> anyhow::Result<Gateway> {
    let gateway = settings.gateway.as_deref().context("neither --manifests nor --gateway")?;
    let cluster = Cluster::infer(gateway, settings.namespace.as_deref())
        .await
        .context("no cluster to watch: this is no pod with a service account, and there is no kubeconfig")?;
    tracing::info!(?cluster, "watching");
    Gateway::follow(&cluster, settings.features, Arc::clone(metrics)).context("no client for the API server")
}
