//! `LLMRoute` as a kind: it names pools.

use std::collections::BTreeSet;

use super::super::compiled::Compiled;
use super::super::inputs::{Inputs, Manifest};
use super::super::references::{references, references_of_compiled};
use super::step::{Form, KindSteps, Reference, Resource, form};
use crate::{Kind, ObjectId, Route, Snapshot};

/// The steps of routes.
pub(super) struct RouteSteps;

impl KindSteps for RouteSteps {
    fn references(&self, spec: &str, namespace: &str) -> BTreeSet<Reference> {
        serde_json::from_str(spec).map(|spec| named(references(&spec, namespace))).unwrap_or_default()
    }

    fn references_of_compiled(&self, text: &str) -> Option<(String, BTreeSet<Reference>)> {
        let route: Route = serde_json::from_str(text).ok()?;
        let pools = references_of_compiled(&route);
        Some((route.revision, named(pools)))
    }

    fn give(&self, inputs: &mut Inputs<'_>, resource: Resource<'_>) {
        let Resource { id, created, source, spec } = resource;
        inputs.routes.push(Manifest { id, created, source, spec: spec.read() });
    }

    fn recall(&self, snapshot: &mut Snapshot, id: &ObjectId, text: &str) {
        snapshot.routes.extend(serde_json::from_str(text).ok().map(|route| (id.clone(), route)));
    }

    fn form(&self, compiled: &Compiled, id: &ObjectId) -> Option<Form> {
        compiled.snapshot.routes.get(id).and_then(|route| form(&route.revision, route))
    }

    fn serves(&self, snapshot: &Snapshot, id: &ObjectId) -> bool {
        snapshot.routes.contains_key(id)
    }

    fn all<'a>(&self, snapshot: &'a Snapshot) -> Vec<(&'a ObjectId, &'a str)> {
        snapshot.routes.iter().map(|(id, route)| (id, route.revision.as_str())).collect()
    }

    fn idle(&self, compiled: &Compiled, id: &ObjectId) -> Option<&'static str> {
        let route = compiled.snapshot.routes.get(id)?;
        (!route.leads_anywhere()).then_some(
            "none of the pools that its rules name can serve, so its calls are refused (see ResolvedRefs): it heals by \
             itself when one of them can",
        )
    }
}

fn named(pools: BTreeSet<ObjectId>) -> BTreeSet<Reference> {
    pools.into_iter().map(|id| Reference::Object(Kind::ProviderPool, id)).collect()
}
