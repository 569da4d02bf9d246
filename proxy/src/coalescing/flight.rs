//! A flight: the answer to one call, as far as it has come, and the places of all who read it.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::Waker;
use std::time::Instant;

use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use sluicegate_dialects::Dialect;

use crate::account::End;
use crate::errors::Problem;
use crate::memory::{Charge, Exhausted, Purpose};

/// A stream is kept from its beginning, for who comes later, up to so many bytes; beyond them nobody joins it any more.
const JOINED_UP_TO: usize = 1 << 20;
/// The most bytes that wait in a flight for its slowest reader; then the provider waits, too.
const MOST_AHEAD: usize = 4 << 20;
/// A piece takes this much beside its bytes.
const OF_A_PIECE: usize = 64;

/// One flight.
#[derive(Debug)]
pub(super) struct Flight(Mutex<FlightState>);

/// The state of a flight.
#[derive(Debug)]
pub(super) struct FlightState {
    pub(super) phase: FlightPhase,
    /// The time since when nothing more comes.
    pub(super) ended: Option<Instant>,
    /// True as long as others may join it.
    pub(super) open: bool,
    pieces: VecDeque<Bytes>,
    /// The number of pieces that all have read, and that are let go of.
    gone: usize,
    /// The bytes that are held.
    bytes: usize,
    charge: Charge,
    readers: Vec<Option<Place>>,
    leader: Option<Waker>,
    /// The stream as a whole answer, once somebody has folded it.
    pub(super) folded: Option<Bytes>,
}

/// A reader's place.
#[derive(Debug, Default)]
struct Place {
    /// The number of pieces that it has read.
    read: usize,
    waker: Option<Waker>,
}

/// The phase of a flight.
#[derive(Debug, Clone)]
pub(super) enum FlightPhase {
    /// Nothing of the answer is here.
    Waiting,
    /// A stream; `None`: more of it comes.
    Streaming(FlightHead, Option<FlightClose>),
    /// The answer is here whole.
    Whole(WholeAnswer),
    /// There is none.
    Failed(Problem),
    /// Its leader is gone, and nothing of an answer has come.
    Abandoned,
}

/// The head of an answer that comes as a stream.
#[derive(Debug, Clone)]
pub struct FlightHead {
    /// Its headers, as the leader's caller gets them.
    pub headers: HeaderMap,
    /// The most tokens that the provider was asked for, where the caller asked for more.
    pub clamped: Option<u64>,
    /// True if another proxy has asked for it.
    pub is_remote: bool,
    /// The dialect that it is told in; `None`: that of whoever reads it.
    pub dialect: Option<Dialect>,
}

/// The end of a stream in a flight.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FlightClose {
    /// It came to its end, or to an error that was said in it.
    Whole,
    /// It broke, and nothing in it says so.
    Cut,
}

/// An answer that is here whole: a provider's, or its error.
#[derive(Debug, Clone)]
pub struct WholeAnswer {
    /// Status and headers, as the leader's caller gets them.
    pub status: StatusCode,
    /// See `status`.
    pub headers: HeaderMap,
    /// Its bytes.
    pub body: Bytes,
    /// The end that ledgers are told.
    pub end: End,
    /// The most tokens that the provider was asked for, where the caller asked for more.
    pub clamped: Option<u64>,
    /// True if another proxy has asked for it.
    pub is_remote: bool,
    /// The dialect that it is told in; `None`: that of whoever reads it.
    pub dialect: Option<Dialect>,
}

/// The next thing for a reader.
pub(super) enum NextPiece {
    Bytes(Bytes),
    End(FlightClose),
    Nothing,
}

impl Flight {
    /// Nothing has come. `charge` counts what will.
    pub(super) fn new(charge: Charge) -> Self {
        Self(Mutex::new(FlightState {
            phase: FlightPhase::Waiting,
            ended: None,
            open: true,
            pieces: VecDeque::new(),
            gone: 0,
            bytes: 0,
            charge,
            readers: Vec::new(),
            leader: None,
            folded: None,
        }))
    }

    pub(super) fn state(&self) -> MutexGuard<'_, FlightState> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Enters another phase, and tells all readers.
    pub(super) fn enter(&self, phase: FlightPhase) {
        let mut state = self.state();
        state.open &= matches!(phase, FlightPhase::Streaming(..) | FlightPhase::Whole(_));
        state.phase = phase;
        if state.is_over() {
            state.ended.get_or_insert_with(Instant::now);
        }
        let wakers = state.wakers();
        drop(state);
        wakers.into_iter().for_each(Waker::wake);
    }

