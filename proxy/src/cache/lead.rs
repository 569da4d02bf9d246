//! The right to keep the answer to one call, under its key and by its rule's settings.

use std::rc::Rc;
use std::sync::Arc;

use bytes::Bytes;
use sluicegate_config::Cache;
use sluicegate_dialects::Dialect;
use sluicegate_dialects::hub::Reply;

use super::entry::{CacheEntry, Meta, Wall};
use super::key::Key;
use super::stats::Refused;
use super::store::{Plan, Store, place};

/// The right to keep the answer to a call.
#[derive(Debug)]
pub struct Lead {
    store: Rc<Store>,
    plan: Arc<Plan>,
    key: Key,
    /// The key in whose slot the answer lies in Redis, if not its own.
    slot: Option<Key>,
    /// True if Redis keeps something there that is no answer to this call: too old for its caller, or in a form that it has no words for.
    is_taken: bool,
    dialect: Dialect,
    /// Held until the answer is kept, or is known not to be.
    _seat: Option<Arc<dyn std::fmt::Debug + Send + Sync>>,
}

impl Lead {
    pub(super) fn new(store: &Rc<Store>, plan: &Arc<Plan>, key: Key, dialect: Dialect) -> Self {
        Self { store: Rc::clone(store), plan: Arc::clone(plan), key, slot: None, is_taken: false, dialect, _seat: None }
    }

    /// Of an answer that lies in the slot of another key in Redis.
    #[must_use]
    pub fn in_slot_of(self, slot: Option<Key>) -> Self {
        Self { slot, ..self }
    }

    /// Of a call for which something is kept there already that is no answer to it.
    #[must_use]
    pub(super) fn beside(self, is_taken: bool) -> Self {
        Self { is_taken, ..self }
    }

    /// The key in whose slot the answer lies in Redis, if not its own.
    #[must_use]
    pub const fn slot(&self) -> Option<&Key> {
        self.slot.as_ref()
    }

    /// The place of the answer in Redis, if it lies in the slot of another key and nothing was there: whatever is there later answers the call.
    #[must_use]
    pub fn free_place(&self) -> Option<String> {
        let is_looked_at = self.plan.settings.redis && self.store.remote.is_some() && !self.is_taken;
        let slot = self.slot.as_ref().filter(|_| is_looked_at)?;
        Some(place(&self.key, Some(slot)))
    }

    /// Holds this until the answer is kept, or is known not to be.
    #[must_use]
    pub fn seated(self, seat: Arc<dyn std::fmt::Debug + Send + Sync>) -> Self {
        Self { _seat: Some(seat), ..self }
    }

    /// The call's key.
    #[must_use]
    pub fn key(&self) -> &Key {
        &self.key
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
        self.store.put(&self.plan, (self.key, self.slot.as_ref()), CacheEntry { meta: Arc::new(meta), body, packed });
    }
}
