//! Which form of each object serves: what it says now, or, where that is no good, what it last said well.

use std::collections::BTreeMap;

use super::inputs::{Inputs, Manifest, Source};
use super::report::Report;
use super::verdict::{Kind, Reason, Verdict};
use super::{advice, credentials, pool, route};
use crate::{FORMAT, ObjectId, Pool, Route};

/// The pools that serve.
pub(super) fn pools(inputs: &Inputs<'_>, verdicts: &mut Vec<Verdict>) -> BTreeMap<ObjectId, Pool> {
    let previous = |id: &ObjectId| {
        inputs.previous.and_then(|snapshot| snapshot.pools.get(id)).filter(|pool| pool.format == FORMAT).cloned()
    };
    let mut pools = BTreeMap::new();
    for (id, manifests) in by_id(&inputs.pools) {
        let mut report = Report::new(Kind::ProviderPool, id, source(&manifests));
        let compiled = only(&manifests, &mut report).map(|(manifest, spec)| {
            let pool = pool::compile(spec, namespace(&manifest.id), &mut report);
            credentials::resolve(spec, &pool, inputs, &mut report);
            pool
        });
        let serving = match compiled {
            Some(pool) if !report.has_errors() => Some(pool),
            // Only a Secret is missing: without a previous form, the providers that need none still serve.
            Some(pool) if !report.is_unusable() => previous(id).or(Some(pool)),
            _ => previous(id),
        };
        if let Some(pool) = serving {
            pools.insert(id.clone(), pool);
        }
        verdicts.extend(report.into_verdicts());
    }
    if let Some(snapshot) = inputs.previous.filter(|_| inputs.incomplete) {
        for (id, pool) in snapshot.pools.iter().filter(|(_, pool)| pool.format == FORMAT) {
            if inputs.pools.iter().all(|manifest| manifest.id != *id) {
                pools.insert(id.clone(), pool.clone());
            }
        }
    }
    pools
}

/// The routes that serve, over pools that do.
pub(super) fn routes(
    inputs: &Inputs<'_>,
    pools: &BTreeMap<ObjectId, Pool>,
    verdicts: &mut Vec<Verdict>,
) -> BTreeMap<ObjectId, Route> {
    let previous = |id: &ObjectId| {
        inputs.previous.and_then(|snapshot| snapshot.routes.get(id)).filter(|route| route.format == FORMAT).cloned()
    };
    let mut routes = BTreeMap::new();
    for (id, manifests) in by_id(&inputs.routes) {
        let mut report = Report::new(Kind::LlmRoute, id, source(&manifests));
        let compiled = only(&manifests, &mut report).map(|(manifest, spec)| {
            let route = route::compile(spec, namespace(&manifest.id), manifest.created, &mut report);
            route::resolve(spec, namespace(&manifest.id), pools, &mut report);
            if !report.has_errors() {
                advice::give(&route, pools, &mut report);
            }
            route
        });
        let serving = match compiled {
            Some(route) if !report.has_errors() => Some(route),
            // Only a pool is missing. Make before break: the previous form serves while it has all that it names;
            // otherwise the new one, as far as its pools go.
            Some(route) if !report.is_unusable() => {
                previous(id).filter(|previous| route::is_whole(previous, pools)).or(Some(route))
            }
            _ => previous(id),
        };
        if let Some(mut route) = serving {
            route::prune(&mut route, pools);
            routes.insert(id.clone(), route);
        }
        verdicts.extend(report.into_verdicts());
    }
    if let Some(snapshot) = inputs.previous.filter(|_| inputs.incomplete) {
        for (id, route) in snapshot.routes.iter().filter(|(_, route)| route.format == FORMAT) {
            if inputs.routes.iter().all(|manifest| manifest.id != *id) {
                let mut route = route.clone();
                route::prune(&mut route, pools);
                routes.insert(id.clone(), route);
            }
        }
    }
    routes
}

fn by_id<S>(manifests: &[Manifest<S>]) -> BTreeMap<&ObjectId, Vec<&Manifest<S>>> {
    let mut groups: BTreeMap<&ObjectId, Vec<&Manifest<S>>> = BTreeMap::new();
    for manifest in manifests {
        groups.entry(&manifest.id).or_default().push(manifest);
    }
    for group in groups.values_mut() {
        group.sort_by(|a, b| a.source.cmp(&b.source));
    }
    groups
}

/// Where the first of them was read.
fn source<'a, S>(manifests: &[&'a Manifest<S>]) -> &'a Source {
    static NOWHERE: Source = Source { file: None, lines: BTreeMap::new() };
    manifests.first().map_or(&NOWHERE, |manifest| &manifest.source)
}

/// The one manifest of an object and what it says. Two of them contradict each other, or will one day.
fn only<'a, S>(manifests: &[&'a Manifest<S>], report: &mut Report<'_>) -> Option<(&'a Manifest<S>, &'a S)> {
    let (manifest, others) = manifests.split_first()?;
    for other in others {
        let place = match (&other.source.file, other.source.line("")) {
            (Some(file), Some(line)) => format!(" (also in {file}, line {line})"),
            (Some(file), None) => format!(" (also in {file})"),
            (None, _) => String::new(),
        };
        report.error("", Reason::Duplicate, format!("this object is there more than once{place}: keep one of them"));
    }
    match &manifest.spec {
        Ok(spec) => others.is_empty().then_some((*manifest, spec)),
        Err(faults) => {
            for fault in faults {
                report.invalid(&fault.path, fault.message.clone());
            }
            None
        }
    }
}

fn namespace(id: &ObjectId) -> &str {
    id.0.split_once('/').map_or("default", |(namespace, _)| namespace)
}
