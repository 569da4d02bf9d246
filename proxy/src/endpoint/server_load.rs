//! The load that a model server has told of itself, kept until it is old.

use std::sync::atomic::{AtomicU64, Ordering};

/// The load of a model server, by its own metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ServerLoad {
    /// The calls that it works on.
    pub running: u32,
    /// The calls that wait in it.
    pub waiting: u32,
    /// The part of its KV cache that is in use, in thousandths; `None`: it does not say.
    pub cache_milli: Option<u16>,
}

/// The bits of each count.
const COUNT_BITS: u32 = 24;
const MOST: u32 = (1 << COUNT_BITS) - 1;
/// Stands for a cache of which nothing is said.
const UNSAID: u16 = u16::MAX;

/// The last word of a server, and the time until which it counts: in milliseconds since the endpoint's epoch.
#[derive(Debug, Default)]
pub(super) struct ToldLoad {
    packed: AtomicU64,
    until: AtomicU64,
}

impl ToldLoad {
    /// Notes a word that counts until then.
    pub(super) fn note(&self, load: ServerLoad, until: u64) {
        let ServerLoad { running, waiting, cache_milli } = load;
        let counts = u64::from(running.min(MOST)) << COUNT_BITS | u64::from(waiting.min(MOST));
        let packed = counts << u16::BITS | u64::from(cache_milli.unwrap_or(UNSAID));
        self.packed.store(packed, Ordering::Relaxed);
        // The two are read apart: for a moment an old word may count as a new one, or the other way round.
        self.until.store(until, Ordering::Relaxed);
    }

    /// The last word, if it still counts.
    pub(super) fn at(&self, now: u64) -> Option<ServerLoad> {
        if self.until.load(Ordering::Relaxed) <= now {
            return None;
        }
        let packed = self.packed.load(Ordering::Relaxed);
        let count = |shift: u32| u32::try_from(packed >> shift & u64::from(MOST)).unwrap_or(MOST);
        let cache = u16::try_from(packed & u64::from(u16::MAX)).unwrap_or(UNSAID);
        Some(ServerLoad {
            running: count(COUNT_BITS + u16::BITS),
            waiting: count(u16::BITS),
            cache_milli: (cache != UNSAID).then_some(cache),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_counts_until_it_is_old() {
        let told = ToldLoad::default();
        assert_eq!(told.at(0), None);
        for load in [
            ServerLoad { running: 3, waiting: 5, cache_milli: Some(970) },
            ServerLoad { running: MOST, waiting: 0, cache_milli: None },
            ServerLoad { running: 0, waiting: MOST, cache_milli: Some(0) },
        ] {
            told.note(load, 10);
            assert_eq!(told.at(9), Some(load));
            assert_eq!(told.at(10), None);
        }
        told.note(ServerLoad { running: u32::MAX, waiting: u32::MAX, cache_milli: None }, 10);
        assert_eq!(told.at(0), Some(ServerLoad { running: MOST, waiting: MOST, cache_milli: None }));
    }
}
