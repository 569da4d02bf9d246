//! The outcome of a call's lookup: an answer, the lead to fetch one and keep it, or neither.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::HeaderMap;
use http::header::CACHE_CONTROL;
use sluicegate_dialects::Dialect;

use super::entry::{CacheEntry, Meta, Wall};
use super::key::{CacheQuery, Key, Uncacheable};
use super::lead::Lead;
use super::memory::{AnswerForm, Found, Lifetime, render};
use super::store::{Plan, Store, place};
use crate::compression::AnswerCoding;

/// The outcome for a call.
#[derive(Debug)]
pub enum CacheLookup {
    /// The answer.
    Hit(Hit),
    /// Nothing yet: fetch it, and let the lead see it pass. Dropped: nothing is kept.
    Lead(Lead),
    /// Fetch it; the cache has nothing to do with this call.
    Bypass(Uncacheable),
}

impl CacheLookup {
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

/// The layer that had the answer.
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
    /// True if `body` is an event stream.
    pub stream: bool,
    /// The coding that it is compressed in: only as the caller accepts it.
    pub coding: Option<AnswerCoding>,
    /// The layer that had it.
    pub layer: Layer,
    /// Its age; its whole seconds are the `age` header.
    pub age: Duration,
    /// Model, usage (what making it used, not what this call did) and times.
    pub meta: Arc<Meta>,
}

/// A call whose answer may be in Redis, and nowhere nearer.
#[derive(Debug)]
pub struct RedisQuestion {
    key: Key,
    form: AnswerForm,
    lifetime: Lifetime,
    dialect: Dialect,
    slot: Option<Key>,
}

impl RedisQuestion {
    /// The key of the call.
    #[must_use]
    pub const fn key(&self) -> &Key {
        &self.key
    }

    /// The place of the answer in Redis: in the slot of another key, if so is said.
    #[must_use]
    pub fn place(&self) -> String {
        place(&self.key, self.slot.as_ref())
    }

    /// The same of an answer that is kept in the slot of another key.
    #[must_use]
    pub fn in_slot_of(self, slot: Option<Key>) -> Self {
        Self { slot, ..self }
    }
}

impl Store {
    /// Looks for an answer to a call. Waits for Redis only, never longer than `redis::LIMIT`; what goes wrong there is a
    /// miss.
    pub async fn look_up(self: &Rc<Self>, plan: &Arc<Plan>, asked: &CacheQuery<'_>) -> CacheLookup {
        match self.look_here(plan, asked) {
            Ok(known) => known,
            Err(question) => self.ask_redis(plan, question).await,
        }
    }

    /// Looks in this process.
    ///
    /// # Errors
    /// Redis has to be asked.
    pub fn look_here(self: &Rc<Self>, plan: &Arc<Plan>, asked: &CacheQuery<'_>) -> Result<CacheLookup, RedisQuestion> {
        let wish = Wish::of(asked.headers);
        let key = if wish.store { plan.recipe.key(asked) } else { Err(Uncacheable::Asked) };
        let key = match key {
            Ok(key) => key,
            Err(why) => {
                self.stats().bypasses.add();
                return Ok(CacheLookup::Bypass(why));
            }
        };
        let form = match asked.accepts {
            _ if asked.stream => AnswerForm::Stream { usage: asked.stream_usage },
            Some(coding) => AnswerForm::Coded(coding),
            None => AnswerForm::Whole,
        };
        let lifetime = Lifetime { ttl: plan.settings.ttl.get(), max_age: wish.max_age };
        let question = RedisQuestion { key, form, lifetime, dialect: asked.dialect, slot: None };
        if !lifetime.ttl.min(lifetime.max_age).is_zero() {
            if let Some(hit) = self.in_memory(plan, &key, form, lifetime) {
                return Ok(CacheLookup::Hit(hit));
            }
            if self.remote.is_some() && plan.settings.redis {
                return Err(question);
            }
        }
        Ok(self.missed(plan, &question, false))
    }

    /// Looks in Redis.
    pub async fn ask_redis(self: &Rc<Self>, plan: &Arc<Plan>, question: RedisQuestion) -> CacheLookup {
        let kept = match &self.remote {
            Some(remote) => remote.get(&question.place()).await.ok().flatten(),
            None => None,
        };
        self.heard(plan, &question, kept.as_ref())
    }

