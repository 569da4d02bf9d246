//! What is done to the parts and measured of them, phase by phase.

use std::rc::Rc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use kube::api::{Api, DeleteParams, PostParams};
use sluicegate_crds::ProviderPool;

use super::audit::Writes;
use super::churn::{Churn, Forms, Ground};
use super::figures::{Spent, Times};
use super::parts::Parts;
use super::probe::{Prober, Tally};
use super::routes::{self, Form};
use super::seen::Seen;

/// Requests of the bench under way at once, where many are.
const AT_ONCE: usize = 32;
/// Whatever comes after an operator has taken the lead, the judging of all objects included, comes within this time.
const AFTERMATH: Duration = Duration::from_secs(8);

/// Times and costs of routes created one by one.
#[derive(Debug, Clone, Default)]
pub(crate) struct Steps {
    /// From just before the create to the answer of the slowest proxy.
    pub served: Times,
    /// From just before the create to `Programmed`, as a watch sees it.
    pub programmed: Times,
    /// What was written meanwhile.
    pub writes: Writes,
}

/// Many routes created at once.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Burst {
    /// How many.
    pub routes: usize,
    /// From the first create to the last one's answer.
    pub creating: Duration,
    /// From the last create's answer until all are programmed.
    pub programming: Duration,
    /// CPU time of the operator.
    pub operator: Duration,
    /// CPU time of the proxy that took most.
    pub proxy: Duration,
}

/// Nothing happens.
#[derive(Debug, Clone)]
pub(crate) struct Rest {
    /// For how long.
    pub length: Duration,
    /// Resident memory of the operator in bytes.
    pub operator_memory: u64,
    /// Of the largest proxy.
    pub proxy_memory: u64,
    /// CPU time of the operator.
    pub operator: Duration,
    /// Of the proxy that took most.
    pub proxy: Duration,
    /// What was written.
    pub writes: Writes,
}

/// The operator is stopped and started.
#[derive(Debug, Clone)]
pub(crate) struct Restart {
    /// From the start of the process until it leads and has looked at everything.
    pub lead: Duration,
    /// Its resident memory then, in bytes.
    pub memory: u64,
    /// What it wrote, up to some seconds after.
    pub writes: Writes,
}

/// The parts and what watches them.
pub(crate) struct Bench {
    /// The parts.
    pub parts: Parts,
    /// Answers that must not be, over all phases.
    pub tally: Rc<Tally>,
    ground: Ground,
    prober: Prober,
}

impl Bench {
    /// Starts the parts and creates the pools.
    ///
    /// # Errors
    /// Something does not start or is refused.
    pub(crate) async fn start(proxies: usize) -> Result<Self> {
        let parts = Parts::start(proxies).await?;
        let pools: Api<ProviderPool> = Api::namespaced(parts.client.clone(), &parts.team);
        for pool in routes::pools()? {
            pools.create(&PostParams::default(), &pool).await?;
        }
        let api = Api::namespaced(parts.client.clone(), &parts.team);
        let (seen, tally) = (Seen::begin(api.clone()), Rc::new(Tally::default()));
        let prober = Prober::connect(&parts.addresses()).await?;
        let ground = Ground { api, seen, tally: Rc::clone(&tally), forms: Forms::default() };
        parts.quiet().await?;
        Ok(Self { parts, tally, ground, prober })
    }

    /// Creates these routes one by one, each when the one before is programmed.
    ///
    /// # Errors
    /// One is refused, or a proxy does not answer at all.
    pub(crate) async fn create_one_by_one(&mut self, routes: std::ops::Range<usize>) -> Result<Steps> {
        let moment = self.parts.now()?;
        let mut steps = Steps::default();
        for route in routes {
            self.create(Form::first(route), &mut steps).await?;
        }
        // The event of the last comes after its status.
        tokio::time::sleep(Duration::from_millis(200)).await;
        steps.writes = self.parts.written_since(moment)?;
        Ok(steps)
    }

    async fn create(&mut self, form: Form, steps: &mut Steps) -> Result<()> {
        let (object, name) = (form.object()?, form.name());
        let begin = Instant::now();
        let how = PostParams::default();
        let (created, served) =
            tokio::join!(self.ground.api.create(&how, &object), self.prober.until_served(form, &self.tally));
        let generation = created?.metadata.generation.context("an object without a generation")?;
        let programmed = self.ground.seen.programmed(&name, generation).await?;
        match (served?, programmed) {
            (Some(served), Some(programmed)) => {
                steps.served.add(served.saturating_duration_since(begin));
                steps.programmed.add(programmed.saturating_duration_since(begin));
                self.prober.must_serve(form, &self.tally).await?;
            }
            _ => self.tally.is_late(),
        }
        self.ground.forms.borrow_mut().insert(form.route, form.revision);
        Ok(())
    }

