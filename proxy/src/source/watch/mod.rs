//! Tells when files or folders change: manifests, certificates.
//!
//! Events wake it where the system has them (inotify and its kin); beside them it looks at the files' times slowly,
//! which also carries it where events fail: network file systems, exhausted watches, folders removed and re-created.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use notify::event::{AccessKind, AccessMode, CreateKind, MetadataKind, ModifyKind};
use notify::{Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher};
use tokio::sync::Notify;

/// The interval at which files are looked at beside events.
const SLOW: Duration = Duration::from_secs(5);
/// The interval without events.
const POLL: Duration = Duration::from_secs(1);
/// A file that was written to and not closed since is waited for this long after the last write.
const WRITING: Duration = Duration::from_millis(50);
/// Files looked at in one folder; a folder larger than that is not one of manifests.
const MOST_FILES: usize = 20_000;

/// Watches some files and folders (not their sub-folders). Dropping it ends the watching.
#[derive(Debug)]
pub struct Watch {
    paths: Vec<PathBuf>,
    signal: Arc<Signal>,
    watcher: Option<RecommendedWatcher>,
    armed: HashMap<PathBuf, FileIdentity>,
    seen: Vec<Print>,
}

/// The identity of a file, beyond its name: (device, inode).
type FileIdentity = (u64, u64);

/// The print of one file: what a look at it saw.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Print {
    path: PathBuf,
    identity: FileIdentity,
    length: u64,
    modified: Option<SystemTime>,
}

/// The signal from the watcher's thread to the one who waits.
#[derive(Debug, Default)]
struct Signal {
    wake: Notify,
    state: Mutex<WatchState>,
}

#[derive(Debug, Default)]
struct WatchState {
    dirty: bool,
    /// Something watched was removed: what has its name now has to be watched anew, and may even have its inode.
    removed: bool,
    /// Files written to and not yet closed, and when last.
    writing: HashMap<PathBuf, Instant>,
}

impl WatchState {
    fn written(&mut self, paths: &[&PathBuf], now: Instant) {
        for path in paths {
            if self.writing.len() < MOST_FILES {
                self.writing.insert((*path).clone(), now);
            }
        }
    }

    fn closed(&mut self, paths: &[&PathBuf]) {
        for path in paths {
            self.writing.remove(*path);
        }
    }
}

impl Signal {
    fn state(&self) -> MutexGuard<'_, WatchState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// An event arrived. Only what may change a content counts: our own reading makes events too.
    fn hear(&self, event: &Event, paths: &[PathBuf]) {
        let touched: Vec<&PathBuf> = event.paths.iter().filter(|path| concerns(path, paths)).collect();
        let lost = event.need_rescan();
        if touched.is_empty() && !lost {
            return;
        }
        let mut state = self.state();
        let is_removal = matches!(event.kind, EventKind::Remove(_));
        state.removed |= is_removal && touched.iter().any(|path| paths.contains(path));
        match event.kind {
            EventKind::Access(AccessKind::Close(AccessMode::Write)) | EventKind::Remove(_) => {
                state.closed(&touched);
            }
            EventKind::Create(CreateKind::File) | EventKind::Modify(ModifyKind::Data(_)) => {
                state.written(&touched, Instant::now());
            }
            EventKind::Modify(ModifyKind::Name(_)) => state.closed(&touched),
            EventKind::Access(_) | EventKind::Modify(ModifyKind::Metadata(MetadataKind::AccessTime)) if !lost => return,
            _ => {}
        }
        state.dirty = true;
        drop(state);
        self.wake.notify_one();
    }

    /// The step to take at `now`: nothing, wait for a writer, or tell.
    fn next(&self, now: Instant) -> WatchStep {
        let mut state = self.state();
        state.writing.retain(|_, since| now.saturating_duration_since(*since) < WRITING);
        let youngest = state.writing.values().max().copied();
        match (state.dirty, youngest) {
            (false, _) => WatchStep::Sleep,
            (true, Some(since)) => WatchStep::Writer(WRITING.saturating_sub(now.saturating_duration_since(since))),
            (true, None) => {
                state.dirty = false;
                WatchStep::Tell
            }
        }
    }
}

#[derive(Debug, PartialEq, Eq)]
enum WatchStep {
    Sleep,
    Writer(Duration),
    Tell,
}

/// True if an event about `path` concerns one of the watched: the file or folder itself, what is in the folder, or
/// the hidden folder that Kubernetes swaps (`..data`) beside a watched file. Other hidden files are editors'.
fn concerns(path: &Path, watched: &[PathBuf]) -> bool {
    let hidden = path.file_name().is_some_and(|name| is_hidden(name) && !is_swap(name));
    watched.iter().any(|of| {
        path == of
            || (path.parent() == Some(of) && !hidden)
            || (path.parent() == of.parent() && path.file_name().is_some_and(is_swap))
    })
}

