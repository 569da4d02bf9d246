//! The layer in Redis: one worker's client of a cluster or of a single node. An accelerator, never a dependency.
//!
//! Keys are routed here, over one pipelined connection per master, rather than by a cluster connection of the library:
//! so each master has a breaker of its own and a frozen one slows nobody else, no call waits while slots are learnt
//! again, and an answer passes through one task less. A call waits at most `LIMIT`; the first one that does takes the
//! node out of service, and a task in the background, not a call, finds out when it is back.

mod node;
mod slots;

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::{Rc, Weak};
use std::sync::Arc;
use std::time::Duration;

use ::redis::{Cmd, ConnectionInfo, IntoConnectionInfo, RedisError, Value};
use bytes::Bytes;
use tokio::sync::Notify;
use tokio::time::{Instant, timeout_at};

use super::key::Key;
use super::stats::Stats;
pub use node::LIMIT;
use node::{Node, Trouble};
use slots::{Address, SlotMap};

/// No write is waited for longer; nobody waits for it but its memory.
const WRITE_LIMIT: Duration = Duration::from_millis(500);
/// At most this many writes at once, per worker …
const MAX_WRITES: usize = 256;
/// … and bytes in them.
const MAX_WRITE_BYTES: usize = 16 * 1024 * 1024;
/// Slots are learnt again this often at the least.
const REFRESH: Duration = Duration::from_secs(60);
/// First and longest pause between attempts to learn them while something is wrong.
const RETRY: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(2));

/// A Redis URL that can not be used; names the URL's place in the list, never the URL, which may hold a password.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("Redis URL {place} of {of} can not be used: {why}; write redis://HOST:PORT, or rediss://HOST:PORT for TLS")]
pub struct BadUrl {
    /// From 1.
    pub place: usize,
    /// How many there are.
    pub of: usize,
    /// What is wrong with it.
    pub why: String,
}

/// Who to log in as at nodes whose URL does not say so. Never shown: it has no `Debug`.
#[derive(Clone, Copy, Default)]
pub struct Login<'a> {
    /// The default user when there is none.
    pub username: Option<&'a str>,
    /// No login when there is none.
    pub password: Option<&'a str>,
}

impl Login<'_> {
    fn on(self, info: ConnectionInfo) -> ConnectionInfo {
        let has_own = info.redis_settings().password().is_some();
        let Some(password) = self.password.filter(|password| !password.is_empty() && !has_own) else { return info };
        let mut redis = info.redis_settings().clone().set_password(password);
        if let Some(username) = self.username.filter(|username| !username.is_empty()) {
            redis = redis.set_username(username);
        }
        info.set_redis_settings(redis)
    }
}

/// Whether these URLs can be used: found out before there is anything to serve.
///
/// # Errors
/// There is none, or one of them can not be used.
pub fn check(urls: &[String]) -> Result<(), BadUrl> {
    read(urls).map(drop)
}

fn read(urls: &[String]) -> Result<Vec<ConnectionInfo>, BadUrl> {
    let bad = |at: usize, why: &str| BadUrl { place: at + 1, of: urls.len(), why: why.to_owned() };
    if urls.is_empty() {
        return Err(bad(0, "there is none"));
    }
    let read = urls.iter().enumerate().map(|(at, url)| read_one(url).map_err(|why| bad(at, why)));
    read.collect()
}

/// The library's messages may quote the URL, which may hold a password: so the words are ours.
fn read_one(url: &str) -> Result<ConnectionInfo, &'static str> {
    if url.trim().is_empty() {
        return Err("it is empty");
    }
    let parsed = ::redis::parse_redis_url(url).ok_or("it is no URL of a Redis")?;
    if matches!(parsed.scheme(), "unix" | "redis+unix" | "valkey+unix") {
        return Err("a socket file can not be shared between pods");
    }
    if parsed.host_str().is_none_or(str::is_empty) {
        return Err("it names no host");
    }
    let database = parsed.path().trim_matches('/');
    if !database.is_empty() && database.parse::<u32>().is_err() {
        return Err("what stands behind the host is not a database's number");
    }
    url.into_connection_info().map_err(|_| "its host, login or options can not be read")
}

