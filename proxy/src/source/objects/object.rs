//! A published resource of any kind: the trait that each kind fills in, and the values between it and the assembly.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use sluicegate_config::rollout::Rejection;
use sluicegate_config::{Kind, ObjectId};

use super::super::change::Change;
use super::super::published::Published;
use super::super::report::{ObjectReport, ObjectState};

/// A form that waits for others longer than this is told of as one that can not be taken; and a route that has never
/// run, and none of whose pools has come, then runs without them: nobody answers its calls, rather than a route that
/// was not meant.
pub(crate) const PENDING_LIMIT: Duration = Duration::from_secs(2);

/// The step to take with an object.
#[derive(Debug)]
pub(crate) enum Step<T> {
    /// Nothing: it runs as it is to, or what it waits for has not come.
    Stay,
    /// It runs in this form from now on.
    Run(T),
    /// It runs no longer.
    Gone,
}

/// A step of an object: the change that comes of it, and what runs of it then.
#[derive(Debug)]
pub(crate) struct StepOutcome {
    /// The change to be applied.
    pub(crate) change: Option<Change>,
    /// The revision that runs.
    pub(crate) running: Option<Box<str>>,
    /// The `resourceVersion` of the credentials that it runs with.
    pub(crate) credentials: Option<Box<str>>,
}

/// The view that an object has of the others.
pub(crate) struct Surroundings<'a> {
    /// True if an object runs.
    pub(crate) runs: &'a dyn Fn(Kind, &ObjectId) -> bool,
    /// True if things that may still come are waited for.
    pub(crate) waits: bool,
    /// The time.
    pub(crate) now: Instant,
}

/// A published resource of some kind.
pub(crate) trait PublishedObject: fmt::Debug {
    /// It is published in this form, for a reader who knows these features. An error says why that can not be used.
    fn offer(&mut self, form: &Published, features: &[&str], now: Instant) -> Result<(), String>;

    /// These credentials of it are published. An error says why they can not be used.
    fn entrust(&mut self, _credentials: &Published, _now: Instant) -> Result<(), String> {
        Err("objects of this kind have no credentials".to_owned())
    }

    /// It is published in a form that can not be used.
    fn refuse(&mut self, rejection: Box<Rejection>);

    /// Its credentials are published in a form that can not be used.
    fn refuse_credentials(&mut self, rejection: Box<Rejection>) {
        self.refuse(rejection);
    }

    /// It is published no longer.
    fn leave(&mut self);

    /// Its credentials are published no longer. What runs with them runs on.
    fn forget_credentials(&mut self) {}

    /// Does what is to be done about it.
    fn step(&mut self, id: &Arc<ObjectId>, around: &Surroundings<'_>) -> StepOutcome;

    /// The report on it once `running` runs of it.
    fn report(
        &self,
        id: &Arc<ObjectId>,
        running: Option<Box<str>>,
        credentials: Option<Box<str>>,
        around: &Surroundings<'_>,
    ) -> ObjectReport;

    /// True if it is published.
    fn is_published(&self) -> bool;

    /// The report on it, as told last; `None`: nothing of it was told.
    fn told(&self) -> Option<&Arc<ObjectReport>>;

    /// It has been told that it stands so.
    fn tell(&mut self, stands: Option<Arc<ObjectReport>>);

    /// The time when it will have waited for too long; `None`: it waits for nothing, or has.
    fn overdue_at(&self, now: Instant) -> Option<Instant>;

    /// True if it is to be looked at again whenever something changes.
    fn waits(&self) -> bool;

    /// True if nothing is known of it any more.
    fn is_empty(&self) -> bool;
}

pub(crate) fn report(
    (kind, name): (Kind, &Arc<ObjectId>),
    revision: Option<Box<str>>,
    version: Option<Box<str>>,
    credentials: Option<Box<str>>,
    rejected: Option<Box<Rejection>>,
) -> ObjectReport {
    let state = match (&revision, &rejected) {
        (_, None) => ObjectState::Applied,
        (Some(_), Some(_)) => ObjectState::KeptPrevious,
        (None, Some(_)) => ObjectState::Rejected,
    };
    ObjectReport { kind: kind.as_str(), name: Arc::clone(name), revision, state, version, credentials, rejected }
}
