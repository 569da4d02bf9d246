//! Answers with status 500 that the call itself may have provoked: the same body, broken or hostile, fails everywhere.
//!
//! The first such answer counts against its endpoint at once. When another endpoint gives one to the same call, it is the call's
//! doing, most likely: none of them counts. When a third one answers after all, it was theirs, and all of them count.

use std::sync::Arc;
use std::time::Instant;

use crate::endpoint::{CountedFailure, Endpoint, Outcome};

use super::open_attempt::OpenAttempt;

/// The endpoints that have failed a call so. There are as many of them as a call may have attempts.
#[derive(Default)]
pub(super) struct Suspects(Vec<Suspect>);

struct Suspect {
    endpoint: Arc<Endpoint>,
    /// `None`: it was not counted, or has been taken back.
    counted: Option<CountedFailure>,
}

impl Suspects {
    /// An attempt got such an answer.
    pub(super) fn add(&mut self, open: &mut OpenAttempt, now: Instant) {
        let endpoint = Arc::clone(open.endpoint());
        let counted = if self.0.iter().all(|suspect| Arc::ptr_eq(&suspect.endpoint, &endpoint)) {
            open.fail(now)
        } else {
            let counted = self.0.iter_mut().filter_map(|suspect| suspect.counted.take());
            counted.for_each(|failure| failure.take_back(now));
            open.outcome(Outcome::Neutral, now);
            None
        };
        self.0.push(Suspect { endpoint, counted });
    }

    /// Somebody answered the call.
    pub(super) fn answered(&mut self, now: Instant) {
        for suspect in self.0.drain(..).filter(|suspect| suspect.counted.is_none()) {
            suspect.endpoint.count_failure(now);
        }
    }
}
