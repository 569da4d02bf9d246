//! A prompt and its settings: read into the hub's words as one turn of the user's, and written out of them.

mod read;
mod write;

pub(super) use read::decode;
pub(super) use write::encode;
