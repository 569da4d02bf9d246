//! What is generated from the types is in the repository as well, for people and for charts; it may not drift.
//! `UPDATE_GOLDEN=1 cargo test -p sluicegate-crds` writes it anew.
#![expect(clippy::unwrap_used, reason = "tests say what they expect")]

use std::path::PathBuf;

use sluicegate_crds::{reference, schema};

const HEAD: &str =
    "# Generated from the types in crds/src by `UPDATE_GOLDEN=1 cargo test -p sluicegate-crds`: change those.\n";

fn golden(path: &str, text: &str) {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(path);
    #[expect(clippy::disallowed_methods, reason = "the one switch of all golden tests")]
    let update = std::env::var_os("UPDATE_GOLDEN").is_some();
    if update {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, text).unwrap();
    }
    let stored = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(stored == text, "{} has drifted: run UPDATE_GOLDEN=1 cargo test -p sluicegate-crds", path.display());
}

#[test]
fn manifests_are_what_the_types_say() {
    for definition in schema::definitions().unwrap() {
        let plural = definition.pointer("/spec/names/plural").unwrap().as_str().unwrap();
        let yaml = serde_saphyr::to_string(&definition).unwrap();
        golden(&format!("manifests/{plural}.yaml"), &format!("{HEAD}{yaml}"));
        let back: serde_json::Value = serde_saphyr::from_str(&yaml).unwrap();
        assert_eq!(back, definition, "{plural} reads back as it was written");
    }
}

#[test]
fn structures_are_what_the_types_say() {
    golden("src/structure.json", &format!("{}\n", schema::structures().unwrap()));
}

#[test]
fn the_reference_is_what_the_schema_says() {
    golden("../docs/reference.md", &reference::markdown().unwrap());
}
