//! Names that Kubernetes would not take, of namespaces, objects and labels: nothing has them, so a selector with one selects
//! nobody.

use std::collections::BTreeMap;

use super::report::Report;

/// The most letters of a namespace's name, of a label's name behind its prefix, and of its value.
const LABEL: usize = 63;
/// The most letters of an object's name, and of a label's prefix.
const SUBDOMAIN: usize = 253;

/// Says of each namespace whether one can be called so.
pub(super) fn namespaces(names: &[String], path: &str, report: &mut Report<'_>) {
    for (index, name) in names.iter().enumerate().filter(|(_, name)| !is_namespace(name)) {
        let message = format!(
            "no namespace is called {name:?}, and patterns are not taken: write the whole name of each (from: Known is for the \
             consumers of all)"
        );
        report.invalid(&format!("{path}[{index}]"), message);
    }
}

/// Says of each consumer's name whether one can be called so.
pub(super) fn consumers(names: &[String], path: &str, report: &mut Report<'_>) {
    for (index, name) in names.iter().enumerate().filter(|(_, name)| !is_object(name)) {
        let message = format!(
            "no consumer is called {name:?}, and patterns are not taken: write the whole name of each, or leave names out for any"
        );
        report.invalid(&format!("{path}[{index}]"), message);
    }
}

/// Says of each label whether there can be one like it.
pub(super) fn labels(labels: &BTreeMap<String, String>, path: &str, report: &mut Report<'_>) {
    for (key, value) in labels {
        let path = format!("{path}.{key}");
        label_key(key, &path, report);
        label_value(value, &path, report);
    }
}

/// Says of a label's key whether there can be one.
pub(super) fn label_key(key: &str, path: &str, report: &mut Report<'_>) {
    let (prefix, name) = key.split_once('/').map_or((None, key), |(prefix, name)| (Some(prefix), name));
    if !is_word(name) || prefix.is_some_and(|prefix| !is_object(prefix)) {
        let message = format!(
            "{key:?} is no label's key: write letters, digits, hyphens, dots and underscores, such as team or example.com/team"
        );
        report.invalid(path, message);
    }
}

/// Says of a label's value whether there can be one.
pub(super) fn label_value(value: &str, path: &str, report: &mut Report<'_>) {
    if !value.is_empty() && !is_word(value) {
        let message = format!(
            "{value:?} is no label's value: write letters, digits, hyphens, dots and underscores, such as my-team, or nothing"
        );
        report.invalid(path, message);
    }
}

fn is_namespace(name: &str) -> bool {
    name.len() <= LABEL
        && is_framed(name, |letter| letter == b'-')
        && !name.bytes().any(|letter| letter.is_ascii_uppercase())
}

fn is_object(name: &str) -> bool {
    let is_inner = |letter| matches!(letter, b'-' | b'.');
    name.len() <= SUBDOMAIN && is_framed(name, is_inner) && !name.bytes().any(|letter| letter.is_ascii_uppercase())
}

/// The name of a label, or its value.
fn is_word(text: &str) -> bool {
    text.len() <= LABEL && is_framed(text, |letter| matches!(letter, b'-' | b'_' | b'.'))
}

/// True if a text is made of letters, digits and what else it may have within, and begins and ends with one of the former.
fn is_framed(text: &str, is_inner: impl Fn(u8) -> bool) -> bool {
    let mut letters = text.bytes();
    let is_end = |letter: Option<u8>| letter.is_some_and(|letter| letter.is_ascii_alphanumeric());
    let is_whole = letters.clone().all(|letter| letter.is_ascii_alphanumeric() || is_inner(letter));
    is_whole && is_end(letters.clone().next()) && is_end(letters.next_back())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_that_kubernetes_takes() {
        for (name, namespace, object, word) in [
            ("team-a", true, true, true),
            ("0", true, true, true),
            ("a.b", false, true, true),
            ("Team_A", false, false, true),
            ("*", false, false, false),
            ("", false, false, false),
            ("-a", false, false, false),
            ("a-", false, false, false),
            ("a b", false, false, false),
            ("é", false, false, false),
        ] {
            assert_eq!((is_namespace(name), is_object(name), is_word(name)), (namespace, object, word), "{name:?}");
        }
        let long = "a".repeat(64);
        assert_eq!((is_namespace(&long), is_object(&long), is_word(&long)), (false, true, false));
    }
}
