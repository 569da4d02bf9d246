//! Publishing: first a plan, pure, from what stands and what is wanted; then its writes.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::time::Instant;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use futures_util::{StreamExt as _, stream};
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::api::{DeleteParams, Patch, PatchParams};
use kube::{Api, Client};
use sluicegate_config::compile::{Compiled, Credentials, Kind};
use sluicegate_config::published::{Content, DATA_KEY};
use sluicegate_config::{CredentialId, ObjectId, Pool};

use crate::client::error_text;
use crate::lease::{LONGEST_WRITE, Leadership};
use crate::world::{Key, MANAGER, Name, Published, Shared, World};

/// Writes on their way at once.
const AT_ONCE: usize = 32;

/// The writes of a pass, in the order of their stages: what is needed comes before what needs it, and goes after it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Plan {
    /// Credentials and pools.
    pub pools: Vec<Change>,
    /// Routes.
    pub routes: Vec<Change>,
    /// Routes that go.
    pub routes_gone: Vec<Change>,
    /// Pools that go.
    pub pools_gone: Vec<Change>,
    /// Credentials that go, and orphans.
    pub credentials_gone: Vec<Change>,
}

/// One write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// The published object.
    pub name: Name,
    /// The resource it is of; `None`: a orphan.
    pub of: Option<(Content, ObjectId)>,
    /// Its new form; `None`: it goes.
    pub form: Option<PublishedForm>,
}

impl Change {
    fn key(&self) -> Option<Key> {
        self.of.as_ref().map(|(content, id)| Key { kind: content_kind(*content), id: id.clone() })
    }
}

/// The new form of a published object.
#[derive(Clone, PartialEq, Eq)]
pub struct PublishedForm {
    /// Empty for credentials.
    pub revision: String,
    /// The text that proxies read.
    pub text: String,
}

impl std::fmt::Debug for PublishedForm {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // The text may be credentials.
        f.debug_struct("PublishedForm").field("revision", &self.revision).finish_non_exhaustive()
    }
}

impl Plan {
    /// Adds objects that are of nothing: they go.
    pub fn remove(&mut self, orphans: Vec<Name>) {
        self.credentials_gone.extend(orphans.into_iter().map(|name| Change { name, of: None, form: None }));
    }

    /// The resources whose change is one in what proxies answer by. A form that only stands in other labels is none, nor
    /// is a Service's endpoint that comes or goes: that is no more than what DNS says of a URL's host.
    #[must_use]
    pub fn changed(&self, world: &World) -> BTreeSet<Key> {
        let changes = self.pools.iter().chain(&self.routes);
        let changed = changes.filter_map(|change| {
            let ((content, id), form) = (change.of.as_ref()?, change.form.as_ref()?);
            let stands = world.published(*content, id).and_then(|stands| stands.text.as_deref());
            let alike = stands.is_some_and(|stands| answers_alike(*content, stands, &form.text));
            (!alike).then(|| Key { kind: content_kind(*content), id: id.clone() })
        });
        changed.collect()
    }

    /// Leaves these resources as they stand.
    fn put_off(&mut self, keys: &Failures) {
        let stages = [
            &mut self.pools,
            &mut self.routes,
            &mut self.routes_gone,
            &mut self.pools_gone,
            &mut self.credentials_gone,
        ];
        for stage in stages {
            stage.retain(|change| change.key().is_none_or(|key| !keys.contains_key(&key)));
        }
    }

    fn stages(self) -> [Vec<Change>; 5] {
        [self.pools, self.routes, self.routes_gone, self.pools_gone, self.credentials_gone]
    }
}

