//! OpenAI Responses, as its vendor serves it: a list of items in, a list of items out. The last answers are kept, so that later calls
//! can ask for them and build on them.

pub(crate) mod reply;
pub(crate) mod request;
pub(crate) mod store;
pub(crate) mod stream;

mod items;
