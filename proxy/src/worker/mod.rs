//! One runtime per core: a thread, its sockets, its connections, and everything a call needs that no other thread touches.

mod background;
mod ids;
pub(crate) mod own;

use std::future::Future;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use http::{Request, Response};
use hyper::body::Incoming;
use tokio::runtime::{Builder, LocalOptions};
use tokio::sync::watch;

use crate::call::{self, ResponseBody};
use crate::drain::{Phase, Post};
use crate::health;
use crate::listener::{self, Accepted, BoundPorts, Connection, ConnectionTable, Ports};

use own::{ProcessShared, Worker};

/// The time in which streams that are cut say so to their callers.
const LAST_WORDS: Duration = Duration::from_millis(250);
/// The time in which what is cut has ended: it is let go of, and waits for nobody.
const LETTING_GO: Duration = Duration::from_secs(1);
/// The interval at which that is looked at.
const LOOK: Duration = Duration::from_millis(5);

impl listener::Service for Worker {
    type Body = ResponseBody;

    fn call(
        self: Rc<Self>,
        request: Request<Incoming>,
        from: Rc<Connection>,
        peer: SocketAddr,
    ) -> impl Future<Output = Response<ResponseBody>> + 'static {
        call::handle(self, request, from, peer)
    }
}

/// Starts a worker's thread; it ends when the process is closing and its last connection has ended.
///
/// # Errors
/// The thread can not be had.
pub fn start(
    number: usize,
    ports: BoundPorts,
    shared: Arc<ProcessShared>,
) -> std::io::Result<std::thread::JoinHandle<()>> {
    // Given back when the thread ends, by a panic too.
    let post = shared.lifecycle.post(number);
    std::thread::Builder::new().name(format!("worker-{number}")).spawn(move || {
        if let Err(error) = run(number, ports, shared, post) {
            tracing::error!(worker = number, error = format!("{error:#}"), "a worker can not run");
        }
    })
}

fn run(number: usize, ports: BoundPorts, shared: Arc<ProcessShared>, mut post: Post) -> anyhow::Result<()> {
    let runtime = Builder::new_current_thread().enable_all().build_local(LocalOptions::default())?;
    let lifecycle = Arc::clone(&shared.lifecycle);
    runtime.block_on(async move {
        let ports = Ports::watch(ports)?;
        let worker = Rc::new(Worker::new(shared)?);
        let table = ConnectionTable::new(Arc::clone(&worker.memory));
        post.accepts();
        let post = Rc::new(post);
        let mut tick = tokio::task::spawn_local(tick(Rc::clone(&worker), Rc::clone(&table), Rc::clone(&post)));
        // One worker asks for all: what it learns the endpoints know.
        let checks = (number == 0).then(|| tokio::task::spawn_local(health::run(Rc::clone(&worker))));
        let learner = Rc::clone(&worker.learner);
        let learning = (number == 0).then(|| tokio::task::spawn_local(async move { learner.run().await }));
        let going_on = Rc::clone(&worker);
        let background = tokio::task::spawn_local(async move { going_on.background.run().await });
        let limiter = Rc::clone(&worker.limiter);
        // It ends by itself.
        tokio::task::spawn_local(async move { limiter.run().await });
        let (limiter, leases) = (Rc::clone(&worker.limiter), Rc::clone(&worker.leases));
        let telling = tokio::task::spawn_local(async move {
            let share = |whole| limiter.shared().share_of(whole);
            tokio::join!(limiter.budgets().run(), leases.run(share))
        });
        tokio::select! {
            () = accept_until_closing(ports, &worker, &table, lifecycle.subscribe()) => {}
            _ = &mut tick => anyhow::bail!("its clock has stopped"),
        }
        table.leave();
        let mut phase = lifecycle.subscribe();
        let is_cut = tokio::select! {
            biased;
            () = all_served(&worker, &table) => false,
            _ = phase.wait_for(|phase| *phase == Phase::Cutting) => true,
        };
        if is_cut {
            cut_connections(&worker, &table).await;
        }
        background.abort();
        // Once it is dropped, the calls that it went on with are settled.
        drop(background.await);
        worker.background.clear();
        if is_cut {
            // HTTP/2's streams that had nothing to say any longer hear of their connection's end by themselves.
            drop(tokio::time::timeout(LETTING_GO, all_closed(&worker)).await);
        }
        tick.abort();
        checks.iter().chain(&learning).for_each(tokio::task::JoinHandle::abort);
        telling.abort();
        // Until it is dropped, it may have something under way.
        drop(telling.await);
        tokio::join!(worker.limiter.finish(), worker.limiter.budgets().finish(), worker.leases.finish());
        Ok(())
    })
}

/// Waits until no connection is left, and no other proxy's callers read an answer that this worker fetches.
async fn all_served(worker: &Worker, table: &ConnectionTable) {
    table.emptied().await;
    while worker.remote_flights.as_ref().is_some_and(|flights| flights.is_read()) {
        tokio::time::sleep(LOOK).await;
    }
}

/// Lets streams tell their callers that they are cut, and then lets go of every connection.
async fn cut_connections(worker: &Worker, table: &ConnectionTable) {
    worker.ledger.cut();
    table.tell_all_to_leave();
    drop(tokio::time::timeout(LAST_WORDS, table.emptied()).await);
    table.let_go();
    drop(tokio::time::timeout(LETTING_GO, table.emptied()).await);
}

/// Waits until no call is open.
async fn all_closed(worker: &Worker) {
    while worker.ledger.in_flight() > 0 {
        tokio::time::sleep(LOOK).await;
        worker.background.clear();
    }
}

/// Takes connections until the process closes, and then those that the kernel had accepted already: closing the
/// socket would reset them.
async fn accept_until_closing(
    ports: Ports,
    worker: &Rc<Worker>,
    table: &Rc<ConnectionTable>,
    mut phase: watch::Receiver<Phase>,
) {
    loop {
        let changed = phase.changed();
        tokio::select! {
            biased;
            _ = changed => {
                worker.leave();
                if *phase.borrow_and_update() >= Phase::Closing {
                    break;
                }
            }
            accepted = ports.accept(|| worker.shed()) => welcome(worker, table, accepted),
        }
    }
    let shed = || worker.shed();
    while let Some(accepted) = futures_util::FutureExt::now_or_never(ports.accept(shed)) {
        welcome(worker, table, accepted);
    }
}

fn welcome(worker: &Rc<Worker>, table: &Rc<ConnectionTable>, accepted: Accepted) {
    let Some(place) = worker.shared.open.take(worker.limits.max_connections) else { return };
    let (worker, entered) = (Rc::clone(worker), table.enter());
    tokio::task::spawn_local(async move {
        let limits = Rc::clone(&worker.limits);
        listener::serve(accepted, (entered, limits, worker)).await;
        drop(place);
    });
}

/// The worker's one clock: overdue connections, and its word to the drain.
async fn tick(worker: Rc<Worker>, table: Rc<ConnectionTable>, post: Rc<Post>) {
    loop {
        tokio::time::sleep(listener::TICK).await;
        table.tick(Instant::now(), &worker.limits);
        worker.shed_with_others();
        post.note_calls(worker.ledger.in_flight());
    }
}
