//! A stream that may go on elsewhere should it break half-way: what is needed for that, and the wait for who gives the rest.

use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};

use sluicegate_config::StreamFailover;
use sluicegate_dialects::hub::{ErrorKind, Usage};

use crate::account::AttemptEnd;
use crate::state::Provider;

use super::inbound::InboundCall;
use super::stream_source::StreamSource;
use super::translated_stream::RestSoFar;

/// The wait for the rest of an answer; `None`: nobody gives it.
pub(super) type AskingForRest = Pin<Box<dyn Future<Output = Option<RestBegun>>>>;

/// Asks for the rest of an answer, of whoever has not broken off.
pub(super) type AskForRest = fn(Rc<InboundCall>, Vec<Arc<Provider>>) -> AskingForRest;

/// The rest of an answer, from its first token on.
pub(super) struct RestBegun {
    pub(super) source: StreamSource,
    pub(super) rest: RestSoFar,
    /// True if whoever gives it was asked to go on, and has not had what was said as its own beginning.
    pub(super) asked: bool,
    pub(super) state: RestState,
}

/// The state of a rest that has begun.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum RestState {
    GoesOn,
    /// All of it is here.
    Whole,
    /// It broke off, too.
    Cut,
}

/// The way in which a stream broke off, as its caller is told if nobody goes on.
pub(super) struct BrokenOff {
    pub(super) kind: ErrorKind,
    pub(super) end: AttemptEnd,
    pub(super) what: String,
    pub(super) message: String,
}

/// The means to go on with one stream.
pub(super) struct Continuation {
    call: Rc<InboundCall>,
    settings: StreamFailover,
    ask: AskForRest,
    made: u32,
    /// The providers that broke off.
    broke: Vec<Arc<Provider>>,
    asking: Option<(AskingForRest, BrokenOff)>,
    /// The tokens that were used until the last break, all attempts together.
    used: Option<Usage>,
}

impl Continuation {
    pub(super) fn new(call: Rc<InboundCall>, settings: StreamFailover, ask: AskForRest) -> Self {
        Self { call, settings, ask, made: 0, broke: Vec::new(), asking: None, used: None }
    }

    /// The call for the rest of this answer; `None`: nobody is to be asked for it.
    pub(super) fn call_for_rest(&self, said: &str) -> Option<Rc<InboundCall>> {
        if self.made >= self.settings.attempts || self.call.context.worker.ledger.is_cutting() {
            return None;
        }
        self.call.for_the_rest(said, self.settings.prefill_only)
    }

    /// Asks for the rest. `broke` is who gave the answer until here.
    pub(super) fn begin(&mut self, call: Rc<InboundCall>, broke: Option<Arc<Provider>>, was: BrokenOff) {
        self.made += 1;
        self.broke.extend(broke);
        self.asking = Some(((self.ask)(call, self.broke.clone()), was));
    }

    /// Adds what the attempt that broke off has used.
    pub(super) fn used(&mut self, used: Option<Usage>) {
        self.used = match (self.used, used) {
            (Some(before), Some(used)) => Some(before.plus(used)),
            (before, used) => before.or(used),
        };
    }

    /// The tokens that were used until the last break.
    pub(super) const fn used_before(&self) -> Option<Usage> {
        self.used
    }

    /// The call whose answer it is.
    pub(super) fn call(&self) -> &Rc<InboundCall> {
        &self.call
    }

    /// True if somebody is asked now.
    pub(super) const fn is_asking(&self) -> bool {
        self.asking.is_some()
    }

    /// Waits for the rest; the error is how the stream broke off, where nobody gives one.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<RestBegun, Option<BrokenOff>>> {
        let Some((asking, _)) = &mut self.asking else { return Poll::Ready(Err(None)) };
        let begun = std::task::ready!(asking.as_mut().poll(cx));
        let was = self.asking.take().map(|(_, was)| was);
        Poll::Ready(begun.ok_or(was))
    }

    /// Nobody is waited for any longer.
    pub(super) fn give_up(&mut self) -> Option<BrokenOff> {
        self.asking.take().map(|(_, was)| was)
    }
}
