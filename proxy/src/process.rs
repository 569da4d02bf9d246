//! The process from its first to its last line: what is shared is made, workers and the control thread are started, and
//! seen out.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Instant;

use anyhow::Context as _;
use arc_swap::ArcSwap;
use tokio::runtime::{Builder, LocalOptions};
use tokio::sync::watch;

use crate::account::{
    CacheStat, CircuitState, EndpointStat, LogFormat, LogQueue, LogThread, Metrics, RemoteStat, init_logging,
};
use crate::admin::{self, Admin};
use crate::drain::{self, Lifecycle};
use crate::endpoint::{self, Registry};
use crate::listener::tls::Identity;
use crate::settings::Settings;
use crate::source::{Report, Source, Subscription};
use crate::state::{Lasting, Ready};
use crate::upstream::StatsBoard;
use crate::worker;
use crate::worker::own::Shared;
use crate::{cache, listener};

/// Runs to the end of the process. The code says whether every call ended by itself.
#[must_use]
pub fn run(settings: Settings) -> ExitCode {
    let (queue, writer) = LogQueue::new();
    init_logging(&settings.log, LogFormat::Json, queue.clone());
    let log = writer.start(queue.clone());
    let ended = serve(settings, queue);
    let code = match ended {
        Ok(true) => {
            tracing::info!("stopped");
            ExitCode::SUCCESS
        }
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            tracing::error!(error = format!("{error:#}"), "can not run");
            ExitCode::FAILURE
        }
    };
    log.into_iter().for_each(LogThread::finish);
    code
}

fn serve(settings: Settings, queue: LogQueue) -> anyhow::Result<bool> {
    // Fails only when a test has installed it before: then it is there.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let count = settings.worker_count();
    let sockets =
        listener::bind(settings.listen, count).with_context(|| format!("can not listen on {}", settings.listen))?;
    let address = sockets.first().context("no worker")?.local_addr()?;
    let admin_socket = std::net::TcpListener::bind(settings.admin_listen)
        .with_context(|| format!("can not listen on {} (admin)", settings.admin_listen))?;
    admin_socket.set_nonblocking(true)?;
    let identity = match (&settings.tls_cert, &settings.tls_key) {
        (Some(cert), Some(key)) => Some(Identity::read(cert, key)?),
        _ => None,
    };
    let metrics = Metrics::new(queue);
    let lasting =
        Lasting { registry: Arc::new(Registry::default()), cache: cache::Shared::new(), metrics: Arc::clone(&metrics) };
    let (source, subscription) = Source::open(settings.manifests.clone(), Arc::clone(&metrics));
    let first = current(&subscription, &lasting);
    let shared = Arc::new(Shared {
        ready: Arc::new(ArcSwap::from_pointee(first)),
        cache: Arc::clone(&lasting.cache),
        board: Arc::new(StatsBoard::default()),
        lifecycle: Lifecycle::new(count),
        open: Arc::default(),
        tls: identity.as_ref().map(Identity::acceptor).transpose()?,
        metrics,
        settings,
    });
    tell_metrics(&shared, &lasting);
    for (number, socket) in sockets.into_iter().enumerate() {
        worker::start(number, socket, Arc::clone(&shared))?;
    }
    let control = Control { shared, lasting, source, subscription, identity };
    let runtime = Builder::new_current_thread().enable_all().build_local(LocalOptions::default())?;
    runtime.block_on(control.run(address, admin_socket))
}

fn current(subscription: &Subscription, lasting: &Lasting) -> Ready {
    match subscription.configuration.borrow().as_ref() {
        Some(found) => Ready::build(&found.snapshot, &found.credentials, lasting),
        None => Ready::empty(lasting),
    }
}

/// Everything that is not a call, on one thread of its own.
struct Control {
    shared: Arc<Shared>,
    lasting: Lasting,
    source: Source,
    subscription: Subscription,
    identity: Option<Identity>,
}

impl Control {
    async fn run(self, address: SocketAddr, admin_socket: std::net::TcpListener) -> anyhow::Result<bool> {
        let Self { shared, lasting, source, subscription, identity } = self;
        let draining = watch::Sender::new(false);
        // What was read before the workers began is what they began with.
        let (told, report) = watch::channel(Arc::clone(&subscription.report.borrow()));
        let admin = Admin {
            metrics: Arc::clone(&shared.metrics),
            report,
            serving: Arc::new(AtomicBool::new(true)),
            draining: draining.subscribe(),
        };
        let admin_address = admin_socket.local_addr()?;
        let admin_socket = tokio::net::TcpListener::from_std(admin_socket)?;
        tokio::task::spawn_local(async move {
            if let Err(error) = admin::serve(admin_socket, admin::router(admin)).await {
                tracing::error!(%error, "the admin address is gone");
            }
        });
        tokio::task::spawn_local(source.run());
        tokio::task::spawn_local(follow(subscription, lasting, Arc::clone(&shared.ready), told));
        if let Some(identity) = identity {
            tokio::task::spawn_local(async move { identity.watch().await });
        }
        tracing::info!(listen = %address, admin = %admin_address, "listening");
        let unready = || {
            draining.send_replace(true);
        };
        drain::until_drained(&shared.lifecycle, &shared.settings.stopping, unready).await
    }
}

