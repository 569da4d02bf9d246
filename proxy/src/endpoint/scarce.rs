//! The models of which an endpoint has nearly used up what its provider lets the gateway have, each until then: others are asked first
//! for these, and for no other. While there is none, to look costs one load.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// The most models that are told apart; of further ones nothing is known.
const MOST: usize = 64;
/// A later end is news to others if it is so much later.
const NEWS: u64 = 250;

/// The number that a model is known by, the same on every proxy.
#[must_use]
pub fn model_number(model: &str) -> u64 {
    xxhash_rust::xxh3::xxh3_64(model.as_bytes())
}

/// Ends by model, in milliseconds after the endpoint's epoch.
#[derive(Debug, Default)]
pub(super) struct Scarce {
    /// The latest end.
    latest: AtomicU64,
    models: Mutex<Vec<(u64, u64)>>,
    /// The number of times that a model became scarce.
    times: AtomicU64,
}

impl Scarce {
    fn lock(&self) -> MutexGuard<'_, Vec<(u64, u64)>> {
        self.models.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A model is, until then. True if that is news.
    pub(super) fn note(&self, (model, until): (u64, u64), now: u64) -> bool {
        let mut models = self.lock();
        models.retain(|(_, until)| *until > now);
        let has_room = models.len() < MOST;
        let before = match models.iter_mut().find(|(known, _)| *known == model) {
            Some((_, end)) => {
                let before = *end;
                *end = before.max(until);
                before
            }
            None if has_room => {
                models.push((model, until));
                self.times.fetch_add(1, Relaxed);
                0
            }
            None => return false,
        };
        self.latest.fetch_max(until, Relaxed);
        until >= before.saturating_add(NEWS)
    }

    /// The end for a model, if that is still to come.
    pub(super) fn of(&self, model: impl Fn() -> u64, now: u64) -> Option<u64> {
        if self.latest.load(Relaxed) <= now {
            return None;
        }
        let model = model();
        self.lock().iter().find(|(known, until)| *known == model && *until > now).map(|(_, until)| *until)
    }

    /// The number of times that a model became scarce.
    pub(super) fn times(&self) -> u64 {
        self.times.load(Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_model_is_scarce_by_itself_until_its_end() {
        let scarce = Scarce::default();
        assert_eq!(scarce.of(|| unreachable!("nobody asks while there is none"), 1), None);
        assert!(scarce.note((7, 1_000), 1) && !scarce.note((7, 1_100), 1) && scarce.note((7, 2_000), 1));
        assert_eq!((scarce.of(|| 7, 1), scarce.of(|| 8, 1), scarce.of(|| 7, 2_000)), (Some(2_000), None, None));
        assert_eq!(scarce.times(), 1);
    }

    #[test]
    fn models_are_bounded_and_make_room_when_they_are_over() {
        let scarce = Scarce::default();
        for model in 0..1_000 {
            scarce.note((model, 1_000), 1);
        }
        let kept = scarce.lock().len();
        assert_eq!((kept, scarce.of(|| 999, 1)), (MOST, None));
        assert!(scarce.note((999, 3_000), 1_000));
        assert_eq!(scarce.lock().len(), 1);
    }
}
