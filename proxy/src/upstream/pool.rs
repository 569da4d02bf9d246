//! The connections that one worker keeps open to one origin: idle connections newest first, a limit, a bounded queue.
//!
//! `maxConnections` is per endpoint and proxy; each of N workers enforces `ceil(maxConnections / N)`, since
//! workers share nothing on the call path. `maxIdle` is divided the same way.

use std::cell::{Cell, RefCell};
use std::rc::{Rc, Weak};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use sluicegate_config::HttpVersion;
use tokio::sync::{Mutex, Notify};

use super::connect::Connector;
use super::dns::Dns;
use super::error::{SendError, SendErrorKind, SendPhase};
use super::followed::Followed;
use super::h1::Conn;
use super::h2::SharedConn;
use super::origin::{Origin, OriginTarget};
use super::stats::{PoolStats, add, take};

/// Calls of one worker that may wait for a connection to one origin.
const WAITING: usize = 1024;
/// For so long no connection is used twice, after one brought what nobody had asked for.
const DISTRUST: Duration = Duration::from_secs(600);
/// Until so many exchanges have left their connection as they should, connections rest between two calls: who sends more
/// than was asked for mostly does so at once, and is found out before anybody else is given it.
const PROBATION: u32 = 32;
const REST: Duration = Duration::from_millis(5);

/// One worker's connections to one origin.
pub(super) struct ConnectionPool {
    origin: Origin,
    connector: Connector,
    limit: usize,
    max_idle: usize,
    idle_timeout: Duration,
    /// Newest last.
    idle: RefCell<Vec<IdleConn>>,
    shared: RefCell<Vec<Rc<SharedConn>>>,
    open: Cell<usize>,
    waiting: Cell<usize>,
    /// Something became free.
    freed: Notify,
    /// Over HTTP/2, or while it is not known whether it will be: one connection is made at a time.
    making: Mutex<()>,
    http2: Cell<Option<bool>>,
    /// Until when no connection is used twice.
    distrusted: Cell<Option<Instant>>,
    /// The exchanges that are left of the probation.
    unproven: Cell<u32>,
    used: Cell<Instant>,
    followed: Followed,
    stats: Arc<PoolStats>,
}

struct IdleConn {
    conn: Box<Conn>,
    since: Instant,
}

/// An HTTP/1 connection that a call owns. Dropped, the connection is closed.
pub(super) struct Lease {
    /// `None` once it has been put back.
    conn: Option<Box<Conn>>,
    slot: ConnectionPermit,
}

/// A call's place on an HTTP/2 connection, given back on drop.
pub(super) struct Stream {
    pub(super) shared: Rc<SharedConn>,
    pool: Rc<ConnectionPool>,
}

/// The connection that a call got to send its request on.
pub(super) enum Way {
    Own(Lease),
    Shared(Stream),
}

/// One of the `limit` connections, given back on drop.
struct ConnectionPermit {
    /// `None` once a connection in the pool has it.
    pool: Option<Rc<ConnectionPool>>,
}

/// The place of an HTTP/2 connection, given back when its task ends.
struct SharedPermit(Weak<ConnectionPool>);

/// A call in the queue.
struct QueuedCall<'a>(&'a ConnectionPool);

impl ConnectionPool {
    pub(super) fn new(origin: Origin, workers: usize, stats: Arc<PoolStats>) -> Rc<Self> {
        let settings = &origin.0.connection;
        let share = |max: u32| usize::try_from(max).unwrap_or(usize::MAX).div_ceil(workers.max(1));
        let secure = matches!(origin.0.target, OriginTarget::Network { tls: true, .. });
        let http2 = match (settings.http, &origin.0.target) {
            (_, OriginTarget::Simulated(_)) | (HttpVersion::Http1, _) => Some(false),
            (HttpVersion::Http2, _) => Some(true),
            (HttpVersion::Auto, _) if secure => None,
            (HttpVersion::Auto, _) => Some(false),
        };
        Rc::new(Self {
            limit: share(settings.max_connections).max(1),
            max_idle: share(settings.max_idle),
            idle_timeout: settings.idle_timeout.get(),
            connector: Connector::default(),
            idle: RefCell::default(),
            shared: RefCell::default(),
            open: Cell::new(0),
            waiting: Cell::new(0),
            freed: Notify::new(),
            making: Mutex::new(()),
            http2: Cell::new(http2),
            distrusted: Cell::new(None),
            unproven: Cell::new(PROBATION),
            used: Cell::new(Instant::now()),
            followed: Followed::default(),
            origin,
            stats,
        })
    }

