//! The report on what runs and what was wrong, in plain words: for the log and for `/config`. Never a credential.

use std::cmp::Ordering;
use std::fmt;
use std::sync::Arc;

use serde::{Serialize, Serializer};
use sluicegate_config::ObjectId;
use sluicegate_config::compile::{Finding, SecretValue, Severity, Verdict};
use sluicegate_config::rollout::Rejection;

/// Something wrong with an object, a file or the source itself.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SourceProblem {
    /// `Error`: not applied as written. `Warning`: works, and may not be meant.
    #[serde(serialize_with = "as_text")]
    pub severity: Severity,
    /// The file's name, where it is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
    /// The line in it, from 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub line: Option<u64>,
    /// The object's kind, where it is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kind: Option<&'static str>,
    /// `namespace/name`, where it is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub object: Option<String>,
    /// The field's path, where it is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub field: Option<String>,
    /// One word, as a condition's reason.
    pub reason: String,
    /// The mistake, and what to do.
    pub message: String,
}

impl SourceProblem {
    /// Of the source as a whole.
    pub(super) fn of_source(reason: &str, message: String) -> Self {
        Self {
            severity: Severity::Error,
            file: None,
            line: None,
            kind: None,
            object: None,
            field: None,
            reason: reason.to_owned(),
            message,
        }
    }

    /// Of one file.
    pub(super) fn of_file(file: &str, reason: &str, message: String) -> Self {
        Self { file: Some(file.to_owned()), ..Self::of_source(reason, message) }
    }

    /// Of one published object.
    pub(super) fn of_object(kind: &'static str, object: &str, reason: &str, message: String) -> Self {
        Self { kind: Some(kind), object: Some(object.to_owned()), ..Self::of_source(reason, message) }
    }
}

impl fmt::Display for SourceProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(file) = &self.file {
            write!(f, "{file}")?;
            if let Some(line) = self.line {
                write!(f, ":{line}")?;
            }
            write!(f, ": ")?;
        }
        write!(f, "{}: ", self.severity)?;
        if let (Some(kind), Some(object)) = (self.kind, &self.object) {
            write!(f, "{kind} {object}: ")?;
        }
        if let Some(field) = &self.field {
            write!(f, "{field}: ")?;
        }
        f.write_str(&self.message)
    }
}

impl From<&Verdict> for SourceProblem {
    fn from(verdict: &Verdict) -> Self {
        Self {
            severity: verdict.severity,
            file: verdict.file.clone(),
            line: verdict.line,
            kind: Some(verdict.kind.as_str()),
            object: Some(verdict.object.0.clone()),
            field: (!verdict.path.is_empty()).then(|| verdict.path.clone()),
            reason: format!("{:?}", verdict.reason),
            message: verdict.message.clone(),
        }
    }
}

impl From<&Finding> for SourceProblem {
    fn from(finding: &Finding) -> Self {
        Self {
            severity: finding.severity,
            file: Some(finding.file.clone()),
            line: finding.line,
            ..Self::of_source("Unreadable", finding.message.clone())
        }
    }
}

fn as_text<S: Serializer>(severity: &Severity, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(severity)
}

/// The state in which an object runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum ObjectState {
    /// As it is written now.
    Applied,
    /// As it is written now, as far as what it names is there: a Secret or a pool is missing, see the problems.
    Partial,
    /// As it was last well written: what is written now is wrong or can not be read.
    KeptPrevious,
    /// Not at all.
    Rejected,
}

/// One object. There may be thousands, so it holds no byte more than it says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ObjectReport {
    /// `LLMRoute`, `ProviderPool`.
    pub kind: &'static str,
    /// `namespace/name`.
    pub name: Arc<ObjectId>,
    /// The revision that runs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub revision: Option<Box<str>>,
    /// The state in which it runs.
    pub state: ObjectState,
    /// `resourceVersion` of the ConfigMap that the revision was last seen in; only in a cluster. It is told anew also
    /// when the content stayed: by it the operator knows a change that was taken back from one not seen yet.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<Box<str>>,
    /// `resourceVersion` of the Secret that its credentials are from; only in a cluster.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub credentials: Option<Box<str>>,
    /// The newer form that could not be taken, and why.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rejected: Option<Box<Rejection>>,
}

