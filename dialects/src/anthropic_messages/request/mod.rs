//! A caller's request: read into the hub's words, and written out of them.

mod cross_dialect;
mod read;
mod room;
mod sampling;
mod thinking;
mod tools;
mod turns;
mod write;

pub(crate) use read::{decode, decode_counted};
pub(super) use tools::defined as tool;
pub(crate) use write::{encode, encode_counted, encode_for, is_counted};
