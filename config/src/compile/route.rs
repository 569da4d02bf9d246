//! `LLMRoute` to `Route`.

use std::collections::BTreeSet;

use sluicegate_crds::{self as crds, LLMRouteSpec, rules};

use super::allowed::Reachable;
use super::pattern::{anchored, header_name};
use super::references::pool_id;
use super::report::Report;
use super::revision;
use super::scalar::millis;
use super::verdict::Reason;
use super::{access, budgets, cache, concurrency, features, limits, prompt_cache as breakpoints, request};
use crate::{
    FORMAT, FallbackReason, HeaderMatch, HeaderValueMatch, Hedge, Match, Millis, Mirror, ModelMatch, ObjectId,
    PathMatch, Route, Rule, StreamFailover, Target, Timeouts, owner_below_path, owner_of_path,
};

/// Top-level fields that always count.
const REFUSED_IGNORE: [&str; 2] = ["messages", "model"];

/// Compiles a route, judging all of it; it is yet to be pruned. With errors in the report the result may name pools
/// that do not exist.
pub(super) fn compile(spec: &LLMRouteSpec, id: &ObjectId, created: i64, report: &mut Report<'_>) -> Route {
    let namespace = id.0.split_once('/').map_or("default", |(namespace, _)| namespace);
    let own_name = format!("LLMRoute {}", id.0);
    let LLMRouteSpec { rules, access, listed, cache, coalesce, limits, prompt_cache, stream_failover, timeouts } = spec;
    let mut names = BTreeSet::new();
    if !rules.iter().all(|rule| names.insert(rule.name.as_str())) {
        report.invalid("spec.rules", rules::RULE_NAMES.message);
    }
    ignorable(cache.as_ref(), "spec", report);
    let access = access.as_ref().map(|access| access::compile(access, namespace, report));
    let route_limits = limits::compile(limits.as_ref(), "spec", report);
    let route_budgets = budgets::compile(limits.as_ref(), (&own_name, None), "spec", report);
    let route_concurrency = concurrency::of_limits(limits.as_ref(), "spec", report);
    let route_timeouts = self::timeouts(timeouts.as_ref(), "spec", report);
    let rules = rules
        .iter()
        .enumerate()
        .map(|(index, rule)| {
            let path = format!("spec.rules[{index}]");
            let crds::Rule { name, matches, targets, fallbacks, listed: own_word, cache: own, .. } = rule;
            let crds::Rule { coalesce: shares, limits, request, hedge, mirror, timeouts, .. } = rule;
            let crds::Rule { prompt_cache: own_breakpoints, stream_failover: own_failover, .. } = rule;
            report.rule(&format!("{path}.targets"), rules::TARGET_WEIGHTS, targets.iter().any(|t| t.weight > 0));
            ignorable(own.as_ref(), &path, report);
            own_pools(rule, (namespace, &path), report);
            let own_limits = limits::compile(limits.as_ref(), &path, report);
            let own_budgets = budgets::compile(limits.as_ref(), (&format!("{own_name}/{name}"), None), &path, report);
            let own_concurrency = concurrency::of_limits(limits.as_ref(), &path, report);
            let own_timeouts = self::timeouts(timeouts.as_ref(), &path, report);
            Rule {
                name: name.clone(),
                matches: self::matches(matches, (namespace, &path), report),
                unlisted: own_word.or(*listed) == Some(false),
                targets: targets.iter().map(|target| self::target(target, namespace)).collect(),
                fallbacks: fallbacks.iter().map(|fallback| self::fallback(fallback, namespace)).collect(),
                cache: cache::merge(own.as_ref(), cache.as_ref(), &path, report),
                coalesce: cache::coalesce(shares.as_ref().or(coalesce.as_ref()), own.as_ref(), cache.as_ref()),
                prompt_cache: breakpoints::compile(own_breakpoints.as_ref().or(prompt_cache.as_ref())),
                own_limits: !own_limits.is_empty(),
                limits: if own_limits.is_empty() { route_limits.clone() } else { own_limits },
                budgets: route_budgets.iter().cloned().chain(own_budgets).collect(),
                request: request.as_ref().map(|request| request::changes(request, &path, report)),
                mirror: mirror.as_ref().map(|mirror| self::mirror(mirror, namespace)),
                hedge: hedge.as_ref().map(|hedge| self::hedge(hedge, &path, report)),
                stream_failover: self::stream_failover(own_failover.as_ref().or(stream_failover.as_ref())),
                own_concurrency: own_concurrency.is_some(),
                concurrency: own_concurrency.or_else(|| route_concurrency.clone()),
                timeouts: over(own_timeouts, route_timeouts, &path, report),
            }
        })
        .collect();
    Route { format: FORMAT, revision: String::new(), requires: Vec::new(), created, access, rules }
}

