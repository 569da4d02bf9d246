//! Which rule takes a call: an index over all routes, built once per configuration. Pure.
//!
//! Within a route the first rule that matches is its candidate. Across routes the more specific condition on the model
//! wins (exact, then the longest prefix, then regex, then any), then more header conditions, then the older route,
//! then the smaller id. An exact model name is found by hash, whatever the number of routes.

use std::collections::HashMap;

use http::{HeaderMap, HeaderName};
use regex::Regex;
use sluicegate_config::{HeaderMatch, HeaderValueMatch, Match, ModelMatch, ObjectId, Route};

/// Where a rule is: its route's place in the order of ids, and its own place in the route.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RuleAt {
    /// The route.
    pub route: usize,
    /// The rule in it.
    pub rule: usize,
}

/// The index.
#[derive(Debug, Default)]
pub struct Index {
    exact: HashMap<Box<str>, Vec<Entry>>,
    prefix: HashMap<Box<str>, Vec<Entry>>,
    /// Lengths of the prefixes there are, longest first.
    prefix_lengths: Vec<usize>,
    regex: Vec<Entry>,
    any: Vec<Entry>,
    /// Compiled conditions by route and rule, to see whether an earlier rule of a route takes the call.
    routes: Vec<Vec<Vec<Condition>>>,
}

/// One condition of one rule, in the list that its model leads to; lists are in the order of preference.
#[derive(Debug)]
struct Entry {
    at: RuleAt,
    condition: Condition,
    created: i64,
}

/// A compiled `Match`.
#[derive(Debug, Clone)]
struct Condition {
    model: ModelTest,
    headers: Vec<HeaderTest>,
}

#[derive(Debug, Clone)]
enum ModelTest {
    Any,
    Exact(Box<str>),
    Prefix(Box<str>),
    Regex(Regex),
    /// A pattern that does not compile: the configuration's compiler has reported it, here it matches nothing.
    Never,
}

#[derive(Debug, Clone)]
struct HeaderTest {
    name: HeaderName,
    value: ValueTest,
}

#[derive(Debug, Clone)]
enum ValueTest {
    Present,
    Exact(Box<str>),
    Regex(Regex),
}

impl Index {
    /// Over routes in the order of their ids.
    pub fn build<'a>(routes: impl Iterator<Item = (&'a ObjectId, &'a Route)>) -> Self {
        let mut index = Self::default();
        for (at, (_, route)) in routes.enumerate() {
            let rules = route.rules.iter().map(|rule| Condition::all(&rule.matches)).collect::<Vec<_>>();
            for (rule, conditions) in rules.iter().enumerate() {
                for condition in conditions {
                    let entry =
                        Entry { at: RuleAt { route: at, rule }, condition: condition.clone(), created: route.created };
                    index.file(entry);
                }
            }
            index.routes.push(rules);
        }
        index.sort();
        index
    }

    fn file(&mut self, entry: Entry) {
        match &entry.condition.model {
            ModelTest::Any => self.any.push(entry),
            ModelTest::Exact(name) => self.exact.entry(name.clone()).or_default().push(entry),
            ModelTest::Prefix(prefix) => self.prefix.entry(prefix.clone()).or_default().push(entry),
            ModelTest::Regex(_) => self.regex.push(entry),
            ModelTest::Never => {}
        }
    }

    fn sort(&mut self) {
        // Routes came in the order of their ids, and the sort is stable: ids decide last by themselves.
        let by_preference = |entry: &Entry| (std::cmp::Reverse(entry.condition.headers.len()), entry.created);
        self.exact.values_mut().chain(self.prefix.values_mut()).for_each(|list| list.sort_by_key(by_preference));
        self.regex.sort_by_key(by_preference);
        self.any.sort_by_key(by_preference);
        self.prefix_lengths = self.prefix.keys().map(|prefix| prefix.len()).collect();
        self.prefix_lengths.sort_unstable_by(|left, right| right.cmp(left));
        self.prefix_lengths.dedup();
    }

    /// The rule that takes a call for this model with these headers.
    #[must_use]
    pub fn find(&self, model: &str, headers: &HeaderMap) -> Option<RuleAt> {
        let exact = self.exact.get(model).into_iter();
        let prefixes = self.prefix_lengths.iter().filter_map(|length| self.prefix.get(model.get(..*length)?));
        let lists = exact.chain(prefixes).map(Vec::as_slice).chain([self.regex.as_slice(), self.any.as_slice()]);
        // An entry counts only where no earlier rule of its route takes the call: that rule is then the route's
        // candidate, and stands in a list of its own.
        lists
            .flatten()
            .find(|entry| entry.condition.holds(model, headers) && !self.shadowed(entry.at, model, headers))
            .map(|entry| entry.at)
    }

    fn shadowed(&self, at: RuleAt, model: &str, headers: &HeaderMap) -> bool {
        let earlier = self.routes.get(at.route).and_then(|rules| rules.get(..at.rule));
        earlier.into_iter().flatten().flatten().any(|condition| condition.holds(model, headers))
    }

    /// The rules that could take calls for this model, with the headers they may ask for.
    pub fn reaching(&self, model: &str) -> impl Iterator<Item = RuleAt> {
        let places = self.routes.iter().enumerate();
        let places = places.flat_map(|(route, rules)| (0..rules.len()).map(move |rule| RuleAt { route, rule }));
        places.filter(move |at| self.reaches(*at, model))
    }

    /// Whether a rule could take calls for this model, with the headers it may ask for.
    #[must_use]
    pub fn reaches(&self, at: RuleAt, model: &str) -> bool {
        let conditions = self.routes.get(at.route).and_then(|rules| rules.get(at.rule));
        conditions.into_iter().flatten().any(|condition| condition.model.holds(model))
    }
}

impl Condition {
    /// A rule without matches takes every call.
    fn all(matches: &[Match]) -> Vec<Self> {
        if matches.is_empty() {
            return vec![Self { model: ModelTest::Any, headers: Vec::new() }];
        }
        matches.iter().map(Self::of).collect()
    }

    fn of(from: &Match) -> Self {
        let headers = from.headers.iter().map(HeaderTest::of).collect::<Option<Vec<_>>>();
        match headers {
            Some(headers) => Self { model: ModelTest::of(from.model.as_ref()), headers },
            None => Self { model: ModelTest::Never, headers: Vec::new() },
        }
    }

    fn holds(&self, model: &str, headers: &HeaderMap) -> bool {
        self.model.holds(model) && self.headers.iter().all(|test| test.holds(headers))
    }
}

impl ModelTest {
    fn of(from: Option<&ModelMatch>) -> Self {
        match from {
            None => Self::Any,
            Some(ModelMatch::Exact(name)) => Self::Exact(name.as_str().into()),
            Some(ModelMatch::Prefix(prefix)) => Self::Prefix(prefix.as_str().into()),
            Some(ModelMatch::Regex(pattern)) => anchored(pattern).map_or(Self::Never, Self::Regex),
        }
    }

    fn holds(&self, model: &str) -> bool {
        match self {
            Self::Any => true,
            Self::Exact(name) => **name == *model,
            Self::Prefix(prefix) => model.starts_with(&**prefix),
            Self::Regex(regex) => regex.is_match(model),
            Self::Never => false,
        }
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

fn anchored(pattern: &str) -> Option<Regex> {
    Regex::new(&format!("^(?:{pattern})$")).ok()
}

#[cfg(test)]
mod tests;
