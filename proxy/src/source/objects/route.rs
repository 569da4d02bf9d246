//! A published route: it waits for the pools that it names.

use std::sync::Arc;
use std::time::Instant;

use sluicegate_config::compile::Credentials;
use sluicegate_config::rollout::Rejection;
use sluicegate_config::{Kind, ObjectId, Route};

use super::super::change::Change;
use super::super::published::Published;
use super::super::report::ObjectReport;
use super::object::{PENDING_LIMIT, PublishedObject, Step, StepOutcome, Surroundings, report};

/// A route. There may be thousands, most of which run as they are to: what is seldom there is kept apart.
#[derive(Debug, Default)]
pub(super) struct RouteObject {
    /// It is published.
    present: bool,
    /// The report on it, as told last; `None`: nothing of it was told.
    stands: Option<Arc<ObjectReport>>,
    /// The version of the object that it was last seen in as it runs.
    version: Option<Box<str>>,
    next: Option<Box<OfferedRoute>>,
    refused: Option<Box<Rejection>>,
}

/// A form that does not run yet.
#[derive(Debug)]
struct OfferedRoute {
    route: Box<Route>,
    version: Box<str>,
    since: Instant,
}

impl RouteObject {
    /// The revision that runs, as told last.
    fn running(&self) -> Option<&str> {
        self.stands.as_ref()?.revision.as_deref()
    }

    /// The step to take with it.
    fn next(&mut self, around: &Surroundings<'_>) -> Step<Box<Route>> {
        let Surroundings { runs, waits, now } = *around;
        let runs = |pool: &ObjectId| runs(Kind::ProviderPool, pool);
        let runs_already = self.running().is_some();
        if !self.present {
            return if runs_already { Step::Gone } else { Step::Stay };
        }
        let Some(offer) = self.next.take() else { return Step::Stay };
        let OfferedRoute { route, version, since } = *offer;
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
        self.next = Some(Box::new(OfferedRoute { route, version, since }));
        Step::Stay
    }
}

impl PublishedObject for RouteObject {
    fn offer(&mut self, form: &Published, features: &[&str], now: Instant) -> Result<(), String> {
        let route: Box<Route> = Box::new(form.compiled(features, |route: &Route| route.revision.as_str())?);
        let offer = Box::new(OfferedRoute { route, version: form.version.as_str().into(), since: now });
        (self.present, self.next, self.refused) = (true, Some(offer), None);
        Ok(())
    }

    fn refuse(&mut self, rejection: Box<Rejection>) {
        (self.present, self.next, self.refused) = (true, None, Some(rejection));
    }

    fn leave(&mut self) {
        (self.present, self.next, self.refused) = (false, None, None);
    }

    fn step(&mut self, id: &Arc<ObjectId>, around: &Surroundings<'_>) -> StepOutcome {
        let (change, running) = match self.next(around) {
            Step::Stay => (None, self.running().map(Into::into)),
            Step::Run(route) => {
                let revision = route.revision.as_str().into();
                (Some(Change::Put(Arc::clone(id), route.into(), Credentials::new())), Some(revision))
            }
            Step::Gone => (Some(Change::Gone(Kind::LlmRoute, Arc::clone(id))), None),
        };
        StepOutcome { change, running, credentials: None }
    }

    fn report(
        &self,
        id: &Arc<ObjectId>,
        running: Option<Box<str>>,
        _credentials: Option<Box<str>>,
        around: &Surroundings<'_>,
    ) -> ObjectReport {
        let Surroundings { runs, now, .. } = *around;
        let runs = |pool: &ObjectId| runs(Kind::ProviderPool, pool);
        let rejected = match (&self.refused, self.next.as_deref()) {
            (Some(refused), _) => Some(refused.clone()),
            (None, Some(OfferedRoute { route, version: _, since }))
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

    fn overdue_at(&self, now: Instant) -> Option<Instant> {
        self.next.as_ref().map(|next| next.since + PENDING_LIMIT).filter(|at| *at > now)
    }

    fn waits(&self) -> bool {
        self.next.is_some()
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

fn pools(route: &Route) -> impl Iterator<Item = &ObjectId> {
    route.rules.iter().flat_map(sluicegate_config::Rule::named).map(|target| &target.pool)
}
