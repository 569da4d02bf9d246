//! A stream whose caller has left, or that has none: it goes on for the cache, for a flight, or for its provider's own count.

use std::future::poll_fn;
use std::task::{Context, Poll};

use bytes::Bytes;

use crate::call::stream_terms::Polled;
use crate::call::stream_timer::Due;
use crate::coalescing::{FlightClose, Publisher};

use super::{AnswerStream, ENOUGH, StreamEnd};

impl AnswerStream {
    /// True if somebody beside the caller listens, and there is still something to come: the cache, whoever adds up what it tells of, or
    /// whoever waits for its provider's own count.
    pub(in crate::call) fn is_wanted(&self) -> bool {
        self.over.is_none() && (self.is_read() || self.source.drain().is_some())
    }

    /// True if somebody beside the caller has a use for its words.
    fn is_read(&self) -> bool {
        self.cache.listens() || self.transcoder.adds_up()
    }

    /// True if it goes on without a caller and without a flight; for its provider's own count alone, for that one's time.
    fn goes_on_alone(&mut self) -> bool {
        if self.is_read() {
            return true;
        }
        let Some(most) = self.source.drain() else { return false };
        if !std::mem::replace(&mut self.drains, true) {
            self.clock.at_most(most);
        }
        !self.clock.total_is_over()
    }

    /// It has no caller, or none any longer: the stream is polled for whoever else listens, to its end.
    pub(in crate::call) async fn go_on(mut self: Box<Self>, mut flight: Option<Publisher>) {
        (self.caller, self.in_flight) = (false, flight.is_some());
        self.clock.without_comments();
        self.going = Bytes::new();
        self.hand_over(&mut flight);
        poll_fn(|cx| self.poll_without_caller(&mut flight, cx)).await;
        if let (Some(flight), Some(end)) = (flight, &self.over) {
            flight.finish(if matches!(end, StreamEnd::Cut) { FlightClose::Cut } else { FlightClose::Whole });
        }
    }

    fn poll_without_caller(&mut self, flight: &mut Option<Publisher>, cx: &mut Context<'_>) -> Poll<()> {
        let before = self.cache.total();
        while self.over.is_none() {
            if flight.as_ref().is_some_and(|flight| flight.is_deserted(cx)) {
                (*flight, self.in_flight) = (None, false);
            }
            match flight {
                Some(flight) => std::task::ready!(flight.poll_room(cx)),
                None if self.goes_on_alone() => {}
                None => break,
            }
            match self.pull(cx) {
                Polled::Some if self.clock.total_is_over() && !self.drains => self.late(),
                Polled::Some if self.cache.total() - before > ENOUGH => {
                    // Others have their turn.
                    self.hand_over(flight);
                    cx.waker().wake_by_ref();
                    return Poll::Pending;
                }
                Polled::Some => {}
                Polled::Nothing => match std::task::ready!(self.clock.poll(cx, self.timeout)) {
                    // Nobody is told that it came late: what it used is estimated where it is dropped.
                    Due::Late if self.drains && !self.transcoder.finished() => break,
                    Due::Late => self.late(),
                    Due::Comment => {}
                },
                ended => self.conclude(ended),
            }
            self.hand_over(flight);
        }
        Poll::Ready(())
    }
}
