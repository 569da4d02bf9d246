//! A streamed answer: read into the hub's events (`read`), and written out of them (`write`).

mod read;
mod waiting;
mod write;

pub use read::Decoder;
pub use write::Encoder;
