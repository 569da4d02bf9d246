//! From resources to a snapshot: pure, total, deterministic.
//!
//! `compile` never fails. A bad object is reported on that object, and what it last said well keeps serving; its siblings
//! do not notice. The same inputs, in any order, give the same bytes.

mod access;
mod address;
mod advice;
mod allowed;
mod budget_advice;
mod budgets;
mod cache;
mod calendar;
mod certificates;
mod claims;
mod compatibility;
mod compiled;
mod concurrency;
mod conflicts;
mod consumer;
mod credentials;
mod denied_networks;
mod document;
mod endpoints;
mod facts;
mod features;
mod gcp_key;
mod generated_keys;
mod generated_secret;
mod inputs;
mod jwt;
mod key_conflicts;
mod kinds;
mod kubernetes_names;
mod limits;
pub mod manifests;
mod match_conflicts;
mod objects;
mod pattern;
mod pool;
mod price;
mod price_list;
mod price_list_file;
mod prompt_cache;
mod provider;
mod provider_addresses;
mod references;
mod report;
mod request;
mod revision;
mod route;
mod scalar;
mod services;
mod structure;
mod verdict;

use crate::Snapshot;

pub use crate::Kind;
pub use budgets::{period_of, zone};
pub use calendar::{Period, period_at};
pub use claims::ModelClaims;
pub use compiled::Compiled;
pub use conflicts::Conflicts;
pub use denied_networks::{Denial, DeniedNetworks};
pub use endpoints::{Slice, SliceEndpoint, SlicePort, endpoints};
pub use gcp_key::{GcpKey, GcpKeyFault, gcp_key};
pub use generated_keys::{GENERATED_KEY, PREVIOUS_KEY, generated_digest};
pub use generated_secret::{GeneratedSecret, GeneratedSecrets, WantedKey};
pub use inputs::{Credentials, Fault, Inputs, Labels, Manifest, Secret, SecretValue, Service, Source};
pub use key_conflicts::KeyConflicts;
pub use kinds::{Form, KindSteps, Reference, Resource, Spec, steps};
pub use match_conflicts::MatchConflicts;
pub use price_list::PriceList;
pub use references::{Needs, needs, needs_of_compiled, reads_alike, references, references_of_compiled};
pub use verdict::{Finding, Reason, Severity, Verdict, Verdicts};

/// Compiles everything there is. Never fails: what is wrong is in the verdicts.
#[must_use]
pub fn compile(inputs: &Inputs<'_>) -> Compiled {
    let mut told = objects::Told::default();
    let mut pools = objects::pools(inputs, &mut told);
    let credentials = credentials::gather(inputs, &mut pools, |id| told.is_kept(Kind::ProviderPool, id));
    let consumers = consumer::consumers(inputs, &mut told);
    let routes = objects::routes(inputs, &pools, &mut told);
    let objects::Told { verdicts, mut kept, withdrawn } = told;
    let snapshot = Snapshot { routes, pools, consumers };
    kept.retain(|(kind, id)| steps(*kind).serves(&snapshot, id));
    Compiled { snapshot, credentials, verdicts: Verdicts::new(verdicts), kept, withdrawn }
}
