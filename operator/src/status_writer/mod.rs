//! Says on each object how it stands: waits a moment for the proxies, so that one change costs one write, and writes a
//! status only where it differs.

mod attached_routes;
mod behind;
mod beside;
mod pacing;
mod repairs;
mod retract;
mod spend;

use std::cell::RefCell;
use std::collections::{HashMap, HashSet};
use std::rc::Rc;
use std::time::{Duration, Instant, SystemTime};

use futures_util::{StreamExt as _, stream};
use kube::api::{DynamicObject, Patch, PatchParams};
use kube::{Api, Client, Resource as _};
use sluicegate_config::compile::{Severity, Verdict};
use sluicegate_config::published::Content;
use sluicegate_config::{Budget, CountedLimit};
use sluicegate_crds::Status;
use tokio::sync::Notify;

use attached_routes::AttachedRoutesRefresh;
use behind::Behind;
use pacing::{SpendPacing, unix};
use repairs::RepairPacing;

use crate::client::error_text;
use crate::events::{EventRecorder, Transition};
use crate::lease::{LONGEST_WRITE, Leadership};
use crate::metrics::{Metrics, State};
use crate::rollout::{Changed, Rollout, RolloutState, Wanted};
use crate::status::{self, Case, GatewayId};
use crate::watch::api_resource;
use crate::world::{Key, MANAGER, Shared, World};

/// Proxies have this long to follow before a status says that they do not yet.
const PATIENCE: Duration = Duration::from_secs(1);
/// After a start nothing is said before enough is known of the proxies; whether it is, is looked at this often.
const UNKNOWN: Duration = Duration::from_millis(250);
/// A status in which only numbers or words differ, such as how many proxies there are, is written this much later: where
/// thousands of objects run, a proxy that comes is no reason to write thousands of statuses at once.
const LAZILY: Duration = Duration::from_secs(5);
/// A status that could not be written is tried again after this.
const AGAIN: Duration = Duration::from_secs(1);
/// A status of an object that had just changed is tried again after this, when the change has been seen.
const SOON: Duration = Duration::from_millis(50);
/// A status that the API server does not take as it is, is tried again after this.
const LATER: Duration = Duration::from_secs(30);
/// The most objects looked at in one go.
const MOST: usize = 256;
/// Writes on their way at once.
const AT_ONCE: usize = 32;

/// An object as the compiler and the publisher assess it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Assessment {
    /// `metadata.generation` that was compiled.
    pub generation: i64,
    /// The compiler's words.
    pub verdicts: Box<[Verdict]>,
    /// It serves in its previous form.
    pub kept: bool,
    /// The reason why it could not be published.
    pub unpublished: Option<String>,
    /// It serves in some form.
    pub serves: bool,
    /// The reason why no rule of it can serve, whoever runs it.
    pub idle: Option<&'static str>,
    /// The budgets that are counted for it.
    pub budgets: Box<[Budget]>,
    /// The limits that are counted for it.
    pub limits: Box<[CountedLimit]>,
    /// Its prices in words.
    pub prices: Option<String>,
}

impl Assessment {
    fn state(&self) -> &'static str {
        let refused = self.verdicts.iter().any(|verdict| verdict.severity == Severity::Error);
        match (self.serves, self.kept, refused) {
            (false, ..) => "refused",
            (true, true, _) => "kept",
            (true, false, true) => "partial",
            (true, false, false) => "serving",
        }
    }
}

/// An object that waits to be told.
#[derive(Debug, Clone, Copy)]
struct Waiting {
    /// Since when the proxies have had time.
    since: Instant,
    /// Not looked at before.
    not_before: Instant,
    /// Only numbers or words of its status differ, which may wait until then.
    lazy_until: Option<Instant>,
    /// Others have changed its status.
    repairs: bool,
}

impl Waiting {
    const fn since(now: Instant) -> Self {
        Self { since: now, not_before: now, lazy_until: None, repairs: false }
    }

    /// Something may have turned while it waited lazily: proxies have had their time from now on.
    fn look_now(&mut self, now: Instant) {
        if self.not_before > now {
            (self.since, self.not_before) = (now, now);
        }
    }
}

