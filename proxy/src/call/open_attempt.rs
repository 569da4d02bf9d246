//! The handle of an attempt that is under way: its place at the endpoint and its entry in the ledger. A call may have several.
//! Let go of before its end, it was cancelled: it says nothing about the endpoint, and is counted so.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Instant;

use crate::account::{AttemptEnd, AttemptEntry};
use crate::endpoint::{CountedFailure, Endpoint, Outcome, Permit};
use crate::state::Provider;

use super::context::CallContext;

/// An attempt that is under way.
pub(super) struct OpenAttempt {
    context: Rc<CallContext>,
    permit: Permit,
    entry: AttemptEntry,
}

impl OpenAttempt {
    /// It begins.
    pub(super) fn begin(context: &Rc<CallContext>, provider: &Provider, permit: Permit, now: Instant) -> Self {
        let entry = context.attempt(provider.ix, now);
        Self { context: Rc::clone(context), permit, entry }
    }

    /// Its entry in the ledger.
    pub(super) fn entry(&mut self) -> &mut AttemptEntry {
        &mut self.entry
    }

    /// The endpoint it is at.
    pub(super) fn endpoint(&self) -> &Arc<Endpoint> {
        self.permit.endpoint()
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
        let entry = &mut self.entry;
        self.context.note(|call| entry.close(end, call));
    }
}

impl Drop for OpenAttempt {
    fn drop(&mut self) {
        self.close(AttemptEnd::Cancelled);
    }
}
