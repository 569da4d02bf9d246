//! A reader of a flight: it has all of the answer, from the beginning, at the pace at which it comes.

use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Instant;

use bytes::Bytes;

use super::flight::{Flight, FlightClose, FlightHead, FlightPhase, NextPiece, WholeAnswer};

/// A reader of a flight; dropped, it has left.
#[derive(Debug)]
pub struct FlightReader {
    flight: Arc<Flight>,
    at: usize,
}

/// The beginning of the answer.
#[derive(Debug)]
pub enum Begun {
    /// It comes as a stream.
    Stream(FlightHead),
    /// It is here whole.
    Whole(WholeAnswer),
    /// There is none, and this is why.
    Failed(crate::errors::Problem),
    /// Its leader is gone: nothing of an answer has come.
    Abandoned,
}

impl Begun {
    /// True if another proxy has asked for the answer.
    #[must_use]
    pub const fn is_remote(&self) -> bool {
        match self {
            Self::Stream(head) => head.is_remote,
            Self::Whole(answer) => answer.is_remote,
            Self::Failed(_) | Self::Abandoned => false,
        }
    }
}

impl FlightReader {
    /// A reader at the beginning; `None`: nobody joins the flight any more.
    pub(super) fn join(flight: &Arc<Flight>) -> Option<Self> {
        let at = flight.state().join()?;
        Some(Self { flight: Arc::clone(flight), at })
    }

    /// Another reader, which takes this one's place; this one reads no further.
    pub fn again(&mut self) -> Self {
        let at = std::mem::replace(&mut self.at, usize::MAX);
        Self { flight: Arc::clone(&self.flight), at }
    }

    /// Ready when something of the answer is here, or will never be.
    pub fn poll_begun(&mut self, cx: &Context<'_>) -> Poll<Begun> {
        let mut state = self.flight.state();
        match &state.phase {
            FlightPhase::Waiting => {
                state.wait(self.at, cx.waker());
                Poll::Pending
            }
            FlightPhase::Streaming(head, _) => Poll::Ready(Begun::Stream(head.clone())),
            FlightPhase::Whole(answer) => Poll::Ready(Begun::Whole(answer.clone())),
            FlightPhase::Failed(problem) => Poll::Ready(Begun::Failed(problem.clone())),
            FlightPhase::Abandoned => Poll::Ready(Begun::Abandoned),
        }
    }

    /// Ready when nothing more comes, or nobody joins it any more.
    pub(super) fn poll_over(&mut self, cx: &Context<'_>) -> Poll<()> {
        let mut state = self.flight.state();
        if state.is_over() || !state.open {
            return Poll::Ready(());
        }
        state.wait(self.at, cx.waker());
        Poll::Pending
    }

    /// Ready when nothing more comes.
    pub(super) fn poll_ended(&mut self, cx: &Context<'_>) -> Poll<()> {
        let mut state = self.flight.state();
        if state.is_over() {
            return Poll::Ready(());
        }
        state.wait(self.at, cx.waker());
        Poll::Pending
    }

    /// The time since when nothing more comes.
    pub(super) fn ended(&self) -> Option<Instant> {
        self.flight.state().ended
    }

    /// True if nothing more comes.
    pub(super) fn is_over(&self) -> bool {
        self.flight.state().is_over()
    }

    /// True if others may join it.
    pub(super) fn is_joinable(&self) -> bool {
        self.flight.state().open
    }

    /// True if nobody else reads.
    pub(super) fn is_alone(&self) -> bool {
        self.flight.state().has_one_reader()
    }

    /// The bytes that are here and that it has not read.
    pub(super) fn behind(&self) -> usize {
        self.flight.state().behind(self.at)
    }

    /// The stream's next bytes; `None`: it is over.
    pub fn poll_piece(&mut self, cx: &Context<'_>) -> Poll<Option<Result<Bytes, FlightClose>>> {
        let mut state = self.flight.state();
        let (next, leader) = state.next(self.at);
        if matches!(next, NextPiece::Nothing) {
            state.wait(self.at, cx.waker());
        }
        drop(state);
        leader.into_iter().for_each(std::task::Waker::wake);
        match next {
            NextPiece::Bytes(piece) => Poll::Ready(Some(Ok(piece))),
            NextPiece::End(FlightClose::Whole) => Poll::Ready(None),
            NextPiece::End(close) => Poll::Ready(Some(Err(close))),
            NextPiece::Nothing => Poll::Pending,
        }
    }

    /// Ready when the stream has come whole, with all of it; `None`: it broke, or it is too long to be kept from its beginning.
    pub fn poll_all(&mut self, cx: &Context<'_>) -> Poll<Option<Vec<Bytes>>> {
        let mut state = self.flight.state();
        match &state.phase {
            FlightPhase::Streaming(_, Some(FlightClose::Whole)) => Poll::Ready(state.all()),
            FlightPhase::Streaming(_, None) if state.open => {
                state.wait(self.at, cx.waker());
                Poll::Pending
            }
            _ => Poll::Ready(None),
        }
    }

    /// The stream as a whole answer: folded by the first who needs it.
    pub fn folded(&self, fold: impl FnOnce() -> Option<Bytes>) -> Option<Bytes> {
        if let Some(folded) = self.flight.state().folded.clone() {
            return Some(folded);
        }
        // Not under the lock: two may do it, and it is the same.
        let folded = fold()?;
        self.flight.state().folded = Some(folded.clone());
        Some(folded)
    }
}

impl Drop for FlightReader {
    fn drop(&mut self) {
        // Its place may be another's now.
        let leader = if self.at == usize::MAX { None } else { self.flight.state().leave(self.at) };
        leader.into_iter().for_each(std::task::Waker::wake);
    }
}
