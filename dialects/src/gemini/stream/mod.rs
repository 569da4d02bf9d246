//! A streamed answer: read into the hub's events (`read`), and written out of them (`write`); as server-sent events, or
//! as one JSON array that grows.

mod read;
mod write;

pub(crate) use read::GeminiDecoder;
pub(crate) use write::GeminiEncoder;
