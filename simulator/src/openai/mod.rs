//! OpenAI's dialects, as their vendor serves them.

pub(crate) mod azure;
pub(crate) mod completions;
pub(crate) mod embeddings;
pub(crate) mod error;
pub(crate) mod field;
pub(crate) mod headers;
pub(crate) mod look_alike;
pub(crate) mod reply;
pub(crate) mod request;
pub(crate) mod responses;
pub(crate) mod stream;

mod content;
