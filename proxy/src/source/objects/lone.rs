//! A published resource that waits for no other: it runs as it comes.

use std::sync::Arc;
use std::time::Instant;

use serde::de::DeserializeOwned;
use sluicegate_config::compile::Credentials;
use sluicegate_config::rollout::Rejection;
use sluicegate_config::{CompiledForm, CompiledObject, ObjectId};

use super::super::change::Change;
use super::super::published::Published;
use super::super::report::ObjectReport;
use super::object::{PublishedObject, StepOutcome, Surroundings, report};

/// A resource whose form says all that there is to know.
#[derive(Debug)]
pub(super) struct LoneObject<T> {
    /// It is published.
    present: bool,
    /// Its state, as told last; `None`: nothing of it was told.
    stands: Option<Arc<ObjectReport>>,
    /// The version of the object that it was last seen in as it runs.
    version: Option<Box<str>>,
    /// A form that does not run yet, and the version of the object it was in.
    next: Option<(Box<T>, Box<str>)>,
    refused: Option<Box<Rejection>>,
}

impl<T> Default for LoneObject<T> {
    fn default() -> Self {
        Self { present: false, stands: None, version: None, next: None, refused: None }
    }
}

impl<T> LoneObject<T> {
    /// The revision that runs, as told last.
    fn running(&self) -> Option<&str> {
        self.stands.as_ref()?.revision.as_deref()
    }
}

impl<T> PublishedObject for LoneObject<T>
where
    T: CompiledForm + DeserializeOwned + std::fmt::Debug,
    CompiledObject: From<Box<T>>,
{
    fn offer(&mut self, form: &Published, features: &[&str], _now: Instant) -> Result<(), String> {
        let next: T = form.compiled(features, T::revision)?;
        (self.present, self.next, self.refused) = (true, Some((Box::new(next), form.version.as_str().into())), None);
        Ok(())
    }

    fn refuse(&mut self, rejection: Box<Rejection>) {
        (self.present, self.next, self.refused) = (true, None, Some(rejection));
    }

    fn leave(&mut self) {
        (self.present, self.next, self.refused) = (false, None, None);
    }

    fn step(&mut self, id: &Arc<ObjectId>, _around: &Surroundings<'_>) -> StepOutcome {
        let running = self.running().map(Into::into);
        if !self.present {
            let change = running.map(|_: Box<str>| Change::Gone(T::KIND, Arc::clone(id)));
            return StepOutcome { change, running: None, credentials: None };
        }
        let Some((form, version)) = self.next.take() else {
            return StepOutcome { change: None, running, credentials: None };
        };
        self.version = Some(version);
        let revision: Box<str> = form.revision().into();
        let is_new = running.as_deref() != Some(&*revision);
        let change = is_new.then(|| Change::Put(Arc::clone(id), form.into(), Credentials::new()));
        StepOutcome { change, running: Some(revision), credentials: None }
    }

    fn report(
        &self,
        id: &Arc<ObjectId>,
        running: Option<Box<str>>,
        _credentials: Option<Box<str>>,
        _around: &Surroundings<'_>,
    ) -> ObjectReport {
        let version = self.version.clone().filter(|_| running.is_some());
        report((T::KIND, id), running, version, None, self.refused.clone())
    }

    fn overdue_at(&self, _now: Instant) -> Option<Instant> {
        None
    }

    fn waits(&self) -> bool {
        false
    }

    fn is_published(&self) -> bool {
        self.present
    }

    fn told(&self) -> Option<&Arc<ObjectReport>> {
        self.stands.as_ref()
    }

    fn tell(&mut self, stands: Option<Arc<ObjectReport>>) {
        self.stands = stands;
    }

    fn is_empty(&self) -> bool {
        !self.present
    }
}
