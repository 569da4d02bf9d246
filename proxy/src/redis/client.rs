//! One worker's client: keys are routed to the masters of their slots, redirections followed, writes bounded.
//!
//! Keys are routed here, over one pipelined connection per master, rather than by a cluster connection of the library:
//! so each master has a breaker of its own and a frozen one slows nobody else, no call waits while slots are learnt
//! again, and an answer passes through one task less. A call waits at most `LIMIT`; the first one that does takes the
//! node out of service, and a task in the background, not a call, finds out when it is back.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::{Rc, Weak};
use std::sync::Arc;
use std::time::Duration;

use ::redis::{Cmd, ConnectionInfo, Pipeline, RedisError, Value};
use bytes::Bytes;
use tokio::sync::Notify;
use tokio::time::{Instant, timeout_at};

use super::counts::RedisCounts;
use super::login::{self, BadUrl, Login};
use super::node::{self, LIMIT, Node, Question, Trouble};
use super::script::Script;
use super::slots::{self, Address, SlotMap};

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
/// So many answers in vain, one after the other, on which master has which slots: they are away.
const UNKNOWN_AFTER: u64 = 2;
/// A question is sent on at most this often.
const MAX_HOPS: usize = 4;
/// At most this many nodes, whoever names them.
const MAX_NODES: usize = 1024;

/// Redis has not answered, or said no; which of the two is counted. A caller goes on without it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Unanswered {
    /// Nobody knows what it has heard.
    #[error("Redis has not answered")]
    Away,
    /// It would say no again.
    #[error("Redis has said no")]
    Refused,
}

/// One worker's client of the shared Redis. Clones are the same client.
#[derive(Debug, Clone)]
pub struct RedisClient(Rc<ClientParts>);

struct ClientParts {
    seeds: Vec<ConnectionInfo>,
    counts: Arc<RedisCounts>,
    map: RefCell<ClusterMap>,
    /// Slots may have moved, or a node is away: look again.
    nudge: Notify,
    writes: Cell<usize>,
    write_bytes: Cell<usize>,
    /// The time since when nobody says which master has which slots, and how often that was asked in vain.
    unlearnt: Cell<Option<(Instant, u64)>>,
    /// True while no node is known and nobody says which there are: that counts as a node left alone.
    nobody: Cell<bool>,
}

impl std::fmt::Debug for ClientParts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // Seeds hold passwords.
        f.debug_struct("Inner").field("map", &self.map).finish_non_exhaustive()
    }
}

/// The facts known of the cluster.
#[derive(Debug, Default)]
struct ClusterMap {
    slots: SlotMap,
    nodes: BTreeMap<Address, Rc<Node>>,
}

impl RedisClient {
    /// One worker's client of the cluster that these URLs (`redis://`, `rediss://`) belong to, or of the one node when
    /// it is not in cluster mode. Connects in the background; must be called within a `LocalSet`.
    ///
    /// # Errors
    /// There is no URL, or one of them can not be used.
    pub fn open(urls: &[String], login: Login<'_>, counts: &Arc<RedisCounts>) -> Result<Self, BadUrl> {
        let inner = Rc::new(ClientParts {
            seeds: login::read(urls)?.into_iter().map(|info| login.on(info)).collect(),
            counts: Arc::clone(counts),
            map: RefCell::default(),
            nudge: Notify::new(),
            writes: Cell::new(0),
            write_bytes: Cell::new(0),
            unlearnt: Cell::new(None),
            nobody: Cell::new(false),
        });
        tokio::task::spawn_local(tend(Rc::downgrade(&inner)));
        Ok(Self(inner))
    }

    /// The value that is kept under a key. Waits at most `LIMIT`.
    ///
    /// # Errors
    /// Redis has not answered.
    pub async fn get(&self, key: &str) -> Result<Option<Bytes>, Unanswered> {
        let mut command = Cmd::with_capacity(2, key.len() + 8);
        command.arg("GET").arg(key);
        match self.0.ask(&command, slots::slot(key), Instant::now() + LIMIT).await? {
            Value::BulkString(bytes) => Ok(Some(Bytes::from(bytes))),
            Value::Nil => Ok(None),
            _ => Err(self.0.refused()),
        }
    }

    /// Keeps something under a key, some time soon; or not, when too much waits already or the node is away.
    pub fn set(&self, key: &str, value: &[u8], ttl: Duration) {
        let mut command = Cmd::with_capacity(5, key.len() + value.len() + 32);
        let milliseconds = u64::try_from(ttl.as_millis()).unwrap_or(u64::MAX).max(1);
        command.arg("SET").arg(key).arg(value).arg("PX").arg(milliseconds);
        self.write(command, key, value.len());
    }

