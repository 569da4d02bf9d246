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
    /// Those of the others that may not be read.
    forbidden: HashSet<(Source, Scope)>,
    /// An owner of what is published must be known before anything is written.
    needs_owner: bool,
}

impl Lists {
    /// None has been.
    pub fn new(watched: Watched) -> Self {
        Self { watched, read: HashSet::new(), forbidden: HashSet::new(), needs_owner: false }
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
        self.forbidden.remove(&(source, scope.clone()));
        self.read.insert((source, scope.clone()))
    }

    /// One may not be read. Says whether by this its namespace is closed.
    pub fn refused(&mut self, source: Source, scope: &Scope) -> bool {
        let list = (source, scope.clone());
        let is_new = !self.read.contains(&list) && self.forbidden.insert(list);
        is_new && scope.as_deref().is_some_and(|namespace| self.is_closed(namespace))
    }

    /// True if nothing may be read in a namespace, as it is when the namespace has gone, and with it the Role that let us. What is in
    /// it is not known then, and need not be waited for. The labels of one that may not be read count as read.
    fn is_closed(&self, namespace: &str) -> bool {
        let mut lists = Source::scoped().filter(|source| *source != Source::Namespaces);
        lists.all(|source| self.forbidden.contains(&(source, Some(namespace.to_owned()))))
    }

    /// The namespaces in which nothing may be read, sorted.
    pub fn closed(&self) -> Vec<&str> {
        match &self.watched {
            Watched::All => Vec::new(),
            Watched::Only(names) => names.iter().map(String::as_str).filter(|name| self.is_closed(name)).collect(),
        }
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
        self.unread(|_| true)
    }

    /// Those of them that are waited for: not those of namespaces in which nothing may be read.
    pub fn awaited(&self) -> Vec<String> {
        self.unread(|(_, scope)| !scope.as_deref().is_some_and(|namespace| self.is_closed(namespace)))
    }

    fn unread(&self, counts: impl Fn(&(Source, Scope)) -> bool) -> Vec<String> {
        let own = self.own().map(|source| (source, None));
        let scopes = self.watched.scopes();
        let scoped = Source::scoped().flat_map(|source| scopes.iter().map(move |scope| (source, scope.clone())));
        let missing: BTreeSet<_> = own.chain(scoped).filter(|list| !self.read.contains(list) && counts(list)).collect();
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

    #[test]
    fn a_namespace_in_which_nothing_may_be_read_is_not_waited_for_and_nothing_is_concluded_of_it() {
        let mut lists = Lists::new(Watched::Only(["a".to_owned(), "b".to_owned()].into()));
        let scope = |name: &str| Some(name.to_owned());
        for source in Source::scoped() {
            lists.read(source, &scope("a"));
        }
        for source in [Source::PublishedMaps, Source::PublishedSecrets] {
            lists.read(source, &None);
        }
        // Its labels are taken for read: one may not be let read them alone.
        lists.read(Source::Namespaces, &scope("b"));
        let lists_of_b: Vec<Source> = Source::scoped().filter(|source| *source != Source::Namespaces).collect();
        for (at, source) in lists_of_b.iter().enumerate() {
            assert_eq!(lists.awaited().len(), lists_of_b.len(), "as long as it may be one right that is missing");
            assert_eq!(lists.refused(*source, &scope("b")), at + 1 == lists_of_b.len());
        }
        assert_eq!((lists.awaited().len(), lists.missing().len()), (0, lists_of_b.len()));
        assert_eq!(lists.closed(), ["b"]);
        assert!(!lists.known("b"), "what is published of it stands");
        assert!(!lists.refused(lists_of_b[0], &scope("b")), "it is told once");
        // It opens: all of it is waited for again.
        lists.read(lists_of_b[0], &scope("b"));
        assert_eq!((lists.awaited().len(), lists.closed().len()), (lists_of_b.len() - 1, 0));
        // A list that was read once is known, whatever is refused later.
        assert!(!lists.refused(lists_of_b[0], &scope("a")) && lists.known("a"));
    }
}
