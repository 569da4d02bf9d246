//! An endpoint's times, told by the attempts that it has and read by balancing.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::latency::{Latency, TimedAnswer};
use super::live::Endpoint;

impl Endpoint {
    /// The time that a call of this form would wait, when its pool has had so many calls.
    #[must_use]
    pub fn latency(&self, form: TimedAnswer, now: Instant, calls: u64) -> Latency {
        self.latencies().look(form, self.micros(now), (calls, self.in_flight()))
    }

    /// One of its pool's calls, by its number, finds out how it is.
    pub fn is_tried(&self, call: u64) {
        self.latencies().try_by(call);
    }

    /// The times that it is known by, of streams and of whole answers, for metrics.
    #[must_use]
    pub fn latency_estimates(&self) -> [Option<Duration>; 2] {
        [TimedAnswer::Stream, TimedAnswer::Whole]
            .map(|form| self.latencies().of(form).read().map(|(micros, _)| Duration::from_micros(micros as u64)))
    }
}

/// An attempt's clock, from its beginning to the first that its caller can be given of the answer.
#[derive(Debug)]
pub struct LatencyClock {
    endpoint: Arc<Endpoint>,
    form: TimedAnswer,
    begun: Instant,
}

impl LatencyClock {
    /// Begins.
    #[must_use]
    pub const fn start(endpoint: Arc<Endpoint>, form: TimedAnswer, now: Instant) -> Self {
        Self { endpoint, form, begun: now }
    }

    /// It is here.
    pub fn answered(self, now: Instant) {
        let (micros, at) = (self.elapsed(now), self.endpoint.micros(now));
        self.endpoint.latencies().of(self.form).sample(micros, at);
    }

    /// It was not waited for any longer.
    pub fn given_up(self, now: Instant) {
        let (micros, at) = (self.elapsed(now), self.endpoint.micros(now));
        self.endpoint.latencies().of(self.form).at_least(micros, at);
    }

    fn elapsed(&self, now: Instant) -> f64 {
        now.saturating_duration_since(self.begun).as_micros() as f64
    }
}