    /// Forgets what is kept under a key, likewise.
    pub fn del(&self, key: &str) {
        let mut command = Cmd::with_capacity(2, key.len() + 8);
        command.arg("DEL").arg(key);
        self.write(command, key, 0);
    }

    /// Runs a script on keys of one slot. Waits at most `LIMIT`.
    ///
    /// # Errors
    /// Redis has not answered, the script failed, or its keys lie in several slots, or there is none.
    pub async fn eval(&self, script: &Script, keys: &[&str], arguments: &[&[u8]]) -> Result<Value, Unanswered> {
        let slot = self.slot(keys)?;
        let until = Instant::now() + LIMIT;
        match self.0.route(&script.by_digest(keys, arguments), slot, until).await {
            // A node that is new, or was told to forget its scripts.
            Err(Trouble::NoScript) => self.0.ask(&script.whole(keys, arguments), slot, until).await,
            answer => answer.map_err(|trouble| self.0.count(&trouble)),
        }
    }

    /// The value that is kept under a key, and what a script says of it, asked in one write. A node that does not know the script by its digest
    /// is not told of it here: that is no error, and its answer is `Unanswered::Refused`. Waits at most `LIMIT`.
    ///
    /// # Errors
    /// Redis has not answered, or the keys lie in several slots.
    pub async fn get_and_eval(
        &self,
        key: &str,
        (script, keys): (&Script, &[&str]),
        arguments: &[&[u8]],
    ) -> Result<(Option<Bytes>, Result<Value, Unanswered>), Unanswered> {
        let mut get = Cmd::with_capacity(2, key.len() + 8);
        get.arg("GET").arg(key);
        let answers = self.pipeline(keys, &[get, script.by_digest(keys, arguments)]).await?;
        let [kept, said] = <[_; 2]>::try_from(answers).map_err(|_| self.0.refused())?;
        match kept? {
            Value::BulkString(bytes) => Ok((Some(Bytes::from(bytes)), said)),
            Value::Nil => Ok((None, said)),
            _ => Err(self.0.refused()),
        }
    }

    /// Runs a script some time soon, if its node knows it; or not, as what is kept ([`Self::set`]).
    pub fn eval_soon(&self, script: &Script, keys: &[&str], arguments: &[&[u8]]) {
        if let Some(first) = keys.first() {
            self.write(script.by_digest(keys, arguments), first, arguments.iter().map(|argument| argument.len()).sum());
        }
    }

    /// Asks several things of the keys of one slot in one write; one answer for each. Waits at most `LIMIT`.
    ///
    /// # Errors
    /// Redis has not answered, or its keys lie in several slots, or there is none.
    pub async fn pipeline(
        &self,
        keys: &[&str],
        commands: &[Cmd],
    ) -> Result<Vec<Result<Value, Unanswered>>, Unanswered> {
        let slot = self.slot(keys)?;
        let until = Instant::now() + LIMIT;
        let mut pipeline = Pipeline::with_capacity(commands.len());
        commands.iter().for_each(|command| {
            pipeline.add_command(command.clone());
        });
        let first = match self.0.node(slot) {
            Some(node) => node.ask(Question::Many(&pipeline), until).await,
            None => Err(Trouble::Away),
        };
        let answers = match first {
            Ok(Value::Array(answers)) if answers.len() == commands.len() => answers,
            Ok(_) => return Err(self.0.refused()),
            Err(trouble) => return Err(self.0.count(&trouble)),
        };
        let mut all = Vec::with_capacity(answers.len());
        for (answer, command) in answers.into_iter().zip(commands) {
            all.push(match answer.extract_error() {
                Ok(value) => Ok(value),
                // While a slot moves some of its keys are here and some are there.
                Err(error) => match node::judge(&error) {
                    Trouble::Moved(_) | Trouble::Ask(_) => self.0.ask(command, slot, until).await,
                    // It will be brought along when it is asked for by itself.
                    Trouble::NoScript => Err(Unanswered::Refused),
                    trouble => {
                        self.0.tell_refusal(slot, &error);
                        Err(self.0.count(&trouble))
                    }
                },
            });
        }
        Ok(all)
    }

    /// The way to the master of a key, if one is known.
    pub(super) fn master_of(&self, key: &str) -> Option<ConnectionInfo> {
        self.0.node(slots::slot(key)).map(|node| node.info().clone())
    }

    /// The time since when the master of a key can not be reached, or nobody says which one it is; `None`: it may be up.
    pub(crate) fn away_since(&self, key: &str) -> Option<std::time::Instant> {
        let since = match self.0.node(slots::slot(key)) {
            Some(node) => node.away_since(),
            None => self.0.unlearnt.get().filter(|(_, misses)| *misses >= UNKNOWN_AFTER).map(|(since, _)| since),
        };
        since.map(Instant::into_std)
    }

