//! From what is known to what is written, without an API server: which objects a change touches, and in what order.

use std::rc::Rc;

use kube::api::DynamicObject;
use serde_json::{Value, json};
use sluicegate_config::compile::{self, SecretValue};
use sluicegate_crds::ConditionStatus;
use tokio::sync::Notify;

use super::*;
use crate::gather::{self, Batch};
use crate::rollout::RolloutState;
use crate::status::{self, Case};
use crate::world::{ObjectTemplate, ReadSecret, Source, Watched};

/// A world with every list read, all of it in the namespace `a`.
fn world() -> World {
    let template = ObjectTemplate { gateway: "gw".to_owned(), owner: None };
    let mut world = World::new(template, Watched::All, Rc::new(Notify::new()));
    for source in Source::scoped().chain([Source::PublishedMaps, Source::PublishedSecrets]) {
        world.list_read(source, &None);
    }
    world
}

fn key(kind: Kind, name: &str) -> Key {
    Key::new(kind, "a", name)
}

fn route_key(name: &str) -> Key {
    key(Kind::LlmRoute, name)
}

fn pool_key(name: &str) -> Key {
    key(Kind::ProviderPool, name)
}

/// Sees an object, newer than any before.
fn see(world: &mut World, key: &Key, spec: &Value) {
    let generation = world.object(key).map_or(1, |object| object.generation + 1);
    see_again(world, key, (generation, spec));
}

/// Sees a generation of an object as it stands now.
fn see_again(world: &mut World, key: &Key, (generation, spec): (i64, &Value)) {
    let version = world.object(key).map_or(1, |object| object.version + 1);
    let (namespace, name) = key.parts();
    let object: DynamicObject = serde_json::from_value(json!({
        "metadata": {"name": name, "namespace": namespace, "uid": "u", "generation": generation,
            "resourceVersion": version.to_string()},
        "spec": spec,
    }))
    .unwrap();
    world.seen(key.kind, &object);
}

fn route(pool: &str) -> Value {
    json!({"rules": [{"name": "all", "targets": [{"poolRef": {"name": pool}}]}]})
}

fn simulated() -> Value {
    json!({"providers": [{"name": "one", "type": "Simulated"}]})
}

fn keyed() -> Value {
    let credentials = json!({"secretRef": {"name": "key", "key": "token"}});
    json!({"providers": [{"name": "one", "type": "OpenAI", "url": "https://llm.example.com", "credentials": credentials}]})
}

/// What a pass over everything that waits would write.
fn reconcile(world: &mut World) -> (Vec<Key>, Plan) {
    let keys = world.queue.take(usize::MAX, Instant::now());
    let batch = Batch { keys: keys.clone(), ..Batch::default() };
    let compiled = gather::collect(world, &batch).compile(world, &Default::default());
    (keys.clone(), plan(world, &keys, &compiled))
}

/// Writes it, as an API server would have it.
fn carry_out(world: &mut World, plan: Plan) {
    for (number, change) in plan.stages().flatten().enumerate() {
        match (change.of, change.form) {
            (Some((content, id)), Some(form)) => {
                let before = world.published(content, &id).and_then(|stands| stands.version.parse::<usize>().ok());
                let version = before.unwrap_or(100 + number) + 1;
                let dressed = world.template().meta(content, &id, &form.revision);
                let meta = ObjectMeta { resource_version: Some(version.to_string()), ..dressed };
                world.published_written(change.name, &meta, form.text);
            }
            _ => world.published_taken_away(&change.name),
        }
    }
}

/// What is written of a kind.
fn puts(plan: &Plan, kind: Kind) -> Vec<&str> {
    written(plan.written.get(&kind).map(Vec::as_slice).unwrap_or_default())
}

/// What goes of a kind.
fn removes(plan: &Plan, kind: Kind) -> Vec<&str> {
    written(plan.removed.get(&kind).map(Vec::as_slice).unwrap_or_default())
}

