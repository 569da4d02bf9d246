//! The things that a worker has still to tell Redis of its calls' spending, in numbered batches, and those that it told lately.
//!
//! A batch names the one before it. Where Redis has not booked that one, its master was lost before a replica had heard it: then it
//! is told again, out of what was told lately. Bounded: what does not fit stays as it was reserved.

use std::collections::VecDeque;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::super::key_map::KeyMap;
use super::period::BudgetPlace;
use super::prepared::AboutBudget;

/// The most entries that a worker keeps, those that were told lately too.
const MOST_ENTRIES: usize = 65_536;
/// The most entries of a batch, and batches of one place that were told lately.
const MOST_OF_BATCH: usize = 128;
const MOST_TOLD: usize = 64;
/// A batch is told no more often than this if Redis says no to it.
const MOST_REFUSED: u32 = 30;
/// A replica is behind its master by no more than this: what was heard for longer is not lost.
const MEMORY: Duration = Duration::from_secs(20);

/// Something that is to be told of a call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Entry {
    /// It goes on without having asked.
    Reserve { call: Rc<str>, cost: u64, lease: u64 },
    /// It is over. After its deadline (by Redis's clock, in milliseconds) it has been settled already.
    Settle { call: Rc<str>, reserved: u64, used: u64, deadline: u64 },
}

/// Entries that are told together, and once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Batch {
    pub(super) number: u64,
    /// The number of the one before it; 0: not known.
    pub(super) before: u64,
    pub(super) entries: Vec<Entry>,
}

/// All that is to be told, and was told lately, of one place.
#[derive(Debug)]
struct PlaceQueue {
    about: Arc<AboutBudget>,
    waiting: VecDeque<Entry>,
    /// Batches that are yet to be heard, in their order.
    outbox: VecDeque<Batch>,
    /// Batches that were heard, and when.
    told: VecDeque<(Batch, Instant)>,
    last: u64,
    /// Redis has said no to the first of the outbox so many times.
    refused: u32,
    /// True while somebody tells it.
    is_busy: bool,
}

/// The next thing to be told.
#[derive(Debug)]
pub(super) struct BatchTelling {
    pub(super) place: BudgetPlace,
    pub(super) about: Arc<AboutBudget>,
    /// `None`: it is only asked which batch was heard last.
    pub(super) batch: Option<Batch>,
}

/// The fate of a batch that was told.
#[derive(Debug, Clone, Copy)]
pub(super) enum Heard {
    /// It is booked, or was.
    Booked,
    /// The last one that is booked is this one.
    Missing(u64),
    /// Nobody answered.
    Nothing,
    /// Redis said no.
    Refused,
}

/// A worker's queues.
#[derive(Debug, Default)]
pub(super) struct Batches {
    places: KeyMap<BudgetPlace, PlaceQueue>,
    entries: usize,
    number: u64,
}

impl Batches {
    /// Adds something. `false`: there is no room for it.
    pub(super) fn add(&mut self, place: BudgetPlace, about: &Arc<AboutBudget>, entry: Entry) -> bool {
        if self.entries >= MOST_ENTRIES {
            return false;
        }
        let fresh = || PlaceQueue {
            about: Arc::clone(about),
            waiting: VecDeque::new(),
            outbox: VecDeque::new(),
            told: VecDeque::new(),
            last: 0,
            refused: 0,
            is_busy: false,
        };
        self.places.entry(place).or_insert_with(fresh).waiting.push_back(entry);
        self.entries += 1;
        true
    }

    /// True if there is nothing that nobody has heard.
    pub(super) fn is_told(&self) -> bool {
        self.places.values().all(|queue| queue.waiting.is_empty() && queue.outbox.is_empty())
    }

    /// All that was under way is to be told once more, by the same number: who told it is gone, and hears of nothing.
    pub(super) fn told_by_nobody(&mut self) {
        self.places.values_mut().for_each(|queue| queue.is_busy = false);
    }

