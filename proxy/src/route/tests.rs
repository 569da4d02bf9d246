//! The index against a plain scan over all routes, and the documented order by example.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use proptest::prelude::*;
use sluicegate_config::{ModelMatch, Rule, Timeouts};

use super::*;

fn rule(matches: Vec<Match>) -> Rule {
    Rule {
        unlisted: false,
        name: "rule".into(),
        matches,
        targets: Vec::new(),
        fallbacks: Vec::new(),
        cache: None,
        coalesce: None,
        prompt_cache: None,
        limits: Vec::new(),
        own_limits: false,
        budgets: Vec::new(),
        request: None,
        hedge: None,
        stream_failover: None,
        mirror: None,
        concurrency: None,
        own_concurrency: false,
        timeouts: Timeouts::default(),
    }
}

fn route(created: i64, rules: Vec<Rule>) -> Route {
    Route { format: 1, revision: String::new(), requires: Vec::new(), created, access: None, rules }
}

fn exact(model: &str) -> Match {
    Match {
        model: Some(ModelMatch::Exact(model.into())),
        headers: Vec::new(),
        consumers: None,
        complexity: None,
        path: None,
    }
}

fn prefix(model: &str) -> Match {
    Match {
        model: Some(ModelMatch::Prefix(model.into())),
        headers: Vec::new(),
        consumers: None,
        complexity: None,
        path: None,
    }
}

fn header(name: &str) -> HeaderMatch {
    HeaderMatch { name: name.into(), value: HeaderValueMatch::Present }
}

fn find(routes: &[(&str, Route)], model: &str, headers: &HeaderMap) -> Option<(String, usize)> {
    let routes: BTreeMap<ObjectId, Route> =
        routes.iter().map(|(id, route)| (ObjectId((*id).into()), route.clone())).collect();
    let index = index(&routes);
    let (filed, rule) = index.find(model, headers, None, &AskedAmount::default)?;
    Some((filed.id.0.clone(), rule))
}

fn filed(id: &ObjectId, from: &Route) -> Arc<Filed<()>> {
    Arc::new(Filed::new(&Arc::new(id.clone()), from, ()))
}

fn index(routes: &BTreeMap<ObjectId, Route>) -> Index<()> {
    let mut index = Index::default();
    routes.iter().for_each(|(id, route)| index.insert(&filed(id, route)));
    index
}

#[test]
fn the_more_specific_condition_wins_across_routes() {
    let routes = [
        ("a/any", route(0, vec![rule(vec![])])),
        ("b/short", route(0, vec![rule(vec![prefix("gpt-")])])),
        ("c/long", route(0, vec![rule(vec![prefix("gpt-4")])])),
        ("d/exact", route(9, vec![rule(vec![exact("gpt-4o")])])),
    ];
    let none = HeaderMap::new();
    assert_eq!(find(&routes, "gpt-4o", &none).unwrap().0, "d/exact");
    assert_eq!(find(&routes, "gpt-4.1", &none).unwrap().0, "c/long");
    assert_eq!(find(&routes, "gpt-3", &none).unwrap().0, "b/short");
    assert_eq!(find(&routes, "claude", &none).unwrap().0, "a/any");
}

#[test]
fn the_first_matching_rule_speaks_for_its_route() {
    // The first rule takes everything, so the exact one behind it never speaks; the other route's prefix wins.
    let routes = [
        ("a/shadow", route(0, vec![rule(vec![]), rule(vec![exact("gpt-4o")])])),
        ("b/prefix", route(0, vec![rule(vec![prefix("gpt")])])),
    ];
    assert_eq!(find(&routes, "gpt-4o", &HeaderMap::new()).unwrap(), ("b/prefix".into(), 0));
    assert_eq!(find(&routes, "claude", &HeaderMap::new()).unwrap(), ("a/shadow".into(), 0));
}

#[test]
fn more_headers_then_age_then_id_decide_a_tie() {
    let with_header = Match { headers: vec![header("x-team")], ..exact("m") };
    let mut headers = HeaderMap::new();
    let routes = [
        ("a/young", route(7, vec![rule(vec![exact("m")])])),
        ("b/old", route(3, vec![rule(vec![exact("m")])])),
        ("c/old", route(3, vec![rule(vec![exact("m")])])),
        ("d/header", route(9, vec![rule(vec![with_header])])),
    ];
    assert_eq!(find(&routes, "m", &headers).unwrap().0, "b/old");
    headers.insert("x-team", "blue".parse().unwrap());
    assert_eq!(find(&routes, "m", &headers).unwrap().0, "d/header");
}

