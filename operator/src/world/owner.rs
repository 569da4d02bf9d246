//! The owner of what is published: a ConfigMap of the chart, with which all of it goes. It may be replaced under its name
//! (`kubectl replace --force`, a restore, self-healing), and then has another uid: the garbage collector takes away what
//! still names the one before.

use std::time::{Duration, Instant};

/// An owner that is gone is waited for so long before it is said of each object that nothing can be published of it: one
/// that is replaced is back within a moment.
pub(super) const PATIENCE: Duration = Duration::from_secs(10);

/// The owner as it is known.
#[derive(Debug, Default)]
pub(super) struct Owner {
    /// Its name; `None`: none is wanted.
    pub(super) name: Option<String>,
    /// Since when it is not there, as far as is known.
    pub(super) absent_since: Option<Instant>,
}

/// A change of the owner.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OwnerChange {
    /// It is there for the first time.
    Found,
    /// It is there again and has another uid: what is published is put down to it.
    Replaced {
        /// The number of those objects.
        objects: usize,
    },
    /// It is not there.
    Absent,
}

impl Owner {
    /// Until when nothing is written, because the owner may be about to come back.
    pub(super) fn awaited_until(&self) -> Option<Instant> {
        self.absent_since.map(|since| since + PATIENCE)
    }
}
