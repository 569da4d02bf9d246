//! Which resource: what kind, and its id.

use sluicegate_config::ObjectId;
use sluicegate_config::compile::Kind;

/// A resource of ours.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Key {
    /// Its kind.
    pub kind: Kind,
    /// Which one.
    pub id: ObjectId,
}

impl Key {
    /// From its parts.
    #[must_use]
    pub fn new(kind: Kind, namespace: &str, name: &str) -> Self {
        Self { kind, id: ObjectId(format!("{namespace}/{name}")) }
    }

    /// Namespace and name.
    #[must_use]
    pub fn parts(&self) -> (&str, &str) {
        parts(&self.id)
    }
}

/// Namespace and name of an id.
#[must_use]
pub fn parts(id: &ObjectId) -> (&str, &str) {
    id.0.split_once('/').unwrap_or(("", &id.0))
}