/// The writes by which what stands becomes what was compiled. A resource that is there and compiles to nothing keeps
/// what stands; a pool that is gone keeps what stands while a published route still calls it.
#[must_use]
pub fn plan(world: &World, keys: &[Key], compiled: &Compiled) -> Plan {
    let mut plan = Plan::default();
    for key in keys {
        match (key.kind, world.object(key).is_some()) {
            (Kind::LlmRoute, true) => {
                let route = compiled.snapshot.routes.get(&key.id);
                let form = route.and_then(|route| form(&route.revision, route));
                plan.routes.extend(form.and_then(|form| put(world, Content::Route, &key.id, form)));
                if compiled.withdrawn.contains(&key.id) {
                    plan.routes_gone.extend(remove(world, Content::Route, &key.id));
                }
            }
            (Kind::LlmRoute, false) => plan.routes_gone.extend(remove(world, Content::Route, &key.id)),
            (Kind::ProviderPool, true) => pool(world, &key.id, compiled, &mut plan),
            (Kind::ProviderPool, false) if world.attached(&key.id) == 0 => {
                plan.pools_gone.extend(remove(world, Content::Pool, &key.id));
                plan.credentials_gone.extend(remove(world, Content::Credentials, &key.id));
            }
            (Kind::ProviderPool, false) => {}
        }
    }
    plan
}

fn pool(world: &World, id: &ObjectId, compiled: &Compiled, plan: &mut Plan) {
    let Some(pool) = compiled.snapshot.pools.get(id) else { return };
    let credentials = credentials(pool, &compiled.credentials);
    if credentials.is_empty() {
        plan.credentials_gone.extend(remove(world, Content::Credentials, id));
    } else {
        let form = form("", &credentials);
        plan.pools.extend(form.and_then(|form| put(world, Content::Credentials, id, form)));
    }
    let form = form(&pool.revision, pool);
    plan.pools.extend(form.and_then(|form| put(world, Content::Pool, id, form)));
}

/// The credentials that a pool names, as they are written down.
fn credentials<'a>(pool: &'a Pool, all: &Credentials) -> BTreeMap<&'a CredentialId, String> {
    let named: BTreeSet<&CredentialId> = pool.providers.iter().filter_map(|p| p.credential.as_ref()).collect();
    named.into_iter().filter_map(|id| Some((id, STANDARD.encode(all.get(id)?.expose())))).collect()
}

/// Plain values and string keys have no way to fail.
fn form<T: serde::Serialize>(revision: &str, content: &T) -> Option<PublishedForm> {
    Some(PublishedForm { revision: revision.to_owned(), text: serde_json::to_string(content).ok()? })
}

/// True if proxies answer alike by two forms, but for endpoints.
fn answers_alike(content: Content, one: &str, other: &str) -> bool {
    let pool = |text: &str| {
        let mut pool: Pool = serde_json::from_str(text).ok()?;
        pool.revision.clear();
        pool.providers
            .iter_mut()
            .for_each(|provider| provider.endpoints = provider.endpoints.take().map(|_| Vec::new()));
        Some(pool)
    };
    one == other || (content == Content::Pool && pool(one).is_some_and(|one| Some(one) == pool(other)))
}

fn put(world: &World, content: Content, id: &ObjectId, form: PublishedForm) -> Option<Change> {
    let stands = |stands: &Published| {
        stands.is_sound && world.template().is_owner_of(stands) && stands.text.as_deref() == Some(&form.text)
    };
    if world.published(content, id).is_some_and(stands) {
        return None;
    }
    Some(Change { name: world.template().name(content, id), of: Some((content, id.clone())), form: Some(form) })
}

fn remove(world: &World, content: Content, id: &ObjectId) -> Option<Change> {
    world.published(content, id)?;
    Some(Change { name: world.template().name(content, id), of: Some((content, id.clone())), form: None })
}

/// Writes plans.
pub struct Publisher {
    client: Client,
    namespace: String,
    world: Shared,
    leadership: Rc<Leadership>,
}

/// Resources that could not be published, and why.
pub type Failures = BTreeMap<Key, String>;

impl Publisher {
    /// One that writes into the gateway's namespace, as long as this replica leads.
    #[must_use]
    pub fn new(client: Client, namespace: &str, world: Shared, leadership: Rc<Leadership>) -> Self {
        Self { client, namespace: namespace.to_owned(), world, leadership }
    }

    /// Carries a plan out, stage by stage. What failed, or is put off, is tried again later; the rest does not wait for it.
    pub async fn carry_out(&self, mut plan: Plan, put_off: Failures) -> Failures {
        plan.put_off(&put_off);
        let mut failures = put_off;
        for stage in plan.stages() {
            let failed: Vec<(Option<Key>, String)> = stream::iter(stage)
                .map(|change| async move {
                    let key = change.key();
                    self.change(change).await.err().map(|message| (key, message))
                })
                .buffer_unordered(AT_ONCE)
                .filter_map(std::future::ready)
                .collect()
                .await;
            failures.extend(failed.into_iter().filter_map(|(key, message)| Some((key?, message))));
        }
        let mut world = self.world.borrow_mut();
        for key in failures.keys() {
            world.queue.retry(key, Instant::now());
        }
        failures
    }