/// Says which pools are missing. One that does not let the route in is missing in the same words: what another namespace
/// holds is not told.
pub(super) fn resolve(spec: &LLMRouteSpec, pools: &Reachable<'_>, report: &mut Report<'_>) {
    let namespace = pools.namespace();
    let mut look = |path: String, reference: &crds::PoolRef| {
        let id = pool_id(reference, namespace);
        if pools.get(&id).is_some() {
            return;
        }
        let message = if pools.is_own(&id) {
            format!("there is no ProviderPool {} that can serve: create it, or name another", id.0)
        } else {
            format!(
                "there is no ProviderPool {} that can serve routes of namespace {namespace}: have it created and its allowedRoutes let this namespace in, or name another",
                id.0
            )
        };
        report.error(&path, Reason::BackendNotFound, message);
    };
    for (index, rule) in spec.rules.iter().enumerate() {
        for (at, target) in rule.targets.iter().enumerate() {
            look(format!("spec.rules[{index}].targets[{at}].poolRef"), &target.pool_ref);
        }
        for (at, fallback) in rule.fallbacks.iter().enumerate() {
            look(format!("spec.rules[{index}].fallbacks[{at}].poolRef"), &fallback.pool_ref);
        }
        if let Some(mirror) = &rule.mirror {
            look(format!("spec.rules[{index}].mirror.poolRef"), &mirror.pool_ref);
        }
    }
}

/// True if every rule has targets, and every pool that is named is there.
pub(super) fn is_whole(route: &Route, pools: &Reachable<'_>) -> bool {
    route
        .rules
        .iter()
        .all(|rule| !rule.targets.is_empty() && rule.named().all(|target| pools.get(&target.pool).is_some()))
}

/// True if a previous form has what the new form, with a pool that it names missing, has not: for a rule that misses one,
/// another pool, or that there was no such rule to take calls away from others. Where it loses nothing the new form takes
/// its place: otherwise a route that once began without one of its pools would take no change until the pool comes.
pub(super) fn loses(previous: &Route, new: &Route, pools: &Reachable<'_>) -> bool {
    let named = |rule: &'_ Rule| -> BTreeSet<ObjectId> {
        rule.targets.iter().chain(&rule.fallbacks).map(|target| target.pool.clone()).collect()
    };
    let mut broken = new.rules.iter().map(|rule| (rule, named(rule)));
    broken.any(|(rule, mut now)| {
        let all = now.len();
        now.retain(|id| pools.get(id).is_some());
        let before = previous.rules.iter().find(|before| before.name == rule.name);
        now.len() < all && before.is_none_or(|before| !named(before).is_subset(&now))
    })
}

/// Drops what names a pool that does not exist, and writes the revision that belongs to the rest. A rule that loses all
/// of its targets stays and refuses its calls: without it they would fall to a later rule, and so perhaps to a vendor
/// that they were kept from.
pub(super) fn prune(route: &mut Route, pools: &Reachable<'_>) {
    for rule in &mut route.rules {
        rule.targets.retain(|target| pools.get(&target.pool).is_some());
        rule.fallbacks.retain(|target| pools.get(&target.pool).is_some());
        rule.mirror.take_if(|mirror| pools.get(&mirror.target.pool).is_none());
    }
    route.requires = features::of_route(route);
    route.revision = String::new();
    route.revision = revision::of(route);
}

fn target(spec: &crds::Target, namespace: &str) -> Target {
    let crds::Target { pool_ref, weight, model } = spec;
    Target { pool: pool_id(pool_ref, namespace), weight: *weight, model: model.clone(), reasons: Vec::new() }
}

fn fallback(spec: &crds::Fallback, namespace: &str) -> Target {
    let crds::Fallback { pool_ref, model, reasons } = spec;
    let mut reasons: Vec<_> = reasons.iter().map(reason).collect();
    reasons.sort_unstable();
    reasons.dedup();
    // What is said by saying nothing has one form.
    if reasons == [FallbackReason::Unavailable] {
        reasons.clear();
    }
    Target { pool: pool_id(pool_ref, namespace), weight: 1, model: model.clone(), reasons }
}