/// One worker's client of the shared Redis.
#[derive(Debug)]
pub struct Remote(Rc<Inner>);

struct Inner {
    seeds: Vec<ConnectionInfo>,
    stats: Arc<Stats>,
    map: RefCell<Map>,
    /// Slots may have moved, or a node is away: look again.
    nudge: Notify,
    writes: Cell<usize>,
    write_bytes: Cell<usize>,
}

impl std::fmt::Debug for Inner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // Seeds hold passwords.
        f.debug_struct("Inner").field("map", &self.map).finish_non_exhaustive()
    }
}

/// What is known of the cluster.
#[derive(Debug, Default)]
struct Map {
    slots: SlotMap,
    nodes: BTreeMap<Address, Rc<Node>>,
}

impl Remote {
    /// One worker's client of the cluster that these URLs (`redis://`, `rediss://`) belong to, or of the one node when
    /// it is not in cluster mode. Connects in the background; must be called within a `LocalSet`.
    ///
    /// # Errors
    /// There is no URL, or one of them can not be used.
    pub fn open(urls: &[String], login: Login<'_>, stats: &Arc<Stats>) -> Result<Self, BadUrl> {
        let seeds = read(urls)?.into_iter().map(|info| login.on(info)).collect();
        let inner = Rc::new(Inner {
            seeds,
            stats: Arc::clone(stats),
            map: RefCell::default(),
            nudge: Notify::new(),
            writes: Cell::new(0),
            write_bytes: Cell::new(0),
        });
        tokio::task::spawn_local(tend(Rc::downgrade(&inner)));
        Ok(Self(inner))
    }

    /// What is kept under a key. Waits at most `LIMIT`; whatever goes wrong is counted and is a miss.
    pub async fn get(&self, key: &Key) -> Option<Bytes> {
        let (name, slot) = name(key);
        let mut command = Cmd::with_capacity(2, name.len() + 8);
        command.arg("GET").arg(&name);
        match self.0.ask(&command, slot, Instant::now() + LIMIT).await? {
            Value::BulkString(bytes) => Some(Bytes::from(bytes)),
            Value::Nil => None,
            _ => {
                self.0.stats.corrupt.add();
                None
            }
        }
    }

    /// Keeps something under a key, some time soon; or not, when too much waits already or the node is away.
    pub fn put(&self, key: &Key, value: &[u8], ttl: Duration) {
        let inner = &self.0;
        let (name, slot) = name(key);
        let bytes = value.len();
        let full = inner.writes.get() >= MAX_WRITES || inner.write_bytes.get() + bytes > MAX_WRITE_BYTES;
        if full || inner.node(slot).is_none_or(|node| !node.is_up()) {
            inner.stats.redis_dropped.add();
            return;
        }
        let mut command = Cmd::with_capacity(5, name.len() + bytes + 32);
        let milliseconds = u64::try_from(ttl.as_millis()).unwrap_or(u64::MAX).max(1);
        command.arg("SET").arg(&name).arg(value).arg("PX").arg(milliseconds);
        inner.writes.set(inner.writes.get() + 1);
        inner.write_bytes.set(inner.write_bytes.get() + bytes);
        let inner = Rc::clone(inner);
        tokio::task::spawn_local(async move {
            if inner.ask(&command, slot, Instant::now() + WRITE_LIMIT).await.is_none() {
                inner.stats.redis_dropped.add();
            }
            inner.writes.set(inner.writes.get() - 1);
            inner.write_bytes.set(inner.write_bytes.get() - bytes);
        });
    }

    /// Whether every slot has a master and all of them are connected.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        let map = self.0.map.borrow();
        map.slots.is_whole() && map.nodes.values().all(|node| node.is_up())
    }
}

/// Where an answer lies in Redis. The braces let what else belongs to a key lie in the same slot.
fn name(key: &Key) -> (String, u16) {
    let hex = key.hex();
    let slot = slots::slot(hex.as_bytes());
    (format!("sluicegate:{{{hex}}}:cache"), slot)
}

impl Inner {
    fn node(&self, slot: u16) -> Option<Rc<Node>> {
        let map = self.map.borrow();
        map.nodes.get(map.slots.master(slot)?).map(Rc::clone)
    }

