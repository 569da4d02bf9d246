//! Limits of concurrency and their queues, judged and compiled.

use std::collections::BTreeMap;

use sluicegate_crds::{self as crds, rules};

use super::pattern::header_name;
use super::report::Report;
use super::scalar::{bytes, millis};
use crate::{CallQueue, Concurrency, Millis, PriorityHeader};

const SIZE: u32 = 1_000;
const BYTES: u64 = 64 << 20;
const TIMEOUT: Millis = Millis(10_000);
/// The shortest and the longest time that calls wait.
const TIMEOUTS: (Millis, Millis) = (Millis(100), Millis(600_000));

/// Compiles the limit that is written at `path`.
pub(super) fn compile(spec: Option<&crds::Concurrency>, path: &str, report: &mut Report<'_>) -> Option<Concurrency> {
    let crds::Concurrency { max, queue } = spec?;
    let queue = queue.as_ref().map(|queue| self::queue(queue, &format!("{path}.queue"), report));
    Some(Concurrency { max: *max, min: None, queue })
}

/// Compiles that of an object's `limits`.
pub(super) fn of_limits(spec: Option<&crds::Limits>, path: &str, report: &mut Report<'_>) -> Option<Concurrency> {
    compile(spec?.concurrency.as_ref(), &format!("{path}.limits.concurrency"), report)
}

/// Compiles those of a provider: of all of it, and of each endpoint.
pub(super) fn of_provider(
    spec: Option<&crds::ProviderLimits>,
    path: &str,
    report: &mut Report<'_>,
) -> (Option<Concurrency>, Option<Concurrency>) {
    let Some(crds::ProviderLimits { rate, concurrency, endpoint_concurrency, adaptive }) = spec else {
        return (None, None);
    };
    let path = format!("{path}.limits");
    let any = !rate.is_empty() || concurrency.is_some() || endpoint_concurrency.is_some() || adaptive.is_some();
    report.rule(&path, rules::PROVIDER_LIMITS_ANY, any);
    report.rule(&path, rules::ADAPTIVE_ALONE, endpoint_concurrency.is_none() || adaptive.is_none());
    let each = compile(endpoint_concurrency.as_ref(), &format!("{path}.endpointConcurrency"), report);
    let adaptive = self::adaptive(adaptive.as_ref(), &format!("{path}.adaptive"), report);
    (compile(concurrency.as_ref(), &format!("{path}.concurrency"), report), adaptive.or(each))
}

/// Compiles a limit that finds itself.
fn adaptive(spec: Option<&crds::AdaptiveConcurrency>, path: &str, report: &mut Report<'_>) -> Option<Concurrency> {
    let crds::AdaptiveConcurrency { min, max, queue } = spec?;
    report.rule(path, rules::ADAPTIVE_BOUNDS, min <= max);
    let queue = queue.as_ref().map(|queue| self::queue(queue, &format!("{path}.queue"), report));
    Some(Concurrency { max: *max, min: Some(*min), queue })
}

/// Compiles the queue that is written at `path`.
pub(super) fn queue(spec: &crds::CallQueue, path: &str, report: &mut Report<'_>) -> CallQueue {
    let crds::CallQueue { size, max_bytes, timeout, ageing, priority_header } = spec;
    let read = |field: &str, written: &Option<crds::Duration>, report: &mut Report<'_>| {
        let written = written.as_ref()?;
        let read = millis(written);
        let is_spelt = read.is_ok();
        Some((report.check(&format!("{path}.{field}"), read), is_spelt))
    };
    let timeout = match read("timeout", timeout, report) {
        None => TIMEOUT,
        Some((timeout, is_spelt)) => {
            let fits = (TIMEOUTS.0..=TIMEOUTS.1).contains(&timeout);
            report.rule(path, rules::QUEUE_TIMEOUT, fits || !is_spelt);
            if is_spelt { timeout } else { TIMEOUT }
        }
    };
    let ageing = match read("ageing", ageing, report) {
        None => Millis(timeout.0 / 2),
        Some((ageing, is_spelt)) => {
            report.rule(path, rules::QUEUE_AGEING, (ageing > Millis(0) && ageing <= timeout) || !is_spelt);
            ageing
        }
    };
    CallQueue {
        size: size.unwrap_or(SIZE),
        max_bytes: max_bytes.as_ref().map_or(BYTES, |size| report.check(&format!("{path}.maxBytes"), bytes(size))),
        timeout: timeout.0,
        ageing: ageing.0,
        header: priority_header.as_ref().map(|spec| header(spec, &format!("{path}.priorityHeader"), report)),
    }
}

fn header(spec: &crds::PriorityHeader, path: &str, report: &mut Report<'_>) -> PriorityHeader {
    let crds::PriorityHeader { name, values } = spec;
    let name = report.check(&format!("{path}.name"), header_name(name));
    let mut priorities = BTreeMap::new();
    for (at, crds::PriorityValue { value, priority }) in values.iter().enumerate() {
        if priorities.insert(value.clone(), *priority).is_some() {
            let message = format!("Duplicate value: {{\"value\":{value:?}}}: list each value once");
            report.invalid(&format!("{path}.values[{at}]"), message);
        }
    }
    PriorityHeader { name, values: priorities }
}
