//! A provider of a pool, as a call sees it.

use crate::endpoint::{Health, Latency};

/// A provider of a pool, as a call sees it.
#[derive(Debug, Clone, Copy)]
pub struct Candidate {
    /// True if it serves the call's model.
    pub serves: bool,
    /// Share within its tier; 0 takes no calls.
    pub weight: u32,
    /// Tier; the lowest number first.
    pub priority: u32,
    /// True if it is in another region than the process: within its tier it serves when no nearer one can.
    pub is_away: bool,
    /// True if its answers are worth less than the pool's floor asks for: as if it were away.
    pub is_below: bool,
    /// True if its model server has said that it has more to do than it should.
    pub is_busy: bool,
    /// Its endpoint's health.
    pub health: Health,
    /// This process's calls that it is working on.
    pub in_flight: u32,
    /// Everybody's calls that its model server says it has; 0: it has said nothing.
    pub told: u32,
    /// Stands for its endpoint, on every proxy alike.
    pub identity: u64,
    /// The facts that the pool's strategy weighs.
    pub measure: Measure,
}

/// The facts that a strategy weighs beside what is known of every candidate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Measure {
    /// None.
    None,
    /// The time that a call would wait.
    Latency(Latency),
    /// The cost of a call, in picodollars; `None`: nobody knows.
    Cost(Option<u64>),
}

impl Candidate {
    /// Its place in the order of tiers: in each, those go first whose answers are good enough, of them the nearer, and of these
    /// those that are not busy.
    pub(super) const fn tier(&self) -> (u32, bool, bool, bool) {
        (self.priority, self.is_below, self.is_away, self.is_busy)
    }

    /// The calls that it is working on, as far as anybody knows. Times are not weighed by it: others' calls are in what its answers took already, and
    /// an endpoint that nothing is known of would never be asked as long as others use it.
    pub(super) fn calls(&self) -> u32 {
        self.in_flight.max(self.told)
    }

    /// True if it is time to find out whether it is as slow as it was.
    pub(super) const fn is_due(&self) -> bool {
        matches!(self.measure, Measure::Latency(Latency { is_due: true, .. }))
    }

    /// True if a call would most likely wait less here than there.
    pub(super) fn is_quicker_than(&self, other: &Self) -> bool {
        let expected = |candidate: &Self| match candidate.measure {
            Measure::Latency(latency) => latency.expected,
            Measure::None | Measure::Cost(_) => None,
        };
        // If it took this call too, compared crosswise by weight.
        let load = |taker: &Self, other: &Self, each: u64| {
            u128::from(each) * (u128::from(taker.in_flight) + 1) * u128::from(other.weight)
        };
        match (expected(self), expected(other)) {
            (Some(own), Some(others)) => load(self, other, own) < load(other, self, others),
            (None, None) => load(self, other, 1) < load(other, self, 1),
            // Of one of which nothing is known the first call finds out, and the next ones wait for its word.
            (None, Some(_)) => self.in_flight == 0,
            (Some(_), None) => other.in_flight > 0,
        }
    }

    /// Its cost, for an order in which what nobody knows comes last.
    pub(super) const fn cost(&self) -> (bool, u64) {
        match self.measure {
            Measure::Cost(Some(cost)) => (false, cost),
            _ => (true, 0),
        }
    }
}