    /// Asks the master of a slot, and the one it points to when slots have moved; `None`: no answer, and counted.
    async fn ask(&self, command: &Cmd, slot: u16, until: Instant) -> Option<Value> {
        let mut node = self.node(slot);
        for _ in 0..2 {
            let Some(asked) = node.as_ref() else { break };
            match asked.ask(command, until).await {
                Ok(value) => return Some(value),
                Err(Trouble::Away) => break,
                Err(Trouble::Moved(to)) => {
                    self.nudge.notify_one();
                    let to = to.or_host(asked.address());
                    node = self.map.borrow().nodes.get(&to).map(Rc::clone);
                }
                Err(Trouble::Failed { timed_out }) => {
                    let count = if timed_out { &self.stats.redis_timeouts } else { &self.stats.redis_errors };
                    count.add();
                    self.nudge.notify_one();
                    return None;
                }
                Err(Trouble::Refused) => {
                    self.stats.redis_errors.add();
                    return None;
                }
            }
        }
        self.stats.redis_skipped.add();
        None
    }

    /// Learns which master has which slots, from whoever answers.
    async fn refresh(&self) -> bool {
        let known: Vec<_> = {
            let map = self.map.borrow();
            let up = map.nodes.values().filter(|node| node.is_up()).map(Rc::clone);
            up.collect()
        };
        for node in known {
            if let Ok(value) = node.ask(&slots::question(), Instant::now() + WRITE_LIMIT).await
                && self.learn(&value, node.info())
            {
                return true;
            }
        }
        let replicas = self.map.borrow().slots.addresses().cloned().collect::<Vec<_>>();
        let others = replicas.iter().filter_map(|address| Some(address.on(self.seeds.first()?)));
        for info in self.seeds.iter().cloned().chain(others) {
            match self.ask_seed(&info).await {
                Some(Ok(value)) if self.learn(&value, &info) => return true,
                // Not in cluster mode: one node has all slots.
                Some(Err(error)) if error.code() == Some("ERR") => {
                    self.take(SlotMap::single(Address::of(&info)), &info);
                    return true;
                }
                _ => {}
            }
        }
        false
    }

    async fn ask_seed(&self, info: &ConnectionInfo) -> Option<Result<Value, RedisError>> {
        let until = Instant::now() + node::CONNECT;
        let mut connection = timeout_at(until, node::connect(info)).await.ok()?.ok()?;
        timeout_at(until, node::send(&mut connection, &slots::question())).await.ok()
    }

    fn learn(&self, value: &Value, from: &ConnectionInfo) -> bool {
        match SlotMap::read(value, &Address::of(from)) {
            Some(slots) => {
                self.take(slots, from);
                true
            }
            None => false,
        }
    }

    /// Takes a new map; nodes that stay keep their connection and their breaker.
    fn take(&self, slots: SlotMap, like: &ConnectionInfo) {
        let mut map = self.map.borrow_mut();
        let mut nodes = BTreeMap::new();
        for address in slots.masters() {
            let node = match map.nodes.get(address) {
                Some(node) => Rc::clone(node),
                None => Node::new(address.clone(), address.on(like), &self.stats),
            };
            nodes.insert(address.clone(), node);
        }
        *map = Map { slots, nodes };
    }

    fn is_well(&self) -> bool {
        let map = self.map.borrow();
        map.slots.is_whole() && map.nodes.values().all(|node| node.is_up())
    }
}

/// Keeps the map right for as long as the client lives.
async fn tend(inner: Weak<Inner>) {
    let mut pause = RETRY.0;
    loop {
        let Some(alive) = inner.upgrade() else { return };
        let well = alive.refresh().await && alive.is_well();
        pause = if well { RETRY.0 } else { (pause * 2).min(RETRY.1) };
        let nap = if well { REFRESH } else { pause };
        // Never more often than this, however much goes wrong.
        tokio::time::sleep(RETRY.0).await;
        let nudged = alive.nudge.notified();
        if tokio::time::timeout(nap, nudged).await.is_ok() {
            pause = RETRY.0;
        }
    }
}

#[cfg(test)]
pub(super) mod tests;
