//! The rule that takes a call: an index over all routes. Pure.
//!
//! Within a route the first rule that matches is its candidate. Across routes the more specific condition on the model
//! wins (exact, then the longest prefix, then regex, then any), then more further conditions, then the older route,
//! then the smaller id. An exact model name is found by hash, whatever the number of routes.
//!
//! A call to a path that the gateway has no words for asks for no model: its path stands in the model's place (exact, then the longest
//! prefix), among the conditions that name one, and no other condition takes it.
//!
//! A route is compiled once, when it is filed. Copies of the index are cheap and share what is filed in them; a change
//! copies the lists it falls in.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::sync::Arc;

use http::{HeaderMap, HeaderName};
use regex::Regex;
use sluicegate_config::{Complexity, ConsumerMatch, HeaderMatch, HeaderValueMatch, Match, ObjectId, PathMatch, Route};

use crate::consumer::KnownConsumer;
use crate::matching::{AskedAmount, ModelTest, anchored};
use crate::persistent::{self, PersistentMap};

/// A route as the index files it: its compiled conditions, and what it leads to.
#[derive(Debug)]
pub struct Filed<R> {
    /// Its id.
    pub id: Arc<ObjectId>,
    /// The time when it was created.
    pub created: i64,
    /// The route that it leads to.
    pub route: R,
    /// Compiled conditions by rule.
    rules: Box<[Box<[Condition]>]>,
}

/// The index.
#[derive(Debug)]
pub struct Index<R> {
    exact: PersistentMap<Box<str>, Arc<[IndexEntry<R>]>>,
    prefix: PrefixLists<R>,
    regex: Arc<Vec<IndexEntry<R>>>,
    any: Arc<Vec<IndexEntry<R>>>,
    paths: PersistentMap<Box<str>, Arc<[IndexEntry<R>]>>,
    path_prefix: PrefixLists<R>,
}

/// Lists by the beginnings of what leads to them.
#[derive(Debug)]
struct PrefixLists<R> {
    lists: PersistentMap<Box<str>, Arc<[IndexEntry<R>]>>,
    /// Lengths of the prefixes there are, longest first, and how many lists have each.
    lengths: Arc<BTreeMap<Reverse<usize>, usize>>,
}

