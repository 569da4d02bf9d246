//! A caller's request: read into the hub's words (`read…`), and written out of them (`write…`).

mod draft;
mod read;
mod read_parts;
mod read_tools;
mod write;
mod write_parts;
mod write_settings;
mod write_tools;

pub(crate) use read::{decode, decode_counted};
pub(super) use read_parts::{PART, list_of};
pub(crate) use write::{count_tokens, encode};
