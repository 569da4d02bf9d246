//! Watches: what the API server tells flows into the world, object by object.
//!
//! Resources are taken as whatever they are and parsed one by one later, so that one that cannot be read never ends a
//! watch. Of Secrets, Services and their endpoints only metadata is watched: it says *that* something changed, and
//! `gather` reads what is named. Nothing is gone until a list that was read whole says so.

use std::collections::{HashMap, HashSet};
use std::fmt::Debug;
use std::rc::Rc;
use std::time::{Duration, Instant};

use futures_util::StreamExt as _;
use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::core::v1::{ConfigMap, Namespace, Secret, Service};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::api::{ApiResource, DynamicObject};
use kube::core::{GroupVersionKind, PartialObjectMeta};
use kube::runtime::watcher::{self, Event, watcher};
use kube::{Api, Client, Resource};
use serde::de::DeserializeOwned;
use sluicegate_config::ObjectId;
use sluicegate_config::compile::{Kind, Labels};
use sluicegate_config::published::{DATA_KEY, GATEWAY_LABEL, TOKEN_KEY};
use tokio::task::JoinSet;

use crate::client::{error_text, watch_settings};
use crate::metrics::{Metrics, Watch};
use crate::owner::OwnerReporter;
use crate::watch_pause::paced;
use crate::world::{Key, Name, Named, Scope, Shared, Source};

/// The wait between two reads of namespaces that cannot be watched, since that is a right on the whole cluster.
const LOOK_AT_NAMESPACES: Duration = Duration::from_secs(15);
/// The label of a slice that names its Service.
const SERVICE_NAME: &str = "kubernetes.io/service-name";
/// The label that every namespace has.
const NAMESPACE_NAME: &str = "kubernetes.io/metadata.name";

/// The parts that every watch needs.
#[derive(Clone)]
pub struct Watches {
    /// Asks the API server.
    pub client: Client,
    /// The world that it flows into.
    pub world: Shared,
    /// Restarts are counted.
    pub metrics: Rc<Metrics>,
    /// The gateway's namespace.
    pub namespace: String,
    /// Hears what turns about the owner.
    pub owner: Rc<OwnerReporter>,
}

/// A kind of ours, as the API calls it.
#[must_use]
pub fn api_resource(kind: Kind) -> ApiResource {
    let (group, version) = (sluicegate_crds::GROUP, sluicegate_crds::VERSION);
    let group_version_kind = GroupVersionKind::gvk(group, version, kind.as_str());
    ApiResource::from_gvk_with_plural(&group_version_kind, kind.plural())
}

impl Watches {
    /// Starts all of them. They run until the tasks are dropped.
    pub fn start(self, tasks: &mut JoinSet<()>) {
        for is_secret in [false, true] {
            tasks.spawn_local(self.clone().published(is_secret));
        }
        if let Some(name) = self.owner.name() {
            let name = name.to_owned();
            tasks.spawn_local(self.clone().owner(name));
        }
        let scopes = self.world.borrow().lists.watched().scopes();
        for scope in scopes {
            for kind in Kind::ALL {
                tasks.spawn_local(self.clone().resources(*kind, scope.clone()));
            }
            let of_secret = |meta: &ObjectMeta| id(meta, meta.name.as_deref()).map(Named::Secret);
            tasks.spawn_local(self.clone().facts::<Secret>(Source::Secrets, scope.clone(), of_secret));
            let of_service = |meta: &ObjectMeta| id(meta, meta.name.as_deref()).map(Named::Service);
            tasks.spawn_local(self.clone().facts::<Service>(Source::Services, scope.clone(), of_service));
            let of_slice = |meta: &ObjectMeta| {
                let service = meta.labels.as_ref().and_then(|labels| labels.get(SERVICE_NAME));
                id(meta, service.map(String::as_str)).map(Named::Service)
            };
            tasks.spawn_local(self.clone().facts::<EndpointSlice>(Source::Slices, scope.clone(), of_slice));
            match scope {
                None => tasks.spawn_local(self.clone().namespaces()),
                Some(namespace) => tasks.spawn_local(self.clone().one_namespace(namespace)),
            };
        }
    }

    /// Resources of a kind.
    async fn resources(self, kind: Kind, scope: Scope) {
        let resource = api_resource(kind);
        let api: Api<DynamicObject> = match &scope {
            Some(namespace) => Api::namespaced_with(self.client.clone(), namespace, &resource),
            None => Api::all_with(self.client.clone(), &resource),
        };
        let source = Source::Resources(kind);
        let mut listed: HashSet<ObjectId> = HashSet::new();
        self.follow((source, &scope), watcher(api, watch_settings()), |event| {
            let mut world = self.world.borrow_mut();
            match event {
                Event::Init => listed.clear(),
                Event::InitApply(object) => listed.extend(world.seen(kind, &object).map(|key| key.id)),
                Event::InitDone => {
                    world.only(kind, &scope, &std::mem::take(&mut listed));
                    world.list_read(source, &scope);
                }
                Event::Apply(object) => drop(world.seen(kind, &object)),
                Event::Delete(object) => {
                    if let Some(id) = id(&object.metadata, object.metadata.name.as_deref()) {
                        world.gone(&Key { kind, id });
                    }
                }
            }
        })
        .await;
    }

