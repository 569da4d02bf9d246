//! Says what turns about the owner of what is published: in the log, by a count, and by an Event on the owner.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use k8s_openapi::api::core::v1::ObjectReference;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use kube::Client;
use kube::runtime::events::{Event, EventType, Recorder, Reporter};
use tokio::sync::Notify;

use crate::client::error_text;
use crate::events::CONTROLLER;
use crate::lease::Leadership;
use crate::metrics::Metrics;
use crate::world::OwnerChange;

/// A replica that leads tells; one that is about to lead does when it does.
const AGAIN: Duration = Duration::from_secs(1);
/// The most times that that is waited for.
const MOST_TRIES: usize = 20;

/// Hears what turns about the owner, and tells it.
#[derive(Debug)]
pub struct OwnerReporter {
    name: Option<String>,
    namespace: String,
    metrics: Rc<Metrics>,
    /// The last change that was not told by an Event yet.
    untold: RefCell<Option<(OwnerChange, String)>>,
    wake: Notify,
}

impl OwnerReporter {
    /// Of the ConfigMap of this name in the gateway's namespace; `None`: nothing is to own what is published.
    #[must_use]
    pub fn new(name: Option<String>, namespace: &str, metrics: Rc<Metrics>) -> Self {
        metrics.is_owned.set(i64::from(name.is_none()));
        let (namespace, untold, wake) = (namespace.to_owned(), RefCell::default(), Notify::new());
        Self { name, namespace, metrics, untold, wake }
    }

    /// The owner's name.
    #[must_use]
    pub fn name(&self) -> Option<&str> {
        self.name.as_deref()
    }

    /// Something has turned.
    pub fn hear(&self, change: OwnerChange, owner: Option<&OwnerReference>) {
        let (name, uid) = (self.name(), owner.map_or("", |owner| &owner.uid));
        self.metrics.is_owned.set(i64::from(change != OwnerChange::Absent));
        match &change {
            OwnerChange::Found => tracing::info!(name, uid, "the ConfigMap that owns what is published is there"),
            OwnerChange::Replaced { objects } => {
                self.metrics.owner_changes.inc();
                tracing::warn!(
                    name,
                    uid,
                    objects,
                    "the ConfigMap that owns what is published was replaced: what is published is put down to the new one"
                );
            }
            OwnerChange::Absent => tracing::warn!(
                name,
                "the ConfigMap that owns what is published is not there: nothing is published until it is"
            ),
        }
        *self.untold.borrow_mut() = Some((change, uid.to_owned()));
        self.wake.notify_one();
    }

    /// Tells Events for ever, while this replica leads.
    pub async fn tell(&self, client: &Client, leadership: &Leadership) {
        loop {
            self.wake.notified().await;
            for _ in 0..MOST_TRIES {
                if leadership.holds() {
                    break;
                }
                tokio::time::sleep(AGAIN).await;
            }
            let untold = self.untold.borrow_mut().take();
            let Some((change, uid)) = untold.filter(|_| leadership.holds()) else { continue };
            if let Some(event) = event(&change) {
                self.publish(client, event, uid).await;
            }
        }
    }

    async fn publish(&self, client: &Client, event: Event, uid: String) {
        let owner = ObjectReference {
            api_version: Some("v1".to_owned()),
            kind: Some("ConfigMap".to_owned()),
            namespace: Some(self.namespace.clone()),
            name: self.name.clone(),
            uid: Some(uid).filter(|uid| !uid.is_empty()),
            ..ObjectReference::default()
        };
        let recorder = Recorder::new(client.clone(), Reporter::from(CONTROLLER));
        if let Err(error) = recorder.publish(&event, &owner).await {
            tracing::warn!(error = error_text(&error), "an event on the owner could not be written");
        }
    }
}

fn event(change: &OwnerChange) -> Option<Event> {
    let (reason, note) = match change {
        OwnerChange::Found => return None,
        OwnerChange::Replaced { objects } => (
            "OwnerReplaced",
            format!(
                "this ConfigMap owns what is published for its gateway and was replaced by one with another uid: the \
                 {objects} objects published then are put down to it, and those that the garbage collector took first are \
                 published again"
            ),
        ),
        OwnerChange::Absent => (
            "OwnerAbsent",
            "this ConfigMap owns what is published for its gateway and is not there: nothing is published until it is"
                .to_owned(),
        ),
    };
    let action = "Own".to_owned();
    Some(Event { type_: EventType::Warning, reason: reason.to_owned(), note: Some(note), action, secondary: None })
}
