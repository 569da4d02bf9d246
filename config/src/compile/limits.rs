//! Rate limits, judged and compiled.

use sluicegate_crds::{self as crds, rules};

use super::concurrency;
use super::pattern::header_name;
use super::report::Report;
use super::scalar::{millis, scaled};
use crate::{LimitPer, LimitUnit, Millis, OnUnavailable, RateLimit};

/// The shortest and the longest window.
const WINDOW: (Millis, Millis) = (Millis(1_000), Millis(86_400_000));

/// The most of a limit, in dollars and in anything else.
const MOST_DOLLARS: u64 = 1_000_000;
const MOST_WHOLE: u64 = 1_000_000_000_000;
/// Decimals of a dollar that are whole in what limits count money in.
const DOLLAR_DECIMALS: u32 = 9;
/// The decimals that anything may be written with, which of what is whole are zeros.
const WHOLE_DECIMALS: u32 = 6;
const MILLION: u64 = 1_000_000;

/// Compiles what is written at `path`.
pub(super) fn compile(spec: Option<&crds::Limits>, path: &str, report: &mut Report<'_>) -> Vec<RateLimit> {
    let Some(crds::Limits { rate, budgets, concurrency }) = spec else { return Vec::new() };
    let any = !rate.is_empty() || !budgets.is_empty() || concurrency.is_some();
    report.rule(&format!("{path}.limits"), rules::LIMITS_ANY, any);
    let path = format!("{path}.limits.rate");
    let all: Vec<RateLimit> =
        rate.iter().enumerate().map(|(at, limit)| one(limit, &format!("{path}[{at}]"), report)).collect();
    let counts = |limit: &RateLimit| (limit.per.clone(), limit.unit, limit.window);
    let once = all.iter().all(|one| all.iter().filter(|other| counts(other) == counts(one)).count() == 1);
    report.rule(&path, rules::LIMITS_ONCE, once);
    all
}

/// Compiles the rate limits of the provider that is written at `path`.
pub(super) fn of_provider(spec: Option<&crds::ProviderLimits>, path: &str, report: &mut Report<'_>) -> Vec<RateLimit> {
    spec.map(|limits| of_attempts(&limits.rate, &format!("{path}.limits"), report)).unwrap_or_default()
}

/// Compiles the rate limits of a provider, or of one of its keys, whose `limits` are written at `path`.
pub(super) fn of_attempts(spec: &[crds::ProviderRateLimit], path: &str, report: &mut Report<'_>) -> Vec<RateLimit> {
    let path = format!("{path}.rate");
    let all: Vec<RateLimit> =
        spec.iter().enumerate().map(|(at, limit)| of_one(limit, &format!("{path}[{at}]"), report)).collect();
    let counts = |limit: &RateLimit| (limit.unit, limit.window);
    let once = all.iter().all(|one| all.iter().filter(|other| counts(other) == counts(one)).count() == 1);
    report.rule(&path, rules::PROVIDER_LIMITS_ONCE, once);
    all
}

fn of_one(spec: &crds::ProviderRateLimit, path: &str, report: &mut Report<'_>) -> RateLimit {
    let crds::ProviderRateLimit { unit, amount, window, unknown_price, on_unavailable } = spec;
    report.rule(path, rules::LIMIT_PRICE, unknown_price.is_none() || *unit == crds::LimitUnit::Cost);
    RateLimit {
        per: LimitPer::Provider,
        unit: unit_of(*unit),
        amount: self::amount(amount, *unit, path, report),
        window: self::window(window, path, report),
        queue: None,
        unpriced_is_free: *unknown_price == Some(crds::UnknownPrice::Free),
        on_unavailable: unavailable(*on_unavailable),
    }
}

fn one(spec: &crds::RateLimit, path: &str, report: &mut Report<'_>) -> RateLimit {
    let crds::RateLimit { per, header, unit, amount, window, on_exceeded, queue, unknown_price, on_unavailable } = spec;
    let is_header = *per == crds::LimitPer::Header;
    report.rule(path, rules::LIMIT_HEADER, is_header == header.is_some());
    report.rule(path, rules::LIMIT_PRICE, unknown_price.is_none() || *unit == crds::LimitUnit::Cost);
    let waits = *on_exceeded == Some(crds::OnExceeded::Queue);
    report.rule(path, rules::LIMIT_QUEUE, waits || queue.is_none());
    let queue = queue.clone().or_else(|| waits.then(crds::CallQueue::default));
    let header = header.as_ref().map(|name| report.check(&format!("{path}.header"), header_name(name)));
    RateLimit {
        per: match per {
            crds::LimitPer::Consumer => LimitPer::Consumer,
            crds::LimitPer::Route => LimitPer::Route,
            crds::LimitPer::Header => LimitPer::Header(header.unwrap_or_default()),
        },
        unit: unit_of(*unit),
        amount: self::amount(amount, *unit, path, report),
        window: self::window(window, path, report),
        queue: queue.map(|queue| concurrency::queue(&queue, &format!("{path}.queue"), report)),
        unpriced_is_free: *unknown_price == Some(crds::UnknownPrice::Free),
        on_unavailable: unavailable(*on_unavailable),
    }
}

/// The length of the window, in milliseconds.
fn window(written: &crds::Duration, path: &str, report: &mut Report<'_>) -> u64 {
    let window = match millis(written) {
        Ok(window) => {
            report.rule(path, rules::LIMIT_WINDOW, (WINDOW.0..=WINDOW.1).contains(&window));
            window
        }
        wrong @ Err(_) => report.check(&format!("{path}.window"), wrong),
    };
    window.0
}

const fn unavailable(written: Option<crds::OnUnavailable>) -> OnUnavailable {
    match written {
        None | Some(crds::OnUnavailable::Share) => OnUnavailable::Share,
        Some(crds::OnUnavailable::FailOpen) => OnUnavailable::FailOpen,
        Some(crds::OnUnavailable::FailClosed) => OnUnavailable::FailClosed,
    }
}

const fn unit_of(unit: crds::LimitUnit) -> LimitUnit {
    match unit {
        crds::LimitUnit::Requests => LimitUnit::Requests,
        crds::LimitUnit::Tokens => LimitUnit::Tokens,
        crds::LimitUnit::InputTokens => LimitUnit::InputTokens,
        crds::LimitUnit::OutputTokens => LimitUnit::OutputTokens,
        crds::LimitUnit::Cost => LimitUnit::Cost,
    }
}

/// The amount in what its unit counts in.
fn amount(written: &crds::LimitAmount, unit: crds::LimitUnit, path: &str, report: &mut Report<'_>) -> u64 {
    let number = match unit {
        crds::LimitUnit::Cost => {
            let number = scaled(&crds::Decimal(written.0.clone()), DOLLAR_DECIMALS).ok();
            let most = MOST_DOLLARS * 10_u64.pow(DOLLAR_DECIMALS);
            report.rule(path, rules::LIMIT_COST, number.is_some_and(|number| (1..=most).contains(&number)));
            number
        }
        _ => {
            let number = scaled(&crds::Decimal(written.0.clone()), WHOLE_DECIMALS).ok();
            let number = number.filter(|number| number % MILLION == 0).map(|number| number / MILLION);
            report.rule(path, rules::LIMIT_WHOLE, number.is_some_and(|number| (1..=MOST_WHOLE).contains(&number)));
            number
        }
    };
    number.unwrap_or(1).max(1)
}
