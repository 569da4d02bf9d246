//! Says on each object how it stands: waits a moment for the proxies, so that one change costs one write, and writes a
//! status only where it differs.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;
use std::time::{Duration, Instant, SystemTime};

use futures_util::{StreamExt as _, stream};
use kube::api::{DynamicObject, Patch, PatchParams};
use kube::{Api, Client, Resource as _};
use sluicegate_config::compile::{Kind, Severity, Verdict};
use sluicegate_config::published::Content;
use sluicegate_crds::Status;
use tokio::sync::Notify;

use crate::client::told;
use crate::events::{Teller, Transition};
use crate::lease::{LONGEST_WRITE, Leadership};
use crate::metrics::{Metrics, State};
use crate::rollout::{Changed, Rollout, Wanted};
use crate::status::{self, Case};
use crate::watch::api_resource;
use crate::world::{Key, MANAGER, Shared, content_of};

/// Proxies have this long to follow before a status says that they do not yet.
const PATIENCE: Duration = Duration::from_secs(1);
/// After a start nothing is said before enough is known of the proxies; whether it is, is looked at this often.
const UNKNOWN: Duration = Duration::from_millis(250);
/// A status in which only numbers or words differ, such as how many proxies or routes there are, is written at most this
/// often: where thousands of objects run, a proxy that comes is no reason to write thousands of statuses at once.
const LAZILY: Duration = Duration::from_secs(5);
/// A status that could not be written is tried again after this.
const AGAIN: Duration = Duration::from_secs(1);
/// A status of an object that had just changed is tried again after this, when the change has been seen.
const SOON: Duration = Duration::from_millis(50);
/// The most objects looked at in one go.
const MOST: usize = 256;
/// Writes on their way at once.
const AT_ONCE: usize = 32;

/// What the compiler and the publisher say about an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Judged {
    /// `metadata.generation` that was judged.
    pub generation: i64,
    /// The compiler's words.
    pub verdicts: Box<[Verdict]>,
    /// It serves in its previous form.
    pub kept: bool,
    /// Why it could not be published.
    pub unpublished: Option<String>,
    /// It serves in some form.
    pub serves: bool,
}

impl Judged {
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
}

impl Waiting {
    const fn since(now: Instant) -> Self {
        Self { since: now, not_before: now, lazy_until: None }
    }

    /// Something may have turned while it waited lazily: proxies have had their time from now on.
    fn look_now(&mut self, now: Instant) {
        if self.not_before > now {
            (self.since, self.not_before) = (now, now);
        }
    }
}

/// Judges objects.
pub struct Judge {
    client: Client,
    world: Shared,
    rollout: Rc<Rollout>,
    leadership: Rc<Leadership>,
    teller: Teller,
    metrics: Rc<Metrics>,
    judged: RefCell<HashMap<Key, Judged>>,
    waiting: RefCell<HashMap<Key, Waiting>>,
    wake: Notify,
}

/// A status to write.
struct Write {
    key: Key,
    uid: String,
    /// `metadata.resourceVersion` of the object that was judged.
    version: u64,
    from: Option<Status>,
    to: Status,
}

impl Write {
    /// Whether it says nothing but other numbers and words.
    fn is_lazy(&self) -> bool {
        self.from.as_ref().is_some_and(|from| status::say_the_same(from, &self.to))
    }
}

impl Judge {
    /// Knows nothing yet.
    #[must_use]
    pub fn new(
        client: Client,
        world: Shared,
        rollout: Rc<Rollout>,
        leadership: Rc<Leadership>,
        metrics: Rc<Metrics>,
    ) -> Self {
        let teller = Teller::new(&client);
        let (judged, waiting) = (RefCell::default(), RefCell::default());
        Self { client, world, rollout, leadership, teller, metrics, judged, waiting, wake: Notify::new() }
    }

    /// Takes in what a turn found out. `None`: the object is gone.
    pub fn consider(&self, key: Key, judged: Option<Judged>) {
        let mut all = self.judged.borrow_mut();
        let before = all.get(&key).map(Judged::state);
        let after = judged.as_ref().map(Judged::state);
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
        match judged {
            Some(judged) => {
                self.waiting.borrow_mut().insert(key.clone(), Waiting::since(now));
                all.insert(key, judged);
            }
            None => {
                self.waiting.borrow_mut().remove(&key);
                all.remove(&key);
            }
        }
        self.wake.notify_one();
    }

    /// Judges for ever, while this replica leads.
    pub async fn run(&self) {
        loop {
            let next = self.round().await;
            tokio::select! {
                () = self.wake.notified() => {}
                changed = self.rollout.changed() => self.stir(&changed),
                () = sleep_until(next) => {}
            }
        }
    }

    /// The standing of some objects may have changed.
    fn stir(&self, changed: &Changed) {
        let now = Instant::now();
        let judged = self.judged.borrow();
        let mut waiting = self.waiting.borrow_mut();
        let mut stir = |key: &Key| {
            if judged.contains_key(key) {
                waiting.entry(key.clone()).or_insert(Waiting::since(now)).look_now(now);
            }
        };
        match changed {
            Changed::All => judged.keys().for_each(stir),
            Changed::Objects(objects) => {
                objects.iter().for_each(|(kind, id)| stir(&Key { kind: *kind, id: id.clone() }));
            }
        }
    }

