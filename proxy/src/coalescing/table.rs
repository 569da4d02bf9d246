//! The flights that are under way in this process, by what they answer; and the side of those who lead them.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::task::{Context, Poll};
use std::time::Instant;

use bytes::Bytes;

use super::flight::{Flight, FlightClose, FlightHead, FlightPhase, WholeAnswer};
use super::lease::{RemoteCounts, WATCH};
use super::reader::FlightReader;
use crate::cache::Key;
use crate::count::Count;
use crate::errors::Problem;
use crate::memory::{Charge, Exhausted};

/// The most flights at once in a process; calls beyond go alone.
const MOST: usize = 16_384;
/// The most leaders that were lost, and are remembered for a moment.
const MOST_GONE: usize = 1_024;

/// The flights of this process; one per process.
#[derive(Debug, Default)]
pub struct Flights {
    flights: Mutex<HashMap<Key, Arc<Flight>>>,
    /// The tokens of the leases that this process holds, or is about to give back, by what they are of.
    leases: Mutex<HashMap<Key, HeldLease>>,
    /// The tokens of other proxies' leaders that were gone with some of their answer told, by what that was of, and when that was seen.
    gone: Mutex<HashMap<Key, (String, Instant)>>,
    /// Calls that lead a flight.
    pub led: Count,
    /// Calls that found one and joined it.
    pub joined: Count,
    /// Calls that found no room for a flight, or no answer in one that they could be given, and went alone.
    pub alone: Count,
    /// The flights that proxies share.
    pub remote: Arc<RemoteCounts>,
}

/// A lease that this process holds, or is about to give back, or has asked for.
#[derive(Debug)]
struct HeldLease {
    token: String,
    /// True if its flight has not begun.
    is_expected: bool,
}

/// A call's part in a flight.
#[derive(Debug)]
pub enum Joined {
    /// It leads a new one, and reads it too.
    Lead(Publisher, FlightReader),
    /// It reads along.
    Follow(FlightReader),
    /// There are too many flights.
    Full,
}

impl Flights {
    /// Joins the flight that answers this, or begins it. `charge` counts what a new one holds.
    pub fn join(self: &Arc<Self>, key: Key, charge: Charge) -> Joined {
        let mut flights = self.lock();
        if let Some(reader) = flights.get(&key).and_then(FlightReader::join) {
            self.joined.add();
            return Joined::Follow(reader);
        }
        // One that nobody joins any more gives way.
        if flights.len() >= MOST && !flights.contains_key(&key) {
            return Joined::Full;
        }
        let flight = Arc::new(Flight::new(charge));
        let Some(reader) = FlightReader::join(&flight) else { return Joined::Full };
        flights.insert(key, Arc::clone(&flight));
        let seat = Arc::new(Seat { flights: Arc::clone(self), key, flight });
        Joined::Lead(Publisher { seat, over: false }, reader)
    }

    /// The number of flights that can be joined.
    #[must_use]
    pub fn under_way(&self) -> u64 {
        u64::try_from(self.lock().len()).unwrap_or(u64::MAX)
    }

