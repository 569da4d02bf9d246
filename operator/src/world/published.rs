//! The published objects in the gateway's namespace: our own ConfigMaps and Secrets, as they were last seen.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};
use serde::de::DeserializeOwned;
use sluicegate_config::ObjectId;
use sluicegate_config::compile::steps;
use sluicegate_config::published::{
    CONTENT_LABEL, Content, GATEWAY_LABEL, OBJECT_ANNOTATION, OPERATOR_CONTENT, REVISION_ANNOTATION,
    WITHDRAWN_ANNOTATION, name as name_of, operator_name,
};

use super::index::Named;
use super::key::Key;

/// The field manager of every write, and who we say manages what we publish.
pub const MANAGER: &str = "sluicegate-operator";
pub(super) const MANAGED_BY: &str = "app.kubernetes.io/managed-by";
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
    /// The resource it is of. `None`: it does not say, or says what its name denies.
    pub claim: Option<(Content, ObjectId)>,
    /// The text that proxies read in it.
    pub text: Option<Box<str>>,
    /// Revision of the compiled form in it; empty for credentials.
    pub revision: Box<str>,
    /// `metadata.resourceVersion`.
    pub version: Box<str>,
    /// Labels and annotations are as we write them.
    pub is_sound: bool,
    /// The uids of the ConfigMaps that own it.
    pub owners: Box<[Box<str>]>,
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
        self.claim.as_ref().map(|(content, id)| Key { kind: content.kind(), id: id.clone() })
    }

    pub(super) fn parse<T: DeserializeOwned>(&self) -> Option<T> {
        self.text.as_deref().and_then(|text| serde_json::from_str(text).ok())
    }
}

/// The labels, annotations and owner of published objects: the same for all of a gateway.
#[derive(Debug, Clone, PartialEq)]
pub struct ObjectTemplate {
    /// The gateway's name.
    pub gateway: String,
    /// Their owner, so that an uninstallation takes them along.
    pub owner: Option<OwnerReference>,
}

impl ObjectTemplate {
    /// The name of what is published.
    #[must_use]
    pub fn name(&self, content: Content, id: &ObjectId) -> Name {
        Name { is_secret: content.is_secret(), name: name_of(&self.gateway, content, id) }
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

    /// The metadata that says that an object is about to go.
    #[must_use]
    pub fn withdrawn(&self, content: Content, id: &ObjectId) -> ObjectMeta {
        let mut meta = self.meta(content, id, "");
        meta.annotations.get_or_insert_default().insert(WITHDRAWN_ANNOTATION.to_owned(), "true".to_owned());
        meta
    }

    /// The Secret with the token by which proxies know the operator.
    #[must_use]
    pub fn token_name(&self) -> Name {
        Name { is_secret: true, name: operator_name(&self.gateway) }
    }

    /// The metadata that it is written with.
    #[must_use]
    pub fn token_meta(&self) -> ObjectMeta {
        let labels =
            [(GATEWAY_LABEL, self.gateway.as_str()), (CONTENT_LABEL, OPERATOR_CONTENT), (MANAGED_BY, MANAGER), PART_OF];
        ObjectMeta {
            name: Some(operator_name(&self.gateway)),
            labels: Some(labels.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()),
            owner_references: self.owner.clone().map(|owner| vec![owner]),
            ..ObjectMeta::default()
        }
    }

    /// True if an object has the owner that it is to have.
    #[must_use]
    pub fn is_owner_of(&self, published: &Published) -> bool {
        self.owner.as_ref().is_none_or(|owner| published.owners.iter().any(|uid| **uid == *owner.uid))
    }

    /// True if labels and annotations are as they are written.
    pub(super) fn fits(&self, meta: &ObjectMeta, content: Content, id: &ObjectId, revision: &str) -> bool {
        let wanted = self.meta(content, id, revision);
        let holds = |have: &Option<BTreeMap<String, String>>, want: &Option<BTreeMap<String, String>>| {
            want.iter().flatten().all(|(key, value)| have.as_ref().and_then(|have| have.get(key)) == Some(value))
        };
        let is_withdrawn = meta.annotations.iter().flatten().any(|(key, _)| key == WITHDRAWN_ANNOTATION);
        holds(&meta.labels, &wanted.labels) && holds(&meta.annotations, &wanted.annotations) && !is_withdrawn
    }

    /// The resource an object is of, if its labels and annotations agree with its name.
    pub(super) fn claim(&self, meta: &ObjectMeta, name: &Name) -> Option<(Content, ObjectId)> {
        let content = Content::parse(meta.labels.as_ref()?.get(CONTENT_LABEL)?)?;
        let id = ObjectId(meta.annotations.as_ref()?.get(OBJECT_ANNOTATION)?.clone());
        (self.name(content, &id) == *name).then_some((content, id))
    }
}

/// The labels of a Secret in which a key was made for a consumer. The gateway's is not among them: it is none of what proxies
/// watch.
#[must_use]
pub fn generated_labels() -> BTreeMap<&'static str, &'static str> {
    BTreeMap::from([(CONTENT_LABEL, "consumer-key"), (MANAGED_BY, MANAGER), PART_OF])
}

/// The uids of the ConfigMaps that own an object.
pub(super) fn owners(meta: &ObjectMeta) -> Box<[Box<str>]> {
    let owners = meta.owner_references.iter().flatten();
    owners.filter(|owner| owner.kind == "ConfigMap").map(|owner| owner.uid.as_str().into()).collect()
}

/// Revision of what is inside, and what it names.
pub(super) fn contents(content: Content, published: &Published) -> (Box<str>, BTreeSet<Named>) {
    let Content::Compiled(kind) = content else { return Default::default() };
    let read = published.text.as_deref().and_then(|text| steps(kind).references_of_compiled(text));
    let (revision, named) = read.unwrap_or_default();
    (revision.into(), named)
}

/// True if a `resourceVersion` comes before another. Where they are no numbers nothing is said.
pub(super) fn is_older(version: &str, than: &str) -> bool {
    version.parse::<u64>().ok().zip(than.parse::<u64>().ok()).is_some_and(|(version, than)| version < than)
}
