//! The log of problems: each is logged when it is new, and once.

use std::collections::BTreeSet;

use sluicegate_config::Kind;
use sluicegate_config::compile::Severity;

use super::report::SourceProblem;

/// The problems, as of their last logging.
#[derive(Debug, Default)]
pub(super) struct Telling {
    told: BTreeSet<SourceProblem>,
}

impl Telling {
    /// Logs what is newly wrong, and that nothing is any more. `runs`: something serves meanwhile. Says whether
    /// anything is otherwise than before.
    pub(super) fn tell(&mut self, now: BTreeSet<SourceProblem>, runs: bool) -> bool {
        // What stands in a file that could not be read counts as it was last read: keys, too.
        let is_unread = now.iter().any(|problem| problem.object.is_none() && problem.severity == Severity::Error);
        for problem in now.difference(&self.told) {
            log(problem, runs, is_unread);
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

fn log(problem: &SourceProblem, runs: bool, is_unread: bool) {
    let text = |value: &Option<String>| value.clone().unwrap_or_default();
    let (file, object, field) = (text(&problem.file), text(&problem.object), text(&problem.field));
    let (kind, line) = (problem.kind.unwrap_or_default(), problem.line.unwrap_or_default());
    let (reason, message) = (&problem.reason, &problem.message);
    match problem.severity {
        Severity::Error => {
            let meanwhile = meanwhile(problem, runs, is_unread);
            tracing::error!(file, line, kind, object, field, reason, meanwhile, "{message}");
        }
        Severity::Warning => tracing::warn!(file, line, kind, object, field, reason, "{message}"),
    }
}

/// The word on what serves while a problem lasts. Of a consumer's keys nothing of before is kept: what is gone is refused.
fn meanwhile(problem: &SourceProblem, runs: bool, is_unread: bool) -> &'static str {
    let takes_back = problem.kind.and_then(Kind::parse).is_some_and(Kind::takes_back);
    match problem.reason.as_str() {
        _ if !runs => "nothing of it serves",
        "SecretNotFound" | "SecretInvalid" if takes_back && !is_unread => {
            "this key is refused; the consumer's others serve"
        }
        "DuplicateKey" => "this key is the other consumer's; the consumer's others serve",
        "SecretNotFound" | "SecretInvalid" if is_one_of_several(problem) => {
            "the provider's other keys serve, if it has any"
        }
        // What it says is good, only the moment is not.
        "NoEndpoints" | "Shadowed" => "it serves as far as it can",
        _ => "what was last valid keeps serving",
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
    fn a_key_that_is_gone_is_said_to_be_refused() {
        let kept = "what was last valid keeps serving";
        let refused = "this key is refused; the consumer's others serve";
        for (kind, reason, runs, is_unread, expected) in [
            ("LLMConsumer", "SecretNotFound", true, false, refused),
            ("LLMConsumer", "SecretInvalid", true, false, refused),
            ("LLMConsumer", "SecretNotFound", true, true, kept),
            ("LLMConsumer", "SecretNotFound", false, false, "nothing of it serves"),
            (
                "LLMConsumer",
                "DuplicateKey",
                true,
                false,
                "this key is the other consumer's; the consumer's others serve",
            ),
            ("LLMConsumer", "Invalid", true, false, kept),
            ("ProviderPool", "SecretNotFound", true, false, kept),
            ("ProviderPool", "NoEndpoints", true, false, "it serves as far as it can"),
            ("LLMRoute", "Invalid", true, false, kept),
        ] {
            let problem = SourceProblem::of_object(kind, "default/x", reason, String::new());
            assert_eq!(meanwhile(&problem, runs, is_unread), expected, "{problem:?}");
        }
        let field = Some("spec.providers[0].credentials.keys[1].secretRef".to_owned());
        let problem = SourceProblem {
            field,
            ..SourceProblem::of_object("ProviderPool", "default/x", "SecretNotFound", String::new())
        };
        assert_eq!(meanwhile(&problem, true, false), "the provider's other keys serve, if it has any");
    }
}
