//! The form in which each object serves: what it says now, or, where that is no good, what it last said well.

use std::collections::{BTreeMap, BTreeSet};

use super::allowed::Reachable;
use super::inputs::{Inputs, Manifest, Source};
use super::report::Report;
use super::verdict::{Reason, Severity, Verdict};
use super::{advice, budget_advice, credentials, match_conflicts, pool, price_list};
use super::{provider_addresses, route, services};
use crate::{FORMAT, Kind, ObjectId, Pool, Provider, Route};

/// The findings about the objects on the way.
#[derive(Default)]
pub(super) struct Told {
    pub(super) verdicts: Vec<Verdict>,
    /// Objects that serve in their previous form.
    pub(super) kept: BTreeSet<(Kind, ObjectId)>,
    /// Objects that may serve in no form any more.
    pub(super) withdrawn: BTreeSet<(Kind, ObjectId)>,
}

impl Told {
    pub(super) fn is_kept(&self, kind: Kind, id: &ObjectId) -> bool {
        self.kept.contains(&(kind, id.clone()))
    }

    /// Notes that an object keeps its previous form, where it has one.
    pub(super) fn keep<T>(&mut self, kind: Kind, id: &ObjectId, previous: Option<T>) -> Option<T> {
        if previous.is_some() {
            self.kept.insert((kind, id.clone()));
        }
        previous
    }
}

/// The pools that serve.
pub(super) fn pools(inputs: &Inputs<'_>, told: &mut Told) -> BTreeMap<ObjectId, Pool> {
    const KIND: Kind = Kind::ProviderPool;
    let previous = |id: &ObjectId| {
        inputs.previous.and_then(|snapshot| snapshot.pools.get(id)).and_then(|pool| previous_pool(pool, inputs))
    };
    let mut pools = BTreeMap::new();
    let objects = by_id(&inputs.pools);
    for (id, manifests) in &objects {
        let mut report = Report::new(KIND, id, source(manifests));
        let compiled = only(manifests, &mut report).map(|(manifest, spec)| {
            let mut pool = pool::compile(spec, namespace(&manifest.id), &mut report);
            provider_addresses::judge(spec, &inputs.denied, &mut report);
            credentials::resolve(spec, &pool, inputs, &mut report);
            services::resolve(spec, &mut pool, inputs, &mut report);
            price_list::fill(spec, &mut pool, inputs.prices);
            pool::seal(&mut pool);
            pool
        });
        let serving = match compiled {
            Some(pool) if !report.has_errors() => Some(pool),
            // Only a Secret or a Service is missing: where no previous form serves better, the providers that miss nothing
            // serve. Who may name it is as it says now in any case.
            Some(pool) if !report.is_unusable() => {
                let better = previous(id).filter(|previous| loses(previous, &pool, inputs));
                told.keep(KIND, id, better.map(|better| with_allowed(better, &pool))).or(Some(pool))
            }
            _ => told.keep(KIND, id, previous(id)),
        };
        if let Some(pool) = serving {
            pools.insert((*id).clone(), pool);
        }
        told.verdicts.extend(report.into_verdicts());
    }
    if let Some(snapshot) = inputs.previous.filter(|_| inputs.incomplete) {
        for (id, pool) in snapshot.pools.iter().filter(|(id, _)| !objects.contains_key(id)) {
            if let Some(pool) = told.keep(KIND, id, previous_pool(pool, inputs)) {
                pools.insert(id.clone(), pool);
            }
        }
    }
    pools
}

/// A pool's previous form, with the pods that its Services have by now.
fn previous_pool(pool: &Pool, inputs: &Inputs<'_>) -> Option<Pool> {
    let mut pool = (pool.format == FORMAT).then(|| pool.clone())?;
    services::refresh(&mut pool, inputs);
    pool::seal(&mut pool);
    Some(pool)
}

/// A pool's previous form under the new one's permission: what is withdrawn is withdrawn at once.
fn with_allowed(mut previous: Pool, new: &Pool) -> Pool {
    previous.allowed_routes.clone_from(&new.allowed_routes);
    pool::seal(&mut previous);
    previous
}

/// True if a previous form has a provider that serves and that the new form, with something it names missing, has not.
/// Where it loses nothing the new form takes its place: otherwise a pool that once began without one of its Secrets would
/// take no change until the Secret comes.
fn loses(previous: &Pool, new: &Pool, inputs: &Inputs<'_>) -> bool {
    let serves = |provider: &Provider, is_previous| {
        credentials::has_key(provider, inputs, is_previous) && services::is_there(provider, inputs)
    };
    let serving: BTreeSet<&str> = new
        .providers
        .iter()
        .filter(|provider| serves(provider, false))
        .map(|provider| provider.name.as_str())
        .collect();
    let mut before = previous.providers.iter().filter(|provider| serves(provider, true));
    before.any(|provider| !serving.contains(provider.name.as_str()))
}

