//! One node of Redis: its connection, and its breaker.
//!
//! A node is up or away. The first timeout, broken connection or word that it can not serve takes it away; a task then
//! connects again and asks for a `PING`, after a pause that grows each time. So a blip costs a tenth of a second of
//! misses, and a node that answers pings but no questions costs one call `LIMIT` at ever longer intervals.

use std::cell::{Cell, RefCell};
use std::pin::pin;
use std::rc::{Rc, Weak};
use std::sync::Arc;
use std::time::Duration;

use ::redis::aio::MultiplexedConnection;
use ::redis::{
    AsyncConnectionConfig, Client, Cmd, ConnectionInfo, ErrorKind, Pipeline, RedisError, RedisResult, ServerErrorKind,
    Value,
};
use tokio::time::{Instant, timeout, timeout_at};

use super::counts::RedisCounts;
use super::slots::Address;

/// No call waits longer for Redis. Its own tests, which run beside others on a busy machine, do.
pub const LIMIT: Duration = Duration::from_millis(if cfg!(test) { 250 } else { 50 });
/// To have a connection, TLS and greeting included.
pub(super) const CONNECT: Duration = Duration::from_secs(1);
/// First and longest pause before an attempt to be up again.
const PAUSE: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(10));
/// A node that is away is told of after so many attempts: what is over sooner is no trouble.
pub(super) const TOLD_AFTER: u64 = 4;
/// A node is trusted again, and its next pause is short, after this many answers in a row.
const TRUSTED: u32 = 64;
/// A worker that looks so much later than it wanted to was held up …
const HELD_UP: Duration = Duration::from_millis(5);
/// … and waits so much longer.
const MORE: Duration = Duration::from_millis(20);
/// … or once it has answered, and was not lost for this long.
const WELL: Duration = Duration::from_secs(1);
/// At most this many questions wait on one node.
const MAX_WAITING: u32 = 4096;

/// The reason why there is no answer.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Trouble {
    /// It was not asked: away, not connected yet, or too many wait.
    Away,
    /// It has been taken away for this.
    Failed {
        /// It did not answer in time.
        timed_out: bool,
    },
    /// Another node has the slot.
    Moved(Address),
    /// Another node has this key already; the slot is on its way there.
    Ask(Address),
    /// It does not know a script by this digest.
    NoScript,
    /// It said no to this one question.
    Refused,
}

/// One node.
pub(super) struct Node {
    address: Address,
    info: ConnectionInfo,
    counts: Arc<RedisCounts>,
    link: RefCell<Option<MultiplexedConnection>>,
    /// Counts connections: only the connection that failed is taken away, once.
    epoch: Cell<u64>,
    failures: Cell<u32>,
    answers: Cell<u32>,
    /// The time of its last connection.
    up_since: Cell<Instant>,
    waiting: Cell<u32>,
    /// It was asked something since somebody last looked.
    asked: Cell<bool>,
    /// The time of its last loss, and whether it can not serve: it has said so, or could not be connected to since.
    lost: Cell<(Instant, bool)>,
}

impl std::fmt::Debug for Node {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // How to connect to it holds a password.
        f.debug_struct("Node").field("address", &self.address).field("up", &self.is_up()).finish_non_exhaustive()
    }
}

/// Connects; answers are bounded where they are asked for, not a second time by the library. Must be bounded by the caller:
/// the library has been seen to wait for ever (redis-rs issue 1953). What the node says unasked (RESP3's push messages) the
/// library drops, for nobody here listens.
pub(super) async fn connect(info: &ConnectionInfo) -> RedisResult<MultiplexedConnection> {
    let config = AsyncConnectionConfig::new().set_connection_timeout(Some(CONNECT)).set_response_timeout(None);
    Client::open(info.clone())?.get_multiplexed_async_connection_with_config(&config).await
}

