//! What the cache gives a call: an answer, the lead to fetch one and keep it, or neither.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use sluicegate_config::Cache;
use sluicegate_dialects::Dialect;
use sluicegate_dialects::hub::Reply;

use super::entry::{Entry, Meta, Wall};
use super::key::{Key, Uncacheable};
use super::recorder::{Recorder, read_whole};
use super::stats::Refused;
use super::store::{Plan, Store};

/// What a call is given.
#[derive(Debug)]
pub enum Seat {
    /// The answer.
    Hit(Hit),
    /// Nothing yet: fetch it, and let the lead see it pass. Dropped: nothing is kept.
    Lead(Lead),
    /// Fetch it; the cache has nothing to do with this call.
    Bypass(Uncacheable),
}

impl Seat {
    /// The value of the `x-cache` header.
    #[must_use]
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Hit(_) => "hit",
            Self::Lead(_) => "miss",
            Self::Bypass(_) => "bypass",
        }
    }
}

/// Which layer had the answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Layer {
    /// This process.
    Memory,
    /// Redis.
    Redis,
}

impl Layer {
    /// The value of the `x-sluicegate-cache` header.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Memory => "memory",
            Self::Redis => "redis",
        }
    }
}

/// An answer from the cache.
#[derive(Debug)]
pub struct Hit {
    /// The body in the form asked for: JSON, or a whole event stream.
    pub body: Bytes,
    /// Whether `body` is an event stream.
    pub stream: bool,
    /// Which layer had it.
    pub layer: Layer,
    /// How old it is; its whole seconds are the `age` header.
    pub age: Duration,
    /// Model, usage (what making it used, not what this call did) and times.
    pub meta: Arc<Meta>,
}

/// The right to keep the answer to a call.
#[derive(Debug)]
pub struct Lead {
    store: Rc<Store>,
    plan: Arc<Plan>,
    key: Key,
    dialect: Dialect,
}

impl Lead {
    pub(super) fn new(store: &Rc<Store>, plan: &Arc<Plan>, key: Key, dialect: Dialect) -> Self {
        Self { store: Rc::clone(store), plan: Arc::clone(plan), key, dialect }
    }

    /// The call's key.
    #[must_use]
    pub fn key(&self) -> &Key {
        &self.key
    }

    /// The answer came whole: keeps it if it is good, in a task of its own. Must be called within a `LocalSet`.
    pub fn whole(self, status: u16, body: &Bytes) {
        if status != 200 {
            return self.refuse(Refused::Status);
        }
        let body = body.clone();
        tokio::task::spawn_local(async move { self.conclude(&body) });
    }

    /// Like `whole` with status 200, at once and here.
    pub fn conclude(self, body: &Bytes) {
        match read_whole(self.dialect, body, &self.plan.settings) {
            Ok(reply) => self.keep(&reply, body),
            Err(why) => self.refuse(why),
        }
    }

    /// The answer comes as a stream, with status 200: feed it.
    #[must_use]
    pub fn recorder(self) -> Recorder {
        Recorder::new(self)
    }

    /// The answer is not one to keep.
    pub fn refuse(self, why: Refused) {
        self.store.stats().refuse(why);
    }

    pub(super) fn dialect(&self) -> Dialect {
        self.dialect
    }

    pub(super) fn settings(&self) -> &Cache {
        &self.plan.settings
    }

    pub(super) fn keep(self, reply: &Reply, whole: &Bytes) {
        let settings = &self.plan.settings;
        if u64::try_from(whole.len()).unwrap_or(u64::MAX) > settings.max_bytes {
            return self.refuse(Refused::Large);
        }
        let (body, packed) = self.store.codec().pack(whole, settings.compress_over);
        let meta = Meta {
            dialect: self.dialect,
            model: reply.model.as_str().into(),
            usage: reply.usage,
            stored_at: Wall::now(),
            ttl: settings.ttl.0,
        };
        self.store.put(&self.plan, self.key, Entry { meta: Arc::new(meta), body, packed });
    }
}