const fn reason(spec: &crds::FallbackReason) -> FallbackReason {
    match spec {
        crds::FallbackReason::Unavailable => FallbackReason::Unavailable,
        crds::FallbackReason::ContextWindow => FallbackReason::ContextWindow,
        crds::FallbackReason::ContentPolicy => FallbackReason::ContentPolicy,
        crds::FallbackReason::Budget => FallbackReason::Budget,
    }
}

fn mirror(spec: &crds::Mirror, namespace: &str) -> Mirror {
    let crds::Mirror { pool_ref, model, percent } = spec;
    let target = Target { pool: pool_id(pool_ref, namespace), weight: 1, model: model.clone(), reasons: Vec::new() };
    Mirror { target, percent: *percent }
}

fn hedge(spec: &crds::Hedge, path: &str, report: &mut Report<'_>) -> Hedge {
    let crds::Hedge { after, max_percent, max_cost_percent } = spec;
    let path = format!("{path}.hedge");
    let after = after.as_ref().map(|after| report.check(&format!("{path}.after"), millis(after)));
    report.rule(&path, rules::HEDGE_POSITIVE, after != Some(Millis(0)));
    Hedge { after, max_percent: *max_percent, max_cost_percent: *max_cost_percent }
}

fn stream_failover(spec: Option<&crds::StreamFailover>) -> Option<StreamFailover> {
    let crds::StreamFailover { method, attempts } = spec?;
    let prefill_only = match method {
        crds::StreamFailoverMethod::Any => false,
        crds::StreamFailoverMethod::Prefill => true,
        crds::StreamFailoverMethod::Never => return None,
    };
    Some(StreamFailover { prefill_only, attempts: *attempts })
}

fn matches(specs: &[crds::Match], (namespace, path): (&str, &str), report: &mut Report<'_>) -> Vec<Match> {
    let mut compiled = Vec::with_capacity(specs.len());
    for (index, crds::Match { model, headers, consumers, complexity, path: on_path }) in specs.iter().enumerate() {
        let path = format!("{path}.matches[{index}]");
        let of_model = model.is_some() || complexity.is_some();
        let says = of_model || !headers.is_empty() || consumers.is_some() || on_path.is_some();
        report.rule(&path, rules::MATCH_EMPTY, says);
        report.rule(&path, rules::PATH_BESIDE_MODEL, on_path.is_none() || !of_model);
        compiled.push(Match {
            model: model.as_ref().and_then(|spec| model_match(spec, &format!("{path}.model"), report)),
            headers: headers
                .iter()
                .enumerate()
                .filter_map(|(at, spec)| header_match(spec, &format!("{path}.headers[{at}]"), report))
                .collect(),
            consumers: consumers
                .as_ref()
                .map(|spec| access::consumers(spec, namespace, &format!("{path}.consumers"), report)),
            complexity: complexity.as_ref().map(|spec| request::complexity(spec, &path, report)),
            path: on_path.as_ref().and_then(|spec| path_match(spec, &format!("{path}.path"), report)),
        });
    }
    compiled
}

pub(super) fn model_match(spec: &crds::ModelMatch, path: &str, report: &mut Report<'_>) -> Option<ModelMatch> {
    let crds::ModelMatch { exact, prefix, regex } = spec;
    match (exact, prefix, regex) {
        (Some(exact), None, None) => Some(ModelMatch::Exact(exact.clone())),
        (None, Some(prefix), None) => Some(ModelMatch::Prefix(prefix.clone())),
        (None, None, Some(regex)) => Some(ModelMatch::Regex(report.check(&format!("{path}.regex"), anchored(regex)))),
        _ => {
            report.invalid(path, rules::MODEL_ONE_OF.message);
            None
        }
    }
}

/// A pool that lets routes in from elsewhere lets in calls for models: whoever may name paths may have its key called at any of them.
fn own_pools(rule: &crds::Rule, (namespace, path): (&str, &str), report: &mut Report<'_>) {
    if rule.matches.iter().all(|one| one.path.is_none()) {
        return;
    }
    let targets = rule.targets.iter().enumerate().map(|(at, target)| (format!("targets[{at}]"), &target.pool_ref));
    let fallbacks = rule.fallbacks.iter().enumerate().map(|(at, other)| (format!("fallbacks[{at}]"), &other.pool_ref));
    for (at, reference) in targets.chain(fallbacks) {
        if reference.namespace.as_deref().is_some_and(|other| other != namespace) {
            let message = "a rule that names paths passes them to pools of its own namespace alone, for the pool's key is called at them: \
                           write the route in the pool's namespace, or name a pool of this one";
            report.invalid(&format!("{path}.{at}.poolRef.namespace"), message);
        }
    }
}

