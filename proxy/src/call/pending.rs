//! A stream before its first token: a silent model's caller gets comment lines, after the time set and again after each such
//! time.
//!
//! The first comment commits the status to 200, but to nothing else: the attempts go on inside the answer's body, and a
//! failure is still moved to the next provider. Only when all have failed does the caller get an error event.

use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use sluicegate_dialects::StreamOptions;
use sluicegate_dialects::hub::ProviderError;
use tokio::time::{Instant, Sleep};

use crate::account::End;
use crate::errors::Problem;

use super::answer_stream::AnswerStream;
use super::context::CallContext;
use super::exchange::{self, Exchange, Whole};

/// A call that is still being answered.
pub(super) type Answering = Pin<Box<dyn Future<Output = Result<Exchange, Problem>>>>;

/// A stream whose head is out and whose first token is not.
pub(super) struct PendingStream {
    context: Rc<CallContext>,
    answering: Answering,
    every: Duration,
    /// `None`: at once.
    next: Option<Pin<Box<Sleep>>>,
}

/// The next thing for the caller of a pending stream.
pub(super) enum PendingOutcome {
    /// A comment line.
    Comment(Bytes),
    /// The stream.
    Stream(Box<AnswerStream>),
    /// All that comes, at once: the whole stream, or the dialect's error event.
    Whole(Bytes, End),
}

impl PendingStream {
    /// Begins with a comment, at once.
    pub(super) const fn new(context: Rc<CallContext>, answering: Answering, every: Duration) -> Self {
        Self { context, answering, every, next: None }
    }

    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<PendingOutcome> {
        if let Poll::Ready(outcome) = self.answering.as_mut().poll(cx) {
            return Poll::Ready(self.outcome(outcome));
        }
        let Some(next) = &mut self.next else {
            self.next = Some(Box::pin(tokio::time::sleep(self.every)));
            // Polled again at once, so that the new timer knows its waker.
            return Poll::Ready(PendingOutcome::Comment(self.context.keep_waiting()));
        };
        std::task::ready!(next.as_mut().poll(cx));
        next.as_mut().reset(Instant::now() + self.every);
        Poll::Ready(PendingOutcome::Comment(self.context.keep_waiting()))
    }

    fn outcome(&self, outcome: Result<Exchange, Problem>) -> PendingOutcome {
        let dialect = self.context.caller.dialect;
        let (error, end) = match outcome {
            Ok(Exchange::Stream(_, stream)) => return PendingOutcome::Stream(stream),
            // No batch is a stream whose model is silent.
            Ok(Exchange::Lines(..)) => return PendingOutcome::Whole(Bytes::new(), End::Failed),
            Ok(Exchange::Whole(Whole { status, body, end, .. })) if status.is_success() => {
                return PendingOutcome::Whole(body, end);
            }
            Ok(Exchange::Whole(Whole { status, body, end, .. })) => (dialect.decode_error(status.as_u16(), &body), end),
            Err(problem) => {
                exchange::note_problem(&self.context, &problem);
                (problem.neutral(), exchange::end_of(&problem))
            }
        };
        PendingOutcome::Whole(event(dialect, self.context.caller.array, &error), end)
    }
}

fn event(dialect: sluicegate_dialects::Dialect, array: bool, error: &ProviderError) -> Bytes {
    let mut text = Vec::new();
    dialect.stream_encoder(StreamOptions { array, ..StreamOptions::default() }).error(error, &mut text);
    text.into()
}
