//! The queue of one limit: who waits, and whose turn it is. Pure: the clock is the caller's.
//!
//! Calls of a higher priority go first. A call that has waited for half of the ageing time takes turns with them, so that every
//! second free place goes to such calls. Among calls of one priority the consumer with the fewest places goes first, then the one
//! that was served longest ago. A full queue lets go of the newest call of whoever holds the most of it, if that is more than the
//! new one's: nobody fills it for the others.

use std::cmp::Reverse;
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::time::{Duration, Instant};

/// Stands for the consumer of a call; 0: nobody known.
pub(crate) type Flow = u64;

/// The place of a call in a queue: by priority, then by its coming.
pub(super) type Ticket = (Reverse<i32>, u64);

/// The bounds of a queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct QueueBounds {
    pub(super) size: usize,
    pub(super) max_bytes: u64,
    pub(super) ageing: Duration,
}

/// A call that waits, or wants to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Applicant {
    pub(crate) flow: Flow,
    pub(crate) priority: i32,
    pub(crate) bytes: u64,
}

#[derive(Debug)]
struct Waiter<T> {
    flow: Flow,
    bytes: u64,
    since: Instant,
    tell: T,
}

/// A consumer's part in it.
#[derive(Debug, Default)]
struct FlowState {
    /// Places that its calls have.
    in_use: u64,
    /// The turn that it was last served in.
    served: u64,
    waiting: BTreeMap<Reverse<i32>, VecDeque<u64>>,
}

/// Calls that wait, and the places that those before them have.
#[derive(Debug)]
pub(super) struct WaitQueue<T> {
    waiting: BTreeMap<Ticket, Waiter<T>>,
    flows: HashMap<Flow, FlowState>,
    /// The calls that wait, by priority.
    levels: BTreeMap<Reverse<i32>, usize>,
    bytes: u64,
    tickets: u64,
    turns: u64,
    /// The last free place went to a call that had waited long.
    aged_last: bool,
}

impl<T> Default for WaitQueue<T> {
    fn default() -> Self {
        Self {
            waiting: BTreeMap::new(),
            flows: HashMap::new(),
            levels: BTreeMap::new(),
            bytes: 0,
            tickets: 0,
            turns: 0,
            aged_last: false,
        }
    }
}

impl<T> WaitQueue<T> {
    /// The number of calls that wait.
    pub(super) fn len(&self) -> usize {
        self.waiting.len()
    }

    /// Lets a call in: its ticket, and those who had to leave for it.
    ///
    /// # Errors
    /// It is full, and nobody holds more of it than the new one.
    pub(super) fn enter(
        &mut self,
        new: Applicant,
        bounds: &QueueBounds,
        now: Instant,
        tell: T,
    ) -> Result<(Ticket, Vec<T>), T> {
        let mut gone = Vec::new();
        if new.bytes > bounds.max_bytes {
            return Err(tell);
        }
        while self.is_full(new, bounds) {
            let Some(victim) = self.victim(new) else { return Err(tell) };
            gone.extend(self.leave(victim));
        }
        self.tickets += 1;
        let (level, number) = (Reverse(new.priority), self.tickets);
        let flow = self.flows.entry(new.flow).or_default();
        flow.waiting.entry(level).or_default().push_back(number);
        *self.levels.entry(level).or_default() += 1;
        self.bytes += new.bytes;
        self.waiting.insert((level, number), Waiter { flow: new.flow, bytes: new.bytes, since: now, tell });
        Ok(((level, number), gone))
    }

    /// True if this call would be let in, alone or instead of another one.
    pub(super) fn has_room(&self, new: Applicant, bounds: &QueueBounds) -> bool {
        new.bytes <= bounds.max_bytes && (!self.is_full(new, bounds) || self.victim(new).is_some())
    }

    fn is_full(&self, new: Applicant, bounds: &QueueBounds) -> bool {
        self.len() >= bounds.size || self.bytes.saturating_add(new.bytes) > bounds.max_bytes
    }

    /// The newest call of whoever holds the most of it, if that is more than the new one's.
    fn victim(&self, new: Applicant) -> Option<Ticket> {
        let own_level = Reverse(new.priority);
        let held = |level: &Reverse<i32>| self.levels.get(level).copied().unwrap_or_default();
        let (fullest, most) =
            self.levels.iter().map(|(level, count)| (*level, *count)).max_by_key(|(_, count)| *count)?;
        // By two, or one of each would go to and fro.
        let level = if most > held(&own_level) + 1 { fullest } else { own_level };
        let of = |flow: &FlowState| flow.waiting.get(&level).map_or(0, VecDeque::len);
        let largest = self.flows.values().max_by_key(|flow| of(flow))?;
        let own = self.flows.get(&new.flow).map_or(0, of);
        if level == own_level && of(largest) <= own + 1 {
            return None;
        }
        let newest = largest.waiting.get(&level)?.back()?;
        Some((level, *newest))
    }

