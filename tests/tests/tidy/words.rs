//! Names and words: a type's name stands once in a crate, and documentation begins with the thing that it is about.

use std::collections::BTreeMap;

use crate::tree::{Source, sources};

/// The crates that ship.
const SHIPPED: &[&str] = &["crds", "config", "dialects", "simulator", "operator", "proxy"];
/// The words that documentation does not begin with: a name says more than a question.
const QUESTIONS: [&str; 9] = ["What", "How", "Whether", "Where", "Who", "When", "Which", "Why", "Whose"];

/// The types that a file defines, those of its tests left out. A type that stands inside a trait or its implementation
/// (`type Item = …`) belongs to that trait.
fn types(source: &Source) -> impl Iterator<Item = &str> {
    source.production().lines().filter_map(|line| {
        let is_inner = line.starts_with(' ');
        let line = line.trim_start();
        let line = line.strip_prefix("pub").map_or(line, |rest| {
            let rest = rest.strip_prefix('(').and_then(|rest| rest.split_once(')')).map_or(rest, |(_, rest)| rest);
            rest.trim_start()
        });
        let (keyword, rest) = line.split_once(' ')?;
        let name = rest.split(|letter: char| !(letter.is_alphanumeric() || letter == '_')).next()?;
        let is_type = matches!(keyword, "struct" | "enum" | "trait" | "union") || (keyword == "type" && !is_inner);
        is_type.then_some(name)
    })
}

#[test]
fn a_type_name_stands_once_in_a_crate() {
    for krate in SHIPPED {
        let sources = sources(krate);
        let mut files: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        for source in sources.iter().filter(|source| !source.is_test()) {
            types(source).for_each(|name| files.entry(name).or_default().push(&source.path));
        }
        for (name, files) in files {
            assert!(files.len() == 1, "{krate} has {} types named {name}, in {}", files.len(), files.join(", "));
        }
    }
}

/// The first lines of documentation, with their numbers.
fn beginnings(source: &Source) -> impl Iterator<Item = (usize, &str)> {
    let mut before = "";
    source.production().lines().enumerate().filter_map(move |(number, line)| {
        let text = documentation(line);
        let begins = documentation(before).is_none_or(str::is_empty);
        before = line;
        text.filter(|_| begins).map(|text| (number + 1, text))
    })
}

/// The text of a line of documentation.
fn documentation(line: &str) -> Option<&str> {
    let line = line.trim_start();
    line.strip_prefix("///").or_else(|| line.strip_prefix("//!")).map(str::trim_start)
}

#[test]
fn documentation_begins_with_the_thing_it_is_about() {
    for krate in SHIPPED {
        for source in sources(krate).iter().filter(|source| !source.is_test()) {
            for (number, text) in beginnings(source) {
                let first = text.split(|letter: char| !letter.is_alphanumeric()).next().unwrap_or_default();
                assert!(!QUESTIONS.contains(&first), "{}:{number}: say what the thing is: {text}", source.path);
            }
        }
    }
}

#[test]
fn types_and_documentation_are_found() {
    let text = "//! Who\n//! knows\n\n/// How\npub(crate) struct A<T>(T);\nimpl I for A {\n    type Item = u8;\n}\npub type B = u8;\n\
                enum C {}\n#[cfg(test)]\nmod tests {\n    struct A;\n}";
    let source = Source { path: String::new(), text: text.to_owned() };
    assert_eq!(types(&source).collect::<Vec<_>>(), ["A", "B", "C"]);
    assert_eq!(beginnings(&source).collect::<Vec<_>>(), [(1, "Who"), (4, "How")]);
}