fn written(changes: &[Change]) -> Vec<&str> {
    changes.iter().map(|change| change.name.name.as_str()).collect()
}

fn secret(key: &str, value: &str) -> ReadSecret {
    let value = SecretValue::new(value.as_bytes().to_vec());
    ReadSecret { data: [(key.to_owned(), value)].into(), ..ReadSecret::default() }
}

#[test]
fn a_change_touches_what_it_names_and_nothing_else() {
    let mut world = world();
    for (name, pool) in [("one", "p"), ("two", "p"), ("three", "q")] {
        see(&mut world, &route_key(name), &route(pool));
    }
    see(&mut world, &pool_key("p"), &simulated());
    see(&mut world, &pool_key("q"), &simulated());
    let (keys, plan) = reconcile(&mut world);
    assert_eq!(keys.len(), 5);
    assert_eq!(puts(&plan, Kind::ProviderPool), ["gw.pool.a.p", "gw.pool.a.q"]);
    assert_eq!(puts(&plan, Kind::LlmRoute).len(), 3);
    carry_out(&mut world, plan);
    assert_eq!(world.attached(&pool_key("p")), 2);

    // Looked at again, everything stands.
    world.look_at_all(|_| true);
    let (keys, plan) = reconcile(&mut world);
    assert_eq!((keys.len(), plan), (5, Plan::default()));

    see(&mut world, &route_key("three"), &route("p"));
    let (keys, plan) = reconcile(&mut world);
    assert_eq!((keys, puts(&plan, Kind::LlmRoute)), (vec![route_key("three")], vec!["gw.route.a.three"]));
    assert!(puts(&plan, Kind::ProviderPool).is_empty());
}

#[test]
fn what_a_definition_takes_out_of_an_object_takes_nothing_from_what_serves() {
    let mut world = world();
    let (plain, mut known) = (route("p"), route("p"));
    known["access"] = json!({"from": "Known"});
    see(&mut world, &pool_key("p"), &simulated());
    see(&mut world, &route_key("r"), &known);
    let (_, first) = reconcile(&mut world);
    carry_out(&mut world, first);
    let serves = |world: &World| world.previous(&route_key("r")).map(str::to_owned);
    let before = serves(&world);
    // Nobody has changed it: an older definition stands there. Written once more by whomever, and looked at again, it is the same.
    for _ in 0..2 {
        see_again(&mut world, &route_key("r"), (1, &plain));
        world.look_at_all(|_| true);
        let keys = world.queue.take(usize::MAX, Instant::now());
        let batch = Batch { keys: keys.clone(), ..Batch::default() };
        let compiled = gather::collect(&world, &batch).compile(&world, &Default::default());
        let about = route_key("r");
        let said: Vec<_> = compiled.verdicts.of(Kind::LlmRoute, &about.id).collect();
        assert!(
            said.iter().any(|verdict| verdict.path == "spec.access" && verdict.message.contains("taken out")),
            "{said:?}"
        );
        assert_eq!(plan(&world, &keys, &compiled), Plan::default());
        assert_eq!(serves(&world), before);
    }
    // With the right definition it is what it was; and what somebody changes is what is meant.
    see_again(&mut world, &route_key("r"), (1, &known));
    assert!(world.object(&route_key("r")).unwrap().taken.is_none());
    see(&mut world, &route_key("r"), &plain);
    let (_, meant) = reconcile(&mut world);
    assert_eq!(puts(&meant, Kind::LlmRoute), ["gw.route.a.r"]);
}

