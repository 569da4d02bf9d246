//! A streamed answer: read into the hub's events, and written out of them.

mod read;
mod write;

pub(crate) use read::ResponsesDecoder;
pub(crate) use write::ResponsesEncoder;
