//! Consumers: callers that are known by the digests of their keys or by tokens of an issuer, and what each of them may ask for. A key
//! or a token and a time are all that is asked with; nothing is waited for.

mod identified;
mod index;
mod known;
mod subjects;
mod tokens;

pub(crate) use identified::Identified;
pub(crate) use index::Consumers;
pub(crate) use known::{KnownConsumer, RouteAccess};
