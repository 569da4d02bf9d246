//! The changes that a rule makes to calls, and its conditions on how much they ask for.

use std::collections::BTreeMap;

use sluicegate_crds::{self as crds, rules};

use super::provider;
use super::report::Report;
use crate::{Complexity, RequestChanges};

/// Top-level fields that decide where a call goes, or that are what it says.
const KEPT: [&str; 6] = ["contents", "input", "messages", "model", "prompt", "stream"];

/// The changes that a rule makes.
pub(super) fn changes(spec: &crds::RequestChanges, path: &str, report: &mut Report<'_>) -> RequestChanges {
    let crds::RequestChanges { defaults, overrides, remove, max_tokens_cap, prepend, append, headers } = spec;
    let path = format!("{path}.request");
    let says = !defaults.is_empty() || !overrides.is_empty() || !remove.is_empty() || headers.is_some();
    let says = says || max_tokens_cap.is_some() || prepend.is_some() || append.is_some();
    report.rule(&path, rules::REQUEST_EMPTY, says);
    let edits = headers.as_ref().map(|crds::RequestHeaders { set, remove }| {
        provider::header_edits((set.as_slice(), &[], remove.as_slice()), &path, report)
    });
    let edits = edits.unwrap_or_default();
    for (index, name) in remove.iter().enumerate() {
        kept(name, &format!("{path}.remove[{index}]"), report);
    }
    RequestChanges {
        defaults: fields(defaults, &format!("{path}.defaults"), report),
        overrides: fields(overrides, &format!("{path}.overrides"), report),
        remove: remove.clone(),
        max_tokens: *max_tokens_cap,
        prepend: prepend.clone(),
        append: append.clone(),
        set_headers: edits.set,
        remove_headers: edits.remove,
    }
}

fn fields(specs: &[crds::RequestField], path: &str, report: &mut Report<'_>) -> BTreeMap<String, String> {
    let mut compiled = BTreeMap::new();
    for (index, crds::RequestField { field, value }) in specs.iter().enumerate() {
        let path = format!("{path}[{index}]");
        kept(field, &path, report);
        if serde_json::from_str::<serde::de::IgnoredAny>(value).is_err() {
            report.invalid(
                &format!("{path}.value"),
                format!("{value:?} is not JSON: write it in quotes, such as \"0.2\", \"true\" or '\"flex\"'"),
            );
        }
        compiled.insert(field.clone(), value.clone());
    }
    compiled
}

fn kept(field: &str, path: &str, report: &mut Report<'_>) {
    if KEPT.contains(&field) {
        report.invalid(
            path,
            format!("{field:?} is the caller's to say: leave it out, and rename models by targets[].model"),
        );
    }
}

/// The conditions of a match.
pub(super) fn complexity(spec: &crds::Complexity, path: &str, report: &mut Report<'_>) -> Complexity {
    let crds::Complexity { max_input_tokens, max_messages, tools, images, stream, thinking } = *spec;
    let compiled = Complexity { max_input_tokens, max_messages, tools, images, stream, thinking };
    report.rule(&format!("{path}.complexity"), rules::COMPLEXITY_EMPTY, compiled != Complexity::default());
    compiled
}
