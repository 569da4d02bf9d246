//! OpenAI Chat Completions, as its vendor serves it.

pub(crate) mod error;
pub(crate) mod headers;
pub(crate) mod reply;
pub(crate) mod request;
pub(crate) mod stream;

mod content;
mod field;