/// The thing by which a call is matched first.
#[derive(Debug, Clone, Copy)]
enum Sought<'a> {
    /// The model that it asks for.
    Model(&'a str),
    /// The path of one that passes unread.
    Path(&'a str),
}

/// One condition of one rule, in the list that its model leads to; lists are in the order of preference.
#[derive(Debug)]
struct IndexEntry<R> {
    filed: Arc<Filed<R>>,
    rule: usize,
    condition: usize,
}

/// A compiled `Match`.
#[derive(Debug)]
struct Condition {
    model: ModelTest,
    /// Of a call that passes unread. Where it is there, no model holds.
    path: Option<PathMatch>,
    headers: Box<[HeaderTest]>,
    consumers: Option<ConsumerMatch>,
    complexity: Option<Complexity>,
}

/// The amount that a call asks for, looked at where a condition wants to know.
pub(crate) type LookAtAsked<'a> = &'a dyn Fn() -> AskedAmount;

#[derive(Debug)]
struct HeaderTest {
    name: HeaderName,
    value: ValueTest,
}

#[derive(Debug)]
enum ValueTest {
    Present,
    Exact(Box<str>),
    Regex(Regex),
}

impl<R> Clone for IndexEntry<R> {
    fn clone(&self) -> Self {
        Self { filed: Arc::clone(&self.filed), ..*self }
    }
}

impl<R> Clone for Index<R> {
    fn clone(&self) -> Self {
        Self {
            exact: self.exact.clone(),
            prefix: self.prefix.clone(),
            regex: Arc::clone(&self.regex),
            any: Arc::clone(&self.any),
            paths: self.paths.clone(),
            path_prefix: self.path_prefix.clone(),
        }
    }
}

impl<R> Default for Index<R> {
    fn default() -> Self {
        Self {
            exact: PersistentMap::default(),
            prefix: PrefixLists::default(),
            regex: Arc::default(),
            any: Arc::default(),
            paths: PersistentMap::default(),
            path_prefix: PrefixLists::default(),
        }
    }
}

impl<R> Clone for PrefixLists<R> {
    fn clone(&self) -> Self {
        Self { lists: self.lists.clone(), lengths: Arc::clone(&self.lengths) }
    }
}

impl<R> Default for PrefixLists<R> {
    fn default() -> Self {
        Self { lists: PersistentMap::default(), lengths: Arc::default() }
    }
}

impl<R> PrefixLists<R> {
    fn change(&mut self, prefix: &str, change: impl FnOnce(&mut Vec<IndexEntry<R>>)) {
        let before = self.lists.size();
        persistent::change(&mut self.lists, prefix.into(), change);
        let (after, length) = (self.lists.size(), Reverse(prefix.len()));
        if after != before {
            let lengths = Arc::make_mut(&mut self.lengths);
            let count = lengths.entry(length).or_default();
            *count = (*count + after).saturating_sub(before);
            if *count == 0 {
                lengths.remove(&length);
            }
        }
    }

    /// The lists of all beginnings that a text has, the longest first.
    fn of(&self, text: &str) -> impl Iterator<Item = &[IndexEntry<R>]> {
        let lists = self.lengths.keys().filter_map(|Reverse(length)| self.lists.get(text.get(..*length)?));
        lists.map(|list| &**list)
    }
}

impl<R> Filed<R> {
    /// Compiles a route's conditions.
    #[must_use]
    pub fn new(id: &Arc<ObjectId>, from: &Route, route: R) -> Self {
        let rules = from.rules.iter().map(|rule| Condition::all(&rule.matches)).collect();
        Self { id: Arc::clone(id), created: from.created, route, rules }
    }

    /// True if a rule could take a caller's calls for this model, with the headers it may ask for.
    #[must_use]
    pub(crate) fn reaches(&self, rule: usize, model: &str, consumer: Option<&KnownConsumer>) -> bool {
        self.rules.get(rule).into_iter().flatten().any(|condition| condition.may_hold(model, consumer))
    }

    /// True if a rule takes each of a caller's calls for this model, whatever its headers.
    pub(crate) fn takes_all(&self, rule: usize, model: &str, consumer: Option<&KnownConsumer>) -> bool {
        let mut all = self.rules.get(rule).into_iter().flatten();
        all.any(|condition| condition.headers.is_empty() && condition.may_hold(model, consumer))
    }

    /// True if any of its rules asks who calls.
    pub(crate) fn asks_for_consumers(&self) -> bool {
        self.rules.iter().flatten().any(|condition| condition.consumers.is_some())
    }

    /// True if any of its rules takes calls without asking who calls.
    pub(crate) fn takes_anyone(&self) -> bool {
        self.rules.iter().flatten().any(|condition| condition.consumers.is_none())
    }

    /// True if any of its rules has a match that is not for this consumer.
    pub(crate) fn keeps_from(&self, consumer: &KnownConsumer) -> bool {
        self.rules.iter().flatten().any(|condition| !condition.is_for(Some(consumer)))
    }

    /// True if a rule takes any of a caller's calls for models.
    pub(crate) fn is_for(&self, rule: usize, consumer: Option<&KnownConsumer>) -> bool {
        let mut all = self.rules.get(rule).into_iter().flatten();
        all.any(|condition| condition.path.is_none() && condition.is_for(consumer))
    }

    /// The exact names that a rule matches for a caller.
    pub(crate) fn exact(&self, rule: usize, consumer: Option<&KnownConsumer>) -> impl Iterator<Item = &str> {
        self.rules.get(rule).into_iter().flatten().filter_map(move |condition| match &condition.model {
            ModelTest::Exact(name) if condition.is_for(consumer) => Some(&**name),
            _ => None,
        })
    }
}

impl<R> IndexEntry<R> {
    fn condition(&self) -> Option<&Condition> {
        self.filed.rules.get(self.rule)?.get(self.condition)
    }

    fn preference(&self) -> (Reverse<usize>, i64, &str, usize, usize) {
        let further = |condition: &Condition| {
            let beside = [condition.consumers.is_some(), condition.complexity.is_some()];
            condition.headers.len() + beside.into_iter().filter(|there| *there).count()
        };
        let headers = self.condition().map_or(0, further);
        (Reverse(headers), self.filed.created, &self.filed.id.0, self.rule, self.condition)
    }

    fn holds(&self, of: (Sought<'_>, &HeaderMap), consumer: Option<&KnownConsumer>, asking: LookAtAsked<'_>) -> bool {
        self.condition().is_some_and(|condition| condition.holds(of, consumer, asking))
    }

    /// An entry counts only where no earlier rule of its route takes the call: that rule is then the route's
    /// candidate, and stands in a list of its own.
    fn shadowed(
        &self,
        of: (Sought<'_>, &HeaderMap),
        consumer: Option<&KnownConsumer>,
        asking: LookAtAsked<'_>,
    ) -> bool {
        let earlier = self.filed.rules.get(..self.rule);
        earlier.into_iter().flatten().flatten().any(|condition| condition.holds(of, consumer, asking))
    }
}

impl<R> Index<R> {
    /// Files a route.
    pub fn insert(&mut self, filed: &Arc<Filed<R>>) {
        for (rule, conditions) in filed.rules.iter().enumerate() {
            for (condition, test) in conditions.iter().enumerate() {
                let entry = IndexEntry { filed: Arc::clone(filed), rule, condition };
                self.change(test, |list| {
                    let at = list.partition_point(|other| other.preference() < entry.preference());
                    list.insert(at, entry);
                });
            }
        }
    }

    /// Takes a route out.
    pub fn remove(&mut self, filed: &Filed<R>) {
        for test in filed.rules.iter().flatten() {
            self.change(test, |list| list.retain(|entry| entry.filed.id != filed.id));
        }
    }

    fn change(&mut self, test: &Condition, change: impl FnOnce(&mut Vec<IndexEntry<R>>)) {
        match (&test.path, &test.model) {
            (Some(PathMatch::Exact(path)), _) => persistent::change(&mut self.paths, path.as_str().into(), change),
            (Some(PathMatch::Prefix(prefix)), _) => self.path_prefix.change(prefix, change),
            (None, ModelTest::Any) => change(Arc::make_mut(&mut self.any)),
            (None, ModelTest::Exact(name)) => persistent::change(&mut self.exact, name.clone(), change),
            (None, ModelTest::Prefix(prefix)) => self.prefix.change(prefix, change),
            (None, ModelTest::Regex(_)) => change(Arc::make_mut(&mut self.regex)),
            (None, ModelTest::Never) => {}
        }
    }

    /// The lists that a model leads to, in the order of preference.
    fn lists(&self, model: &str) -> impl Iterator<Item = &[IndexEntry<R>]> {
        let exact = self.exact.get(model).into_iter().map(|list| &**list);
        exact.chain(self.prefix.of(model)).chain([self.regex.as_slice(), self.any.as_slice()])
    }

    /// Those that a path leads to.
    fn lists_of_path(&self, path: &str) -> impl Iterator<Item = &[IndexEntry<R>]> {
        self.paths.get(path).into_iter().map(|list| &**list).chain(self.path_prefix.of(path))
    }

    /// The route that takes a caller's call for this model with these headers, and which of its rules.
    #[must_use]
    pub(crate) fn find(
        &self,
        model: &str,
        headers: &HeaderMap,
        consumer: Option<&KnownConsumer>,
        asking: LookAtAsked<'_>,
    ) -> Option<(&Filed<R>, usize)> {
        let of = (Sought::Model(model), headers);
        self.lists(model)
            .flatten()
            .find(|entry| entry.holds(of, consumer, asking) && !entry.shadowed(of, consumer, asking))
            .map(|entry| (&*entry.filed, entry.rule))
    }

    /// The route that takes a caller's call to this path, which passes unread, and which of its rules.
    #[must_use]
    pub(crate) fn find_path(
        &self,
        path: &str,
        headers: &HeaderMap,
        consumer: Option<&KnownConsumer>,
    ) -> Option<(&Filed<R>, usize)> {
        let (of, nothing) = ((Sought::Path(path), headers), &AskedAmount::default);
        self.lists_of_path(path)
            .flatten()
            .find(|entry| entry.holds(of, consumer, nothing) && !entry.shadowed(of, consumer, nothing))
            .map(|entry| (&*entry.filed, entry.rule))
    }

    /// True if a rule names this path, for whomever.
    pub(crate) fn names_path(&self, path: &str) -> bool {
        self.lists_of_path(path).next().is_some()
    }

    /// True if a rule names any path.
    pub(crate) fn names_paths(&self) -> bool {
        !(self.paths.is_empty() && self.path_prefix.lists.is_empty())
    }

    /// The rules that could take a caller's calls for this model, with the headers they may ask for.
    pub(crate) fn reaching(
        &self,
        model: &str,
        consumer: Option<&KnownConsumer>,
    ) -> impl Iterator<Item = (&Filed<R>, usize)> {
        let reaches =
            move |entry: &&IndexEntry<R>| entry.condition().is_some_and(|test| test.may_hold(model, consumer));
        self.lists(model).flatten().filter(reaches).map(|entry| (&*entry.filed, entry.rule))
    }
}

impl Condition {
    /// A rule without matches takes every call.
    fn all(matches: &[Match]) -> Box<[Self]> {
        if matches.is_empty() {
            return Box::new([Self {
                model: ModelTest::Any,
                path: None,
                headers: Box::default(),
                consumers: None,
                complexity: None,
            }]);
        }
        matches.iter().map(Self::of).collect()
    }

    fn of(from: &Match) -> Self {
        let headers = from.headers.iter().map(HeaderTest::of).collect::<Option<_>>();
        let (consumers, complexity) = (from.consumers.clone(), from.complexity);
        let is_of_model = from.path.is_none();
        match headers {
            Some(headers) => {
                let model = if is_of_model { ModelTest::of(from.model.as_ref()) } else { ModelTest::Never };
                Self { model, path: from.path.clone(), headers, consumers, complexity }
            }
            None => Self { model: ModelTest::Never, path: None, headers: Box::default(), consumers, complexity },
        }
    }

    fn holds(
        &self,
        (sought, headers): (Sought<'_>, &HeaderMap),
        consumer: Option<&KnownConsumer>,
        asking: LookAtAsked<'_>,
    ) -> bool {
        let may = match sought {
            Sought::Model(model) => self.may_hold(model, consumer),
            Sought::Path(path) => self.is_for(consumer) && self.path.as_ref().is_some_and(|test| test.holds(path)),
        };
        may && self.headers.iter().all(|test| test.holds(headers))
            && self.complexity.as_ref().is_none_or(|conditions| asking().is_within(conditions))
    }

    /// True if it holds, with the headers it may ask for.
    fn may_hold(&self, model: &str, consumer: Option<&KnownConsumer>) -> bool {
        self.model.holds(model) && self.is_for(consumer)
    }

    fn is_for(&self, consumer: Option<&KnownConsumer>) -> bool {
        let selects = |selector: &ConsumerMatch| consumer.is_some_and(|consumer| consumer.is_selected(selector));
        self.consumers.as_ref().is_none_or(selects)
    }
}

impl HeaderTest {
    fn of(from: &HeaderMatch) -> Option<Self> {
        let name = HeaderName::try_from(from.name.as_str()).ok()?;
        let value = match &from.value {
            HeaderValueMatch::Present => ValueTest::Present,
            HeaderValueMatch::Exact(value) => ValueTest::Exact(value.as_str().into()),
            HeaderValueMatch::Regex(pattern) => ValueTest::Regex(anchored(pattern)?),
        };
        Some(Self { name, value })
    }

    fn holds(&self, headers: &HeaderMap) -> bool {
        headers.get_all(&self.name).into_iter().any(|value| match &self.value {
            ValueTest::Present => true,
            ValueTest::Exact(exact) => value.as_bytes() == exact.as_bytes(),
            ValueTest::Regex(regex) => value.to_str().is_ok_and(|value| regex.is_match(value)),
        })
    }
}

#[cfg(test)]
mod tests;
