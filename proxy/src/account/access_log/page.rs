//! The lines that a worker has told and nobody has written out. Its lock is held for one line by the worker, and for an
//! exchange of two vectors by the log's thread.

use std::mem;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// The most text that waits, bytes; a line that comes later is dropped.
const MOST: usize = 2 * 1024 * 1024;
/// The memory that a page keeps while nothing is told, bytes.
const KEPT: usize = 64 * 1024;

/// One worker's lines.
#[derive(Debug, Default)]
pub(super) struct LogPage(Mutex<Vec<u8>>);

impl LogPage {
    /// Lets `write` append a line; false: the page is full.
    pub(super) fn append(&self, write: impl FnOnce(&mut Vec<u8>)) -> bool {
        let mut text = self.lock();
        let fits = text.len() < MOST;
        if fits {
            write(&mut text);
        }
        fits
    }

    /// Gives all that is on it, for the empty vector that is given.
    pub(super) fn take(&self, text: &mut Vec<u8>) {
        mem::swap(&mut *self.lock(), text);
    }

    /// True if nothing is on it. Then it keeps little memory.
    pub(super) fn rests(&self) -> bool {
        let mut text = self.lock();
        if text.is_empty() {
            text.shrink_to(KEPT);
        }
        text.is_empty()
    }

    fn lock(&self) -> MutexGuard<'_, Vec<u8>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
