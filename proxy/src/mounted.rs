//! Files that are mounted from Secrets, read again when they change.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::Context as _;
use arc_swap::ArcSwap;

use crate::count::Count;

/// The interval at which files are looked at: a Secret mounted in Kubernetes changes by a swapped link, which watches miss.
const LOOK: Duration = Duration::from_secs(5);

/// The mark of its byte order that a text may begin with.
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// Files, and what was last read from them that could be used.
#[derive(Debug)]
pub(crate) struct MountedFiles<T> {
    /// The name of what they hold, in the log.
    holds: &'static str,
    paths: Box<[PathBuf]>,
    parse: fn(&[Vec<u8>]) -> anyhow::Result<T>,
    current: ArcSwap<T>,
    /// The texts that were last taken.
    taken: Mutex<Vec<Vec<u8>>>,
    /// The looks that found what can not be used.
    failures: Count,
}

impl<T> MountedFiles<T> {
    /// Reads the files. `parse` is given their texts in the same order.
    ///
    /// # Errors
    /// A file can not be read, or `parse` refuses what they hold.
    pub(crate) fn read(
        holds: &'static str,
        paths: &[&Path],
        parse: fn(&[Vec<u8>]) -> anyhow::Result<T>,
    ) -> anyhow::Result<Self> {
        let paths: Box<[PathBuf]> = paths.iter().map(PathBuf::from).collect();
        let texts = texts(&paths)?;
        let current = ArcSwap::from_pointee(parse(&texts)?);
        Ok(Self { holds, paths, parse, current, taken: Mutex::new(texts), failures: Count::default() })
    }

    /// The value that they hold now.
    pub(crate) fn current(&self) -> Arc<T> {
        self.current.load_full()
    }

    /// The number of looks that found what can not be used.
    pub(crate) fn failures(&self) -> u64 {
        self.failures.get()
    }

    /// Reads the files again and takes them if they changed; says whether they did.
    ///
    /// # Errors
    /// As `read`; what is in use stays.
    pub(crate) fn refresh(&self) -> anyhow::Result<bool> {
        let refreshed = self.take();
        if refreshed.is_err() {
            self.failures.add();
        }
        refreshed
    }

    fn take(&self) -> anyhow::Result<bool> {
        let texts = texts(&self.paths)?;
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        if *taken == texts {
            return Ok(false);
        }
        self.current.store(Arc::new((self.parse)(&texts)?));
        *taken = texts;
        Ok(true)
    }

    /// Keeps what they hold fresh, for ever. A failure is told once, until it is another.
    pub(crate) async fn watch(&self) {
        let mut last_failure = String::new();
        loop {
            tokio::time::sleep(LOOK).await;
            match self.refresh() {
                Ok(true) => tracing::info!(files = ?self.paths, "{} reloaded", self.holds),
                Ok(false) => last_failure.clear(),
                Err(error) => {
                    let failure = format!("{error:#}");
                    if failure != last_failure {
                        tracing::error!(error = failure, "{} not reloaded: what is in use stays", self.holds);
                    }
                    last_failure = failure;
                }
            }
        }
    }
}

fn texts(paths: &[PathBuf]) -> anyhow::Result<Vec<Vec<u8>>> {
    let read = |path: &PathBuf| {
        let mut text = std::fs::read(path).with_context(|| format!("can not read {}", path.display()))?;
        // Some editors begin a file with it: it is no letter of a key, and no line of PEM.
        if text.starts_with(BYTE_ORDER_MARK) {
            text.drain(..BYTE_ORDER_MARK.len());
        }
        Ok(text)
    };
    paths.iter().map(read).collect()
}
