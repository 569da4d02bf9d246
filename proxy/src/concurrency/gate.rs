//! One limit of concurrency: the places that calls have, and the queue in front of them. All workers share it.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::oneshot;

use super::active::ActiveList;
use super::adaptive::{Adaptive, AdaptiveSample};
use super::lease::{LeaseAnswer, LeaseDemand, PlaceLease, Standing};
use super::totals::ScopeTotals;
use super::wait_queue::{Applicant, Flow, QueueBounds, Ticket, WaitQueue};

/// Callers come back no sooner and no later than this.
const RETRY: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(60));
/// The weight of the last call in the mean time that calls keep their places, as one part of so many.
const WEIGHT: u64 = 16;

/// The time that calls wait for a part of a limit that has no queue, where other processes have theirs …
const ASKING: Duration = Duration::from_millis(500);
/// … and as it is not known yet what there is, they wait on in steps of this …
const STEP: Duration = Duration::from_millis(50);
/// … and no longer than this.
const LONGEST_ASKING: Duration = Duration::from_secs(3);
/// The most of them that wait so.
const WHILE_ASKING: QueueBounds = QueueBounds { size: 1_000, max_bytes: 64 << 20, ageing: ASKING };

/// The terms of a limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct GateTerms {
    /// The most calls at once, over all proxies.
    pub(super) max: u64,
    /// The fewest calls at once in this process, where the limit finds itself.
    pub(super) min: Option<u64>,
    /// The queue, and the longest that a call waits in it; `None`: nobody waits.
    pub(super) queue: Option<(QueueBounds, Duration)>,
}

/// The refusal of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct PlaceRefusal {
    pub(crate) why: NoPlace,
    /// The time after which there may be a place.
    pub(crate) after: Duration,
}

/// The cause of a refusal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NoPlace {
    /// There is none free, and no room to wait, or others have a better right to it.
    Full,
    /// There may be one free, but Redis does not say so.
    Unanswered,
    /// It has waited as long as it may.
    Waited(Duration),
}

/// The word to a call that waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Turn {
    /// It has a place.
    Served,
    /// It had to leave for another one.
    PushedOut,
}

/// A limit of concurrency.
pub(crate) struct Gate {
    /// It, in the words of its resource.
    pub(super) name: Arc<str>,
    state: Mutex<GateState>,
    totals: Arc<ScopeTotals>,
    active: Arc<ActiveList<Gate>>,
}

struct GateState {
    terms: GateTerms,
    /// This process's part of the places.
    part: u64,
    in_use: u64,
    /// The limit of this process's own, where it finds itself.
    adaptive: Option<Adaptive>,
    queue: WaitQueue<oneshot::Sender<Turn>>,
    /// The mean time that calls keep their places, in microseconds.
    kept: u64,
    /// This process's lease; `None`: there is no Redis, and all of it is this process's.
    lease: Option<PlaceLease>,
    /// True if the keeper of leases looks at it.
    is_listed: bool,
    /// True while no configuration has it: nobody waits for it.
    is_lifted: bool,
    /// Of a window: the time of its next room, as far as who asked last was told.
    next_room: Option<Instant>,
}

impl fmt::Debug for Gate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Gate({})", self.name)
    }
}

impl Gate {
    /// A limit. `shared`: other processes have their parts of it, by leases.
    pub(super) fn new(
        name: &str,
        terms: GateTerms,
        shared: bool,
        of: (Arc<ScopeTotals>, Arc<ActiveList<Gate>>),
    ) -> Self {
        let state = GateState {
            part: if shared { 0 } else { terms.max },
            adaptive: terms.min.map(|min| Adaptive::new(min, terms.max)),
            terms,
            in_use: 0,
            queue: WaitQueue::default(),
            kept: 1_000_000,
            lease: shared.then(PlaceLease::default),
            is_listed: false,
            is_lifted: false,
            next_room: None,
        };
        let (totals, active) = of;
        Self { name: name.into(), state: Mutex::new(state), totals, active }
    }

