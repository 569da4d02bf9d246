//! The log of problems: each is logged when it is new, and once.

use std::collections::BTreeSet;
use std::sync::Arc;

use sluicegate_config::Kind;
use sluicegate_config::compile::Severity;

use super::report::{ObjectReport, ObjectState, SourceProblem};

/// The problems, as of their last logging.
#[derive(Debug, Default)]
pub(super) struct Telling {
    told: BTreeSet<SourceProblem>,
}

impl Telling {
    /// Logs what is newly wrong, and that nothing is any more. `runs`: something serves meanwhile; `objects`: how each stands, sorted.
    /// Says whether anything is otherwise than before.
    pub(super) fn tell(&mut self, now: BTreeSet<SourceProblem>, (runs, objects): (bool, &[Arc<ObjectReport>])) -> bool {
        // What stands in a file that could not be read counts as it was last read: keys, too.
        let is_unread = now.iter().any(|problem| problem.object.is_none() && problem.severity == Severity::Error);
        for problem in now.difference(&self.told) {
            let state = if runs { state_of(problem, objects) } else { Some(ObjectState::Rejected) };
            log(problem, state, is_unread);
        }
        if now.is_empty() && !self.told.is_empty() {
            tracing::info!("everything that is written is applied");
        }
        let news = self.told != now;
        self.told = now;
        news
    }

    /// The problems.
    pub(super) fn told(&self) -> &BTreeSet<SourceProblem> {
        &self.told
    }
}

/// The state of the object that a problem is about; `None`: it is about none.
fn state_of(problem: &SourceProblem, objects: &[Arc<ObjectReport>]) -> Option<ObjectState> {
    let (kind, name) = (problem.kind?, problem.object.as_deref()?);
    let found = objects.binary_search_by(|object| (object.kind, object.name.0.as_str()).cmp(&(kind, name)));
    objects.get(found.ok()?).map(|object| object.state)
}

fn log(problem: &SourceProblem, state: Option<ObjectState>, is_unread: bool) {
    let text = |value: &Option<String>| value.clone().unwrap_or_default();
    let (file, object, field) = (text(&problem.file), text(&problem.object), text(&problem.field));
    let (kind, line) = (problem.kind.unwrap_or_default(), problem.line.unwrap_or_default());
    let (reason, message) = (&problem.reason, &problem.message);
    match problem.severity {
        Severity::Error => {
            let meanwhile = meanwhile(problem, state, is_unread);
            tracing::error!(file, line, kind, object, field, reason, meanwhile, "{message}");
        }
        Severity::Warning => tracing::warn!(file, line, kind, object, field, reason, "{message}"),
    }
}

/// The word on what serves of an object while a problem lasts. Of a consumer's keys nothing of before is kept: what is gone is refused.
fn meanwhile(problem: &SourceProblem, state: Option<ObjectState>, is_unread: bool) -> &'static str {
    const KEPT: &str = "what was last valid keeps serving";
    let takes_back = problem.kind.and_then(Kind::parse).is_some_and(Kind::takes_back);
    match (problem.reason.as_str(), state) {
        (_, Some(ObjectState::Rejected)) => "nothing of it serves",
        ("SecretNotFound" | "SecretInvalid", _) if takes_back && is_unread => KEPT,
        ("SecretNotFound" | "SecretInvalid", _) if takes_back => {
            "this key is refused; the consumer's others serve, if it has any"
        }
        ("DuplicateKey", _) => "this key is the other consumer's; the consumer's others serve, if it has any",
        ("SecretNotFound" | "SecretInvalid", _) if is_one_of_several(problem) => {
            "the provider's other keys serve, if it has any"
        }
        (_, Some(ObjectState::KeptPrevious)) => KEPT,
        // What it says is good, only the moment is not.
        ("NoEndpoints" | "Shadowed", _) | (_, Some(ObjectState::Partial)) => "it serves as far as it can",
        _ => KEPT,
    }
}

/// True if it is about one of several keys of a provider.
fn is_one_of_several(problem: &SourceProblem) -> bool {
    problem.field.as_deref().is_some_and(|field| field.contains(".credentials.keys["))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_serves_meanwhile_is_said_of_the_object_itself() {
        use ObjectState::{KeptPrevious, Partial, Rejected};
        let (kept, partly, nothing) =
            ("what was last valid keeps serving", "it serves as far as it can", "nothing of it serves");
        let refused = "this key is refused; the consumer's others serve, if it has any";
        let anothers = "this key is the other consumer's; the consumer's others serve, if it has any";
        for (kind, reason, state, is_unread, expected) in [
            ("LLMConsumer", "SecretNotFound", Partial, false, refused),
            ("LLMConsumer", "SecretInvalid", Partial, false, refused),
            ("LLMConsumer", "SecretNotFound", Partial, true, kept),
            ("LLMConsumer", "SecretNotFound", Rejected, false, nothing),
            ("LLMConsumer", "DuplicateKey", Partial, false, anothers),
            ("LLMConsumer", "Invalid", KeptPrevious, false, kept),
            ("ProviderPool", "SecretNotFound", KeptPrevious, false, kept),
            ("ProviderPool", "SecretNotFound", Rejected, false, nothing),
            ("ProviderPool", "NoEndpoints", Partial, false, partly),
            ("LLMRoute", "BackendNotFound", Partial, false, partly),
            ("LLMRoute", "Invalid", KeptPrevious, false, kept),
            // It was wrong from its first day on, while others serve.
            ("LLMRoute", "Invalid", Rejected, false, nothing),
        ] {
            let problem = SourceProblem::of_object(kind, "default/x", reason, String::new());
            assert_eq!(meanwhile(&problem, Some(state), is_unread), expected, "{problem:?} {state:?}");
        }
        let unreadable = SourceProblem::of_source("Unreadable", String::new());
        assert_eq!(meanwhile(&unreadable, None, true), kept);
        let field = Some("spec.providers[0].credentials.keys[1].secretRef".to_owned());
        let problem = SourceProblem {
            field,
            ..SourceProblem::of_object("ProviderPool", "default/x", "SecretNotFound", String::new())
        };
        assert_eq!(meanwhile(&problem, Some(Partial), false), "the provider's other keys serve, if it has any");
    }

    #[test]
    fn an_objects_state_is_found_by_kind_and_name() {
        let object = |kind, name: &str, state| {
            let (name, rejected) = (Arc::new(sluicegate_config::ObjectId(name.to_owned())), None);
            Arc::new(ObjectReport { kind, name, revision: None, state, version: None, credentials: None, rejected })
        };
        let objects = [
            object("LLMRoute", "a/x", ObjectState::Rejected),
            object("LLMRoute", "a/y", ObjectState::KeptPrevious),
            object("ProviderPool", "a/x", ObjectState::Partial),
        ];
        let state = |kind, name| state_of(&SourceProblem::of_object(kind, name, "Invalid", String::new()), &objects);
        assert_eq!(state("LLMRoute", "a/x"), Some(ObjectState::Rejected));
        assert_eq!(state("ProviderPool", "a/x"), Some(ObjectState::Partial));
        assert_eq!(state("ProviderPool", "a/y"), None);
    }
}
