//! One published route or pool by itself: what of it runs, what would, and what it waits for.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use sluicegate_config::compile::{Credentials, Kind};
use sluicegate_config::rollout::Rejection;
use sluicegate_config::{CredentialId, ObjectId, Pool, Route};

use super::report::{ObjectReport, ObjectState};

/// A form that waits for others longer than this is told of as one that can not be taken; and a route that has never
/// run, and none of whose pools has come, then runs without them: nobody answers its calls, rather than a route that
/// was not meant.
pub(super) const PENDING_LIMIT: Duration = Duration::from_secs(2);

/// A pool with the credentials it names.
type Supplied = (Box<Pool>, Credentials);

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

/// A route. There may be thousands, most of which run as they are to: what is seldom there is kept apart.
#[derive(Debug, Default)]
pub(super) struct RouteObject {
    /// It is published.
    pub(super) present: bool,
    /// How it stands, as told last; `None`: nothing of it was told.
    pub(super) stands: Option<Arc<ObjectReport>>,
    /// The version of the object that it was last seen in as it runs.
    version: Option<Box<str>>,
    next: Option<Box<Offer>>,
    refused: Option<Box<Rejection>>,
}

/// A form that does not run yet.
#[derive(Debug)]
struct Offer {
    route: Box<Route>,
    version: Box<str>,
    since: Instant,
}

/// A pool and its credentials.
#[derive(Debug, Default)]
pub(super) struct PoolObject {
    /// It is published.
    pub(super) present: bool,
    /// How it stands, as told last; `None`: nothing of it was told.
    pub(super) stands: Option<Arc<ObjectReport>>,
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

impl RouteObject {
    /// It is published in this form.
    pub(super) fn offer(&mut self, route: Box<Route>, version: &str, now: Instant) {
        let offer = Box::new(Offer { route, version: version.into(), since: now });
        (self.present, self.next, self.refused) = (true, Some(offer), None);
    }

    /// It is published in a form that can not be used.
    pub(super) fn refuse(&mut self, rejection: Box<Rejection>) {
        (self.present, self.next, self.refused) = (true, None, Some(rejection));
    }

    /// It is published no longer.
    pub(super) fn leave(&mut self) {
        (self.present, self.next, self.refused) = (false, None, None);
    }

    /// The revision that runs, as told last.
    pub(super) fn running(&self) -> Option<&str> {
        self.stands.as_ref()?.revision.as_deref()
    }

    /// What to do about it. `runs`: whether a pool runs. `patient`: what may still come is waited for.
    pub(super) fn step(&mut self, runs: impl Fn(&ObjectId) -> bool, waits: bool, now: Instant) -> Step<Box<Route>> {
        let runs_already = self.running().is_some();
        if !self.present {
            return if runs_already { Step::Gone } else { Step::Stay };
        }
        let Some(offer) = self.next.take() else { return Step::Stay };
        let Offer { route, version, since } = *offer;
        if self.running() == Some(&*route.revision) {
            self.version = Some(version);
            return Step::Stay;
        }
        let overdue = !waits || now.saturating_duration_since(since) >= PENDING_LIMIT;
        let ready = if runs_already {
            pools(&route).all(&runs)
        } else {
            overdue || pools(&route).next().is_none() || pools(&route).any(&runs)
        };
        if ready {
            self.version = Some(version);
            return Step::Run(route);
        }
        self.next = Some(Box::new(Offer { route, version, since }));
        Step::Stay
    }

    /// How it stands once `running` runs of it.
    pub(super) fn standing(
        &self,
        id: &Arc<ObjectId>,
        running: Option<Box<str>>,
        runs: impl Fn(&ObjectId) -> bool,
        now: Instant,
    ) -> ObjectReport {
        let rejected = match (&self.refused, self.next.as_deref()) {
            (Some(refused), _) => Some(refused.clone()),
            (None, Some(Offer { route, version: _, since }))
                if now.saturating_duration_since(*since) >= PENDING_LIMIT =>
            {
                let missing = pools(route).find(|id| !runs(id)).map_or("", |id| id.0.as_str());
                let message = format!("it waits for the pool {missing}");
                Some(Box::new(Rejection { revision: route.revision.clone(), message }))
            }
            _ => None,
        };
        let version = self.version.clone().filter(|_| running.is_some());
        report((Kind::LlmRoute, id), running, version, None, rejected)
    }

    /// When it will have waited for too long; `None`: it waits for nothing, or has.
    pub(super) fn overdue_at(&self, now: Instant) -> Option<Instant> {
        self.next.as_ref().map(|next| next.since + PENDING_LIMIT).filter(|at| *at > now)
    }

    /// Whether it is to be looked at again whenever something changes.
    pub(super) fn waits(&self) -> bool {
        self.next.is_some()
    }
}

impl PoolObject {
    /// It is published in this form.
    pub(super) fn offer(&mut self, pool: Box<Pool>, version: &str, now: Instant) {
        (self.present, self.form, self.refused, self.since) = (true, Some((pool, version.into())), None, Some(now));
    }

    /// These credentials are published.
    pub(super) fn entrust(&mut self, version: &str, values: Credentials, now: Instant) {
        (self.secret, self.secret_refused, self.since) = (Some((version.into(), values)), None, Some(now));
    }

    /// The revision that runs, as told last.
    pub(super) fn running(&self) -> Option<&str> {
        self.stands.as_ref()?.revision.as_deref()
    }

    /// The credentials that it runs with, as told last.
    fn credentials(&self) -> Option<&str> {
        self.stands.as_ref()?.credentials.as_deref()
    }

    /// It is published in a form that can not be used.
    pub(super) fn refuse(&mut self, rejection: Box<Rejection>) {
        (self.present, self.refused) = (true, Some(rejection));
    }

    /// Its credentials are published in a form that can not be used.
    pub(super) fn refuse_credentials(&mut self, rejection: Box<Rejection>) {
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
        !self.present && self.secret.is_none() && self.secret_refused.is_none() && self.running().is_none()
    }

    /// What to do about it, and the `resourceVersion` of the credentials that it runs with then.
    pub(super) fn step(&mut self) -> (Step<Supplied>, Option<Box<str>>) {
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

    /// How it stands once `running` runs of it.
    pub(super) fn standing(
        &self,
        id: &Arc<ObjectId>,
        running: Option<Box<str>>,
        credentials: Option<Box<str>>,
        now: Instant,
    ) -> ObjectReport {
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

    /// When it will have waited for too long; `None`: it waits for nothing, or has.
    pub(super) fn overdue_at(&self, now: Instant) -> Option<Instant> {
        self.since.filter(|_| self.form.is_some()).map(|since| since + PENDING_LIMIT).filter(|at| *at > now)
    }

    /// Whether its newest form waits for credentials.
    pub(super) fn waits(&self) -> bool {
        self.since.is_some() && self.form.is_some()
    }
}

fn report(
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

fn pools(route: &Route) -> impl Iterator<Item = &ObjectId> {
    route.rules.iter().flat_map(|rule| rule.targets.iter().chain(&rule.fallbacks)).map(|target| &target.pool)
}

fn wanted(pool: &Pool) -> impl Iterator<Item = &CredentialId> {
    pool.providers.iter().filter_map(|provider| provider.credential.as_ref())
}
