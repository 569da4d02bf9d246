//! Routes with equal conditions: of all that match a call alike the older one takes it, then the one with the smaller id.
//! Who never gets a call that way is told.

use std::collections::{BTreeSet, HashMap};

use regex::Regex;

use super::verdict::Severity;
use crate::{HeaderValueMatch, Match, ModelMatch, ObjectId, PathMatch, Route};

/// A condition in a form that equal ones share.
type Key = Box<str>;

/// Holders of each condition, of all routes that serve.
#[derive(Debug, Default, Clone)]
pub struct MatchConflicts {
    /// Those who hold a condition, in the order in which they take its calls.
    holders: HashMap<Key, BTreeSet<Holder>>,
    of: HashMap<ObjectId, Vec<(Key, Holder)>>,
}

/// A route that holds a condition.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Holder {
    created: i64,
    id: ObjectId,
    /// It takes every call of the condition that gets to it: none falls to another rule of its own before.
    takes_all: bool,
}

impl MatchConflicts {
    /// Of all these routes.
    pub fn of<'a>(routes: impl IntoIterator<Item = (&'a ObjectId, &'a Route)>) -> Self {
        let mut conflicts = Self::default();
        for (id, route) in routes {
            conflicts.enter(id, route);
        }
        conflicts
    }

    /// Sets what serves of a route; `None`: nothing does. Gives back the other routes that another route comes before
    /// now.
    pub fn set(&mut self, id: &ObjectId, route: Option<&Route>) -> BTreeSet<ObjectId> {
        let mut before: HashMap<Key, Option<ObjectId>> = HashMap::new();
        let after: Vec<(Key, bool)> = route.map(conditions).unwrap_or_default().into_iter().flatten().collect();
        let old = self.of.get(id).into_iter().flatten().map(|(key, _)| key);
        for key in old.chain(after.iter().map(|(key, _)| key)) {
            before.insert(key.clone(), self.first(key, |_| false).cloned());
        }
        self.take_out(id);
        if let Some(route) = route {
            self.enter(id, route);
        }
        let turned = before.iter().filter(|(key, first)| self.first(key, |_| false) != first.as_ref());
        let holders = turned.flat_map(|(key, _)| self.holders.get(key).into_iter().flatten());
        holders.map(|holder| &holder.id).filter(|other| *other != id).cloned().collect()
    }

    fn enter(&mut self, id: &ObjectId, route: &Route) {
        let mut own = Vec::new();
        for (key, takes_all) in conditions(route).into_iter().flatten() {
            let holder = Holder { created: route.created, id: id.clone(), takes_all };
            self.holders.entry(key.clone()).or_default().insert(holder.clone());
            own.push((key, holder));
        }
        self.of.insert(id.clone(), own);
    }

    fn take_out(&mut self, id: &ObjectId) {
        for (key, holder) in self.of.remove(id).into_iter().flatten() {
            if let Some(holders) = self.holders.get_mut(&key) {
                holders.remove(&holder);
                if holders.is_empty() {
                    self.holders.remove(&key);
                }
            }
        }
    }

    /// The route that takes all calls of a condition, of those that are not left out.
    fn first(&self, key: &str, leaves_out: impl Fn(&ObjectId) -> bool) -> Option<&ObjectId> {
        self.first_holder(key, leaves_out).map(|holder| &holder.id)
    }

    fn first_holder(&self, key: &str, leaves_out: impl Fn(&ObjectId) -> bool) -> Option<&Holder> {
        self.holders.get(key)?.iter().find(|holder| holder.takes_all && !leaves_out(&holder.id))
    }
}

/// Says on each of these routes, which serve as they are written, where another one takes its calls. `others` knows the
/// routes that are not among them, and perhaps what these were before.
pub(super) fn judge<'a>(
    routes: impl Iterator<Item = (&'a ObjectId, &'a Route)> + Clone,
    others: Option<&MatchConflicts>,
    mut report: impl FnMut(&ObjectId, Vec<(String, Severity, String)>),
) {
    let own = MatchConflicts::of(routes.clone());
    for (id, route) in routes {
        let mut shadowed = Vec::new();
        let mut total = 0;
        for (rule, conditions) in conditions(route).into_iter().enumerate() {
            for (at, (key, _)) in conditions.into_iter().enumerate() {
                total += 1;
                let inside = own.first_holder(&key, |_| false);
                let outside = others.and_then(|others| others.first_holder(&key, |id| own.of.contains_key(id)));
                let Some(first) = inside.into_iter().chain(outside).min() else { continue };
                if first.id != *id && (first.created, &first.id) < (route.created, id) {
                    let has_matches = route.rules.get(rule).is_some_and(|rule| !rule.matches.is_empty());
                    let at = if has_matches { format!(".matches[{at}]") } else { String::new() };
                    shadowed.push((format!("spec.rules[{rule}]{at}"), first.id.clone()));
                }
            }
        }
        let is_whole = shadowed.len() == total;
        let severity = if is_whole { Severity::Error } else { Severity::Warning };
        let said = shadowed.into_iter().map(|(path, first)| {
            let message = format!(
                "the route {} matches the same calls and comes first, being older or, at the same age, first by name: it \
                 takes them all. Match more closely here, or take the match away there or here",
                first.0
            );
            (path, severity, message)
        });
        let said: Vec<_> = said.collect();
        if !said.is_empty() {
            report(id, said);
        }
    }
}