    async fn change(&self, change: Change) -> Result<(), String> {
        if !self.leadership.holds() {
            return Err("this replica leads no longer".to_owned());
        }
        if let Some(why) = self.world.borrow().unpublishable().filter(|_| change.form.is_some()) {
            return Err(why);
        }
        let name = change.name.clone();
        match tokio::time::timeout(LONGEST_WRITE, self.write(change)).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => {
                let error = error_text(&error);
                tracing::warn!(error, name = name.name, "a compiled object could not be written; it is tried again");
                Err(error)
            }
            Err(_) => {
                tracing::warn!(name = name.name, "the API server did not answer a write in time; it is tried again");
                Err("the API server does not answer".to_owned())
            }
        }
    }

    async fn write(&self, change: Change) -> Result<(), kube::Error> {
        let Change { name, of, form } = change;
        match (of, form) {
            (Some((content, id)), Some(form)) => {
                let metadata = self.world.borrow().template().meta(content, &id, &form.revision);
                let written = self.put(&name, metadata, Some(&form.text)).await?;
                self.world.borrow_mut().published_written(name, &written, form.text);
                Ok(())
            }
            (of, _) => {
                if let Some((content, id)) = of {
                    self.withdraw(&name, content, &id).await;
                }
                self.delete(name).await
            }
        }
    }

    async fn put(&self, name: &Name, metadata: ObjectMeta, text: Option<&str>) -> Result<ObjectMeta, kube::Error> {
        let how = PatchParams::apply(MANAGER).force();
        if name.is_secret {
            let bytes = |text: &str| BTreeMap::from([(DATA_KEY.to_owned(), ByteString(text.as_bytes().to_vec()))]);
            let secret = Secret { metadata, data: text.map(bytes), ..Secret::default() };
            let api: Api<Secret> = Api::namespaced(self.client.clone(), &self.namespace);
            Ok(api.patch(&name.name, &how, &Patch::Apply(&secret)).await?.metadata)
        } else {
            let data = text.map(|text| BTreeMap::from([(DATA_KEY.to_owned(), text.to_owned())]));
            let map = ConfigMap { metadata, data, ..ConfigMap::default() };
            let api: Api<ConfigMap> = Api::namespaced(self.client.clone(), &self.namespace);
            Ok(api.patch(&name.name, &how, &Patch::Apply(&map)).await?.metadata)
        }
    }

    /// Says of an object that it is about to go, so that proxies do not wait for it to come back. Where that can not be
    /// said they wait.
    async fn withdraw(&self, name: &Name, content: Content, id: &ObjectId) {
        let metadata = self.world.borrow().template().withdrawn(content, id);
        match self.put(name, metadata, None).await {
            Ok(written) => self.world.borrow_mut().published_written(name.clone(), &written, String::new()),
            Err(error) => {
                tracing::debug!(error = error_text(&error), name = name.name, "a withdrawal could not be said first");
            }
        }
    }

    async fn delete(&self, name: Name) -> Result<(), kube::Error> {
        let how = DeleteParams::default();
        let deleted = if name.is_secret {
            let api: Api<Secret> = Api::namespaced(self.client.clone(), &self.namespace);
            api.delete(&name.name, &how).await.map(drop)
        } else {
            let api: Api<ConfigMap> = Api::namespaced(self.client.clone(), &self.namespace);
            api.delete(&name.name, &how).await.map(drop)
        };
        match deleted {
            Err(kube::Error::Api(status)) if status.is_not_found() => {}
            other => other?,
        }
        self.world.borrow_mut().published_taken_away(&name);
        Ok(())
    }
}

const fn content_kind(content: Content) -> Kind {
    match content {
        Content::Route => Kind::LlmRoute,
        Content::Pool | Content::Credentials => Kind::ProviderPool,
    }
}

#[cfg(test)]
mod tests;