    /// A call is about to begin a flight under a lease with this token, and may take over that with the other one; `None`: it is not to, for
    /// one is under way here, or expected, or was lost and is to be gone on with.
    pub(super) fn expect(self: &Arc<Self>, key: &Key, token: &str) -> Option<(OwnLease, Option<String>)> {
        let was_lost = || self.gone.lock().unwrap_or_else(PoisonError::into_inner).contains_key(key);
        if self.lock().contains_key(key) || was_lost() {
            return None;
        }
        let mut leases = self.leases();
        if leases.get(key).is_some_and(|held| held.is_expected) {
            return None;
        }
        let before = leases.insert(*key, HeldLease { token: token.to_owned(), is_expected: true });
        let own = OwnLease { flights: Arc::clone(self), key: *key, token: token.to_owned() };
        Some((own, before.map(|held| held.token)))
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Key, Arc<Flight>>> {
        self.flights.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn leases(&self) -> MutexGuard<'_, HashMap<Key, HeldLease>> {
        self.leases.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A lease that this process holds: as long as this lives, who begins another flight here that answers the same takes it over, and
/// waits for no word to Redis that the last one has ended.
#[derive(Debug)]
pub(super) struct OwnLease {
    flights: Arc<Flights>,
    key: Key,
    token: String,
}

impl OwnLease {
    /// The same of a flight that has begun.
    pub(super) fn led(self) -> Self {
        if let Some(held) = self.flights.leases().get_mut(&self.key).filter(|held| held.token == self.token) {
            held.is_expected = false;
        }
        self
    }
}

impl Drop for OwnLease {
    fn drop(&mut self) {
        let mut leases = self.flights.leases();
        if leases.get(&self.key).is_some_and(|held| held.token == self.token) {
            leases.remove(&self.key);
        }
    }
}

/// A flight's seat in the table: who holds it keeps the flight there for those who come. A cache that keeps the answer holds it
/// until it has, so that nobody finds neither.
#[derive(Debug)]
pub struct Seat {
    flights: Arc<Flights>,
    key: Key,
    flight: Arc<Flight>,
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut flights = self.flights.lock();
        if flights.get(&self.key).is_some_and(|flight| Arc::ptr_eq(flight, &self.flight)) {
            flights.remove(&self.key);
        }
    }
}

/// The side of who leads a flight. Dropped before the answer has begun: the flight is abandoned; later: it is cut.
#[derive(Debug)]
pub struct Publisher {
    seat: Arc<Seat>,
    over: bool,
}

impl Publisher {
    /// The flight's seat in the table.
    #[must_use]
    pub fn seat(&self) -> Arc<Seat> {
        Arc::clone(&self.seat)
    }

    /// The same, for who wants to know when it is gone.
    pub(super) fn weak_seat(&self) -> Weak<Seat> {
        Arc::downgrade(&self.seat)
    }

    /// The token of the lease that this process has of the flight before this one.
    pub(super) fn last_lease(&self) -> Option<String> {
        self.seat.flights.leases().get(&self.seat.key).map(|held| held.token.clone())
    }

    /// The leader with this token is gone, and some of its answer was told. Who wanted all of it begins anew, here and at other proxies.
    pub(super) fn lost(&self, token: &str) {
        let mut gone = self.seat.flights.gone.lock().unwrap_or_else(PoisonError::into_inner);
        if gone.len() >= MOST_GONE {
            gone.retain(|_, (_, at)| at.elapsed() < WATCH);
        }
        if gone.len() < MOST_GONE {
            gone.insert(self.seat.key, (token.to_owned(), Instant::now()));
        }
    }

    /// The token of the leader that was lost just before this flight began: of those who begin anew one goes on in its place.
    pub(super) fn lost_before(&self) -> Option<String> {
        let mut gone = self.seat.flights.gone.lock().unwrap_or_else(PoisonError::into_inner);
        let (token, at) = gone.remove(&self.seat.key)?;
        (at.elapsed() < WATCH).then_some(token)
    }

    /// This process has the lease with this token now.
    pub(super) fn holds(&self, token: &str) -> OwnLease {
        let (flights, key) = (Arc::clone(&self.seat.flights), self.seat.key);
        flights.leases().insert(key, HeldLease { token: token.to_owned(), is_expected: false });
        OwnLease { flights, key, token: token.to_owned() }
    }

    /// One more reader of the flight; `None`: nobody joins it any more.
    pub(super) fn listen(&self) -> Option<FlightReader> {
        FlightReader::join(&self.seat.flight)
    }

    /// True if nobody reads: nobody will, then.
    pub fn is_deserted(&self, cx: &Context<'_>) -> bool {
        self.seat.flight.state().is_deserted(cx.waker())
    }

    /// Ready when the readers have room for more.
    pub fn poll_room(&self, cx: &Context<'_>) -> Poll<()> {
        if self.seat.flight.state().is_full_for(cx.waker()) { Poll::Pending } else { Poll::Ready(()) }
    }

    /// The answer comes as a stream.
    pub fn begin(&self, head: FlightHead) {
        self.seat.flight.enter(FlightPhase::Streaming(head, None));
    }

    /// The stream's next bytes.
    ///
    /// # Errors
    /// There is no memory for them.
    pub fn push(&self, piece: Bytes) -> Result<(), Exhausted> {
        if piece.is_empty() { Ok(()) } else { self.seat.flight.push(piece) }
    }

    /// The stream is over.
    pub fn finish(mut self, close: FlightClose) {
        self.close(close);
    }

    /// The answer is here whole.
    pub fn whole(self, answer: WholeAnswer) {
        self.land(FlightPhase::Whole(answer));
    }

    /// There is no answer, for any of those who asked.
    pub fn fail(self, problem: Problem) {
        self.land(FlightPhase::Failed(problem));
    }

    fn land(mut self, phase: FlightPhase) {
        self.over = true;
        self.seat.flight.enter(phase);
    }

    fn close(&mut self, close: FlightClose) {
        self.over = true;
        let phase = match self.seat.flight.state().phase.clone() {
            FlightPhase::Streaming(head, None) => FlightPhase::Streaming(head, Some(close)),
            FlightPhase::Waiting => FlightPhase::Abandoned,
            over => over,
        };
        self.seat.flight.enter(phase);
    }
}

impl Drop for Publisher {
    fn drop(&mut self) {
        if !self.over {
            self.close(FlightClose::Cut);
        }
    }
}
