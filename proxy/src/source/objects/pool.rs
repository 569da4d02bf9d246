//! A published pool: it waits for the credentials that it names.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Instant;

use sluicegate_config::compile::Credentials;
use sluicegate_config::rollout::Rejection;
use sluicegate_config::{CredentialId, Kind, ObjectId, Pool};

use super::super::change::Change;
use super::super::published::Published;
use super::super::report::ObjectReport;
use super::object::{PENDING_LIMIT, PublishedObject, Step, StepOutcome, Surroundings, report};

/// A pool with the credentials it names.
type Supplied = (Box<Pool>, Credentials);

/// A pool and its credentials.
#[derive(Debug, Default)]
pub(super) struct PoolObject {
    /// It is published.
    present: bool,
    /// The report on it, as told last; `None`: nothing of it was told.
    stands: Option<Arc<ObjectReport>>,
    /// The version of the object that it was last seen in as it runs.
    version: Option<Box<str>>,
    /// The newest form that could be read, and the version of the object it was in.
    form: Option<(Box<Pool>, Box<str>)>,
    secret: Option<(Box<str>, Credentials)>,
    refused: Option<Box<Rejection>>,
    secret_refused: Option<Box<Rejection>>,
    /// Since when its newest form waits for credentials.
    since: Option<Instant>,
}

impl PoolObject {
    /// The revision that runs, as told last.
    fn running(&self) -> Option<&str> {
        self.stands.as_ref()?.revision.as_deref()
    }

    /// The credentials that it runs with, as told last.
    fn credentials(&self) -> Option<&str> {
        self.stands.as_ref()?.credentials.as_deref()
    }

    /// The step to take with it, and the `resourceVersion` of the credentials that it runs with then.
    fn next(&mut self) -> (Step<Supplied>, Option<Box<str>>) {
        let stays = self.credentials().map(Into::into);
        if !self.present {
            let step = if self.running().is_some() { Step::Gone } else { Step::Stay };
            return (step, None);
        }
        let Some((form, seen)) = &self.form else { return (Step::Stay, stays) };
        let Some((credentials, values)) = self.supplied(form) else { return (Step::Stay, stays) };
        (self.since, self.version) = (None, Some(seen.clone()));
        if self.running() == Some(&*form.revision) && self.credentials() == credentials.as_deref() {
            return (Step::Stay, credentials);
        }
        (Step::Run((form.clone(), values)), credentials)
    }

    /// The credentials that a form names, when all of them are there, and what they are from.
    fn supplied(&self, form: &Pool) -> Option<(Option<Box<str>>, Credentials)> {
        let mut wanted = wanted(form).peekable();
        if wanted.peek().is_none() {
            return Some((None, Credentials::new()));
        }
        let (version, values) = self.secret.as_ref()?;
        let found = wanted.map(|id| Some((id.clone(), values.get(id)?.clone()))).collect::<Option<Credentials>>()?;
        Some((Some(version.clone()), found))
    }
}

impl PublishedObject for PoolObject {
    fn offer(&mut self, form: &Published, features: &[&str], now: Instant) -> Result<(), String> {
        let pool: Box<Pool> = Box::new(form.compiled(features, |pool: &Pool| pool.revision.as_str())?);
        let version = form.version.as_str().into();
        (self.present, self.form, self.refused, self.since) = (true, Some((pool, version)), None, Some(now));
        Ok(())
    }

    fn entrust(&mut self, credentials: &Published, now: Instant) -> Result<(), String> {
        let (version, values) = (credentials.version.as_str().into(), credentials.credentials()?);
        (self.secret, self.secret_refused, self.since) = (Some((version, values)), None, Some(now));
        Ok(())
    }

    fn refuse(&mut self, rejection: Box<Rejection>) {
        (self.present, self.refused) = (true, Some(rejection));
    }

    fn refuse_credentials(&mut self, rejection: Box<Rejection>) {
        self.secret_refused = Some(rejection);
    }

    fn leave(&mut self) {
        (self.present, self.form, self.refused, self.since) = (false, None, None, None);
    }

    fn forget_credentials(&mut self) {
        (self.secret, self.secret_refused) = (None, None);
    }

    fn is_empty(&self) -> bool {
        !self.present && self.secret.is_none() && self.secret_refused.is_none() && self.running().is_none()
    }

    fn report(
        &self,
        id: &Arc<ObjectId>,
        running: Option<Box<str>>,
        credentials: Option<Box<str>>,
        around: &Surroundings<'_>,
    ) -> ObjectReport {
        let now = around.now;
        let overdue = self.since.is_some_and(|since| now.saturating_duration_since(since) >= PENDING_LIMIT);
        let waits = || {
            let (form, _) = self.form.as_ref().filter(|_| overdue)?;
            let values = self.secret.as_ref().map(|(_, values)| values);
            let missing: BTreeSet<&str> = wanted(form)
                .filter(|id| !values.is_some_and(|values| values.contains_key(*id)))
                .map(|id| id.0.as_str())
                .collect();
            let missing = missing.into_iter().collect::<Vec<_>>().join(", ");
            let message = format!("it waits for credentials: {missing}");
            Some(Box::new(Rejection { revision: form.revision.clone(), message }))
        };
        let rejected = self.refused.clone().or_else(|| self.secret_refused.clone()).or_else(waits);
        let version = self.version.clone().filter(|_| running.is_some());
        report((Kind::ProviderPool, id), running, version, credentials, rejected)
    }

    fn overdue_at(&self, now: Instant) -> Option<Instant> {
        self.since.filter(|_| self.form.is_some()).map(|since| since + PENDING_LIMIT).filter(|at| *at > now)
    }

    fn waits(&self) -> bool {
        self.since.is_some() && self.form.is_some()
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

    fn step(&mut self, id: &Arc<ObjectId>, _around: &Surroundings<'_>) -> StepOutcome {
        let (step, credentials) = self.next();
        let (change, running) = match step {
            Step::Stay => (None, self.running().map(Into::into)),
            Step::Run((form, values)) => {
                let revision = form.revision.as_str().into();
                (Some(Change::Put(Arc::clone(id), form.into(), values)), Some(revision))
            }
            Step::Gone => (Some(Change::Gone(Kind::ProviderPool, Arc::clone(id))), None),
        };
        StepOutcome { change, running, credentials }
    }
}

fn wanted(pool: &Pool) -> impl Iterator<Item = &CredentialId> {
    pool.providers.iter().flat_map(sluicegate_config::Provider::credentials)
}
