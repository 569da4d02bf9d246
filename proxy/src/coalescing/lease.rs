//! The lease of a flight that proxies share, and what stands of the flight in Redis: who leads it, what has come, and that somebody
//! reads along.
//!
//! All of it lies in the slot of the cache's key, of which it names the digest. A lease is held by its token, and what a leader
//! tells is kept by that token too: one that has lost its lease writes where nobody looks who follows the next one.

use std::cell::Cell;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ::redis::{Cmd, Value};
use bytes::Bytes;

use super::frame::VERSION;
use crate::cache::Key;
use crate::count::Count;
use crate::memory::{Allowance, Charge};
use crate::redis::{RedisClient, Script, Unanswered};

/// A leader that has not been heard of for so long is gone: nothing of its answer has been told …
pub(super) const WAITING_LEASE: Duration = Duration::from_secs(3);
/// … or something has, and who heard it can not begin anew.
pub(super) const STREAMING_LEASE: Duration = Duration::from_secs(10);
/// The time for which a mark that somebody reads along is believed.
pub(super) const WATCH: Duration = Duration::from_secs(3);
/// The words of leases that are over are told this often: many in one write, and none while calls come one by one.
const TOGETHER: Duration = Duration::from_millis(5);
/// The first byte of what its leader has given up.
const GIVEN_UP: u8 = 0;
/// The most bytes that are read at once.
pub(super) const CHUNK: usize = 256 << 10;
/// The most flights of other proxies that a worker reads at once; calls beyond go alone.
const MOST_FOLLOWED: usize = 1_024;

/// The counts of flights that proxies share; one per process.
#[derive(Debug, Default)]
pub struct RemoteCounts {
    /// Flights of which this proxy had the lease.
    pub led: Count,
    /// Flights of another proxy that this one read.
    pub followed: Count,
    /// Flights that it went on with when their leader was gone.
    pub taken_over: Count,
    /// Flights that it had by itself: Redis did not answer, or there were too many, or too much to tell.
    pub alone: Count,
    /// Questions to Redis: for a lease …
    pub claims: Count,
    /// … to renew it and to tell what has come …
    pub publishes: Count,
    /// … and for what has come.
    pub polls: Count,
}

/// One worker's access to the flights that proxies share.
pub struct RemoteFlights {
    redis: RedisClient,
    claim: Script,
    publish: Script,
    pub(super) counts: Arc<RemoteCounts>,
    memory: Arc<Allowance>,
    followed: Cell<usize>,
    /// The flights that are told to other proxies right now.
    told: Cell<usize>,
    since: Instant,
}

impl std::fmt::Debug for RemoteFlights {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RemoteFlights").finish_non_exhaustive()
    }
}

/// The lease of a flight: its places in Redis, and the token of who leads it.
#[derive(Debug)]
pub(super) struct FlightLease {
    token: String,
    lease: String,
    data: String,
    watched: String,
}

impl FlightLease {
    /// Of the leader with this token.
    pub(super) fn of(key: &Key, token: String) -> Self {
        let lease = format!("sluicegate:{{{}}}:flight", key.hex());
        let data = format!("{lease}:{token}");
        let watched = format!("{data}:watched");
        Self { token, lease, data, watched }
    }

    /// One of our own.
    pub(super) fn fresh(key: &Key) -> Self {
        Self::of(key, format!("{:032x}", rand::random::<u128>()))
    }

    /// The token of its leader.
    pub(super) fn token(&self) -> &str {
        &self.token
    }
}

/// The fate of a lease, said with what is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum LeaseWord {
    /// It is renewed.
    Hold,
    /// A call that comes from now on leads another flight.
    Yield,
    /// All is over, unless somebody reads along: who came after the answer had ended, if that is known, does not.
    Leave(Option<Instant>),
    /// All is over.
    Abandon,
}

impl LeaseWord {
    const fn word(self) -> &'static [u8] {
        match self {
            Self::Hold => b"hold",
            Self::Yield => b"yield",
            Self::Leave(_) => b"leave",
            Self::Abandon => b"abandon",
        }
    }

    /// The microseconds since the answer ended, where that counts.
    fn age(self) -> String {
        match self {
            Self::Leave(Some(ended)) => ended.elapsed().as_micros().to_string(),
            _ => String::new(),
        }
    }
}

/// The state of what is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct FlightAck {
    /// Its length; 0: it has lapsed.
    pub(super) length: usize,
    /// True if somebody reads along.
    pub(super) watched: bool,
}