    /// The stream's next bytes.
    ///
    /// # Errors
    /// There is no memory for them.
    pub(super) fn push(&self, piece: Bytes) -> Result<(), Exhausted> {
        let mut state = self.state();
        let bytes = state.bytes + piece.len() + OF_A_PIECE;
        state.charge.set(bytes, Purpose::of(bytes))?;
        state.bytes = bytes;
        state.pieces.push_back(piece);
        state.open &= bytes <= JOINED_UP_TO;
        let wakers = state.wakers();
        drop(state);
        wakers.into_iter().for_each(Waker::wake);
        Ok(())
    }
}

impl FlightState {
    /// Those who wait, the first one last: Redis hears of the end before the leader's caller has all of it.
    fn wakers(&mut self) -> Vec<Waker> {
        self.readers.iter_mut().rev().flatten().filter_map(|place| place.waker.take()).collect()
    }

    /// True if nothing more comes.
    pub(super) fn is_over(&self) -> bool {
        !matches!(self.phase, FlightPhase::Waiting | FlightPhase::Streaming(_, None))
    }

    /// True if nobody reads but one.
    pub(super) fn has_one_reader(&self) -> bool {
        self.readers.iter().flatten().count() == 1
    }

    /// The bytes that a reader has not read.
    pub(super) fn behind(&self, at: usize) -> usize {
        let read = self.readers.get(at).and_then(Option::as_ref).map_or(0, |place| place.read);
        self.pieces.iter().skip(read.saturating_sub(self.gone)).map(Bytes::len).sum()
    }

    /// A place for one more reader, at the beginning; `None`: nobody joins it any more.
    pub(super) fn join(&mut self) -> Option<usize> {
        if !self.open {
            return None;
        }
        let free = self.readers.iter().position(Option::is_none);
        let at = free.unwrap_or(self.readers.len());
        match self.readers.get_mut(at) {
            Some(place) => *place = Some(Place::default()),
            None => self.readers.push(Some(Place::default())),
        }
        Some(at)
    }

    /// A reader is gone. Its leader, if it has something to do then.
    pub(super) fn leave(&mut self, at: usize) -> Option<Waker> {
        self.readers.get_mut(at).into_iter().for_each(|place| *place = None);
        self.let_go();
        self.leader.take()
    }

    /// A reader wants to hear of what comes next.
    pub(super) fn wait(&mut self, at: usize, waker: &Waker) {
        if let Some(Some(place)) = self.readers.get_mut(at)
            && !place.waker.as_ref().is_some_and(|known| known.will_wake(waker))
        {
            place.waker = Some(waker.clone());
        }
    }

    /// The next piece for a reader, and its leader, if that waits for it to be read.
    pub(super) fn next(&mut self, at: usize) -> (NextPiece, Option<Waker>) {
        let Some(Some(place)) = self.readers.get_mut(at) else { return (NextPiece::Nothing, None) };
        let piece = place.read.checked_sub(self.gone).and_then(|ahead| self.pieces.get(ahead)).cloned();
        match (piece, &self.phase) {
            (Some(piece), _) => {
                place.read += 1;
                let was_full = self.is_full();
                self.let_go();
                let leader = if was_full && !self.is_full() { self.leader.take() } else { None };
                (NextPiece::Bytes(piece), leader)
            }
            (None, FlightPhase::Streaming(_, Some(close))) => (NextPiece::End(*close), None),
            (None, _) => (NextPiece::Nothing, None),
        }
    }

    /// All pieces, where all are still here.
    pub(super) fn all(&self) -> Option<Vec<Bytes>> {
        (self.gone == 0).then(|| self.pieces.iter().cloned().collect())
    }

    /// Lets go of what all have read and nobody will join for.
    fn let_go(&mut self) {
        if self.open {
            return;
        }
        let first = self.readers.iter().flatten().map(|place| place.read).min().unwrap_or(usize::MAX);
        while self.gone < first
            && let Some(piece) = self.pieces.pop_front()
        {
            self.gone += 1;
            self.bytes = self.bytes.saturating_sub(piece.len() + OF_A_PIECE);
        }
        let bytes = self.bytes.min(self.charge.bytes());
        let _ = self.charge.set(bytes, Purpose::Call);
    }

    fn is_full(&self) -> bool {
        self.bytes > MOST_AHEAD
    }

    /// True if the leader has to wait for the slowest reader; it is told when it need not any more.
    pub(super) fn is_full_for(&mut self, leader: &Waker) -> bool {
        let full = self.is_full();
        if full {
            self.leader = Some(leader.clone());
        }
        full
    }

    /// True if nobody reads: then nobody joins either. The leader is told when that comes about.
    pub(super) fn is_deserted(&mut self, leader: &Waker) -> bool {
        if self.readers.iter().any(Option::is_some) {
            if !self.leader.as_ref().is_some_and(|known| known.will_wake(leader)) {
                self.leader = Some(leader.clone());
            }
            return false;
        }
        self.open = false;
        true
    }
}