    /// Secrets, Services or endpoints: whether one that is named has changed.
    async fn facts<K>(self, source: Source, scope: Scope, named: fn(&ObjectMeta) -> Option<Named>)
    where
        K: Resource<Scope = NamespaceResourceScope, DynamicType = ()>
            + Clone
            + DeserializeOwned
            + Debug
            + Send
            + 'static,
    {
        let api: Api<PartialObjectMeta<K>> = match &scope {
            Some(namespace) => Api::namespaced(self.client.clone(), namespace),
            None => Api::all(self.client.clone()),
        };
        self.follow((source, &scope), watcher(api, watch_settings()), |event| {
            let mut world = self.world.borrow_mut();
            match event {
                Event::Init | Event::InitApply(_) => {}
                Event::InitDone => {
                    // What changed while nobody watched is not known.
                    world.touched_any(source, &scope);
                    world.list_read(source, &scope);
                }
                Event::Apply(object) | Event::Delete(object) => {
                    if let Some(named) = named(&object.metadata) {
                        world.touched(&named);
                    }
                }
            }
        })
        .await;
    }

    /// The labels of all namespaces.
    async fn namespaces(self) {
        let stream = watcher(Api::<PartialObjectMeta<Namespace>>::all(self.client.clone()), watch_settings());
        let mut listed: HashMap<String, Labels> = HashMap::new();
        self.follow((Source::Namespaces, &None), stream, |event| {
            let mut world = self.world.borrow_mut();
            match event {
                Event::Init => listed.clear(),
                Event::InitApply(object) => listed.extend(labels(&object.metadata)),
                Event::InitDone => {
                    let gone: Vec<String> = world
                        .namespaces()
                        .filter(|(name, _)| !listed.contains_key(*name))
                        .map(|(name, _)| name.clone())
                        .collect();
                    gone.iter().for_each(|name| world.labelled(name, None));
                    listed.drain().for_each(|(name, labels)| world.labelled(&name, Some(labels)));
                    world.list_read(Source::Namespaces, &None);
                }
                Event::Apply(object) => {
                    if let Some((name, labels)) = labels(&object.metadata) {
                        world.labelled(&name, Some(labels));
                    }
                }
                Event::Delete(object) => {
                    if let Some(name) = &object.metadata.name {
                        world.labelled(name, None);
                    }
                }
            }
        })
        .await;
    }

    /// The labels of one namespace, which a Role in it may grant to read, though not to watch.
    async fn one_namespace(self, namespace: String) {
        let api: Api<Namespace> = Api::all(self.client.clone());
        let scope = Some(namespace.clone());
        let mut last = String::new();
        loop {
            let found = match api.get_metadata_opt(&namespace).await {
                Ok(found) => Some(found.and_then(|object| labels(&object.metadata)).map(|(_, labels)| labels)),
                Err(kube::Error::Api(status)) if status.is_forbidden() => {
                    tracing::debug!(namespace, "labels of the namespace may not be read: only its name is known");
                    Some(Some(Labels::from([(NAMESPACE_NAME.to_owned(), namespace.clone())])))
                }
                Err(error) => {
                    self.restarted(Source::Namespaces, &error, &mut last);
                    None
                }
            };
            if let Some(labels) = found {
                let mut world = self.world.borrow_mut();
                world.labelled(&namespace, labels);
                world.list_read(Source::Namespaces, &scope);
            }
            tokio::time::sleep(LOOK_AT_NAMESPACES).await;
        }
    }

    /// The one ConfigMap that owns what is published.
    async fn owner(self, name: String) {
        let config = watch_settings().fields(&format!("metadata.name={name}"));
        let api: Api<PartialObjectMeta<ConfigMap>> = Api::namespaced(self.client.clone(), &self.namespace);
        let mut listed = None;
        self.follow((Source::Owner, &None), watcher(api, config), |event| {
            let mut world = self.world.borrow_mut();
            let now = Instant::now();
            let change = match event {
                Event::Init => {
                    listed = None;
                    None
                }
                Event::InitApply(object) => {
                    listed = Some(object.metadata);
                    None
                }
                Event::InitDone => {
                    let change = match listed.take() {
                        Some(meta) => world.owner_seen(&meta, now),
                        None => world.owner_gone(now),
                    };
                    world.list_read(Source::Owner, &None);
                    change
                }
                Event::Apply(object) => world.owner_seen(&object.metadata, now),
                Event::Delete(_) => world.owner_gone(now),
            };
            if let Some(change) = change {
                self.owner.hear(change, world.owner());
            }
        })
        .await;
    }

