//! OpenAI Responses, as its vendor serves it: a list of items in, a list of items out. Nothing is kept, so no later call can
//! build on an answer.

pub(crate) mod reply;
pub(crate) mod request;
pub(crate) mod stream;

mod items;
