//! The admin address: `/healthz`, `/readyz`, `/metrics`, `/config`, `/status`, `/rollout`. Served on the control thread.
//!
//! For probes, scrapers and people; not for callers, and not for the network outside.

mod exposition;
mod pages;
mod refused_keys;
mod rollout;
mod server;
mod spend;
mod state;

pub use pages::router;
pub use server::serve;
pub use state::Admin;

#[cfg(test)]
mod tests;
