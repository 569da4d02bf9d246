//! The part of the metrics that all workers share: the cells, and the sources that are asked at a scrape.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use sluicegate_config::ObjectId;

use crate::concurrency::ConcurrencyStat;

use super::access_log::LogQueue;
use super::cells::{AttemptCells, CallCells, CallKey};
use super::consumer::ConsumerBook;
use super::endpoint_stats::{EndpointStat, PoolStat};
use super::file_stat::FileStat;
use super::histogram::Counter;
use super::inflight::Inflight;
use super::outcome::Operation;
use super::table::{NONE, NameTable, OTHER, ProviderIx, ProviderNames};

/// The most label sets of calls that are told apart; beyond it names become `other`.
const MOST_SERIES: usize = 50_000;
/// Label sets of a route or pool that is gone stay this long, so that a last scrape sees them.
const KEPT: Duration = Duration::from_secs(600);

/// So many objects that are gone are remembered before it is looked whether some can be forgotten.
const MOST_GONE: usize = 10_000;

/// One worker's own counters.
#[derive(Debug, Default)]
pub(super) struct WorkerCells {
    pub(super) number: usize,
    pub(super) inflight: Inflight,
    pub(super) client_retries: Counter,
    /// Facts of calls that could not be written down.
    pub(super) lost_notes: Counter,
    /// Usages that nobody can have had.
    pub(super) disbelieved: Counter,
}

/// The names of one label set of calls, shared with the table that they are from.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct CallLabels {
    pub(super) route: Arc<str>,
    pub(super) pool: Arc<str>,
    pub(super) provider: Arc<str>,
    pub(super) vendor: &'static str,
    pub(super) asked: Arc<str>,
    pub(super) answered: Arc<str>,
    pub(super) operation: Operation,
}

/// The cells of one label set, one per worker that used it.
#[derive(Debug)]
struct Series<C> {
    cells: Vec<(usize, Arc<C>)>,
}

impl<C> Default for Series<C> {
    fn default() -> Self {
        Self { cells: Vec::new() }
    }
}

impl<C> Series<C> {
    fn of_worker(&mut self, worker: usize, make: impl FnOnce() -> C) -> Arc<C> {
        if let Some((_, cells)) = self.cells.iter().find(|(number, _)| *number == worker) {
            return Arc::clone(cells);
        }
        let cells = Arc::new(make());
        // There are as many of these as label sets, and few workers.
        self.cells.reserve_exact(1);
        self.cells.push((worker, Arc::clone(&cells)));
        cells
    }
}

/// The labels of attempts: pool and provider.
pub(super) type AttemptLabels = (Arc<str>, Arc<str>);

#[derive(Debug, Default)]
struct Book {
    calls: HashMap<Arc<CallLabels>, Series<CallCells>>,
    attempts: HashMap<AttemptLabels, Series<AttemptCells>>,
    workers: Vec<Arc<WorkerCells>>,
    config: ConfigState,
    /// Routes and pools that are gone, and since when.
    gone_routes: HashMap<Box<str>, Instant>,
    gone_pools: HashMap<Box<str>, Instant>,
}

/// The facts known of the configuration.
#[derive(Debug, Clone, Default)]
pub(super) struct ConfigState {
    pub(super) revision: Box<str>,
    pub(super) generation: u64,
    pub(super) applied: Option<SystemTime>,
    pub(super) rejected: u64,
    pub(super) rejections: u64,
}

/// A word about the configuration, for the metrics.
#[derive(Debug, Clone, Copy)]
pub enum ConfigEvent<'a> {
    /// This revision runs now.
    Applied {
        /// Its name.
        revision: &'a str,
    },
    /// A configuration was read, and this many objects are not applied as written (0: all are).
    Read {
        /// The number of them.
        rejected: usize,
    },
}

