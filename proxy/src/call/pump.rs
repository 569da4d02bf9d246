//! The body of an answer, whatever it is made of: polled by the connection, backed by nothing but polling.

use std::fmt;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use tokio::time::Sleep;

use crate::account::End;

use super::flow::{Flow, Next};
use super::ticket::Ticket;
use super::wait::{Waiting, Word};

/// Between a stream's error event and the end of its connection: what was written has to leave first.
const LAST_WORDS: Duration = Duration::from_millis(25);

/// The body of an answer.
pub struct Pump(State);

enum State {
    /// Here already.
    Whole { body: Bytes, ticket: Rc<Ticket>, end: End, at: Instant },
    /// A stream whose model is silent, answered with comments so far.
    Waiting(Box<Waiting>),
    /// A stream.
    Flow(Box<Flow>),
    /// The error event is out; the abort follows.
    Aborting(Pin<Box<Sleep>>),
    /// Nothing more.
    Done,
}

/// The answer is cut on purpose: its connection (or HTTP/2 stream) is aborted, so that nobody takes it for whole.
#[derive(Debug, Clone, Copy)]
pub struct Cut;

impl fmt::Display for Cut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the provider's answer was cut")
    }
}

impl std::error::Error for Cut {}

impl Pump {
    /// An answer that is here whole since `at`, which is when its call ended.
    pub(super) fn whole(body: Bytes, ticket: Rc<Ticket>, (end, at): (End, Instant)) -> Self {
        Self(State::Whole { body, ticket, end, at })
    }

    pub(super) fn flow(flow: Box<Flow>) -> Self {
        Self(State::Flow(flow))
    }

    pub(super) fn waiting(waiting: Waiting) -> Self {
        Self(State::Waiting(Box::new(waiting)))
    }

    fn take_whole(&mut self) -> Option<Bytes> {
        let State::Whole { body, ticket, end, at } = std::mem::replace(&mut self.0, State::Done) else { return None };
        ticket.note(|entry| {
            entry.bytes_out(body.len() as u64);
            entry.close_at(end, at);
        });
        Some(body)
    }
}

impl Body for Pump {
    type Data = Bytes;
    type Error = Cut;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Cut>>> {
        loop {
            let bytes = match &mut self.0 {
                State::Done => return Poll::Ready(None),
                State::Whole { .. } => self.take_whole().filter(|body| !body.is_empty()),
                State::Aborting(pause) => {
                    std::task::ready!(pause.as_mut().poll(cx));
                    self.0 = State::Done;
                    return Poll::Ready(Some(Err(Cut)));
                }
                State::Waiting(waiting) => match std::task::ready!(waiting.poll(cx)) {
                    Word::Comment(comment) => Some(comment),
                    Word::Flow(flow) => {
                        self.0 = State::Flow(flow);
                        continue;
                    }
                    Word::Whole(body) => {
                        self.0 = State::Done;
                        Some(body)
                    }
                    Word::Failed(event) => {
                        self.0 = State::Aborting(Box::pin(tokio::time::sleep(LAST_WORDS)));
                        Some(event)
                    }
                },
                State::Flow(flow) => match std::task::ready!(flow.poll_next(cx)) {
                    Next::Bytes(bytes) => Some(bytes),
                    Next::Cut => {
                        self.0 = State::Aborting(Box::pin(tokio::time::sleep(LAST_WORDS)));
                        continue;
                    }
                    Next::End => {
                        self.0 = State::Done;
                        None
                    }
                },
            };
            return Poll::Ready(bytes.map(|bytes| Ok(Frame::data(bytes))));
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.0 {
            State::Done => true,
            State::Whole { body, .. } => body.is_empty(),
            State::Flow(flow) => flow.is_over(),
            State::Waiting(_) | State::Aborting(_) => false,
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.0 {
            State::Done => SizeHint::with_exact(0),
            State::Whole { body, .. } => SizeHint::with_exact(body.len() as u64),
            State::Flow(_) | State::Waiting(_) | State::Aborting(_) => SizeHint::default(),
        }
    }
}

impl Drop for Pump {
    fn drop(&mut self) {
        // An empty body, or one that a HEAD has no use for, is never asked for.
        self.take_whole();
    }
}
