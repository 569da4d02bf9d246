//! A real Kubernetes for tests: the control plane alone, on loopback and without root; and what tests do with it.
//!
//! `tests/kube/README.md` says how it is made and what it costs.

pub mod account;
mod assets;
pub mod components;
mod control_plane;
pub mod manifests;
mod pki;
pub mod pod;

pub use assets::assets;
pub use control_plane::{ControlPlane, Options, connect};