#[test]
fn a_pool_goes_when_no_published_route_calls_it_any_longer() {
    let mut world = world();
    see(&mut world, &pool_key("p"), &simulated());
    see(&mut world, &route_key("r"), &route("p"));
    let (_, plan) = reconcile(&mut world);
    carry_out(&mut world, plan);
    world.gone(&pool_key("p"));
    let (keys, plan) = reconcile(&mut world);
    assert_eq!(keys, [pool_key("p"), route_key("r")]);
    // First the route lets go of it …
    assert_eq!((puts(&plan, Kind::LlmRoute), removes(&plan, Kind::ProviderPool).len()), (vec!["gw.route.a.r"], 0));
    carry_out(&mut world, plan);
    // … and that is what makes it go, although the route names it still.
    let (keys, plan) = reconcile(&mut world);
    assert_eq!((keys, removes(&plan, Kind::ProviderPool)), (vec![pool_key("p")], vec!["gw.pool.a.p"]));
    carry_out(&mut world, plan);
    world.gone(&route_key("r"));
    let (_, plan) = reconcile(&mut world);
    assert_eq!(removes(&plan, Kind::LlmRoute), ["gw.route.a.r"]);
}

#[test]
fn credentials_come_with_their_pool_and_are_shown_to_nobody() {
    let mut world = world();
    see(&mut world, &pool_key("p"), &keyed());
    let id = |name: &str| ObjectId(format!("a/{name}"));
    let secret = |token: &str| secret("token", token);
    let stamp = world.secrets.stale(&id("key")).unwrap();
    world.secrets.learn(&id("key"), stamp, Some(secret("sk-planted")));
    let (_, plan) = reconcile(&mut world);
    assert_eq!(puts(&plan, Kind::ProviderPool), ["gw.credentials.a.p", "gw.pool.a.p"]);
    assert!(!format!("{plan:?}{world:?}").contains("planted"));
    let encoded = STANDARD.encode("sk-planted");
    assert!(!plan.written[&Kind::ProviderPool][1].form.as_ref().unwrap().text.contains(&encoded));
    carry_out(&mut world, plan);
    assert!(!format!("{world:?}").contains(&encoded));
    // Another value changes the credentials alone.
    world.touched(&crate::world::Named::Secret(id("key")));
    let stamp = world.secrets.stale(&id("key")).unwrap();
    world.secrets.learn(&id("key"), stamp, Some(secret("sk-other")));
    let (_, plan) = reconcile(&mut world);
    assert_eq!(puts(&plan, Kind::ProviderPool), ["gw.credentials.a.p"]);
    carry_out(&mut world, plan);
    // A pool that needs none has none.
    see(&mut world, &pool_key("p"), &simulated());
    let (_, plan) = reconcile(&mut world);
    assert_eq!(
        (puts(&plan, Kind::ProviderPool), written(&plan.credentials_gone)),
        (vec!["gw.pool.a.p"], vec!["gw.credentials.a.p"])
    );
}

/// Which resources the next pass would first retract what is said of.
fn changed(world: &mut World) -> Vec<Key> {
    world.look_at_all(|_| true);
    let (_, plan) = reconcile(world);
    let changed = plan.changed(world).into_iter().collect();
    carry_out(world, plan);
    changed
}

