//! `ProviderPool` to `Pool`.

use sluicegate_crds::{self as crds, ProviderPoolSpec, rules};

use super::report::Report;
use super::revision;
use super::scalar::{millis, thousandths};
use super::{allowed, features, kubernetes_names, provider};
use crate::{
    Affinity, AffinitySource, Backoff, CircuitBreaker, FORMAT, HealthCheck, Millis, Pool, PoolTimeouts, Retry, RetryOn,
    Strategy,
};

/// Compiles a pool, judging all of it; it is yet to be sealed. With errors in the report the result is not to be used.
pub(super) fn compile(spec: &ProviderPoolSpec, namespace: &str, report: &mut Report<'_>) -> Pool {
    let ProviderPoolSpec { load_balancing, providers, timeouts, retry, circuit_breaker, health_check, allowed_routes } =
        spec;
    let crds::LoadBalancing { strategy, quality_floor, affinity } = load_balancing;
    let by_cost = *strategy == crds::Strategy::CostOptimized;
    report.rule("spec.loadBalancing", rules::QUALITY_FLOOR, quality_floor.is_none() || by_cost);
    let crds::RouteNamespaces { from, selector } = &allowed_routes.namespaces;
    let is_selector = *from == crds::NamespacesFrom::Selector;
    report.rule("spec.allowedRoutes.namespaces", rules::SELECTOR_WITH_FROM, is_selector == selector.is_some());
    let path = "spec.allowedRoutes.namespaces.selector";
    selector
        .iter()
        .for_each(|selector| kubernetes_names::labels(&selector.match_labels, &format!("{path}.matchLabels"), report));
    for (index, one) in selector.iter().flat_map(|selector| &selector.match_expressions).enumerate() {
        allowed::check(one, &format!("{path}.matchExpressions[{index}]"), report);
    }
    Pool {
        format: FORMAT,
        revision: String::new(),
        requires: Vec::new(),
        strategy: match strategy {
            crds::Strategy::RoundRobin => Strategy::RoundRobin,
            crds::Strategy::Weighted => Strategy::Weighted,
            crds::Strategy::LeastRequest => Strategy::LeastRequest,
            crds::Strategy::LeastLatency => Strategy::LeastLatency,
            crds::Strategy::CostOptimized => Strategy::CostOptimized,
        },
        quality_floor_milli: quality_floor
            .as_ref()
            .map(|floor| report.check("spec.loadBalancing.qualityFloor", thousandths(floor))),
        affinity: affinity.as_ref().map(|affinity| self::affinity(affinity, report)),
        providers: provider::compile_all(providers, namespace, report),
        timeouts: self::timeouts(timeouts, report),
        retry: self::retry(retry, report),
        circuit_breaker: breaker(circuit_breaker, report),
        health_check: health_check.as_ref().map(|check| self::health_check(check, report)),
        allowed_routes: allowed::compile(allowed_routes),
    }
}

/// Writes what the content requires of proxies, and the revision that belongs to it.
pub(super) fn seal(pool: &mut Pool) {
    pool.requires = features::of_pool(pool);
    pool.revision = String::new();
    pool.revision = revision::of(pool);
}

fn affinity(spec: &crds::Affinity, report: &mut Report<'_>) -> Affinity {
    let crds::Affinity { sources, header, max_load } = spec;
    let path = "spec.loadBalancing.affinity";
    let names_one = sources.contains(&crds::AffinitySource::Header);
    report.rule(path, rules::AFFINITY_HEADER, header.is_some() == names_one);
    let source = |source: &crds::AffinitySource| match source {
        crds::AffinitySource::Session => AffinitySource::Session,
        crds::AffinitySource::Header => AffinitySource::Header,
        crds::AffinitySource::Prefix => AffinitySource::Prefix,
    };
    Affinity {
        sources: sources.iter().map(source).collect(),
        header: header.as_ref().map(|name| name.to_ascii_lowercase()),
        max_load_milli: report.check(&format!("{path}.maxLoad"), thousandths(max_load)),
    }
}

