//! Consumers: callers that are known by the digests of their keys, and what each of them may ask for. Pure: a key and a time are
//! all it needs.

mod identified;
mod index;
mod known;
mod tokens;

pub(crate) use identified::Identified;
pub(crate) use index::Consumers;
pub(crate) use known::{KnownConsumer, RouteAccess};
