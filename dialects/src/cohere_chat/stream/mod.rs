//! A streamed answer: read into the hub's events, and written out of them.

mod events;
mod read;
mod write;

pub(super) use events::{Piece, event};
pub(super) use read::CohereDecoder;
pub(super) use write::CohereEncoder;

/// The end of a whole stream.
pub(super) const END: &[u8] = b"data: [DONE]\n\n";