    /// All that is to be told now, one batch for each place; each is to be heard of before more is told of its place.
    pub(super) fn next(&mut self, now: Instant) -> Vec<BatchTelling> {
        let mut all = Vec::new();
        for (place, queue) in self.places.iter_mut().filter(|(_, queue)| !queue.is_busy) {
            if queue.outbox.is_empty() && !queue.waiting.is_empty() {
                self.number += 1;
                let most = queue.waiting.len().min(MOST_OF_BATCH);
                let entries = queue.waiting.drain(..most).collect();
                queue.outbox.push_back(Batch { number: self.number, before: queue.last, entries });
                queue.last = self.number;
            }
            let batch = queue.outbox.front().cloned();
            let is_due = queue.told.back().is_some_and(|(_, at)| now.saturating_duration_since(*at) >= MEMORY);
            if batch.is_some() || is_due {
                queue.is_busy = true;
                all.push(BatchTelling { place: *place, about: Arc::clone(&queue.about), batch });
            }
        }
        all
    }

    /// Something was told, and this was the answer. Says how many entries are lost.
    pub(super) fn heard(&mut self, telling: &BatchTelling, heard: Heard, now: Instant) -> usize {
        let Some(queue) = self.places.get_mut(&telling.place) else { return 0 };
        queue.is_busy = false;
        let mut lost = 0;
        match (heard, &telling.batch) {
            (Heard::Nothing, _) => {}
            (Heard::Refused, _) => {
                queue.refused += 1;
                if queue.refused >= MOST_REFUSED {
                    lost = queue.give_up();
                    self.entries -= lost;
                }
            }
            (Heard::Booked, Some(_)) => {
                queue.refused = 0;
                queue.told.extend(queue.outbox.pop_front().map(|batch| (batch, now)));
            }
            (Heard::Booked, None) => {
                self.entries -= queue.told.iter().map(|(batch, _)| batch.entries.len()).sum::<usize>();
                queue.told.clear();
            }
            (Heard::Missing(last), _) => lost = queue.again(last),
        }
        while queue.told.len() > MOST_TOLD
            || queue
                .told
                .front()
                .is_some_and(|(_, at)| queue.told.len() > 1 && now.saturating_duration_since(*at) >= 2 * MEMORY)
        {
            self.entries -= queue.told.pop_front().map_or(0, |(batch, _)| batch.entries.len());
        }
        if queue.told.is_empty() && queue.outbox.is_empty() && queue.waiting.is_empty() {
            self.places.remove(&telling.place);
        }
        lost
    }

    /// The number of the last batch that was heard of a place; 0: none is known.
    pub(super) fn last_heard(&self, place: &BudgetPlace) -> u64 {
        self.places.get(place).and_then(|queue| queue.told.back()).map_or(0, |(batch, _)| batch.number)
    }
}

impl PlaceQueue {
    /// Nothing is told a further time that Redis says no to. Says how many entries are lost.
    fn give_up(&mut self) -> usize {
        self.refused = 0;
        let Some(batch) = self.outbox.pop_front() else { return 0 };
        match self.outbox.front_mut() {
            Some(next) => next.before = batch.before,
            None => self.last = batch.before,
        }
        batch.entries.len()
    }

