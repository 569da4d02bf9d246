//! Dependencies run one way: between crates as the table says, and inside a crate without circles.

use std::collections::{BTreeMap, BTreeSet};

use crate::tree::{CRATES, Source, root, sources};

/// Which of our crates a crate may name, and which libraries it must not.
const ALLOWED: &[(&str, &[&str])] = &[
    ("crds", &[]),
    ("config", &["sluicegate-crds"]),
    ("dialects", &[]),
    ("simulator", &["sluicegate-dialects"]),
    ("operator", &["sluicegate-config", "sluicegate-crds"]),
    ("proxy", &["sluicegate-config", "sluicegate-dialects", "sluicegate-simulator"]),
    ("program", &["sluicegate-operator", "sluicegate-proxy"]),
    ("tests", &["sluicegate-config", "sluicegate-crds"]),
];

/// Libraries that would make a crate something else than it is.
const FORBIDDEN: &[(&str, &[&str])] = &[
    ("config", &["tokio", "hyper", "kube", "k8s-openapi"]),
    ("dialects", &["tokio", "hyper", "http", "kube", "sluicegate-config"]),
    ("crds", &["tokio", "hyper"]),
];

fn manifest(krate: &str) -> toml::Table {
    let text = std::fs::read_to_string(root().join(krate).join("Cargo.toml")).expect("every crate has a manifest");
    text.parse().expect("a manifest is TOML")
}

fn dependencies(krate: &str) -> Vec<String> {
    let manifest = manifest(krate);
    manifest
        .get("dependencies")
        .and_then(toml::Value::as_table)
        .map(|table| table.keys().cloned().collect())
        .unwrap_or_default()
}

#[test]
fn crates_depend_only_as_the_table_says() {
    for (krate, allowed) in ALLOWED {
        for dependency in dependencies(krate) {
            if dependency.starts_with("sluicegate-") {
                assert!(allowed.contains(&dependency.as_str()), "{krate} must not depend on {dependency}");
            }
        }
    }
    for (krate, forbidden) in FORBIDDEN {
        for dependency in dependencies(krate) {
            assert!(!forbidden.contains(&dependency.as_str()), "{krate} must do without {dependency}");
        }
    }
}

#[test]
fn every_crate_inherits_versions_and_lints() {
    for krate in CRATES {
        let manifest = manifest(krate);
        let lints = manifest.get("lints").and_then(|lints| lints.get("workspace")).and_then(toml::Value::as_bool);
        assert_eq!(lints, Some(true), "{krate}/Cargo.toml must say [lints] workspace = true");
        for section in ["dependencies", "dev-dependencies", "build-dependencies"] {
            let Some(table) = manifest.get(section).and_then(toml::Value::as_table) else { continue };
            for (name, value) in table {
                let inherited = value.get("workspace").and_then(toml::Value::as_bool) == Some(true);
                assert!(inherited, "{krate}: {name} must take its version from the workspace");
            }
        }
    }
}

#[test]
fn one_file_of_the_proxy_names_kubernetes() {
    let names = |source: &&Source| {
        let words = ["kube::", "use kube", "k8s_openapi"];
        source
            .text
            .lines()
            .any(|line| !line.trim_start().starts_with("//") && words.iter().any(|word| line.contains(word)))
    };
    let found: Vec<String> = sources("proxy").iter().filter(names).map(|source| source.path.clone()).collect();
    assert_eq!(found, ["proxy/src/source/cluster.rs"]);
}

#[test]
fn one_crypto_provider_and_one_tls() {
    // The lock file also lists what no build of ours turns on; the tree is what is linked.
    let cargo = std::process::Command::new(env!("CARGO"))
        .args(["tree", "--workspace", "--edges", "normal,build", "--prefix", "none", "--format", "{p}"])
        .current_dir(root())
        .output()
        .expect("cargo can be run");
    assert!(cargo.status.success(), "{}", String::from_utf8_lossy(&cargo.stderr));
    let tree = String::from_utf8_lossy(&cargo.stdout).into_owned();
    for name in ["ring", "openssl-sys", "native-tls", "serde_yaml"] {
        assert!(!tree.lines().any(|line| line.split(' ').next() == Some(name)), "{name} came into the tree");
    }
}

