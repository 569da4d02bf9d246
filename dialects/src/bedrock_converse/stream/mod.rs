//! A streamed answer: read into the hub's events, and written out of them.

mod read;
mod write;

pub(super) use read::ConverseDecoder;
pub(super) use write::{ConverseEncoder, KEEP_ALIVE};