    fn lock(&self) -> MutexGuard<'_, GateState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// New terms: a smaller limit holds at once, a larger one is not given twice.
    pub(super) fn configure(&self, terms: GateTerms) {
        let mut state = self.lock();
        (state.terms, state.is_lifted) = (terms, false);
        match (&mut state.adaptive, terms.min) {
            (Some(adaptive), Some(min)) => adaptive.bound(min, terms.max),
            (adaptive, min) => *adaptive = min.map(|min| Adaptive::new(min, terms.max)),
        }
        // What more there is of a larger one, leases give.
        state.part = if state.lease.is_some() { state.part.min(terms.max) } else { terms.max };
        self.serve(&mut state, Instant::now());
    }

    /// A window has room again at this time, and not before.
    pub(crate) fn has_room_at(&self, next: Instant) {
        self.lock().next_room = Some(next);
    }

    /// The time until a window has room, as far as it is known.
    pub(crate) fn until_room(&self, now: Instant) -> Duration {
        self.lock().next_room.map_or(Duration::ZERO, |next| next.saturating_duration_since(now))
    }

    /// The limit is gone: those who wait go at once, and so does who still knows of it. It goes on counting, for it may come back.
    pub(super) fn lift(&self) {
        let mut state = self.lock();
        state.is_lifted = true;
        self.serve(&mut state, Instant::now());
    }

    /// The question to Redis that is due. `share`: this process's part of what there is where Redis is away.
    pub(super) fn ask(&self, now: Instant, share: impl Fn(u64) -> u64) -> Option<LeaseDemand> {
        let mut state = self.lock();
        let (part, max) = (state.part, state.terms.max);
        if let Some(part) = state.lease.as_ref()?.part_alone(part, (share(max), max), now) {
            state.part = part;
            self.serve(&mut state, now);
        }
        let standing = state.standing();
        let demand = state.lease.as_mut()?.ask(standing, now)?;
        state.part = demand.keep;
        Some(demand)
    }

    /// All that no call has is given back.
    pub(super) fn leave(&self) -> Option<LeaseDemand> {
        let mut state = self.lock();
        let standing = state.standing();
        let demand = state.lease.as_mut()?.leave(standing)?;
        state.part = demand.keep;
        Some(demand)
    }

    /// Redis has answered.
    pub(super) fn answered(&self, demand: LeaseDemand, answer: LeaseAnswer) {
        let mut state = self.lock();
        let Some(lease) = &mut state.lease else { return };
        let part = lease.answered(demand, answer);
        state.part = part.min(state.terms.max);
        self.serve(&mut state, Instant::now());
    }

    /// Redis has not answered; `since`: its node can not be reached from then on, or says no.
    pub(super) fn unanswered(&self, now: Instant, since: Option<Instant>) {
        if let Some(lease) = &mut self.lock().lease {
            lease.failed(now, since);
        }
    }

    /// True if it needs no look any longer, until it is in use again.
    pub(super) fn rests(&self) -> bool {
        let mut state = self.lock();
        let standing = state.standing();
        let rests = state.lease.as_ref().is_none_or(|lease| lease.is_idle(standing));
        if rests {
            state.is_listed = false;
        }
        rests
    }

    /// There is more to be asked for than the keeper of leases knows of.
    fn wake(self: &Arc<Self>, state: &mut GateState) {
        if state.lease.is_none() {
            return;
        }
        if state.is_listed {
            self.active.wake.notify_one();
        } else {
            state.is_listed = true;
            self.active.add(self);
        }
    }

    /// The most calls at once, over all proxies; where this process finds its limit by itself, the one it has found.
    pub(crate) fn max(&self) -> u64 {
        let state = self.lock();
        state.terms.max.min(state.own_limit())
    }

    /// The calls that have places.
    pub(super) fn at_work(&self) -> u64 {
        self.lock().in_use
    }

    /// The calls that have places, and those that wait.
    pub(super) fn calls(&self) -> u64 {
        let state = self.lock();
        state.in_use.saturating_add(u64::try_from(state.queue.len()).unwrap_or(u64::MAX))
    }

