//! One published route or pool by itself: what of it runs, what would, and what it waits for.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use sluicegate_config::compile::Credentials;
use sluicegate_config::rollout::{Rejection, Running};
use sluicegate_config::{CredentialId, ObjectId, Pool, Route};

/// A form that waits for others longer than this is told of as one that can not be taken; and a route that has never
/// run, and none of whose pools has come, then runs without them: nobody answers its calls, rather than a route that
/// was not meant.
pub(super) const PATIENCE: Duration = Duration::from_secs(2);

/// What is to be done about an object.
#[derive(Debug)]
pub(super) enum Step<T> {
    /// Nothing: it runs as it is to, or what it waits for has not come.
    Stay,
    /// It runs in this form from now on.
    Run(T),
    /// It runs no longer.
    Gone,
}

/// A route.
#[derive(Debug, Default)]
pub(super) struct RouteState {
    /// It is published.
    pub(super) present: bool,
    /// How it stands, as told last.
    pub(super) stands: Running,
    /// The version of the object that it was last seen in as it runs.
    version: Option<String>,
    next: Option<Offer>,
    refused: Option<Rejection>,
}

/// A form that does not run yet.
#[derive(Debug)]
struct Offer {
    route: Box<Route>,
    version: String,
    since: Instant,
}

/// A pool and its credentials.
#[derive(Debug, Default)]
pub(super) struct PoolState {
    /// It is published.
    pub(super) present: bool,
    /// How it stands, as told last.
    pub(super) stands: Running,
    /// The version of the object that it was last seen in as it runs.
    version: Option<String>,
    /// The newest form that could be read, and the version of the object it was in.
    form: Option<(Box<Pool>, String)>,
    secret: Option<(String, Credentials)>,
    refused: Option<Rejection>,
    secret_refused: Option<Rejection>,
    /// Since when its newest form waits for credentials.
    since: Option<Instant>,
}

impl RouteState {
    /// It is published in this form.
    pub(super) fn offer(&mut self, route: Box<Route>, version: String, now: Instant) {
        (self.present, self.next, self.refused) = (true, Some(Offer { route, version, since: now }), None);
    }

    /// It is published in a form that can not be used.
    pub(super) fn refuse(&mut self, rejection: Rejection) {
        (self.present, self.next, self.refused) = (true, None, Some(rejection));
    }

    /// It is published no longer.
    pub(super) fn leave(&mut self) {
        (self.present, self.next, self.refused) = (false, None, None);
    }

    /// What to do about it. `runs`: whether a pool runs. `patient`: what may still come is waited for.
    pub(super) fn step(&mut self, runs: impl Fn(&ObjectId) -> bool, patient: bool, now: Instant) -> Step<Box<Route>> {
        let runs_already = self.stands.revision.is_some();
        if !self.present {
            return if runs_already { Step::Gone } else { Step::Stay };
        }
        let Some(Offer { route, version, since }) = self.next.take() else { return Step::Stay };
        if self.stands.revision.as_ref() == Some(&route.revision) {
            self.version = Some(version);
            return Step::Stay;
        }
        let overdue = !patient || now.saturating_duration_since(since) >= PATIENCE;
        let ready = if runs_already {
            pools(&route).all(&runs)
        } else {
            overdue || pools(&route).next().is_none() || pools(&route).any(&runs)
        };
        if ready {
            self.version = Some(version);
            return Step::Run(route);
        }
        self.next = Some(Offer { route, version, since });
        Step::Stay
    }

    /// How it stands once `running` runs of it.
    pub(super) fn standing(&self, running: Option<String>, runs: impl Fn(&ObjectId) -> bool, now: Instant) -> Running {
        let rejected = match (&self.refused, &self.next) {
            (Some(refused), _) => Some(refused.clone()),
            (None, Some(Offer { route, version: _, since })) if now.saturating_duration_since(*since) >= PATIENCE => {
                let missing = pools(route).find(|id| !runs(id)).map_or("", |id| id.0.as_str());
                Some(Rejection {
                    revision: route.revision.clone(),
                    message: format!("it waits for the pool {missing}"),
                })
            }
            _ => None,
        };
        let version = self.version.clone().filter(|_| running.is_some());
        Running { revision: running, version, credentials: None, rejected }
    }

    /// When it will have waited for too long; `None`: it waits for nothing, or has.
    pub(super) fn overdue_at(&self, now: Instant) -> Option<Instant> {
        self.next.as_ref().map(|next| next.since + PATIENCE).filter(|at| *at > now)
    }

    /// Whether it is to be looked at again whenever something changes.
    pub(super) fn waits(&self) -> bool {
        self.next.is_some()
    }
}