/// The news of a flight.
#[derive(Debug)]
pub(super) struct FlightNews {
    /// The length of all; 0: it has lapsed.
    pub(super) length: usize,
    /// The bytes after those that are known.
    pub(super) bytes: Bytes,
    /// Its leader has said that nothing comes any more. Without that, what is missing is lost, or its leader gone.
    pub(super) is_given_up: bool,
}

impl FlightNews {
    /// True if there is less than was read already, or nothing.
    pub(super) const fn lacks(&self, place: usize) -> bool {
        self.length == 0 || self.length < place
    }
}

impl RemoteFlights {
    /// Over this worker's connections to Redis.
    #[must_use]
    pub fn new(redis: RedisClient, counts: &Arc<RemoteCounts>, memory: &Arc<Allowance>) -> Rc<Self> {
        let claim = Script::new(include_str!("claim.lua"));
        let publish = Script::new(include_str!("publish.lua"));
        let (counts, memory) = (Arc::clone(counts), Arc::clone(memory));
        Rc::new(Self {
            redis,
            claim,
            publish,
            counts,
            memory,
            followed: Cell::new(0),
            told: Cell::new(0),
            since: Instant::now(),
        })
    }

    /// True if other proxies read what this worker tells.
    #[must_use]
    pub fn is_read(&self) -> bool {
        self.told.get() > 0
    }

    /// Takes a lease, also from a leader that is gone, and from `before`, a flight of this process; but not if an answer is kept at `place`, which
    /// is in the same slot.
    pub(super) async fn claim(
        &self,
        ours: &FlightLease,
        (gone, before): (Option<&str>, Option<&str>),
        place: Option<&str>,
    ) -> Result<LeaseClaim, Unanswered> {
        self.counts.claims.add();
        let (lease, watch) = (millis(WAITING_LEASE), millis(WATCH));
        let keys = [ours.lease.as_str(), &ours.data, &ours.watched, place.unwrap_or_default()];
        let keys = if place.is_some() { &keys[..] } else { &keys[..3] };
        let (gone, before) = (gone.unwrap_or_default().as_bytes(), before.unwrap_or_default().as_bytes());
        let arguments = [ours.token.as_bytes(), lease.as_bytes(), gone, &[VERSION], watch.as_bytes(), before];
        LeaseClaim::read(self.redis.eval(&self.claim, keys, &arguments).await?)
    }

    /// The answer that is kept at a place in the same slot, and the outcome of a claim, both in one question.
    pub(super) async fn claim_unless_kept(
        &self,
        ours: &FlightLease,
        before: Option<&str>,
        place: &str,
    ) -> Result<(Option<Bytes>, Result<LeaseClaim, Unanswered>), Unanswered> {
        self.counts.claims.add();
        let (lease, watch) = (millis(WAITING_LEASE), millis(WATCH));
        let keys = [ours.lease.as_str(), &ours.data, &ours.watched, place];
        let before = before.unwrap_or_default().as_bytes();
        let arguments = [ours.token.as_bytes(), lease.as_bytes(), &[], &[VERSION], watch.as_bytes(), before];
        let (kept, said) = self.redis.get_and_eval(place, (&self.claim, &keys), &arguments).await?;
        Ok((kept, said.and_then(LeaseClaim::read)))
    }

    /// Gives a lease back, some time soon.
    pub(super) fn give_up(&self, lease: &FlightLease) {
        self.counts.publishes.add();
        let (life, word) = (millis(WAITING_LEASE), LeaseWord::Abandon.word());
        let keys = [lease.lease.as_str(), &lease.data, &lease.watched];
        let arguments: [&[u8]; 6] = [lease.token.as_bytes(), life.as_bytes(), b"1", b"", word, b""];
        self.redis.eval_soon(&self.publish, &keys, &arguments);
    }

    /// Waits for the next moment at which the words of several flights go to Redis together.
    pub(super) async fn together(&self) {
        let passed = self.since.elapsed().as_micros() % TOGETHER.as_micros();
        let left = TOGETHER.saturating_sub(Duration::from_micros(u64::try_from(passed).unwrap_or_default()));
        tokio::time::sleep(left).await;
    }

