//! The lists of models that providers have of their own: asked for off the way of calls where a pool wants it, each kept until the next
//! one comes.

mod fetch;
mod keeper;
mod source;

pub(crate) use fetch::DiscoveryQuestion;
pub(crate) use keeper::DiscoveryKeeper;
pub(crate) use source::DiscoveredModels;
