//! A streamed answer: read into the hub's events (`read`, an answer at a time by `choice`), and written out of them
//! (`write`).

mod choice;
mod chunk;
mod read;
mod waiting;
mod write;

pub use read::Decoder;
pub use write::Encoder;