    /// A call that had its place could not make use of it in time.
    pub(crate) fn was_late(&self) {
        self.totals.refused_late.add();
    }

    /// A place if one is free and nobody waits for it.
    pub(crate) fn try_take(self: &Arc<Self>, flow: Flow) -> Option<CallPlace> {
        let mut state = self.lock();
        let place = self.take_free(&mut state, flow);
        if place.is_none()
            && let Some(lease) = &mut state.lease
        {
            lease.miss();
            self.wake(&mut state);
        }
        place
    }

    /// True if this call has a place or may wait for one, as far as can be said now: it would not be refused at once.
    pub(crate) fn lets_in(&self, call: Applicant) -> bool {
        let state = self.lock();
        let is_free = state.queue.len() == 0 && state.in_use < state.part(Instant::now());
        is_free || state.queue_terms().is_some_and(|(bounds, _)| state.queue.has_room(call, &bounds))
    }

    fn take_free(self: &Arc<Self>, state: &mut GateState, flow: Flow) -> Option<CallPlace> {
        let now = Instant::now();
        if state.in_use >= state.part(now) || state.queue.len() > 0 {
            return None;
        }
        state.in_use += 1;
        state.queue.take(flow);
        let in_use = state.in_use;
        if let Some(lease) = &mut state.lease {
            lease.needs(in_use);
        }
        self.totals.took(1);
        Some(CallPlace { gate: Arc::clone(self), flow, since: now })
    }

    /// A place, as soon as it is this call's turn, or until its own time is over. Who lets go of the future leaves the queue.
    ///
    /// # Errors
    /// There is none, and no room to wait; or the call has waited too long.
    pub(crate) async fn take(self: &Arc<Self>, call: Applicant, until: Instant) -> Result<CallPlace, PlaceRefusal> {
        let (mut waiting, longest) = {
            let mut state = self.lock();
            if let Some(place) = self.take_free(&mut state, call.flow) {
                return Ok(place);
            }
            let full = |state: &GateState| {
                self.totals.refused_full.add();
                PlaceRefusal { why: state.no_place(), after: state.retry_after() }
            };
            let Some((bounds, longest)) = state.queue_terms() else { return Err(full(&state)) };
            let ((tell, told), now) = (oneshot::channel(), Instant::now());
            let longest = longest.min(until.saturating_duration_since(now));
            match state.queue.enter(call, &bounds, now, tell) {
                Err(_) => return Err(full(&state)),
                Ok((ticket, gone)) => {
                    self.totals.queued(1);
                    for other in gone {
                        self.totals.queued(-1);
                        // It may be leaving by itself just now.
                        let _ = other.send(Turn::PushedOut);
                    }
                    self.wake(&mut state);
                    (Waiting { gate: self, ticket, flow: call.flow, told, over: false }, longest)
                }
            }
        };
        let (since, mut step) = (Instant::now(), longest);
        let told = loop {
            match tokio::time::timeout(step, &mut waiting.told).await {
                Err(_) if self.may_wait_on(since, until) => step = STEP,
                told => break told,
            }
        };
        match told {
            Ok(Ok(Turn::Served)) => {
                waiting.over = true;
                Ok(waiting.place())
            }
            Ok(_) => {
                waiting.over = true;
                self.totals.refused_full.add();
                let state = self.lock();
                Err(PlaceRefusal { why: state.no_place(), after: state.retry_after() })
            }
            // Its turn may have come in this very moment.
            Err(_) if waiting.give_up() => Ok(waiting.place()),
            Err(_) => {
                let state = self.lock();
                let (count, why) = match state.terms.queue {
                    Some(_) => (&self.totals.refused_late, NoPlace::Waited(longest)),
                    None => (&self.totals.refused_full, state.no_place()),
                };
                count.add();
                Err(PlaceRefusal { why, after: state.retry_after() })
            }
        }
    }

