//! The models that a rule takes by their exact names: whoever wrote it has promised that they are served.

use sluicegate_config::{self as config, ModelMatch};

use super::configured::Rule;

/// The exact names in a rule's matches.
pub(super) fn exact_models(rule: &config::Rule) -> Box<[Box<str>]> {
    let exact = |matched: &config::Match| match &matched.model {
        Some(ModelMatch::Exact(name)) => Some(name.as_str().into()),
        Some(ModelMatch::Prefix(_) | ModelMatch::Regex(_)) | None => None,
    };
    rule.matches.iter().filter_map(exact).collect()
}

impl Rule {
    /// True if its pools are to serve this model: it takes it by its exact name, or says by which name each pool knows it. Else a name that
    /// none of them serves is its caller's mistake.
    pub(crate) fn promises(&self, model: &str) -> bool {
        let renames = self.targets.iter().chain(&self.fallbacks).all(|target| target.model.is_some());
        renames || self.exact_models.iter().any(|exact| **exact == *model)
    }
}