#[test]
fn no_crate_has_an_import_circle() {
    for krate in CRATES {
        let graph = imports(&sources(krate));
        if let Some(circle) = circle(&graph) {
            panic!("{krate} imports in a circle:\n  {}", circle.join("\n  → "));
        }
    }
}

/// What calls stand on: none of it may name a call, and a call's context names nothing of it but who calls.
#[test]
fn what_calls_stand_on_names_no_call() {
    let graph = imports(&sources("proxy"));
    let of_call = |name: &String| name == "call" || name.starts_with("call::");
    let within = |room: &str, name: &str| name == room || name.starts_with(&format!("{room}::"));
    let below = ["account", "balance", "cache", "endpoint", "errors", "memory", "models", "route", "state", "upstream"];
    for (name, targets) in &graph {
        if below.iter().any(|room| within(room, name)) || name == "worker::own" || name == "worker::background" {
            let up: Vec<_> = targets.iter().filter(|target| of_call(target)).collect();
            assert!(up.is_empty(), "{name} names {up:?}");
        }
        if name == "call::context" {
            let up: Vec<_> = targets.iter().filter(|target| of_call(target) && *target != "call::caller").collect();
            assert!(up.is_empty(), "{name} names {up:?}");
        }
        if ["route", "models"].iter().any(|room| within(room, name)) {
            let up: Vec<_> = targets.iter().filter(|target| within("state", target)).collect();
            assert!(up.is_empty(), "{name} names {up:?}");
        }
    }
    assert!(graph.contains_key("call::context") && graph.contains_key("worker::own"));
}

type Graph = BTreeMap<String, BTreeSet<String>>;

/// `proxy/src/cache/key/mod.rs` is the module `cache::key`, `…/call/mod.rs` is `call`, the crate's root is the empty path.
fn module(path: &str) -> Vec<String> {
    let inside = path.split_once("/src/").map_or(path, |(_, inside)| inside).trim_end_matches(".rs");
    let mut parts: Vec<String> = inside.split('/').map(str::to_owned).collect();
    if parts.last().is_some_and(|last| matches!(last.as_str(), "mod" | "lib" | "main")) {
        parts.pop();
    }
    parts
}

/// Which file imports which. `mod` lines are no imports; a path counts for the deepest module it names.
fn imports(sources: &[Source]) -> Graph {
    let shipped: Vec<&Source> = sources.iter().filter(|source| !source.is_test()).collect();
    let modules: BTreeSet<Vec<String>> = shipped.iter().map(|source| module(&source.path)).collect();
    let mut graph = Graph::new();
    for source in shipped {
        if source.path.contains("/src/bin/") || source.path.ends_with("/main.rs") {
            continue; // A binary is its own crate: nothing imports it.
        }
        let own = module(&source.path);
        let children = modules.iter().filter(|path| path.len() == own.len() + 1 && path.starts_with(&own));
        let children: Vec<&str> = children.filter_map(|path| path.last().map(String::as_str)).collect();
        let targets = graph.entry(own.join("::")).or_default();
        for path in paths(source.production(), &own, &children) {
            let deepest =
                (0..=path.len()).rev().map(|length| path[..length].to_vec()).find(|path| modules.contains(path));
            if let Some(target) = deepest.filter(|target| *target != own) {
                targets.insert(target.join("::"));
            }
        }
    }
    graph
}