    /// Gives up connections to addresses that the provider's name no longer has: what is idle is closed, and what carries
    /// calls carries no new ones. DNS is asked behind the call, when its answer has expired.
    pub(super) fn follow(&self, dns: &Dns, now: Instant) {
        if !self.followed.has_moved(&self.origin, dns, now) {
            return;
        }
        let stays = |idle: &IdleConn| self.followed.has(idle.conn.peer());
        let (stay, gone) = self.idle.take().into_iter().partition::<Vec<_>, _>(stays);
        self.idle.replace(stay);
        for idle in gone {
            drop(idle);
            take(&self.stats.idle);
            self.closed();
        }
        // Without a sender left, hyper closes the connection when its last stream ends.
        self.shared.borrow_mut().retain(|shared| self.followed.has(shared.peer()));
    }

    /// A connection that is open already: the newest idle one that is alive, or one with room for a stream.
    pub(super) fn take_open(self: &Rc<Self>, now: Instant) -> Option<Way> {
        match self.take_shared(now) {
            Some(stream) => Some(Way::Shared(stream)),
            None => self.take_idle(now).map(Way::Own),
        }
    }

    /// The time that the connection that is next still rests.
    pub(super) fn rest(&self, now: Instant) -> Option<Duration> {
        let oldest = self.idle.borrow().first().filter(|_| self.unproven.get() > 0)?.since;
        (oldest + REST).checked_duration_since(now).filter(|rest| !rest.is_zero())
    }

    /// The newest idle connection, so that the others may go; while it is not known what they bring, the one that has
    /// rested longest.
    fn next_idle(&self) -> Option<IdleConn> {
        let mut idle = self.idle.borrow_mut();
        if self.unproven.get() == 0 || idle.is_empty() { idle.pop() } else { Some(idle.remove(0)) }
    }

    fn take_idle(self: &Rc<Self>, now: Instant) -> Option<Lease> {
        self.used.set(now);
        loop {
            let IdleConn { mut conn, since } = self.next_idle()?;
            take(&self.stats.idle);
            let idle = now.saturating_duration_since(since);
            let alive = idle < self.idle_timeout && conn.alive();
            // One that is not taken is closed as a call would close it.
            let mut lease = Lease { conn: Some(conn), slot: ConnectionPermit { pool: Some(Rc::clone(self)) } };
            if alive && let Some(conn) = lease.conn() {
                conn.wake(idle);
                add(&self.stats.reused);
                return Some(lease);
            }
        }
    }

    fn take_shared(self: &Rc<Self>, now: Instant) -> Option<Stream> {
        if self.http2.get() == Some(false) {
            return None;
        }
        let shared = self.shared.borrow();
        let best = shared.iter().filter(|shared| shared.open() && shared.has_room() && self.is_young(shared, now));
        let shared = Rc::clone(best.min_by_key(|shared| shared.streams())?);
        shared.begin();
        add(&self.stats.reused);
        Some(Stream { shared, pool: Rc::clone(self) })
    }

    /// True if a shared connection carries a call, or has not been without one for too long.
    fn is_young(&self, shared: &SharedConn, now: Instant) -> bool {
        shared.streams() > 0 || now.saturating_duration_since(shared.used()) < self.idle_timeout
    }

    /// A new connection, or one that comes free first when there are as many as there may be. `fresh`: not one that is
    /// idle now.
    pub(super) async fn obtain(self: &Rc<Self>, dns: &Dns, limit: Duration, fresh: bool) -> Result<Way, SendError> {
        let began = Instant::now();
        let Ok(slot) = tokio::time::timeout(limit, self.slot(fresh)).await else {
            let why = format!("all {} connections were in use for {limit:?}", self.limit);
            return Err(SendError::new(SendPhase::Connect, SendErrorKind::Busy, why));
        };
        let slot = match slot? {
            Ok(slot) => slot,
            Err(way) => return Ok(way),
        };
        let left = || limit.saturating_sub(began.elapsed());
        let _making = if self.http2.get() == Some(false) {
            None
        } else {
            let Ok(making) = tokio::time::timeout(left(), self.making.lock()).await else {
                return Err(SendError::new(
                    SendPhase::Connect,
                    SendErrorKind::TimedOut,
                    format!("not within {limit:?}"),
                ));
            };
            if let Some(stream) = self.take_shared(Instant::now()) {
                return Ok(Way::Shared(stream));
            }
            Some(making)
        };
        self.make(slot, dns, left()).await
    }