impl PoolState {
    /// It is published in this form.
    pub(super) fn offer(&mut self, pool: Box<Pool>, version: String, now: Instant) {
        (self.present, self.form, self.refused, self.since) = (true, Some((pool, version)), None, Some(now));
    }

    /// These credentials are published.
    pub(super) fn entrust(&mut self, version: String, values: Credentials, now: Instant) {
        (self.secret, self.secret_refused, self.since) = (Some((version, values)), None, Some(now));
    }

    /// It is published in a form that can not be used.
    pub(super) fn refuse(&mut self, rejection: Rejection) {
        (self.present, self.refused) = (true, Some(rejection));
    }

    /// Its credentials are published in a form that can not be used.
    pub(super) fn refuse_credentials(&mut self, rejection: Rejection) {
        self.secret_refused = Some(rejection);
    }

    /// It is published no longer.
    pub(super) fn leave(&mut self) {
        (self.present, self.form, self.refused, self.since) = (false, None, None, None);
    }

    /// Its credentials are published no longer. What runs with them runs on.
    pub(super) fn forget_credentials(&mut self) {
        (self.secret, self.secret_refused) = (None, None);
    }

    /// Nothing is known of it any more.
    pub(super) fn is_empty(&self) -> bool {
        !self.present && self.secret.is_none() && self.secret_refused.is_none() && self.stands.revision.is_none()
    }

    /// What to do about it, and the `resourceVersion` of the credentials that it runs with then.
    pub(super) fn step(&mut self) -> (Step<(Box<Pool>, Credentials)>, Option<String>) {
        let stays = self.stands.credentials.clone();
        if !self.present {
            let step = if self.stands.revision.is_some() { Step::Gone } else { Step::Stay };
            return (step, None);
        }
        let Some((form, seen)) = &self.form else { return (Step::Stay, stays) };
        let Some((credentials, values)) = self.supplied(form) else { return (Step::Stay, stays) };
        (self.since, self.version) = (None, Some(seen.clone()));
        if self.stands.revision.as_ref() == Some(&form.revision) && self.stands.credentials == credentials {
            return (Step::Stay, credentials);
        }
        (Step::Run((form.clone(), values)), credentials)
    }

    /// The credentials that a form names, when all of them are there, and what they are from.
    fn supplied(&self, form: &Pool) -> Option<(Option<String>, Credentials)> {
        let mut wanted = wanted(form).peekable();
        if wanted.peek().is_none() {
            return Some((None, Credentials::new()));
        }
        let (version, values) = self.secret.as_ref()?;
        let found = wanted.map(|id| Some((id.clone(), values.get(id)?.clone()))).collect::<Option<Credentials>>()?;
        Some((Some(version.clone()), found))
    }

    /// How it stands once `running` runs of it.
    pub(super) fn standing(&self, running: Option<String>, credentials: Option<String>, now: Instant) -> Running {
        let overdue = self.since.is_some_and(|since| now.saturating_duration_since(since) >= PATIENCE);
        let waits = || {
            let (form, _) = self.form.as_ref().filter(|_| overdue)?;
            let values = self.secret.as_ref().map(|(_, values)| values);
            let missing: BTreeSet<&str> = wanted(form)
                .filter(|id| !values.is_some_and(|values| values.contains_key(*id)))
                .map(|id| id.0.as_str())
                .collect();
            let missing = missing.into_iter().collect::<Vec<_>>().join(", ");
            Some(Rejection { revision: form.revision.clone(), message: format!("it waits for credentials: {missing}") })
        };
        let rejected = self.refused.clone().or_else(|| self.secret_refused.clone()).or_else(waits);
        let version = self.version.clone().filter(|_| running.is_some());
        Running { revision: running, version, credentials, rejected }
    }

    /// When it will have waited for too long; `None`: it waits for nothing, or has.
    pub(super) fn overdue_at(&self, now: Instant) -> Option<Instant> {
        self.since.filter(|_| self.form.is_some()).map(|since| since + PATIENCE).filter(|at| *at > now)
    }

    /// Whether its newest form waits for credentials.
    pub(super) fn waits(&self) -> bool {
        self.since.is_some() && self.form.is_some()
    }
}

fn pools(route: &Route) -> impl Iterator<Item = &ObjectId> {
    route.rules.iter().flat_map(|rule| rule.targets.iter().chain(&rule.fallbacks)).map(|target| &target.pool)
}

fn wanted(pool: &Pool) -> impl Iterator<Item = &CredentialId> {
    pool.providers.iter().filter_map(|provider| provider.credential.as_ref())
}
