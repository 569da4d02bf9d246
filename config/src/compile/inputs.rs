//! The inputs of `compile`: the objects as they were read, Secrets, and what was compiled last.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use sluicegate_crds::{LLMConsumerSpec, LLMRouteSpec, ProviderPoolSpec};

use super::claims::ModelClaims;
use super::denied_networks::DeniedNetworks;
use super::generated_secret::GeneratedSecrets;
use super::key_conflicts::KeyConflicts;
use super::match_conflicts::MatchConflicts;
use super::price_list::PriceList;
use crate::{CredentialId, ObjectId, Snapshot};

/// Everything that decides a snapshot. Its order does not matter.
#[derive(Debug, Clone, Default)]
pub struct Inputs<'a> {
    /// Every `ProviderPool`.
    pub pools: Vec<Manifest<ProviderPoolSpec>>,
    /// Every `LLMRoute`.
    pub routes: Vec<Manifest<LLMRouteSpec>>,
    /// Every `LLMConsumer`.
    pub consumers: Vec<Manifest<LLMConsumerSpec>>,
    /// Every Secret that may be named, by `namespace/name`.
    pub secrets: BTreeMap<ObjectId, Secret>,
    /// The standing of the Secrets in which keys are made; empty where nobody makes any.
    pub generated: GeneratedSecrets,
    /// Every Service that may be named, by `namespace/name`. `None`: there is no cluster to ask, so that their names are
    /// resolved by DNS.
    pub services: Option<BTreeMap<ObjectId, Service>>,
    /// The labels of namespaces. The label with its name is there for each, said or not.
    pub namespaces: BTreeMap<String, Labels>,
    /// The addresses where no provider may be.
    pub denied: Arc<DeniedNetworks>,
    /// Something could not be read, so an object that is not here may still exist: what `previous` has of it is kept.
    pub incomplete: bool,
    /// The forms that were compiled last: a bad object keeps its form in there.
    pub previous: Option<&'a Snapshot>,
    /// Its credentials: an object that keeps its previous form keeps the key that goes with it.
    pub previous_credentials: Option<&'a Credentials>,
    /// The routes that serve beside these, where these are not all. What is known there of routes that are here does not
    /// count.
    pub conflicts: Option<&'a MatchConflicts>,
    /// The consumers that hold keys beside these, as [`Self::conflicts`] has routes.
    pub key_conflicts: Option<&'a KeyConflicts>,
    /// The namespaces that may claim models; `None`: each may claim all.
    pub model_claims: Option<&'a ModelClaims>,
    /// The prices of models whose pools say none.
    pub prices: Option<&'a PriceList>,
}

/// An object as it was read.
#[derive(Debug, Clone)]
pub struct Manifest<S> {
    /// The object's id.
    pub id: ObjectId,
    /// Creation time in seconds since 1970; 0 from files.
    pub created: i64,
    /// The place where it was read.
    pub source: Source,
    /// Its contents, or what keeps it from being read.
    pub spec: Result<S, Vec<Fault>>,
}

/// The place where an object was read.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Source {
    /// The file, where there is one.
    pub file: Option<String>,
    /// The line of each of its fields, by path.
    pub lines: BTreeMap<String, u64>,
}

impl Source {
    /// The line of a field, or of the nearest field around it.
    #[must_use]
    pub fn line(&self, path: &str) -> Option<u64> {
        let mut path = path;
        while !path.is_empty() && !self.lines.contains_key(path) {
            path = path.rfind(['.', '[']).and_then(|cut| path.get(..cut)).unwrap_or_default();
        }
        self.lines.get(path).copied()
    }
}

/// A value that breaks the schema.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Fault {
    /// The field.
    pub path: String,
    /// The fault, and what to write instead.
    pub message: String,
}

/// The endpoints that a Service leads to.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Service {
    /// Each of its ports, by number (`port`), and the endpoints there, `ip:port` (see [`endpoints`](super::endpoints())).
    pub ports: BTreeMap<u16, Vec<String>>,
    /// It is of type `ExternalName`: a name for another name, without pods.
    pub is_external_name: bool,
}

/// Labels by key.
pub type Labels = BTreeMap<String, String>;

/// The data of a Secret.
pub type Secret = BTreeMap<String, SecretValue>;

/// The values of the credentials that a snapshot names; they travel apart from it.
pub type Credentials = BTreeMap<CredentialId, SecretValue>;

/// The mark of its byte order that some editors begin a text with.
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// A secret. `Debug` says nothing of it.
#[derive(Clone, PartialEq, Eq)]
pub struct SecretValue {
    bytes: Vec<u8>,
    /// The number of its bytes, those that are not held included.
    length: usize,
}

impl SecretValue {
    /// The most bytes of a credential: no header carries more.
    pub const LONGEST: usize = 16 * 1024;

    /// Takes the bytes in.
    #[must_use]
    pub const fn new(bytes: Vec<u8>) -> Self {
        Self { length: bytes.len(), bytes }
    }

    /// Takes the bytes in, or, where they are more than a credential has, their number alone.
    #[must_use]
    pub fn bounded(bytes: Vec<u8>) -> Self {
        let length = bytes.len();
        Self { length, bytes: if length > Self::LONGEST { Vec::new() } else { bytes } }
    }

    /// The number of its bytes, if they are more than a credential has.
    #[must_use]
    pub const fn excess(&self) -> Option<usize> {
        if self.length > Self::LONGEST { Some(self.length) } else { None }
    }

    /// The bytes, to be sent to a provider and nowhere else.
    #[must_use]
    pub fn expose(&self) -> &[u8] {
        &self.bytes
    }

    /// The same without what editors and shells put around a text: a byte order mark in front of it (Windows' Notepad), blanks and the
    /// end of a line (`echo key | base64`). No header carries them, and nobody means them.
    #[must_use]
    pub fn trimmed(&self) -> &[u8] {
        self.bytes.strip_prefix(BYTE_ORDER_MARK).unwrap_or(&self.bytes).trim_ascii()
    }
}

impl fmt::Debug for SecretValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretValue(…)")
    }
}
