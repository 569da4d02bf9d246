//! Changes of routes that are there already, at a rate, beside what is measured; each of them is followed up.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use kube::api::{Api, Patch, PatchParams};
use sluicegate_crds::LLMRoute;
use tokio::sync::Mutex;
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::MissedTickBehavior;

use super::figures::Times;
use super::probe::{Prober, Tally};
use super::routes::Form;
use super::seen::Seen;

/// From one change to the next: ten a second.
const EVERY: Duration = Duration::from_millis(100);

/// The routes that are there, each with its revision.
pub(crate) type Forms = Rc<RefCell<BTreeMap<usize, u32>>>;

/// What a churn works with.
#[derive(Debug, Clone)]
pub(crate) struct Ground {
    /// The routes' API.
    pub api: Api<LLMRoute>,
    /// What the watch sees.
    pub seen: Rc<Seen>,
    /// Answers that must not be.
    pub tally: Rc<Tally>,
    /// What is there.
    pub forms: Forms,
}

/// A churn under way.
#[derive(Debug)]
pub(crate) struct Churn {
    stop: Rc<Cell<bool>>,
    task: JoinHandle<Result<Times>>,
}

impl Churn {
    /// Begins. To be called inside a `LocalSet`.
    ///
    /// # Errors
    /// A proxy cannot be connected to.
    pub(crate) async fn begin(ground: Ground, proxies: &[SocketAddr]) -> Result<Self> {
        let prober = Rc::new(Mutex::new(Prober::connect(proxies).await?));
        let stop = Rc::new(Cell::new(false));
        // Routes that are created meanwhile are measured by somebody else.
        let routes: Vec<usize> = ground.forms.borrow().keys().copied().collect();
        let task = tokio::task::spawn_local(run(ground, prober, routes, Rc::clone(&stop)));
        Ok(Self { stop, task })
    }

    /// Ends when every change has been followed up; times from each change to its being programmed.
    ///
    /// # Errors
    /// A change was refused, or a proxy does not answer.
    pub(crate) async fn end(self) -> Result<Times> {
        self.stop.set(true);
        self.task.await.context("the churn")?
    }
}

async fn run(ground: Ground, prober: Rc<Mutex<Prober>>, routes: Vec<usize>, stop: Rc<Cell<bool>>) -> Result<Times> {
    let mut pace = tokio::time::interval(EVERY);
    pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let (mut under_way, mut times) = (JoinSet::new(), Times::default());
    for turn in 0_usize.. {
        if stop.get() {
            break;
        }
        pace.tick().await;
        // A stride that shares no factor with any count of routes in use: neighbours share no pool, all take their turn.
        let Some(route) = routes.get((turn * 7919) % routes.len().max(1)) else { break };
        under_way.spawn_local(change(ground.clone(), Rc::clone(&prober), *route));
        while let Some(done) = under_way.try_join_next() {
            times.extend(done??);
        }
    }
    while let Some(done) = under_way.join_next().await {
        times.extend(done??);
    }
    Ok(times)
}

/// Changes a route, and waits until it is programmed; then every proxy must answer so.
async fn change(ground: Ground, prober: Rc<Mutex<Prober>>, route: usize) -> Result<Option<Duration>> {
    let Ground { api, seen, tally, forms } = ground;
    let revision = forms.borrow().get(&route).copied().unwrap_or_default();
    let form = Form { route, revision }.next();
    forms.borrow_mut().insert(route, form.revision);
    let begin = Instant::now();
    let changed = api.patch(&form.name(), &PatchParams::default(), &Patch::Merge(&form.patch())).await?;
    let generation = changed.metadata.generation.context("an object without a generation")?;
    let Some(programmed) = seen.programmed(&form.name(), generation).await? else {
        tally.is_late();
        return Ok(None);
    };
    prober.lock().await.must_serve(form, &tally).await?;
    Ok(Some(programmed.saturating_duration_since(begin)))
}
