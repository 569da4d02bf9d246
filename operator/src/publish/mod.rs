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
use sluicegate_config::compile::{Compiled, Credentials, Form, steps};
use sluicegate_config::published::{Content, DATA_KEY};
use sluicegate_config::{CredentialId, Kind, ObjectId};

use crate::client::error_text;
use crate::lease::{LONGEST_WRITE, Leadership};
use crate::world::{Key, MANAGER, Name, Published, Shared, World};

/// Writes on their way at once.
const AT_ONCE: usize = 32;

/// The writes of a pass, in the order of their stages: what is needed comes before what needs it, and goes after it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Plan {
    /// Compiled forms that come or change, each kind's credentials among them: by rank.
    pub written: BTreeMap<Kind, Vec<Change>>,
    /// Compiled forms that go: in the other direction, after all that are written.
    pub removed: BTreeMap<Kind, Vec<Change>>,
    /// Credentials that go, and orphans: last.
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
    pub form: Option<Form>,
}

impl Change {
    fn key(&self) -> Option<Key> {
        self.of.as_ref().map(|(content, id)| Key { kind: content.kind(), id: id.clone() })
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
        let changed = self.written.values().flatten().filter_map(|change| {
            let ((content, id), form) = (change.of.as_ref()?, change.form.as_ref()?);
            let stands = world.published(*content, id).and_then(|stands| stands.text.as_deref());
            let alike = stands.is_some_and(|stands| answers_alike(*content, stands, &form.text));
            (!alike).then(|| Key { kind: content.kind(), id: id.clone() })
        });
        changed.collect()
    }

    /// Leaves these resources as they stand.
    fn put_off(&mut self, keys: &Failures) {
        let stages = self.written.values_mut().chain(self.removed.values_mut());
        for stage in stages.chain([&mut self.credentials_gone]) {
            stage.retain(|change| change.key().is_none_or(|key| !keys.contains_key(&key)));
        }
    }

    fn stages(self) -> impl Iterator<Item = Vec<Change>> {
        let removed = self.removed.into_values().rev();
        self.written.into_values().chain(removed).chain([self.credentials_gone])
    }

    fn write(&mut self, change: Option<Change>) {
        if let Some((content, change)) = change.and_then(|change| Some((change.of.as_ref()?.0, change))) {
            self.written.entry(content.kind()).or_default().push(change);
        }
    }

    fn go(&mut self, change: Option<Change>) {
        match change.and_then(|change| Some((change.of.as_ref()?.0, change))) {
            Some((Content::Compiled(kind), change)) => self.removed.entry(kind).or_default().push(change),
            Some((Content::Credentials(_), change)) => self.credentials_gone.push(change),
            None => {}
        }
    }
}

/// The writes by which what stands becomes what was compiled. A resource that is there and compiles to nothing keeps
/// what stands; one that is gone keeps what stands while something published still names it.
#[must_use]
pub fn plan(world: &World, keys: &[Key], compiled: &Compiled) -> Plan {
    let mut plan = Plan::default();
    for key in keys {
        let Key { kind, id } = key;
        if world.object(key).is_some() {
            publish(world, key, compiled, &mut plan);
            if compiled.withdrawn.contains(&(*kind, id.clone())) {
                plan.go(remove(world, Content::Compiled(*kind), id));
            }
        } else if world.attached(key) == 0 {
            Content::of(*kind).for_each(|content| plan.go(remove(world, content, id)));
        }
    }
    plan
}

/// A resource's form and the credentials that it names, as they serve now.
fn publish(world: &World, key: &Key, compiled: &Compiled, plan: &mut Plan) {
    let (Key { kind, id }, steps) = (key, steps(key.kind));
    let Some(form) = steps.form(compiled, id) else { return };
    if kind.credentials_label().is_some() {
        let credentials = steps.credentials(compiled, id);
        let credentials = encoded(&credentials);
        if credentials.is_empty() {
            plan.go(remove(world, Content::Credentials(*kind), id));
        } else if let Ok(text) = serde_json::to_string(&credentials) {
            let form = Form { revision: String::new(), text };
            plan.write(put(world, Content::Credentials(*kind), id, form));
        }
    }
    plan.write(put(world, Content::Compiled(*kind), id, form));
}

/// Credentials as they are written down.
fn encoded(credentials: &Credentials) -> BTreeMap<&CredentialId, String> {
    credentials.iter().map(|(id, value)| (id, STANDARD.encode(value.expose()))).collect()
}

/// True if proxies answer alike by two forms, but for endpoints.
fn answers_alike(content: Content, one: &str, other: &str) -> bool {
    match content {
        Content::Compiled(kind) => steps(kind).answers_alike(one, other),
        Content::Credentials(_) => one == other,
    }
}

fn put(world: &World, content: Content, id: &ObjectId, form: Form) -> Option<Change> {
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

#[cfg(test)]
mod tests;
