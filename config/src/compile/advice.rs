//! Advice on what is valid and yet hardly meant: warnings, which change nothing of what serves.

use super::allowed::Reachable;
use super::report::Report;
use super::verdict::Reason;
use crate::{Match, ModelMatch, Route, Target};

/// Warns about rules that never match and models that nobody serves.
pub(super) fn give(route: &Route, pools: &Reachable<'_>, report: &mut Report<'_>) {
    let mut catch_all: Option<&str> = None;
    for (index, rule) in route.rules.iter().enumerate() {
        let path = format!("spec.rules[{index}]");
        if let Some(earlier) = catch_all.filter(|_| rule.matches.iter().all(|one| one.path.is_none())) {
            let message =
                format!("no call reaches this rule, since the rule {earlier:?} before it takes every call: move it up");
            report.warning(&path, Reason::Unreachable, message);
        }
        for (at, one) in rule.matches.iter().enumerate() {
            pattern(one.model.as_ref(), &format!("{path}.matches[{at}].model"), report);
            let earlier = route.rules.iter().take(index).find(|earlier| earlier.matches.contains(one));
            if let Some(earlier) = earlier.filter(|_| catch_all.is_none() || one.path.is_some()) {
                let message = format!(
                    "no call reaches this match, since the rule {:?} before it has the same: change one of them",
                    earlier.name
                );
                report.warning(&format!("{path}.matches[{at}]"), Reason::Unreachable, message);
            }
        }
        if rule.matches.is_empty() {
            catch_all = catch_all.or(Some(&rule.name));
        }
        for (list, targets) in [("targets", &rule.targets), ("fallbacks", &rule.fallbacks)] {
            for (at, target) in targets.iter().enumerate() {
                let path = format!("{path}.{list}[{at}]");
                if let Some(model) = &target.model {
                    literal(model, &format!("{path}.model"), report);
                }
                models(&rule.matches, target, &path, pools, report);
            }
        }
        if let Some(mirror) = &rule.mirror {
            let path = format!("{path}.mirror");
            if let Some(model) = &mirror.target.model {
                literal(model, &format!("{path}.model"), report);
            }
            models(&rule.matches, &mirror.target, &path, pools, report);
        }
    }
}

/// Letters that no model's name has, and patterns do.
const OF_PATTERNS: [char; 13] = ['*', '?', '^', '$', '|', '(', ')', '[', ']', '{', '}', '\\', ','];

fn is_literal(text: &str) -> bool {
    !text.contains(OF_PATTERNS)
}

/// Warns of a condition that is written as a pattern of another language than it is read in.
fn pattern(model: Option<&ModelMatch>, path: &str, report: &mut Report<'_>) {
    let (field, text) = match model {
        Some(ModelMatch::Exact(text)) => ("exact", text),
        Some(ModelMatch::Prefix(text)) => ("prefix", text),
        Some(ModelMatch::Regex(regex)) => return repeated_letter(regex, path, report),
        None => return,
    };
    if is_literal(text) {
        return;
    }
    let instead = match text.strip_suffix('*').filter(|head| !head.is_empty() && is_literal(head)) {
        Some(head) => format!("prefix: {head}"),
        None => "a regular expression under regex".to_owned(),
    };
    let message = format!(
        "{text:?} looks like a pattern, and {field} takes it letter by letter, so that no call may ever match: write {instead}"
    );
    report.warning(&format!("{path}.{field}"), Reason::LooksLikePattern, message);
}

/// `gpt-*` is no glob where regular expressions are read: it means any number of dashes.
fn repeated_letter(anchored: &str, path: &str, report: &mut Report<'_>) {
    let regex = anchored.strip_prefix("^(?:").and_then(|regex| regex.strip_suffix(")$")).unwrap_or(anchored);
    let Some(head) = regex.strip_suffix('*') else { return };
    let is_plain = |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '-' | '_' | '/' | ':');
    if let Some(last) = head.chars().last().filter(|last| is_plain(*last)) {
        let message = format!(
            "as a regular expression {regex:?} ends in any number of {last:?}: for whatever follows write {head}.*, or prefix: {head}"
        );
        report.warning(&format!("{path}.regex"), Reason::LooksLikePattern, message);
    }
}

/// Warns of a name that is written as a pattern.
pub(super) fn literal(name: &str, path: &str, report: &mut Report<'_>) {
    if !is_literal(name) {
        let message = format!(
            "{name:?} looks like a pattern, and is taken letter by letter: write a model's whole name, or leave it out"
        );
        report.warning(path, Reason::LooksLikePattern, message);
    }
}

fn models(matches: &[Match], target: &Target, path: &str, pools: &Reachable<'_>, report: &mut Report<'_>) {
    let Some(pool) = pools.get(&target.pool) else { return };
    let asked: Vec<&str> = match &target.model {
        Some(model) => vec![model],
        None => matches
            .iter()
            .filter_map(|condition| match &condition.model {
                Some(ModelMatch::Exact(model)) => Some(model.as_str()),
                _ => None,
            })
            .collect(),
    };
    for model in asked.into_iter().filter(|model| !pool.serves(model)) {
        let message = format!(
            "no provider of ProviderPool {} serves the model {model:?}: add it to the models of one, or set model here to one that is served",
            target.pool.0
        );
        report.warning(path, Reason::ModelNotServed, message);
    }
}
