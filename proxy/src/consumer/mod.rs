//! Consumers: callers that are known by the digests of their keys, and what each of them may ask for. Pure: a key and a time are
//! all it needs.

mod index;
mod known;
mod tokens;

pub(crate) use index::{Consumers, Identified};
pub(crate) use known::{KnownConsumer, RouteAccess};
