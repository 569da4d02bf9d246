//! The admin address: `/healthz`, `/readyz`, `/metrics`, `/config`, `/status`, `/rollout`. Served on the control thread.
//!
//! For probes, scrapers and people; not for callers, and not for the network outside.

mod exposition;
mod pages;
mod rollout;
mod server;

pub use pages::{Admin, router};
pub use server::serve;

#[cfg(test)]
mod tests;