#[test]
fn patterns_match_whole_names_and_broken_ones_nothing() {
    let regex = |pattern: &str| Match {
        model: Some(ModelMatch::Regex(pattern.into())),
        headers: Vec::new(),
        consumers: None,
        complexity: None,
        path: None,
    };
    let routes =
        [("a/r", route(0, vec![rule(vec![regex("gpt-[0-9]|o1")])])), ("b/x", route(0, vec![rule(vec![regex("(")])]))];
    let none = HeaderMap::new();
    assert!(find(&routes, "gpt-4", &none).is_some());
    assert!(find(&routes, "o1", &none).is_some());
    assert!(find(&routes, "gpt-4o", &none).is_none());
    assert!(find(&routes, "xo1", &none).is_none());
}

fn on_path(path: PathMatch) -> Match {
    Match { model: None, headers: Vec::new(), consumers: None, complexity: None, path: Some(path) }
}

#[test]
fn a_path_is_taken_by_who_names_it_and_by_nobody_else() {
    let (exact_path, below) = (|path: &str| PathMatch::Exact(path.into()), |path: &str| PathMatch::Prefix(path.into()));
    let shadowed = vec![rule(vec![on_path(below("/v1/tuning/"))]), rule(vec![on_path(exact_path("/v1/tuning/jobs"))])];
    let routes = [
        ("a/any", route(0, vec![rule(vec![])])),
        ("b/exact", route(1, vec![rule(vec![exact("m")]), rule(vec![on_path(exact_path("/tokenize"))])])),
        ("c/prefix", route(1, shadowed)),
        ("d/longer", route(1, vec![rule(vec![on_path(below("/v1/tuning/jobs/"))])])),
    ];
    let routes: BTreeMap<ObjectId, Route> =
        routes.into_iter().map(|(id, route)| (ObjectId(id.into()), route)).collect();
    let index = index(&routes);
    let none = HeaderMap::new();
    for (path, found) in [
        ("/tokenize", Some(("b/exact", 1))),
        ("/tokenize/x", None),
        ("/Tokenize", None),
        ("/other", None),
        ("/v1/tuning/", None),
        ("/v1/tuning", None),
        ("/v1/tuning/x", Some(("c/prefix", 0))),
        ("/v1/tuning/jobs", Some(("c/prefix", 0))),
        ("/v1/tuning/jobs/1", Some(("d/longer", 0))),
        ("m", None),
    ] {
        let taken = index.find_path(path, &none, None).map(|(filed, rule)| (filed.id.0.as_str(), rule));
        assert_eq!(taken, found, "{path}");
    }
    assert!(index.names_paths() && index.names_path("/tokenize") && !index.names_path("/m"));
    let of_model = index.find("/tokenize", &none, None, &AskedAmount::default).unwrap().0;
    assert_eq!(of_model.id.0, "a/any");
    assert!(!Index::<()>::default().names_paths());
}

/// The documented rules, said the long way.
fn scan(routes: &BTreeMap<ObjectId, Route>, sought: Sought<'_>, headers: &HeaderMap) -> Option<(String, usize)> {
    let specificity = |condition: &Condition| match (&condition.path, &condition.model) {
        (Some(PathMatch::Exact(_)), _) | (None, ModelTest::Exact(_)) => (4, 0),
        (Some(PathMatch::Prefix(prefix)), _) => (3, prefix.len()),
        (None, ModelTest::Prefix(prefix)) => (3, prefix.len()),
        (None, ModelTest::Regex(_)) => (2, 0),
        (None, ModelTest::Any) => (1, 0),
        (None, ModelTest::Never) => (0, 0),
    };
    let candidates = routes.iter().filter_map(|(id, route)| {
        let (rule, conditions) =
            route.rules.iter().map(|rule| Condition::all(&rule.matches)).enumerate().find(|(_, conditions)| {
                conditions.iter().any(|condition| condition.holds((sought, headers), None, &AskedAmount::default))
            })?;
        let best = conditions
            .iter()
            .filter(|condition| condition.holds((sought, headers), None, &AskedAmount::default))
            .map(|condition| (specificity(condition), condition.headers.len()))
            .max()?;
        Some((Reverse(best), route.created, id.0.clone(), rule))
    });
    candidates.min().map(|(_, _, id, rule)| (id, rule))
}

