//! A simulated provider: it speaks each dialect as its vendor does, and fails in each of a vendor's ways when told to.
//!
//! It is written from the vendors' documents and from what their SDKs accept, and shares no translation code with the
//! gateway, so that a mistake of the gateway is not mirrored here.
//!
//! [`serve`] speaks HTTP over any byte stream: an in-memory pipe inside the gateway, a socket in the binary. What it
//! answers is decided by a [`SimulatedProvider`]; how well it behaves by its [`Behaviour`], and in tests, call by call,
//! by the `x-simulate` header (see [`STEER_HEADER`]).

mod amazon;
mod anthropic;
mod ask;
mod behaviour;
mod canned;
mod clock;
mod cohere;
mod digest;
mod fault;
mod gemini;
mod heads;
mod ids;
mod journal;
mod kept;
mod limits;
mod model;
mod openai;
mod plan;
mod prompts;
mod provider;
mod route;
mod script;
mod server;
mod side;
mod steer;
mod tokens;
mod vector;
mod vertex;
mod wire;

pub use behaviour::{Behaviour, Failure, FailureKind};
pub use canned::Canned;
pub use openai::look_alike::LookAlike;
pub use provider::SimulatedProvider;
pub use server::{serve, serve_with_fate};
pub use steer::{ECHO_HEADER, STEER_HEADER};
pub use wire::Fate;