fn health_check(spec: &crds::HealthCheck, report: &mut Report<'_>) -> HealthCheck {
    let crds::HealthCheck { path, interval, timeout, healthy_after, unhealthy_after } = spec;
    let compiled = HealthCheck {
        path: path.clone(),
        interval: report.check("spec.healthCheck.interval", millis(interval)),
        timeout: report.check("spec.healthCheck.timeout", millis(timeout)),
        healthy_after: *healthy_after,
        unhealthy_after: *unhealthy_after,
    };
    let HealthCheck { interval, timeout, .. } = compiled;
    report.rule("spec.healthCheck", rules::CHECK_INTERVAL, interval >= Millis(1_000));
    report.rule("spec.healthCheck", rules::CHECK_TIMEOUT, timeout > Millis(0) && timeout <= interval);
    compiled
}

/// The time of a whole answer, and of a stream that flows, where nobody has written one: many tokens of a large model with its thoughts
/// take more than ten minutes, and a stream that falls silent is known by that.
const TOTAL: Millis = Millis(600_000);
const STREAM_TOTAL: Millis = Millis(3_600_000);

fn timeouts(spec: &crds::PoolTimeouts, report: &mut Report<'_>) -> PoolTimeouts {
    let crds::PoolTimeouts { connect, first_token, idle, total } = spec;
    let compiled = PoolTimeouts {
        connect: report.check("spec.timeouts.connect", millis(connect)),
        first_token: report.check("spec.timeouts.firstToken", millis(first_token)),
        idle: report.check("spec.timeouts.idle", millis(idle)),
        total: total.as_ref().map_or(TOTAL, |total| report.check("spec.timeouts.total", millis(total))),
        stream_total: total.is_none().then_some(STREAM_TOTAL),
    };
    let PoolTimeouts { connect, first_token, idle, total, stream_total: _ } = compiled;
    let positive = [connect, first_token, idle, total].iter().all(|timeout| timeout.0 > 0);
    report.rule("spec.timeouts", rules::TIMEOUTS_POSITIVE, positive);
    report.rule("spec.timeouts", rules::FIRST_TOKEN_WITHIN_TOTAL, first_token <= total);
    report.rule("spec.timeouts", rules::CONNECT_WITHIN_TOTAL, connect <= total);
    compiled
}

fn retry(spec: &crds::Retry, report: &mut Report<'_>) -> Retry {
    let crds::Retry { attempts, backoff, retry_on, budget_percent } = spec;
    let crds::Backoff { initial, max, multiplier, jitter } = backoff;
    let crds::RetryOn { triggers, status_codes } = retry_on;
    let path = "spec.retry.backoff";
    let backoff = Backoff {
        initial: report.check("spec.retry.backoff.initial", millis(initial)),
        max: report.check("spec.retry.backoff.max", millis(max)),
        multiplier_milli: report.check("spec.retry.backoff.multiplier", thousandths(multiplier)),
        jitter: match jitter {
            crds::Jitter::Full => true,
            crds::Jitter::None => false,
        },
    };
    report.rule(path, rules::BACKOFF_ORDER, backoff.initial <= backoff.max);
    let mut statuses = status_codes.clone();
    statuses.sort_unstable();
    statuses.dedup();
    Retry {
        attempts: *attempts,
        backoff,
        on: RetryOn {
            connect: triggers.contains(&crds::RetryTrigger::Connect),
            reset: triggers.contains(&crds::RetryTrigger::Reset),
            timeout: triggers.contains(&crds::RetryTrigger::Timeout),
            statuses,
        },
        budget_percent: *budget_percent,
    }
}

fn breaker(spec: &crds::CircuitBreaker, report: &mut Report<'_>) -> CircuitBreaker {
    let crds::CircuitBreaker {
        error_percent,
        minimum_requests,
        window,
        consecutive_failures,
        open_for,
        max_open_for,
        half_open_requests,
        max_open_percent,
    } = spec;
    let compiled = CircuitBreaker {
        error_percent: *error_percent,
        minimum_requests: *minimum_requests,
        window: report.check("spec.circuitBreaker.window", millis(window)),
        consecutive_failures: *consecutive_failures,
        open_for: report.check("spec.circuitBreaker.openFor", millis(open_for)),
        max_open_for: report.check("spec.circuitBreaker.maxOpenFor", millis(max_open_for)),
        half_open_requests: *half_open_requests,
        max_open_percent: *max_open_percent,
    };
    let path = "spec.circuitBreaker";
    report.rule(path, rules::OPEN_ORDER, compiled.open_for <= compiled.max_open_for);
    report.rule(path, rules::BREAKER_POSITIVE, compiled.window > Millis(0) && compiled.open_for > Millis(0));
    compiled
}
