//! The process from its first to its last line: settings are checked, what is shared is made, workers and the control
//! thread are started, and seen out.

mod descriptors;
mod prepare;

use std::collections::{HashMap, HashSet};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Instant;

use anyhow::Context as _;
use arc_swap::ArcSwap;
use sluicegate_config::ObjectId;
use tokio::runtime::{self, LocalOptions};
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::account::{
    CacheStat, CircuitStat, EndpointStat, FlightStat, KeyStat, LearningStat, LimitStat, LogFormat, LogQueue, LogThread,
    MemoryStat, Metrics, PoolStat, RemoteStat, init_logging,
};
use crate::admin::{self, Admin};
use crate::coalescing::Flights;
use crate::discovery::DiscoveryKeeper;
use crate::drain::{self, Lifecycle, Signals};
use crate::endpoint::{self, Registry};
use crate::follow::{self, Workers};
use crate::identity::environment::CloudEnvironment;
use crate::identity::keeper::Tokens;
use crate::jwt::JwksKeeper;
use crate::kept_responses::SharedConversations;
use crate::listener::tls::ServerIdentity;
use crate::memory::{self, MemoryBudget};
use crate::sealing::KeyFile;
use crate::settings::{DefaultAccess, Settings};
use crate::source::Report;
use crate::state::{Builder, Lasting};
use crate::upstream::{Outward, StatsBoard};
use crate::worker;
use crate::worker::own::ProcessShared;
use crate::{cache, learning, limit, listener};

use prepare::{Feed, Prepared};

