//! What stands published in the gateway's namespace: our own ConfigMaps and Secrets, as they were last seen.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};
use serde::de::DeserializeOwned;
use sluicegate_config::compile::{Credentials, Kind, SecretValue, needs_of_compiled, references_of_compiled};
use sluicegate_config::published::{
    CONTENT_LABEL, Content, GATEWAY_LABEL, OBJECT_ANNOTATION, REVISION_ANNOTATION, name as name_of,
};
use sluicegate_config::{CredentialId, ObjectId, Pool, Route};

use super::{Key, Named, World};

/// The field manager of every write, and who we say manages what we publish.
pub const MANAGER: &str = "sluicegate-operator";
const MANAGED_BY: &str = "app.kubernetes.io/managed-by";
const PART_OF: (&str, &str) = ("app.kubernetes.io/part-of", "sluicegate");

/// The name of a published object.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Name {
    /// A Secret, or else a ConfigMap.
    pub is_secret: bool,
    /// `metadata.name`.
    pub name: String,
}

/// A published object.
#[derive(Clone, PartialEq, Eq)]
pub struct Published {
    /// What it is of. `None`: it does not say, or says what its name denies.
    pub claim: Option<(Content, ObjectId)>,
    /// What proxies read in it.
    pub text: Option<Box<str>>,
    /// Revision of the compiled form in it; empty for credentials.
    pub revision: Box<str>,
    /// `metadata.resourceVersion`.
    pub version: Box<str>,
    /// Labels, annotations and owner are as we write them.
    pub is_sound: bool,
}

impl fmt::Debug for Published {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The text may be credentials.
        f.debug_struct("Published").field("claim", &self.claim).field("version", &self.version).finish_non_exhaustive()
    }
}

impl Published {
    /// The resource it is of.
    #[must_use]
    pub fn key(&self) -> Option<Key> {
        self.claim.as_ref().map(|(content, id)| Key { kind: kind_of(*content), id: id.clone() })
    }

    fn parse<T: DeserializeOwned>(&self) -> Option<T> {
        self.text.as_deref().and_then(|text| serde_json::from_str(text).ok())
    }
}

/// How published objects are dressed: the same for all of a gateway.
#[derive(Debug, Clone, PartialEq)]
pub struct Dress {
    /// The gateway's name.
    pub gateway: String,
    /// Who owns them, so that an uninstallation takes them along.
    pub owner: Option<OwnerReference>,
}

impl Dress {
    /// The name of what is published.
    #[must_use]
    pub fn name(&self, content: Content, id: &ObjectId) -> Name {
        Name { is_secret: content == Content::Credentials, name: name_of(&self.gateway, content, id) }
    }

    /// The metadata it is written with. Credentials have no revision: a hash of a key would be told to whoever may read
    /// metadata.
    #[must_use]
    pub fn meta(&self, content: Content, id: &ObjectId, revision: &str) -> ObjectMeta {
        let labels =
            [(GATEWAY_LABEL, self.gateway.as_str()), (CONTENT_LABEL, content.as_str()), (MANAGED_BY, MANAGER), PART_OF];
        let mut annotations = BTreeMap::from([(OBJECT_ANNOTATION.to_owned(), id.0.clone())]);
        if !revision.is_empty() {
            annotations.insert(REVISION_ANNOTATION.to_owned(), revision.to_owned());
        }
        ObjectMeta {
            name: Some(self.name(content, id).name),
            labels: Some(labels.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()),
            annotations: Some(annotations),
            owner_references: self.owner.clone().map(|owner| vec![owner]),
            ..ObjectMeta::default()
        }
    }

    /// Whether labels, annotations and owner are as they are written.
    fn fits(&self, meta: &ObjectMeta, content: Content, id: &ObjectId, revision: &str) -> bool {
        let wanted = self.meta(content, id, revision);
        let holds = |have: &Option<BTreeMap<String, String>>, want: &Option<BTreeMap<String, String>>| {
            want.iter().flatten().all(|(key, value)| have.as_ref().and_then(|have| have.get(key)) == Some(value))
        };
        holds(&meta.labels, &wanted.labels)
            && holds(&meta.annotations, &wanted.annotations)
            && self.owner.as_ref().is_none_or(|owner| meta.owner_references.iter().flatten().any(|o| o == owner))
    }

    /// What an object is of, if its labels and annotations agree with its name.
    fn claim(&self, meta: &ObjectMeta, name: &Name) -> Option<(Content, ObjectId)> {
        let content = Content::parse(meta.labels.as_ref()?.get(CONTENT_LABEL)?)?;
        let id = ObjectId(meta.annotations.as_ref()?.get(OBJECT_ANNOTATION)?.clone());
        (self.name(content, &id) == *name).then_some((content, id))
    }
}

const fn kind_of(content: Content) -> Kind {
    match content {
        Content::Route => Kind::LlmRoute,
        Content::Pool | Content::Credentials => Kind::ProviderPool,
    }
}

/// What is published of a resource, its credentials aside.
#[must_use]
pub const fn content_of(kind: Kind) -> Content {
    match kind {
        Kind::LlmRoute => Content::Route,
        Kind::ProviderPool => Content::Pool,
    }
}

impl World {
    /// What stands of a resource.
    #[must_use]
    pub fn published(&self, content: Content, id: &ObjectId) -> Option<&Published> {
        self.published.get(&self.dress.name(content, id))
    }

    /// A route's published form.
    #[must_use]
    pub fn previous_route(&self, id: &ObjectId) -> Option<Route> {
        self.published(Content::Route, id)?.parse()
    }

