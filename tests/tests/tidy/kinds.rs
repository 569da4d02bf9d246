//! Kinds of resources are rows: a further one is a row in each of a few tables and files of its own. Everywhere else a kind is asked, and
//! not named; the operator names none.

use sluicegate_config::Kind;

use crate::tree::{CRATES, Source, sources};

/// The tables, each with a row for every kind.
const TABLES: [&str; 5] = [
    "config/src/kind.rs",
    "config/src/compile/kinds/mod.rs",
    "config/src/compile/conflicts.rs",
    "proxy/src/source/objects/mod.rs",
    "proxy/src/state/builder/mod.rs",
];

/// The files of a kind's own, and who reads or compiles what it names.
const OWN: [(&str, &[&str]); 7] = [
    ("config/src/compile/objects.rs", &["ProviderPool", "LlmRoute"]),
    ("config/src/compile/mod.rs", &["ProviderPool"]),
    ("config/src/compile/price_list_file.rs", &["ProviderPool"]),
    ("config/src/compile/consumer.rs", &["LlmConsumer"]),
    ("config/src/compile/kinds/route.rs", &["ProviderPool"]),
    ("proxy/src/source/objects/pool.rs", &["ProviderPool"]),
    ("proxy/src/source/objects/route.rs", &["ProviderPool", "LlmRoute"]),
];

/// The kinds that a file's shipping lines name, with their lines.
fn named(source: &Source) -> impl Iterator<Item = (usize, String)> {
    let lines = source.production().lines().enumerate().filter(|(_, line)| !line.trim_start().starts_with("//"));
    lines.flat_map(|(number, line)| {
        let names = line.split(|letter: char| !letter.is_alphanumeric() && letter != ':');
        let kinds = names.filter_map(|name| {
            let kind = name.strip_prefix("Kind::").or_else(|| name.strip_prefix("CompiledObject::"))?;
            Kind::ALL.iter().map(|kind| format!("{kind:?}")).find(|known| known == kind)
        });
        kinds.map(move |kind| (number + 1, kind)).collect::<Vec<_>>()
    })
}

#[test]
fn kinds_are_named_in_their_rows_and_in_files_of_their_own() {
    for krate in CRATES.iter().filter(|krate| **krate != "tests") {
        for source in sources(krate).iter().filter(|source| !source.is_test()) {
            let path = source.path.as_str();
            if TABLES.contains(&path) {
                continue;
            }
            let own = OWN.iter().find(|(own, _)| *own == path).map_or(&[][..], |(_, kinds)| kinds);
            for (number, kind) in named(source) {
                assert!(
                    own.contains(&kind.as_str()),
                    "{path}:{number} names {kind}: ask the kind, or put it into its row"
                );
            }
        }
    }
}

#[test]
fn every_table_has_a_row_for_every_kind() {
    let all = CRATES.iter().flat_map(|krate| sources(krate)).collect::<Vec<_>>();
    for table in TABLES {
        let source = all.iter().find(|source| source.path == table).expect("the table is there");
        for kind in Kind::ALL {
            let row = format!("{kind:?}");
            let is_there = source.text.lines().any(|line| !line.trim_start().starts_with("//") && line.contains(&row));
            assert!(is_there, "{table} has no row for {row}");
        }
    }
    for (own, _) in OWN {
        assert!(all.iter().any(|source| source.path == own), "there is no {own}");
    }
}

#[test]
fn names_of_kinds_are_found() {
    let text = "use Kind;\n// Kind::LlmRoute\nlet a = (Kind::ProviderPool, x);\nKind::ALL;\nCompiledObject::LlmRoute(route) =>\n#[cfg(test)]\nKind::LlmConsumer";
    let source = Source { path: String::new(), text: text.to_owned() };
    assert_eq!(named(&source).collect::<Vec<_>>(), [(3, "ProviderPool".to_owned()), (5, "LlmRoute".to_owned())]);
}
