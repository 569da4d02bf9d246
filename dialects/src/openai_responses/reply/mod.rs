//! A whole answer: read into the hub's words, and written out of them.

mod read;
mod write;

pub(crate) use read::decode;
pub(super) use read::{call, own_thought, texts};
pub(crate) use write::encode;
