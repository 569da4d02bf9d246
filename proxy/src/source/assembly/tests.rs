//! Scripted events in every order that watches and operators can give them in.

use std::time::Duration;

use sluicegate_config::compile::{compile, manifests, steps};
use sluicegate_config::published;
use sluicegate_config::{CompiledObject, FEATURES, FORMAT};

use super::*;
use crate::source::objects::PENDING_LIMIT;

const GATEWAY: &str = "gw";
const ROUTE: Content = Content::Compiled(Kind::LlmRoute);
const POOL: Content = Content::Compiled(Kind::ProviderPool);
const CREDENTIALS: Content = Content::Credentials(Kind::ProviderPool);

fn id(name: &str) -> ObjectId {
    ObjectId(format!("ns/{name}"))
}

fn published(content: Content, name: &str, revision: &str, body: String) -> Published {
    Published {
        name: published::name(GATEWAY, content, &id(name)),
        version: revision.to_owned(),
        content: content.as_str().to_owned(),
        object: id(name).0,
        revision: revision.to_owned(),
        secret: content.is_secret(),
        withdrawn: false,
        body: Some(body.into_bytes()),
    }
}

/// A pool with one provider, which needs a key when one is named.
fn pool(name: &str, revision: &str, key: Option<&str>) -> Event {
    let credential = key.map_or("null".to_owned(), |key| format!("{key:?}"));
    let body = format!(
        r#"{{"format":{FORMAT},"revision":"{revision}","strategy":"roundRobin","providers":[{{"name":"a","kind":"openAi",
        "url":"http://127.0.0.1:1/v1","credential":{credential},"weight":1,"priority":0,"models":{{}},
        "defaults":{{"maxTokens":null,"temperature":null}},"connection":{{"http":"auto","maxConnections":1,"maxIdle":1,
        "idleTimeout":1,"tcpKeepalive":null,"dnsTtl":null,"caPem":null,"serverName":null}},"setHeaders":{{}},
        "removeHeaders":[],"simulated":null}}],"timeouts":{{"connect":1,"firstToken":1,"idle":1,"total":1}},
        "retry":{{"attempts":1,"backoff":{{"initial":1,"max":1,"multiplierMilli":1000,"jitter":true}},
        "on":{{"connect":true,"reset":true,"timeout":true,"statuses":[]}},"budgetPercent":1}},
        "circuitBreaker":{{"errorPercent":1,"minimumRequests":1,"window":1,"consecutiveFailures":1,"openFor":1,
        "maxOpenFor":1,"halfOpenRequests":1,"maxOpenPercent":1}}}}"#
    );
    Event::Put(published(POOL, name, revision, body))
}

fn route(name: &str, revision: &str, pools: &[&str]) -> Event {
    let targets: Vec<String> =
        pools.iter().map(|pool| format!(r#"{{"pool":"ns/{pool}","weight":1,"model":null}}"#)).collect();
    let body = format!(
        r#"{{"format":{FORMAT},"revision":"{revision}","created":0,"rules":[{{"name":"r","matches":[],"targets":[{}],
        "fallbacks":[],"cache":null,"timeouts":{{"firstToken":null,"idle":null,"total":null}}}}]}}"#,
        targets.join(",")
    );
    Event::Put(published(ROUTE, name, revision, body))
}

