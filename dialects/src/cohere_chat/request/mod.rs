//! A caller's request: read into the hub's words (`read`), and written out of them (`write`, `write_turns`).

mod read;
mod schema;
mod write;
mod write_turns;
mod writer;

pub(super) use read::decode;
pub(super) use write::encode;