    /// Statuses that others have changed are looked at now, pools whose routes changed in a while.
    fn collect_restated(&self) {
        let now = Instant::now();
        let mut world = self.world.borrow_mut();
        let mut waiting = self.waiting.borrow_mut();
        for key in std::mem::take(&mut world.restate) {
            waiting.entry(key).or_insert(Waiting::since(now)).look_now(now);
        }
        for id in std::mem::take(&mut world.recount) {
            let key = Key { kind: Kind::ProviderPool, id };
            let later = now + LAZILY;
            let lazily = Waiting { not_before: later, lazy_until: Some(later), ..Waiting::since(now) };
            waiting.entry(key).or_insert(lazily);
        }
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
        if waiting.is_empty() { None } else { next }
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
                Decision::Write(write) if write.is_lazy() && now < *wait.lazy_until.get_or_insert(now + LAZILY) => {
                    wait.not_before = wait.lazy_until.unwrap_or(now);
                    next = Some(next.map_or(wait.not_before, |next| next.min(wait.not_before)));
                }
                Decision::Write(write) => {
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
        let judged = self.judged.borrow();
        let world = self.world.borrow();
        let (Some(judged), Some(object)) = (judged.get(key), world.object(key)) else { return Decision::Nothing };
        // A newer form is being compiled: it will be judged instead.
        if world.queue.holds(key) {
            return Decision::Nothing;
        }
        let published = world.published(content_of(key.kind), &key.id);
        let wanted = published.map(|published| Wanted {
            revision: published.revision.to_string(),
            version: Some(published.version.to_string()),
            credentials: match key.kind {
                Kind::LlmRoute => None,
                Kind::ProviderPool => world.published(Content::Credentials, &key.id).map(|own| own.version.to_string()),
            },
        });
        let standing = self.rollout.standing(key.kind, &key.id, wanted.as_ref());
        // Of what is published nowhere there is nothing to wait for.
        let may_settle = wanted.is_some() && !standing.is_settled();
        if !standing.known || (may_settle && !is_late) {
            return Decision::Wait;
        }
        let status: Option<Status> = object.status.as_deref().and_then(|status| serde_json::from_str(status).ok());
        let attached = u32::try_from(world.attached(&key.id)).unwrap_or(u32::MAX);
        let to = status::desired(
            &Case {
                kind: key.kind,
                object: &key.id,
                generation: judged.generation,
                status: status.as_ref(),
                verdicts: &judged.verdicts,
                kept: judged.kept,
                revision: wanted.as_ref().map(|wanted| wanted.revision.as_str()),
                unpublished: judged.unpublished.as_deref(),
                attached_routes: (key.kind == Kind::ProviderPool).then_some(attached),
                standing: &standing,
            },
            SystemTime::now(),
        );
        match to {
            Some(to) => {
                let (uid, version) = (object.uid.to_string(), object.version);
                Decision::Write(Box::new(Write { key: key.clone(), uid, version, from: status, to }))
            }
            None => Decision::Nothing,
        }
    }

    /// Writes a status. Says when it is to be tried again, unless that is done with.
    async fn write(&self, write: &Write) -> Option<Duration> {
        if !self.leadership.holds() {
            return None;
        }
        let (namespace, name) = write.key.parts();
        let resource = api_resource(write.key.kind);
        let api: Api<DynamicObject> = Api::namespaced_with(self.client.clone(), namespace, &resource);
        let patch = serde_json::json!({
            "apiVersion": DynamicObject::api_version(&resource),
            "kind": DynamicObject::kind(&resource),
            // Only over what was judged: a newer form, or a namesake that has come since, will be judged itself.
            "metadata": { "name": name, "namespace": namespace, "resourceVersion": write.version.to_string() },
            "status": write.to,
        });
        let how = PatchParams::apply(MANAGER).force();
        let patch = Patch::Apply(&patch);
        let written = tokio::time::timeout(LONGEST_WRITE, api.patch_status(name, &how, &patch)).await;
        match written {
            Ok(Ok(object)) => {
                drop(self.world.borrow_mut().seen(write.key.kind, &object));
                self.tell(write).await;
                None
            }
            // It is gone.
            Ok(Err(kube::Error::Api(status))) if status.is_not_found() => None,
            Ok(Err(kube::Error::Api(status))) if status.is_conflict() => Some(SOON),
            Ok(Err(error)) => {
                tracing::warn!(error = told(&error), kind = %write.key.kind, object = write.key.id.0, "a status could not be written");
                Some(AGAIN)
            }
            Err(_) => {
                tracing::warn!(kind = %write.key.kind, object = write.key.id.0, "a status was not written in time");
                Some(AGAIN)
            }
        }
    }

    async fn tell(&self, write: &Write) {
        let transition = Transition {
            kind: write.key.kind,
            object: write.key.id.clone(),
            uid: write.uid.clone(),
            from: write.from.clone(),
            to: write.to.clone(),
        };
        if tokio::time::timeout(LONGEST_WRITE, self.teller.tell(&transition)).await.is_err() {
            tracing::warn!(object = write.key.id.0, "an event was not written in time");
        }
    }
}

enum Decision {
    Write(Box<Write>),
    Nothing,
    Wait,
}

async fn sleep_until(at: Option<Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at.into()).await,
        None => std::future::pending().await,
    }
}
