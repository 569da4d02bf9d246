//! The steps that a kind takes, as a trait, and the values that they take and give.

use std::collections::BTreeSet;
use std::fmt;

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::super::compiled::Compiled;
use super::super::generated_secret::WantedKey;
use super::super::inputs::{Credentials, Fault, Inputs, Manifest, Source};
use crate::{Budget, CompiledForm, CountedLimit, Kind, ObjectId, Snapshot};

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

/// The steps of a kind, for who walks kinds and knows none by name.
pub trait KindSteps: Sync {
    /// The things that a `spec`, as JSON, names. One that cannot be read names nothing.
    fn references(&self, spec: &str, namespace: &str) -> BTreeSet<Reference>;

    /// The keys that a `spec`, as JSON, asks to be made for it. One that cannot be read asks for none.
    fn generated(&self, spec: &str, namespace: &str) -> Vec<WantedKey>;

    /// The revision of a compiled form, as JSON, and the things that it names.
    fn references_of_compiled(&self, text: &str) -> Option<(String, BTreeSet<Reference>)>;

    /// Gives a resource to `compile`.
    fn give(&self, inputs: &mut Inputs<'_>, resource: Resource<'_>);

    /// The number of resources that were given.
    fn given(&self, inputs: &Inputs<'_>) -> usize;

    /// Gives the form that was compiled last to `compile`.
    fn recall(&self, snapshot: &mut Snapshot, id: &ObjectId, text: &str);

    /// The form that was compiled now; `None`: it serves in none.
    fn form(&self, compiled: &Compiled, id: &ObjectId) -> Option<Form>;

    /// True if it serves in some form.
    fn serves(&self, snapshot: &Snapshot, id: &ObjectId) -> bool;

    /// Every object that a snapshot has of the kind, with its revision.
    fn all<'a>(&self, snapshot: &'a Snapshot) -> Vec<(&'a ObjectId, &'a str)>;

    /// The credentials that its form names, for kinds that have any.
    fn credentials(&self, compiled: &Compiled, id: &ObjectId) -> Credentials;

    /// True if proxies answer alike by two forms, but for endpoints.
    fn answers_alike(&self, one: &str, other: &str) -> bool;

    /// True if what was compiled now is to those that name it what the form before was.
    fn reads_alike(&self, before: Option<&str>, compiled: &Compiled, id: &ObjectId) -> bool;

    /// The reason why it serves nobody at this moment (Unix time, seconds), although every proxy may run it.
    fn idle(&self, compiled: &Compiled, id: &ObjectId, now: i64) -> Option<&'static str>;

    /// The moment (Unix time, seconds) at which it stops to serve anybody by itself; `None`: never.
    fn ends_at(&self, snapshot: &Snapshot, id: &ObjectId) -> Option<i64>;

    /// The budgets that are counted for it, each once.
    fn budgets(&self, snapshot: &Snapshot, id: &ObjectId) -> Vec<Budget>;

    /// The limits of rate and concurrency that are counted for it, each once.
    fn limits(&self, snapshot: &Snapshot, id: &ObjectId) -> Vec<CountedLimit>;
    /// The prices that it says or has of a list, in words; `None`: its kind has none.
    fn prices(&self, snapshot: &Snapshot, id: &ObjectId) -> Option<String>;
}

/// The things that stand beside a form, where it is asked whether the form serves anybody.
pub(super) struct Beside<'a> {
    pub(super) compiled: &'a Compiled,
    pub(super) id: &'a ObjectId,
    /// Unix time, seconds.
    pub(super) now: i64,
}

/// The part of the steps that a kind fills in: its file. The rest follows from the types.
pub(super) trait TypedSteps: Sync {
    /// The words that users write.
    type Spec: DeserializeOwned;
    /// The words that proxies run on.
    type Form: CompiledForm + Serialize + DeserializeOwned;

    /// The place that the inputs have for the kind.
    fn manifests<'i>(inputs: &'i Inputs<'_>) -> &'i Vec<Manifest<Self::Spec>>;

    /// As [`Self::manifests`], to be added to.
    fn manifests_mut<'i>(inputs: &'i mut Inputs<'_>) -> &'i mut Vec<Manifest<Self::Spec>>;

    /// The things that it names.
    fn named(spec: &Self::Spec, namespace: &str) -> BTreeSet<Reference>;

    /// The things that its compiled form names.
    fn named_by_form(form: &Self::Form) -> BTreeSet<Reference>;

    /// See [`KindSteps::generated`].
    fn generated(_spec: &Self::Spec, _namespace: &str) -> Vec<WantedKey> {
        Vec::new()
    }

    /// See [`KindSteps::credentials`].
    fn credentials_of(_form: &Self::Form, _all: &Credentials) -> Credentials {
        Credentials::new()
    }

    /// See [`KindSteps::answers_alike`]; of texts that differ.
    fn are_alike(_one: &str, _other: &str) -> bool {
        false
    }

