//! Tests on the names of models, compiled: of rules, and of what a consumer may ask for; and on how much a call asks for.

use regex::Regex;
use sluicegate_config::{Complexity, ModelMatch};

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

/// The amount that a call asks for.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct AskedAmount {
    /// The tokens of its prompt, about.
    pub(crate) input_tokens: u64,
    /// Turns of the conversation.
    pub(crate) messages: u64,
    /// True if it offers tools.
    pub(crate) tools: bool,
    /// True if there are images in it.
    pub(crate) images: bool,
    /// True if the answer is to be streamed.
    pub(crate) stream: bool,
    /// True if the model is asked to think first.
    pub(crate) thinking: bool,
}

impl AskedAmount {
    /// True if all of the conditions hold.
    pub(crate) fn is_within(&self, conditions: &Complexity) -> bool {
        let Complexity { max_input_tokens, max_messages, tools, images, stream, thinking } = conditions;
        max_input_tokens.is_none_or(|most| self.input_tokens <= most)
            && max_messages.is_none_or(|most| self.messages <= most)
            && tools.is_none_or(|wanted| wanted == self.tools)
            && images.is_none_or(|wanted| wanted == self.images)
            && stream.is_none_or(|wanted| wanted == self.stream)
            && thinking.is_none_or(|wanted| wanted == self.thinking)
    }
}

/// An expression that matches as a whole.
pub(crate) fn anchored(pattern: &str) -> Option<Regex> {
    Regex::new(&format!("^(?:{pattern})$")).ok()
}
