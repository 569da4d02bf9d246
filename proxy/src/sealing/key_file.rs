//! The file of the keys that ids are sealed with.

use std::path::Path;
use std::sync::Arc;

use anyhow::{Context as _, bail};

use super::sealer::IdSealer;
use crate::account::FileStat;
use crate::mounted::MountedFiles;

/// A key has so many characters at least, and a file so many keys at most.
const SHORTEST: usize = 32;
const MOST: usize = 8;

/// A file of keys, one in a line, read again when it changes.
pub(crate) struct KeyFile(MountedFiles<IdSealer>);

impl KeyFile {
    /// Reads the file.
    ///
    /// # Errors
    /// It is missing, or holds no keys that can be used.
    pub(crate) fn read(path: &Path) -> anyhow::Result<Self> {
        MountedFiles::read("keys of response ids", &[path], |texts| sealer(&texts.concat())).map(Self)
    }

    /// The keys of now.
    pub(crate) fn current(&self) -> Arc<IdSealer> {
        self.0.current()
    }

    /// The facts of them that metrics tell.
    pub(crate) fn stat(&self) -> FileStat {
        FileStat { file: "response_keys", failures: self.0.failures(), ends: None }
    }

    /// Keeps the keys fresh, for ever.
    pub(crate) async fn watch(&self) {
        self.0.watch().await;
    }
}

fn sealer(text: &[u8]) -> anyhow::Result<IdSealer> {
    let lines = || text.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii).filter(|line| !line.is_empty());
    if let Some(at) = lines().position(|line| line.len() < SHORTEST) {
        bail!(
            "key {} is shorter than {SHORTEST} characters: write one that nobody can guess, such as `openssl rand -hex 32` makes",
            at + 1
        );
    }
    if lines().count() > MOST {
        bail!("more than {MOST} keys: remove the oldest ones");
    }
    IdSealer::new(lines()).context("the file holds no key: write one in a line; the first one seals, all of them open")
}

#[cfg(test)]
mod tests {
    use super::super::sealer::{IdKind, SealedId};
    use super::*;

    #[test]
    fn a_changed_file_is_taken_and_a_broken_one_is_not() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("keys");
        let write = |text: &str| std::fs::write(&path, text).unwrap();
        let (one, two) = ("1".repeat(32), "2".repeat(40));
        for (text, why) in [
            ("", "holds no key"),
            ("\n \n", "holds no key"),
            ("short", "key 1 is shorter"),
            (&*format!("{one}\nx"), "key 2"),
        ] {
            write(text);
            let error = KeyFile::read(&path).err().unwrap().to_string();
            assert!(error.contains(why) && !error.contains(&one), "{error}");
        }
        assert!(KeyFile::read(&dir.path().join("none")).is_err());
        write(&one);
        let file = KeyFile::read(&path).unwrap();
        let id = SealedId { target: 1, id: "resp_1".to_owned() };
        let sealed = file.current().seal(&[0; 32], IdKind::Response, &id).unwrap();
        assert!(!file.0.refresh().unwrap());
        write(&format!("\u{feff}{one}\n"));
        assert!(file.0.refresh().unwrap());
        let opened = file.current().open(&[0; 32], IdKind::Response, &sealed);
        assert!(opened.is_some(), "a mark of its byte order is no part of the first key");
        write(&format!("{two}\r\n{one}\n"));
        assert!(file.0.refresh().unwrap());
        assert_eq!(file.current().open(&[0; 32], IdKind::Response, &sealed), Some(id));
        write("nonsense");
        assert_eq!(file.stat().failures, 0);
        assert!(file.0.refresh().is_err() && file.0.refresh().is_err());
        assert_eq!(file.stat().failures, 2, "each look at it");
        assert!(file.current().open(&[0; 32], IdKind::Response, &sealed).is_some());
    }
}
