//! A streamed answer: read into the hub's events (`read`, an answer at a time by `choice`), and written out of them
//! (`write`).

mod choice;
mod chunk;
mod late;
mod read;
mod waiting;
mod write;

pub(crate) use read::ChatDecoder;
pub(crate) use write::ChatEncoder;

/// The end of a whole stream.
pub(super) const END: &[u8] = b"data: [DONE]\n\n";