/// Writes statuses.
pub struct StatusWriter {
    client: Client,
    gateway: GatewayId,
    world: Shared,
    rollout: Rc<Rollout>,
    leadership: Rc<Leadership>,
    recorder: EventRecorder,
    metrics: Rc<Metrics>,
    assessments: RefCell<HashMap<Key, Assessment>>,
    waiting: RefCell<HashMap<Key, Waiting>>,
    attached_routes: RefCell<AttachedRoutesRefresh>,
    pacing: RefCell<SpendPacing>,
    /// Objects whose status may say now what was spent; of others it says what it said.
    spend_due: RefCell<HashSet<Key>>,
    /// Being published: nothing is said of them until they are considered again.
    held: RefCell<HashSet<Key>>,
    /// The statuses that stood before they were retracted for what is published now.
    announced: RefCell<HashMap<Key, Status>>,
    repairs: RefCell<RepairPacing>,
    /// Objects whose status is another gateway's word that may not see them any longer, and since when.
    unheeded: RefCell<HashMap<Key, Instant>>,
    /// Objects in whose status, which is ours, others speak of an earlier generation.
    behind: RefCell<HashMap<Key, Behind>>,
    /// The other gateways that the log has told of.
    told_gateways: RefCell<HashSet<String>>,
    /// Objects of which a status is being written.
    under_way: RefCell<HashSet<Key>>,
    /// One of these has been answered.
    arrived: Notify,
    wake: Notify,
}

/// The state of an object.
struct ObjectState {
    /// The form that proxies are to run; `None`: nothing of it is published.
    wanted: Option<Wanted>,
    standing: RolloutState,
    /// Another form is about to be published.
    publishing: bool,
}

/// The reason why a status was not written.
enum Unwritten {
    /// The object is gone.
    Gone,
    /// The object has changed since it was compiled.
    Conflict,
    /// The API server does not take it.
    Refused,
    /// It may be taken another time.
    Failed(String),
}

/// A status to write.
struct Write {
    key: Key,
    uid: String,
    /// `metadata.resourceVersion` of the object that was compiled.
    version: u64,
    /// The form of it that was published then.
    wanted: Option<Wanted>,
    from: Option<Status>,
    to: Status,
    /// It is another gateway's word, and this the one condition of ours in it.
    beside: bool,
    /// Other gateways whose conditions in it go.
    gone: Vec<GatewayId>,
}

impl StatusWriter {
    /// Knows nothing yet.
    #[must_use]
    pub fn new(
        (client, gateway): (Client, GatewayId),
        world: Shared,
        rollout: Rc<Rollout>,
        leadership: Rc<Leadership>,
        metrics: Rc<Metrics>,
    ) -> Self {
        let recorder = EventRecorder::new(&client);
        Self {
            client,
            gateway,
            world,
            rollout,
            leadership,
            recorder,
            metrics,
            assessments: RefCell::default(),
            waiting: RefCell::default(),
            attached_routes: RefCell::default(),
            pacing: RefCell::new(SpendPacing::new(Instant::now())),
            spend_due: RefCell::default(),
            held: RefCell::default(),
            announced: RefCell::default(),
            repairs: RefCell::default(),
            unheeded: RefCell::default(),
            behind: RefCell::default(),
            told_gateways: RefCell::default(),
            under_way: RefCell::default(),
            arrived: Notify::new(),
            wake: Notify::new(),
        }
    }

    /// Takes in what a pass found out. `None`: the object is gone.
    pub fn consider(&self, key: Key, assessment: Option<Assessment>) {
        let mut all = self.assessments.borrow_mut();
        let before = all.get(&key).map(Assessment::state);
        let after = assessment.as_ref().map(Assessment::state);
        if before != after {
            let gauge = |state| self.metrics.objects.get_or_create_owned(&State { kind: key.kind.as_str(), state });
            if let Some(gauge) = before.map(gauge) {
                gauge.dec();
            }
            if let Some(gauge) = after.map(gauge) {
                gauge.inc();
            }
        }
        let now = Instant::now();
        self.held.borrow_mut().remove(&key);
        self.consider_budgets(&key, assessment.as_ref(), now);
        match assessment {
            Some(assessment) => {
                self.waiting.borrow_mut().insert(key.clone(), Waiting::since(now));
                all.insert(key, assessment);
            }
            None => {
                self.waiting.borrow_mut().remove(&key);
                self.announced.borrow_mut().remove(&key);
                self.unheeded.borrow_mut().remove(&key);
                self.behind.borrow_mut().remove(&key);
                self.repairs.borrow_mut().forget(&key);
                all.remove(&key);
            }
        }
        self.wake.notify_one();
    }