/// Makes each new configuration ready and gives it to the workers; calls in flight keep the one they began under. What
/// the source reports is told after that: who reads of a revision is served by it.
async fn follow(
    mut subscription: Subscription,
    lasting: Lasting,
    ready: Arc<ArcSwap<Ready>>,
    told: watch::Sender<Arc<Report>>,
) {
    // The source publishes a report after each configuration.
    while subscription.report.changed().await.is_ok() {
        let report = Arc::clone(&subscription.report.borrow_and_update());
        if subscription.configuration.has_changed().unwrap_or_default() {
            subscription.configuration.mark_unchanged();
            ready.store(Arc::new(current(&subscription, &lasting)));
        }
        told.send_replace(report);
    }
}

fn tell_metrics(shared: &Shared, lasting: &Lasting) {
    let (registry, board) = (Arc::clone(&lasting.registry), Arc::clone(&shared.board));
    shared.metrics.ask_endpoints(move || endpoints(&registry, &board));
    let cache = Arc::clone(&lasting.cache);
    let has_redis = !shared.settings.redis.is_empty();
    shared.metrics.ask_caches(move || caches(&cache, has_redis));
}

fn endpoints(registry: &Registry, board: &StatsBoard) -> Vec<EndpointStat> {
    let rows = board.read();
    let totals: HashMap<_, _> =
        rows.iter().map(|(pool, provider, totals)| ((pool.as_str(), provider.as_str()), totals)).collect();
    let now = Instant::now();
    let stat = |(key, endpoint): (endpoint::EndpointKey, Arc<endpoint::Endpoint>)| {
        let found = totals.get(&(key.pool.0.as_str(), key.provider.as_str()));
        EndpointStat {
            circuit: match endpoint.circuit(now) {
                endpoint::CircuitState::Closed => CircuitState::Closed,
                endpoint::CircuitState::HalfOpen => CircuitState::HalfOpen,
                endpoint::CircuitState::Open => CircuitState::Open,
            },
            circuit_opened: endpoint.circuit_opened(),
            in_flight: endpoint.in_flight().into(),
            connections: found.map(|totals| (totals.open - totals.idle.min(totals.open), totals.idle, totals.created)),
            pool: key.pool.0.into(),
            provider: key.provider.into(),
            endpoint: key.address.into(),
        }
    };
    registry.endpoints().into_iter().map(stat).collect()
}

fn caches(cache: &cache::Shared, has_redis: bool) -> Vec<CacheStat> {
    let (entries, bytes) = cache.filled();
    let stats = cache.stats();
    let memory = CacheStat {
        layer: "memory",
        entries: Some(entries),
        bytes: Some(bytes),
        evictions: stats.evictions.get(),
        stores: stats.memory_stores.get(),
        refused: stats.refused().collect(),
        ..CacheStat::default()
    };
    let redis = has_redis.then(|| CacheStat {
        layer: "redis",
        errors: stats.redis_errors.get() + stats.redis_timeouts.get(),
        stores: stats.redis_stores.get(),
        remote: Some(RemoteStat {
            skipped: stats.redis_skipped.get(),
            dropped: stats.redis_dropped.get(),
            open: stats.redis_open.get(),
            promotions: stats.promotions.get(),
            corrupt: stats.corrupt.get(),
        }),
        ..CacheStat::default()
    });
    std::iter::once(memory).chain(redis).collect()
}

#[cfg(test)]
mod tests {
    use sluicegate_config::compile::{Inputs, compile, manifests};

    use super::*;
    use crate::source::Configuration;

    #[tokio::test(flavor = "local")]
    async fn a_revision_is_told_of_when_calls_are_served_by_it() {
        let metrics = Metrics::new(LogQueue::new().0);
        let lasting = Lasting { registry: Arc::default(), cache: cache::Shared::new(), metrics: Arc::clone(&metrics) };
        let (configurations, configuration) = watch::channel(None);
        let (reports, report) = watch::channel(Arc::<Report>::default());
        let ready = Arc::new(ArcSwap::from_pointee(Ready::empty(&lasting)));
        let (told, mut tells) = watch::channel(Arc::<Report>::default());
        tokio::task::spawn_local(follow(Subscription { configuration, report }, lasting, Arc::clone(&ready), told));
        let text = "apiVersion: sluicegate.dev/v1alpha1\nkind: ProviderPool\nmetadata: {name: p}\nspec: {providers: [{name: a, type: Simulated}]}\n---\n\
            apiVersion: sluicegate.dev/v1alpha1\nkind: LLMRoute\nmetadata: {name: r}\nspec: {rules: [{name: all, targets: [{poolRef: {name: p}}]}]}\n";
        let inputs: Inputs<'_> = manifests::read(&[("all.yaml".to_owned(), text.to_owned())]).0;
        let compiled = compile(&inputs);
        let configuration = Configuration {
            revision: "new".to_owned(),
            snapshot: compiled.snapshot,
            credentials: compiled.credentials,
        };
        assert!(ready.load().find("m", &http::HeaderMap::new()).is_none());
        configurations.send_replace(Some(Arc::new(configuration)));
        reports.send_replace(Arc::new(Report { revision: Some("new".to_owned()), ..Report::default() }));
        assert_eq!(tells.borrow().revision, None, "nobody serves it yet");
        tells.changed().await.unwrap();
        assert_eq!(tells.borrow().revision.as_deref(), Some("new"));
        assert!(ready.load().find("m", &http::HeaderMap::new()).is_some());
    }
}
