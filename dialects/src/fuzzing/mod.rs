//! Checks of what must hold for any bytes from outside that are read here: one `check` per fuzz target, which panics when it does not.
//!
//! Inputs are the bytes as they come on the wire, with nothing before them, so that fixtures are seeds and a crash can
//! be read. Whatever else a check needs (where to cut) comes of a hash of the input: the same input, the same run.

mod error;
mod event_stream;
mod fold;
mod form;
mod ground;
mod kept;
mod looks;
mod models;
mod observe;
mod pieces;
mod reply;
mod request;
mod shadow;
mod sse;
mod stream;
mod vectors;
mod verbatim;

pub use error::check as error;
pub use event_stream::check as event_stream;
pub use fold::check as fold;
pub use form::check as form;
pub use kept::check as kept;
pub use looks::check as looks;
pub use models::check as models;
pub use observe::check as observe;
pub use pieces::pieces;
pub use reply::check as reply;
pub use request::check as request;
pub use shadow::check as shadow;
pub use sse::check as sse;
pub use stream::check as stream;
pub use vectors::check as vectors;
pub use verbatim::check as verbatim;

#[cfg(test)]
mod tests;
