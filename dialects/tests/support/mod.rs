//! What the tests of the dialects share: fixtures, goldens, streams cut at every byte.
#![expect(clippy::unwrap_used, reason = "a test says what it expects")]

use sluicegate_dialects::hub::Event;
use sluicegate_dialects::{Dialect, Malformed};
use std::path::{Path, PathBuf};

/// A folder below `testdata/`.
pub(crate) fn testdata(below: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata").join(below)
}

/// Compares with a golden file, or writes it when `UPDATE_GOLDEN` is set.
pub(crate) fn golden(path: &Path, actual: &str) {
    if std::env::vars().any(|(name, _)| name == "UPDATE_GOLDEN") {
        std::fs::write(path, actual).unwrap();
        return;
    }
    let expected = std::fs::read_to_string(path).unwrap_or_default();
    assert_eq!(actual, expected, "{} differs; UPDATE_GOLDEN=1 rewrites it", path.display());
}

/// Reads a stream given in these pieces.
pub(crate) fn events(dialect: Dialect, pieces: &[&[u8]]) -> Result<Vec<Event>, Malformed> {
    let mut decoder = dialect.stream_decoder();
    let mut out = Vec::new();
    for piece in pieces {
        decoder.push(piece, &mut out)?;
    }
    decoder.finish(&mut out)?;
    Ok(out)
}

/// Reads a stream whole, cut in two at every byte, and byte by byte: always the same.
pub(crate) fn events_cut_anywhere(dialect: Dialect, bytes: &[u8]) -> Vec<Event> {
    let whole = events(dialect, &[bytes]).unwrap();
    let expected = format!("{whole:?}");
    for at in 0..=bytes.len() {
        let (head, tail) = bytes.split_at(at);
        assert_eq!(format!("{:?}", events(dialect, &[head, tail]).unwrap()), expected, "cut at {at}");
    }
    let single: Vec<&[u8]> = bytes.chunks(1).collect();
    assert_eq!(format!("{:?}", events(dialect, &single).unwrap()), expected, "byte by byte");
    whole
}