/// The facts told at a scrape of a provider's own list of models.
#[derive(Debug, Clone)]
pub struct DiscoveryStat {
    /// The pool's id.
    pub pool: Arc<str>,
    /// The provider's name in it.
    pub provider: Arc<str>,
    /// The number of its models, and the seconds since it was had; `None`: it was not had yet.
    pub list: Option<(u64, f64)>,
    /// Questions for it, by these words.
    pub questions: [(&'static str, u64); 2],
}

/// The facts told at a scrape of a provider's key.
#[derive(Debug, Clone)]
pub struct KeyStat {
    /// The pool's id.
    pub pool: Arc<str>,
    /// The provider's name in it.
    pub provider: Arc<str>,
    /// The key's name; empty where it is the provider's only one.
    pub key: Arc<str>,
    /// 0: it is used; 1: it is limited, and rests; 2: it was refused, and no call has got an answer with it since.
    pub state: u64,
    /// Attempts in flight, of one of several.
    pub in_flight: Option<u64>,
    /// Attempts by these words, of one of several.
    pub attempts: Vec<(&'static str, u64)>,
}

/// The facts told of a cache layer at a scrape.
#[derive(Debug, Clone, Default)]
pub struct CacheStat {
    /// `memory` or `redis`.
    pub layer: &'static str,
    /// Answers held; `None`: not known here.
    pub entries: Option<u64>,
    /// Bytes held; `None`: not known here.
    pub bytes: Option<u64>,
    /// Answers let go to make room.
    pub evictions: u64,
    /// Operations that failed or took too long.
    pub errors: u64,
    /// Answers handed to it.
    pub stores: u64,
    /// The facts that only a layer behind a network has.
    pub remote: Option<RemoteStat>,
    /// Answers not kept in any layer, by reason; told by one layer for all.
    pub refused: Vec<(&'static str, u64)>,
    /// Times that what is behind a network said no, by reason.
    pub says_no: Vec<(&'static str, u64)>,
}

/// The facts told of a cache layer behind a network.
#[derive(Debug, Clone, Copy, Default)]
pub struct RemoteStat {
    /// Look-ups that did not ask it.
    pub skipped: u64,
    /// Answers not written to it.
    pub dropped: u64,
    /// Nodes left alone now.
    pub open: u64,
    /// Answers copied from it into memory.
    pub promotions: u64,
    /// The number of values it gave that were not entries.
    pub corrupt: u64,
}

/// The facts told of the memory budget at a scrape.
#[derive(Debug, Clone, Default)]
pub struct MemoryStat {
    /// Bytes that calls may hold in sum.
    pub size: u64,
    /// Bytes that they hold.
    pub used: u64,
    /// The number of times that there was no room, by purpose.
    pub refusals: Vec<(&'static str, u64)>,
}

/// The facts told at a scrape of calls that share answers.
#[derive(Debug, Clone, Default)]
pub struct FlightStat {
    /// Calls that had one made, joined one, or went alone, by these words.
    pub calls: Vec<(&'static str, u64)>,
    /// Flights that proxies share, by the part that this one had.
    pub leases: Vec<(&'static str, u64)>,
    /// Questions to Redis for them.
    pub operations: Vec<(&'static str, u64)>,
    /// Answers under way that others may join.
    pub under_way: u64,
}

/// The facts told at a scrape of what proxies learn from one another.
#[derive(Debug, Clone, Default)]
pub struct LearningStat {
    /// News of endpoints, by what became of it.
    pub news: Vec<(&'static str, u64)>,
    /// Messages that could not be read.
    pub unreadable: u64,
}

/// The facts told of rate limits at a scrape.
#[derive(Debug, Clone, Default)]
pub struct LimitStat {
    /// Limits that were asked for room, by unit and outcome.
    pub checks: Vec<(&'static str, &'static str, u64)>,
    /// Those of attempts at providers.
    pub provider_checks: Vec<(&'static str, &'static str, u64)>,
    /// Those that Redis did not answer for.
    pub unanswered: u64,
    /// Uses that could not be told.
    pub lost: u64,
    /// Proxies that share them.
    pub proxies: u64,
    /// Questions on leases of them that Redis did not answer.
    pub leases_unanswered: u64,
    /// Calls under limits of concurrency.
    pub concurrency: Vec<ConcurrencyStat>,
    /// Budgets that were asked for room, by unit and outcome.
    pub budget_checks: Vec<(&'static str, &'static str, u64)>,
    /// Budgets that Redis did not answer for, reservations that nobody settled, settlements that are lost.
    pub budget_troubles: [u64; 3],
    /// Alerts of budgets, by budget and percentage.
    pub budget_alerts: Vec<(Arc<str>, String, u64)>,
}

/// The facts told of the tokens for providers' clouds at a scrape.
#[derive(Debug, Clone, Default)]
pub struct TokenStat {
    /// Requests for them, by cloud and outcome.
    pub fetches: Vec<(&'static str, &'static str, u64)>,
    /// Tokens that are kept, and those of them that are good, by cloud.
    pub kept: Vec<(&'static str, u64, u64)>,
}

/// The facts told of callers' tokens and of their issuers' keys at a scrape.
#[derive(Debug, Clone, Default)]
pub struct JwksStat {
    /// Tokens of known issuers, by what came of them.
    pub tokens: Vec<(&'static str, u64)>,
    /// Requests for keys, by outcome.
    pub fetches: Vec<(&'static str, u64)>,
    /// Issuers whose keys are kept.
    pub kept: u64,
    /// Those of them whose keys have been had.
    pub usable: u64,
}

/// Objects by their ids.
#[derive(Debug, Default)]
pub struct Objects {
    /// Routes.
    pub routes: Vec<Arc<ObjectId>>,
    /// Pools.
    pub pools: Vec<Arc<ObjectId>>,
}

type Ask<T> = Box<dyn Fn() -> Vec<T> + Send + Sync>;

/// The metrics of the process. One, shared; each worker writes through its own [`Ledger`](super::Ledger).
pub struct Metrics {
    book: Mutex<Book>,
    pub(super) endpoints: Mutex<Vec<Ask<EndpointStat>>>,
    pub(super) pools: Mutex<Vec<Ask<PoolStat>>>,
    pub(super) caches: Mutex<Vec<Ask<CacheStat>>>,
    pub(super) memory: Mutex<Vec<Ask<MemoryStat>>>,
    pub(super) flights: Mutex<Vec<Ask<FlightStat>>>,
    pub(super) learning: Mutex<Vec<Ask<LearningStat>>>,
    pub(super) kept_responses: Mutex<Vec<Ask<(&'static str, u64)>>>,
    pub(super) limits: Mutex<Vec<Ask<LimitStat>>>,
    pub(super) tokens: Mutex<Vec<Ask<TokenStat>>>,
    pub(super) provider_keys: Mutex<Vec<Ask<KeyStat>>>,
    pub(super) discovery: Mutex<Vec<Ask<DiscoveryStat>>>,
    pub(super) jwks: Mutex<Vec<Ask<JwksStat>>>,
    pub(super) files: Mutex<Vec<Ask<FileStat>>>,
    pub(super) consumers: ConsumerBook,
    /// The date of the price list, where there is one.
    pub(super) price_list: OnceLock<i64>,
    pub(super) folded: AtomicU64,
    pub(super) log: LogQueue,
    started: Instant,
    pub(super) started_wall: SystemTime,
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Metrics").finish_non_exhaustive()
    }
}

/// A lock whose holder died holds counters that are still right.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Metrics {
    /// Metrics of a process that starts now and logs to `log`.
    #[must_use]
    pub fn new(log: LogQueue) -> Arc<Self> {
        Arc::new(Self {
            book: Mutex::default(),
            endpoints: Mutex::default(),
            pools: Mutex::default(),
            caches: Mutex::default(),
            memory: Mutex::default(),
            flights: Mutex::default(),
            learning: Mutex::default(),
            kept_responses: Mutex::default(),
            limits: Mutex::default(),
            tokens: Mutex::default(),
            provider_keys: Mutex::default(),
            discovery: Mutex::default(),
            jwks: Mutex::default(),
            files: Mutex::default(),
            consumers: ConsumerBook::default(),
            price_list: OnceLock::new(),
            folded: AtomicU64::new(0),
            log,
            started: Instant::now(),
            started_wall: SystemTime::now(),
        })
    }

    /// Prices are from a list of this day, in seconds since 1970.
    pub fn price_list(&self, day: i64) {
        let _ = self.price_list.set(day);
    }

    /// The counters of one more worker.
    pub(super) fn enlist(&self) -> Arc<WorkerCells> {
        let mut book = lock(&self.book);
        let worker = Arc::new(WorkerCells { number: book.workers.len(), ..WorkerCells::default() });
        book.workers.push(Arc::clone(&worker));
        worker
    }

    /// The way into the log.
    pub(super) fn log(&self) -> &LogQueue {
        &self.log
    }

    /// A further configuration is about to run, in which these objects are new or changed, and those are gone. Series
    /// of what is gone go ten minutes later.
    pub fn configured(&self, here: &Objects, gone: &Objects) {
        let book = &mut *lock(&self.book);
        book.config.generation += 1;
        let now = Instant::now();
        for (all, here, gone) in
            [(&mut book.gone_routes, &here.routes, &gone.routes), (&mut book.gone_pools, &here.pools, &gone.pools)]
        {
            for id in here {
                all.remove(id.0.as_str());
            }
            all.extend(gone.iter().map(|id| (id.0.as_str().into(), now)));
        }
        if book.gone_routes.len() + book.gone_pools.len() > MOST_GONE {
            book.prune(now);
        }
    }

    /// Tells of the configuration.
    pub fn config(&self, event: ConfigEvent<'_>) {
        let config = &mut lock(&self.book).config;
        match event {
            ConfigEvent::Applied { revision } => {
                config.revision = revision.into();
                config.applied = Some(SystemTime::now());
            }
            ConfigEvent::Read { rejected } => {
                config.rejected = u64::try_from(rejected).unwrap_or(u64::MAX);
                config.rejections += u64::from(rejected > 0);
            }
        }
    }

    /// Whom to ask about endpoints at a scrape. Called on the control thread; must not block.
    pub fn ask_endpoints(&self, ask: impl Fn() -> Vec<EndpointStat> + Send + Sync + 'static) {
        lock(&self.endpoints).push(Box::new(ask));
    }

    /// Whom to ask about pools at a scrape. Called on the control thread; must not block.
    pub fn ask_pools(&self, ask: impl Fn() -> Vec<PoolStat> + Send + Sync + 'static) {
        lock(&self.pools).push(Box::new(ask));
    }

    /// Whom to ask about cache layers at a scrape. Called on the control thread; must not block.
    pub fn ask_caches(&self, ask: impl Fn() -> Vec<CacheStat> + Send + Sync + 'static) {
        lock(&self.caches).push(Box::new(ask));
    }

    /// Asked at each scrape how the memory budget stands.
    pub fn ask_memory(&self, ask: impl Fn() -> Vec<MemoryStat> + Send + Sync + 'static) {
        lock(&self.memory).push(Box::new(ask));
    }

    /// Asked at each scrape about the calls that share answers.
    pub fn ask_flights(&self, ask: impl Fn() -> Vec<FlightStat> + Send + Sync + 'static) {
        lock(&self.flights).push(Box::new(ask));
    }

    /// Asked at each scrape about what proxies learn from one another.
    pub fn ask_learning(&self, ask: impl Fn() -> Vec<LearningStat> + Send + Sync + 'static) {
        lock(&self.learning).push(Box::new(ask));
    }

    /// Asked at each scrape how rate limits stand.
    pub fn ask_limits(&self, ask: impl Fn() -> Vec<LimitStat> + Send + Sync + 'static) {
        lock(&self.limits).push(Box::new(ask));
    }

    /// Asked at each scrape how callers' tokens and their issuers' keys stand.
    pub fn ask_jwks(&self, ask: impl Fn() -> Vec<JwksStat> + Send + Sync + 'static) {
        lock(&self.jwks).push(Box::new(ask));
    }

    /// Asked at each scrape how providers' own lists of models stand.
    pub fn ask_discovery(&self, ask: impl Fn() -> Vec<DiscoveryStat> + Send + Sync + 'static) {
        lock(&self.discovery).push(Box::new(ask));
    }

    /// Asked at each scrape how the keys of providers stand that have several.
    pub fn ask_provider_keys(&self, ask: impl Fn() -> Vec<KeyStat> + Send + Sync + 'static) {
        lock(&self.provider_keys).push(Box::new(ask));
    }

    /// Asked at each scrape how the tokens for providers' clouds stand.
    pub fn ask_tokens(&self, ask: impl Fn() -> Vec<TokenStat> + Send + Sync + 'static) {
        lock(&self.tokens).push(Box::new(ask));
    }

    /// Calls in flight, all workers together.
    #[must_use]
    pub fn in_flight(&self) -> u64 {
        let workers = lock(&self.book).workers.clone();
        let now = self.micros(Instant::now());
        workers.iter().map(|worker| worker.inflight.read(now).0).sum()
    }

    /// Microseconds from the process's start to `at`.
    pub(super) fn micros(&self, at: Instant) -> u64 {
        u64::try_from(at.saturating_duration_since(self.started).as_micros()).unwrap_or(u64::MAX)
    }

    /// The cells of a label set for a worker. Takes a lock: a worker asks once per label set and configuration.
    pub(super) fn call_cells(&self, table: &NameTable, key: CallKey, worker: &WorkerCells) -> Arc<CallCells> {
        let provider = table.provider_names(key.provider);
        let mut labels = CallLabels {
            route: table.shared_route_name(key.route),
            pool: provider.map_or_else(|| NONE.into(), |names| Arc::clone(&names.pool)),
            provider: provider.map_or_else(|| NONE.into(), |names| Arc::clone(&names.name)),
            vendor: provider.map_or(NONE, |names: &ProviderNames| names.vendor),
            asked: table.shared_model_name(key.asked),
            answered: table.shared_model_name(key.answered),
            operation: key.operation,
        };
        let mut book = lock(&self.book);
        if book.calls.len() >= MOST_SERIES && !book.calls.contains_key(&labels) {
            self.folded.fetch_add(1, Relaxed);
            for name in [&mut labels.route, &mut labels.pool, &mut labels.provider] {
                *name = OTHER.into();
            }
            (labels.asked, labels.answered) = (OTHER.into(), OTHER.into());
        }
        book.calls.entry(Arc::new(labels)).or_default().of_worker(worker.number, CallCells::new)
    }

    /// As [`Self::call_cells`], for attempts.
    pub(super) fn attempt_cells(
        &self,
        table: &NameTable,
        provider: ProviderIx,
        worker: &WorkerCells,
    ) -> Arc<AttemptCells> {
        let names = table.provider_names(provider);
        let labels = names
            .map_or_else(|| (NONE.into(), NONE.into()), |names| (Arc::clone(&names.pool), Arc::clone(&names.name)));
        let mut book = lock(&self.book);
        book.attempts.entry(labels).or_default().of_worker(worker.number, AttemptCells::default)
    }

    /// The numbers that a scrape adds up, copied out so that no worker waits for the writing of the text.
    pub(super) fn read(&self) -> MetricsReading {
        let mut book = lock(&self.book);
        book.prune(Instant::now());
        let calls = book.calls.iter().map(|(labels, series)| (Arc::clone(labels), cells(series))).collect();
        let attempts = book.attempts.iter().map(|(labels, series)| (labels.clone(), cells(series))).collect();
        let reading = MetricsReading { calls, attempts, workers: book.workers.clone(), config: book.config.clone() };
        drop(book);
        reading
    }
}

fn cells<C>(series: &Series<C>) -> Vec<Arc<C>> {
    series.cells.iter().map(|(_, cells)| Arc::clone(cells)).collect()
}

impl Book {
    /// Lets go of series that nobody will add to: their route or pool went long ago. Cells that a worker still holds
    /// stay, for what it may yet add must not be lost, and so does the word that they are to go.
    fn prune(&mut self, now: Instant) {
        let long_gone = |gone: &HashMap<Box<str>, Instant>, name: &str| {
            gone.get(name).is_some_and(|since| now.saturating_duration_since(*since) >= KEPT)
        };
        let (mut routes, mut pools) = (HashSet::<Arc<str>>::new(), HashSet::<Arc<str>>::new());
        self.calls.retain(|labels, series| {
            let goes = long_gone(&self.gone_routes, &labels.route) || long_gone(&self.gone_pools, &labels.pool);
            let stays = !goes || series.is_held();
            if stays && goes {
                routes.insert(Arc::clone(&labels.route));
                pools.insert(Arc::clone(&labels.pool));
            }
            stays
        });
        self.attempts.retain(|(pool, _), series| {
            let goes = long_gone(&self.gone_pools, pool);
            let stays = !goes || series.is_held();
            if stays && goes {
                pools.insert(Arc::clone(pool));
            }
            stays
        });
        let lately = |since: &Instant| now.saturating_duration_since(*since) < KEPT;
        self.gone_routes.retain(|name, since| lately(since) || routes.contains(&**name));
        self.gone_pools.retain(|name, since| lately(since) || pools.contains(&**name));
    }
}

impl<C> Series<C> {
    fn is_held(&self) -> bool {
        self.cells.iter().any(|(_, cells)| Arc::strong_count(cells) > 1)
    }
}

/// The numbers that a scrape adds up.
#[derive(Debug)]
pub(super) struct MetricsReading {
    pub(super) calls: Vec<(Arc<CallLabels>, Vec<Arc<CallCells>>)>,
    pub(super) attempts: Vec<(AttemptLabels, Vec<Arc<AttemptCells>>)>,
    pub(super) workers: Vec<Arc<WorkerCells>>,
    pub(super) config: ConfigState,
}

#[cfg(test)]
impl Metrics {
    /// The names of a configuration as the next one to run.
    pub(super) fn configure(&self, snapshot: &sluicegate_config::Snapshot) -> Arc<NameTable> {
        let (mut naming, here) = (super::Naming::default(), Objects::default());
        for (id, route) in &snapshot.routes {
            naming.route(&Arc::new(id.clone()), route);
        }
        for (id, pool) in &snapshot.pools {
            naming.pool(&Arc::new(id.clone()), pool);
        }
        self.configured(&here, &Objects::default());
        let generation = lock(&self.book).config.generation;
        Arc::new(NameTable { generation, ..naming.table() })
    }
}