    /// See [`KindSteps::reads_alike`].
    fn read_alike(_before: Option<&Self::Form>, _after: Option<&Self::Form>) -> bool {
        true
    }

    /// See [`KindSteps::idle`].
    fn is_idle(_form: &Self::Form, _beside: &Beside<'_>) -> Option<&'static str> {
        None
    }

    /// See [`KindSteps::ends_at`].
    fn end_of(_form: &Self::Form) -> Option<i64> {
        None
    }

    /// The budgets of its form; some may come twice.
    fn budgets_of(_form: &Self::Form) -> Vec<&Budget> {
        Vec::new()
    }

    /// The limits of the form of this object; some may come twice.
    fn limits_of(_form: &Self::Form, _id: &ObjectId) -> Vec<CountedLimit> {
        Vec::new()
    }

    /// See [`KindSteps::prices`].
    fn prices_of(_form: &Self::Form) -> Option<String> {
        None
    }
}

impl<T: TypedSteps> KindSteps for T {
    fn references(&self, spec: &str, namespace: &str) -> BTreeSet<Reference> {
        serde_json::from_str(spec).map(|spec| T::named(&spec, namespace)).unwrap_or_default()
    }

    fn generated(&self, spec: &str, namespace: &str) -> Vec<WantedKey> {
        serde_json::from_str(spec).map(|spec| T::generated(&spec, namespace)).unwrap_or_default()
    }

    fn references_of_compiled(&self, text: &str) -> Option<(String, BTreeSet<Reference>)> {
        let form: T::Form = serde_json::from_str(text).ok()?;
        Some((form.revision().to_owned(), T::named_by_form(&form)))
    }

    fn give(&self, inputs: &mut Inputs<'_>, resource: Resource<'_>) {
        let Resource { id, created, source, spec } = resource;
        T::manifests_mut(inputs).push(Manifest { id, created, source, spec: spec.read() });
    }

    fn given(&self, inputs: &Inputs<'_>) -> usize {
        T::manifests(inputs).len()
    }

    fn recall(&self, snapshot: &mut Snapshot, id: &ObjectId, text: &str) {
        T::Form::all_mut(snapshot).extend(serde_json::from_str(text).ok().map(|form| (id.clone(), form)));
    }

    fn form(&self, compiled: &Compiled, id: &ObjectId) -> Option<Form> {
        let form = T::Form::all(&compiled.snapshot).get(id)?;
        // Plain values and string keys have no way to fail.
        Some(Form { revision: form.revision().to_owned(), text: serde_json::to_string(form).ok()? })
    }

    fn serves(&self, snapshot: &Snapshot, id: &ObjectId) -> bool {
        T::Form::all(snapshot).contains_key(id)
    }

    fn all<'a>(&self, snapshot: &'a Snapshot) -> Vec<(&'a ObjectId, &'a str)> {
        T::Form::all(snapshot).iter().map(|(id, form)| (id, form.revision())).collect()
    }

    fn credentials(&self, compiled: &Compiled, id: &ObjectId) -> Credentials {
        let form = T::Form::all(&compiled.snapshot).get(id);
        form.map(|form| T::credentials_of(form, &compiled.credentials)).unwrap_or_default()
    }

    fn answers_alike(&self, one: &str, other: &str) -> bool {
        one == other || T::are_alike(one, other)
    }

    fn reads_alike(&self, before: Option<&str>, compiled: &Compiled, id: &ObjectId) -> bool {
        let before: Option<T::Form> = before.and_then(|text| serde_json::from_str(text).ok());
        T::read_alike(before.as_ref(), T::Form::all(&compiled.snapshot).get(id))
    }

    fn idle(&self, compiled: &Compiled, id: &ObjectId, now: i64) -> Option<&'static str> {
        T::Form::all(&compiled.snapshot).get(id).and_then(|form| T::is_idle(form, &Beside { compiled, id, now }))
    }

    fn ends_at(&self, snapshot: &Snapshot, id: &ObjectId) -> Option<i64> {
        T::Form::all(snapshot).get(id).and_then(T::end_of)
    }

    fn budgets(&self, snapshot: &Snapshot, id: &ObjectId) -> Vec<Budget> {
        let all = T::Form::all(snapshot).get(id).map(T::budgets_of).unwrap_or_default();
        let mut told = BTreeSet::new();
        all.into_iter().filter(|budget| told.insert(budget.identity())).cloned().collect()
    }

    fn limits(&self, snapshot: &Snapshot, id: &ObjectId) -> Vec<CountedLimit> {
        let all = T::Form::all(snapshot).get(id).map(|form| T::limits_of(form, id)).unwrap_or_default();
        let mut told = BTreeSet::new();
        all.into_iter().filter(|limit| told.insert(limit.identity())).collect()
    }

    fn prices(&self, snapshot: &Snapshot, id: &ObjectId) -> Option<String> {
        T::Form::all(snapshot).get(id).and_then(T::prices_of)
    }
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