    /// Writes for ever, while this replica leads.
    pub async fn run(&self) {
        let restated = Rc::clone(&self.world.borrow().restated);
        loop {
            let next = self.round().await;
            tokio::select! {
                () = self.wake.notified() => {}
                () = restated.notified() => {}
                changed = self.rollout.changed() => self.stir(&changed),
                used = self.rollout.budgets_used() => self.note_used(&used),
                () = sleep_until(next) => {}
            }
        }
    }

    /// The standing of some objects may have changed.
    fn stir(&self, changed: &Changed) {
        let now = Instant::now();
        let assessments = self.assessments.borrow();
        let mut waiting = self.waiting.borrow_mut();
        let mut stir = |key: &Key| {
            if assessments.contains_key(key) {
                waiting.entry(key.clone()).or_insert(Waiting::since(now)).look_now(now);
            }
        };
        match changed {
            Changed::All => assessments.keys().for_each(stir),
            Changed::Objects(objects) => {
                objects.iter().for_each(|(kind, id)| stir(&Key { kind: *kind, id: id.clone() }));
            }
        }
    }

    /// Statuses that others have changed are looked at now, pools whose routes changed when that has come to rest.
    fn collect_restated(&self) {
        let now = Instant::now();
        let mut world = self.world.borrow_mut();
        let mut waiting = self.waiting.borrow_mut();
        let repairs = self.repairs.borrow();
        for key in std::mem::take(&mut world.restate) {
            let not_before = repairs.due(&key, now);
            let fresh = Waiting { not_before, repairs: true, ..Waiting::since(now) };
            let wait = waiting.entry(key).or_insert(fresh);
            if not_before <= now {
                wait.look_now(now);
            }
        }
        let mut attached_routes = self.attached_routes.borrow_mut();
        std::mem::take(&mut world.attached_changed).into_iter().for_each(|key| attached_routes.note(key, now));
        for key in attached_routes.take(now) {
            let wait = waiting.entry(key).or_insert(Waiting::since(now));
            wait.look_now(now);
            // It has waited.
            wait.lazy_until = Some(now);
        }
        self.collect_spend(&mut waiting, now);
    }

    /// Writes what is due, and says when the next will be.
    async fn round(&self) -> Option<Instant> {
        if !self.leadership.holds() {
            return Some(Instant::now() + AGAIN);
        }
        self.collect_restated();
        let (writes, next) = self.look();
        let failed: Vec<(Key, Duration)> = stream::iter(writes)
            .map(|write| async move { self.write(&write).await.map(|again| (write.key, again)) })
            .buffer_unordered(AT_ONCE)
            .filter_map(std::future::ready)
            .collect()
            .await;
        let now = Instant::now();
        let mut waiting = self.waiting.borrow_mut();
        for (key, again) in failed {
            waiting.entry(key).or_insert(Waiting { not_before: now + again, ..Waiting::since(now) });
        }
        let again = waiting.values().map(|wait| wait.not_before).filter(|at| *at > now).min();
        let spend = self.pacing.borrow().due(now, unix());
        next.into_iter().chain(again).chain(self.attached_routes.borrow().due()).chain(spend).min()
    }

    /// Decides about all that wait: some statuses are to be written now, some objects go on waiting until some time.
    fn look(&self) -> (Vec<Write>, Option<Instant>) {
        let now = Instant::now();
        let mut waiting = self.waiting.borrow_mut();
        let (mut writes, mut done, mut next) = (Vec::new(), Vec::new(), None::<Instant>);
        for (key, wait) in waiting.iter_mut() {
            let deadline = wait.since + PATIENCE;
            if writes.len() >= MOST {
                next = Some(now);
                break;
            }
            if wait.not_before > now {
                next = Some(next.map_or(wait.not_before, |next| next.min(wait.not_before)));
                continue;
            }
            match self.decide(key, now >= deadline) {
                Decision::Wait => {
                    let again = deadline.max(now + UNKNOWN);
                    next = Some(next.map_or(again, |next| next.min(again)));
                }
                Decision::Nothing => done.push(key.clone()),
                Decision::Later(at) => {
                    wait.not_before = at;
                    next = Some(next.map_or(at, |next| next.min(at)));
                }
                Decision::Write(write)
                    if self.is_lazy(&write) && now < *wait.lazy_until.get_or_insert(now + LAZILY) =>
                {
                    wait.not_before = wait.lazy_until.unwrap_or(now);
                    next = Some(next.map_or(wait.not_before, |next| next.min(wait.not_before)));
                }
                Decision::Write(write) => {
                    if wait.repairs {
                        self.repairs.borrow_mut().repaired(key, now);
                    }
                    done.push(key.clone());
                    writes.push(*write);
                }
            }
        }
        for key in done {
            waiting.remove(&key);
        }
        (writes, next)
    }

