//! Fuzz targets are a workspace of their own, which nobody compiles by the way: what each calls is there, and it is listed.

use crate::tree::{files, root};

#[test]
fn every_fuzz_target_leads_to_a_check_and_is_listed() {
    let read = |path: &str| std::fs::read_to_string(root().join(path)).expect("it is in the checkout");
    let (manifest, document) = (read("fuzz/Cargo.toml"), read("docs/fuzzing.md"));
    let targets = files(&root().join("fuzz/fuzz_targets"), "rs");
    assert!(targets.len() > 20, "{} targets", targets.len());
    for target in &targets {
        let name = target.path.rsplit('/').next().and_then(|file| file.strip_suffix(".rs")).expect("a file");
        let (_, called) = target.text.split_once("|data: &[u8]| sluicegate_").expect("a target calls a check");
        let (krate, rest) = called.split_once("::fuzzing::").expect("a check of a crate");
        let check = rest.split('(').next().unwrap_or_default();
        let offered =
            if krate == "proxy" { "proxy/src/fuzzing.rs".to_owned() } else { format!("{krate}/src/fuzzing/mod.rs") };
        let words = read(&offered);
        let mut exported = words.lines().filter(|line| line.starts_with("pub use "));
        let is_it = |line: &str| {
            line.split(|letter: char| !letter.is_alphanumeric() && letter != '_').any(|word| word == check)
        };
        assert!(exported.any(is_it), "{} calls {check}, which {offered} does not have", target.path);
        assert!(
            manifest.contains(&format!("name = \"{name}\"\npath = \"fuzz_targets/{name}.rs\"")),
            "fuzz/Cargo.toml lacks {name}"
        );
        assert!(document.contains(&format!("| {name} |")), "docs/fuzzing.md lacks {name}");
    }
    // And every check is fuzzed.
    let all: String = targets.iter().map(|target| target.text.as_str()).collect();
    for (krate, path) in [("dialects", "dialects/src/fuzzing/mod.rs"), ("config", "config/src/fuzzing/mod.rs")] {
        for check in read(path).lines().filter_map(|line| line.strip_prefix("pub use ")?.split_once("::check as ")) {
            let call = format!("sluicegate_{krate}::fuzzing::{}(data)", check.1.trim_end_matches(';'));
            assert!(all.contains(&call), "no target calls {call}");
        }
    }
}
