//! The exchange of compiled objects from the operator to proxies: the names, labels and keys of the ConfigMaps and
//! Secrets in the gateway's namespace. Written by the operator, watched by every proxy.
//!
//! One compiled object per resource, as `EndpointSlice`s do it: no size limit stands in the way of the whole, a change is
//! one small write, and a proxy starts while the operator is down.

use crate::{Kind, ObjectId};

/// Label: which gateway (a Helm release) the object belongs to. Proxies watch by it.
pub const GATEWAY_LABEL: &str = "sluicegate.dev/gateway";
/// Label: what is inside, a [`Content`] by name.
pub const CONTENT_LABEL: &str = "sluicegate.dev/content";
/// Annotation: `namespace/name` of the resource that it was compiled from.
pub const OBJECT_ANNOTATION: &str = "sluicegate.dev/object";
/// Annotation: the compiled form's revision.
pub const REVISION_ANNOTATION: &str = "sluicegate.dev/revision";
/// Annotation: the object is about to be deleted, and that is meant. Written by the operator just before it deletes one:
/// what runs of the object ends at once. A deletion that nobody announced is waited out, see [`KEPT_SECONDS`].
pub const WITHDRAWN_ANNOTATION: &str = "sluicegate.dev/withdrawn";
/// The time that a proxy goes on with an object that was deleted and not withdrawn, in seconds. Somebody has deleted it by
/// mistake, or the garbage collector has, because its owner was replaced: the operator puts it back within these.
pub const KEPT_SECONDS: u64 = 10;
/// The key in `data` of a ConfigMap that holds the compiled `Route` or `Pool` as JSON, and in `data` of a Secret that
/// holds credentials as a JSON object from `CredentialId` to base64.
pub const DATA_KEY: &str = "compiled.json";

/// Content label of the Secret with the token by which proxies know the operator at `/rollout`.
pub const OPERATOR_CONTENT: &str = "operator";
/// The key in its `data` that holds the token.
pub const TOKEN_KEY: &str = "token";
/// The shortest token that is one.
pub const LEAST_TOKEN: usize = 32;

/// The name of the Secret with the operator's token.
#[must_use]
pub fn operator_name(gateway: &str) -> String {
    format!("{gateway}.{OPERATOR_CONTENT}")
}

/// The longest name an object may have (RFC 1123 subdomain).
const MAX_NAME: usize = 253;

/// The contents of a published object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Content {
    /// A ConfigMap with a compiled resource of a kind.
    Compiled(Kind),
    /// A Secret with the values of the credentials that one names.
    Credentials(Kind),
}

impl Content {
    /// Everything that is published of resources.
    pub fn all() -> impl Iterator<Item = Self> {
        Kind::ALL.iter().flat_map(|kind| Self::of(*kind))
    }

    /// Everything that is published of a resource of a kind.
    pub fn of(kind: Kind) -> impl Iterator<Item = Self> {
        let credentials = kind.credentials_label().map(|_| Self::Credentials(kind));
        std::iter::once(Self::Compiled(kind)).chain(credentials)
    }

    /// The kind of resource that it is of.
    #[must_use]
    pub const fn kind(self) -> Kind {
        match self {
            Self::Compiled(kind) | Self::Credentials(kind) => kind,
        }
    }

    /// True if it is held by a Secret.
    #[must_use]
    pub const fn is_secret(self) -> bool {
        matches!(self, Self::Credentials(_))
    }

    /// As the label says it; empty for credentials of a kind that has none.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Compiled(kind) => kind.compiled_label(),
            Self::Credentials(kind) => kind.credentials_label().unwrap_or_default(),
        }
    }

    /// From the label.
    #[must_use]
    pub fn parse(label: &str) -> Option<Self> {
        Self::all().find(|content| content.as_str() == label)
    }
}

/// The published object's name: `route.NAMESPACE.NAME`, after the gateway's. Namespaces hold no dot, so no two resources
/// share one; a name that would be too long ends in a hash instead.
#[must_use]
pub fn name(gateway: &str, content: Content, object: &ObjectId) -> String {
    let whole = format!("{gateway}.{}.{}", content.as_str(), object.0.replacen('/', ".", 1));
    if whole.len() <= MAX_NAME {
        return whole;
    }
    let hash = fnv1a(whole.as_bytes());
    let kept: String = whole.chars().take(MAX_NAME - 17).collect();
    format!("{}-{hash:016x}", kept.trim_end_matches(['.', '-']))
}

/// FNV-1a, 64 bits: told apart are names of one cluster, not of an attacker, who could name his object as he likes anyway.
fn fnv1a(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_tell_objects_apart() {
        let id = |id: &str| ObjectId(id.to_owned());
        assert_eq!(name("gw", Content::Compiled(Kind::LlmRoute), &id("team-a/chat")), "gw.route.team-a.chat");
        assert_eq!(name("gw", Content::Compiled(Kind::ProviderPool), &id("team-a/chat.v2")), "gw.pool.team-a.chat.v2");
        let (long, other) = (format!("team-a/{}", "x".repeat(253)), format!("team-a/{}y", "x".repeat(252)));
        let (long, other) = (
            name("gw", Content::Compiled(Kind::LlmRoute), &id(&long)),
            name("gw", Content::Compiled(Kind::LlmRoute), &id(&other)),
        );
        assert!(long.len() <= MAX_NAME && other.len() <= MAX_NAME && long != other);
    }

    #[test]
    fn labels_are_read_as_they_are_written() {
        for content in Content::all() {
            assert_eq!(Content::parse(content.as_str()), Some(content));
        }
        assert_eq!(Content::parse("else"), None);
    }
}
