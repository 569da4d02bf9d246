//! A silent model's caller is kept company: comment lines, after the time set and again after each such time.
//!
//! The first comment commits the status to 200, but to nothing else: the attempts go on inside the answer's body, and a
//! failure is still moved to the next provider. Only when all have failed does the caller get an error event.

use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::{Response, Version};
use sluicegate_dialects::StreamOptions;
use sluicegate_dialects::hub::ProviderError;
use tokio::time::{Instant, Sleep};

use crate::errors::Problem;

use super::flow::Flow;
use super::pump::Pump;
use super::reply::{self, Exchange, Whole};
use super::ticket::Ticket;

const COMMENT: Bytes = Bytes::from_static(b": keep-alive\n\n");

/// A call that is still being answered.
pub(super) type Answering = Pin<Box<dyn Future<Output = Result<Exchange, Problem>>>>;

/// Waits for the answer; for a stream no longer than the client is left without a word.
pub(super) async fn answer(ticket: Rc<Ticket>, version: Version, mut answering: Answering) -> Response<Pump> {
    let mut patience: Option<Pin<Box<Sleep>>> = None;
    let outcome = std::future::poll_fn(|cx| {
        if let Poll::Ready(outcome) = answering.as_mut().poll(cx) {
            return Poll::Ready(Some(outcome));
        }
        let Some(every) = ticket.comments() else { return Poll::Pending };
        let patience = patience.get_or_insert_with(|| Box::pin(tokio::time::sleep(every)));
        patience.as_mut().poll(cx).map(|()| None)
    })
    .await;
    match (outcome, ticket.comments()) {
        (None, Some(every)) => {
            let waiting = Waiting { ticket: Rc::clone(&ticket), answering, every, next: None };
            reply::put_together_early(&ticket, version, Pump::waiting(waiting))
        }
        (Some(outcome), _) => reply::put_together(&ticket, version, outcome),
        (None, None) => {
            let outcome = answering.await;
            reply::put_together(&ticket, version, outcome)
        }
    }
}

/// A stream whose head is out and whose first token is not.
pub(super) struct Waiting {
    ticket: Rc<Ticket>,
    answering: Answering,
    every: Duration,
    /// `None`: at once.
    next: Option<Pin<Box<Sleep>>>,
}

/// What goes to the caller.
pub(super) enum Word {
    /// Patience.
    Comment(Bytes),
    /// The stream.
    Flow(Box<Flow>),
    /// The whole stream at once.
    Whole(Bytes),
    /// The dialect's error event; the abort follows.
    Failed(Bytes),
}

impl Waiting {
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Word> {
        if let Poll::Ready(outcome) = self.answering.as_mut().poll(cx) {
            return Poll::Ready(self.outcome(outcome));
        }
        let Some(next) = &mut self.next else {
            self.next = Some(Box::pin(tokio::time::sleep(self.every)));
            // Polled again at once, so that the new timer knows its waker.
            return Poll::Ready(Word::Comment(COMMENT));
        };
        std::task::ready!(next.as_mut().poll(cx));
        next.as_mut().reset(Instant::now() + self.every);
        Poll::Ready(Word::Comment(COMMENT))
    }

    fn outcome(&self, outcome: Result<Exchange, Problem>) -> Word {
        let dialect = self.ticket.caller.dialect;
        let (error, end) = match outcome {
            Ok(Exchange::Stream(_, flow)) => return Word::Flow(flow),
            Ok(Exchange::Whole(Whole { status, body, end, .. })) if status.is_success() => {
                self.ticket.note(|entry| {
                    entry.bytes_out(body.len() as u64);
                    entry.close(end);
                });
                return Word::Whole(body);
            }
            Ok(Exchange::Whole(Whole { status, body, end, .. })) => (dialect.decode_error(status.as_u16(), &body), end),
            Err(problem) => {
                reply::note_problem(&self.ticket, &problem);
                (problem.neutral(), reply::end_of(&problem))
            }
        };
        self.ticket.close(end);
        Word::Failed(event(dialect, &error))
    }
}

fn event(dialect: sluicegate_dialects::Dialect, error: &ProviderError) -> Bytes {
    let mut text = Vec::new();
    dialect.stream_encoder(StreamOptions::default()).error(error, &mut text);
    text.into()
}