/// Runs to the end of the process. The code says whether every call ended by itself.
#[must_use]
pub fn run(settings: Settings) -> ExitCode {
    let (queue, writer) = LogQueue::new();
    init_logging(&settings.log, LogFormat::Json, queue.clone());
    let log = writer.start(queue.clone());
    let runtime = runtime::Builder::new_current_thread().enable_all().build_local(LocalOptions::default());
    let ended = match runtime {
        Ok(runtime) => runtime.block_on(serve(settings, queue)),
        Err(error) => Err(error.into()),
    };
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

/// Serves to the end. A mistake in the settings is found before anything is bound: a proxy that listens can serve.
async fn serve(mut settings: Settings, queue: LogQueue) -> anyhow::Result<bool> {
    // First of all: a signal that nobody listens to ends the process.
    let signals = Signals::new()?;
    let descriptors = descriptors::raise(&mut settings)?;
    let metrics = Metrics::new(queue);
    let Prepared { identity, tls, response_keys, outward, feed } = prepare::prepare(&settings, &metrics).await?;
    let count = settings.worker_count();
    let (addresses, ports) = listener::bind_all(&settings, tls.as_ref(), count)?;
    let admin_socket = std::net::TcpListener::bind(settings.admin_listen)
        .with_context(|| format!("can not listen on {} (admin)", settings.admin_listen))?;
    admin_socket.set_nonblocking(true)?;
    let admin_address = admin_socket.local_addr()?;
    let (registry, cache) = (Arc::new(Registry::default()), cache::SharedCache::new());
    let limits = Arc::new(limit::SharedLimits::new(settings.gateway.as_deref().unwrap_or_default()));
    if !settings.redis.is_empty() {
        limits.gates.share();
    }
    let lasting = Lasting {
        registry,
        cache,
        limits,
        metrics: Arc::clone(&metrics),
        outward,
        tokens: Arc::new(Tokens::new(CloudEnvironment::read())),
        jwks: Arc::default(),
        discovery: Arc::default(),
        known_only: settings.access == DefaultAccess::Known,
        region: settings.region.as_deref().filter(|region| !region.is_empty()).map(Into::into),
    };
    // What a folder says is served from the first call on; what a cluster says comes over the network.
    let mut builder = Builder::new(lasting.clone());
    let first = match &feed {
        Feed::Folder(_, subscription) => follow::current(subscription, &mut builder),
        Feed::Cluster(_) => builder.ready(),
    };
    let shared = Arc::new(ProcessShared {
        ready: Arc::new(ArcSwap::from(first)),
        cache: Arc::clone(&lasting.cache),
        response_keys,
        conversations: settings.keep_responses.map(|ttl| SharedConversations::new(ttl, settings.keep_responses_size)),
        owned: Arc::default(),
        flights: Arc::default(),
        limits: Arc::clone(&lasting.limits),
        learning: Arc::new(learning::Learning::new(settings.gateway.as_deref().unwrap_or_default(), &lasting.registry)),
        memory: memory_budget(&mut settings),
        board: Arc::new(StatsBoard::bounded(descriptors.providers)),
        lifecycle: Lifecycle::new(count),
        open: Arc::default(),
        shortages: AtomicU64::new(0),
        metrics,
        settings,
    });
    tell_metrics(&shared, &lasting);
    for (number, ports) in ports.into_iter().enumerate() {
        worker::start(number, ports, Arc::clone(&shared))?;
    }
    let tls_listen = addresses.tls_listen.map(tracing::field::display);
    tracing::info!(listen = %addresses.listen, tls_listen, admin = %admin_address, descriptors = descriptors.limit, "listening");
    let Lasting { tokens, jwks, discovery, registry, outward, .. } = lasting;
    let tokens = (tokens, outward);
    Control { shared, builder, feed, identity, tokens, registry, jwks, discovery, signals }.run(admin_socket).await
}

/// Everything that is not a call, on one thread of its own.
struct Control {
    shared: Arc<ProcessShared>,
    builder: Builder,
    feed: Feed,
    identity: Option<ServerIdentity>,
    /// Those that are kept, and the way to where they are had.
    tokens: (Arc<Tokens>, Outward),
    /// Told of at the admin address.
    registry: Arc<Registry>,
    /// The keys of callers' issuers.
    jwks: Arc<JwksKeeper>,
    /// Providers' own lists of models.
    discovery: Arc<DiscoveryKeeper>,
    signals: Signals,
}

impl Control {
    async fn run(self, admin_socket: std::net::TcpListener) -> anyhow::Result<bool> {
        let Self { shared, builder, feed, identity, tokens: (tokens, outward), registry, jwks, discovery, signals } =
            self;
        let draining = watch::Sender::new(false);
        // What was read before the workers began is what they began with.
        let (told, report) = watch::channel(match &feed {
            Feed::Folder(_, subscription) => Arc::clone(&subscription.report.borrow()),
            Feed::Cluster(_) => Arc::default(),
        });
        let admin = admin_of(&shared, report, draining.subscribe(), (&tokens, registry));
        let admin_socket = tokio::net::TcpListener::from_std(admin_socket)?;
        // Each of them runs for as long as the process; its output is its name.
        let mut parts = JoinSet::new();
        parts.spawn_local(async move {
            drop(admin::serve(admin_socket, admin::router(admin)).await);
            "the admin address"
        });
        parts.spawn_local(async move {
            tokio::join!(jwks.run(outward.clone()), tokens.run(outward), discovery.run());
            "the keepers of tokens, of issuers' keys and of lists of models"
        });
        let workers = Workers { ready: Arc::clone(&shared.ready), told };
        match feed {
            Feed::Folder(source, subscription) => {
                parts.spawn_local(async move {
                    source.run().await;
                    "the folder's reader"
                });
                parts.spawn_local(async move {
                    follow::folder(subscription, builder, workers).await;
                    "what follows the folder"
                });
            }
            Feed::Cluster(gateway) => {
                parts.spawn_local(async move {
                    follow::gateway(*gateway, builder, workers).await;
                    "what follows the gateway"
                });
            }
        }
        watch_files(&mut parts, &shared.metrics, identity, shared.response_keys.clone());
        let lost = async {
            tokio::select! {
                () = shared.lifecycle.worker_ended() => "a worker",
                Some(ended) = parts.join_next() => ended.unwrap_or("a part of the control thread"),
            }
        };
        let unready = || {
            draining.send_replace(true);
        };
        let stopping = (&shared.settings.stopping, || shared.limits.gates.waiting());
        Ok(drain::until_drained(&shared.lifecycle, stopping, signals, lost, unready).await)
    }
}

/// Keeps fresh what is read of files besides the configuration.
fn watch_files(
    parts: &mut JoinSet<&'static str>,
    metrics: &Metrics,
    identity: Option<ServerIdentity>,
    keys: Option<Arc<KeyFile>>,
) {
    if let Some(identity) = identity {
        let told = identity.clone();
        metrics.ask_files(move || vec![told.stat()]);
        parts.spawn_local(async move {
            identity.watch().await;
            "the certificate's reader"
        });
    }
    if let Some(keys) = keys {
        let told = Arc::clone(&keys);
        metrics.ask_files(move || vec![told.stat()]);
        parts.spawn_local(async move {
            keys.watch().await;
            "the reader of response keys"
        });
    }
}

/// The things that the admin pages tell of.
fn admin_of(
    shared: &ProcessShared,
    report: watch::Receiver<Arc<Report>>,
    draining: watch::Receiver<bool>,
    (tokens, registry): (&Arc<Tokens>, Arc<Registry>),
) -> Admin {
    Admin {
        metrics: Arc::clone(&shared.metrics),
        report,
        staff: shared.lifecycle.staff(),
        draining,
        tokens: Arc::clone(tokens),
        registry,
        limits: Arc::clone(&shared.limits),
    }
}

/// The memory that calls may hold in sum. A body that is larger by itself is too large, and is not to be sent again; and
/// connections without a call are to take no more than what is left beside it.
fn memory_budget(settings: &mut Settings) -> Arc<MemoryBudget> {
    let (limits, count) = (&settings.limits, settings.worker_count());
    let size = limits.memory_budget.unwrap_or_else(memory::default_budget);
    let budget = MemoryBudget::new(size, count);
    let body_limit = limits.body_limit.min(budget.largest_body());
    let max_connections = limits.max_connections.min(budget.most_connections());
    if (body_limit, max_connections) != (limits.body_limit, limits.max_connections) {
        tracing::warn!(
            budget = size,
            body_limit,
            max_connections,
            "little memory: less is taken than the settings allow"
        );
        (settings.limits.body_limit, settings.limits.max_connections) = (body_limit, max_connections);
    }
    budget
}

fn tell_metrics(shared: &ProcessShared, lasting: &Lasting) {
    let (registry, board) = (Arc::clone(&lasting.registry), Arc::clone(&shared.board));
    shared.metrics.ask_endpoints(move || endpoints(&registry, &board));
    let registry = Arc::clone(&lasting.registry);
    shared.metrics.ask_pools(move || pools(&registry));
    let registry = Arc::clone(&lasting.registry);
    shared.metrics.ask_provider_keys(move || provider_keys(&registry));
    let cache = Arc::clone(&lasting.cache);
    let has_redis = !shared.settings.redis.is_empty();
    let memory = Arc::clone(&shared.memory);
    shared.metrics.ask_memory(move || {
        let bytes = |bytes: usize| u64::try_from(bytes).unwrap_or(u64::MAX);
        let (size, used) = (bytes(memory.size()), bytes(memory.used()));
        vec![MemoryStat { size, used, refusals: memory.refusals().collect() }]
    });
    let flights = Arc::clone(&shared.flights);
    shared.metrics.ask_flights(move || {
        let Flights { led, joined, alone, .. } = &*flights;
        let calls = vec![("led", led.get()), ("joined", joined.get()), ("alone", alone.get())];
        let remote = &flights.remote;
        let [led, followed] = [("led", remote.led.get()), ("followed", remote.followed.get())];
        let leases = vec![led, followed, ("taken_over", remote.taken_over.get()), ("alone", remote.alone.get())];
        let [claims, publishes] = [("claim", remote.claims.get()), ("publish", remote.publishes.get())];
        let operations = vec![claims, publishes, ("poll", remote.polls.get())];
        vec![FlightStat { calls, leases, operations, under_way: flights.under_way() }]
    });
    if let Some(kept) = &shared.conversations {
        let kept = Arc::clone(kept);
        shared.metrics.ask_kept_responses(move || kept.counts.all().to_vec());
    }
    let limits = Arc::clone(&lasting.limits);
    shared.metrics.ask_limits(move || {
        let (unanswered, lost) = limits.troubles();
        let budgets = &limits.budgets;
        let alerts = budgets.alerts().into_iter().map(|(of, percent, count)| (of, percent.to_string(), count));
        vec![LimitStat {
            checks: limits.checks().collect(),
            provider_checks: limits.provider_checks().collect(),
            unanswered,
            lost,
            proxies: limits.proxies(),
            leases_unanswered: limits.gates.unanswered(),
            concurrency: limits.gates.stats().collect(),
            budget_checks: budgets.checks().collect(),
            budget_troubles: budgets.troubles(),
            budget_alerts: alerts.collect(),
        }]
    });
    let learning = Arc::clone(&shared.learning);
    shared.metrics.ask_learning(move || {
        let learning::Learning { told, untold, heard, unreadable, .. } = &*learning;
        let news = vec![("told", told.get()), ("heard", heard.get()), ("untold", untold.get() + learning.dropped())];
        vec![LearningStat { news, unreadable: unreadable.get() }]
    });
    let tokens = Arc::clone(&lasting.tokens);
    shared.metrics.ask_tokens(move || vec![tokens.stat()]);
    let discovery = Arc::clone(&lasting.discovery);
    shared.metrics.ask_discovery(move || discovery.stats());
    let jwks = Arc::clone(&lasting.jwks);
    shared.metrics.ask_jwks(move || vec![jwks.stat()]);
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
        let load = endpoint.server_load(now);
        EndpointStat {
            circuit: match endpoint.circuit(now) {
                endpoint::CircuitState::Closed => CircuitStat::Closed,
                endpoint::CircuitState::HalfOpen => CircuitStat::HalfOpen,
                endpoint::CircuitState::Open => CircuitStat::Open,
            },
            circuit_opened: endpoint.circuit_opened(),
            nearly_used_up: endpoint.times_nearly_used_up(),
            own_limit: endpoint.own_limit(),
            in_flight: endpoint.in_flight().into(),
            server_requests: load.map(|load| [load.running.into(), load.waiting.into()]),
            server_cache: load.and_then(|load| load.cache_milli).map(|used| f64::from(used) / 1_000.0),
            latency: endpoint.latency_estimates().map(|time| time.map(|time| time.as_secs_f64())),
            connections: found.map(|totals| (totals.open - totals.idle.min(totals.open), totals.idle, totals.created)),
            pool: key.pool.0.into(),
            provider: key.provider.into(),
            endpoint: key.address.into(),
        }
    };
    known.into_iter().map(stat).collect()
}

