//! In a cluster: watches the published objects of a gateway. The one file of the proxy that names Kubernetes.
//!
//! Two watches in one namespace, by label: ConfigMaps (routes and pools) and Secrets (credentials). They list, watch,
//! and begin again after whatever fails, for as long as the process runs. What they say goes to
//! [`Assembly`](super::assembly::Assembly), which knows no cluster. Lists are consistent reads: one from an old cache
//! could take a configuration back.

use std::fmt;
use std::time::{Duration, Instant};

use futures_util::{Stream, StreamExt};
use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::api::{Api, ListParams};
use kube::runtime::watcher::{self, watcher};
use kube::{Client, Config};
use serde::de::DeserializeOwned;
use sluicegate_config::api_server::{HighestVersion, LOOK_BACK, SILENCE, WATCH_SECONDS};
use sluicegate_config::published::{
    CONTENT_LABEL, DATA_KEY, GATEWAY_LABEL, OBJECT_ANNOTATION, REVISION_ANNOTATION, TOKEN_KEY, WITHDRAWN_ANNOTATION,
};
use tokio::sync::mpsc;

use super::assembly::{Event, WatchKind};
use super::published::Published;

/// Objects of a page of a list.
const PAGE: u32 = 500;
/// Events that wait to be taken in; the API server waits with further ones.
const WAITING: usize = 256;
/// After a failure the API server is asked again after this, doubled each time …
const FIRST_WAIT: Duration = Duration::from_millis(100);
/// … up to this.
const LONGEST_WAIT: Duration = Duration::from_secs(5);

/// A message of the watches.
#[derive(Debug)]
pub(super) enum WatchMessage {
    /// Something about objects.
    Event(Event),
    /// A watch fails, and why; it is tried again.
    Failing(WatchKind, String),
}

/// The place of the published objects.
pub struct Cluster {
    client: Config,
    gateway: String,
    namespace: String,
}

impl fmt::Debug for Cluster {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Cluster(gateway {} in {} at {})", self.gateway, self.namespace, self.client.cluster_url)
    }
}

impl Cluster {
    /// Finds the API server: by the pod's service account, or by a kubeconfig. Does not speak to it yet. Without
    /// `namespace`: the pod's own, or the kubeconfig's.
    ///
    /// # Errors
    /// There is neither.
    pub async fn infer(gateway: &str, namespace: Option<&str>) -> anyhow::Result<Self> {
        // The API server is the cluster's own: a proxy on the way out (`HTTPS_PROXY`) is not on the way there.
        let mut client = Config::infer().await?;
        client.proxy_url = None;
        // Nobody waits for ever on a connection that has died without a word.
        (client.read_timeout, client.reset_reader_on_write) = (Some(SILENCE), true);
        let namespace = namespace.map_or_else(|| client.default_namespace.clone(), str::to_owned);
        Ok(Self { client, gateway: gateway.to_owned(), namespace })
    }

    /// Begins both watches on this thread. They end when nobody listens any more.
    ///
    /// # Errors
    /// No client can be made of what was found (certificates, token).
    pub(super) fn watch(&self) -> anyhow::Result<mpsc::Receiver<WatchMessage>> {
        let client = Client::try_from(self.client.clone())?;
        let (words, heard) = mpsc::channel(WAITING);
        let settings = watcher::Config {
            label_selector: Some(format!("{GATEWAY_LABEL}={}", self.gateway)),
            timeout: Some(WATCH_SECONDS),
            page_size: Some(PAGE),
            ..watcher::Config::default()
        };
        let configs = Api::<ConfigMap>::namespaced(client.clone(), &self.namespace);
        let secrets = Api::<Secret>::namespaced(client, &self.namespace);
        tokio::task::spawn_local(follow(configs, settings.clone(), (WatchKind::Configs, config_map), words.clone()));
        tokio::task::spawn_local(follow(secrets, settings, (WatchKind::Secrets, secret), words));
        Ok(heard)
    }

    /// The gateway's name.
    pub(super) fn gateway(&self) -> &str {
        &self.gateway
    }
}

/// Follows one watch for as long as somebody listens. It lists anew where the cluster's state has gone back.
async fn follow<K>(
    api: Api<K>,
    settings: watcher::Config,
    (watched, strip): (WatchKind, fn(K) -> Published),
    words: mpsc::Sender<WatchMessage>,
) where
    K: kube::Resource + Clone + DeserializeOwned + fmt::Debug + Send + 'static,
{
    let one = ListParams { label_selector: settings.label_selector.clone(), limit: Some(1), ..ListParams::default() };
    loop {
        let objects = watcher(api.clone(), settings.clone());
        tokio::select! {
            () = tell(objects, watched, strip, words.clone()) => return,
            () = rewound(&api, &one) => tracing::warn!(
                ?watched,
                "the cluster's state was put back to an earlier one, as by a restore of etcd: all that is published is read anew"
            ),
        }
    }
}

/// Waits until a list's version is lower than one before. These are consistent reads: versions only grow.
async fn rewound<K>(api: &Api<K>, one: &ListParams)
where
    K: Clone + DeserializeOwned + fmt::Debug,
{
    let mut highest = HighestVersion::default();
    loop {
        tokio::time::sleep(LOOK_BACK.mul_f64(0.75 + rand::random::<f64>() / 2.0)).await;
        // What fails the watch itself tells.
        let list = api.list_metadata(one).await.ok();
        if highest.goes_back(list.and_then(|list| list.metadata.resource_version).as_deref()) {
            return;
        }
    }
}