    fn decide(&self, key: &Key, is_late: bool) -> Decision {
        let assessments = self.assessments.borrow();
        let world = self.world.borrow();
        let (Some(assessment), true) = (assessments.get(key), world.object(key).is_some()) else {
            return Decision::Nothing;
        };
        // A newer form is being compiled or published: it will be said instead.
        if world.queue.holds(key) || self.held.borrow().contains(key) {
            return Decision::Nothing;
        }
        let stand = self.stand(&world, key);
        // Of what is published nowhere there is nothing to wait for.
        let may_settle = stand.wanted.is_some() && !stand.standing.is_settled();
        if !stand.standing.known || (may_settle && !is_late) {
            return Decision::Wait;
        }
        match self.to_write(&world, key, assessment, &stand) {
            Some(write) => Decision::Write(Box::new(write)),
            None => {
                self.spend_due.borrow_mut().remove(key);
                self.heeded_by(key).map_or(Decision::Nothing, Decision::Later)
            }
        }
    }

    /// The state of an object with what is published of it.
    fn stand(&self, world: &World, key: &Key) -> ObjectState {
        let wanted = wanted(world, key);
        let standing = self.rollout.standing(key.kind, &key.id, wanted.as_ref());
        ObjectState { wanted, standing, publishing: false }
    }

    /// The status that an object ought to have, if it has another.
    fn to_write(&self, world: &World, key: &Key, assessment: &Assessment, stand: &ObjectState) -> Option<Write> {
        let object = world.object(key)?;
        let mut status: Option<Status> = object.status.as_deref().and_then(|status| serde_json::from_str(status).ok());
        let gone = self.without_gone(key, &mut status, assessment.generation);
        let attached = u32::try_from(world.attached(key)).unwrap_or(u32::MAX);
        let (budgets, limits) = self.spending(key, assessment, status.as_ref());
        let case = Case {
            gateway: &self.gateway,
            kind: key.kind,
            object: &key.id,
            generation: assessment.generation,
            status: status.as_ref(),
            verdicts: &assessment.verdicts,
            kept: assessment.kept,
            revision: stand.wanted.as_ref().map(|wanted| wanted.revision.as_str()),
            unpublished: assessment.unpublished.as_deref(),
            idle: assessment.idle,
            publishing: stand.publishing,
            attached_routes: key.kind.counts_routes().then_some(attached),
            prices: assessment.prices.as_deref(),
            budgets: &budgets,
            limits: &limits,
            standing: &stand.standing,
        };
        let (now, beside) = (SystemTime::now(), self.is_anothers(key, status.as_ref(), assessment.generation));
        let to = if beside {
            Status { conditions: vec![status::beside(&case, now)?], ..Status::default() }
        } else {
            status::desired(&case, now)?
        };
        let (key, uid, wanted) = (key.clone(), object.uid.to_string(), stand.wanted.clone());
        Some(Write { key, uid, version: object.version, wanted, from: status, to, beside, gone })
    }

    /// True if a status says nothing but other numbers and words than the one that stands, which is the last word on it.
    fn is_lazy(&self, write: &Write) -> bool {
        let says_the_same = write.from.as_ref().is_some_and(|from| {
            if write.beside {
                status::says_alike(from, &write.to, self.gateway.condition())
            } else {
                status::say_the_same(from, &write.to)
            }
        });
        says_the_same && !self.announced.borrow().contains_key(&write.key)
    }