#[test]
fn what_changes_an_answer_is_told_from_what_does_not() {
    let mut world = world();
    let id = |name: &str| ObjectId(format!("a/{name}"));
    let learn_secret = |world: &mut World, token: &str| {
        world.touched(&crate::world::Named::Secret(id("key")));
        let stamp = world.secrets.stale(&id("key")).unwrap();
        world.secrets.learn(&id("key"), stamp, Some(secret("token", token)));
    };
    let learn_service = |world: &mut World, endpoints: &[&str]| {
        world.touched(&crate::world::Named::Service(id("svc")));
        let stamp = world.services.stale(&id("svc")).unwrap();
        let endpoints = endpoints.iter().map(|&endpoint| endpoint.to_owned()).collect();
        let service = compile::Service { ports: [(80, endpoints)].into(), is_external_name: false };
        world.services.learn(&id("svc"), stamp, Some(service));
    };
    let mut pool = keyed();
    let local = json!({"name": "local", "type": "OpenAICompatible", "serviceRef": {"name": "svc", "port": 80}});
    pool["providers"].as_array_mut().unwrap().push(local);
    see(&mut world, &pool_key("p"), &pool);
    see(&mut world, &route_key("r"), &route("p"));
    learn_secret(&mut world, "sk-one");
    learn_service(&mut world, &["10.0.0.1:80"]);
    assert_eq!(changed(&mut world), [pool_key("p"), route_key("r")]);
    assert_eq!(changed(&mut world), []);
    // An endpoint comes: written, and no other answer.
    learn_service(&mut world, &["10.0.0.1:80", "10.0.0.2:80"]);
    world.look_at_all(|_| true);
    let (_, plan) = reconcile(&mut world);
    assert_eq!((puts(&plan, Kind::ProviderPool), plan.changed(&world).len()), (vec!["gw.pool.a.p"], 0));
    carry_out(&mut world, plan);
    // Another key is another answer, and so is a pool that is not there any more.
    learn_secret(&mut world, "sk-two");
    assert_eq!(changed(&mut world), [pool_key("p")]);
    world.gone(&pool_key("p"));
    assert_eq!(changed(&mut world), [route_key("r")]);
    // The same in other labels is the same.
    let name = world.template().name(Content::Compiled(Kind::LlmRoute), &route_key("r").id);
    let text = world.published(Content::Compiled(Kind::LlmRoute), &route_key("r").id).unwrap().text.clone();
    let dressed = world.template().meta(Content::Compiled(Kind::LlmRoute), &route_key("r").id, "");
    let meta = ObjectMeta { resource_version: Some("999".to_owned()), ..dressed };
    world.published_seen(name, &meta, text.map(String::from));
    world.look_at_all(|_| true);
    let (_, plan) = reconcile(&mut world);
    assert_eq!((puts(&plan, Kind::LlmRoute), plan.changed(&world).len()), (vec!["gw.route.a.r"], 0));
}

#[test]
fn what_is_put_off_is_left_as_it_stands() {
    let mut world = world();
    see(&mut world, &pool_key("p"), &simulated());
    see(&mut world, &route_key("r"), &route("p"));
    let (_, mut plan) = reconcile(&mut world);
    plan.put_off(&Failures::from([(pool_key("p"), "why".to_owned())]));
    assert_eq!((puts(&plan, Kind::ProviderPool), puts(&plan, Kind::LlmRoute)), (vec![], vec!["gw.route.a.r"]));
}

#[test]
fn nothing_is_looked_at_or_collected_before_all_lists_are_read() {
    let template = ObjectTemplate { gateway: "gw".to_owned(), owner: None };
    let watched = Watched::Only(["a".to_owned(), "b".to_owned()].into());
    let mut world = World::new(template, watched, Rc::new(Notify::new()));
    see(&mut world, &pool_key("p"), &simulated());
    // Published of a pool that is gone, of one in a namespace that is watched and not read yet, and of one in a
    // namespace that is watched no longer.
    for (number, id) in ["a/gone", "b/there", "left/behind"].into_iter().enumerate() {
        let id = ObjectId(id.to_owned());
        let dressed = world.template().meta(Content::Compiled(Kind::ProviderPool), &id, "r");
        let meta = ObjectMeta { resource_version: Some(number.to_string()), ..dressed };
        let name = world.template().name(Content::Compiled(Kind::ProviderPool), &id);
        world.published_seen(name, &meta, Some("{}".to_owned()));
    }
    let mut read = |source, scope: Option<&str>| {
        world.list_read(source, &scope.map(str::to_owned));
        let (keys, plan) = reconcile(&mut world);
        (keys.len(), removes(&plan, Kind::ProviderPool).iter().map(|name| (*name).to_owned()).collect::<Vec<_>>())
    };
    for source in Source::scoped() {
        assert_eq!(read(source, Some("a")), (0, vec![]), "{source:?}");
    }
    assert_eq!(read(Source::PublishedMaps, None), (0, vec![]));
    let (looked_at, gone) = read(Source::PublishedSecrets, None);
    assert_eq!((looked_at, gone), (3, vec!["gw.pool.a.gone".to_owned(), "gw.pool.left.behind".to_owned()]));
}

