//! The things that one worker has to itself, and those that all share: everything a call may need beside its own.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use arc_swap::ArcSwap;
use rand::rngs::SmallRng;

use crate::account::{Ledger, LogSettings, Metrics};
use crate::check_turns::CheckTurns;
use crate::coalescing::{Flights, RemoteFlights};
use crate::drain::Lifecycle;
use crate::kept_responses::{KeptConversations, SharedConversations};
use crate::listener::Open;
use crate::memory::{Allowance, MemoryBudget};
use crate::owned::{OwnedLists, SharedLists};
use crate::sealing::KeyFile;
use crate::settings::{Limits, Settings};
use crate::state::Ready;
use crate::{cache, concurrency, learning, limit, redis, upstream};

use super::background::Background;
use super::ids::RequestIds;

/// The things that all workers share.
pub struct ProcessShared {
    /// The command line.
    pub settings: Settings,
    /// The configuration that runs.
    pub ready: Arc<ArcSwap<Ready>>,
    /// Metrics of the process.
    pub metrics: Arc<Metrics>,
    /// The cache's memory layer.
    pub cache: Arc<cache::SharedCache>,
    /// The keys that ids of kept answers are sealed with.
    pub(crate) response_keys: Option<Arc<KeyFile>>,
    /// Conversations that the gateway keeps, where it was asked to.
    pub(crate) conversations: Option<Arc<SharedConversations>>,
    /// The lists of files and batches that owners have made.
    pub(crate) owned: Arc<SharedLists>,
    /// The flights that identical calls share.
    pub flights: Arc<Flights>,
    /// The limits, and all that has been taken of them.
    pub limits: Arc<limit::SharedLimits>,
    /// Learning from other proxies.
    pub learning: Arc<learning::Learning>,
    /// The memory that calls may hold in sum.
    pub memory: Arc<MemoryBudget>,
    /// Connection counts of all workers, for metrics.
    pub board: Arc<upstream::StatsBoard>,
    /// The way in which the process stops.
    pub lifecycle: Arc<Lifecycle>,
    /// Client connections open, all workers.
    pub open: Arc<Open>,
    /// The number of times that a worker has found that the process has no descriptor left.
    pub shortages: AtomicU64,
}

/// One worker: on its own thread, shared by nobody.
pub(crate) struct Worker {
    pub(crate) shared: Arc<ProcessShared>,
    pub(crate) limits: Rc<Limits>,
    pub(crate) memory: Arc<Allowance>,
    pub(crate) client: upstream::UpstreamClient,
    pub(crate) cache: Rc<cache::Store>,
    pub(crate) limiter: Rc<limit::Limiter>,
    pub(crate) leases: Rc<concurrency::LeaseKeeper>,
    pub(crate) learner: Rc<learning::LearningKeeper>,
    /// The turns at asking endpoints whether they are well.
    pub(crate) check_turns: CheckTurns,
    /// The conversations that the gateway keeps itself.
    pub(crate) conversations: Option<KeptConversations>,
    /// The lists of files and batches that owners have made.
    pub(crate) owned: OwnedLists,
    /// The flights that proxies share, where there is a Redis.
    pub(crate) remote_flights: Option<Rc<RemoteFlights>>,
    pub(crate) ledger: Rc<Ledger>,
    pub(crate) ids: RequestIds,
    pub(crate) background: Background,
    pub(crate) rng: RefCell<SmallRng>,
    leaving: Cell<bool>,
    /// As many shortages as this worker has made room for.
    shortages: Cell<u64>,
}

impl Worker {
    pub(crate) fn new(shared: Arc<ProcessShared>) -> anyhow::Result<Self> {
        let settings = &shared.settings;
        let remote = if settings.redis.is_empty() {
            None
        } else {
            let login = redis::Login {
                username: settings.redis_login.username.as_deref(),
                password: settings.redis_login.password.as_deref(),
            };
            Some(redis::RedisClient::open(&settings.redis, login, shared.cache.redis())?)
        };
        let conversations = shared.conversations.as_ref();
        let conversations = conversations.map(|kept| KeptConversations::new(Arc::clone(kept), remote.clone()));
        let memory = shared.memory.allowance();
        let remote_flights =
            remote.as_ref().map(|redis| RemoteFlights::new(redis.clone(), &shared.flights.remote, &memory));
        Ok(Self {
            owned: OwnedLists::new(Arc::clone(&shared.owned), remote.clone()),
            conversations,
            limits: Rc::new(settings.limits.clone()),
            memory,
            remote_flights,
            client: upstream::UpstreamClient::new(settings.worker_count(), Arc::clone(&shared.board)),
            limiter: limit::Limiter::new(&shared.limits, remote.clone()),
            leases: shared.limits.lease_keeper(remote.clone()),
            learner: learning::LearningKeeper::new(&shared.learning, remote.clone()),
            check_turns: CheckTurns::new(settings.gateway.as_deref().unwrap_or_default(), remote.clone()),
            cache: cache::Store::new(&shared.cache, remote),
            ledger: shared.metrics.ledger(LogSettings { sample: settings.log_sample }),
            ids: RequestIds::new(rand::random()),
            background: Background::default(),
            rng: RefCell::new(rand::make_rng()),
            leaving: Cell::new(false),
            shortages: Cell::new(0),
            shared,
        })
    }

    /// The configuration that runs now; a call takes it once and keeps it to its end.
    pub(crate) fn ready(&self) -> Arc<Ready> {
        self.shared.ready.load_full()
    }

    /// The process has no descriptor left: idle connections to providers are given up, here at once, and by the other
    /// workers with their next look.
    pub(crate) fn shed(&self) {
        self.shared.shortages.fetch_add(1, Relaxed);
        self.shed_with_others();
    }

    /// Makes room where another worker has found none.
    pub(crate) fn shed_with_others(&self) {
        let shortages = self.shared.shortages.load(Relaxed);
        if self.shortages.replace(shortages) != shortages {
            self.client.close_idle();
        }
    }

    /// From now on clients are to find another proxy.
    pub(crate) fn leave(&self) {
        self.leaving.set(true);
    }

    /// True if clients are to find another proxy for their next call.
    pub(crate) fn leaving(&self) -> bool {
        self.leaving.get()
    }
}