    /// Writes a status and tells what turned by it. Says when it is to be tried again, unless that is done with.
    async fn write(&self, write: &Write) -> Option<Duration> {
        // What is published, or has been since this was decided, is considered again.
        let is_old =
            self.held.borrow().contains(&write.key) || wanted(&self.world.borrow(), &write.key) != write.wanted;
        if is_old || !self.leadership.holds() {
            return None;
        }
        match self.put(write).await {
            Ok(()) => {
                self.spend_written(write);
                self.tell(write).await;
                self.heeded_by(&write.key).map(|at| at.saturating_duration_since(Instant::now()))
            }
            Err(Unwritten::Gone) => None,
            Err(Unwritten::Conflict) => Some(SOON),
            Err(Unwritten::Refused) => Some(LATER),
            Err(Unwritten::Failed(_)) => Some(AGAIN),
        }
    }

    /// Writes a status.
    async fn put(&self, write: &Write) -> Result<(), Unwritten> {
        if !self.leadership.holds() {
            return Err(Unwritten::Failed("this replica leads no longer".to_owned()));
        }
        if self.clear_gone(write).await? {
            return Err(Unwritten::Conflict);
        }
        let (namespace, name) = write.key.parts();
        let resource = api_resource(write.key.kind);
        let api: Api<DynamicObject> = Api::namespaced_with(self.client.clone(), namespace, &resource);
        let patch = serde_json::json!({
            "apiVersion": DynamicObject::api_version(&resource),
            "kind": DynamicObject::kind(&resource),
            // Only over what was compiled: a newer form, or a namesake that has come since, is said itself.
            "metadata": { "name": name, "namespace": namespace, "resourceVersion": write.version.to_string() },
            "status": write.to,
        });
        let how = PatchParams::apply(if write.beside { self.gateway.manager() } else { MANAGER }).force();
        let patch = Patch::Apply(&patch);
        self.under_way.borrow_mut().insert(write.key.clone());
        let written = tokio::time::timeout(LONGEST_WRITE, api.patch_status(name, &how, &patch)).await;
        if let Ok(Ok(object)) = &written {
            self.note_written(&write.key, object);
            if !write.beside {
                self.fall_silent_beside(write).await;
            }
        }
        self.under_way.borrow_mut().remove(&write.key);
        self.arrived.notify_one();
        match written {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(error)) => Err(unwritten(&error, &write.key)),
            Err(_) => {
                tracing::warn!(kind = %write.key.kind, object = write.key.id.0, "a status was not written in time");
                Err(Unwritten::Failed("the API server does not answer".to_owned()))
            }
        }
    }

    /// A retraction is no news: the status before it counts.
    async fn tell(&self, write: &Write) {
        let before = self.announced.borrow_mut().remove(&write.key);
        // What turns is told by the gateway whose word the status is.
        if write.beside {
            return;
        }
        let transition = Transition {
            kind: write.key.kind,
            object: write.key.id.clone(),
            uid: write.uid.clone(),
            from: before.or_else(|| write.from.clone()),
            to: write.to.clone(),
        };
        if tokio::time::timeout(LONGEST_WRITE, self.recorder.tell(&transition)).await.is_err() {
            tracing::warn!(object = write.key.id.0, "an event was not written in time");
        }
    }
}

enum Decision {
    Write(Box<Write>),
    Nothing,
    /// Not before then, unless something turns meanwhile.
    Later(Instant),
    Wait,
}

/// The form of an object that proxies are to run: what is published of it.
fn wanted(world: &World, key: &Key) -> Option<Wanted> {
    let published = world.published(Content::Compiled(key.kind), &key.id)?;
    let credentials = world.published(Content::Credentials(key.kind), &key.id);
    Some(Wanted {
        revision: published.revision.to_string(),
        version: Some(published.version.to_string()),
        credentials: credentials.map(|own| own.version.to_string()),
    })
}

fn unwritten(error: &kube::Error, key: &Key) -> Unwritten {
    let refused = match error {
        kube::Error::Api(status) if status.is_not_found() => return Unwritten::Gone,
        kube::Error::Api(status) if status.is_conflict() => return Unwritten::Conflict,
        // Too many requests at once are another matter.
        kube::Error::Api(status) => (400..500).contains(&status.code) && status.code != 429,
        _ => false,
    };
    let error = error_text(error);
    tracing::warn!(error, kind = %key.kind, object = key.id.0, "a status could not be written");
    if refused { Unwritten::Refused } else { Unwritten::Failed(error) }
}

async fn sleep_until(at: Option<Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at.into()).await,
        None => std::future::pending().await,
    }
}
