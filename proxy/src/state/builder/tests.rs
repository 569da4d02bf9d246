//! Configurations made one from the other answer as those made at once; what did not change is the same allocation.

use std::collections::BTreeSet;

use http::HeaderMap;
use sluicegate_config::CredentialId;
use sluicegate_config::compile::{Compiled, Inputs, SecretValue, Severity, compile, manifests};

use super::*;
use crate::account::{LogQueue, Metrics, RouteIx};
use crate::cache;
use crate::state::{Credential, Permission, Provider, Rule};

fn lasting() -> Lasting {
    let metrics = Metrics::new(LogQueue::new().0);
    Lasting {
        registry: Arc::default(),
        cache: cache::SharedCache::new(),
        limits: Arc::default(),
        metrics,
        outward: Default::default(),
        tokens: Arc::default(),
        jwks: Arc::default(),
        discovery: Arc::default(),
        known_only: false,
        region: None,
    }
}

const HEAD: &str = "apiVersion: sluicegate.dev/v1alpha1\n";

fn pool(name: &str, providers: &str) -> String {
    format!("{HEAD}kind: ProviderPool\nmetadata: {{name: {name}}}\nspec: {{providers: [{providers}]}}\n---\n")
}

fn route(name: &str, model: &str, pool: &str) -> String {
    format!(
        "{HEAD}kind: LLMRoute\nmetadata: {{name: {name}}}\nspec: {{rules: [{{name: all, matches: [{{model: {{exact: {model}}}}}], \
         targets: [{{poolRef: {{name: {pool}}}}}]}}]}}\n---\n"
    )
}

fn header_of(provider: &Provider) -> http::HeaderValue {
    match provider.credential.as_ref() {
        Some(Credential::Header(_, value)) => value.clone(),
        _ => panic!("no header"),
    }
}

const SIMULATED: &str = "{name: a, type: Simulated}";

fn compiled(text: &str) -> Compiled {
    let inputs: Inputs<'_> = manifests::read(&[("all.yaml".to_owned(), text.to_owned())]).0;
    compile(&inputs)
}

fn replace(builder: &mut Builder, text: &str) -> Arc<Ready> {
    let compiled = compiled(text);
    assert!(compiled.verdicts.iter().all(|verdict| verdict.severity != Severity::Error), "{:?}", compiled.verdicts);
    builder.replace(&compiled.snapshot, &compiled.credentials)
}

fn granted<'a>(ready: &'a Ready, model: &str) -> Option<(RouteIx, &'a Rule)> {
    match ready.find(model, &HeaderMap::new(), None, &crate::matching::AskedAmount::default) {
        Permission::Granted(route, _, rule) => Some((route, rule)),
        Permission::Denied | Permission::NotFound => None,
    }
}

/// The route that takes a model, and the providers behind its first target.
fn asked(ready: &Ready, model: &str) -> Option<(String, Option<Vec<String>>)> {
    let (_, rule) = granted(ready, model)?;
    let (filed, _) = ready.index.find(model, &HeaderMap::new(), None, &crate::matching::AskedAmount::default)?;
    let target = rule.targets.first().and_then(|aim| ready.target(aim));
    let names = target.map(|target| target.pool.providers.iter().map(|provider| provider.name.clone()).collect());
    Some((filed.id.0.clone(), names))
}

#[test]
fn what_does_not_change_is_shared() {
    let mut builder = Builder::new(lasting());
    let text =
        |model: &str| pool("p", SIMULATED) + &pool("q", SIMULATED) + &route("r", model, "p") + &route("s", "s", "q");
    let first = replace(&mut builder, &text("m"));
    let second = replace(&mut builder, &text("other"));
    let same = |id: &str| Arc::ptr_eq(first.routes.get(id).unwrap(), second.routes.get(id).unwrap());
    assert!(!same("default/r") && same("default/s"));
    assert!((0..2).all(|at| Arc::ptr_eq(
        first.pools.get(at).unwrap().as_ref().unwrap(),
        second.pools.get(at).unwrap().as_ref().unwrap()
    )));
    assert_eq!(asked(&second, "m"), None);
    assert_eq!(asked(&second, "other").unwrap().0, "default/r");
    assert_eq!(asked(&first, "m").unwrap().0, "default/r", "a call holds the one it began under");
    let numbers = |ready: &Ready| granted(ready, "s").unwrap().0;
    assert_eq!(numbers(&first), numbers(&second));
}