    /// True if a call that waits without a queue may soon have a place, as it will be known then what there is.
    fn may_wait_on(&self, since: Instant, until: Instant) -> bool {
        let now = Instant::now();
        let state = self.lock();
        let is_undecided = state.lease.as_ref().is_some_and(|lease| lease.is_undecided(now));
        is_undecided && state.terms.queue.is_none() && now < until && now < since + LONGEST_ASKING
    }

    /// Free places go to whose turn it is.
    fn serve(&self, state: &mut GateState, now: Instant) {
        let ageing = state.terms.queue.map_or(Duration::ZERO, |(bounds, _)| bounds.ageing);
        while state.in_use < state.part(now) {
            let Some((flow, tell)) = state.queue.serve(ageing, now) else { return };
            self.totals.queued(-1);
            state.in_use += 1;
            self.totals.took(1);
            if tell.send(Turn::Served).is_err() {
                state.give_back(flow);
                self.totals.took(-1);
            }
        }
    }

    /// A call's answer has begun, or its provider has refused it: the limit by now, if it finds itself.
    fn learn(&self, learns: impl FnOnce(&mut Adaptive, u64)) -> Option<u64> {
        let mut state = self.lock();
        let in_use = state.in_use;
        let adaptive = state.adaptive.as_mut()?;
        learns(adaptive, in_use);
        let limit = adaptive.limit();
        self.serve(&mut state, Instant::now());
        Some(limit)
    }

    fn give_back(&self, flow: Flow, kept: Option<Duration>) {
        let mut state = self.lock();
        if let Some(kept) = kept {
            let kept = u64::try_from(kept.as_micros()).unwrap_or(u64::MAX / WEIGHT);
            state.kept = state.kept - state.kept / WEIGHT + kept / WEIGHT;
        }
        state.give_back(flow);
        self.totals.took(-1);
        let standing = state.standing();
        if let Some(lease) = &state.lease {
            state.part = lease.after_end(standing);
        }
        self.serve(&mut state, Instant::now());
    }
}

impl GateState {
    /// The places that this process may give to calls now.
    fn part(&self, now: Instant) -> u64 {
        if self.is_lifted {
            return u64::MAX;
        }
        let counts = self.lease.as_ref().is_none_or(|lease| lease.counts(now));
        if counts { self.part.min(self.own_limit()) } else { 0 }
    }

    /// This process's own limit, whatever it may have of the whole.
    fn own_limit(&self) -> u64 {
        self.adaptive.as_ref().map_or(u64::MAX, Adaptive::limit)
    }

    /// The queue, and the longest that a call waits in it. Without one of its own a call waits as long as it takes to ask for a place.
    fn queue_terms(&self) -> Option<(QueueBounds, Duration)> {
        self.terms.queue.or(self.lease.as_ref().map(|_| (WHILE_ASKING, ASKING)))
    }

    fn standing(&self) -> Standing {
        let waiting = u64::try_from(self.queue.len()).unwrap_or(u64::MAX);
        // Places that it would not give out are not asked for.
        let waiting = waiting.min(self.own_limit().saturating_sub(self.in_use));
        Standing { part: self.part, in_use: self.in_use, waiting, max: self.terms.max }
    }

    /// The cause why a call has no place: it is not the limit as long as nobody says what there is of it.
    fn no_place(&self) -> NoPlace {
        let now = Instant::now();
        let is_unanswered = self.lease.as_ref().is_some_and(|lease| lease.is_unanswered(now));
        if is_unanswered && self.in_use < self.terms.max { NoPlace::Unanswered } else { NoPlace::Full }
    }

    fn give_back(&mut self, flow: Flow) {
        self.in_use = self.in_use.saturating_sub(1);
        self.queue.give_back(flow);
    }

    /// The time after which those who wait now have had their turn, about.
    fn retry_after(&self) -> Duration {
        let waiting = u64::try_from(self.queue.len()).unwrap_or(u64::MAX).saturating_add(1);
        let micros = self.kept.saturating_mul(waiting) / self.part.min(self.own_limit()).max(1);
        Duration::from_micros(micros).clamp(RETRY.0, RETRY.1)
    }
}

