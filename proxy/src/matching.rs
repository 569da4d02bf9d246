//! Tests on the names of models, compiled: of rules, and of what a consumer may ask for.

use regex::Regex;
use sluicegate_config::ModelMatch;

/// A test on a model's name.
#[derive(Debug)]
pub(crate) enum ModelTest {
    /// Every name.
    Any,
    /// This name.
    Exact(Box<str>),
    /// Names that begin so.
    Prefix(Box<str>),
    /// Names that match as a whole.
    Regex(Regex),
    /// A pattern that does not compile: the configuration's compiler has reported it, here it matches nothing.
    Never,
}

impl ModelTest {
    /// Compiles a condition; none holds of every name.
    pub(crate) fn of(from: Option<&ModelMatch>) -> Self {
        match from {
            None => Self::Any,
            Some(ModelMatch::Exact(name)) => Self::Exact(name.as_str().into()),
            Some(ModelMatch::Prefix(prefix)) => Self::Prefix(prefix.as_str().into()),
            Some(ModelMatch::Regex(pattern)) => anchored(pattern).map_or(Self::Never, Self::Regex),
        }
    }

    /// True if it holds of a name.
    pub(crate) fn holds(&self, model: &str) -> bool {
        match self {
            Self::Any => true,
            Self::Exact(name) => **name == *model,
            Self::Prefix(prefix) => model.starts_with(&**prefix),
            Self::Regex(regex) => regex.is_match(model),
            Self::Never => false,
        }
    }
}

/// An expression that matches as a whole.
pub(crate) fn anchored(pattern: &str) -> Option<Regex> {
    Regex::new(&format!("^(?:{pattern})$")).ok()
}