#[test]
fn a_pool_comes_and_goes_beneath_its_routes() {
    let mut builder = Builder::new(lasting());
    let Compiled { snapshot, .. } = compiled(&(pool("p", SIMULATED) + &route("r", "m", "p")));
    let (pool_id, form) = snapshot.pools.into_iter().next().unwrap();
    let (route_id, route) = snapshot.routes.into_iter().next().unwrap();
    let (pool_id, route_id) = (Arc::new(pool_id), Arc::new(route_id));
    let ready = builder.apply(vec![Change::Put(Arc::clone(&route_id), Box::new(route).into(), Credentials::new())]);
    assert_eq!(asked(&ready, "m"), Some(("default/r".to_owned(), None)), "it is taken, and nobody answers yet");
    let ready =
        builder.apply(vec![Change::Put(Arc::clone(&pool_id), Box::new(form.clone()).into(), Credentials::new())]);
    assert_eq!(asked(&ready, "m").unwrap().1, Some(vec!["a".to_owned()]));
    let gone = builder.apply(vec![Change::Gone(Kind::ProviderPool, pool_id)]);
    assert_eq!(asked(&gone, "m").unwrap().1, None);
    assert_eq!(asked(&ready, "m").unwrap().1, Some(vec!["a".to_owned()]));
    // Another pool does not get the place that a route still leads to.
    let other = Arc::new(ObjectId("default/other".to_owned()));
    let ready = builder.apply(vec![Change::Put(Arc::clone(&other), Box::new(form).into(), Credentials::new())]);
    assert_eq!(asked(&ready, "m").unwrap().1, None);
    let ready = builder.apply(vec![Change::Gone(Kind::LlmRoute, route_id), Change::Gone(Kind::ProviderPool, other)]);
    assert_eq!(asked(&ready, "m"), None);
    assert!(builder.places.is_empty() && builder.next.routes.is_empty());
    assert_eq!(builder.free.iter().collect::<BTreeSet<_>>().len(), ready.pools.len());
}

#[test]
fn a_rotated_credential_makes_another_pool_and_an_equal_one_does_not() {
    let mut builder = Builder::new(lasting());
    let provider =
        "{name: a, type: OpenAI, url: 'https://api.openai.com/v1', credentials: {secretRef: {name: s, key: k}}}";
    let secret = "apiVersion: v1\nkind: Secret\nmetadata: {name: s}\nstringData: {k: one}\n---\n";
    let Compiled { snapshot, credentials, verdicts, .. } =
        compiled(&(secret.to_owned() + &pool("p", provider) + &route("r", "m", "p")));
    assert_eq!(credentials.len(), 1, "{verdicts:?}");
    let rotated = |value: &str| -> Credentials {
        credentials.keys().map(|id: &CredentialId| (id.clone(), SecretValue::new(value.into()))).collect()
    };
    let sent = |ready: &Ready| {
        let pool = ready.pools.get(0).unwrap().as_ref().unwrap();
        (Arc::as_ptr(pool), header_of(&pool.providers[0]))
    };
    let one = sent(&builder.replace(&snapshot, &credentials));
    assert_eq!(one, sent(&builder.replace(&snapshot, &rotated("one"))));
    let two = sent(&builder.replace(&snapshot, &rotated("two")));
    assert_eq!(two.1, "Bearer two");
    assert!(one.0 != two.0);
}

