//! Checks of what must hold for any text that is read here: one `check` per fuzz target, which panics when it does not.

mod calendar;
mod manifests;
mod prices;

pub use calendar::check as calendar;
pub use manifests::check as manifests;
pub use prices::check as prices;

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::{Path, PathBuf};

    fn collect(folder: &Path, found: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                collect(&path, found);
            } else if path.extension().is_some_and(|ending| ending == "yaml") {
                found.push(path);
            }
        }
    }

    /// Runs a check over some of the files below a folder, whole and damaged.
    fn each(folder: &str, check: fn(&[u8])) {
        let mut files = Vec::new();
        collect(&Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(folder), &mut files);
        files.sort();
        assert!(!files.is_empty());
        for path in files.iter().step_by(files.len().div_ceil(12)) {
            let mut text = fs::read(path).unwrap();
            check(&text);
            for at in (0..text.len()).step_by(text.len() / 3 + 1) {
                check(&text[..at]);
                let kept = std::mem::replace(&mut text[at], b'"');
                check(&text);
                text[at] = kept;
            }
        }
    }

    #[test]
    fn manifests() {
        each("crds/examples", super::manifests);
    }

    #[test]
    fn prices() {
        each("charts/sluicegate/files", super::prices);
    }

    #[test]
    fn calendar() {
        for input in [&b"UTC\0\x01\x02"[..], b"Europe/Berlin \xff\xff\xff\xff\xff\xff\xff\x7f", b"Asia/Kathmandu"] {
            super::calendar(input);
        }
    }
}