    /// The objects that we have published.
    async fn published(self, is_secret: bool) {
        let gateway = self.world.borrow().template().gateway.clone();
        let config = watch_settings().labels(&format!("{GATEWAY_LABEL}={gateway}"));
        if is_secret {
            let api: Api<Secret> = Api::namespaced(self.client.clone(), &self.namespace);
            self.ours(Source::PublishedSecrets, watcher(api, config), |mut secret: Secret| {
                let text =
                    secret.data.as_mut().and_then(|data| data.remove(DATA_KEY).or_else(|| data.remove(TOKEN_KEY)));
                (secret.metadata, text.and_then(|text| String::from_utf8(text.0).ok()))
            })
            .await;
        } else {
            let api: Api<ConfigMap> = Api::namespaced(self.client.clone(), &self.namespace);
            self.ours(Source::PublishedMaps, watcher(api, config), |mut map: ConfigMap| {
                let text = map.data.as_mut().and_then(|data| data.remove(DATA_KEY));
                (map.metadata, text)
            })
            .await;
        }
    }

    async fn ours<K>(
        &self,
        source: Source,
        stream: impl futures_util::Stream<Item = watcher::Result<Event<K>>> + Send + 'static,
        open: fn(K) -> (ObjectMeta, Option<String>),
    ) where
        K: 'static,
    {
        let is_secret = source == Source::PublishedSecrets;
        let mut listed: HashSet<String> = HashSet::new();
        self.follow((source, &None), stream, |event| {
            let mut world = self.world.borrow_mut();
            match event {
                Event::Init => listed.clear(),
                Event::InitApply(object) => {
                    let (meta, text) = open(object);
                    let name = meta.name.clone().unwrap_or_default();
                    listed.insert(name.clone());
                    world.published_seen(Name { is_secret, name }, &meta, text);
                }
                Event::InitDone => {
                    world.published_only(is_secret, &std::mem::take(&mut listed));
                    world.list_read(source, &None);
                }
                Event::Apply(object) => {
                    let (meta, text) = open(object);
                    let name = meta.name.clone().unwrap_or_default();
                    world.published_seen(Name { is_secret, name }, &meta, text);
                }
                Event::Delete(object) => {
                    let (meta, _) = open(object);
                    world.published_gone(&Name { is_secret, name: meta.name.unwrap_or_default() });
                }
            }
        })
        .await;
    }

    /// Follows a watch for ever; one that breaks is begun again, after a while that grows.
    async fn follow<T: 'static>(
        &self,
        (source, scope): (Source, &Scope),
        stream: impl futures_util::Stream<Item = watcher::Result<Event<T>>> + Send + 'static,
        mut on: impl FnMut(Event<T>),
    ) {
        let mut stream = std::pin::pin!(paced(stream));
        let mut last = String::new();
        while let Some(event) = stream.next().await {
            match event {
                Ok(event) => on(event),
                Err(error) => {
                    self.restarted(source, &error, &mut last);
                    if is_forbidden(&error) && self.world.borrow_mut().lists.refused(source, scope) {
                        tracing::warn!(
                            namespace = scope,
                            "nothing may be read in a namespace: it has gone, or the Role that lets the operator read it has; \
                             what is published of it stands until it can be read, or is watched no longer"
                        );
                    }
                }
            }
        }
    }

    /// Counted each time, told once: what is refused for want of a right is asked for again and again.
    fn restarted(&self, source: Source, error: &(dyn std::error::Error + 'static), last: &mut String) {
        self.metrics.watch_restarts.get_or_create_owned(&Watch { resource: source.resource() }).inc();
        let error = error_text(error);
        if *last != error {
            tracing::warn!(resource = source.resource(), error, "a watch broke and is begun again, until it holds");
            *last = error;
        }
    }
}

/// True if a list is not to be had for want of a right.
fn is_forbidden(error: &watcher::Error) -> bool {
    matches!(error, watcher::Error::InitialListFailed(kube::Error::Api(status)) if status.is_forbidden())
}

fn id(meta: &ObjectMeta, name: Option<&str>) -> Option<ObjectId> {
    Some(ObjectId(format!("{}/{}", meta.namespace.as_deref()?, name?)))
}

fn labels(meta: &ObjectMeta) -> Option<(String, Labels)> {
    let name = meta.name.clone()?;
    let mut labels: Labels = meta.labels.clone().unwrap_or_default();
    labels.insert(NAMESPACE_NAME.to_owned(), name.clone());
    Some((name, labels))
}
