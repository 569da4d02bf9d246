//! The documents speak of what is there: files they name exist, tests they name exist, links lead somewhere.

use std::collections::BTreeSet;

use crate::tree::{CRATES, Source, files, root};

fn documents() -> Vec<Source> {
    let mut found = files(&root().join("docs"), "md");
    for name in ["README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md"] {
        let text = std::fs::read_to_string(root().join(name)).unwrap_or_else(|_| panic!("{name} is missing"));
        found.push(Source { path: name.to_owned(), text });
    }
    found
}

/// What stands between single backticks.
fn quoted(text: &str) -> impl Iterator<Item = &str> {
    let outside_blocks = text.split("```").step_by(2);
    outside_blocks.flat_map(|text| text.split('`').skip(1).step_by(2))
}

#[test]
fn files_that_documents_name_exist() {
    let folders: BTreeSet<&str> = CRATES.iter().copied().chain(["docs", ".ci", "fuzz", "charts"]).collect();
    for document in documents() {
        for name in quoted(&document.text) {
            let is_path =
                name.split_once('/').is_some_and(|(folder, rest)| folders.contains(folder) && !rest.is_empty());
            let is_plain = name.chars().all(|letter| letter.is_ascii_alphanumeric() || "/._-".contains(letter));
            if is_path && is_plain {
                assert!(root().join(name).exists(), "{} names {name}, which does not exist", document.path);
            }
        }
    }
}

#[test]
fn links_between_documents_lead_somewhere() {
    for document in documents() {
        let folder = root().join(&document.path).parent().expect("a file is in a folder").to_owned();
        for link in document.text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            let target = link.split('#').next().unwrap_or_default();
            if target.is_empty() || target.contains("://") || target.starts_with("mailto:") {
                continue;
            }
            assert!(folder.join(target).exists(), "{} links to {target}, which does not exist", document.path);
        }
    }
}

/// The name of a metric that does not exist reads as 0 for ever, and a test that waits for 0 waits for nothing.
#[test]
fn metrics_that_tests_look_at_are_documented() {
    let documented: String = documents().into_iter().map(|document| document.text).collect();
    let mut seen = 0;
    for source in files(&root().join("tests"), "rs") {
        for name in source.text.split("\"sluicegate_").skip(1).filter_map(|rest| rest.split('"').next()) {
            let is_name = name.chars().all(|letter| letter.is_ascii_lowercase() || letter == '_');
            let part = ["_bucket", "_sum", "_count"].iter().find_map(|part| name.strip_suffix(part));
            let is_there =
                |name: &str| ['`', '{'].iter().any(|end| documented.contains(&format!("`sluicegate_{name}{end}")));
            if is_name && !name.is_empty() {
                seen += 1;
                assert!(
                    is_there(name) || part.is_some_and(is_there),
                    "{}: no document knows sluicegate_{name}",
                    source.path
                );
            }
        }
    }
    assert!(seen > 20, "{seen} names");
}

#[test]
fn every_invariant_names_a_test_that_exists() {
    let architecture = std::fs::read_to_string(root().join("ARCHITECTURE.md")).expect("ARCHITECTURE.md");
    let invariants = architecture.split("## Invariants").nth(1).expect("a section of invariants");
    let invariants = invariants.split("\n## ").next().unwrap_or_default();
    let code: String =
        CRATES.iter().flat_map(|krate| files(&root().join(krate), "rs")).map(|source| source.text).collect();
    let rows: Vec<&str> =
        invariants.lines().filter(|line| line.starts_with("| ") && !line.starts_with("| Invariant")).collect();
    assert!(rows.len() >= 8, "the invariants are a table");
    for row in rows {
        let mut tests = quoted(row).filter(|name| name.contains('_') && !name.contains('/')).peekable();
        assert!(tests.peek().is_some(), "no test holds this invariant: {row}");
        for test in tests {
            assert!(code.contains(&format!("fn {test}(")), "no such test: {test}, in {row}");
        }
    }
}
