//! One runtime per core: a thread, its socket, its connections, and everything a call needs that no other thread touches.

use std::cell::{Cell, RefCell};
use std::future::Future;
use std::net::{SocketAddr, TcpListener as StdListener};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Instant;

use arc_swap::ArcSwap;
use http::{Request, Response};
use hyper::body::Incoming;
use tokio::net::TcpListener;
use tokio::runtime::{Builder, LocalOptions};
use tokio::sync::watch;
use tokio_rustls::TlsAcceptor;

use crate::account::{Ledger, LogSettings, Metrics};
use crate::balance::Dice;
use crate::call::{self, Ids, Pump};
use crate::drain::{Lifecycle, Phase};
use crate::listener::{self, Connection, Open, Table};
use crate::settings::{Limits, Settings};
use crate::state::Ready;
use crate::{cache, upstream};

/// What all workers share.
pub struct Shared {
    /// The command line.
    pub settings: Settings,
    /// The configuration that runs.
    pub ready: Arc<ArcSwap<Ready>>,
    /// Metrics of the process.
    pub metrics: Arc<Metrics>,
    /// The cache's memory layer.
    pub cache: Arc<cache::Shared>,
    /// Connection counts of all workers, for metrics.
    pub board: Arc<upstream::StatsBoard>,
    /// How the process stops.
    pub lifecycle: Arc<Lifecycle>,
    /// Client connections open, all workers.
    pub open: Arc<Open>,
    /// The listener's TLS.
    pub tls: Option<TlsAcceptor>,
}

/// One worker: on its own thread, shared by nobody.
pub struct Worker {
    pub(crate) shared: Arc<Shared>,
    pub(crate) limits: Rc<Limits>,
    pub(crate) client: upstream::Client,
    pub(crate) cache: Rc<cache::Store>,
    pub(crate) ledger: Rc<Ledger>,
    pub(crate) ids: Ids,
    pub(crate) dice: RefCell<Dice>,
    leaving: Cell<bool>,
}

impl Worker {
    fn new(shared: Arc<Shared>) -> anyhow::Result<Self> {
        let settings = &shared.settings;
        let remote = if settings.redis.is_empty() {
            None
        } else {
            Some(cache::redis::Remote::open(&settings.redis, shared.cache.stats())?)
        };
        Ok(Self {
            limits: Rc::new(settings.limits.clone()),
            client: upstream::Client::new(settings.worker_count(), Arc::clone(&shared.board)),
            cache: cache::Store::new(&shared.cache, remote),
            ledger: shared.metrics.ledger(LogSettings { sample: settings.log_sample }),
            ids: Ids::new(rand::random()),
            dice: RefCell::new(Dice::new(rand::random())),
            leaving: Cell::new(false),
            shared,
        })
    }

    /// The configuration that runs now; a call takes it once and keeps it to its end.
    pub(crate) fn ready(&self) -> Arc<Ready> {
        self.shared.ready.load_full()
    }

    /// Whether clients are to find another proxy for their next call.
    pub(crate) fn leaving(&self) -> bool {
        self.leaving.get()
    }
}

impl listener::Service for Worker {
    type Body = Pump;

    fn call(
        self: Rc<Self>,
        request: Request<Incoming>,
        from: Rc<Connection>,
        peer: SocketAddr,
    ) -> impl Future<Output = Response<Pump>> + 'static {
        call::handle(self, request, from, peer)
    }
}

/// Starts a worker's thread; it ends when the process is closing and its last connection has ended.
///
/// # Errors
/// The thread can not be had.
pub fn start(number: usize, socket: StdListener, shared: Arc<Shared>) -> std::io::Result<std::thread::JoinHandle<()>> {
    std::thread::Builder::new().name(format!("worker-{number}")).spawn(move || {
        let lifecycle = Arc::clone(&shared.lifecycle);
        if let Err(error) = run(number, socket, shared) {
            tracing::error!(worker = number, error = format!("{error:#}"), "a worker can not run");
        }
        lifecycle.worker_done();
    })
}

fn run(number: usize, socket: StdListener, shared: Arc<Shared>) -> anyhow::Result<()> {
    let runtime = Builder::new_current_thread().enable_all().build_local(LocalOptions::default())?;
    let lifecycle = Arc::clone(&shared.lifecycle);
    runtime.block_on(async move {
        let listener = TcpListener::from_std(socket)?;
        let worker = Rc::new(Worker::new(shared)?);
        let table = Table::new();
        let tick = tokio::task::spawn_local(tick(Rc::clone(&worker), Rc::clone(&table), number));
        accept_until_closing(listener, &worker, &table, lifecycle.subscribe()).await;
        table.leave();
        table.emptied().await;
        tick.abort();
        Ok(())
    })
}

/// Takes connections until the process closes, and then those that the kernel had accepted already: closing the
/// socket would reset them.
async fn accept_until_closing(
    listener: TcpListener,
    worker: &Rc<Worker>,
    table: &Rc<Table>,
    mut phase: watch::Receiver<Phase>,
) {
    loop {
        let changed = phase.changed();
        tokio::select! {
            biased;
            _ = changed => {
                worker.leaving.set(true);
                if *phase.borrow_and_update() == Phase::Closing {
                    break;
                }
            }
            (stream, peer) = listener::accept(&listener) => welcome(worker, table, stream, peer),
        }
    }
    while let Some((stream, peer)) = futures_util::FutureExt::now_or_never(listener::accept(&listener)) {
        welcome(worker, table, stream, peer);
    }
}

fn welcome(worker: &Rc<Worker>, table: &Rc<Table>, stream: tokio::net::TcpStream, peer: SocketAddr) {
    let Some(place) = worker.shared.open.take(worker.limits.max_connections) else { return };
    let (worker, entered) = (Rc::clone(worker), table.enter());
    tokio::task::spawn_local(async move {
        let tls = worker.shared.tls.clone();
        let limits = Rc::clone(&worker.limits);
        listener::serve(stream, peer, tls, (entered, limits, worker)).await;
        drop(place);
    });
}

/// The worker's one clock: overdue connections, and its word to the drain.
async fn tick(worker: Rc<Worker>, table: Rc<Table>, number: usize) {
    loop {
        tokio::time::sleep(listener::TICK).await;
        table.tick(Instant::now(), &worker.limits);
        worker.shared.lifecycle.note_calls(number, worker.ledger.in_flight());
    }
}