/// A condition on paths, none of which the gateway answers itself.
fn path_match(spec: &crds::PathMatch, path: &str, report: &mut Report<'_>) -> Option<PathMatch> {
    let crds::PathMatch { exact, prefix } = spec;
    let (field, on_path, owner) = match (exact, prefix) {
        (Some(exact), None) => ("exact", PathMatch::Exact(exact.clone()), owner_of_path(exact)),
        (None, Some(prefix)) => {
            let owner = owner_of_path(prefix).or_else(|| owner_below_path(prefix));
            ("prefix", PathMatch::Prefix(prefix.clone()), owner)
        }
        _ => {
            report.invalid(path, rules::PATH_ONE_OF.message);
            return None;
        }
    };
    if let Some(owner) = owner {
        let message = format!(
            "the gateway answers {owner} itself, and whatever is below it, so that nothing of it is passed on: write other paths, each by \
             its name or by a longer beginning"
        );
        report.invalid(&format!("{path}.{field}"), message);
    }
    Some(on_path)
}

fn header_match(spec: &crds::HeaderMatch, path: &str, report: &mut Report<'_>) -> Option<HeaderMatch> {
    let crds::HeaderMatch { name, exact, regex, present } = spec;
    let name = report.check(&format!("{path}.name"), header_name(name));
    let value = match (exact, regex, present) {
        (Some(exact), None, None) => HeaderValueMatch::Exact(exact.clone()),
        (None, Some(regex), None) => HeaderValueMatch::Regex(report.check(&format!("{path}.regex"), anchored(regex))),
        (None, None, Some(true)) => HeaderValueMatch::Present,
        _ => {
            report.invalid(path, rules::HEADER_ONE_OF.message);
            return None;
        }
    };
    Some(HeaderMatch { name, value })
}

fn timeouts(spec: Option<&crds::RouteTimeouts>, path: &str, report: &mut Report<'_>) -> Timeouts {
    let Some(crds::RouteTimeouts { first_token, idle, total }) = spec else { return Timeouts::default() };
    let path = format!("{path}.timeouts");
    let mut read = |field: &str, written: &Option<crds::Duration>| {
        written.as_ref().map(|duration| report.check(&format!("{path}.{field}"), millis(duration)))
    };
    let timeouts = Timeouts {
        first_token: read("firstToken", first_token),
        idle: read("idle", idle),
        total: read("total", total),
    };
    let positive = [timeouts.first_token, timeouts.idle, timeouts.total].iter().all(|t| *t != Some(Millis(0)));
    report.rule(&path, rules::ROUTE_TIMEOUTS_POSITIVE, positive);
    report.rule(&path, rules::ROUTE_FIRST_TOKEN_WITHIN_TOTAL, ordered(timeouts));
    timeouts
}

/// A rule's timeouts over its route's.
fn over(own: Timeouts, route: Timeouts, path: &str, report: &mut Report<'_>) -> Timeouts {
    let merged = Timeouts {
        first_token: own.first_token.or(route.first_token),
        idle: own.idle.or(route.idle),
        total: own.total.or(route.total),
    };
    // Each layer for itself is judged where it is written; this is about what they say together.
    if ordered(own) && ordered(route) && !ordered(merged) {
        report.invalid(
            &format!("{path}.timeouts"),
            "with what the route says, firstToken exceeds total: write both here, with firstToken not above total",
        );
    }
    merged
}

fn ordered(timeouts: Timeouts) -> bool {
    timeouts.first_token.zip(timeouts.total).is_none_or(|(first_token, total)| first_token <= total)
}

/// Fields without which two different requests would share one answer.
fn ignorable(cache: Option<&crds::Cache>, path: &str, report: &mut Report<'_>) {
    let ignore = cache.and_then(|cache| cache.key.as_ref()?.ignore.as_ref());
    for (index, field) in ignore.into_iter().flatten().enumerate() {
        if REFUSED_IGNORE.contains(&field.as_str()) {
            report.invalid(
                &format!("{path}.cache.key.ignore[{index}]"),
                format!("without {field:?} different questions would get one answer: leave it out of ignore"),
            );
        }
    }
}
