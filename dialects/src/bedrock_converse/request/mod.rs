//! A caller's request: read into the hub's words (`read…`), and written out of them (`write…`).

mod arguments;
mod draft;
mod read;
mod read_settings;
mod read_tools;
mod write;
mod write_parts;
mod write_settings;
mod write_tools;

pub(super) use read::decode;
pub(super) use write::encode;
pub(crate) use write::is_answered_whole;
