//! What runs and what was wrong, in plain words: for the log and for `/config`. Never a credential.

use std::fmt;

use serde::{Serialize, Serializer};
use sluicegate_config::compile::{Finding, Severity, Verdict};

/// Something wrong with an object, a file or the source itself.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Problem {
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
    /// What is wrong and what to do.
    pub message: String,
}

impl Problem {
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
}

impl fmt::Display for Problem {
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

impl From<&Verdict> for Problem {
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

impl From<&Finding> for Problem {
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

/// How an object runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum ObjectState {
    /// As it is written now.
    Applied,
    /// As it was last well written: what is written now is wrong.
    KeptPrevious,
    /// Not at all.
    Rejected,
}

/// One object.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ObjectReport {
    /// `LLMRoute`, `ProviderPool`.
    pub kind: &'static str,
    /// `namespace/name`.
    pub name: String,
    /// The revision that runs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub revision: Option<String>,
    /// How it runs.
    pub state: ObjectState,
}

/// What runs and what was wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Default)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    /// The running configuration's revision; `None`: none was ever applied.
    pub revision: Option<String>,
    /// Seconds since 1970 when it was applied.
    pub applied_at: Option<u64>,
    /// Every object, by kind and name.
    pub objects: Vec<ObjectReport>,
    /// What is wrong with what is written now.
    pub problems: Vec<Problem>,
}

impl Report {
    /// Objects that are not applied as written, and errors that name none.
    #[must_use]
    pub fn rejected(&self) -> usize {
        let objects = self.objects.iter().filter(|object| object.state != ObjectState::Applied).count();
        let nameless = |problem: &&Problem| problem.severity == Severity::Error && problem.object.is_none();
        objects + self.problems.iter().filter(nameless).count()
    }
}
