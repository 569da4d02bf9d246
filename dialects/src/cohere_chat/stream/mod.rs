//! A streamed answer: read into the hub's events, and written out of them.

mod events;
mod read;
mod write;

pub(super) use events::{CohereEvent, END, event};
pub(super) use read::CohereDecoder;
pub(super) use write::CohereEncoder;
