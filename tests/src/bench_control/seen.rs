//! What a watch on the routes sees: when a generation of a route was first said to be programmed.

use std::cell::RefCell;
use std::collections::HashMap;
use std::pin::pin;
use std::rc::Rc;
use std::time::Instant;

use anyhow::{Context as _, Result};
use futures_util::StreamExt as _;
use kube::api::Api;
use kube::runtime::watcher::{Config, Event};
use kube::runtime::{WatchStreamExt as _, watcher};
use sluicegate_crds::{ConditionStatus, LLMRoute};
use tokio::sync::watch;

use super::figures::PATIENCE;

/// What was seen so far.
#[derive(Debug)]
pub(crate) struct Seen {
    programmed: RefCell<HashMap<String, (i64, Instant)>>,
    turns: watch::Sender<u64>,
}

impl Seen {
    /// Begins to watch. To be called inside a `LocalSet`.
    pub(crate) fn begin(api: Api<LLMRoute>) -> Rc<Self> {
        let seen = Rc::new(Self { programmed: RefCell::default(), turns: watch::Sender::new(0) });
        let watching = Rc::clone(&seen);
        tokio::task::spawn_local(async move { watching.follow(api).await });
        seen
    }

    async fn follow(&self, api: Api<LLMRoute>) {
        let mut events = pin!(watcher(api, Config::default()).default_backoff());
        while let Some(event) = events.next().await {
            match event {
                Ok(Event::Apply(route) | Event::InitApply(route)) => self.take(&route),
                Ok(Event::Delete(route)) => {
                    self.programmed.borrow_mut().remove(route.metadata.name.as_deref().unwrap_or_default());
                }
                Ok(Event::Init | Event::InitDone) => {}
                Err(error) => complain(&error),
            }
            self.turns.send_modify(|turn| *turn += 1);
        }
    }

    fn take(&self, route: &LLMRoute) {
        let Some(generation) = programmed(route) else { return };
        let now = Instant::now();
        let mut all = self.programmed.borrow_mut();
        let entry = all.entry(route.metadata.name.clone().unwrap_or_default()).or_insert((generation, now));
        if entry.0 < generation {
            *entry = (generation, now);
        }
    }

    /// Waits until a route is programmed in this generation or a later one; `None`: that was not seen in time.
    ///
    /// # Errors
    /// The watch has ended.
    pub(crate) async fn programmed(&self, name: &str, generation: i64) -> Result<Option<Instant>> {
        let mut turns = self.turns.subscribe();
        let wait = async {
            loop {
                // What comes while this is looked at wakes up what follows.
                turns.borrow_and_update();
                let moment = self.programmed.borrow().get(name).filter(|at| at.0 >= generation).map(|at| at.1);
                if let Some(moment) = moment {
                    return Ok(moment);
                }
                turns.changed().await.context("the watch has ended")?;
            }
        };
        tokio::time::timeout(PATIENCE, wait).await.ok().transpose()
    }

    /// Waits until none of these is there any longer. Says whether that was seen in time.
    pub(crate) async fn gone(&self, names: &[String]) -> bool {
        let mut turns = self.turns.subscribe();
        let wait = async {
            while names.iter().any(|name| self.programmed.borrow().contains_key(name)) {
                if turns.changed().await.is_err() {
                    return;
                }
            }
        };
        tokio::time::timeout(PATIENCE, wait).await.is_ok()
    }
}

/// The generation that a route's status says is programmed, when it is the one that the object has.
fn programmed(route: &LLMRoute) -> Option<i64> {
    let conditions = &route.status.as_ref()?.conditions;
    let condition = conditions.iter().find(|condition| condition.kind == "Programmed")?;
    let generation = route.metadata.generation?;
    let holds = condition.status == ConditionStatus::True && condition.observed_generation == Some(generation);
    holds.then_some(generation)
}

#[expect(clippy::print_stderr, reason = "times taken from a watch that broke are worth nothing")]
fn complain(error: &watcher::Error) {
    eprintln!("the watch on routes broke: {error}");
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn only_the_own_generation_counts() {
        let route = |status: &str, observed: i64| {
            let mut route = super::super::routes::Form::first(1).object().unwrap();
            route.metadata.generation = Some(3);
            let condition = json!({"type": "Programmed", "status": status, "observedGeneration": observed,
                "lastTransitionTime": "2026-01-01T00:00:00Z", "reason": "X", "message": ""});
            route.status = serde_json::from_value(json!({"conditions": [condition]})).unwrap();
            programmed(&route)
        };
        assert_eq!(route("True", 3), Some(3));
        assert_eq!(route("True", 2), None);
        assert_eq!(route("False", 3), None);
    }
}
