//! Collects verdicts on one object while it is compiled.

use super::inputs::Source;
use super::verdict::{Reason, Severity, Verdict};
use crate::{Kind, ObjectId};

/// Verdicts on one object.
pub(super) struct Report<'a> {
    kind: Kind,
    object: &'a ObjectId,
    source: &'a Source,
    verdicts: Vec<Verdict>,
}

impl<'a> Report<'a> {
    pub(super) const fn new(kind: Kind, object: &'a ObjectId, source: &'a Source) -> Self {
        Self { kind, object, source, verdicts: Vec::new() }
    }

    pub(super) fn error(&mut self, path: &str, reason: Reason, message: impl Into<String>) {
        self.push(path, Severity::Error, reason, message.into());
    }

    pub(super) fn warning(&mut self, path: &str, reason: Reason, message: impl Into<String>) {
        self.push(path, Severity::Warning, reason, message.into());
    }

    /// A value that breaks a rule.
    pub(super) fn invalid(&mut self, path: &str, message: impl Into<String>) {
        self.error(path, Reason::Invalid, message);
    }

    /// Says what is wrong with a value, and takes a stand-in for it, so that the rest is judged as well.
    pub(super) fn check<T: Default>(&mut self, path: &str, value: Result<T, String>) -> T {
        value.unwrap_or_else(|message| {
            self.invalid(path, message);
            T::default()
        })
    }

    /// Says `message` unless it holds.
    pub(super) fn rule(&mut self, path: &str, rule: sluicegate_crds::rules::CelRule, holds: bool) {
        if !holds {
            self.invalid(path, rule.message);
        }
    }

    /// True if an object with these verdicts may not replace its previous form.
    pub(super) fn has_errors(&self) -> bool {
        self.verdicts.iter().any(|verdict| verdict.severity == Severity::Error && !verdict.reason.is_passing())
    }

    /// True if what is wrong is more than a reference to something missing.
    pub(super) fn is_unusable(&self) -> bool {
        self.verdicts
            .iter()
            .any(|v| v.severity == Severity::Error && v.reason.condition() == "Accepted" && !v.reason.is_passing())
    }

    pub(super) fn into_verdicts(self) -> Vec<Verdict> {
        self.verdicts
    }

    fn push(&mut self, path: &str, severity: Severity, reason: Reason, message: String) {
        self.verdicts.push(Verdict {
            kind: self.kind,
            object: self.object.clone(),
            file: self.source.file.clone(),
            line: self.source.line(path),
            path: path.to_owned(),
            severity,
            reason,
            message,
        });
    }
}
