//! The file of the keys that ids are sealed with, read again when it changes.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context as _, bail};
use arc_swap::ArcSwap;

use super::sealer::IdSealer;

/// The interval at which the file is looked at: a Secret mounted in Kubernetes changes by a swapped link, which watches miss.
const LOOK: Duration = Duration::from_secs(5);
/// A key has so many characters at least, and a file so many keys at most.
const SHORTEST: usize = 32;
const MOST: usize = 8;

/// A file of keys, one in a line.
pub(crate) struct KeyFile {
    path: PathBuf,
    current: ArcSwap<IdSealer>,
    read: Mutex<Vec<u8>>,
}

impl KeyFile {
    /// Reads the file.
    ///
    /// # Errors
    /// It is missing, or holds no keys that can be used.
    pub(crate) fn read(path: &Path) -> anyhow::Result<Self> {
        let text = text(path)?;
        let current = ArcSwap::from_pointee(sealer(&text)?);
        Ok(Self { path: path.to_owned(), current, read: Mutex::new(text) })
    }

    /// The keys of now.
    pub(crate) fn current(&self) -> Arc<IdSealer> {
        self.current.load_full()
    }

    /// Reads the file again and takes it if it changed; says whether it did.
    ///
    /// # Errors
    /// As `read`; the keys in use stay.
    pub(crate) fn refresh(&self) -> anyhow::Result<bool> {
        let text = text(&self.path)?;
        let mut read = self.read.lock().unwrap_or_else(PoisonError::into_inner);
        if *read == text {
            return Ok(false);
        }
        self.current.store(Arc::new(sealer(&text)?));
        *read = text;
        Ok(true)
    }

    /// Keeps the keys fresh, for ever.
    pub(crate) async fn watch(&self) {
        let mut last_failure = String::new();
        loop {
            tokio::time::sleep(LOOK).await;
            match self.refresh() {
                Ok(true) => tracing::info!(file = %self.path.display(), "keys of response ids reloaded"),
                Ok(false) => last_failure.clear(),
                Err(error) => {
                    let failure = format!("{error:#}");
                    if failure != last_failure {
                        tracing::error!(error = failure, "keys of response ids not reloaded; those in use stay");
                    }
                    last_failure = failure;
                }
            }
        }
    }
}

fn text(path: &Path) -> anyhow::Result<Vec<u8>> {
    std::fs::read(path).with_context(|| format!("can not read {}", path.display()))
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
    use super::super::sealer::SealedId;
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
        let sealed = file.current().seal(&[0; 32], &id).unwrap();
        assert!(!file.refresh().unwrap());
        write(&format!("{two}\r\n{one}\n"));
        assert!(file.refresh().unwrap());
        assert_eq!(file.current().open(&[0; 32], &sealed), Some(id));
        write("nonsense");
        assert!(file.refresh().is_err());
        assert!(file.current().open(&[0; 32], &sealed).is_some());
    }
}
