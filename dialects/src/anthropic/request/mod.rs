//! What a caller sends: read into the hub's words, and written out of them.

mod decode;
mod encode;
mod foreign;
mod sampling;
mod schema;
mod thinking;
mod tools;
mod turns;

pub use decode::{decode, decode_counting};
pub use encode::encode;
