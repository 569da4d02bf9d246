//! Filters, tiers, pick.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use rand::RngExt;
use rand::rngs::SmallRng;
use sluicegate_config::Strategy;

use crate::endpoint::Health;

use super::candidate::Candidate;
use super::rendezvous::{self, ConversationKey};

/// The candidates that a call has had already, by their place. Places from 64 on are not remembered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Tried(u64);

impl Tried {
    /// Remembers one.
    pub const fn add(&mut self, index: usize) {
        if index < 64 {
            self.0 |= 1 << index;
        }
    }

    /// Forgets one.
    pub const fn remove(&mut self, index: usize) {
        if index < 64 {
            self.0 &= !(1 << index);
        }
    }

    /// True if it was had.
    #[must_use]
    pub const fn has(self, index: usize) -> bool {
        index < 64 && self.0 & (1 << index) != 0
    }

    /// True if none was had.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }
}

/// The way in which a pool picks, and what it picks with.
#[derive(Debug)]
pub struct Picker<'a> {
    /// Within a tier.
    pub strategy: Strategy,
    /// At most this share of a pool's endpoints is ejected at once.
    pub max_open_percent: u32,
    /// The conversation that the call is of, where those are kept together.
    pub conversation: Option<ConversationKey>,
    /// The position of round robin; with times, the number of the pool's calls.
    pub cursor: &'a AtomicU64,
    /// The worker's.
    pub rng: &'a mut SmallRng,
}

/// The candidate that takes the attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Chosen {
    /// Its place among the candidates.
    pub index: usize,
    /// Its circuit is open and it is chosen all the same (`Endpoint::admit_anyway`): too many others are ejected.
    pub forced: bool,
}

/// Picks among `candidates` for the next attempt of a call; `None` when nobody is left. What was tried already is
/// not picked again: a caller that wants to try the same one twice clears `tried`.
#[must_use]
pub fn pick(picker: &mut Picker<'_>, candidates: &[Candidate], tried: Tried) -> Option<Chosen> {
    let able =
        |(index, candidate): &(usize, &Candidate)| candidate.serves && candidate.weight > 0 && !tried.has(*index);
    let readmitted = readmitted(candidates, picker.max_open_percent);
    let usable = |candidate: &Candidate| match candidate.health {
        Health::Healthy | Health::Probing | Health::CoolingDown(_) => true,
        Health::Ejected(until) => readmitted.is_some_and(|readmitted| until <= readmitted),
    };
    let cooling = |candidate: &Candidate| matches!(candidate.health, Health::CoolingDown(_));
    let all = || candidates.iter().enumerate().filter(able);
    // A healthy one of any tier goes before one in a cooldown; among those, the one whose cooldown ends first.
    let tier = all().filter(|(_, c)| usable(c) && !cooling(c)).map(|(_, c)| c.tier()).min();
    if let Some(tier) = tier {
        let members = || all().filter(move |(_, c)| c.tier() == tier && usable(c) && !cooling(c));
        let index = match picker.conversation {
            Some(conversation) => rendezvous::choose(conversation, members)?,
            None => choose(picker, members)?,
        };
        let forced = candidates.get(index).is_some_and(|c| matches!(c.health, Health::Ejected(_)));
        return Some(Chosen { index, forced });
    }
    let rest = all().min_by_key(|(_, c)| match c.health {
        Health::Healthy | Health::Probing => (0, None, c.tier()),
        Health::CoolingDown(until) => (1, Some(until), c.tier()),
        Health::Ejected(until) => (2, Some(until), c.tier()),
    });
    rest.map(|(index, c)| Chosen { index, forced: matches!(c.health, Health::Ejected(_)) })
}

/// The latest end of an ejection that serves all the same when more endpoints are ejected than may be at once: those
/// whose circuits may be tried first do. `None`: all of them stay ejected.
fn readmitted(candidates: &[Candidate], max_open_percent: u32) -> Option<Instant> {
    let open = |candidate: &Candidate| match candidate.health {
        Health::Ejected(until) if candidate.weight > 0 => Some(until),
        _ => None,
    };
    let count = candidates.iter().filter_map(open).count();
    if count == 0 {
        return None;
    }
    let members = candidates.iter().filter(|candidate| candidate.weight > 0).count();
    let percent = usize::try_from(max_open_percent.min(100)).unwrap_or(100);
    let surplus = count.saturating_sub(members * percent / 100);
    let mut until: Vec<Instant> = candidates.iter().filter_map(open).collect();
    until.sort_unstable();
    until.get(surplus.checked_sub(1)?).copied()
}

/// One of a tier's members, by the pool's strategy.
fn choose<'a, I>(picker: &mut Picker<'_>, members: impl Fn() -> I) -> Option<usize>
where
    I: Iterator<Item = (usize, &'a Candidate)>,
{
    match picker.strategy {
        Strategy::RoundRobin => {
            let count = u64::try_from(members().count()).ok()?;
            let turn = picker.cursor.fetch_add(1, Ordering::Relaxed).checked_rem(count)?;
            members().nth(usize::try_from(turn).ok()?).map(|(index, _)| index)
        }
        Strategy::Weighted => draw(picker.rng, members(), members(), None).map(|(index, _)| index),
        Strategy::LeastRequest => {
            let (first, a) = draw(picker.rng, members(), members(), None)?;
            let Some((second, b)) = draw(picker.rng, members(), members(), Some(first)) else { return Some(first) };
            // Calls per weight if it took this one too, compared crosswise.
            let load = |taker: &Candidate, other: &Candidate| (u64::from(taker.calls()) + 1) * u64::from(other.weight);
            Some(if load(b, a) < load(a, b) { second } else { first })
        }
        Strategy::LeastLatency => {
            picker.cursor.fetch_add(1, Ordering::Relaxed);
            if let Some((due, _)) = members().find(|(_, candidate)| candidate.is_due()) {
                return Some(due);
            }
            let (first, a) = draw(picker.rng, members(), members(), None)?;
            let Some((second, b)) = draw(picker.rng, members(), members(), Some(first)) else { return Some(first) };
            Some(if b.is_quicker_than(a) { second } else { first })
        }
        Strategy::CostOptimized => {
            let least = members().map(|(_, candidate)| candidate.cost()).min()?;
            let cheapest = || members().filter(move |(_, candidate)| candidate.cost() == least);
            draw(picker.rng, cheapest(), cheapest(), None).map(|(index, _)| index)
        }
    }
}

/// One at random by weight, but not `except`. The members come twice: to be summed, and to be walked.
fn draw<'a>(
    rng: &mut SmallRng,
    to_sum: impl Iterator<Item = (usize, &'a Candidate)>,
    to_walk: impl Iterator<Item = (usize, &'a Candidate)>,
    except: Option<usize>,
) -> Option<(usize, &'a Candidate)> {
    let counts = |(index, _): &(usize, &Candidate)| Some(*index) != except;
    let total: u64 = to_sum.filter(counts).map(|(_, candidate)| u64::from(candidate.weight)).sum();
    if total == 0 {
        return None;
    }
    let mut place = rng.random_range(..total);
    for (index, candidate) in to_walk.filter(counts) {
        let weight = u64::from(candidate.weight);
        if place < weight {
            return Some((index, candidate));
        }
        place -= weight;
    }
    None
}