    /// As [`Bench::create_one_by_one`], while ten of the other routes are changed each second. Also times from each of
    /// these changes to its being programmed.
    ///
    /// # Errors
    /// As there.
    pub(crate) async fn create_under_churn(&mut self, routes: std::ops::Range<usize>) -> Result<(Steps, Times)> {
        let moment = self.parts.now()?;
        let churn = Churn::begin(self.ground.clone(), &self.parts.addresses()).await?;
        let steps = self.create_one_by_one(routes).await;
        let changes = churn.end().await?;
        // Also what the last changes cost.
        let writes = self.parts.written_since(moment)?;
        Ok((Steps { writes, ..steps? }, changes))
    }

    /// Creates these routes at once.
    ///
    /// # Errors
    /// One is refused, or not programmed in time.
    pub(crate) async fn create_at_once(&mut self, routes: std::ops::Range<usize>) -> Result<Burst> {
        let operator = Spent::of([self.parts.operator_process()?])?;
        let proxies = Spent::of(self.parts.proxy_processes())?;
        let (begin, count) = (Instant::now(), routes.len());
        let objects = routes.clone().map(|route| Form::first(route).object()).collect::<Result<Vec<_>>>()?;
        let how = PostParams::default();
        let creates = objects.iter().map(|object| self.ground.api.create(&how, object));
        stream::iter(creates).buffer_unordered(AT_ONCE).try_for_each(|_| std::future::ready(Ok(()))).await?;
        let created = Instant::now();
        let mut last = created;
        for route in routes.clone() {
            let programmed = self.ground.seen.programmed(&Form::first(route).name(), 1).await?;
            last = last.max(programmed.context("routes created at once are not programmed in time")?);
        }
        let burst = Burst {
            routes: count,
            creating: created - begin,
            programming: last - created,
            operator: Spent::of([self.parts.operator_process()?])?.most_since(&operator),
            proxy: Spent::of(self.parts.proxy_processes())?.most_since(&proxies),
        };
        for route in routes {
            self.prober.must_serve(Form::first(route), &self.tally).await?;
        }
        Ok(burst)
    }

    /// Deletes routes and waits until all is quiet.
    ///
    /// # Errors
    /// That is refused, or does not come in time.
    pub(crate) async fn delete(&mut self, routes: std::ops::Range<usize>) -> Result<()> {
        let names: Vec<String> = routes.clone().map(|route| Form::first(route).name()).collect();
        let how = DeleteParams::default();
        let deletes = names.iter().map(|name| self.ground.api.delete(name, &how));
        stream::iter(deletes).buffer_unordered(AT_ONCE).try_for_each(|_| std::future::ready(Ok(()))).await?;
        anyhow::ensure!(self.ground.seen.gone(&names).await, "deleted routes are still there");
        self.ground.forms.borrow_mut().retain(|route, _| !routes.contains(route));
        self.parts.quiet().await
    }

    /// Asks every proxy for every route. Whoever does not answer from its last form is wrong.
    ///
    /// # Errors
    /// A proxy does not answer at all.
    pub(crate) async fn ask_for_all(&mut self) -> Result<()> {
        let forms = self.ground.forms.borrow().clone();
        for (route, revision) in forms {
            self.prober.must_serve(Form { route, revision }, &self.tally).await?;
        }
        Ok(())
    }

    /// Does nothing for so long.
    ///
    /// # Errors
    /// A process is gone.
    pub(crate) async fn rest(&self, length: Duration) -> Result<Rest> {
        let moment = self.parts.now()?;
        let operator = Spent::of([self.parts.operator_process()?])?;
        let proxies = Spent::of(self.parts.proxy_processes())?;
        tokio::time::sleep(length).await;
        let memory = self.parts.proxy_processes().map(|process| process.resident());
        Ok(Rest {
            length,
            operator: Spent::of([self.parts.operator_process()?])?.most_since(&operator),
            proxy: Spent::of(self.parts.proxy_processes())?.most_since(&proxies),
            operator_memory: self.parts.operator_process()?.resident()?,
            proxy_memory: memory.collect::<std::io::Result<Vec<_>>>()?.into_iter().max().unwrap_or_default(),
            writes: self.parts.written_since(moment)?,
        })
    }

    /// Stops the operator and starts it again.
    ///
    /// # Errors
    /// It does not come back.
    pub(crate) async fn restart(&mut self) -> Result<Restart> {
        let moment = self.parts.now()?;
        let lead = self.parts.restart_operator().await?;
        tokio::time::sleep(AFTERMATH).await;
        let writes = self.parts.written_since(moment)?;
        Ok(Restart { lead, memory: self.parts.operator_process()?.resident()?, writes })
    }
}