    /// Tells what has come since `place`; all of it lives so long from now on.
    pub(super) async fn publish(
        &self,
        lease: &FlightLease,
        (place, bytes): (usize, &[u8]),
        (word, life): (LeaseWord, Duration),
    ) -> Result<FlightAck, Unanswered> {
        self.counts.publishes.add();
        let (life, place) = (millis(life), place.to_string());
        let keys = [lease.lease.as_str(), &lease.data, &lease.watched];
        let age = word.age();
        let arguments = [lease.token.as_bytes(), life.as_bytes(), place.as_bytes(), bytes, word.word(), age.as_bytes()];
        match self.redis.eval(&self.publish, &keys, &arguments).await? {
            Value::Array(answer) => match answer.as_slice() {
                [Value::Int(length), Value::Int(watched)] => {
                    let length = usize::try_from(*length).map_err(|_| Unanswered::Refused)?;
                    Ok(FlightAck { length, watched: *watched != 0 })
                }
                _ => Err(Unanswered::Refused),
            },
            _ => Err(Unanswered::Refused),
        }
    }

    /// Asks for what has come after `place`; marks, if it is time to, that somebody reads along.
    pub(super) async fn poll(&self, lease: &FlightLease, place: usize, mark: bool) -> Result<FlightNews, Unanswered> {
        self.counts.polls.add();
        let mut commands = vec![Cmd::new(), Cmd::new(), Cmd::new()];
        if let [range, length, first] = commands.as_mut_slice() {
            range.arg("GETRANGE").arg(&lease.data).arg(place).arg(place + CHUNK - 1);
            length.arg("STRLEN").arg(&lease.data);
            first.arg("GETRANGE").arg(&lease.data).arg(0).arg(0);
        }
        if mark {
            // Who polls again has come long ago: where the mark is lost, it is as old as any.
            let (mut set, mut renew) = (Cmd::new(), Cmd::new());
            set.arg("SET").arg(&lease.watched).arg(0).arg("PX").arg(millis(WATCH)).arg("NX");
            renew.arg("PEXPIRE").arg(&lease.watched).arg(millis(WATCH));
            commands.extend([set, renew]);
        }
        let mut answers = self.redis.pipeline(&[&lease.data, &lease.watched], &commands).await?.into_iter();
        match (answers.next(), answers.next(), answers.next()) {
            (Some(Ok(Value::BulkString(bytes))), Some(Ok(Value::Int(length))), Some(Ok(Value::BulkString(first)))) => {
                let length = usize::try_from(length).map_err(|_| Unanswered::Refused)?;
                Ok(FlightNews { length, bytes: bytes.into(), is_given_up: first == [GIVEN_UP] })
            }
            _ => Err(Unanswered::Away),
        }
    }

    /// One more flight of another proxy is read; `None`: there are too many.
    pub(super) fn follows(self: &Rc<Self>) -> Option<SharedFlightCount> {
        (self.followed.get() < MOST_FOLLOWED).then(|| SharedFlightCount::on(self, |remote| &remote.followed))
    }

    /// One more flight is told.
    pub(super) fn tells(self: &Rc<Self>) -> SharedFlightCount {
        SharedFlightCount::on(self, |remote| &remote.told)
    }

    /// A charge for bytes that are held.
    pub(super) fn charge(&self) -> Charge {
        self.memory.nothing()
    }
}

/// The outcome of asking for a lease.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum LeaseClaim {
    /// It is ours.
    Taken,
    /// The leader with this token has it.
    Held(String),
    /// Nobody needs it: the answer is kept.
    Kept,
}

impl LeaseClaim {
    fn read(answer: Value) -> Result<Self, Unanswered> {
        match answer {
            Value::Nil => Ok(Self::Taken),
            Value::BulkString(word) if word == b"kept" => Ok(Self::Kept),
            // It becomes part of a key.
            Value::BulkString(token) => {
                String::from_utf8(token).ok().filter(|token| is_token(token)).map(Self::Held).ok_or(Unanswered::Refused)
            }
            _ => Err(Unanswered::Refused),
        }
    }
}

fn millis(time: Duration) -> String {
    time.as_millis().to_string()
}

fn is_token(token: &str) -> bool {
    token.len() == 32 && token.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// One more in a count of a worker's, for as long as it lives.
#[derive(Debug)]
pub(super) struct SharedFlightCount {
    remote: Rc<RemoteFlights>,
    count: fn(&RemoteFlights) -> &Cell<usize>,
}

impl SharedFlightCount {
    fn on(remote: &Rc<RemoteFlights>, count: fn(&RemoteFlights) -> &Cell<usize>) -> Self {
        count(remote).set(count(remote).get() + 1);
        Self { remote: Rc::clone(remote), count }
    }
}

impl Drop for SharedFlightCount {
    fn drop(&mut self) {
        let count = (self.count)(&self.remote);
        count.set(count.get().saturating_sub(1));
    }
}