#[test]
fn a_spec_that_cannot_be_read_keeps_what_stands() {
    let mut world = world();
    see(&mut world, &pool_key("p"), &simulated());
    see(&mut world, &route_key("r"), &route("p"));
    let (_, plan) = reconcile(&mut world);
    carry_out(&mut world, plan);
    see(&mut world, &route_key("r"), &json!({"rules": "none", "from": "another version"}));
    see(&mut world, &pool_key("p"), &json!(7));
    let (keys, plan) = reconcile(&mut world);
    assert_eq!((keys.len(), plan), (2, Plan::default()));
}

#[test]
fn routes_with_equal_conditions_hear_of_each_other_and_no_others() {
    let mut world = world();
    see(&mut world, &pool_key("p"), &simulated());
    let exact = |model: &str| {
        let target = json!([{"poolRef": {"name": "p"}}]);
        json!({"rules": [{"name": "all", "matches": [{"model": {"exact": model}}], "targets": target}]})
    };
    for (name, model) in [("b", "m"), ("c", "m"), ("d", "m"), ("e", "own")] {
        see(&mut world, &route_key(name), &exact(model));
    }
    let settle = |world: &mut World| -> Vec<Key> {
        let (keys, plan) = reconcile(world);
        carry_out(world, plan);
        keys
    };
    settle(&mut world);
    // The first settling files them one by one; after that nobody has news.
    while !settle(&mut world).is_empty() {}
    // A later one takes nothing from anybody, a first one from all that follow.
    see(&mut world, &route_key("z"), &exact("m"));
    assert_eq!(settle(&mut world), [route_key("z")]);
    assert_eq!(settle(&mut world), []);
    see(&mut world, &route_key("a"), &exact("m"));
    assert_eq!(settle(&mut world), [route_key("a")]);
    let others = ["b", "c", "d", "z"].map(route_key);
    assert_eq!(settle(&mut world), others);
    assert_eq!(settle(&mut world), []);
    let keys = vec![route_key("c")];
    let told = |world: &World| {
        let batch = Batch { keys: keys.clone(), ..Batch::default() };
        let compiled = gather::collect(world, &batch).compile(world, &Default::default());
        compiled.verdicts.iter().map(|verdict| verdict.message.clone()).collect::<Vec<_>>()
    };
    assert!(told(&world)[0].starts_with("the route a/a matches the same calls"), "{:?}", told(&world));
    world.gone(&route_key("a"));
    settle(&mut world);
    // It is looked at itself once more, since something of it was taken away.
    assert_eq!(settle(&mut world), [&others[..], &[route_key("a")]].concat());
    assert!(told(&world)[0].starts_with("the route a/b matches"), "{:?}", told(&world));
}

#[test]
fn what_a_platform_keeps_is_taken_away_at_once() {
    let mut world = world();
    see(&mut world, &pool_key("p"), &simulated());
    let target = json!([{"poolRef": {"name": "p"}}]);
    let rule = json!({"name": "all", "matches": [{"model": {"exact": "gpt-5"}}], "targets": target});
    see(&mut world, &route_key("r"), &json!({"rules": [rule]}));
    let (_, plan) = reconcile(&mut world);
    carry_out(&mut world, plan);
    let claims = r#"[{"models": ["gpt-*"], "namespaces": ["platform"]}]"#;
    world.keep_models(compile::ModelClaims::parse(claims).unwrap());
    world.look_at_all(|_| true);
    let (_, plan) = reconcile(&mut world);
    assert_eq!((removes(&plan, Kind::LlmRoute), puts(&plan, Kind::LlmRoute).len()), (vec!["gw.route.a.r"], 0));
    carry_out(&mut world, plan);
    world.look_at_all(|_| true);
    assert_eq!(reconcile(&mut world).1, Plan::default());
}