fn pools(registry: &Registry) -> Vec<PoolStat> {
    let stat = |(id, pool): (ObjectId, Arc<endpoint::LivePool>)| PoolStat {
        pool: id.0.into(),
        affinity: vec![("kept", pool.kept.load(Relaxed)), ("moved", pool.moved.load(Relaxed))],
        hedges: vec![("sent", pool.hedged.load(Relaxed)), ("won", pool.hedges_won.load(Relaxed))],
        mirrors: pool.mirrors.counts().to_vec(),
    };
    registry.pools().into_iter().map(stat).collect()
}

fn provider_keys(registry: &Registry) -> Vec<KeyStat> {
    let now = Instant::now();
    let stat = |(id, key): (endpoint::LiveKeyId, Arc<endpoint::LiveKey>)| KeyStat {
        pool: id.pool.0.into(),
        provider: id.provider.into(),
        key: id.key.into(),
        state: match key.standing(now) {
            _ if key.is_refused() => 2,
            endpoint::KeyStanding::Usable => 0,
            endpoint::KeyStanding::CoolingDown(_) | endpoint::KeyStanding::Refused(_) => 1,
        },
        in_flight: Some(key.in_flight().into()),
        attempts: key.counts().into(),
    };
    let lone = |((pool, provider), is_refused): ((ObjectId, String), bool)| KeyStat {
        pool: pool.0.into(),
        provider: provider.into(),
        key: "".into(),
        state: if is_refused { 2 } else { 0 },
        in_flight: None,
        attempts: Vec::new(),
    };
    registry.keys().into_iter().map(stat).chain(registry.lone_keys().into_iter().map(lone)).collect()
}

fn caches(cache: &cache::SharedCache, has_redis: bool) -> Vec<CacheStat> {
    let (entries, bytes) = cache.filled();
    let (stats, remote) = (cache.stats(), cache.redis());
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
        errors: remote.errors.get() + remote.timeouts.get(),
        stores: stats.redis_stores.get(),
        remote: Some(RemoteStat {
            skipped: remote.skipped.get(),
            dropped: remote.dropped.get(),
            open: remote.open.get(),
            promotions: stats.promotions.get(),
            corrupt: stats.corrupt.get(),
        }),
        says_no: remote.refusals().collect(),
        ..CacheStat::default()
    });
    std::iter::once(memory).chain(redis).collect()
}
