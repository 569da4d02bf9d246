//! What a caller sends: read into the hub's words (`read`, `read_turns`), and written out of them (`write`,
//! `write_turns`).

mod pen;
mod read;
mod read_turns;
#[cfg(test)]
mod tests;
mod write;
mod write_turns;

pub use read::decode;
pub(super) use read_turns::{function, tool_call};
pub use write::encode;