/// The conditions of each rule, and of each whether it takes every call that gets to it.
fn conditions(route: &Route) -> Vec<Vec<(Key, bool)>> {
    static ANY: Match = Match { model: None, headers: Vec::new(), consumers: None, complexity: None, path: None };
    let matches = |rule: &'_ crate::Rule| -> Vec<Match> {
        if rule.matches.is_empty() { vec![ANY.clone()] } else { rule.matches.clone() }
    };
    let mut earlier: Vec<Match> = Vec::new();
    let mut all = Vec::new();
    for rule in &route.rules {
        let own = matches(rule);
        // What an earlier rule takes of it is found there first, where that condition ranks no lower.
        let takes_all = |one: &Match| earlier.iter().all(|before| rank(before) >= rank(one) || are_apart(before, one));
        all.push(own.iter().map(|one| (key(one), takes_all(one))).collect());
        earlier.extend(own);
    }
    all
}

/// A condition as text: equal conditions give equal texts.
fn key(one: &Match) -> Key {
    let model = match (&one.path, &one.model) {
        (Some(PathMatch::Exact(path)), _) => format!("path {path:?}"),
        (Some(PathMatch::Prefix(prefix)), _) => format!("paths {prefix:?}"),
        (None, None) => "any".to_owned(),
        (None, Some(ModelMatch::Exact(name))) => format!("exact {name:?}"),
        (None, Some(ModelMatch::Prefix(prefix))) => format!("prefix {prefix:?}"),
        (None, Some(ModelMatch::Regex(regex))) => format!("regex {regex:?}"),
    };
    let header = |header: &crate::HeaderMatch| match &header.value {
        HeaderValueMatch::Present => format!("{} present", header.name),
        HeaderValueMatch::Exact(value) => format!("{} exact {value:?}", header.name),
        HeaderValueMatch::Regex(regex) => format!("{} regex {regex:?}", header.name),
    };
    let headers: BTreeSet<String> = one.headers.iter().map(header).collect();
    let consumers = one.consumers.as_ref().map(|consumers| format!("consumers {consumers:?}"));
    let complexity = one.complexity.map(|complexity| format!("{complexity:?}"));
    headers.into_iter().chain(consumers).chain(complexity).fold(model, |all, further| all + "\n" + &further).into()
}

/// The order in which a proxy looks at conditions, the higher first.
fn rank(one: &Match) -> (u8, usize, usize) {
    let (class, length) = match (&one.path, &one.model) {
        (Some(PathMatch::Exact(_)), _) | (None, Some(ModelMatch::Exact(_))) => (3, 0),
        (Some(PathMatch::Prefix(prefix)), _) | (None, Some(ModelMatch::Prefix(prefix))) => (2, prefix.len()),
        (None, Some(ModelMatch::Regex(_))) => (1, 0),
        (None, None) => (0, 0),
    };
    let further = usize::from(one.consumers.is_some()) + usize::from(one.complexity.is_some());
    (class, length, one.headers.len() + further)
}

/// True if no call can match both, as far as their models tell, or their paths.
fn are_apart(one: &Match, other: &Match) -> bool {
    use ModelMatch::{Exact, Prefix, Regex as Expression};
    match (&one.path, &other.path) {
        (None, None) => {}
        (Some(one), Some(other)) => return are_paths_apart(one, other),
        _ => return true,
    }
    let matches = |regex: &str, name: &str| Regex::new(regex).is_ok_and(|regex| regex.is_match(name));
    match (&one.model, &other.model) {
        (Some(Exact(one)), Some(Exact(other))) => one != other,
        (Some(Exact(name)), Some(Prefix(prefix))) | (Some(Prefix(prefix)), Some(Exact(name))) => {
            !name.starts_with(prefix.as_str())
        }
        (Some(Prefix(one)), Some(Prefix(other))) => {
            !one.starts_with(other.as_str()) && !other.starts_with(one.as_str())
        }
        (Some(Exact(name)), Some(Expression(regex))) | (Some(Expression(regex)), Some(Exact(name))) => {
            !matches(regex, name)
        }
        _ => false,
    }
}

fn are_paths_apart(one: &PathMatch, other: &PathMatch) -> bool {
    use PathMatch::{Exact, Prefix};
    match (one, other) {
        (Exact(one), Exact(other)) => one != other,
        (Exact(path), Prefix(prefix)) | (Prefix(prefix), Exact(path)) => !path.starts_with(prefix.as_str()),
        (Prefix(one), Prefix(other)) => !one.starts_with(other.as_str()) && !other.starts_with(one.as_str()),
    }
}
