//! What no control plane of this shape can go below: create, watch, write, watch, with nothing in between.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::pin::pin;
use std::rc::Rc;
use std::time::Instant;

use anyhow::{Context as _, Result};
use futures_util::StreamExt as _;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::{Api, DeleteParams, ListParams, ObjectMeta, Patch, PatchParams, PostParams};
use kube::runtime::watcher::{Config, Event};
use kube::runtime::{WatchStreamExt as _, watcher};
use kube::{Client, ResourceExt as _};
use tokio::sync::mpsc;

use super::figures::{PATIENCE, Times};

const MANAGER: &str = "sluicegate-bench";
/// What sources are labelled with, and what is made of them.
const STAGE: &str = "stage";

/// Times of this many rounds, one after the other.
///
/// # Errors
/// The API server refuses something, or a watch does not see it.
pub(crate) async fn measure(client: &Client, namespace: &str, rounds: usize) -> Result<Times> {
    let api: Api<ConfigMap> = Api::namespaced(client.clone(), namespace);
    let (mut sources, mut results) = (follow(&api, "source"), follow(&api, "result"));
    let failed = Rc::new(Cell::new(None));
    let (copying, told) = (api.clone(), Rc::clone(&failed));
    let copier = tokio::task::spawn_local(async move {
        while let Some((name, _)) = sources.recv().await {
            let how = PatchParams::apply(MANAGER).force();
            let name = name.replacen("source", "result", 1);
            if let Err(error) = copying.patch(&name, &how, &Patch::Apply(&object(&name, "result"))).await {
                told.set(Some(error));
            }
        }
    });
    let mut times = Times::default();
    for round in 0..rounds {
        let (source, wanted) = (format!("source-{round}"), format!("result-{round}"));
        let begin = Instant::now();
        api.create(&PostParams::default(), &object(&source, "source")).await?;
        let seen = async {
            loop {
                let (name, at) = results.recv().await.context("the watch has ended")?;
                if name == wanted {
                    return anyhow::Ok(at);
                }
            }
        };
        let seen = tokio::time::timeout(PATIENCE, seen).await;
        if let Some(error) = failed.take() {
            return Err(error.into());
        }
        times.add(seen.context("the floor: a result was not seen")??.saturating_duration_since(begin));
    }
    copier.abort();
    api.delete_collection(&DeleteParams::default(), &ListParams::default().labels(STAGE)).await?;
    Ok(times)
}

/// Names as a watch sees them, and when.
fn follow(api: &Api<ConfigMap>, stage: &str) -> mpsc::Receiver<(String, Instant)> {
    let (told, names) = mpsc::channel(64);
    let (api, stage) = (api.clone(), format!("{STAGE}={stage}"));
    tokio::task::spawn_local(async move {
        let mut events = pin!(watcher(api, Config::default().labels(&stage)).default_backoff());
        while let Some(event) = events.next().await {
            if let Ok(Event::Apply(map) | Event::InitApply(map)) = event
                && told.send((map.name_any(), Instant::now())).await.is_err()
            {
                return;
            }
        }
    });
    names
}

fn object(name: &str, stage: &str) -> ConfigMap {
    let labels = BTreeMap::from([(STAGE.to_owned(), stage.to_owned())]);
    let metadata = ObjectMeta { name: Some(name.to_owned()), labels: Some(labels), ..ObjectMeta::default() };
    // As large as a small compiled route.
    ConfigMap { metadata, data: Some(BTreeMap::from([("data".to_owned(), "x".repeat(512))])), ..ConfigMap::default() }
}