/// An example that holds an object of each kind.
fn example() -> Vec<Value> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../crds/examples/consumers");
    let files = std::fs::read_dir(folder).unwrap().map(|entry| std::fs::read_to_string(entry.unwrap().path()).unwrap());
    files.flat_map(|text| serde_saphyr::from_multiple::<Value>(&text).unwrap()).collect()
}

/// The Secrets that the example names are read.
fn learn_keys(world: &mut World) {
    for name in ["chat-team", "batch-team"] {
        let id = ObjectId(format!("a/{name}"));
        let stamp = world.secrets.stale(&id).unwrap();
        let secret = secret("api-key", &format!("{name}-key-that-nobody-can-guess"));
        world.secrets.learn(&id, stamp, Some(secret));
    }
}

#[test]
fn every_kind_goes_from_the_watch_to_what_is_published_and_to_its_status_and_away_again() {
    let mut world = world();
    let mut keys: BTreeMap<Kind, Vec<Key>> = BTreeMap::new();
    for object in example() {
        let Some(kind) = object["kind"].as_str().and_then(Kind::parse) else { continue };
        let key = key(kind, object["metadata"]["name"].as_str().unwrap());
        see(&mut world, &key, &object["spec"]);
        keys.entry(kind).or_default().push(key);
    }
    assert_eq!(keys.keys().collect::<Vec<_>>(), Kind::ALL.iter().collect::<Vec<_>>(), "an object of each");
    learn_keys(&mut world);
    let (taken, plan) = reconcile(&mut world);
    assert!(taken.is_sorted_by_key(|key| key.kind), "{taken:?}");
    let stages: Vec<Kind> = plan.written.keys().copied().collect();
    assert_eq!(stages, Kind::ALL, "what is named is written first");
    assert_eq!(plan.changed(&world).len(), taken.len());
    carry_out(&mut world, plan);
    for key in keys.values().flatten() {
        let stands = world.published(Content::Compiled(key.kind), &key.id).unwrap();
        assert!(stands.is_sound && !stands.revision.is_empty() && world.previous(key).is_some(), "{key:?}");
        let standing = RolloutState { known: true, ready: 1, running: 1, ..RolloutState::default() };
        let gateway = crate::status::GatewayId::new("gateways", "gw");
        let case = Case {
            gateway: &gateway,
            kind: key.kind,
            object: &key.id,
            generation: 1,
            status: None,
            verdicts: &[],
            kept: false,
            revision: Some(&stands.revision),
            unpublished: None,
            idle: None,
            publishing: false,
            attached_routes: None,
            prices: None,
            budgets: &[],
            limits: &[],
            standing: &standing,
        };
        let status = status::desired(&case, std::time::SystemTime::now()).unwrap();
        assert!(status.conditions.iter().all(|condition| condition.status == ConditionStatus::True), "{status:?}");
    }
    for key in keys.values().flatten() {
        world.gone(key);
    }
    // What is named goes when nothing that names it stands any longer.
    let mut gone: BTreeMap<Kind, usize> = BTreeMap::new();
    for _ in Kind::ALL {
        let (_, plan) = reconcile(&mut world);
        for kind in Kind::ALL {
            *gone.entry(*kind).or_default() += removes(&plan, *kind).len();
        }
        let routes_stand = gone[&Kind::LlmRoute] < keys[&Kind::LlmRoute].len();
        assert!(!(routes_stand && gone[&Kind::ProviderPool] > 0), "a pool goes after its routes");
        carry_out(&mut world, plan);
    }
    assert!(keys.iter().all(|(kind, keys)| gone[kind] == keys.len()), "{gone:?}");
    world.look_at_all(|_| true);
    assert_eq!(reconcile(&mut world).1, Plan::default());
}
