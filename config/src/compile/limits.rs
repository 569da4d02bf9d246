//! Rate limits, judged and compiled.

use sluicegate_crds::{self as crds, rules};

use super::pattern::header_name;
use super::report::Report;
use super::scalar::millis;
use crate::{LimitPer, LimitUnit, Millis, OnUnavailable, RateLimit};

/// The shortest and the longest window.
const WINDOW: (Millis, Millis) = (Millis(1_000), Millis(86_400_000));

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

fn one(spec: &crds::RateLimit, path: &str, report: &mut Report<'_>) -> RateLimit {
    let crds::RateLimit { per, header, unit, amount, window, on_exceeded, on_unavailable } = spec;
    let is_header = *per == crds::LimitPer::Header;
    report.rule(path, rules::LIMIT_HEADER, is_header == header.is_some());
    report.rule(path, rules::LIMIT_QUEUE, *on_exceeded != Some(crds::OnExceeded::Queue));
    let header = header.as_ref().map(|name| report.check(&format!("{path}.header"), header_name(name)));
    let window = match millis(window) {
        Ok(window) => {
            report.rule(path, rules::LIMIT_WINDOW, (WINDOW.0..=WINDOW.1).contains(&window));
            window
        }
        wrong @ Err(_) => report.check(&format!("{path}.window"), wrong),
    };
    RateLimit {
        per: match per {
            crds::LimitPer::Consumer => LimitPer::Consumer,
            crds::LimitPer::Route => LimitPer::Route,
            crds::LimitPer::Header => LimitPer::Header(header.unwrap_or_default()),
        },
        unit: match unit {
            crds::LimitUnit::Requests => LimitUnit::Requests,
            crds::LimitUnit::Tokens => LimitUnit::Tokens,
            crds::LimitUnit::InputTokens => LimitUnit::InputTokens,
            crds::LimitUnit::OutputTokens => LimitUnit::OutputTokens,
        },
        amount: *amount,
        window: window.0,
        on_unavailable: match on_unavailable {
            None | Some(crds::OnUnavailable::Share) => OnUnavailable::Share,
            Some(crds::OnUnavailable::FailOpen) => OnUnavailable::FailOpen,
            Some(crds::OnUnavailable::FailClosed) => OnUnavailable::FailClosed,
        },
    }
}
