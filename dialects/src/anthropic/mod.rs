//! Anthropic Messages: `POST /v1/messages`, whole and streamed, in both directions.
//!
//! The shapes are those of `anthropic-version` 2023-06-01 and 2026-10-21 (platform.claude.com/docs/en/api/messages). What cannot
//! be said in them is refused or dropped by the rules in `docs/dialects-anthropic.md`; each rule lives in one table here.

mod blocks_in;
mod blocks_out;
pub mod error;
pub mod fold;
pub mod reply;
pub mod request;
mod stop;
pub mod stream;
mod usage;

pub(crate) use usage::Tally;
