//! Verdicts on objects and files: which one, where in it, what is wrong and what to write instead.

use std::fmt;

use crate::{Kind, ObjectId};

/// Its severity.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Severity {
    /// The object does not serve as written.
    Error,
    /// It serves, but perhaps not as meant.
    Warning,
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Error => "error",
            Self::Warning => "warning",
        })
    }
}

/// The reason, as a condition's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Reason {
    /// A value breaks the schema or one of its rules.
    Invalid,
    /// The same object is there more than once.
    Duplicate,
    /// A pool that is named does not exist.
    BackendNotFound,
    /// A Secret, or a key of it, that is named does not exist.
    SecretNotFound,
    /// A credential cannot be sent as it is.
    SecretInvalid,
    /// A Secret that a key is to be made in is somebody else's, or somebody else's key is in it.
    SecretNotOwned,
    /// A key is to be made, and the operator may not write Secrets.
    GenerationDisabled,
    /// A Secret that a key is to be made in could not be written.
    SecretNotWritten,
    /// A Service, or a port of it, that is named does not exist.
    ServiceNotFound,
    /// A Service cannot be called by its pods.
    ServiceInvalid,
    /// A Service has no pod that is ready.
    NoEndpoints,
    /// A Service has more endpoints than are used.
    TooManyEndpoints,
    /// Part of the object can never take effect.
    Unreachable,
    /// A model that is asked for is not served.
    ModelNotServed,
    /// A budget in dollars refuses calls to a model whose price nobody knows.
    ModelUnpriced,
    /// The platform keeps the model for routes of other namespaces.
    ModelNotAllowed,
    /// Another route matches the same calls and comes first.
    Shadowed,
    /// Another consumer is known by the same key.
    DuplicateKey,
    /// A name that is taken letter by letter is written as a pattern.
    LooksLikePattern,
}

impl Reason {
    /// As it is written in a condition.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Invalid => "Invalid",
            Self::Duplicate => "Duplicate",
            Self::BackendNotFound => "BackendNotFound",
            Self::SecretNotFound => "SecretNotFound",
            Self::SecretInvalid => "SecretInvalid",
            Self::SecretNotOwned => "SecretNotOwned",
            Self::GenerationDisabled => "GenerationDisabled",
            Self::SecretNotWritten => "SecretNotWritten",
            Self::ServiceNotFound => "ServiceNotFound",
            Self::ServiceInvalid => "ServiceInvalid",
            Self::NoEndpoints => "NoEndpoints",
            Self::TooManyEndpoints => "TooManyEndpoints",
            Self::Unreachable => "Unreachable",
            Self::ModelNotServed => "ModelNotServed",
            Self::ModelUnpriced => "ModelUnpriced",
            Self::ModelNotAllowed => "ModelNotAllowed",
            Self::Shadowed => "Shadowed",
            Self::DuplicateKey => "DuplicateKey",
            Self::LooksLikePattern => "LooksLikePattern",
        }
    }

    /// True if an error of this kind leaves the object serving as it is written: what it says is good, only the moment is
    /// not.
    #[must_use]
    pub const fn is_passing(self) -> bool {
        matches!(self, Self::NoEndpoints | Self::Shadowed | Self::DuplicateKey)
    }

    /// The condition that turns false by it: `ResolvedRefs` for what is missing elsewhere, else `Accepted`.
    #[must_use]
    pub const fn condition(self) -> &'static str {
        match self {
            Self::BackendNotFound
            | Self::SecretNotFound
            | Self::SecretInvalid
            | Self::SecretNotOwned
            | Self::GenerationDisabled
            | Self::SecretNotWritten
            | Self::ServiceNotFound
            | Self::ServiceInvalid
            | Self::NoEndpoints
            | Self::TooManyEndpoints => "ResolvedRefs",
            Self::Invalid
            | Self::Duplicate
            | Self::Unreachable
            | Self::ModelNotServed
            | Self::ModelNotAllowed
            | Self::Shadowed
            | Self::DuplicateKey
            | Self::LooksLikePattern
            | Self::ModelUnpriced => "Accepted",
        }
    }
}

/// A judgement on one object. The fields' order is the order in which verdicts are told.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Verdict {
    /// The object's kind.
    pub kind: Kind,
    /// The object's id.
    pub object: ObjectId,
    /// The file it was read from, where it was read from one.
    pub file: Option<String>,
    /// The line in that file, from 1.
    pub line: Option<u64>,
    /// The field, such as `spec.providers[0].url`; empty: the object as a whole.
    pub path: String,
    /// Its severity.
    pub severity: Severity,
    /// The reason.
    pub reason: Reason,
    /// The fault and what to do about it. Never holds a credential.
    pub message: String,
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        place(f, self.file.as_deref(), self.line)?;
        write!(f, "{}: {} {}", self.severity, self.kind, self.object.0)?;
        if !self.path.is_empty() {
            write!(f, ": {}", self.path)?;
        }
        write!(f, ": {}", self.message)
    }
}

/// All judgements, sorted, each once.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Verdicts(Vec<Verdict>);

impl Verdicts {
    pub(super) fn new(mut verdicts: Vec<Verdict>) -> Self {
        verdicts.sort();
        verdicts.dedup();
        Self(verdicts)
    }

    /// All of them.
    pub fn iter(&self) -> std::slice::Iter<'_, Verdict> {
        self.0.iter()
    }

    /// Those on one object.
    pub fn of<'a>(&'a self, kind: Kind, object: &'a ObjectId) -> impl Iterator<Item = &'a Verdict> {
        // They are sorted by kind and object first.
        let start = self.0.partition_point(|verdict| (verdict.kind, &verdict.object) < (kind, object));
        let own = self.0.get(start..).unwrap_or_default();
        own.iter().take_while(move |verdict| verdict.kind == kind && verdict.object == *object)
    }

    /// True if nothing was said.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The number of verdicts.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// True if any object does not serve as written.
    #[must_use]
    pub fn has_errors(&self) -> bool {
        self.0.iter().any(|verdict| verdict.severity == Severity::Error)
    }
}

impl<'a> IntoIterator for &'a Verdicts {
    type Item = &'a Verdict;
    type IntoIter = std::slice::Iter<'a, Verdict>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

/// Something about a file that is not about an object in it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Finding {
    /// The file.
    pub file: String,
    /// The line, from 1.
    pub line: Option<u64>,
    /// `Error`: something in there may be lost. `Warning`: it was passed over.
    pub severity: Severity,
    /// The fault and what to do about it.
    pub message: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        place(f, Some(&self.file), self.line)?;
        write!(f, "{}: {}", self.severity, self.message)
    }
}

fn place(f: &mut fmt::Formatter<'_>, file: Option<&str>, line: Option<u64>) -> fmt::Result {
    match (file, line) {
        (Some(file), Some(line)) => write!(f, "{file}:{line}: "),
        (Some(file), None) => write!(f, "{file}: "),
        (None, _) => Ok(()),
    }
}