    /// The right to make a connection; or a connection, when one comes free before that.
    async fn slot(self: &Rc<Self>, fresh: bool) -> Result<Result<ConnectionPermit, Way>, SendError> {
        let mut waiting = None;
        loop {
            if fresh && self.open.get() >= self.limit {
                self.close_oldest();
            }
            if self.open.get() < self.limit {
                if self.is_network() && !self.stats.sockets.take() {
                    let why = "the process has as many connections to providers as its limit of open files allows";
                    return Err(SendError::new(SendPhase::Connect, SendErrorKind::Exhausted, why));
                }
                self.open.set(self.open.get() + 1);
                add(&self.stats.open);
                return Ok(Ok(ConnectionPermit { pool: Some(Rc::clone(self)) }));
            }
            if waiting.is_none() {
                waiting = Some(QueuedCall::new(self)?);
            }
            self.freed.notified().await;
            if let Some(way) = self.take_open(Instant::now()) {
                return Ok(Err(way));
            }
        }
    }

    async fn make(self: &Rc<Self>, mut slot: ConnectionPermit, dns: &Dns, limit: Duration) -> Result<Way, SendError> {
        let began = Instant::now();
        let made = self.connector.connect(&self.origin.0, dns, limit).await;
        let wire = made.inspect_err(|_| add(&self.stats.failed))?;
        self.http2.set(Some(wire.http2));
        add(&self.stats.created);
        if !wire.http2 {
            return Ok(Way::Own(Lease { conn: Some(Conn::new(wire.io)), slot }));
        }
        slot.pool = None;
        let held = SharedPermit(Rc::downgrade(self));
        let peer = wire.io.peer();
        // Boxed: it holds hyper's connection until its task begins.
        let agreed = Box::pin(SharedConn::new(wire.io, held));
        let Ok(agreed) = tokio::time::timeout(limit.saturating_sub(began.elapsed()), agreed).await else {
            add(&self.stats.failed);
            return Err(SendError::new(SendPhase::Http2, SendErrorKind::TimedOut, "no HTTP/2 settings came in time"));
        };
        let shared = Rc::new(agreed.inspect_err(|_| add(&self.stats.failed))?.to(peer));
        self.shared.borrow_mut().push(Rc::clone(&shared));
        shared.begin();
        // Calls that waited for a connection may find room on this one.
        self.freed.notify_waiters();
        Ok(Way::Shared(Stream { shared, pool: Rc::clone(self) }))
    }

    /// The provider takes a request over HTTP/1.1 alone: from here on it is asked so, if that is left to the two of us. `false`: it is not.
    pub(super) fn falls_back(&self) -> bool {
        if self.origin.0.connection.http != HttpVersion::Auto {
            return false;
        }
        if self.http2.replace(Some(false)) != Some(false) {
            tracing::info!(
                pool = self.origin.0.pool,
                provider = self.origin.0.provider,
                "the provider wants HTTP/1.1: it is spoken to over that"
            );
        }
        self.connector.without_http2();
        // Without a sender left, hyper closes the connection when its last stream ends.
        self.shared.borrow_mut().clear();
        true
    }

    fn put(&self, conn: Box<Conn>) {
        let now = Instant::now();
        if !self.followed.keeps(&conn) || self.distrusted.get().is_some_and(|until| now < until) {
            drop(conn);
            self.closed();
            return;
        }
        let mut idle = self.idle.borrow_mut();
        if idle.len() >= self.max_idle {
            // With `maxIdle` 0 a connection still serves the call that waits for it.
            if self.waiting.get() == 0 {
                drop(idle);
                self.closed();
                return;
            }
        }
        self.unproven.set(self.unproven.get().saturating_sub(1));
        idle.push(IdleConn { conn, since: now });
        add(&self.stats.idle);
        self.tell();
    }

    /// A connection brought bytes that nobody had asked for. Whoever does that once may do it on any of them, and what comes
    /// after the next request has left can not be told from its answer: so for a while each call has a connection of its own.
    fn distrust(&self) {
        let until = Instant::now() + DISTRUST;
        self.unproven.set(PROBATION);
        if self.distrusted.replace(Some(until)).is_none() {
            tracing::warn!(
                pool = self.origin.0.pool,
                provider = self.origin.0.provider,
                "the provider sent bytes that no request asked for: for ten minutes no connection to it is used twice"
            );
        }
        while !self.idle.borrow().is_empty() {
            self.close_oldest();
        }
    }

