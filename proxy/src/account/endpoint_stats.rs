//! The facts told of endpoints and of pools at a scrape.

use std::sync::Arc;

/// The state of an endpoint's circuit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CircuitStat {
    /// Calls pass.
    Closed,
    /// A few calls probe it.
    HalfOpen,
    /// No call passes.
    Open,
}

/// The facts told of an endpoint at a scrape.
#[derive(Debug, Clone)]
pub struct EndpointStat {
    /// The pool's id.
    pub pool: Arc<str>,
    /// The provider's name in it.
    pub provider: Arc<str>,
    /// The endpoint's address as configured.
    pub endpoint: Arc<str>,
    /// Its circuit.
    pub circuit: CircuitStat,
    /// The number of times that the circuit has opened.
    pub circuit_opened: u64,
    /// The number of times that nearly all of its provider's limit for a model was used up.
    pub nearly_used_up: u64,
    /// The most calls that this process may have there at once, where that is found out.
    pub own_limit: Option<u64>,
    /// Attempts in flight.
    pub in_flight: u64,
    /// The calls that its model server says are running and waiting, where it has told lately.
    pub server_requests: Option<[u64; 2]>,
    /// The part of its KV cache that it says is in use.
    pub server_cache: Option<f64>,
    /// Connections in use, idle, and ever made, all workers together; `None`: not known here.
    pub connections: Option<(u64, u64, u64)>,
    /// The seconds that streams and whole answers let callers wait, where that is measured.
    pub latency: [Option<f64>; 2],
}

/// The facts told of a pool at a scrape.
#[derive(Debug, Clone)]
pub struct PoolStat {
    /// Its id.
    pub pool: Arc<str>,
    /// Calls of conversations that are kept together, by these words.
    pub affinity: Vec<(&'static str, u64)>,
    /// Second attempts, by these words.
    pub hedges: Vec<(&'static str, u64)>,
    /// Copies of calls that it was sent, by these words.
    pub mirrors: Vec<(&'static str, u64)>,
}