    /// A call leaves before its turn; `None`: it is not there any more.
    pub(super) fn leave(&mut self, ticket: Ticket) -> Option<T> {
        let waiter = self.waiting.remove(&ticket)?;
        let (level, number) = ticket;
        self.bytes = self.bytes.saturating_sub(waiter.bytes);
        if let Some(count) = self.levels.get_mut(&level) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                self.levels.remove(&level);
            }
        }
        if let Some(flow) = self.flows.get_mut(&waiter.flow) {
            if let Some(numbers) = flow.waiting.get_mut(&level) {
                // Whoever leaves is mostly at one of its ends.
                match (numbers.front(), numbers.back()) {
                    (Some(front), _) if *front == number => drop(numbers.pop_front()),
                    (_, Some(back)) if *back == number => drop(numbers.pop_back()),
                    _ => numbers.retain(|other| *other != number),
                }
                if numbers.is_empty() {
                    flow.waiting.remove(&level);
                }
            }
            self.forget(waiter.flow);
        }
        Some(waiter.tell)
    }

    /// The call whose turn it is leaves the queue, and takes a place.
    pub(super) fn serve(&mut self, ageing: Duration, now: Instant) -> Option<(Flow, T)> {
        let (top, _) = self.levels.first_key_value()?;
        let (top, aged) = (*top, self.aged(ageing, now));
        self.aged_last = aged.is_some() && !self.aged_last;
        let level = aged.filter(|_| self.aged_last).unwrap_or(top);
        let waits = |flow: &FlowState| flow.waiting.get(&level).and_then(|numbers| numbers.front().copied());
        let candidates = self.flows.iter().filter_map(|(flow, state)| Some((flow, state, waits(state)?)));
        let (flow, _, number) = candidates.min_by_key(|(_, state, number)| (state.in_use, state.served, *number))?;
        let flow = *flow;
        self.take(flow);
        let told = self.leave((level, number))?;
        Some((flow, told))
    }

    /// The priority, of those below the highest, whose longest waiting call has waited long; of several the one that has longest.
    fn aged(&self, ageing: Duration, now: Instant) -> Option<Reverse<i32>> {
        let oldest = |level: Reverse<i32>| {
            let (_, waiter) = self.waiting.range((level, 0)..).next()?;
            Some((waiter.since, level))
        };
        let below = self.levels.keys().skip(1).filter_map(|level| oldest(*level));
        let (since, level) = below.min_by_key(|(since, _)| *since)?;
        (now.saturating_duration_since(since) >= ageing / 2).then_some(level)
    }

    /// A call takes a place.
    pub(super) fn take(&mut self, flow: Flow) {
        self.turns += 1;
        let served = self.turns;
        let state = self.flows.entry(flow).or_default();
        state.in_use += 1;
        state.served = served;
    }

    /// A call gives its place back.
    pub(super) fn give_back(&mut self, flow: Flow) {
        if let Some(state) = self.flows.get_mut(&flow) {
            state.in_use = state.in_use.saturating_sub(1);
            self.forget(flow);
        }
    }

    fn forget(&mut self, flow: Flow) {
        if self.flows.get(&flow).is_some_and(|state| state.in_use == 0 && state.waiting.is_empty()) {
            self.flows.remove(&flow);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const AGEING: Duration = Duration::from_secs(2);

    fn bounds(size: usize) -> QueueBounds {
        QueueBounds { size, max_bytes: 1_000, ageing: AGEING }
    }

    fn call(flow: Flow, priority: i32) -> Applicant {
        Applicant { flow, priority, bytes: 1 }
    }

    fn enter(queue: &mut WaitQueue<&'static str>, who: Applicant, at: Instant, name: &'static str) -> Ticket {
        queue.enter(who, &bounds(100), at, name).unwrap().0
    }

    #[test]
    fn higher_priorities_go_first_and_equals_in_their_order() {
        let (mut queue, now) = (WaitQueue::default(), Instant::now());
        enter(&mut queue, call(1, 0), now, "a");
        enter(&mut queue, call(1, 0), now, "b");
        enter(&mut queue, call(1, -5), now, "low");
        enter(&mut queue, call(1, 7), now, "high");
        let order: Vec<_> = std::iter::from_fn(|| queue.serve(AGEING, now).map(|(_, name)| name)).collect();
        assert_eq!(order, ["high", "a", "b", "low"]);
        assert_eq!((queue.len(), queue.bytes, queue.levels.len()), (0, 0, 0));
    }

    #[test]
    fn of_two_consumers_one_floods_and_the_other_gets_half_of_the_places() {
        const PLACES: usize = 8;
        let (mut queue, now) = (WaitQueue::default(), Instant::now());
        let mut served = [0_u32; 2];
        let mut at_work = VecDeque::new();
        for round in 0..4_000_u32 {
            // One always has hundreds of calls waiting, the other as many as there are places.
            while queue.flows.get(&1).map_or(0, |flow| flow.waiting.values().map(VecDeque::len).sum::<usize>()) < 300 {
                queue.enter(call(1, 0), &bounds(1_000), now, ()).unwrap();
            }
            while queue.flows.get(&2).map_or(0, |flow| flow.waiting.values().map(VecDeque::len).sum::<usize>()) < PLACES
            {
                queue.enter(call(2, 0), &bounds(1_000), now, ()).unwrap();
            }
            if at_work.len() == PLACES {
                queue.give_back(at_work.pop_front().unwrap());
            }
            let (flow, ()) = queue.serve(AGEING, now).unwrap();
            at_work.push_back(flow);
            if round > 100 {
                served[usize::from(flow == 2)] += 1;
            }
        }
        assert!(served[1] * 100 >= 45 * (served[0] + served[1]), "{served:?}");
    }

    #[test]
    fn a_full_flood_of_high_priority_lets_low_calls_through_within_their_ageing() {
        let start = Instant::now();
        let (mut queue, mut now) = (WaitQueue::default(), start);
        let step = Duration::from_millis(10);
        let (mut waits, mut high) = (Vec::new(), 0_u32);
        let mut came = Vec::new();
        for round in 0..3_000_u64 {
            now += step;
            while queue.len() < 500 {
                queue.enter(call(1, 10), &bounds(1_000), now, None).unwrap();
            }
            if round % 50 == 0 {
                queue.enter(call(2, 0), &bounds(1_000), now, Some(now)).unwrap();
                came.push(now);
            }
            match queue.serve(AGEING, now).unwrap() {
                (flow, Some(since)) => {
                    queue.give_back(flow);
                    waits.push(now.saturating_duration_since(since));
                }
                (flow, None) => {
                    queue.give_back(flow);
                    high += 1;
                }
            }
        }
        let longest = waits.iter().max().unwrap();
        assert!(*longest < AGEING, "{longest:?}");
        assert!(waits.len() + 4 >= came.len() && high > 2_800, "{} of {}, {high}", waits.len(), came.len());
    }

    #[test]
    fn a_flood_of_low_priority_leaves_half_to_the_high() {
        let (mut queue, start) = (WaitQueue::default(), Instant::now());
        for _ in 0..100 {
            queue.enter(call(1, 0), &bounds(1_000), start, "low").unwrap();
            queue.enter(call(2, 1), &bounds(1_000), start, "high").unwrap();
        }
        let later = start + AGEING;
        let order: Vec<_> = (0..100).filter_map(|_| queue.serve(AGEING, later).map(|(_, name)| name)).collect();
        assert_eq!(order.iter().filter(|name| **name == "high").count(), 50);
    }

    #[test]
    fn a_full_queue_lets_go_of_the_newest_of_whoever_holds_the_most() {
        let (mut queue, now) = (WaitQueue::default(), Instant::now());
        for name in ["a1", "a2", "a3"] {
            queue.enter(call(1, 0), &bounds(3), now, name).unwrap();
        }
        assert_eq!(queue.enter(call(1, 0), &bounds(3), now, "a4").unwrap_err(), "a4", "it is its own flood");
        assert_eq!(queue.enter(call(2, 0), &bounds(3), now, "b1").unwrap().1, ["a3"]);
        assert_eq!(queue.enter(call(3, 9), &bounds(3), now, "c1").unwrap().1, ["a2"]);
        assert_eq!(queue.enter(call(2, 0), &bounds(3), now, "b2").unwrap_err(), "b2", "no more than the others");
        let order: Vec<_> = std::iter::from_fn(|| queue.serve(AGEING, now).map(|(_, name)| name)).collect();
        assert_eq!(order, ["c1", "a1", "b1"]);
    }

    #[test]
    fn bytes_are_bounded_and_whoever_leaves_leaves_nothing() {
        let (mut queue, now) = (WaitQueue::default(), Instant::now());
        let large = Applicant { bytes: 600, ..call(1, 0) };
        let ticket = queue.enter(large, &bounds(10), now, "a").unwrap().0;
        assert!(queue.enter(large, &bounds(10), now, "b").is_err());
        assert!(queue.enter(Applicant { bytes: 1_001, ..call(2, 0) }, &bounds(10), now, "c").is_err());
        assert_eq!(queue.leave(ticket), Some("a"));
        assert_eq!(queue.leave(ticket), None);
        assert!(queue.flows.is_empty() && queue.levels.is_empty() && queue.bytes == 0);
        assert!(queue.enter(large, &bounds(10), now, "b").is_ok());
    }
}