    fn close_oldest(&self) {
        let mut idle = self.idle.borrow_mut();
        if !idle.is_empty() {
            let oldest = idle.remove(0);
            drop(idle);
            drop(oldest);
            take(&self.stats.idle);
            self.closed();
        }
    }

    /// Closes what carries no call: the process needs the descriptors.
    pub(super) fn close_idle(&self) {
        while !self.idle.borrow().is_empty() {
            self.close_oldest();
        }
        // Without a sender left, hyper closes the connection.
        self.shared.borrow_mut().retain(|shared| shared.streams() > 0);
    }

    /// A connection is gone.
    fn closed(&self) {
        self.open.set(self.open.get().saturating_sub(1));
        if self.is_network() {
            self.stats.sockets.give();
        }
        take(&self.stats.open);
        self.tell();
    }

    /// True if its connections are sockets.
    fn is_network(&self) -> bool {
        matches!(self.origin.0.target, OriginTarget::Network { .. })
    }

    /// Wakes a call in the queue, when there is one.
    fn tell(&self) {
        if self.waiting.get() > 0 {
            self.freed.notify_one();
        }
    }

    /// Closes what has been idle for too long or was closed by the provider. When nothing is left, the time of
    /// the last call.
    pub(super) fn sweep(&self, now: Instant) -> Option<Instant> {
        let old = |since: Instant| now.saturating_duration_since(since) >= self.idle_timeout;
        let (mut keep, mut gone) = (Vec::new(), Vec::new());
        for mut idle in self.idle.take() {
            let stays = !old(idle.since) && idle.conn.alive();
            if stays { keep.push(idle) } else { gone.push(idle) }
        }
        self.idle.replace(keep);
        let stray = gone.iter().any(|idle| idle.conn.is_stray());
        for idle in gone {
            drop(idle);
            take(&self.stats.idle);
            self.closed();
        }
        if stray {
            self.distrust();
        }
        // Without a sender left, hyper closes the connection when its last stream ends.
        self.shared.borrow_mut().retain(|shared| shared.open() && self.is_young(shared, now));
        (self.open.get() == 0 && self.waiting.get() == 0).then(|| self.used.get())
    }
}

impl Drop for ConnectionPool {
    fn drop(&mut self) {
        // Of these nobody tells any more when they close.
        for _ in 0..if self.is_network() { self.open.get() } else { 0 } {
            self.stats.sockets.give();
        }
        self.stats.open.store(0, Ordering::Relaxed);
        self.stats.idle.store(0, Ordering::Relaxed);
    }
}

impl Lease {
    pub(super) fn conn(&mut self) -> Option<&mut Conn> {
        self.conn.as_deref_mut()
    }

    /// Puts the connection back for the next call.
    pub(super) fn keep(mut self) {
        if let (Some(conn), Some(pool)) = (self.conn.take(), self.slot.pool.take()) {
            pool.put(conn);
        }
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        if self.conn.as_deref().is_some_and(Conn::is_stray)
            && let Some(pool) = &self.slot.pool
        {
            pool.distrust();
        }
    }
}

impl Drop for ConnectionPermit {
    fn drop(&mut self) {
        if let Some(pool) = self.pool.take() {
            pool.closed();
        }
    }
}

impl Drop for SharedPermit {
    fn drop(&mut self) {
        if let Some(pool) = self.0.upgrade() {
            pool.shared.borrow_mut().retain(|shared| shared.open());
            pool.closed();
        }
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        self.shared.end();
        // One that takes no further call is let go of when the last of its own has ended.
        if self.shared.streams() == 0 && !self.shared.open() {
            self.pool.shared.borrow_mut().retain(|shared| !Rc::ptr_eq(shared, &self.shared));
        }
        self.pool.used.set(Instant::now());
        self.pool.tell();
    }
}

impl<'a> QueuedCall<'a> {
    fn new(pool: &'a ConnectionPool) -> Result<Self, SendError> {
        if pool.waiting.get() >= WAITING {
            let why = format!("all {} connections are in use and {WAITING} calls wait", pool.limit);
            return Err(SendError::new(SendPhase::Connect, SendErrorKind::Busy, why));
        }
        pool.waiting.set(pool.waiting.get() + 1);
        add(&pool.stats.waits);
        Ok(Self(pool))
    }
}

impl Drop for QueuedCall<'_> {
    fn drop(&mut self) {
        self.0.waiting.set(self.0.waiting.get().saturating_sub(1));
    }
}
