//! A streamed answer: read into the hub's events, and written out of them.

mod decoder;
mod encoder;
mod held;

pub use decoder::Decoder;
pub use encoder::Encoder;
