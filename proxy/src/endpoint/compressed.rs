//! The knowledge whether an endpoint reads compressed requests.

use std::sync::atomic::{AtomicU64, Ordering};

/// For so long one that refused them is sent none, in milliseconds.
const PAUSE: u64 = 600_000;

/// The knowledge whether an endpoint reads compressed requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TakesCompressed {
    /// None has been sent yet.
    Unknown,
    /// It has answered one.
    Yes,
    /// It has refused one lately.
    No,
}

/// 0: nothing is known; 1: it reads them; else the end of the pause after a refusal.
#[derive(Debug, Default)]
pub(super) struct Compressed(AtomicU64);

impl Compressed {
    /// As it is at `now`, in milliseconds.
    pub(super) fn at(&self, now: u64) -> TakesCompressed {
        match self.0.load(Ordering::Relaxed) {
            0 => TakesCompressed::Unknown,
            1 => TakesCompressed::Yes,
            until if now < until => TakesCompressed::No,
            _ => TakesCompressed::Unknown,
        }
    }

    /// It has answered one.
    pub(super) fn took(&self) {
        self.0.store(1, Ordering::Relaxed);
    }

    /// It has refused one: true if that is news.
    pub(super) fn refused(&self, now: u64) -> bool {
        let before = self.0.swap(now + PAUSE, Ordering::Relaxed);
        before <= now
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_is_news_once_and_forgotten_after_a_while() {
        let known = Compressed::default();
        assert_eq!(known.at(5), TakesCompressed::Unknown);
        known.took();
        assert_eq!(known.at(5), TakesCompressed::Yes);
        assert!(known.refused(5));
        assert!(!known.refused(6));
        assert_eq!(known.at(6 + PAUSE - 1), TakesCompressed::No);
        assert_eq!(known.at(6 + PAUSE), TakesCompressed::Unknown);
    }
}
