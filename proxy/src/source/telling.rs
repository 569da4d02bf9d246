//! The log of problems: each is logged when it is new, and once.

use std::collections::BTreeSet;

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
        for problem in now.difference(&self.told) {
            log(problem, runs);
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

fn log(problem: &SourceProblem, runs: bool) {
    let text = |value: &Option<String>| value.clone().unwrap_or_default();
    let (file, object, field) = (text(&problem.file), text(&problem.object), text(&problem.field));
    let (kind, line) = (problem.kind.unwrap_or_default(), problem.line.unwrap_or_default());
    let (reason, message) = (&problem.reason, &problem.message);
    match problem.severity {
        Severity::Error => {
            let meanwhile = if runs { "what was last valid keeps serving" } else { "nothing of it serves" };
            tracing::error!(file, line, kind, object, field, reason, meanwhile, "{message}");
        }
        Severity::Warning => tracing::warn!(file, line, kind, object, field, reason, "{message}"),
    }
}
