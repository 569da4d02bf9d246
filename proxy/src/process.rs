//! The process from its first to its last line: what is shared is made, workers and the control thread are started, and
//! seen out.

use std::collections::{HashMap, HashSet};
use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Instant;

use anyhow::Context as _;
use arc_swap::ArcSwap;
use tokio::runtime::{self, LocalOptions};
use tokio::sync::watch;

use crate::account::{
    CacheStat, CircuitState, EndpointStat, LogFormat, LogQueue, LogThread, Metrics, RemoteStat, init_logging,
};
use crate::admin::{self, Admin};
use crate::drain::{self, Lifecycle};
use crate::endpoint::{self, Registry};
use crate::follow::{self, Workers};
use crate::listener::tls::Identity;
use crate::settings::Settings;
use crate::source::{Cluster, Gateway, Source, Subscription};
use crate::state::{Builder, Lasting};
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
    // What a folder says is served from the first call on; what a cluster says comes over the network.
    let folder = settings.manifests.clone().map(|folder| Source::open(folder, Arc::clone(&metrics)));
    let mut builder = Builder::new(lasting.clone());
    let first = match &folder {
        Some((_, subscription)) => follow::current(subscription, &mut builder),
        None => builder.ready(),
    };
    let shared = Arc::new(Shared {
        ready: Arc::new(ArcSwap::from(first)),
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
    let control = Control { shared, builder, folder, identity };
    let runtime = runtime::Builder::new_current_thread().enable_all().build_local(LocalOptions::default())?;
    runtime.block_on(control.run(address, admin_socket))
}

/// Everything that is not a call, on one thread of its own.
struct Control {
    shared: Arc<Shared>,
    builder: Builder,
    folder: Option<(Source, Subscription)>,
    identity: Option<Identity>,
}

impl Control {
    async fn run(self, address: SocketAddr, admin_socket: std::net::TcpListener) -> anyhow::Result<bool> {
        let Self { shared, builder, folder, identity } = self;
        let draining = watch::Sender::new(false);
        // What was read before the workers began is what they began with.
        let (told, report) = watch::channel(match &folder {
            Some((_, subscription)) => Arc::clone(&subscription.report.borrow()),
            None => Arc::default(),
        });
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
        let workers = Workers { ready: Arc::clone(&shared.ready), told };
        match folder {
            Some((source, subscription)) => {
                tokio::task::spawn_local(source.run());
                tokio::task::spawn_local(follow::folder(subscription, builder, workers));
            }
            None => {
                let gateway = watch_gateway(&shared).await?;
                tokio::task::spawn_local(follow::gateway(gateway, builder, workers));
            }
        }
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

async fn watch_gateway(shared: &Shared) -> anyhow::Result<Gateway> {
    let Settings { gateway, namespace, .. } = &shared.settings;
    let gateway = gateway.as_deref().context("neither --manifests nor --gateway")?;
    let cluster = Cluster::infer(gateway, namespace.as_deref())
        .await
        .context("no cluster to watch: this is no pod with a service account, and there is no kubeconfig")?;
    tracing::info!(?cluster, "watching");
    Gateway::follow(&cluster, Arc::clone(&shared.metrics)).context("no client for the API server")
}

fn tell_metrics(shared: &Shared, lasting: &Lasting) {
    let (registry, board) = (Arc::clone(&lasting.registry), Arc::clone(&shared.board));
    shared.metrics.ask_endpoints(move || endpoints(&registry, &board));
    let cache = Arc::clone(&lasting.cache);
    let has_redis = !shared.settings.redis.is_empty();
    shared.metrics.ask_caches(move || caches(&cache, has_redis));
}

fn endpoints(registry: &Registry, board: &StatsBoard) -> Vec<EndpointStat> {
    let known = registry.endpoints();
    let label = |key: &endpoint::EndpointKey| (key.pool.0.clone(), key.provider.clone(), key.address.clone());
    let keys: HashSet<_> = known.iter().map(|(key, _)| label(key)).collect();
    // Pods come and go: what nobody knows any more is not counted for ever.
    board.retain(|pool, provider, address| keys.contains(&(pool.to_owned(), provider.to_owned(), address.to_owned())));
    let rows = board.read().into_iter();
    let totals: HashMap<_, _> = rows.map(|row| ((row.pool, row.provider, row.address), row.totals)).collect();
    let now = Instant::now();
    let stat = |(key, endpoint): (endpoint::EndpointKey, Arc<endpoint::Endpoint>)| {
        let found = totals.get(&label(&key));
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
    known.into_iter().map(stat).collect()
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
