//! The tokens of prompts as providers count them against the estimates of the same prompts, learnt for each model.
//!
//! An estimate goes by letters, and is off by a half for some tokenizers and languages. What is reserved by it is to be enough for most
//! calls: what is learnt moves up fast and down slowly, so that about nine of ten prompts are no longer than it says.

use std::hash::BuildHasher;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use foldhash::fast::RandomState;

/// Models that are known at once; of two that fall together the later one begins anew.
const PLACES: usize = 1_024;
/// Answers of a model that are waited for before one of its estimates is changed.
const ENOUGH: u64 = 16;
/// A ratio of one.
const ONE: u64 = 1 << 16;
/// Beyond four times the estimate or below a quarter it is not the letters: a conversation that the provider keeps, a picture.
const BOUND: u64 = 4;
/// The part of a difference by which a ratio goes up …
const UP: u64 = 8;
/// … and down.
const DOWN: u64 = 512;

/// The ratios of all models; one per process.
#[derive(Debug)]
pub(crate) struct PromptRatios {
    /// Each: a mark of the model (32 bits), the answers seen (8 bits, no more than `ENOUGH`), and the ratio (24 bits, of `ONE`).
    places: Box<[AtomicU64]>,
    hasher: RandomState,
}

impl Default for PromptRatios {
    fn default() -> Self {
        Self { places: (0..PLACES).map(|_| AtomicU64::new(0)).collect(), hasher: RandomState::default() }
    }
}

/// The ratio of one model.
#[derive(Clone, Copy)]
struct ModelRatio {
    mark: u64,
    seen: u64,
    ratio: u64,
}

impl ModelRatio {
    const fn read(packed: u64) -> Self {
        Self { mark: packed >> 32, seen: (packed >> 24) & 0xFF, ratio: packed & 0xFF_FFFF }
    }

    const fn packed(self) -> u64 {
        self.mark << 32 | self.seen << 24 | self.ratio
    }

    /// With one more prompt that was this long by the estimate, and by the provider's count.
    fn with(self, estimate: u64, counted: u64) -> Self {
        let seen_ratio =
            u64::try_from(u128::from(counted) * u128::from(ONE) / u128::from(estimate)).unwrap_or(u64::MAX);
        if !(ONE / BOUND..=ONE * BOUND).contains(&seen_ratio) {
            return self;
        }
        let ratio = if seen_ratio > self.ratio {
            self.ratio + (seen_ratio - self.ratio).div_ceil(UP)
        } else {
            self.ratio - (self.ratio - seen_ratio) / DOWN
        };
        Self { seen: (self.seen + 1).min(ENOUGH), ratio, ..self }
    }
}

impl PromptRatios {
    /// The tokens of a prompt for a model, where an estimate by letters says so many.
    pub(crate) fn corrected(&self, model: &str, estimate: u64) -> u64 {
        let (place, mark) = self.place(model);
        let known = ModelRatio::read(place.load(Relaxed));
        if known.mark != mark || known.seen < ENOUGH {
            return estimate;
        }
        u64::try_from(u128::from(estimate) * u128::from(known.ratio) / u128::from(ONE)).unwrap_or(u64::MAX)
    }

    /// A provider has counted a prompt. Of two that are learnt at once one may be forgotten.
    fn learn(&self, model: &str, estimate: u64, counted: u64) {
        let (place, mark) = self.place(model);
        let known = ModelRatio::read(place.load(Relaxed));
        let known = if known.mark == mark { known } else { ModelRatio { mark, seen: 0, ratio: ONE } };
        place.store(known.with(estimate, counted).packed(), Relaxed);
    }

    fn place(&self, model: &str) -> (&AtomicU64, u64) {
        let hash = self.hasher.hash_one(model);
        let at = usize::try_from(hash & 0xFFFF_FFFF).unwrap_or_default() % self.places.len();
        // Nothing that was never written has a mark.
        (self.places.get(at).unwrap_or(&NOWHERE), (hash >> 32).max(1))
    }
}

static NOWHERE: AtomicU64 = AtomicU64::new(0);

/// The prompt of a call that is under way: what is reserved goes by an estimate of it.
#[derive(Debug)]
pub(crate) struct GuessedPrompt {
    ratios: Arc<PromptRatios>,
    model: Box<str>,
    estimate: u64,
}

impl GuessedPrompt {
    /// Of a call to this model that has so many tokens by its letters.
    pub(crate) fn new(ratios: &Arc<PromptRatios>, model: &str, estimate: u64) -> Self {
        Self { ratios: Arc::clone(ratios), model: model.into(), estimate }
    }

    /// Its provider has counted so many.
    pub(crate) fn is_counted(&self, tokens: u64) {
        if self.estimate > 0 && tokens > 0 {
            self.ratios.learn(&self.model, self.estimate, tokens);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_providers_count_corrects_the_estimates_of_their_model_alone() {
        let ratios = PromptRatios::default();
        for seen in 0..ENOUGH {
            assert_eq!(ratios.corrected("wide", 1_000), 1_000, "after {seen}");
            ratios.learn("wide", 100, 180);
        }
        let some = ratios.corrected("wide", 1_000);
        assert!((1_300..1_800).contains(&some), "{some}");
        (0..200).for_each(|_| ratios.learn("wide", 100, 180));
        assert!(ratios.corrected("wide", 1_000).abs_diff(1_800) <= 2, "{}", ratios.corrected("wide", 1_000));
        assert_eq!(ratios.corrected("other", 1_000), 1_000);
        // Down it goes slowly.
        (0..50).for_each(|_| ratios.learn("wide", 100, 60));
        let less = ratios.corrected("wide", 1_000);
        assert!((1_500..1_790).contains(&less), "{less}");
        (0..8_000).for_each(|_| ratios.learn("wide", 100, 60));
        assert!((600..=610).contains(&ratios.corrected("wide", 1_000)), "{}", ratios.corrected("wide", 1_000));
    }

    #[test]
    fn most_prompts_are_no_longer_than_what_is_learnt() {
        let ratios = PromptRatios::default();
        let counted = |at: u64| 60 + at * 37 % 100;
        (0..4_000).for_each(|at| ratios.learn("m", 100, counted(at)));
        let learnt = ratios.corrected("m", 100);
        let within = (0..100).filter(|at| counted(*at) <= learnt).count();
        assert!((80..=97).contains(&within), "{within} of 100 within {learnt}");
    }

    #[test]
    fn what_is_no_matter_of_letters_teaches_nothing() {
        let ratios = PromptRatios::default();
        for (estimate, counted) in [(10, 1_000), (1_000, 10), (1, u64::MAX), (u64::MAX, 1)] {
            (0..100).for_each(|_| ratios.learn("m", estimate, counted));
        }
        assert_eq!(ratios.corrected("m", 77), 77);
        (0..100).for_each(|_| ratios.learn("m", 1, 4));
        assert_eq!(ratios.corrected("m", u64::MAX), u64::MAX);
        let guess = GuessedPrompt::new(&Arc::new(ratios), "m", 0);
        guess.is_counted(5);
    }
}
