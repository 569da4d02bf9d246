//! Names of resources and of credentials.

use serde::{Deserialize, Serialize};

/// `namespace/name` of a resource: the stable id that live state is keyed by.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ObjectId(pub String);

/// `namespace/secret/key`: names a credential, never holds it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct CredentialId(pub String);
