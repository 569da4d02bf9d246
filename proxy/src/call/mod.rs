//! The life of one call: `handle` is its table of contents.
//!
//! `caller` and `intake` read it, `route` finds the rule, `seat` asks the cache, `attempt` is the only loop (with `plan`,
//! `outgoing`, `headers`, `once`, `judge`, `delay`, `failure` and `count` in it), `flow`, `lane` and `pump` are the way back (with
//! `estimate`), `reply` puts the answer together.

mod asked;
mod attempt;
mod betas;
pub(crate) mod caller;
mod coding;
mod cors;
mod count;
mod delay;
mod estimate;
mod event_tail;
mod exchange;
mod failure;
mod flow;
mod framing;
mod gather;
mod handle;
mod headers;
mod intake;
mod judge;
mod lane;
pub mod models;
mod once;
mod outgoing;
mod plan;
mod pump;
mod reply;
pub mod route;
mod seat;
mod ticket;
mod wait;

pub(crate) use handle::handle;
pub use pump::{Cut, Pump};
