//! The rollout: watches the proxies' Pods, keeps a stream of `config::rollout::Line` to each, and tells how an object
//! stands.
//!
//! `Programmed` must never be true while a ready proxy answers otherwise, so whatever is not known counts as not running:
//!
//! - A pod **counts** when the API server says it is ready and it is not being deleted, or when its stream says that it takes
//!   calls. Either is enough: a proxy takes calls before its probe has been asked, and it may take some after its deletion
//!   has begun; and a pod that Services send calls to counts whatever it says of itself.
//! - A pod that counts **runs** an object when its last word on it names the wanted revision, from the wanted version of
//!   the ConfigMap, with the wanted version of its credentials. The version tells a change that was taken back from one that
//!   has not been seen yet: both have the revision of before.
//! - A pod that has **not been heard** runs nothing. It is asked from the moment it has an address, long before it is ready.
//! - A **lost** stream leaves the pod's last word standing for a second, which is what a new connection takes. That can
//!   not lie: what is published later has another version, which no earlier word names. After that second, or after 6 s of
//!   silence on a stream that stands, the pod runs nothing as far as anyone knows; if the API server calls it ready, it
//!   counts, and is waited for.
//! - A **restarted** proxy begins a new stream, whose first line replaces all that was known of it. A pod of the same name
//!   with another uid or address is another pod.
//! - A pod that is being deleted and is silent counts no more; nor does one that has ended, or whose probe fails and that
//!   says it takes no calls.
//!
//! After a start nothing is settled until each pod has been heard, or could not be reached, or 2 s have passed.

mod fleet;
mod pods;
mod state;
mod stream;
mod uses;

use std::cell::RefCell;
use std::collections::{BTreeSet, HashMap};
use std::rc::Rc;
use std::time::Instant;

use futures_util::{Stream, StreamExt as _};
use kube::Client;
use sluicegate_config::ObjectId;
use sluicegate_config::compile::Kind;
use tokio::sync::Notify;
use tokio::task::{AbortHandle, JoinSet};

use fleet::{Address, Fleet};
use state::Number;
use stream::StreamEvent;

pub use state::{Changed, RolloutState, Wanted};
pub use uses::{FleetSubjects, FleetUse};

/// Gives the token by which proxies know the operator, when there is one.
pub type TokenSource = Box<dyn Fn() -> Option<String>>;

/// Everything known of all proxies. Shared by `Rc`: the operator runs on one thread.
#[derive(Default)]
pub struct Rollout {
    token: Option<TokenSource>,
    fleet: RefCell<Fleet>,
    /// Some standing may have changed.
    changed: Notify,
    /// Something may have been told of the use of budgets.
    used: Notify,
    /// The fleet may be due at another time.
    stirred: Notify,
}

impl Rollout {
    /// One that shows this token to proxies.
    #[must_use]
    pub fn new(token: TokenSource) -> Self {
        Self { token: Some(token), ..Self::default() }
    }

    /// The rollout of an object; `None` wanted: it is to run nowhere.
    #[must_use]
    pub fn standing(&self, kind: Kind, object: &ObjectId, wanted: Option<&Wanted>) -> RolloutState {
        self.fleet.borrow().standing(kind, object, wanted)
    }

    /// True if the proxies' pods have been listed: nothing is known of any proxy before.
    #[must_use]
    pub fn is_listed(&self) -> bool {
        self.fleet.borrow().is_listed()
    }

    /// The reason why the proxies' pods can not be seen now.
    #[must_use]
    pub fn failing(&self) -> Option<String> {
        self.fleet.borrow().failing(Instant::now()).map(str::to_owned)
    }

    /// Waits until the standing of some objects may have changed. Changes between two calls are kept, coalesced. For one
    /// caller; cancel-safe.
    pub async fn changed(&self) -> Changed {
        loop {
            let changed = self.fleet.borrow_mut().take_changed();
            if let Some(changed) = changed {
                return changed;
            }
            self.changed.notified().await;
        }
    }

    /// The use of a budget over all proxies, as far as they have told.
    #[must_use]
    pub fn budget_use(&self, identity: &str) -> Option<FleetUse> {
        self.fleet.borrow().uses.of(identity)
    }

    /// The use of a template's budget by the consumers that were made of it, as far as proxies have told.
    #[must_use]
    pub fn subjects_use(&self, identity: &str) -> Option<FleetSubjects> {
        self.fleet.borrow().uses.subjects_of(identity)
    }

    /// Waits until proxies have told of budgets, and says of which. For one caller; cancel-safe.
    pub async fn budgets_used(&self) -> BTreeSet<String> {
        loop {
            let changed = self.fleet.borrow_mut().uses.take_changed();
            if !changed.is_empty() {
                return changed;
            }
            self.used.notified().await;
        }
    }

    /// Follows the proxies' Pods and their streams until it is dropped. Must run on a `LocalSet` or a local runtime.
    pub async fn run(self: Rc<Self>, client: Client, namespace: &str, selector: &str) {
        self.follow(pods::watch(client, namespace, selector)).await;
    }

    /// Follows what is seen of pods.
    async fn follow(self: Rc<Self>, seen: impl Stream<Item = fleet::PodEvent>) {
        let mut seen = std::pin::pin!(seen.fuse());
        let mut streams = Streams { rollout: Rc::clone(&self), tasks: JoinSet::new(), of: HashMap::new() };
        loop {
            let due = self.fleet.borrow().due();
            tokio::select! {
                Some(seen) = seen.next() => self.tell(|fleet, now| fleet.seen(seen, now)),
                () = sleep_until(due) => self.tell(Fleet::pass),
                () = self.stirred.notified() => {}
                Some(_) = streams.tasks.join_next() => {}
            }
            streams.reconcile();
        }
    }

    /// Lets the fleet know something, and others what came of it.
    fn tell(&self, what: impl FnOnce(&mut Fleet, Instant)) {
        let mut fleet = self.fleet.borrow_mut();
        what(&mut fleet, Instant::now());
        if fleet.has_changed() {
            self.changed.notify_one();
        }
        if fleet.uses.has_changed() {
            self.used.notify_one();
        }
        self.stirred.notify_one();
    }

    fn hear(&self, pod: Number, told: StreamEvent) {
        self.tell(|fleet, now| match told {
            StreamEvent::Line(line) => fleet.heard(pod, line),
            StreamEvent::Lost(error) => fleet.lost(pod, &error, now),
            StreamEvent::Silent => fleet.silent(pod, now),
        });
    }
}

/// A stream to each pod that has an address.
struct Streams {
    rollout: Rc<Rollout>,
    tasks: JoinSet<()>,
    of: HashMap<Number, AbortHandle>,
}

impl Streams {
    /// Begins and ends streams, so that there is one to each pod.
    fn reconcile(&mut self) {
        let wanted: HashMap<Number, Address> = self.rollout.fleet.borrow().addresses().collect();
        self.of.retain(|pod, stream| {
            let stays = wanted.contains_key(pod);
            if !stays {
                stream.abort();
            }
            stays
        });
        for (pod, address) in wanted {
            let (rollout, tasks) = (&self.rollout, &mut self.tasks);
            self.of.entry(pod).or_insert_with(|| {
                let rollout = Rc::clone(rollout);
                tasks.spawn_local(async move {
                    let token = || rollout.token.as_ref().and_then(|token| token());
                    stream::follow(address, token, |told| rollout.hear(pod, told)).await;
                })
            });
        }
    }
}

async fn sleep_until(at: Option<Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at.into()).await,
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests;