/// Tells of one watch for as long as somebody listens.
async fn tell<K>(
    objects: impl Stream<Item = watcher::Result<watcher::Event<K>>>,
    watched: WatchKind,
    strip: fn(K) -> Published,
    words: mpsc::Sender<WatchMessage>,
) {
    let mut objects = std::pin::pin!(objects);
    let (mut wait, mut worked) = (FIRST_WAIT, Instant::now());
    let (mut pause, mut begun) = (Duration::ZERO, Instant::now());
    while let Some(said) = objects.next().await {
        let word = match said {
            Ok(event) => {
                if !matches!(event, watcher::Event::Init) {
                    (wait, worked) = (FIRST_WAIT, Instant::now());
                }
                WatchMessage::Event(event_of(event, watched, strip))
            }
            Err(error) => {
                let quiet = is_routine(&error) && worked.elapsed() < LONGEST_WAIT * 24;
                if quiet {
                    tracing::debug!(?watched, error = describe(&error), "a watch begins anew");
                    // One that lasts no while would list everything again and again.
                    pause = if begun.elapsed() > LONGEST_WAIT {
                        Duration::ZERO
                    } else {
                        (pause * 2).clamp(FIRST_WAIT, LONGEST_WAIT)
                    };
                    tokio::time::sleep(pause.mul_f64(0.5 + rand::random::<f64>() / 2.0)).await;
                    begun = Instant::now();
                    continue;
                }
                WatchMessage::Failing(watched, describe(&error))
            }
        };
        let failing = matches!(word, WatchMessage::Failing(..));
        if words.send(word).await.is_err() {
            return;
        }
        if failing {
            // Not all proxies at once when the API server is back.
            tokio::time::sleep(wait.mul_f64(0.5 + rand::random::<f64>() / 2.0)).await;
            wait = (wait * 2).min(LONGEST_WAIT);
        }
    }
}

fn event_of<K>(event: watcher::Event<K>, watched: WatchKind, strip: fn(K) -> Published) -> Event {
    match event {
        watcher::Event::Init => Event::Begin(watched),
        watcher::Event::InitApply(object) | watcher::Event::Apply(object) => match strip(object) {
            Published { name, withdrawn: true, .. } => Event::Withdrawn(watched, name),
            object => Event::Put(object),
        },
        watcher::Event::Delete(object) => match strip(object) {
            Published { name, withdrawn: true, .. } => Event::Withdrawn(watched, name),
            object => Event::Gone(watched, object.name),
        },
        watcher::Event::InitDone => Event::End(watched),
    }
}

fn config_map(object: ConfigMap) -> Published {
    let body = object.data.and_then(|mut data| data.remove(DATA_KEY)).map(String::into_bytes);
    Published { body, ..stripped(object.metadata, false) }
}

fn secret(object: Secret) -> Published {
    let one = |mut data: std::collections::BTreeMap<_, _>| data.remove(DATA_KEY).or_else(|| data.remove(TOKEN_KEY));
    let body = object.data.and_then(one).map(|bytes: k8s_openapi::ByteString| bytes.0);
    Published { body, ..stripped(object.metadata, true) }
}

/// The part of an object's metadata that counts.
fn stripped(metadata: ObjectMeta, secret: bool) -> Published {
    let take = |from: Option<std::collections::BTreeMap<String, String>>, keys: [&str; 2]| {
        let mut from = from.unwrap_or_default();
        keys.map(|key| from.remove(key).unwrap_or_default())
    };
    let [content, _] = take(metadata.labels, [CONTENT_LABEL, GATEWAY_LABEL]);
    let withdrawn = metadata.annotations.iter().flatten().any(|(key, _)| key == WITHDRAWN_ANNOTATION);
    let [object, revision] = take(metadata.annotations, [OBJECT_ANNOTATION, REVISION_ANNOTATION]);
    let (name, version) = (metadata.name.unwrap_or_default(), metadata.resource_version.unwrap_or_default());
    Published { name, version, content, object, revision, secret, withdrawn, body: None }
}

/// A watch that is too old to go on lists again: that is no failure.
fn is_routine(error: &watcher::Error) -> bool {
    match error {
        watcher::Error::WatchError(status) => status.code == 410,
        watcher::Error::WatchStartFailed(kube::Error::Api(status)) => status.code == 410,
        _ => false,
    }
}

/// In words that hold nothing of what the API server sent but its own status.
fn describe(error: &watcher::Error) -> String {
    let (doing, error) = match error {
        watcher::Error::InitialListFailed(error) => ("they can not be listed", error),
        watcher::Error::WatchStartFailed(error) => ("they can not be watched", error),
        watcher::Error::WatchFailed(error) => ("the watch broke", error),
        watcher::Error::WatchError(status) => return format!("the watch ended: {}", status.message),
        watcher::Error::NoResourceVersion => return "the list has no resourceVersion".to_owned(),
    };
    let why = match error {
        kube::Error::Api(status) => format!("{} ({})", status.message, status.code),
        kube::Error::HyperError(error) => chain(error),
        kube::Error::Service(error) => chain(error.as_ref()),
        kube::Error::ReadEvents(error) => error.to_string(),
        kube::Error::Auth(error) => chain(error),
        // Errors of reading repeat what they could not read.
        _ => "the API server's answer can not be read".to_owned(),
    };
    format!("{doing}: {why}")
}

fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    let causes = std::iter::successors(error.source(), |cause| cause.source());
    causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}