impl ObjectReport {
    /// The order in which reports are kept.
    pub(crate) fn order(&self, other: &Self) -> Ordering {
        (self.kind, &self.name).cmp(&(other.kind, &other.name))
    }

    /// True if `told` says the same; `None`: nothing was told.
    pub(super) fn is_told(&self, told: Option<&Arc<Self>>) -> bool {
        let says_nothing = || self.revision.is_none() && self.credentials.is_none() && self.rejected.is_none();
        told.map_or_else(says_nothing, |told| **told == *self)
    }

    fn is_of(&self, kind: &str, name: &str) -> Ordering {
        (self.kind, self.name.0.as_str()).cmp(&(kind, name))
    }
}

/// The report on what runs and what was wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Default)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    /// The running configuration's revision; `None`: none was ever applied.
    pub revision: Option<String>,
    /// Seconds since 1970 when it was applied.
    pub applied_at: Option<u64>,
    /// Every object, sorted by kind and name. What did not change is the same allocation from one report to the next, so
    /// that a change among thousands is found by comparing pointers.
    pub objects: Vec<Arc<ObjectReport>>,
    /// The problems of what is written now.
    pub problems: Vec<SourceProblem>,
    /// The token by which the operator is known. Shown nowhere.
    #[serde(skip)]
    pub operator: Option<SecretValue>,
}

impl Report {
    /// Objects that are not applied as written, and errors that name none.
    #[must_use]
    pub fn rejected(&self) -> usize {
        let objects = self.objects.iter().filter(|object| object.state != ObjectState::Applied).count();
        let nameless = |problem: &&SourceProblem| problem.severity == Severity::Error && problem.object.is_none();
        objects + self.problems.iter().filter(nameless).count()
    }

    /// Objects that do not run as they are written now, and errors that name none. What runs as it is written, without something that it
    /// names, such as one of several keys, is in [`Report::partial`].
    #[must_use]
    pub fn refused(&self) -> usize {
        self.rejected() - self.partial()
    }

    /// Objects that run as they are written, as far as what they name is there.
    #[must_use]
    pub fn partial(&self) -> usize {
        self.objects.iter().filter(|object| object.state == ObjectState::Partial).count()
    }

    /// The revision that runs of an object.
    #[must_use]
    pub fn running(&self, kind: &str, name: &str) -> Option<&str> {
        let found = self.objects.binary_search_by(|object| object.is_of(kind, name));
        self.objects.get(found.ok()?)?.revision.as_deref()
    }

    /// Puts an object's report in its place, over what was said of it before.
    pub fn put(&mut self, object: Arc<ObjectReport>) {
        match self.objects.binary_search_by(|other| other.order(&object)) {
            Ok(at) => {
                if let Some(found) = self.objects.get_mut(at).filter(|found| **found != object) {
                    *found = object;
                }
            }
            Err(at) => self.objects.insert(at, object),
        }
    }

    /// Says no more about an object.
    pub fn remove(&mut self, kind: &str, name: &str) {
        if let Ok(at) = self.objects.binary_search_by(|object| object.is_of(kind, name)) {
            self.objects.remove(at);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn objects_are_put_in_order_and_what_did_not_change_is_the_same_allocation() {
        let object = |kind, name: &str, revision: &str| {
            Arc::new(ObjectReport {
                kind,
                name: Arc::new(ObjectId(name.to_owned())),
                revision: Some(revision.into()),
                state: ObjectState::Applied,
                version: None,
                credentials: None,
                rejected: None,
            })
        };
        let mut report = Report::default();
        for (kind, name) in [("ProviderPool", "a/p"), ("LLMRoute", "b/r"), ("LLMRoute", "a/r")] {
            report.put(object(kind, name, "1"));
        }
        let before = report.clone();
        report.put(object("LLMRoute", "b/r", "2"));
        report.put(object("ProviderPool", "a/p", "1"));
        let names: Vec<_> = report.objects.iter().map(|object| object.name.0.as_str()).collect();
        assert_eq!(names, ["a/r", "b/r", "a/p"]);
        let same = |at: usize| Arc::ptr_eq(&before.objects[at], &report.objects[at]);
        assert!(same(0) && !same(1) && same(2));
        report.remove("LLMRoute", "b/r");
        report.remove("LLMRoute", "a/p");
        assert_eq!(report.objects.len(), 2);
    }
}
