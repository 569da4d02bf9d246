//! The times within which most calls for a model are answered: a coarse histogram of the last minute or two. Asked only where second
//! attempts are made by it.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::latency::TimedAnswer;

/// The most models that are told apart in a pool; of further ones nothing is known.
const MOST_MODELS: usize = 64;
/// Steps of the histogram, each this much wider than the one before, from a millisecond to a minute and a half.
const STEPS: usize = 98;
const GROWTH: f64 = 1.125;
/// A histogram of so long makes room for the next one, and is remembered as long again.
const SPAN: Duration = Duration::from_secs(60);
/// Of fewer times nothing is said.
const FEW: u32 = 20;

/// Times by model and form.
#[derive(Debug, Default)]
pub struct AnswerTimes {
    models: Mutex<HashMap<(Box<str>, TimedAnswer), RecentTimes>>,
}

#[derive(Debug)]
struct RecentTimes {
    began: Instant,
    now: [u32; STEPS],
    before: [u32; STEPS],
}

impl RecentTimes {
    const fn new(began: Instant) -> Self {
        Self { began, now: [0; STEPS], before: [0; STEPS] }
    }

    fn turn(&mut self, now: Instant) {
        let age = now.saturating_duration_since(self.began);
        if age >= SPAN {
            let last = std::mem::replace(&mut self.now, [0; STEPS]);
            self.before = if age < SPAN * 2 { last } else { [0; STEPS] };
            self.began = now;
        }
    }
}

impl AnswerTimes {
    /// A time that was waited.
    pub fn note(&self, (model, form): (&str, TimedAnswer), waited: Duration, now: Instant) {
        let mut models = self.models.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (model.into(), form);
        if models.len() >= MOST_MODELS && !models.contains_key(&key) {
            return;
        }
        let times = models.entry(key).or_insert_with(|| RecentTimes::new(now));
        times.turn(now);
        let millis = (waited.as_secs_f64() * 1_000.0).max(1.0);
        let step = (millis.ln() / GROWTH.ln()) as usize;
        if let Some(count) = times.now.get_mut(step.min(STEPS - 1)) {
            *count = count.saturating_add(1);
        }
    }

    /// The time that 95 of 100 have waited at most; `None`: too few have lately.
    pub fn most_wait(&self, (model, form): (&str, TimedAnswer), now: Instant) -> Option<Duration> {
        let mut models = self.models.lock().unwrap_or_else(PoisonError::into_inner);
        let times = models.get_mut(&(model.into(), form))?;
        times.turn(now);
        let counts = || times.now.iter().zip(&times.before).map(|(now, before)| now.saturating_add(*before));
        let all: u32 = counts().fold(0, u32::saturating_add);
        if all < FEW {
            return None;
        }
        let wanted = u64::from(all) * 95;
        let mut sum = 0_u64;
        let step = counts().position(|count| {
            sum += u64::from(count) * 100;
            sum >= wanted
        })?;
        let exponent = i32::try_from(step).unwrap_or_default().saturating_add(1);
        Duration::try_from_secs_f64(GROWTH.powi(exponent) / 1_000.0).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ninety_five_of_a_hundred_have_waited_at_most_so_long() {
        let (times, start) = (AnswerTimes::default(), Instant::now());
        let of = ("m", TimedAnswer::Stream);
        for number in 0..19 {
            times.note(of, Duration::from_millis(if number == 3 { 2_000 } else { 50 }), start);
        }
        assert_eq!(times.most_wait(of, start), None);
        for _ in 0..81 {
            times.note(of, Duration::from_millis(50), start);
        }
        let within = |most: Option<Duration>| most.is_some_and(|most| (50..=57).contains(&most.as_millis()));
        assert!(within(times.most_wait(of, start)), "{:?}", times.most_wait(of, start));
        assert!(within(times.most_wait(of, start + Duration::from_secs(90))), "the last minute counts still");
        assert_eq!(times.most_wait(of, start + Duration::from_secs(300)), None);
        assert_eq!(times.most_wait(("m", TimedAnswer::Whole), start), None);
        for _ in 0..30 {
            times.note(of, Duration::from_secs(3_000), start + Duration::from_secs(300));
        }
        assert!(times.most_wait(of, start + Duration::from_secs(300)) > Some(Duration::from_secs(80)));
    }
}
