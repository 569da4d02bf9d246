//! A real Kubernetes for tests, in two tiers: the control plane alone, on loopback and without root, which most tests
//! need; and a whole node, which runs pods. And what tests do with either.
//!
//! `tests/kube/README.md` says how they are made and what they cost.

pub mod account;
mod assets;
pub mod components;
mod control_plane;
pub mod image;
pub mod manifests;
pub mod node;
mod pki;
pub mod pod;

pub use assets::assets;
pub use control_plane::{ControlPlane, Options, connect};
