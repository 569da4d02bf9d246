//! The handle of an attempt that is under way: its place at the endpoint and its entry in the ledger. A call may have several.
//! Let go of before its end, it was cancelled: it says nothing about the endpoint, and is counted so.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Instant;

use sluicegate_config::Price;
use sluicegate_dialects::hub::Usage;
use sluicegate_dialects::{Dialect, UnseenUsage};

use crate::account::{AttemptEnd, AttemptEntry};
use crate::endpoint::{CountedFailure, Endpoint, LatencyClock, LiveKey, Outcome, Permit, TimedAnswer};
use crate::limit::Holds;
use crate::state::Provider;

use super::affinity::ConversationSeat;
use super::context::CallContext;
use super::inbound::InboundCall;
use super::retry_policy::{self, Cooldown, RetryDecision};

/// An attempt that is under way.
pub(super) struct OpenAttempt {
    context: Rc<CallContext>,
    permit: Permit,
    /// The time when it began, until its answer does; only of those that ask a model to generate: others are no measure.
    begun: Option<Instant>,
    /// True if a stream was asked for.
    is_stream: bool,
    entry: AttemptEntry,
    /// Its request, until something of the answer itself has come.
    unanswered: Option<UnansweredRequest>,
    /// Runs until the caller can be given something, where that is measured.
    clock: Option<LatencyClock>,
    /// Held as long as the answer goes on.
    seat: Option<Rc<ConversationSeat>>,
}

/// A request whose answer has not begun: given up now, it may have used something that nobody will say.
struct UnansweredRequest {
    call: Rc<InboundCall>,
    /// The usage that its stream may leave unsaid until its end.
    unseen: UnseenUsage,
    price: Option<Arc<Price>>,
    /// True if the head of an answer has come.
    has_head: bool,
}

impl UnansweredRequest {
    /// True if an attempt that ends so may have used something.
    fn may_be_paid_for(&self, end: AttemptEnd) -> bool {
        match end {
            AttemptEnd::Cancelled | AttemptEnd::TimedOut => true,
            AttemptEnd::Reset | AttemptEnd::Malformed => self.has_head,
            _ => false,
        }
    }

    /// Books what it has most likely used: of a stream the prompt alone, unless its model may have thought unseen; else nobody knows.
    fn book(&self, entry: &mut AttemptEntry) {
        let Self { call, unseen, price, .. } = self;
        if entry.has_usage() || !call.operation.is_metered() {
            return;
        }
        let used = if call.operation.embeds() {
            Some(Dialect::embedding_estimate(&call.body))
        } else if call.streams() && *unseen == UnseenUsage::None {
            Some(Usage { input: call.prompt_tokens(), ..Usage::default() })
        } else {
            None
        };
        match used {
            Some(usage) => entry.estimated_usage(usage, price.as_deref()),
            None => entry.unknown_usage(),
        }
    }
}

impl OpenAttempt {
    /// It begins; `beside`: while another one of its call goes on.
    pub(super) fn begin(
        call: &Rc<InboundCall>,
        provider: &Provider,
        permit: Permit,
        (now, beside): (Instant, bool),
    ) -> Self {
        permit.key().into_iter().for_each(|key| key.is_used());
        let context = Rc::clone(&call.context);
        let entry = context.attempt(provider.ix, now, beside);
        let begun = call.operation.generates().then_some(now);
        let is_stream = call.streams();
        Self { context, permit, begun, is_stream, entry, unanswered: None, clock: None, seat: None }
    }

    /// It has taken of limits, and holds that to its end.
    pub(super) fn hold(&mut self, holds: Holds) {
        self.entry.hold(Box::new(holds));
    }