fn is_hidden(name: &OsStr) -> bool {
    name.as_encoded_bytes().starts_with(b".")
}

fn is_swap(name: &OsStr) -> bool {
    name.as_encoded_bytes().starts_with(b"..")
}

impl Watch {
    /// Begins to watch. What changes from here on is told by [`Watch::changed`].
    #[must_use]
    pub fn new(paths: Vec<PathBuf>) -> Self {
        let paths: Vec<PathBuf> = paths.into_iter().map(|path| absolute(&path)).collect();
        let signal = Arc::new(Signal::default());
        let (hears, watched) = (Arc::clone(&signal), paths.clone());
        let watcher = notify::recommended_watcher(move |event: notify::Result<Event>| match event {
            Ok(event) => hears.hear(&event, &watched),
            // Something was lost: look.
            Err(_) => {
                hears.state().dirty = true;
                hears.wake.notify_one();
            }
        });
        let watcher = watcher.inspect_err(|error| {
            tracing::warn!(%error, "file events are not available; files are looked at every second instead");
        });
        let mut watch = Self { paths, signal, watcher: watcher.ok(), armed: HashMap::new(), seen: Vec::new() };
        watch.arm();
        watch.seen = watch.look();
        watch
    }

    /// A watch without events, as where the system has none left.
    #[cfg(test)]
    fn without_events(paths: Vec<PathBuf>) -> Self {
        let paths: Vec<PathBuf> = paths.into_iter().map(|path| absolute(&path)).collect();
        let mut watch = Self { paths, signal: Arc::default(), watcher: None, armed: HashMap::new(), seen: Vec::new() };
        watch.seen = watch.look();
        watch
    }

    /// Waits until something watched may have changed. A burst is told once, what comes while nobody waits is told
    /// at the next call; a file being written is waited for until it is closed, or 50 ms without a write.
    ///
    /// Cancel-safe.
    pub async fn changed(&mut self) {
        loop {
            self.arm();
            let pause = match self.signal.next(Instant::now()) {
                WatchStep::Tell => {
                    self.seen = self.look();
                    return;
                }
                WatchStep::Writer(pause) => pause,
                WatchStep::Sleep => {
                    let seen = self.look();
                    if seen != self.seen {
                        self.seen = seen;
                        return;
                    }
                    if self.watcher.is_some() { SLOW } else { POLL }
                }
            };
            drop(tokio::time::timeout(pause, self.signal.wake.notified()).await);
        }
    }

    /// Watches each path's folder, and the path itself where it is a folder; again where another has taken its name.
    fn arm(&mut self) {
        let Some(watcher) = &mut self.watcher else { return };
        if std::mem::take(&mut self.signal.state().removed) {
            self.armed.clear();
        }
        let mut folders: Vec<&Path> = self.paths.iter().filter_map(|path| path.parent()).collect();
        folders.extend(self.paths.iter().filter(|path| path.is_dir()).map(PathBuf::as_path));
        folders.sort_unstable();
        folders.dedup();
        for folder in folders {
            let Some(identity) = fs::metadata(folder).ok().map(|data| identity(&data)) else {
                self.armed.remove(folder);
                continue;
            };
            if self.armed.get(folder) == Some(&identity) {
                continue;
            }
            // The old one may be gone already; then there is nothing to end.
            drop(watcher.unwatch(folder));
            match watcher.watch(folder, RecursiveMode::NonRecursive) {
                Ok(()) => drop(self.armed.insert(folder.to_owned(), identity)),
                Err(error) => tracing::debug!(%error, folder = %folder.display(), "not watched"),
            }
        }
    }

    fn look(&self) -> Vec<Print> {
        let mut prints = Vec::new();
        for path in &self.paths {
            print(path, &mut prints);
            let Ok(folder) = fs::read_dir(path) else { continue };
            for entry in folder.take(MOST_FILES).flatten() {
                if !is_hidden(&entry.file_name()) {
                    print(&entry.path(), &mut prints);
                }
            }
        }
        prints.sort_unstable();
        prints
    }
}

/// Takes the print of a file, symbolic links followed. A folder's own times say nothing of its files.
fn print(path: &Path, prints: &mut Vec<Print>) {
    if let Ok(data) = fs::metadata(path) {
        let (length, modified) = if data.is_dir() { (0, None) } else { (data.len(), data.modified().ok()) };
        prints.push(Print { path: path.to_owned(), identity: identity(&data), length, modified });
    }
}

#[cfg(unix)]
fn identity(data: &fs::Metadata) -> FileIdentity {
    use std::os::unix::fs::MetadataExt;
    (data.dev(), data.ino())
}

#[cfg(not(unix))]
fn identity(_: &fs::Metadata) -> FileIdentity {
    (0, 0)
}

/// Events carry whole paths; so must what they are compared with.
fn absolute(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned())
}

#[cfg(test)]
mod tests;