    /// The outcome of a question of which this is what Redis keeps.
    pub fn heard(self: &Rc<Self>, plan: &Arc<Plan>, question: &RedisQuestion, kept: Option<&Bytes>) -> CacheLookup {
        let hit = kept.and_then(|kept| self.told_by_redis(plan, question, kept));
        match hit {
            Some(hit) => CacheLookup::Hit(hit),
            None => self.missed(plan, question, kept.is_some()),
        }
    }

    fn missed(self: &Rc<Self>, plan: &Arc<Plan>, question: &RedisQuestion, is_taken: bool) -> CacheLookup {
        self.stats().misses.add();
        CacheLookup::Lead(
            Lead::new(self, plan, question.key, question.dialect).in_slot_of(question.slot).beside(is_taken),
        )
    }

    fn in_memory(&self, plan: &Plan, key: &Key, form: AnswerForm, lifetime: Lifetime) -> Option<Hit> {
        let Found { meta, body, coding } = plan.memory.as_ref()?.get(key, form, lifetime, self.codec())?;
        self.stats().memory_hits.add();
        let age = meta.stored_at.age(Wall::now());
        Some(Hit { body, stream: form.is_stream(), coding, layer: Layer::Memory, age, meta })
    }

    fn told_by_redis(&self, plan: &Plan, question: &RedisQuestion, kept: &Bytes) -> Option<Hit> {
        let RedisQuestion { key, form, lifetime, .. } = *question;
        let Some((entry, readable)) = self.read(kept, form) else {
            self.stats().corrupt.add();
            return None;
        };
        // What a stream has no words for is no hit for who wants a stream.
        let (body, coding) = render(&readable, form, self.codec())?;
        let now = Wall::now();
        if !entry.meta.fresh(now, lifetime.ttl.min(lifetime.max_age)) {
            return None;
        }
        self.stats().redis_hits.add();
        let meta = Arc::clone(&entry.meta);
        if let Some(memory) = &plan.memory
            && self.shared.promotions.hit(&key, plan.settings.promotion, now)
        {
            self.stats().promotions.add();
            memory.put(key, entry);
        }
        let age = meta.stored_at.age(now);
        Some(Hit { body, stream: form.is_stream(), coding, layer: Layer::Redis, age, meta })
    }

    /// The entry as it is kept, and as the form is made of it: unpacked, unless the caller is given what is kept.
    fn read(&self, bytes: &Bytes, form: AnswerForm) -> Option<(CacheEntry, CacheEntry)> {
        let entry = CacheEntry::decode(bytes)?;
        let readable = if form == AnswerForm::Coded(AnswerCoding::Zstd) && entry.zstd().is_some() {
            entry.clone()
        } else {
            CacheEntry { meta: Arc::clone(&entry.meta), body: entry.whole(self.codec())?, packed: None }
        };
        Some((entry, readable))
    }
}

/// True if a caller's `Cache-Control` says that it wants an answer of its own.
#[must_use]
pub fn wants_its_own(headers: &HeaderMap) -> bool {
    let wish = Wish::of(headers);
    !wish.store || wish.max_age.is_zero()
}

/// The wish of a caller's `Cache-Control` (RFC 9111, 5.2.1).
#[derive(Debug, PartialEq, Eq)]
struct Wish {
    /// `no-store`: neither a kept answer nor keeping this one.
    store: bool,
    /// `max-age`; `no-cache` is an age of nothing: a fresh answer, which is kept.
    max_age: Duration,
}

impl Wish {
    fn of(headers: &HeaderMap) -> Self {
        let mut wish = Self { store: true, max_age: Duration::MAX };
        for value in headers.get_all(CACHE_CONTROL).iter().filter_map(|value| value.to_str().ok()) {
            for directive in value.split(',').map(str::trim) {
                let (name, argument) = directive.split_once('=').unwrap_or((directive, ""));
                if name.eq_ignore_ascii_case("no-store") {
                    wish.store = false;
                } else if name.eq_ignore_ascii_case("no-cache") {
                    wish.max_age = Duration::ZERO;
                } else if name.eq_ignore_ascii_case("max-age") {
                    // An age that can not be read is no age at all.
                    let seconds = argument.trim_matches('"').parse().unwrap_or(0);
                    wish.max_age = wish.max_age.min(Duration::from_secs(seconds));
                }
            }
        }
        wish
    }
}

#[cfg(test)]
mod tests;