    /// Slots may have moved.
    pub(super) fn look_again(&self) {
        self.0.nudge.notify_one();
    }

    fn slot(&self, keys: &[&str]) -> Result<u16, Unanswered> {
        let mut slots = keys.iter().map(|key| slots::slot(key));
        let first = slots.next().ok_or_else(|| self.0.refused())?;
        if slots.all(|slot| slot == first) { Ok(first) } else { Err(self.0.refused()) }
    }

    /// A write is made behind its caller's back.
    fn write(&self, command: Cmd, key: &str, bytes: usize) {
        let inner = &self.0;
        let slot = slots::slot(key);
        let full = inner.writes.get() >= MAX_WRITES || inner.write_bytes.get() + bytes > MAX_WRITE_BYTES;
        if full || inner.node(slot).is_none_or(|node| !node.is_up()) {
            inner.counts.dropped.add();
            return;
        }
        inner.writes.set(inner.writes.get() + 1);
        inner.write_bytes.set(inner.write_bytes.get() + bytes);
        let inner = Rc::clone(inner);
        tokio::task::spawn_local(async move {
            if inner.ask(&command, slot, Instant::now() + WRITE_LIMIT).await.is_err() {
                inner.counts.dropped.add();
            }
            inner.writes.set(inner.writes.get() - 1);
            inner.write_bytes.set(inner.write_bytes.get() - bytes);
        });
    }

    /// Writes under way, and their bytes.
    #[cfg(test)]
    pub(super) fn writing(&self) -> (usize, usize) {
        (self.0.writes.get(), self.0.write_bytes.get())
    }

    /// True if every slot has a master and all of them are connected.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.0.is_well()
    }
}

impl ClientParts {
    fn node(&self, slot: u16) -> Option<Rc<Node>> {
        let map = self.map.borrow();
        map.nodes.get(map.slots.master(slot)?).map(Rc::clone)
    }

    /// Asks the master of a slot, or whoever it points to; what can not be answered is counted.
    async fn ask(&self, command: &Cmd, slot: u16, until: Instant) -> Result<Value, Unanswered> {
        self.route(command, slot, until).await.map_err(|trouble| self.count(&trouble))
    }

    async fn route(&self, command: &Cmd, slot: u16, until: Instant) -> Result<Value, Trouble> {
        let (mut node, mut asking) = (self.node(slot), false);
        for _ in 0..MAX_HOPS {
            let Some(asked) = node.take() else { break };
            let question = if asking { Question::Asking(command) } else { Question::One(command) };
            let to = match asked.ask(question, until).await {
                Err(Trouble::Moved(to)) => {
                    // The slot is the other's from now on; the whole map is learnt in the background.
                    self.nudge.notify_one();
                    let to = to.or_host(asked.address());
                    self.map.borrow_mut().slots.moved(slot, to.clone());
                    asking = false;
                    to
                }
                Err(Trouble::Ask(to)) => {
                    asking = true;
                    to.or_host(asked.address())
                }
                answer => return answer,
            };
            node = self.guest(to, asked.info());
        }
        Err(Trouble::Away)
    }

    /// The node at an address that another named; connected to, if it is new.
    fn guest(&self, address: Address, like: &ConnectionInfo) -> Option<Rc<Node>> {
        let mut map = self.map.borrow_mut();
        if let Some(known) = map.nodes.get(&address) {
            return Some(Rc::clone(known));
        }
        if map.nodes.len() >= MAX_NODES {
            return None;
        }
        let node = Node::new(address.clone(), address.on(like), &self.counts);
        map.nodes.insert(address, Rc::clone(&node));
        Some(node)
    }

    /// One of several answers is an error.
    fn tell_refusal(&self, slot: u16, error: &RedisError) {
        if let Some(node) = self.node(slot) {
            self.counts.says_no(&node.address().to_string(), error);
        }
    }

    fn refused(&self) -> Unanswered {
        self.count(&Trouble::Refused)
    }

    fn count(&self, trouble: &Trouble) -> Unanswered {
        match trouble {
            Trouble::Away => {
                self.counts.skipped.add();
                Unanswered::Away
            }
            Trouble::Failed { timed_out } => {
                if *timed_out {
                    self.counts.timeouts.add();
                } else {
                    self.counts.errors.add();
                }
                self.nudge.notify_one();
                Unanswered::Away
            }
            Trouble::Moved(_) | Trouble::Ask(_) | Trouble::NoScript | Trouble::Refused => {
                self.counts.errors.add();
                Unanswered::Refused
            }
        }
    }

