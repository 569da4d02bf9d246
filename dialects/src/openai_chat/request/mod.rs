//! A caller's request: read into the hub's words (`read…`), and written out of them (`write…`).

mod read;
mod read_thoughts;
mod read_turns;
mod schema;
#[cfg(test)]
mod tests;
mod write;
mod write_choice;
mod write_parts;
mod write_settings;
mod write_system;
mod write_thoughts;
mod write_turns;
mod writer;

pub(crate) use read::{choices, decode, stop};
pub(super) use read_turns::{function, tool_call};
pub(crate) use schema::{form as form_schema, is_strict, whole as whole_schema};
pub(crate) use write::all_tools_are_taken;
pub(crate) use write::encode;
pub(crate) use write_settings::effort_of_budget;
