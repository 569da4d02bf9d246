//! The watches, and which of the first lists have been read whole. Before that nothing is concluded from an absence.

use std::collections::{BTreeSet, HashSet};

use sluicegate_config::Kind;

/// The namespaces whose resources count.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Watched {
    /// All of the cluster.
    All,
    /// These.
    Only(BTreeSet<String>),
}

/// The extent of a list: one namespace, or (`None`) all at once.
pub type Scope = Option<String>;

impl Watched {
    /// The scopes to list and watch.
    pub fn scopes(&self) -> Vec<Scope> {
        match self {
            Self::All => vec![None],
            Self::Only(names) => names.iter().cloned().map(Some).collect(),
        }
    }

    /// True if the resources of a namespace count.
    pub fn holds(&self, namespace: &str) -> bool {
        match self {
            Self::All => true,
            Self::Only(names) => names.contains(namespace),
        }
    }

    fn scope_of(&self, namespace: &str) -> Scope {
        match self {
            Self::All => None,
            Self::Only(_) => Some(namespace.to_owned()),
        }
    }
}

/// The kinds of objects that are listed and watched.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Source {
    /// Resources of a kind of ours.
    Resources(Kind),
    /// Secrets, their metadata only.
    Secrets,
    /// Services, their metadata only.
    Services,
    /// `EndpointSlice`s, their metadata only.
    Slices,
    /// Labels of namespaces.
    Namespaces,
    /// Our own ConfigMaps in the gateway's namespace.
    PublishedMaps,
    /// Our own Secrets in the gateway's namespace.
    PublishedSecrets,
    /// The ConfigMap that owns what is published.
    Owner,
}

impl Source {
    /// Every source that is read once per scope.
    pub fn scoped() -> impl Iterator<Item = Self> {
        let others = [Self::Secrets, Self::Services, Self::Slices, Self::Namespaces];
        Kind::ALL.iter().map(|kind| Self::Resources(*kind)).chain(others)
    }

    /// The resource, as the API calls it.
    pub const fn resource(self) -> &'static str {
        match self {
            Self::Resources(kind) => kind.plural(),
            Self::Secrets | Self::PublishedSecrets => "secrets",
            Self::Services => "services",
            Self::Slices => "endpointslices",
            Self::Namespaces => "namespaces",
            Self::PublishedMaps | Self::Owner => "configmaps",
        }
    }
}

/// The lists that have been read whole.
#[derive(Debug)]
pub struct Lists {
    watched: Watched,
    read: HashSet<(Source, Scope)>,
    /// An owner of what is published must be known before anything is written.
    needs_owner: bool,
}

impl Lists {
    /// None has been.
    pub fn new(watched: Watched) -> Self {
        Self { watched, read: HashSet::new(), needs_owner: false }
    }

    /// Makes what is published wait for its owner.
    pub fn need_owner(&mut self) {
        self.needs_owner = true;
    }

    /// The lists that are not read once per scope.
    fn own(&self) -> impl Iterator<Item = Source> + use<> {
        let owner = self.needs_owner.then_some(Source::Owner);
        [Source::PublishedMaps, Source::PublishedSecrets].into_iter().chain(owner)
    }

    /// The namespaces that are watched.
    pub fn watched(&self) -> &Watched {
        &self.watched
    }

    /// One has. Says whether this opens its scope, or, for our own objects, all of them.
    pub fn read(&mut self, source: Source, scope: &Scope) -> bool {
        self.read.insert((source, scope.clone()))
    }

    /// True if what stands published is known, and who is to own it.
    pub fn published(&self) -> bool {
        self.own().all(|source| self.read.contains(&(source, None)))
    }

    /// True if all that is in a namespace is known. Nothing in one that is not watched counts, so that is known.
    pub fn known(&self, namespace: &str) -> bool {
        let scope = self.watched.scope_of(namespace);
        !self.watched.holds(namespace) || Source::scoped().all(|source| self.read.contains(&(source, scope.clone())))
    }

    /// Lists that have not been read yet, as `resource` or `resource in namespace`.
    pub fn missing(&self) -> Vec<String> {
        let own = self.own().map(|source| (source, None));
        let scopes = self.watched.scopes();
        let scoped = Source::scoped().flat_map(|source| scopes.iter().map(move |scope| (source, scope.clone())));
        let missing: BTreeSet<_> = own.chain(scoped).filter(|list| !self.read.contains(list)).collect();
        missing
            .into_iter()
            .map(|(source, scope)| match scope {
                Some(namespace) => format!("{} in {namespace}", source.resource()),
                None => source.resource().to_owned(),
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_namespace_is_known_when_all_its_lists_are_read() {
        let mut lists = Lists::new(Watched::Only(["a".to_owned(), "b".to_owned()].into()));
        for source in Source::scoped() {
            assert!(!lists.known("a"));
            lists.read(source, &Some("a".to_owned()));
        }
        assert!(lists.known("a") && !lists.known("b"));
        assert!(lists.known("not-watched") && !lists.published());
        // Those of b, and the two of what is published.
        assert_eq!(lists.missing().len(), Source::scoped().count() + 2);
        assert!(lists.missing().contains(&"llmroutes in b".to_owned()));
    }
}