fn some_match() -> impl Strategy<Value = Match> {
    let name = "[ab]{1,3}";
    let model = prop_oneof![
        Just(None),
        name.prop_map(|name| Some(ModelMatch::Exact(name))),
        "[ab]{0,2}".prop_map(|name| Some(ModelMatch::Prefix(name))),
        name.prop_map(|name| Some(ModelMatch::Regex(format!("{name}.?")))),
    ];
    let headers = prop::collection::vec(prop_oneof![Just("x-a"), Just("x-b")].prop_map(header), 0..3);
    let path = prop_oneof![
        3 => Just(None),
        1 => name.prop_map(|path| Some(PathMatch::Exact(path))),
        1 => "[ab]{0,2}".prop_map(|path| Some(PathMatch::Prefix(path))),
    ];
    (model, headers, path).prop_map(|(model, headers, path)| {
        let model = model.filter(|_| path.is_none());
        Match { model, headers, consumers: None, complexity: None, path }
    })
}

fn some_route() -> impl Strategy<Value = Route> {
    let rules = prop::collection::vec(prop::collection::vec(some_match(), 0..3), 1..3);
    (0_i64..3, rules).prop_map(|(created, rules)| route(created, rules.into_iter().map(rule).collect()))
}

fn some_headers() -> impl Strategy<Value = HeaderMap> {
    (any::<bool>(), any::<bool>()).prop_map(|there| {
        let names = [("x-a", there.0), ("x-b", there.1)].into_iter().filter(|(_, there)| *there);
        names.map(|(name, _)| (HeaderName::from_static(name), "1".parse().unwrap())).collect()
    })
}

proptest! {
    #[test]
    fn the_index_finds_what_a_scan_finds(
        routes in prop::collection::vec(some_route(), 0..6),
        model in "[ab]{1,3}",
        headers in some_headers(),
    ) {
        let name = |at| ObjectId(format!("r{at}"));
        let routes: BTreeMap<ObjectId, Route> = routes.into_iter().enumerate().map(|(at, route)| (name(at), route)).collect();
        let index = index(&routes);
        let found = index.find(&model, &headers, None, &AskedAmount::default).map(|(filed, rule)| (filed.id.0.clone(), rule));
        prop_assert_eq!(found, scan(&routes, Sought::Model(&model), &headers));
        let found = index.find_path(&model, &headers, None).map(|(filed, rule)| (filed.id.0.clone(), rule));
        prop_assert_eq!(found, scan(&routes, Sought::Path(&model), &headers));
    }

    #[test]
    fn an_index_changed_step_by_step_is_the_one_built_at_once(
        steps in prop::collection::vec((0_u8..4, prop::option::of(some_route())), 0..12),
        models in prop::collection::vec("[ab]{1,3}", 4),
        headers in some_headers(),
    ) {
        let (mut index, mut routes) = (Index::default(), BTreeMap::new());
        let mut kept: BTreeMap<ObjectId, Arc<Filed<()>>> = BTreeMap::new();
        let mut copies = Vec::new();
        for (at, step) in steps {
            let id = ObjectId(format!("r{at}"));
            if let Some(before) = kept.remove(&id) {
                index.remove(&before);
                routes.remove(&id);
            }
            if let Some(route) = step {
                let filed = filed(&id, &route);
                index.insert(&filed);
                kept.insert(id.clone(), filed);
                routes.insert(id, route);
            }
            copies.push((index.clone(), routes.clone()));
        }
        // Older copies stay what they were.
        for (index, routes) in copies {
            for model in &models {
                let found = index.find(model, &headers, None, &AskedAmount::default).map(|(filed, rule)| (filed.id.0.clone(), rule));
                prop_assert_eq!(found, scan(&routes, Sought::Model(model), &headers));
                let found = index.find_path(model, &headers, None).map(|(filed, rule)| (filed.id.0.clone(), rule));
                prop_assert_eq!(found, scan(&routes, Sought::Path(model), &headers));
            }
        }
        kept.values().for_each(|filed| index.remove(filed));
        prop_assert_eq!((index.exact.size(), index.prefix.lists.size(), index.prefix.lengths.len()), (0, 0, 0));
        prop_assert!(index.regex.is_empty() && index.any.is_empty() && !index.names_paths());
    }
}