    /// A pool's published form.
    #[must_use]
    pub fn previous_pool(&self, id: &ObjectId) -> Option<Pool> {
        self.published(Content::Pool, id)?.parse()
    }

    /// A pool's published credentials.
    #[must_use]
    pub fn previous_credentials(&self, id: &ObjectId) -> Credentials {
        let encoded: Option<BTreeMap<CredentialId, String>> =
            self.published(Content::Credentials, id).and_then(Published::parse);
        let decoded = encoded.into_iter().flatten().filter_map(|(id, text)| Some((id, STANDARD.decode(text).ok()?)));
        decoded.map(|(id, bytes)| (id, SecretValue::new(bytes))).collect()
    }

    /// An object with our gateway's label came or changed: whether it is as it should be is looked at.
    pub fn published_seen(&mut self, name: Name, meta: &ObjectMeta, text: Option<String>) {
        if let Some(key) = self.take_in(name, meta, text) {
            self.look_at(&key);
        }
    }

    /// We have written it ourselves: what comes back by the watch is no news then.
    pub fn published_written(&mut self, name: Name, meta: &ObjectMeta, text: String) {
        self.take_in(name, meta, Some(text));
    }

    /// Notes what stands. Gives back the resource it is of, unless that was known already.
    fn take_in(&mut self, name: Name, meta: &ObjectMeta, text: Option<String>) -> Option<Key> {
        let version = meta.resource_version.as_deref().unwrap_or_default();
        let known = self.published.get(&name);
        if known.is_some_and(|known| *known.version == *version || is_older(version, &known.version)) {
            return None;
        }
        // One whose labels were tampered with is still of what it was of: it is put right, not lost.
        let claimed = self.dress.claim(meta, &name);
        let claim = claimed.clone().or_else(|| known.and_then(|known| known.claim.clone()));
        let mut published = Published {
            claim,
            text: text.map(String::into_boxed_str),
            revision: Box::default(),
            version: version.into(),
            is_sound: false,
        };
        match &published.claim {
            Some((content, id)) => {
                let (revision, named) = contents(*content, &published);
                published.is_sound = claimed.is_some() && self.dress.fits(meta, *content, id, &revision);
                published.revision = revision;
                self.strays.remove(&name);
                if *content != Content::Credentials {
                    let key = Key { kind: kind_of(*content), id: id.clone() };
                    self.serve(&key, named);
                }
            }
            None if meta.labels.as_ref().and_then(|labels| labels.get(MANAGED_BY)).is_some_and(|by| by == MANAGER) => {
                self.strays.insert(name.clone());
                self.has_new_strays = true;
                self.wake.notify_one();
            }
            None => {}
        }
        let key = published.key();
        self.published.insert(name, published);
        key
    }

    /// An object with our gateway's label is gone, or lost the label.
    pub fn published_gone(&mut self, name: &Name) {
        self.strays.remove(name);
        let Some(published) = self.published.remove(name) else { return };
        let Some(key) = published.key() else { return };
        if !matches!(published.claim, Some((Content::Credentials, _))) {
            self.serve(&key, BTreeSet::new());
        }
        self.look_at(&key);
    }

    /// What is published of an object names this now. Pools may have more or fewer routes by it.
    fn serve(&mut self, key: &Key, named: BTreeSet<Named>) {
        if key.kind == Kind::LlmRoute {
            let before: BTreeSet<Named> = self.served.names(key).iter().cloned().collect();
            let pools = before.symmetric_difference(&named);
            self.recount
                .extend(pools.filter_map(|named| if let Named::Pool(id) = named { Some(id.clone()) } else { None }));
        }
        let dropped = self.served.set(key, named);
        self.forget(&dropped);
    }

    /// A list of ours was read whole: what is not in it is gone.
    pub fn published_only(&mut self, is_secret: bool, seen: &HashSet<String>) {
        let gone = self.published.keys().filter(|name| name.is_secret == is_secret && !seen.contains(&name.name));
        let gone: Vec<Name> = gone.cloned().collect();
        for name in gone {
            self.published_gone(&name);
        }
    }

    /// Takes out objects that say they are ours and not what they are of, once it is sure that no resource wants their
    /// name.
    pub fn take_strays(&mut self) -> Vec<Name> {
        if !self.has_new_strays || !self.lists.missing().is_empty() {
            return Vec::new();
        }
        self.has_new_strays = false;
        let contents = [Content::Route, Content::Pool, Content::Credentials];
        let names = |key: &Key| contents.map(|content| self.dress.name(content, &key.id));
        let wanted: HashSet<Name> = self.keys().flat_map(names).collect();
        self.strays.iter().filter(|name| !wanted.contains(*name)).cloned().collect()
    }
}

/// Revision of what is inside, and what it names.
fn contents(content: Content, published: &Published) -> (Box<str>, BTreeSet<Named>) {
    match content {
        Content::Route => published.parse::<Route>().map_or_else(Default::default, |route| {
            let named = references_of_compiled(&route).into_iter().map(Named::Pool).collect();
            (route.revision.into(), named)
        }),
        Content::Pool => published.parse::<Pool>().map_or_else(Default::default, |pool| {
            let needs = needs_of_compiled(&pool);
            let secrets = needs.secrets.into_iter().map(Named::Secret);
            let named = secrets.chain(needs.services.into_iter().map(Named::Service)).collect();
            (pool.revision.into(), named)
        }),
        Content::Credentials => Default::default(),
    }
}

/// Whether a `resourceVersion` comes before another. Where they are no numbers nothing is said.
fn is_older(version: &str, than: &str) -> bool {
    version.parse::<u64>().ok().zip(than.parse::<u64>().ok()).is_some_and(|(version, than)| version < than)
}
