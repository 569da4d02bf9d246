//! The steps that a kind takes, as a trait, and the values that they take and give.

use std::collections::BTreeSet;
use std::fmt;

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::super::compiled::Compiled;
use super::super::inputs::{Credentials, Fault, Inputs, Source};
use crate::{Kind, ObjectId, Snapshot};

/// Something that a resource names.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Reference {
    /// Another resource of ours.
    Object(Kind, ObjectId),
    /// A Secret.
    Secret(ObjectId),
    /// A Service.
    Service(ObjectId),
}

/// A `spec` that is to be compiled, or what keeps it from being read.
#[derive(Debug)]
pub enum Spec<'a> {
    /// As an API server sent it: JSON.
    Text(&'a str),
    /// As it was read from a manifest.
    Tree(Value),
    /// Not to be read.
    Faulty(Vec<Fault>),
}

/// A resource to be compiled.
#[derive(Debug)]
pub struct Resource<'a> {
    /// The object's id.
    pub id: ObjectId,
    /// Creation time in seconds since 1970; 0 from files.
    pub created: i64,
    /// The place where it was read.
    pub source: Source,
    /// Its `spec`.
    pub spec: Spec<'a>,
}

/// The new form of a published object.
#[derive(Clone, PartialEq, Eq)]
pub struct Form {
    /// Its revision; empty for credentials.
    pub revision: String,
    /// The text that proxies read.
    pub text: String,
}

impl fmt::Debug for Form {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The text may be credentials.
        f.debug_struct("Form").field("revision", &self.revision).finish_non_exhaustive()
    }
}

/// The steps of a kind.
pub trait KindSteps: Sync {
    /// The things that a `spec`, as JSON, names. One that cannot be read names nothing.
    fn references(&self, spec: &str, namespace: &str) -> BTreeSet<Reference>;

    /// The revision of a compiled form, as JSON, and the things that it names.
    fn references_of_compiled(&self, text: &str) -> Option<(String, BTreeSet<Reference>)>;

    /// Gives a resource to `compile`.
    fn give(&self, inputs: &mut Inputs<'_>, resource: Resource<'_>);

    /// Gives the form that was compiled last to `compile`.
    fn recall(&self, snapshot: &mut Snapshot, id: &ObjectId, text: &str);

    /// The form that was compiled now; `None`: it serves in none.
    fn form(&self, compiled: &Compiled, id: &ObjectId) -> Option<Form>;

    /// True if it serves in some form.
    fn serves(&self, snapshot: &Snapshot, id: &ObjectId) -> bool;

    /// Every object that a snapshot has of the kind, with its revision.
    fn all<'a>(&self, snapshot: &'a Snapshot) -> Vec<(&'a ObjectId, &'a str)>;

    /// The credentials that its form names, for kinds that have any.
    fn credentials(&self, _compiled: &Compiled, _id: &ObjectId) -> Credentials {
        Credentials::new()
    }

    /// True if proxies answer alike by two forms, but for endpoints.
    fn answers_alike(&self, one: &str, other: &str) -> bool {
        one == other
    }

    /// True if what was compiled now is to those that name it what the form before was.
    fn reads_alike(&self, _before: Option<&str>, _compiled: &Compiled, _id: &ObjectId) -> bool {
        true
    }

    /// The reason why it serves nobody, although every proxy may run it.
    fn idle(&self, _compiled: &Compiled, _id: &ObjectId) -> Option<&'static str> {
        None
    }
}

/// Plain values and string keys have no way to fail.
pub(super) fn form<T: Serialize>(revision: &str, content: &T) -> Option<Form> {
    Some(Form { revision: revision.to_owned(), text: serde_json::to_string(content).ok()? })
}

impl Spec<'_> {
    pub(super) fn read<S: DeserializeOwned>(self) -> Result<S, Vec<Fault>> {
        let read = match self {
            Self::Text(text) => serde_json::from_str(text),
            // The schema has let it through; what it may still say comes from the same types.
            Self::Tree(value) => serde_json::from_value(value),
            Self::Faulty(faults) => return Err(faults),
        };
        read.map_err(|error| vec![Fault { path: "spec".to_owned(), message: error.to_string() }])
    }
}
