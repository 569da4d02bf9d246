//! From resources to a snapshot: pure, total, deterministic.
//!
//! `compile` never fails. A bad object is reported on that object, and what it last said well keeps serving; its siblings
//! do not notice. The same inputs, in any order, give the same bytes.

mod address;
mod advice;
mod allowed;
mod barred;
mod cache;
mod certificates;
mod claims;
mod compatibility;
mod credentials;
mod document;
mod endpoints;
mod features;
mod inputs;
mod kinds;
pub mod manifests;
mod objects;
mod pattern;
mod pool;
mod provider;
mod reach;
mod references;
mod report;
mod revision;
mod rivals;
mod route;
mod scalar;
mod services;
mod structure;
mod verdict;

use std::collections::BTreeSet;

use crate::{ObjectId, Snapshot};

pub use crate::Kind;
pub use barred::{Bar, Barred};
pub use claims::ModelClaims;
pub use endpoints::{Slice, SliceEndpoint, SlicePort, endpoints};
pub use inputs::{Credentials, Fault, Inputs, Labels, Manifest, Secret, SecretValue, Service, Source};
pub use kinds::{Form, KindSteps, Reference, Resource, Spec, steps};
pub use references::{Needs, needs, needs_of_compiled, reads_alike, references, references_of_compiled};
pub use rivals::Rivals;
pub use verdict::{Finding, Reason, Severity, Verdict, Verdicts};

/// The result of a compilation.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Compiled {
    /// The snapshot that proxies run on.
    pub snapshot: Snapshot,
    /// The values of the credentials it names, and of no others.
    pub credentials: Credentials,
    /// The verdicts on the objects.
    pub verdicts: Verdicts,
    /// The objects that serve in their previous form, since what they say now is no good.
    pub kept: BTreeSet<(Kind, ObjectId)>,
    /// Objects that may serve in no form any more, their previous one included: what stands of them is to go.
    pub withdrawn: BTreeSet<(Kind, ObjectId)>,
}

/// Compiles everything there is. Never fails: what is wrong is in the verdicts.
#[must_use]
pub fn compile(inputs: &Inputs<'_>) -> Compiled {
    let mut told = objects::Told::default();
    let mut pools = objects::pools(inputs, &mut told);
    let credentials = credentials::gather(inputs, &mut pools, |id| told.is_kept(Kind::ProviderPool, id));
    let routes = objects::routes(inputs, &pools, &mut told);
    let objects::Told { verdicts, mut kept, withdrawn } = told;
    let snapshot = Snapshot { routes, pools };
    kept.retain(|(kind, id)| steps(*kind).serves(&snapshot, id));
    Compiled { snapshot, credentials, verdicts: Verdicts::new(verdicts), kept, withdrawn }
}
