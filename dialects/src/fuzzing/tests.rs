//! Every check over some of the fixtures, whole and damaged: what a fuzzer begins with, in seconds and without one.

use std::fs;
use std::path::{Path, PathBuf};

use super as fuzz;

fn collect(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).expect("a folder of fixtures") {
        let path = entry.expect("a file of fixtures").path();
        if path.is_dir() { collect(&path, found) } else { found.push(path) }
    }
}

/// The most files of which a check reads each: the rest of them is much the same, and all of it is what the fuzzer begins with.
const MOST: usize = 12;

/// Runs a check over the files whose path has this in it, every n-th where there are many.
fn each(folders: &[&str], part: &str, check: fn(&[u8])) {
    let mut found = Vec::new();
    for folder in folders {
        collect(&Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(folder), &mut found);
    }
    // What is made of an input stands in wrappers of its own.
    found.retain(|path| path.to_string_lossy().contains(part) && !path.to_string_lossy().contains(".out."));
    assert!(!found.is_empty());
    found.sort();
    let every = found.len().div_ceil(MOST);
    for path in found.into_iter().step_by(every) {
        let mut body = fs::read(&path).expect("a fixture");
        // The test's own output says which file failed.
        println!("{}", path.display());
        check(&body);
        let step = body.len() / 3 + 1;
        for at in (0..body.len()).step_by(step) {
            check(&body[..at]);
            let kept = std::mem::replace(&mut body[at], b'"');
            check(&body);
            body[at] = kept;
        }
    }
}

const DIALECTS: &[&str] = &["dialects/testdata"];
/// Inputs of parsers that have no fixtures of their own.
const SEEDS: &[&str] = &["fuzz/seeds"];
/// The parts of the paths of fixtures by what they are.
const STREAMS: &str = "/streams/";
const REQUESTS: &str = "/requests/";

#[test]
fn sse() {
    each(DIALECTS, STREAMS, fuzz::sse);
}

#[test]
fn event_stream() {
    each(DIALECTS, STREAMS, fuzz::event_stream);
}

#[test]
fn verbatim() {
    each(DIALECTS, REQUESTS, fuzz::verbatim);
}

#[test]
fn request() {
    each(DIALECTS, REQUESTS, fuzz::request);
}

#[test]
fn reply() {
    each(DIALECTS, "/replies/", fuzz::reply);
}

#[test]
fn stream() {
    each(DIALECTS, STREAMS, fuzz::stream);
}

#[test]
fn observe() {
    each(DIALECTS, STREAMS, fuzz::observe);
}

#[test]
fn error() {
    each(DIALECTS, "/errors/", fuzz::error);
}

#[test]
fn fold() {
    each(DIALECTS, ".in.", fuzz::fold);
}

#[test]
fn shadow() {
    each(DIALECTS, STREAMS, fuzz::shadow);
}

#[test]
fn kept() {
    each(DIALECTS, "responses", fuzz::kept);
}

#[test]
fn looks() {
    each(DIALECTS, REQUESTS, fuzz::looks);
}

#[test]
fn form() {
    each(SEEDS, "/form/", fuzz::form);
}

#[test]
fn models() {
    each(SEEDS, "/models/", fuzz::models);
}

#[test]
fn vectors() {
    each(SEEDS, "/vectors/", fuzz::vectors);
}