#[test]
fn each_address_of_a_service_is_an_endpoint_of_its_own() {
    let mut builder = Builder::new(lasting());
    let text = pool(
        "p",
        "{name: a, type: OpenAICompatible, url: 'http://svc.ns.svc:8000/v1', weight: 2}, {name: v, type: Simulated, weight: 1}",
    );
    let mut snapshot = compiled(&(text + &route("r", "m", "p"))).snapshot;
    let mut with = |endpoints: &[&str], revision: &str| {
        let pool = snapshot.pools.values_mut().next().unwrap();
        pool.revision = revision.to_owned();
        let provider = pool.providers.iter_mut().find(|provider| provider.name == "a").unwrap();
        provider.endpoints = Some(endpoints.iter().map(|at| (*at).to_owned()).collect());
        let ready = builder.replace(&snapshot, &Credentials::new());
        let providers = &ready.pools.get(0).unwrap().as_ref().unwrap().providers;
        let shown = |provider: &Arc<crate::state::Provider>| (provider.address.to_string(), provider.weight);
        let of_it = |name: &str| providers.iter().filter(|p| p.name == name).map(shown).collect::<Vec<_>>();
        let endpoint = providers.iter().find(|p| p.name == "a").map(|p| Arc::clone(&p.endpoint)).unwrap();
        (of_it("a"), of_it("v")[0].1, endpoint)
    };
    let (two, vendor, first) = with(&["10.0.0.1:80", "[fd00::2]:80"], "1");
    assert_eq!(two, [("10.0.0.1:80".to_owned(), 1_000), ("[fd00::2]:80".to_owned(), 1_000)]);
    assert_eq!(vendor, 1_000);
    let (one, _, still) = with(&["10.0.0.1:80"], "2");
    assert_eq!(one, [("10.0.0.1:80".to_owned(), 2_000)]);
    assert!(Arc::ptr_eq(&first, &still), "what was learnt of it stays");
    let (none, vendor, _) = with(&[], "3");
    assert_eq!((none, vendor), (vec![("svc.ns.svc:8000".to_owned(), 0)], 1_000));
}

#[test]
fn the_models_are_listed_when_asked_for() {
    let mut builder = Builder::new(lasting());
    let any = format!(
        "{HEAD}kind: LLMRoute\nmetadata: {{name: z}}\nspec: {{rules: [{{name: all, targets: [{{poolRef: {{name: p}}}}]}}]}}\n"
    );
    let served = "{name: a, type: Simulated, models: [{name: served}]}";
    // Nobody behind `lost` answers to that name.
    let text = pool("p", served) + &pool("q", SIMULATED) + &route("r", "named", "q") + &route("s", "lost", "p") + &any;
    let ready = replace(&mut builder, &text);
    let list = ready.models().list(sluicegate_dialects::Dialect::OpenAiChat, None, false).unwrap();
    let list = String::from_utf8(list.to_vec()).unwrap();
    assert!(list.contains("\"named\"") && list.contains("\"served\"") && !list.contains("\"lost\""), "{list}");
    let created = |name: &str| ready.model(name, None).map(|listed| listed.created);
    assert_eq!((created("named"), created("served")), (Some(0), Some(0)));
    assert_eq!((ready.model("lost", None), ready.model("else", None)), (None, None));
}

#[test]
fn a_rule_promises_what_it_names_and_nothing_else() {
    let any = format!(
        "{HEAD}kind: LLMRoute\nmetadata: {{name: any}}\nspec: {{rules: [{{name: all, targets: [{{poolRef: {{name: p}}}}]}}]}}\n---\n"
    );
    let renamed = format!(
        "{HEAD}kind: LLMRoute\nmetadata: {{name: renamed}}\nspec: {{rules: [{{name: all, matches: [{{model: {{prefix: re-}}}}], \
         targets: [{{poolRef: {{name: p}}, model: other}}]}}]}}\n---\n"
    );
    let mut builder = Builder::new(lasting());
    let ready = replace(&mut builder, &(pool("p", SIMULATED) + &route("r", "named", "p") + &renamed + &any));
    for (model, promised) in [("named", true), ("misspelt", false), ("re-x", true)] {
        assert_eq!(granted(&ready, model).unwrap().1.promises(model), promised, "{model}");
    }
}

#[test]
fn a_limit_is_found_in_a_later_configuration_whatever_its_amount() {
    let limited = |amount: u32| {
        format!(
            "{HEAD}kind: LLMRoute\nmetadata: {{name: r}}\nspec: {{limits: {{rate: [{{per: Route, unit: Requests, amount: {amount}}}]}}, \
             rules: [{{name: all, targets: [{{poolRef: {{name: p}}}}]}}]}}\n---\n"
        )
    };
    let mut builder = Builder::new(lasting());
    let first = replace(&mut builder, &(pool("p", SIMULATED) + &limited(1)));
    let limit = &granted(&first, "m").unwrap().1.limits[0];
    let second = replace(&mut builder, &(pool("p", SIMULATED) + &limited(2)));
    assert_eq!(second.current_limit(limit, None).map(|limit| limit.amount), Some(2));
    let third = replace(&mut builder, &(pool("p", SIMULATED) + &route("r", "m", "p")));
    assert!(third.current_limit(limit, None).is_none());
}
