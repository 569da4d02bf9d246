//! Connections to providers: made, kept, shared by calls one after the other.
//!
//! A [`UpstreamClient`] belongs to one worker and never leaves its thread. Over HTTP/1 a call owns its connection and
//! polls it inside its own future and body: no task, channel or lock. Over HTTP/2 and to a simulated provider each connection has one local task.
//!
//! `origin` says where to, `pool` keeps what is open, `followed` sees where that has moved, `dns`, `egress`, `tls` and `connect` make new ones, `h1` (with `head`
//! and `framing`) and `h2` carry one exchange, `body` is the answer on its way back, `stats` is what metrics read.

mod body;
mod client;
mod connect;
mod dns;
mod egress;
mod error;
mod followed;
mod framing;
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) mod fuzzing;
mod h1;
mod h2;
mod h2_signs;
mod head;
mod head_deadline;
mod host;
mod io;
mod origin;
mod pool;
mod simulated;
mod stats;
mod tls;

#[cfg(test)]
mod tests;

pub use body::UpstreamBody;
pub use client::{SendLimits, Sent, UpstreamClient};
pub use egress::{Around, Door, Egress, Outward};
pub use error::{BodyError, SendError, SendErrorKind, SendFault, SendPhase};
pub use origin::{Origin, OriginError};
pub use stats::{EndpointTotals, PoolTotals, StatsBoard};
