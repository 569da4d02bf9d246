//! A streamed answer: read into the hub's events, and written out of them.

mod read;
mod write;

pub(super) use read::CompletionDecoder;
pub(super) use write::CompletionEncoder;