/// The credentials of a pool: keys, all of the same value (base64).
fn secret(pool: &str, version: &str, keys: &[&str]) -> Event {
    let values: Vec<String> = keys.iter().map(|key| format!(r#"{key:?}:"a2V5""#)).collect();
    Event::Put(published(CREDENTIALS, pool, version, format!("{{{}}}", values.join(","))))
}

fn gone(content: Content, name: &str) -> Event {
    let watched = if content.is_secret() { WatchKind::Secrets } else { WatchKind::Configs };
    Event::Withdrawn(watched, published::name(GATEWAY, content, &id(name)))
}

/// It was deleted by somebody else than the operator.
fn deleted(content: Content, name: &str) -> Event {
    let Event::Withdrawn(watched, name) = gone(content, name) else { unreachable!() };
    Event::Gone(watched, name)
}

struct AssemblyBench {
    assembly: Assembly,
    now: Instant,
}

impl AssemblyBench {
    /// Both lists were read, and held this.
    fn begun(events: Vec<Event>) -> Self {
        let mut bench = Self { assembly: Assembly::new(GATEWAY, &FEATURES), now: Instant::now() };
        bench.list(events);
        bench
    }

    fn list(&mut self, events: Vec<Event>) -> Vec<String> {
        for watched in [WatchKind::Configs, WatchKind::Secrets] {
            self.assembly.take(Event::Begin(watched), self.now);
        }
        events.into_iter().for_each(|event| self.assembly.take(event, self.now));
        self.assembly.take(Event::End(WatchKind::Configs), self.now);
        assert!(self.assembly.complete() || self.assembly.turn(self.now).is_none(), "half a configuration is none");
        self.assembly.take(Event::End(WatchKind::Secrets), self.now);
        self.turn()
    }

    /// What changes, shortly.
    fn turn(&mut self) -> Vec<String> {
        let turn = self.assembly.turn(self.now).unwrap();
        let change = |change: Change| match change {
            Change::Put(id, CompiledObject::ProviderPool(pool), credentials) => {
                format!("+{} {} {}", id.0, pool.revision, credentials.len())
            }
            Change::Put(id, CompiledObject::LlmRoute(route), _) => format!("+{} {}", id.0, route.revision),
            Change::Put(id, CompiledObject::LlmConsumer(consumer), _) => format!("+{} {}", id.0, consumer.revision),
            Change::Gone(_, id) => format!("-{}", id.0),
        };
        turn.changes.into_iter().map(change).collect()
    }

    fn is_empty(&self) -> bool {
        self.assembly.objects.values().all(BTreeMap::is_empty)
    }

    fn then(&mut self, event: Event) -> Vec<String> {
        self.assembly.take(event, self.now);
        self.turn()
    }

    fn pass(&mut self, time: Duration) -> Vec<String> {
        self.now += time;
        self.turn()
    }

    fn route(&self, name: &str) -> &ObjectReport {
        self.assembly.objects[&Kind::LlmRoute][&id(name)].told().unwrap()
    }

    fn pool(&self, name: &str) -> &ObjectReport {
        self.assembly.objects[&Kind::ProviderPool][&id(name)].told().unwrap()
    }
}

const NOTHING: [&str; 0] = [];

#[test]
fn a_pool_waits_for_its_credentials_in_either_order() {
    let mut bench = AssemblyBench::begun(vec![]);
    assert_eq!(bench.then(pool("p", "1", Some("k"))), NOTHING);
    assert_eq!(bench.then(secret("p", "7", &["k"])), ["+ns/p 1 1"]);
    assert_eq!(bench.pool("p").credentials.as_deref(), Some("7"));
    // The other way round, and a form that needs another key than the one that is there.
    assert_eq!(bench.then(secret("q", "8", &["k"])), NOTHING);
    assert_eq!(bench.then(pool("q", "1", Some("k"))), ["+ns/q 1 1"]);
    assert_eq!(bench.then(pool("q", "2", Some("new"))), NOTHING);
    assert_eq!((bench.pool("q").revision.as_deref(), &bench.pool("q").rejected), (Some("1"), &None));
    assert_eq!(bench.pass(PENDING_LIMIT), NOTHING);
    assert!(bench.pool("q").rejected.as_ref().unwrap().message.contains("waits for credentials: new"));
    assert_eq!(bench.then(secret("q", "9", &["new"])), ["+ns/q 2 1"]);
    assert_eq!((bench.pool("q").credentials.as_deref(), &bench.pool("q").rejected), (Some("9"), &None));
    // Rotated, and then taken away: what runs with it runs on.
    assert_eq!(bench.then(secret("q", "10", &["new"])), ["+ns/q 2 1"]);
    assert_eq!(bench.then(gone(CREDENTIALS, "q")), NOTHING);
    assert_eq!(bench.pool("q").credentials.as_deref(), Some("10"));
}

#[test]
fn a_route_waits_for_its_pools_and_its_previous_form_runs_on() {
    let mut bench = AssemblyBench::begun(vec![]);
    assert_eq!(bench.then(route("r", "1", &["p"])), NOTHING);
    assert_eq!(bench.then(pool("p", "1", None)), ["+ns/p 1 0", "+ns/r 1"]);
    assert_eq!(bench.then(route("r", "2", &["p", "q"])), NOTHING);
    assert_eq!(bench.assembly.due(), Some(bench.now + PENDING_LIMIT));
    assert_eq!(bench.pass(PENDING_LIMIT), NOTHING);
    let stands = bench.route("r");
    assert_eq!(stands.revision.as_deref(), Some("1"));
    assert!(stands.rejected.as_ref().unwrap().message.contains("waits for the pool ns/q"), "{stands:?}");
    assert_eq!(bench.assembly.due(), None);
    // A newer form that is complete overtakes the one that waits.
    assert_eq!(bench.then(route("r", "3", &["p"])), ["+ns/r 3"]);
    assert_eq!(bench.route("r").rejected, None);
    assert_eq!(bench.then(pool("q", "1", None)), ["+ns/q 1 0"]);
    // A new route begins with what there is; and without anything when nothing comes.
    assert_eq!(bench.then(route("s", "1", &["missing", "p"])), ["+ns/s 1"]);
    assert_eq!(bench.then(route("t", "1", &["missing"])), NOTHING);
    assert_eq!(bench.pass(PENDING_LIMIT), ["+ns/t 1"]);
    assert_eq!(bench.then(route("none", "1", &[])), ["+ns/none 1"]);
}

#[test]
fn deleted_and_created_anew() {
    let mut bench = AssemblyBench::begun(vec![pool("p", "1", None), route("r", "1", &["p"])]);
    assert_eq!(bench.then(gone(ROUTE, "r")), ["-ns/r"]);
    assert_eq!(bench.then(gone(POOL, "p")), ["-ns/p"]);
    assert!(bench.is_empty() && bench.assembly.names.is_empty());
    assert_eq!(bench.assembly.bytes, 0);
    assert_eq!(bench.then(route("r", "1", &["p"])), NOTHING);
    assert_eq!(bench.then(pool("p", "1", None)), ["+ns/p 1 0", "+ns/r 1"]);
    // Gone and there again before anybody looked.
    bench.assembly.take(gone(ROUTE, "r"), bench.now);
    assert_eq!(bench.then(route("r", "2", &["p"])), ["+ns/r 2"]);
    bench.assembly.take(gone(ROUTE, "r"), bench.now);
    assert_eq!(bench.then(route("r", "2", &["p"])), NOTHING);
    // And the other way round.
    bench.assembly.take(route("new", "1", &["p"]), bench.now);
    assert_eq!(bench.then(gone(ROUTE, "new")), NOTHING);
}

#[test]
fn only_a_list_read_to_its_end_takes_anything_away() {
    let held =
        || vec![pool("p", "1", Some("k")), secret("p", "1", &["k"]), route("r", "1", &["p"]), route("s", "1", &["p"])];
    let mut bench = AssemblyBench::begun(held());
    // The API server went away in the midst of a list, and began another one.
    bench.assembly.take(Event::Begin(WatchKind::Configs), bench.now);
    assert_eq!(bench.then(pool("p", "1", Some("k"))), NOTHING);
    bench.assembly.take(Event::Begin(WatchKind::Configs), bench.now);
    assert_eq!(bench.turn(), NOTHING);
    let mut listed = held();
    listed.truncate(3);
    assert_eq!(bench.list(listed), NOTHING);
    assert_eq!(bench.pass(KEPT), ["-ns/s"]);
    // The Secret's loss alone stops nothing.
    assert_eq!(bench.list(vec![pool("p", "1", Some("k")), route("r", "1", &["p"])]), NOTHING);
    assert_eq!(bench.pass(KEPT), NOTHING);
    assert_eq!(bench.list(vec![]), NOTHING);
    assert_eq!(bench.pass(KEPT), ["-ns/p", "-ns/r"]);
}

#[test]
fn what_was_deleted_and_not_withdrawn_runs_on_for_a_while() {
    let held = || vec![pool("p", "1", Some("k")), secret("p", "1", &["k"]), route("r", "1", &["p"])];
    let mut bench = AssemblyBench::begun(held());
    for content in [ROUTE, CREDENTIALS] {
        let name = if content == ROUTE { "r" } else { "p" };
        assert_eq!(bench.then(deleted(content, name)), NOTHING);
    }
    assert_eq!(bench.then(deleted(POOL, "p")), NOTHING);
    assert_eq!(bench.assembly.due(), Some(bench.now + KEPT));
    assert!(bench.assembly.misses());
    // Put back as it was: nothing changes, whatever time passes. The credentials alone are put back later.
    for event in [pool("p", "1", Some("k")), route("r", "1", &["p"]), secret("p", "2", &["k"])] {
        drop(bench.then(event));
    }
    assert!(!bench.assembly.misses() && bench.assembly.due().is_none());
    assert_eq!(bench.pass(KEPT), NOTHING);
    assert_eq!(bench.pool("p").credentials.as_deref(), Some("2"));
    // Put back otherwise.
    assert_eq!(bench.then(deleted(ROUTE, "r")), NOTHING);
    assert_eq!(bench.then(route("r", "2", &["p"])), ["+ns/r 2"]);
    // Not put back, or withdrawn after all.
    assert_eq!(bench.then(deleted(ROUTE, "r")), NOTHING);
    assert_eq!(bench.pass(KEPT - Duration::from_millis(1)), NOTHING);
    assert_eq!(bench.pass(Duration::from_millis(1)), ["-ns/r"]);
    assert_eq!(bench.then(deleted(POOL, "p")), NOTHING);
    assert_eq!(bench.then(gone(POOL, "p")), ["-ns/p"]);
    assert_eq!(bench.then(gone(CREDENTIALS, "p")), NOTHING);
    assert!(bench.assembly.names.is_empty() && bench.assembly.bytes == 0);
    assert!(bench.is_empty());
}

#[test]
fn where_all_is_missing_it_goes_together() {
    let mut bench = AssemblyBench::begun(vec![pool("p", "1", None), route("r", "1", &["p"])]);
    let second = Duration::from_secs(1);
    assert_eq!(bench.then(deleted(POOL, "p")), NOTHING);
    assert_eq!(bench.pass(second), NOTHING);
    assert_eq!(bench.then(deleted(ROUTE, "r")), NOTHING);
    assert_eq!(bench.pass(KEPT - second), NOTHING);
    assert_eq!(bench.assembly.due(), Some(bench.now + second));
    assert_eq!(bench.pass(second), ["-ns/p", "-ns/r"]);
    assert!(bench.assembly.names.is_empty() && bench.is_empty());
}

#[test]
fn what_can_not_be_read_changes_nothing_and_is_told() {
    let mut bench = AssemblyBench::begun(vec![pool("p", "1", None), route("r", "1", &["p"])]);
    let broken = |content, body: &str| Event::Put(published(content, "r", "2", body.to_owned()));
    let edited = |edit: fn(&mut Published)| {
        let Event::Put(mut object) = route("r", "2", &["p"]) else { unreachable!() };
        edit(&mut object);
        Event::Put(object)
    };
    for (event, said) in [
        (broken(ROUTE, "{"), "no JSON"),
        (broken(ROUTE, r#"{"format":1,"secret":"sk-1"}"#), "another shape"),
        (broken(ROUTE, r#"{"format":99,"all":"is different"}"#), "format 99"),
        (edited(|object| object.revision.clear()), "another revision"),
        (edited(|object| object.object = "ns/other".to_owned()), "do not belong together"),
        (edited(|object| object.content = "pool".to_owned()), "do not belong together"),
        (edited(|object| object.body = None), "compiled.json"),
        (edited(|object| object.body = Some(vec![b' '; 5 << 20])), "larger than"),
    ] {
        assert_eq!(bench.then(event), NOTHING);
        let stands = bench.route("r");
        assert_eq!(stands.revision.as_deref(), Some("1"), "{said}");
        let message = &stands.rejected.as_ref().unwrap().message;
        assert!(message.contains(said) && !message.contains("sk-1"), "{message}");
    }
    assert_eq!(bench.then(route("r", "1", &["p"])), NOTHING, "as it was before");
    assert_eq!(bench.route("r").rejected, None);
    assert_eq!(bench.then(route("r", "3", &["p"])), ["+ns/r 3"]);
    // What is seen again is told with the version it was seen in; what waits is not.
    let Event::Put(mut object) = route("r", "3", &["p"]) else { unreachable!() };
    object.version = "17".to_owned();
    assert_eq!(bench.then(Event::Put(object)), NOTHING);
    assert_eq!(bench.route("r").version.as_deref(), Some("17"));
    assert_eq!(bench.then(route("r", "4", &["missing"])), NOTHING);
    assert_eq!(bench.route("r").version.as_deref(), Some("17"));
    // One that never ran.
    let Event::Put(mut object) = route("new", "1", &["p"]) else { unreachable!() };
    object.body = None;
    assert_eq!(bench.then(Event::Put(object)), NOTHING);
    assert_eq!(bench.route("new").revision, None);
    assert_eq!(bench.then(gone(ROUTE, "new")), NOTHING);
}

#[test]
fn a_bad_secret_leaves_the_pool_as_it_runs() {
    let mut bench = AssemblyBench::begun(vec![pool("p", "1", Some("k")), secret("p", "1", &["k"])]);
    for body in ["[]", r#"{"k":"no base64!"}"#, "\u{0}"] {
        assert_eq!(bench.then(Event::Put(published(CREDENTIALS, "p", "2", body.to_owned()))), NOTHING);
        assert_eq!(bench.pool("p").credentials.as_deref(), Some("1"));
        assert!(bench.pool("p").rejected.is_some());
    }
    assert_eq!(bench.then(secret("p", "3", &["k"])), ["+ns/p 1 1"]);
    assert_eq!(bench.pool("p").rejected, None);
}

#[test]
fn strangers_are_named_and_bounded() {
    let stranger = |number: usize| {
        let Event::Put(mut object) = route("x", "1", &[]) else { unreachable!() };
        object.name = format!("stranger-{number}");
        Event::Put(object)
    };
    let mut bench = AssemblyBench::begun(vec![]);
    for number in 0..2 * MOST_STRANGERS {
        assert_eq!(bench.then(stranger(number)), NOTHING);
    }
    assert_eq!(bench.assembly.strangers().len(), MOST_STRANGERS);
    bench.assembly.take(Event::Gone(WatchKind::Configs, "stranger-0".to_owned()), bench.now);
    assert_eq!(bench.assembly.strangers().len(), MOST_STRANGERS - 1);
    bench.list(vec![]);
    assert!(bench.assembly.strangers().is_empty());
}

#[test]
fn the_first_lists_serve_routes_whose_pools_are_nowhere() {
    let mut bench = AssemblyBench { assembly: Assembly::new(GATEWAY, &FEATURES), now: Instant::now() };
    let held = vec![route("r", "1", &["missing"]), pool("p", "1", Some("k")), route("s", "1", &["p"])];
    assert_eq!(bench.list(held), ["+ns/r 1", "+ns/s 1"]);
    assert_eq!(bench.then(secret("p", "1", &["k"])), ["+ns/p 1 1"]);
}

#[test]
fn an_older_proxy_rejects_what_requires_more_than_it_knows_and_says_so() {
    let requiring = |mut event: Event, features: &str| {
        if let Event::Put(object) = &mut event {
            let body = String::from_utf8(object.body.take().unwrap()).unwrap();
            let requires = format!(r#"{{"requires":[{features}],"#);
            object.body = Some(body.replacen('{', &requires, 1).into_bytes());
        }
        event
    };
    let older = |features| AssemblyBench { assembly: Assembly::new(GATEWAY, features), now: Instant::now() };
    let mut bench = older(&["affinity"]);
    bench.list(vec![pool("p", "1", None), route("r", "1", &["p"])]);
    // What it knows it runs; what it does not it rejects, and runs on as before.
    assert_eq!(bench.then(requiring(route("r", "2", &["p"]), r#""affinity""#)), ["+ns/r 2"]);
    assert_eq!(bench.then(requiring(route("r", "3", &["p"]), r#""affinity","hedging""#)), NOTHING);
    let rejected = bench.route("r").rejected.clone().unwrap();
    assert!(
        rejected.message.contains("it requires \"hedging\"") && rejected.message.contains("upgrade"),
        "{rejected:?}"
    );
    assert_eq!((bench.route("r").revision.as_deref(), rejected.revision.as_str()), (Some("2"), "3"));
    assert_eq!(bench.then(requiring(pool("p", "2", None), r#""hedging""#)), NOTHING);
    assert!(bench.pool("p").rejected.is_some() && bench.pool("p").revision.as_deref() == Some("1"));
    // One that never ran does not begin; a newer proxy takes all of it.
    assert_eq!(bench.then(requiring(route("new", "1", &["p"]), r#""hedging""#)), NOTHING);
    assert_eq!(bench.route("new").revision, None);
    let mut newer = older(&["affinity", "hedging"]);
    let all = vec![requiring(pool("p", "2", None), r#""hedging""#), requiring(route("r", "3", &["p"]), r#""hedging""#)];
    assert_eq!(newer.list(all), ["+ns/p 2 0", "+ns/r 3"]);
}

/// What an operator publishes of the first example that people see, which holds an object of each kind.
fn example() -> Vec<(Kind, Event)> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../crds/examples/consumers");
    let files = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let files: Vec<_> = files.map(|path| (String::new(), std::fs::read_to_string(&path).unwrap())).collect();
    let compiled = compile(&manifests::read(&files).0);
    let objects = Kind::ALL.iter().flat_map(|kind| {
        let all = steps(*kind).all(&compiled.snapshot).into_iter();
        all.map(|(id, _)| (*kind, id, steps(*kind).form(&compiled, id).unwrap())).collect::<Vec<_>>()
    });
    objects
        .map(|(kind, id, form)| {
            let content = Content::Compiled(kind);
            let object = Published {
                name: published::name(GATEWAY, content, id),
                object: id.0.clone(),
                ..published(content, "any", &form.revision, form.text)
            };
            (kind, Event::Put(object))
        })
        .collect()
}

#[test]
fn every_kind_is_assembled_whatever_comes_first_and_goes_again() {
    let kinds: Vec<Kind> = example().iter().map(|(kind, _)| *kind).collect();
    for reversed in [false, true] {
        let mut bench = AssemblyBench { assembly: Assembly::new(GATEWAY, &FEATURES), now: Instant::now() };
        let mut events: Vec<Event> = example().into_iter().map(|(_, event)| event).collect();
        if reversed {
            events.reverse();
        }
        let names: Vec<String> = events
            .iter()
            .map(|event| match event {
                Event::Put(object) => object.name.clone(),
                other => panic!("{other:?}"),
            })
            .collect();
        assert_eq!(bench.list(events).len(), kinds.len(), "all of them run");
        for kind in Kind::ALL {
            assert!(bench.assembly.objects[kind].values().all(|object| object.told().unwrap().revision.is_some()));
        }
        let gone = names.into_iter().flat_map(|name| bench.then(Event::Withdrawn(WatchKind::Configs, name)));
        assert_eq!(gone.collect::<Vec<_>>().len(), kinds.len());
        assert!(bench.is_empty());
    }
}

#[test]
fn a_proxy_without_a_feature_rejects_what_requires_it_and_says_so() {
    let knows_all_but = |left_out: &str| -> &'static [&'static str] {
        let known: Vec<&'static str> = FEATURES.iter().copied().filter(|feature| *feature != left_out).collect();
        Vec::leak(known)
    };
    let requiring = |feature: &str| {
        let Event::Put(object) = pool("p", "1", None) else { panic!("a pool is put") };
        let body = String::from_utf8(object.body.clone().unwrap()).unwrap();
        let body = body.replacen('{', &format!(r#"{{"requires":[{feature:?}],"#), 1);
        Event::Put(Published { body: Some(body.into_bytes()), ..object })
    };
    for feature in FEATURES {
        let mut bench = AssemblyBench { assembly: Assembly::new(GATEWAY, knows_all_but(feature)), now: Instant::now() };
        assert_eq!(bench.list(vec![requiring(feature)]), NOTHING);
        let rejected = bench.pool("p").rejected.clone().unwrap();
        assert!(rejected.message.contains(&format!("it requires {feature:?}")), "{rejected:?}");
        let mut bench = AssemblyBench { assembly: Assembly::new(GATEWAY, &FEATURES), now: Instant::now() };
        assert_eq!(bench.list(vec![requiring(feature)]), ["+ns/p 1 0"]);
    }
}