/// Every path that begins with `crate`, `super`, `self` or the name of a child module, as a module path.
fn paths(text: &str, own: &[String], children: &[&str]) -> Vec<Vec<String>> {
    let code: String = text.lines().filter(|line| !line.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n");
    let mut found = Vec::new();
    let words = [("crate", 0), ("super", 1), ("self", 2)].into_iter().chain(children.iter().map(|child| (*child, 3)));
    for (word, kind) in words {
        let start = format!("{word}::");
        for (at, _) in code.match_indices(&start) {
            let before = code[..at].chars().next_back();
            if before.is_some_and(|letter| letter.is_alphanumeric() || letter == '_' || letter == ':') {
                continue;
            }
            let mut base = match kind {
                0 => Vec::new(),
                1 => own[..own.len().saturating_sub(1)].to_vec(),
                _ => own.to_vec(),
            };
            if kind == 3 {
                base.push(word.to_owned());
            }
            expand(&code[at + start.len()..], &base, &mut found, 0);
        }
    }
    found
}

/// Follows `a::b` and the branches of `a::{b, c::d}`.
fn expand(rest: &str, base: &[String], found: &mut Vec<Vec<String>>, depth: usize) {
    // Behind the last comma of a list nothing is named.
    if depth > 8 || rest.is_empty() {
        return;
    }
    if let Some(inner) = rest.strip_prefix('{') {
        let mut level = 0;
        let mut start = 0;
        for (at, letter) in inner.char_indices() {
            match letter {
                '{' => level += 1,
                '}' if level == 0 => {
                    expand(inner[start..at].trim(), base, found, depth + 1);
                    return;
                }
                '}' => level -= 1,
                ',' if level == 0 => {
                    expand(inner[start..at].trim(), base, found, depth + 1);
                    start = at + 1;
                }
                _ => {}
            }
        }
        return;
    }
    let end = rest.find(|letter: char| !(letter.is_alphanumeric() || letter == '_')).unwrap_or(rest.len());
    let mut path = base.to_vec();
    match &rest[..end] {
        "super" => {
            path.pop();
        }
        "" | "self" => {}
        name => path.push(name.to_owned()),
    }
    match rest[end..].strip_prefix("::") {
        Some(rest) => expand(rest, &path, found, depth + 1),
        None => found.push(path),
    }
}

/// One circle, if there is any.
fn circle(graph: &Graph) -> Option<Vec<String>> {
    let mut done = BTreeSet::new();
    graph.keys().find_map(|start| walk(graph, start, &mut Vec::new(), &mut done))
}

fn walk(graph: &Graph, at: &str, trail: &mut Vec<String>, done: &mut BTreeSet<String>) -> Option<Vec<String>> {
    if let Some(first) = trail.iter().position(|seen| seen == at) {
        let mut circle = trail[first..].to_vec();
        circle.push(at.to_owned());
        return Some(circle);
    }
    if done.contains(at) {
        return None;
    }
    trail.push(at.to_owned());
    let found = graph.get(at).into_iter().flatten().find_map(|next| walk(graph, next, trail, done));
    trail.pop();
    done.insert(at.to_owned());
    found
}

#[test]
fn the_circle_finder_finds_circles() {
    let file = |path: &str, text: &str| Source { path: path.to_owned(), text: text.to_owned() };
    let circular = [
        file("proxy/src/lib.rs", "pub mod a;\npub mod b;"),
        file("proxy/src/a/mod.rs", "use crate::b::{self, Thing};"),
        file("proxy/src/b.rs", "fn f() -> super::a::X {}"),
    ];
    assert!(circle(&imports(&circular)).is_some());
    let trunk = [
        file("proxy/src/a/mod.rs", "mod leaf;\npub use leaf::X;\npub struct Y;"),
        file("proxy/src/a/leaf.rs", "use super::Y;\npub struct X(Y);"),
    ];
    assert!(circle(&imports(&trunk)).is_some(), "a leaf that imports from its trunk");
    let over_lines = [
        file(
            "proxy/src/a/mod.rs",
            "mod leaf;\nmod other;\nuse crate::b::{\n    Thing,\n    c::{\n        Deep,\n    },\n};\npub use leaf::X;",
        ),
        file("proxy/src/a/leaf.rs", "use super::{\n    other::{\n        Y,\n    },\n};\npub struct X(Y);"),
        file("proxy/src/a/other.rs", "pub struct Y;"),
        file("proxy/src/b/mod.rs", "pub mod c;\npub struct Thing;"),
        file("proxy/src/b/c.rs", "pub struct Deep;"),
    ];
    assert_eq!(circle(&imports(&over_lines)), None);
    let back = [
        file("proxy/src/a/mod.rs", "mod leaf;\npub use leaf::X;\npub struct Y;"),
        file("proxy/src/a/leaf.rs", "use super::{\n    Y,\n};\npub struct X(Y);"),
    ];
    assert!(circle(&imports(&back)).is_some(), "over several lines too");
    let straight = [
        file("proxy/src/a/mod.rs", "use crate::b::{Thing, c::{Deep}};"),
        file("proxy/src/b/mod.rs", "pub use self::c::Deep;"),
        file("proxy/src/b/c.rs", "// use super::super::a;\nstruct Deep;\n#[cfg(test)]\nmod tests { use crate::a; }"),
    ];
    assert_eq!(circle(&imports(&straight)), None);
}
