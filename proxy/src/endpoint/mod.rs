//! The facts known of an endpoint: circuit, cooldown, calls in flight. Shared by all workers, survives reloads.
//!
//! Health belongs to an endpoint (pool, provider, address), never to a route: two routes to one endpoint share
//! what was learnt. `live` is one endpoint, `breaker` its circuit's state machine on a sliding `window`, `budget`
//! bounds retries, `registry` keeps everything by stable id.

mod breaker;
mod budget;
mod live;
mod registry;
mod window;

#[cfg(test)]
mod tests;

pub use breaker::{CircuitState, Outcome};
pub use budget::RetryBudget;
pub use live::{Admission, CountedFailure, Endpoint, Health, Permit};
pub use registry::{EndpointKey, LivePool, Registry};