/// The routes that serve, over pools that do.
pub(super) fn routes(
    inputs: &Inputs<'_>,
    pools: &BTreeMap<ObjectId, Pool>,
    told: &mut Told,
) -> BTreeMap<ObjectId, Route> {
    const KIND: Kind = Kind::LlmRoute;
    let is_forbidden =
        |id: &ObjectId, route: &Route| inputs.model_claims.is_some_and(|claims| claims.are_broken_by(id, route));
    let last = |id: &ObjectId| {
        inputs.previous.and_then(|snapshot| snapshot.routes.get(id)).filter(|route| route.format == FORMAT)
    };
    // What the platform no longer lets a route claim, it lets its previous form claim no longer either.
    let previous = |id: &ObjectId| last(id).filter(|route| !is_forbidden(id, route)).cloned();
    let mut routes = BTreeMap::new();
    let objects = by_id(&inputs.routes);
    for (id, manifests) in &objects {
        let mut report = Report::new(KIND, id, source(manifests));
        let pools = Reachable::new(namespace(id), inputs, pools);
        let compiled = only(manifests, &mut report).map(|(manifest, spec)| {
            let route = route::compile(spec, &manifest.id, manifest.created, &mut report);
            route::resolve(spec, &pools, &mut report);
            for (path, message) in inputs.model_claims.iter().flat_map(|claims| claims.refusals(id, &route)) {
                report.error(&path, Reason::ModelNotAllowed, message);
            }
            if !report.has_errors() {
                advice::give(&route, &pools, &mut report);
                budget_advice::give(&route, &pools, &mut report);
            }
            route
        });
        let serving = match compiled {
            Some(route) if !report.has_errors() => Some(route),
            // Only a pool is missing. Make before break: the previous form serves while it has all that it names;
            // otherwise the new one, as far as its pools go.
            Some(route) if !report.is_unusable() => {
                let better = previous(id)
                    .filter(|previous| route::is_whole(previous, &pools) && route::loses(previous, &route, &pools));
                told.keep(KIND, id, better).or(Some(route))
            }
            _ => told.keep(KIND, id, previous(id)),
        };
        if let Some(mut route) = serving {
            route::prune(&mut route, &pools);
            routes.insert((*id).clone(), route);
        } else if last(id).is_some_and(|route| is_forbidden(id, route)) {
            told.withdrawn.insert((KIND, (*id).clone()));
        }
        told.verdicts.extend(report.into_verdicts());
    }
    if let Some(snapshot) = inputs.previous.filter(|_| inputs.incomplete) {
        for id in snapshot.routes.keys().filter(|id| !objects.contains_key(id)) {
            if let Some(mut route) = told.keep(KIND, id, previous(id)) {
                route::prune(&mut route, &Reachable::new(namespace(id), inputs, pools));
                routes.insert(id.clone(), route);
            }
        }
    }
    shadowed(inputs, &objects, &routes, told);
    routes
}

/// Says where another route takes a route's calls. Of one that serves in its previous form it is said that it does.
fn shadowed(
    inputs: &Inputs<'_>,
    objects: &BTreeMap<&ObjectId, Vec<&Manifest<sluicegate_crds::LLMRouteSpec>>>,
    routes: &BTreeMap<ObjectId, Route>,
    told: &mut Told,
) {
    match_conflicts::judge(routes.iter(), inputs.conflicts, |id, said| {
        let Some(manifests) = objects.get(id).filter(|_| !told.is_kept(Kind::LlmRoute, id)) else { return };
        let mut report = Report::new(Kind::LlmRoute, id, source(manifests));
        for (path, severity, message) in said {
            match severity {
                Severity::Error => report.error(&path, Reason::Shadowed, message),
                Severity::Warning => report.warning(&path, Reason::Shadowed, message),
            }
        }
        told.verdicts.extend(report.into_verdicts());
    });
}

pub(super) fn by_id<S>(manifests: &[Manifest<S>]) -> BTreeMap<&ObjectId, Vec<&Manifest<S>>> {
    let mut groups: BTreeMap<&ObjectId, Vec<&Manifest<S>>> = BTreeMap::new();
    for manifest in manifests {
        groups.entry(&manifest.id).or_default().push(manifest);
    }
    for group in groups.values_mut() {
        group.sort_by(|a, b| a.source.cmp(&b.source));
    }
    groups
}

/// The place where the first of them was read.
pub(super) fn source<'a, S>(manifests: &[&'a Manifest<S>]) -> &'a Source {
    static NOWHERE: Source = Source { file: None, lines: BTreeMap::new() };
    manifests.first().map_or(&NOWHERE, |manifest| &manifest.source)
}

/// The one manifest of an object and what it says. Two of them contradict each other, or will one day.
pub(super) fn only<'a, S>(manifests: &[&'a Manifest<S>], report: &mut Report<'_>) -> Option<(&'a Manifest<S>, &'a S)> {
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

pub(super) fn namespace(id: &ObjectId) -> &str {
    id.0.split_once('/').map_or("default", |(namespace, _)| namespace)
}