    /// Its request is about to go out, to a model of this price that has this name here.
    pub(super) fn asks(
        &mut self,
        call: &Rc<InboundCall>,
        dialect: Dialect,
        (model, price): (&str, Option<&Arc<Price>>),
    ) {
        // The name that it has there may be a deployment's.
        let sent = Some(self.entry.sent_model()).filter(|_| call.streams() && call.operation.generates());
        // Mostly it is the same, and the body is looked at once.
        let names = sent.into_iter().chain(sent.map(|_| model).filter(|model| sent != Some(*model)));
        let mut unseen = names.map(|name| dialect.unseen_usage(name, &call.body));
        let unseen = unseen.find(|unseen| *unseen != UnseenUsage::None).unwrap_or(UnseenUsage::None);
        let (call, price) = (Rc::clone(call), price.map(Arc::clone));
        self.unanswered = Some(UnansweredRequest { call, unseen, price, has_head: false });
    }

    /// The head of an answer has come.
    pub(super) fn has_head(&mut self) {
        self.unanswered.iter_mut().for_each(|request| request.has_head = true);
    }

    /// Something of the answer itself has come: what it uses is told by the answer from here on.
    pub(super) fn has_begun(&mut self) {
        self.unanswered = None;
    }

    /// The usage that its stream may leave unsaid until its end, as long as that has not begun.
    pub(super) fn unseen_usage(&self) -> UnseenUsage {
        self.unanswered.as_ref().map_or(UnseenUsage::None, |request| request.unseen)
    }

    /// Its time is measured.
    pub(super) fn measure(&mut self, form: TimedAnswer, now: Instant) {
        self.clock = Some(LatencyClock::start(Arc::clone(self.permit.endpoint()), form, now));
    }

    /// It holds its call's place in a conversation.
    pub(super) fn sit(&mut self, seat: Rc<ConversationSeat>) {
        self.seat = Some(seat);
    }

    /// The caller can be given something.
    pub(super) fn answered(&mut self) {
        let now = Instant::now();
        self.clock.take().into_iter().for_each(|clock| clock.answered(now));
        if let Some(begun) = self.begun.take() {
            self.permit.begins(self.is_stream, now.saturating_duration_since(begun), now);
        }
    }

    /// Its provider has answered with an error: it may have said that it has too much, which is no caller's doing.
    pub(super) fn tell_of_load(&self, decision: RetryDecision, status: u16) {
        let (now, is_its_own) = (Instant::now(), retry_policy::is_its_own(status));
        let is_limited = decision.end == AttemptEnd::RateLimited && decision.cooldown != Cooldown::None;
        if is_limited || is_its_own {
            self.permit.too_much(now);
        }
        if decision.counts_against_circuit && is_its_own {
            self.permit.endpoint().failed_by_itself(now);
        }
    }

    /// Its entry in the ledger.
    pub(super) fn entry(&mut self) -> &mut AttemptEntry {
        &mut self.entry
    }

    /// The endpoint it is at.
    pub(super) fn endpoint(&self) -> &Arc<Endpoint> {
        self.permit.endpoint()
    }

    /// The key that it is sent with, where its provider has several.
    pub(super) fn key(&self) -> Option<&Arc<LiveKey>> {
        self.permit.key()
    }

    /// Notes what it says about its endpoint; only the first word counts.
    pub(super) fn outcome(&mut self, outcome: Outcome, now: Instant) {
        self.permit.outcome(outcome, now);
    }

    /// It failed, and that may turn out to say nothing about its endpoint.
    pub(super) fn fail(&mut self, now: Instant) -> Option<CountedFailure> {
        self.permit.fail(now)
    }

    /// It is over; only the first word counts.
    pub(super) fn close(&mut self, end: AttemptEnd) {
        // Silence and a caller that left tell how long it takes at least; a failure tells nothing of it.
        if let Some(clock) = self.clock.take()
            && matches!(end, AttemptEnd::TimedOut | AttemptEnd::Cancelled)
        {
            clock.given_up(Instant::now());
        }
        let entry = &mut self.entry;
        if let Some(request) = self.unanswered.take().filter(|request| request.may_be_paid_for(end)) {
            request.book(entry);
        }
        self.context.note(|call| entry.close(end, call));
    }
}

impl Drop for OpenAttempt {
    fn drop(&mut self) {
        self.close(AttemptEnd::Cancelled);
    }
}
