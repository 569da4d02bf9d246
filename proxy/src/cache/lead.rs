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
use super::store::{Plan, Store};

/// The right to keep the answer to a call.
#[derive(Debug)]
pub struct Lead {
    store: Rc<Store>,
    plan: Arc<Plan>,
    key: Key,
    dialect: Dialect,
    /// Held until the answer is kept, or is known not to be.
    _seat: Option<Arc<dyn std::fmt::Debug + Send + Sync>>,
}

impl Lead {
    pub(super) fn new(store: &Rc<Store>, plan: &Arc<Plan>, key: Key, dialect: Dialect) -> Self {
        Self { store: Rc::clone(store), plan: Arc::clone(plan), key, dialect, _seat: None }
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
        self.store.put(&self.plan, self.key, CacheEntry { meta: Arc::new(meta), body, packed });
    }
}
