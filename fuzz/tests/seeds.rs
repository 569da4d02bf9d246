//! Every check over every fixture, whole and damaged: what a fuzzer begins with, in seconds and without one.

use std::fs;
use std::path::{Path, PathBuf};

use sluicegate_fuzz as fuzz;

fn collect(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).expect("a folder of fixtures") {
        let path = entry.expect("a file of fixtures").path();
        if path.is_dir() { collect(&path, found) } else { found.push(path) }
    }
}

fn each(folders: &[&str], check: fn(&[u8])) {
    let mut found = Vec::new();
    for folder in folders {
        collect(&Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(folder), &mut found);
    }
    assert!(!found.is_empty());
    found.sort();
    for path in found {
        let mut body = fs::read(&path).expect("a fixture");
        // The test's own output says which file failed.
        println!("{}", path.display());
        check(&body);
        let step = body.len() / 8 + 1;
        for at in (0..body.len()).step_by(step) {
            check(&body[..at]);
            let kept = std::mem::replace(&mut body[at], b'"');
            check(&body);
            body[at] = kept;
        }
    }
}

const DIALECTS: &[&str] = &["dialects/testdata"];

#[test]
fn sse() {
    each(DIALECTS, fuzz::sse::check);
}

#[test]
fn verbatim() {
    each(DIALECTS, fuzz::verbatim::check);
}

#[test]
fn request() {
    each(DIALECTS, fuzz::request::check);
}

#[test]
fn reply() {
    each(DIALECTS, fuzz::reply::check);
}

#[test]
fn stream() {
    each(DIALECTS, fuzz::stream::check);
}

#[test]
fn tap() {
    each(DIALECTS, fuzz::observe::check);
}

#[test]
fn http1() {
    each(&["fuzz/seeds/http1"], fuzz::http1::check);
}

#[test]
fn error() {
    each(DIALECTS, fuzz::error::check);
}

#[test]
fn fold() {
    each(DIALECTS, fuzz::fold::check);
}

#[test]
fn cache_key() {
    each(DIALECTS, fuzz::cache_key::check);
}

#[test]
fn cache_entry() {
    each(DIALECTS, fuzz::cache_entry::check);
}

#[test]
fn manifests() {
    each(&["config/testdata", "crds/examples"], fuzz::manifests::check);
}
