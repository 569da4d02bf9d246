//! The key of a resource: its kind, and its id.

use sluicegate_config::compile::Reference as Named;
use sluicegate_config::{Kind, ObjectId};

/// A resource of ours.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Key {
    /// Its kind.
    pub kind: Kind,
    /// The object's id.
    pub id: ObjectId,
}

impl Key {
    /// From its parts.
    #[must_use]
    pub fn new(kind: Kind, namespace: &str, name: &str) -> Self {
        Self { kind, id: ObjectId(format!("{namespace}/{name}")) }
    }

    /// It, as others name it.
    #[must_use]
    pub fn named(&self) -> Named {
        Named::Object(self.kind, self.id.clone())
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
