//! A consumer made ready: its names, its tests compiled; and the callers that a route is for.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use sluicegate_config::{Access, Consumer, ConsumerMatch, KeyDigest, ObjectId};
use sluicegate_dialects::verbatim::VendorLabels;

use crate::account::ConsumerName;
use crate::concurrency::{GateScope, PreparedGate};
use crate::limit::{LimitScope, PreparedBudget, PreparedLimit, SUBJECT_MARK, SharedLimits};
use crate::matching::ModelTest;

/// The digest of a key, the time from which on it is refused, in seconds since 1970, and its name.
type HeldKey = (KeyDigest, Option<i64>, Arc<str>);

/// A consumer of the configuration.
pub(crate) struct KnownConsumer {
    /// Its name, in logs and metrics.
    pub(crate) name: Arc<ConsumerName>,
    /// The consumer by whose name it is selected: itself, or the template that it was made of.
    selected_as: Arc<ObjectId>,
    pub(super) created: i64,
    pub(super) disabled: bool,
    /// Its keys.
    pub(super) keys: Box<[HeldKey]>,
    /// Of a group: the consumers whose calls its budgets count.
    pub(super) members: Option<ConsumerMatch>,
    /// The issuer of the tokens that it is known by, if it is known by any.
    pub(super) issuer: Option<Box<str>>,
    labels: BTreeMap<String, String>,
    /// Those of them that providers are told.
    pub(crate) told_to_providers: Option<VendorLabels>,
    /// Empty: every model.
    models: Box<[ModelTest]>,
    /// The limits of its calls, whichever way they go.
    pub(crate) limits: Box<[PreparedLimit]>,
    /// Their budgets.
    pub(crate) budgets: Box<[PreparedBudget]>,
    /// Its place in queues: higher numbers go first.
    pub(crate) priority: i32,
    /// The most of its calls that providers work on at once.
    pub(crate) concurrency: Option<PreparedGate>,
    /// Of the compiled form it was made of.
    pub(super) revision: Box<str>,
    /// Stands for it where answers are kept apart by caller.
    identity: [u8; 32],
}

impl KnownConsumer {
    /// Makes it ready, under a name that may have been there before.
    pub(super) fn new(name: Arc<ConsumerName>, from: &Consumer, shared: &SharedLimits) -> Self {
        let id = Arc::clone(name.id());
        Self::made(name, (id, from), None, shared)
    }

    /// Makes that of a subject, by its template. Its limits and budgets are its own.
    pub(super) fn of_subject((id, from): (&Arc<ObjectId>, &Consumer), subject: &str, shared: &SharedLimits) -> Self {
        let name = Arc::new(ConsumerName::new(Arc::new(ObjectId(format!("{}/{subject}", id.0)))));
        let mut own = from.clone();
        for budget in &mut own.budgets {
            budget.of = format!("{}{SUBJECT_MARK}{subject}", budget.of);
        }
        own.keys.clear();
        Self::made(name, (Arc::clone(id), &own), Some(id.0.as_str()), shared)
    }

    fn made(
        name: Arc<ConsumerName>,
        (selected_as, from): (Arc<ObjectId>, &Consumer),
        template: Option<&str>,
        shared: &SharedLimits,
    ) -> Self {
        if !from.limits.is_empty() || !from.budgets.is_empty() {
            shared.put_in_use();
        }
        let charged = from.chargeback.iter().filter_map(|label| Some((label.clone(), from.labels.get(label)?.clone())));
        let charged: Vec<(String, String)> = charged.collect();
        let told_to_providers = from.chargeback_to_providers.then(|| VendorLabels::of(&charged));
        name.charge(charged);
        let of_it = name.id().0.as_str();
        let scope = match template {
            Some(template) => LimitScope::Subject { template, of_it },
            None => LimitScope::Consumer(of_it),
        };
        let limit = |limit| PreparedLimit::of(shared.gateway(), scope, limit);
        let mut identity = blake3::Hasher::new_derive_key("sluicegate consumer identity for cached answers v1");
        identity.update(name.id().0.as_bytes());
        Self {
            created: from.created,
            disabled: from.disabled,
            keys: from.keys.iter().map(|key| (key.digest, key.expires_at, key.written_name().into())).collect(),
            members: from.members.clone(),
            issuer: from.jwt.as_ref().map(|jwt| jwt.issuer.as_str().into()),
            labels: from.labels.clone(),
            told_to_providers,
            models: from.models.iter().map(|model| ModelTest::of(Some(model))).collect(),
            limits: from.limits.iter().map(limit).collect(),
            budgets: from.budgets.iter().map(|budget| PreparedBudget::of(shared.gateway(), budget)).collect(),
            priority: from.priority,
            concurrency: from.concurrency.as_ref().map(|own| shared.gate(GateScope::Consumer(&name.id().0), own)),
            revision: from.revision.as_str().into(),
            identity: *identity.finalize().as_bytes(),
            selected_as,
            name,
        }
    }

    /// Its id.
    pub(crate) fn id(&self) -> &Arc<ObjectId> {
        self.name.id()
    }

    /// The id by which it is selected: its own, or that of the template that it was made of.
    pub(super) fn selected_as(&self) -> &ObjectId {
        &self.selected_as
    }

    /// Of two with one key, or one token, the older is known by it, then the one with the smaller id.
    pub(super) fn order(&self) -> (i64, &str) {
        (self.created, &self.id().0)
    }

    /// True if it may ask for a model.
    pub(crate) fn may_ask_for(&self, model: &str) -> bool {
        self.models.is_empty() || self.models.iter().any(|test| test.holds(model))
    }

    /// True if there are models that it may not ask for.
    pub(crate) fn is_limited(&self) -> bool {
        !self.models.is_empty()
    }

    /// True if it is one of those that are selected.
    pub(crate) fn is_selected(&self, by: &ConsumerMatch) -> bool {
        let parts = self.selected_as.0.split_once('/').unwrap_or(("", &self.selected_as.0));
        by.holds(parts, &self.labels)
    }

    /// Stands for it where answers are kept apart by caller: all of its keys are one caller.
    pub(crate) fn identity(&self) -> [u8; 32] {
        self.identity
    }
}

impl fmt::Debug for KnownConsumer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KnownConsumer({})", self.id().0)
    }
}

/// The callers that a route is for.
#[derive(Debug)]
pub(crate) enum RouteAccess {
    /// With a key or without.
    Anyone,
    /// Every consumer.
    Known,
    /// These consumers.
    Selector(ConsumerMatch),
}

impl RouteAccess {
    /// The word of a route, or else the gateway.
    pub(crate) fn of(from: Option<&Access>, known_only: bool) -> Self {
        match from {
            Some(Access::Anyone) => Self::Anyone,
            Some(Access::Known) => Self::Known,
            Some(Access::Selector(selector)) => Self::Selector(selector.clone()),
            None if known_only => Self::Known,
            None => Self::Anyone,
        }
    }

    /// True if a caller is one of them.
    pub(crate) fn permits(&self, consumer: Option<&KnownConsumer>) -> bool {
        match self {
            Self::Anyone => true,
            Self::Known => consumer.is_some(),
            Self::Selector(selector) => consumer.is_some_and(|consumer| consumer.is_selected(selector)),
        }
    }
}
