//! Requests: read into the hub's words (`read…`), and written out of them (`write…`).

mod read;
mod read_items;
mod read_tools;
mod write;
mod write_items;
mod writer;

pub(crate) use read::decode;
pub(crate) use write::{encode, encode_counted};