/// A question to one node.
#[derive(Clone, Copy)]
pub(super) enum Question<'a> {
    /// One command.
    One(&'a Cmd),
    /// One command about a slot that is on its way to this node.
    Asking(&'a Cmd),
    /// Several commands, in one write.
    Many(&'a Pipeline),
}

impl Question<'_> {
    /// One answer, or a list of those to each command, errors among them.
    async fn put(self, link: &mut MultiplexedConnection) -> RedisResult<Value> {
        match self {
            Self::One(command) => send(link, command).await,
            Self::Asking(command) => {
                let mut both = Pipeline::new();
                both.cmd("ASKING").add_command(command.clone());
                let answer = link.send_packed_commands(&both, 1, 1).await?.into_iter().next();
                answer.unwrap_or(Value::Nil).extract_error()
            }
            Self::Many(pipeline) => link.send_packed_commands(pipeline, 0, pipeline.len()).await.map(Value::Array),
        }
    }
}

/// Asks something on a connection; an error that the server answers is an error here.
pub(super) async fn send(link: &mut MultiplexedConnection, command: &Cmd) -> RedisResult<Value> {
    link.send_packed_command(command).await?.extract_error()
}

impl Node {
    /// A node, away until it is connected, which begins at once.
    pub(super) fn new(address: Address, info: ConnectionInfo, counts: &Arc<RedisCounts>) -> Rc<Self> {
        let node = Rc::new(Self {
            address,
            info,
            counts: Arc::clone(counts),
            link: RefCell::new(None),
            epoch: Cell::new(0),
            failures: Cell::new(0),
            answers: Cell::new(0),
            up_since: Cell::new(Instant::now()),
            waiting: Cell::new(0),
            asked: Cell::new(true),
            lost: Cell::new((Instant::now(), false)),
        });
        counts.open.add();
        tokio::task::spawn_local(recover(Rc::downgrade(&node), Duration::ZERO));
        node
    }

    pub(super) fn address(&self) -> &Address {
        &self.address
    }

    pub(super) fn info(&self) -> &ConnectionInfo {
        &self.info
    }

    pub(super) fn is_up(&self) -> bool {
        self.link.borrow().is_some()
    }

    /// The time since when it can not serve; `None`: it may, or is left alone for a moment.
    pub(super) fn away_since(&self) -> Option<Instant> {
        let (since, is_gone) = self.lost.get();
        (is_gone && !self.is_up()).then_some(since)
    }

    /// True if it was asked something since this was last asked.
    pub(super) fn was_asked(&self) -> bool {
        self.asked.replace(false)
    }

    /// Asks it something.
    pub(super) async fn ask(self: &Rc<Self>, question: Question<'_>, until: Instant) -> Result<Value, Trouble> {
        self.asked.set(true);
        let link = self.link.borrow().clone();
        let Some(mut link) = link.filter(|_| self.waiting.get() < MAX_WAITING) else { return Err(Trouble::Away) };
        let epoch = self.epoch.get();
        let answer = {
            let _waiting = WaitingReply::on(&self.waiting);
            in_time(question.put(&mut link), until).await
        };
        match answer {
            Some(Ok(value)) => {
                self.answered();
                Ok(value)
            }
            Some(Err(error)) => {
                self.counts.says_no(&self.address.to_string(), &error);
                match judge(&error) {
                    Trouble::Failed { timed_out } => {
                        self.fail(epoch, !timed_out && !error.is_io_error());
                        Err(Trouble::Failed { timed_out })
                    }
                    other => {
                        self.answered();
                        Err(other)
                    }
                }
            }
            None => {
                self.fail(epoch, false);
                Err(Trouble::Failed { timed_out: true })
            }
        }
    }

    fn answered(&self) {
        let answers = self.answers.get().saturating_add(1);
        self.answers.set(answers);
        if answers == TRUSTED {
            self.failures.set(0);
        }
    }

    /// Takes the node away, if nobody has since that connection. `says_so`: it can not serve by its own word.
    fn fail(self: &Rc<Self>, epoch: u64, says_so: bool) {
        if self.epoch.get() != epoch || self.link.borrow_mut().take().is_none() {
            return;
        }
        self.counts.open.add();
        self.lost.set((Instant::now(), says_so));
        // One that has answered for a while was well: what was before is no part of this.
        let was_well = self.answers.replace(0) > 0 && self.up_since.get().elapsed() >= WELL;
        let failures = if was_well { 1 } else { self.failures.get().saturating_add(1) };
        self.failures.set(failures);
        let pause = (PAUSE.0 * 2_u32.saturating_pow(failures - 1)).min(PAUSE.1);
        // Workers and pods fail together; they need not come back together.
        let pause = pause.mul_f64(0.75 + rand::random::<f64>() / 2.0);
        tokio::task::spawn_local(recover(Rc::downgrade(self), pause));
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        if !self.is_up() {
            self.counts.open.minus(1);
        }
    }
}

/// The answer, if it is there in time. A worker that was given no processor until after that time has not waited for Redis: its question
/// may not have been written, and its answer not read. It waits a little more.
async fn in_time<T>(answer: impl Future<Output = T>, until: Instant) -> Option<T> {
    let mut answer = pin!(answer);
    if let Ok(answer) = timeout_at(until, answer.as_mut()).await {
        return Some(answer);
    }
    let now = Instant::now();
    if now.saturating_duration_since(until) < HELD_UP {
        return None;
    }
    timeout_at(now + MORE, answer).await.ok()
}

/// Brings a node up again; ends with it.
async fn recover(node: Weak<Node>, mut pause: Duration) {
    for attempts in 1_u64.. {
        tokio::time::sleep(pause).await;
        let Some(info) = node.upgrade().map(|node| node.info.clone()) else { return };
        let link = timeout(CONNECT, async {
            let mut link = connect(&info).await?;
            // Beyond the limit of a call it would only be taken away again.
            let mut ping = Cmd::new();
            ping.arg("PING");
            match timeout(LIMIT, send(&mut link, &ping)).await {
                Ok(answer) => answer.map(|_| link),
                Err(_) => Err(RedisError::from((ErrorKind::Io, "no answer to a PING in time"))),
            }
        });
        let link = link.await;
        let Some(node) = node.upgrade() else { return };
        let name = node.address.to_string();
        let says_no = matches!(&link, Ok(Err(error)) if node.counts.says_no(&name, error));
        if let Ok(Ok(link)) = link {
            *node.link.borrow_mut() = Some(link);
            node.up_since.set(Instant::now());
            node.epoch.set(node.epoch.get() + 1);
            node.counts.open.minus(1);
            node.counts.is_back(&name);
            return;
        }
        node.lost.set((node.lost.get().0, true));
        if attempts == TOLD_AFTER {
            node.counts.is_away(&name, says_no);
        }
        pause = (pause * 2).clamp(PAUSE.0, PAUSE.1);
    }
}

/// The trouble with the node that an error tells of.
pub(super) fn judge(error: &RedisError) -> Trouble {
    let redirection = error.redirect_node().and_then(|(to, _slot)| Address::read(to));
    match (error.kind(), redirection) {
        (ErrorKind::Server(ServerErrorKind::Moved), Some(to)) => return Trouble::Moved(to),
        (ErrorKind::Server(ServerErrorKind::Ask), Some(to)) => return Trouble::Ask(to),
        (ErrorKind::Server(ServerErrorKind::NoScript), _) => return Trouble::NoScript,
        _ => {}
    }
    let cannot_serve = matches!(
        error.kind(),
        ErrorKind::Server(
            ServerErrorKind::ClusterDown
                | ServerErrorKind::MasterDown
                | ServerErrorKind::BusyLoading
                | ServerErrorKind::ReadOnly
        )
    );
    if cannot_serve || error.is_io_error() || error.is_timeout() || error.is_connection_dropped() {
        return Trouble::Failed { timed_out: error.is_timeout() };
    }
    Trouble::Refused
}

/// One more that waits.
struct WaitingReply<'a>(&'a Cell<u32>);

impl<'a> WaitingReply<'a> {
    fn on(count: &'a Cell<u32>) -> Self {
        count.set(count.get() + 1);
        Self(count)
    }
}

impl Drop for WaitingReply<'_> {
    fn drop(&mut self) {
        self.0.set(self.0.get() - 1);
    }
}