    /// All batches after this one are told again. What is not known any more is lost; the rest is told all the same.
    fn again(&mut self, last: u64) -> usize {
        let at = self.told.partition_point(|(batch, _)| batch.number <= last);
        let again: Vec<Batch> = self.told.drain(at..).map(|(batch, _)| batch).collect();
        for batch in again.into_iter().rev() {
            self.outbox.push_front(batch);
        }
        match self.outbox.front_mut() {
            Some(first) if first.before != last => {
                first.before = 0;
                1
            }
            Some(_) => 0,
            // Nothing is known of what is missing.
            None => {
                self.told.clear();
                1
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::prepared::LimitKey;
    use sluicegate_config::compile::Period;

    use super::*;

    const PLACE: BudgetPlace = BudgetPlace { key: LimitKey([1; 16]), period: Period { start: 0, end: None } };

    fn about() -> Arc<AboutBudget> {
        Arc::new(AboutBudget { name: "b".into(), identity: "b".into(), alerts: Box::default() })
    }

    fn settled(call: u64) -> Entry {
        Entry::Settle { call: call.to_string().into(), reserved: 5, used: 3, deadline: 0 }
    }

    fn batch(telling: &[BatchTelling]) -> (u64, u64, usize) {
        let batch = telling[0].batch.as_ref().unwrap();
        (batch.number, batch.before, batch.entries.len())
    }

    #[test]
    fn each_batch_is_told_until_it_is_heard_and_again_when_it_was_lost() {
        let (mut batches, about, now) = (Batches::default(), about(), Instant::now());
        let add = |batches: &mut Batches, call| assert!(batches.add(PLACE, &about, settled(call)));
        add(&mut batches, 1);
        let first = batches.next(now);
        assert_eq!(batch(&first), (1, 0, 1));
        add(&mut batches, 2);
        assert!(batches.next(now).is_empty(), "one at a time");
        batches.heard(&first[0], Heard::Nothing, now);
        let again = batches.next(now);
        assert_eq!(batch(&again), (1, 0, 1), "the same again");
        batches.heard(&again[0], Heard::Booked, now);
        let second = batches.next(now);
        assert_eq!(batch(&second), (2, 1, 1));
        batches.heard(&second[0], Heard::Booked, now);
        assert!(batches.is_told() && batches.next(now).is_empty());
        // A replica that has heard neither takes its master's place.
        add(&mut batches, 3);
        let third = batches.next(now);
        assert_eq!(batches.heard(&third[0], Heard::Missing(0), now), 0);
        for expected in [(1, 0, 1), (2, 1, 1), (3, 2, 1)] {
            let telling = batches.next(now);
            assert_eq!(batch(&telling), expected);
            batches.heard(&telling[0], Heard::Booked, now);
        }
        // What was heard for long is looked for once more, and then forgotten.
        let later = now + MEMORY;
        let look = batches.next(later);
        assert!(look[0].batch.is_none());
        batches.heard(&look[0], Heard::Missing(2), later);
        let telling = batches.next(later);
        assert_eq!(batch(&telling), (3, 2, 1));
        batches.heard(&telling[0], Heard::Booked, later);
        let look = batches.next(later + MEMORY);
        batches.heard(&look[0], Heard::Booked, later + MEMORY);
        assert!(batches.places.is_empty());
        assert_eq!(batches.entries, 0);
    }

    #[test]
    fn what_was_under_way_when_its_teller_went_is_told_once_more() {
        let (mut batches, about, now) = (Batches::default(), about(), Instant::now());
        batches.add(PLACE, &about, settled(1));
        assert_eq!(batch(&batches.next(now)), (1, 0, 1));
        assert!(batches.next(now).is_empty() && !batches.is_told());
        batches.told_by_nobody();
        let again = batches.next(now);
        assert_eq!(batch(&again), (1, 0, 1), "the same, which Redis books once");
        batches.heard(&again[0], Heard::Booked, now);
        assert!(batches.is_told());
    }

    #[test]
    fn what_redis_says_no_to_is_given_up_and_the_rest_is_told() {
        let (mut batches, about, now) = (Batches::default(), about(), Instant::now());
        let mut tell = |call: u64, heard: Heard| {
            batches.add(PLACE, &about, settled(call));
            let telling = batches.next(now);
            let lost = batches.heard(&telling[0], heard, now);
            (batch(&telling), lost)
        };
        assert_eq!(tell(1, Heard::Booked), ((1, 0, 1), 0));
        for _ in 1..MOST_REFUSED {
            assert_eq!(tell(2, Heard::Refused), ((2, 1, 1), 0));
        }
        assert_eq!(tell(3, Heard::Refused), ((2, 1, 1), 1));
        let rest = usize::try_from(MOST_REFUSED).unwrap() - 1;
        assert_eq!(tell(4, Heard::Booked), ((3, 1, rest + 1), 0), "it names the last one that was heard");
        assert_eq!(batches.entries, rest + 2);
    }

    #[test]
    fn what_is_kept_is_bounded() {
        let (mut batches, about) = (Batches::default(), about());
        let kept = (0..100_000).filter(|call| batches.add(PLACE, &about, settled(*call))).count();
        assert_eq!(kept, MOST_ENTRIES);
        let now = Instant::now();
        for _ in 0..200 {
            let telling = batches.next(now);
            assert_eq!(batch(&telling).2, MOST_OF_BATCH);
            batches.heard(&telling[0], Heard::Booked, now);
        }
        assert_eq!(batches.entries, MOST_ENTRIES - (200 - MOST_TOLD) * MOST_OF_BATCH);
    }
}
