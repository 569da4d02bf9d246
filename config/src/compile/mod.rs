//! From resources to a snapshot: pure, total, deterministic.
//!
//! `compile` never fails. A bad object is reported on that object, and what it last said well keeps serving; its siblings
//! do not notice. The same inputs, in any order, give the same bytes.

mod address;
mod advice;
mod cache;
mod credentials;
mod document;
mod inputs;
pub mod manifests;
mod objects;
mod pattern;
mod pool;
mod provider;
mod report;
mod revision;
mod route;
mod scalar;
mod structure;
mod verdict;

use crate::Snapshot;

pub use inputs::{Credentials, Fault, Inputs, Manifest, Secret, SecretValue, Source};
pub use verdict::{Finding, Kind, Reason, Severity, Verdict, Verdicts};

/// What comes of a compilation.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Compiled {
    /// What proxies run on.
    pub snapshot: Snapshot,
    /// The values of the credentials it names, and of no others.
    pub credentials: Credentials,
    /// What is to be said about the objects.
    pub verdicts: Verdicts,
}

/// Compiles everything there is. Never fails: what is wrong is in the verdicts.
#[must_use]
pub fn compile(inputs: &Inputs<'_>) -> Compiled {
    let mut verdicts = Vec::new();
    let mut pools = objects::pools(inputs, &mut verdicts);
    let credentials = credentials::gather(inputs, &mut pools);
    let routes = objects::routes(inputs, &pools, &mut verdicts);
    Compiled { snapshot: Snapshot { routes, pools }, credentials, verdicts: Verdicts::new(verdicts) }
}