    /// Learns which master has which slots, from whoever answers.
    async fn refresh(&self) -> Refreshed {
        let known: Vec<_> = {
            let map = self.map.borrow();
            let up = map.nodes.values().filter(|node| node.is_up()).map(Rc::clone);
            up.collect()
        };
        for node in known {
            if let Ok(value) = node.ask(Question::One(&slots::question()), Instant::now() + WRITE_LIMIT).await
                && self.learn(&value, node.info())
            {
                return Refreshed::Learnt;
            }
        }
        let replicas = self.map.borrow().slots.addresses().cloned().collect::<Vec<_>>();
        let others = replicas.iter().filter_map(|address| Some(address.on(self.seeds.first()?)));
        let mut says_no = false;
        for info in self.seeds.iter().cloned().chain(others) {
            match self.ask_seed(&info).await {
                Some(Ok(value)) if self.learn(&value, &info) => return Refreshed::Learnt,
                // Not in cluster mode: one node has all slots.
                Some(Err(error)) if error.code() == Some("ERR") => {
                    self.take(SlotMap::single(Address::of(&info)), &info);
                    return Refreshed::Learnt;
                }
                Some(Err(error)) => says_no |= self.counts.says_no(&Address::of(&info).to_string(), &error),
                _ => {}
            }
        }
        if says_no { Refreshed::Refused } else { Refreshed::Unanswered }
    }

    /// `None`: there is no answer in time.
    async fn ask_seed(&self, info: &ConnectionInfo) -> Option<Result<Value, RedisError>> {
        let until = Instant::now() + node::CONNECT;
        match timeout_at(until, node::connect(info)).await.ok()? {
            Ok(mut connection) => timeout_at(until, node::send(&mut connection, &slots::question())).await.ok(),
            // What it says to a login is no answer to the question.
            Err(error) if error.code() == Some("ERR") => None,
            Err(error) => Some(Err(error)),
        }
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

    /// Takes a new map; nodes that stay keep their connection and their breaker. One that has no slot yet stays while
    /// slots are on their way to it.
    fn take(&self, slots: SlotMap, like: &ConnectionInfo) {
        let mut map = self.map.borrow_mut();
        let mut nodes = BTreeMap::new();
        for address in slots.masters() {
            if nodes.len() >= MAX_NODES {
                break;
            }
            let node = match map.nodes.get(address) {
                Some(node) => Rc::clone(node),
                None => Node::new(address.clone(), address.on(like), &self.counts),
            };
            nodes.insert(address.clone(), node);
        }
        for (address, node) in std::mem::take(&mut map.nodes) {
            if node.was_asked() && nodes.len() < MAX_NODES {
                nodes.entry(address).or_insert(node);
            }
        }
        *map = ClusterMap { slots, nodes };
    }

    /// Nobody says which nodes there are, or somebody does.
    fn knows_nobody(&self, nobody: bool) {
        match (self.nobody.replace(nobody), nobody) {
            (false, true) => self.counts.open.add(),
            (true, false) => self.counts.open.minus(1),
            _ => {}
        }
    }

    fn is_well(&self) -> bool {
        let map = self.map.borrow();
        map.slots.is_whole() && map.slots.masters().all(|master| map.nodes.get(master).is_some_and(|node| node.is_up()))
    }
}

/// The outcome of asking which master has which slots.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Refreshed {
    Learnt,
    /// Somebody says no, and has been told of.
    Refused,
    Unanswered,
}

/// The name by which it is told that nobody answers.
const EVERY_NODE: &str = "every node";

/// Keeps the map right for as long as the client lives.
async fn tend(inner: Weak<ClientParts>) {
    let (mut pause, mut misses) = (RETRY.0, 0_u64);
    loop {
        let Some(alive) = inner.upgrade() else { return };
        let (began, refreshed) = (Instant::now(), alive.refresh().await);
        let learnt = refreshed == Refreshed::Learnt;
        misses = if learnt { 0 } else { misses.saturating_add(1) };
        let since = alive.unlearnt.get().map_or(began, |(since, _)| since);
        alive.unlearnt.set((!learnt).then_some((since, misses)));
        match misses {
            0 => alive.counts.is_back(EVERY_NODE),
            node::TOLD_AFTER => alive.counts.is_away(EVERY_NODE, refreshed == Refreshed::Refused),
            _ => {}
        }
        let nobody = misses >= node::TOLD_AFTER && alive.map.borrow().nodes.is_empty();
        alive.knows_nobody(nobody);
        let well = learnt && alive.is_well();
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
