//! Words of a condition's message: bounded, and honest about what was left out of them.

use std::collections::BTreeMap;

use sluicegate_config::compile::{Severity, Verdict};

/// The reason that is told of a key which its provider refuses.
const KEY_REFUSED: &str = "KeyRefused";

/// The most of anything in one message.
const MOST_VERDICTS: usize = 8;
const MOST_PODS: usize = 3;
/// The most bytes of one part of a message.
const MOST_BYTES: usize = 512;

/// The first of what was said about an object.
pub(super) fn of_verdicts<'a>(verdicts: impl Iterator<Item = &'a Verdict>) -> String {
    listed(verdicts.map(of_verdict), MOST_VERDICTS)
}

fn of_verdict(verdict: &Verdict) -> String {
    let warns = verdict.severity == Severity::Warning;
    let severity = if warns { format!("warning ({}): ", verdict.reason.as_str()) } else { String::new() };
    let path = if verdict.path.is_empty() { String::new() } else { format!("{}: ", verdict.path) };
    cut(&format!("{severity}{path}{}", verdict.message))
}

/// The pods that refused it, and why.
pub(super) fn of_rejections(rejected: &[(String, String)]) -> String {
    listed(rejected.iter().map(|(pod, why)| cut(&format!("{pod}: {why}"))), MOST_PODS)
}

/// The keys that their provider refuses, each with how many of the proxies have found that.
pub(super) fn of_refused_keys(keys: &BTreeMap<String, usize>, ready: usize) -> String {
    let told = keys.iter().map(|(key, proxies)| {
        let (provider, key) = key.split_once('/').unwrap_or(("", key));
        let key = if key.is_empty() { "its credential".to_owned() } else { format!("the key {key}") };
        cut(&format!(
            "warning ({KEY_REFUSED}): provider {provider} refuses {key}, as {proxies}/{ready} proxies have found"
        ))
    });
    listed(told, MOST_VERDICTS)
}

/// The pods that are waited for, of so many.
pub(super) fn of_lagging(lagging: &[String], count: usize) -> String {
    let named = lagging.len().min(MOST_PODS).min(count);
    let more = count - named;
    let names: Vec<&str> = lagging.iter().take(named).map(String::as_str).collect();
    match (names.join(", "), more) {
        (names, 0) => names,
        (names, more) if names.is_empty() => format!("{more}"),
        (names, more) => format!("{names} and {more} more"),
    }
}

fn listed(parts: impl Iterator<Item = String>, most: usize) -> String {
    let mut parts: Vec<String> = parts.collect();
    let more = parts.len().saturating_sub(most);
    parts.truncate(most);
    let told = parts.join("; ");
    if more == 0 { told } else { format!("{told}; and {more} more") }
}

/// At most so many bytes of a text, on one line.
pub(super) fn cut(text: &str) -> String {
    let line: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    if line.len() <= MOST_BYTES {
        return line;
    }
    let mut end = MOST_BYTES;
    while !line.is_char_boundary(end) {
        end -= 1;
    }
    format!("{}…", line.get(..end).unwrap_or_default())
}
