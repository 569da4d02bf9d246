//! What is promised of resources in a cluster, tried on a real API server: the control plane alone, no pods run.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a test says what it expects")]

mod churn;
mod claims;
mod cloud_tokens;
mod consumers;
mod control_plane;
mod gateway;
mod generated_keys;
mod kinds;
mod limits;
mod manifests;
mod namespaces;
mod nobody_served;
mod operator;
mod owner;
mod partition;
mod proxies;
mod rotation;
mod several_gateways;
mod shared_answers;
mod skew;
mod spend;
mod status;