/// A place that a call has, until it lets go of it.
#[derive(Debug)]
pub(crate) struct CallPlace {
    gate: Arc<Gate>,
    flow: Flow,
    since: Instant,
}

impl CallPlace {
    /// Its call's answer has begun after so long: the limit by now, if it finds itself.
    pub(crate) fn answered(&self, is_stream: bool, waited: Duration, now: Instant) -> Option<u64> {
        self.gate.learn(|adaptive, in_use| adaptive.answered(AdaptiveSample { is_stream, waited, in_use }, now))
    }

    /// Its provider has too much: the limit by now, if it finds itself.
    pub(crate) fn refused(&self, now: Instant) -> Option<u64> {
        self.gate.learn(|adaptive, _| adaptive.refused(now))
    }
}

impl Drop for CallPlace {
    fn drop(&mut self) {
        self.gate.give_back(self.flow, Some(self.since.elapsed()));
    }
}

/// A call that waits for a place.
struct Waiting<'a> {
    gate: &'a Arc<Gate>,
    ticket: Ticket,
    flow: Flow,
    told: oneshot::Receiver<Turn>,
    /// It has been told, and has heard it.
    over: bool,
}

impl Waiting<'_> {
    fn place(&self) -> CallPlace {
        CallPlace { gate: Arc::clone(self.gate), flow: self.flow, since: Instant::now() }
    }

    /// It leaves the queue. `true`: too late, it has a place.
    fn give_up(&mut self) -> bool {
        self.over = true;
        // Turns are told under the lock: who is not in the queue any more has been told.
        if self.gate.lock().queue.leave(self.ticket).is_some() {
            self.gate.totals.queued(-1);
            return false;
        }
        self.told.try_recv() == Ok(Turn::Served)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        if !self.over && self.give_up() {
            self.gate.give_back(self.flow, None);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gate(max: u64, size: usize, timeout: Duration) -> Arc<Gate> {
        let bounds = QueueBounds { size, max_bytes: 1_000, ageing: timeout / 2 };
        let terms = GateTerms { max, min: None, queue: (size > 0).then_some((bounds, timeout)) };
        Arc::new(Gate::new("LLMRoute a/b", terms, false, (Arc::default(), Arc::default())))
    }

    const CALL: Applicant = Applicant { flow: 1, priority: 0, bytes: 10 };
    const LONG: Duration = Duration::from_secs(60);
    const SHORT: Duration = Duration::from_millis(20);

    fn far() -> Instant {
        Instant::now() + 2 * LONG
    }

    #[tokio::test]
    async fn places_are_given_and_given_back_and_who_leaves_takes_none_along() {
        let gate = gate(1, 10, LONG);
        let first = gate.take(CALL, far()).await.unwrap();
        let mut second = Box::pin(gate.take(CALL, far()));
        let mut third = Box::pin(gate.take(CALL, far()));
        assert!(futures_util::poll!(&mut second).is_pending() && futures_util::poll!(&mut third).is_pending());
        assert_eq!(gate.totals.now(), (1, 2));
        // One leaves while it waits, the other one after its turn has come and before it has heard of it.
        drop(second);
        assert_eq!(gate.totals.now(), (1, 1));
        drop(first);
        assert_eq!(gate.totals.now(), (1, 0));
        drop(third);
        assert_eq!(gate.totals.now(), (0, 0));
        assert!(gate.try_take(1).is_some());
    }

    #[tokio::test]
    async fn who_has_waited_too_long_is_told_when_to_come_back() {
        let gate = gate(1, 10, SHORT);
        let _first = gate.take(CALL, far()).await.unwrap();
        let refused = gate.take(CALL, far()).await.unwrap_err();
        assert_eq!(refused.why, NoPlace::Waited(SHORT));
        assert!(refused.after >= RETRY.0);
        assert_eq!(gate.totals.now(), (1, 0));
    }

    #[tokio::test]
    async fn a_calls_own_time_ends_its_waiting_as_a_refusal_of_the_queues() {
        let gate = gate(1, 10, LONG);
        let _first = gate.take(CALL, far()).await.unwrap();
        let refused = gate.take(CALL, Instant::now() + SHORT).await.unwrap_err();
        assert!(matches!(refused.why, NoPlace::Waited(waited) if waited <= SHORT));
        assert_eq!((gate.totals.now(), gate.totals.refused_late.get()), ((1, 0), 1));
    }

    #[tokio::test]
    async fn a_limit_that_is_gone_keeps_nobody_waiting_and_counts_on() {
        let gate = gate(1, 10, LONG);
        let first = gate.take(CALL, far()).await.unwrap();
        let mut others: Vec<_> = (0..2).map(|_| Box::pin(gate.take(CALL, far()))).collect();
        for other in &mut others {
            assert!(futures_util::poll!(other).is_pending());
        }
        gate.lift();
        let places = futures_util::future::join_all(others).await;
        assert!(places.iter().all(Result::is_ok) && gate.take(CALL, far()).await.is_ok());
        // It comes back: those at work count.
        let terms = gate.lock().terms;
        gate.configure(terms);
        drop(first);
        assert!(gate.try_take(1).is_none());
        drop(places);
        assert!(gate.try_take(1).is_some());
    }

    #[tokio::test]
    async fn a_limit_that_shrinks_holds_at_once_and_one_that_grows_is_not_given_twice() {
        let gate = gate(2, 10, LONG);
        let (a, _b) = (gate.take(CALL, far()).await.unwrap(), gate.take(CALL, far()).await.unwrap());
        let terms = |max| GateTerms { max, min: None, ..gate.lock().terms };
        gate.configure(terms(1));
        drop(a);
        assert!(gate.try_take(1).is_none(), "one is at work, and one may be");
        gate.configure(terms(3));
        let (_c, _d) = (gate.try_take(1).unwrap(), gate.try_take(1).unwrap());
        assert!(gate.try_take(1).is_none());
    }

    #[tokio::test]
    async fn what_a_process_has_found_out_gives_it_no_more_places_than_its_lease() {
        let terms = GateTerms { max: 9, min: Some(1), queue: None };
        let (one, other) = ["one", "other"]
            .map(|name| Arc::new(Gate::new(name, terms, true, (Arc::default(), Arc::default()))))
            .into();
        // Each would take all nine: what it has found out is `max`.
        let answer = |held: u64| LeaseAnswer { held, target: held, contended: true, others: 0 };
        let mut at_work = Vec::new();
        for (gate, held) in [(&one, 5), (&other, 4)] {
            gate.lock().adaptive = Some(Adaptive::new(9, 9));
            assert!(gate.try_take(0).is_none(), "nothing is leased yet");
            let demand = gate.ask(Instant::now(), |whole| whole).unwrap();
            gate.answered(demand, answer(held));
            at_work.extend(std::iter::from_fn(|| gate.try_take(0)));
        }
        assert_eq!((one.at_work(), other.at_work(), at_work.len()), (5, 4, 9));
    }

    #[tokio::test]
    async fn without_a_queue_and_with_a_full_one_calls_are_refused_at_once() {
        for (size, waiting) in [(0, 0), (1, 1)] {
            let gate = gate(1, size, LONG);
            assert!(gate.lets_in(CALL), "a place is free");
            let _first = gate.take(CALL, far()).await.unwrap();
            assert_eq!(gate.lets_in(CALL), size > 0, "there is room to wait");
            assert!(!gate.lets_in(Applicant { bytes: 1_001, ..CALL }), "there is no room for so much");
            let mut others: Vec<_> = (0..waiting).map(|_| Box::pin(gate.take(CALL, far()))).collect();
            for other in &mut others {
                assert!(futures_util::poll!(other).is_pending());
            }
            assert!(!gate.lets_in(CALL));
            assert_eq!(gate.take(CALL, far()).await.unwrap_err().why, NoPlace::Full);
        }
    }
}
