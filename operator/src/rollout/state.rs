//! The rollout of an object over the proxies: plain values.

use std::collections::BTreeMap;

use sluicegate_config::ObjectId;
use sluicegate_config::compile::Kind;

/// A pod, as long as it is the same process's: another address or uid gets another number.
pub(super) type Number = u32;

/// The form of an object that proxies are to run.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Wanted {
    /// Revision of the published form.
    pub revision: String,
    /// `resourceVersion` of the ConfigMap that holds it; a proxy that runs the revision from another one may be about to
    /// run something else first. `None`: not known, any will do.
    pub version: Option<String>,
    /// `resourceVersion` of the published Secret, of pools that have one.
    pub credentials: Option<String>,
}

/// The rollout of an object over the proxies that take calls.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RolloutState {
    /// Enough is known to judge by. False for a moment after the operator's start.
    pub known: bool,
    /// Ready proxies.
    pub ready: usize,
    /// Of those, the ones that run what is wanted.
    pub running: usize,
    /// Pods of those that do not and have not refused it, the first three by name.
    pub lagging: Vec<String>,
    /// Pods that refused what is wanted, and why; the first eight by name.
    pub rejected: Vec<(String, String)>,
    /// Those of several keys that their provider refuses, as `provider/key`, and how many ready proxies have found that.
    pub refused_keys: BTreeMap<String, usize>,
}

impl RolloutState {
    /// True if waiting would change nothing: every ready proxy runs it or has refused it.
    #[must_use]
    pub fn is_settled(&self) -> bool {
        self.known && self.ready > 0 && self.lagging.is_empty()
    }
}

/// Objects whose standing may have changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Changed {
    /// Any of them: a proxy came, went or turned ready.
    All,
    /// These, each once.
    Objects(Vec<(Kind, ObjectId)>),
}
