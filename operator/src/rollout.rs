//! What proxies run: watches their Pods, keeps a stream of `config::rollout::Line` to each, and tells how an object stands.

use sluicegate_config::ObjectId;
use sluicegate_config::compile::Kind;

/// What proxies are to run of an object.
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

/// How an object stands with the proxies that take calls.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Standing {
    /// Ready proxies.
    pub ready: usize,
    /// Of those, the ones that run what is wanted.
    pub running: usize,
    /// Pods of those that do not, the first three by name.
    pub lagging: Vec<String>,
    /// Pods that refused what is wanted, and why.
    pub rejected: Vec<(String, String)>,
}

impl Standing {
    /// Whether waiting would change nothing: every ready proxy runs it, or one has refused it.
    #[must_use]
    pub fn is_settled(&self) -> bool {
        (self.ready > 0 && self.running == self.ready) || !self.rejected.is_empty()
    }
}

/// Objects whose standing may have changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Changed {
    /// Any of them: a proxy came, went or turned ready.
    All,
    /// These.
    Objects(Vec<(Kind, ObjectId)>),
}

/// What is known of all proxies. Shared by `Rc`: the operator runs on one thread.
#[derive(Debug, Default)]
pub struct Rollout {}

impl Rollout {
    /// How an object stands; `None` wanted: it is to run nowhere.
    #[must_use]
    pub fn standing(&self, _kind: Kind, _object: &ObjectId, _wanted: Option<&Wanted>) -> Standing {
        Standing::default()
    }

    /// Waits until the standing of some objects may have changed. Changes between two calls are kept, coalesced.
    pub async fn changed(&self) -> Changed {
        std::future::pending().await
    }
}
