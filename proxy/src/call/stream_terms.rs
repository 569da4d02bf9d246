//! The terms that a stream is given, and what it gives: its first token, then piece by piece.

use std::rc::Rc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use sluicegate_dialects::hub::ProviderError;

use crate::memory::Exhausted;

use super::context::CallContext;
use super::retry_policy::RetryDecision;

/// The terms of a stream.
pub(super) struct StreamTerms {
    pub(super) context: Rc<CallContext>,
    /// The longest silence.
    pub(super) idle: Duration,
    /// The time when the whole call has to be over.
    pub(super) deadline: Instant,
    /// True if the cache wants the answer.
    pub(super) recorded: bool,
    /// True if somebody else may have to go on with it.
    pub(super) is_followed: bool,
    /// True if it is the rest of an answer, which somebody else tells.
    pub(super) is_rest: bool,
}

/// One look at the provider of a stream.
pub(super) enum Polled {
    /// Something has come.
    Some,
    /// Nothing has.
    Nothing,
    /// It is over.
    End,
    /// It broke, for this reason.
    Broken(String),
    /// There is no memory for what has come.
    Full(Exhausted),
}

/// The outcome of the wait for a stream's first token.
pub(super) enum FirstToken {
    /// It is there (or the whole answer is).
    Ready,
    /// It will not come.
    Broken(RetryDecision, String),
    /// There is no memory to wait for it.
    Full(Exhausted),
    /// The provider said an error in its place.
    Said(ProviderError),
}

/// The next piece for the caller.
pub(super) enum StreamPiece {
    /// These bytes.
    Bytes(Bytes),
    /// Nothing: the answer is whole.
    End,
    /// Nothing: the answer broke in the middle of an event, so that no error could be said.
    Cut,
}
