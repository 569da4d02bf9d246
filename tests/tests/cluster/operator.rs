//! What the operator publishes: of every resource its compiled form, of a bad one the last good form, and nothing twice.

use std::collections::BTreeMap;
use std::time::Duration;

use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use k8s_openapi::api::rbac::v1::RoleBinding;
use kube::Client;
use kube::api::{Api, DynamicObject, ListParams, Patch, PatchParams};
use serde_json::{Value, json};
use sluicegate_tests::kube::account::Grant;
use sluicegate_tests::kube::{ControlPlane, Options, account, manifests};
use sluicegate_tests::operator::Operator;

use crate::gateway::rights;

/// A gateway's namespace with an operator for it, which watches that namespace only.
struct Gateway {
    client: Client,
    namespace: String,
    operator: Operator,
}

const POOL: &str = r"
apiVersion: sluicegate.dev/v1alpha1
kind: ProviderPool
metadata: {name: sim}
spec: {providers: [{name: one, type: Simulated}]}
";
const ROUTE: &str = r"
apiVersion: sluicegate.dev/v1alpha1
kind: LLMRoute
metadata: {name: chat}
spec: {rules: [{name: all, targets: [{poolRef: {name: sim}}]}]}
";
const KEYED: &str = r"
apiVersion: sluicegate.dev/v1alpha1
kind: ProviderPool
metadata: {name: keyed}
spec:
  providers:
  - {name: one, type: OpenAI, url: https://llm.example.com, credentials: {secretRef: {name: key, key: token}}}
";

impl Gateway {
    async fn start() -> Self {
        let (client, namespace) = Self::namespace().await;
        let operator = Self::operator(&client, &namespace, &[]).await;
        operator.ready().await.unwrap();
        Self { client, namespace, operator }
    }

    async fn namespace() -> (Client, String) {
        let client = ControlPlane::shared().unwrap().client().await.unwrap();
        manifests::install_crds(&client).await.unwrap();
        let namespace = manifests::namespace(&client, "operator", &[]).await.unwrap();
        (client, namespace)
    }

    async fn operator(client: &Client, namespace: &str, flags: &[&str]) -> Operator {
        let kubeconfig = rights(client, namespace, &[]).await;
        let mut all = vec!["--watch-namespaces", namespace];
        all.extend(flags);
        Operator::start(&kubeconfig, ("gw", namespace), &all).unwrap()
    }

    async fn apply(&self, yaml: &str) {
        manifests::apply(&self.client, &self.namespace, yaml).await.unwrap();
    }

    async fn delete(&self, kind: &str, name: &str) {
        object_api(&self.client, &self.namespace, kind).delete(name, &Default::default()).await.unwrap();
    }

    /// What is published, by name, with its text.
    async fn published(&self) -> BTreeMap<String, String> {
        published(&self.client, &self.namespace).await
    }

    /// Waits until it holds for what is published.
    async fn until(&self, what: &str, holds: impl Fn(&BTreeMap<String, String>) -> bool) -> BTreeMap<String, String> {
        for _ in 0..1500 {
            let published = self.published().await;
            if holds(&published) {
                return published;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("{what} did not come: {:#?}\n{}", self.published().await, self.operator.log().join("\n"));
    }

    /// Waits until a condition of an object has this status and reason, and gives its message.
    async fn condition(&self, kind: &str, name: &str, condition: &str, wanted: (&str, &str)) -> String {
        let api = object_api(&self.client, &self.namespace, kind);
        let mut last = Value::Null;
        for _ in 0..1500 {
            let object = api.get(name).await.unwrap();
            let conditions =
                object.data.pointer("/status/conditions").and_then(Value::as_array).cloned().unwrap_or_default();
            if let Some(found) = conditions.iter().find(|found| found["type"] == condition) {
                let current = found["observedGeneration"] == json!(object.metadata.generation);
                if current && found["status"] == wanted.0 && found["reason"] == wanted.1 {
                    return found["message"].as_str().unwrap().to_owned();
                }
            }
            last = object.data.get("status").cloned().unwrap_or_default();
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("{kind} {name}: no {condition} {wanted:?}: {last:#}\n{}", self.operator.log().join("\n"));
    }
}

fn object_api(client: &Client, namespace: &str, kind: &str) -> Api<DynamicObject> {
    let gvk = kube::core::GroupVersionKind::gvk("sluicegate.dev", "v1alpha1", kind);
    let resource = kube::core::ApiResource::from_gvk(&gvk);
    Api::namespaced_with(client.clone(), namespace, &resource)
}

async fn published(client: &Client, namespace: &str) -> BTreeMap<String, String> {
    let ours = ListParams::default().labels("sluicegate.dev/gateway=gw,sluicegate.dev/content!=operator");
    let maps: Api<ConfigMap> = Api::namespaced(client.clone(), namespace);
    let secrets: Api<Secret> = Api::namespaced(client.clone(), namespace);
    let maps = maps.list(&ours).await.unwrap().items.into_iter().map(|map| {
        (map.metadata.name.unwrap(), map.data.and_then(|mut data| data.remove("compiled.json")).unwrap_or_default())
    });
    // One that is about to go has no data any more.
    let secrets = secrets.list(&ours).await.unwrap().items.into_iter().map(|secret| {
        let text = secret.data.and_then(|mut data| data.remove("compiled.json")).map(|text| text.0);
        (secret.metadata.name.unwrap(), String::from_utf8(text.unwrap_or_default()).unwrap())
    });
    maps.chain(secrets).collect()
}

fn names(published: &BTreeMap<String, String>, namespace: &str) -> Vec<String> {
    published.keys().map(|name| name.replace(namespace, "NS")).collect()
}

fn secret(token: &str) -> String {
    json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "key"}, "stringData": {"token": token}})
        .to_string()
}

#[tokio::test]
async fn a_route_and_its_pool_are_published_and_collected_when_they_are_deleted() {
    let gateway = Gateway::start().await;
    // The route first: it is published once its pool is there.
    gateway.apply(ROUTE).await;
    let message = gateway.condition("LLMRoute", "chat", "ResolvedRefs", ("False", "BackendNotFound")).await;
    assert!(message.contains("sim"), "{message}");
    gateway.apply(POOL).await;
    gateway.condition("LLMRoute", "chat", "ResolvedRefs", ("True", "ResolvedRefs")).await;
    let wanted = ["gw.pool.NS.sim", "gw.route.NS.chat"];
    let published = gateway.until("both", |all| all.len() == 2 && all.values().last().unwrap().contains("/sim")).await;
    assert_eq!(names(&published, &gateway.namespace), wanted);

    gateway.delete("ProviderPool", "sim").await;
    gateway.condition("LLMRoute", "chat", "ResolvedRefs", ("False", "BackendNotFound")).await;
    gateway.until("the pool's end", |all| all.len() == 1).await;
    gateway.delete("LLMRoute", "chat").await;
    gateway.until("the route's end", BTreeMap::is_empty).await;
}

#[tokio::test]
async fn a_bad_object_says_so_and_keeps_its_last_good_form() {
    let gateway = Gateway::start().await;
    gateway.apply(&format!("{POOL}---{ROUTE}")).await;
    let good = gateway.until("both", |all| all.len() == 2).await;
    // What no schema finds: a model's regular expression that is none.
    let bad = ROUTE.replace("{name: all,", "{name: all, matches: [{model: {regex: '('}}],");
    gateway.apply(&bad).await;
    gateway.condition("LLMRoute", "chat", "Accepted", ("False", "Invalid")).await;
    gateway.condition("LLMRoute", "chat", "Programmed", ("False", "KeepsPrevious")).await;
    assert_eq!(gateway.published().await, good);
    gateway.apply(ROUTE).await;
    gateway.condition("LLMRoute", "chat", "Accepted", ("True", "Accepted")).await;
    assert_eq!(gateway.published().await, good);
}

#[tokio::test]
async fn a_missing_secret_is_named_and_a_rotated_one_is_published() {
    let gateway = Gateway::start().await;
    gateway.apply(KEYED).await;
    let message = gateway.condition("ProviderPool", "keyed", "ResolvedRefs", ("False", "SecretNotFound")).await;
    assert!(message.contains("key"), "{message}");
    gateway.apply(&secret("sk-planted-1")).await;
    gateway.condition("ProviderPool", "keyed", "ResolvedRefs", ("True", "ResolvedRefs")).await;
    let first = gateway.until("both", |all| all.len() == 2).await;
    assert_eq!(names(&first, &gateway.namespace), ["gw.credentials.NS.keyed", "gw.pool.NS.keyed"]);
    gateway.apply(&secret("sk-planted-2")).await;
    gateway.until("the new key", |all| all.values().next() != first.values().next()).await;
    // With the Secret gone the last key serves on, and the status says so.
    let before = gateway.published().await;
    let secrets: Api<Secret> = Api::namespaced(gateway.client.clone(), &gateway.namespace);
    secrets.delete("key", &Default::default()).await.unwrap();
    gateway.condition("ProviderPool", "keyed", "ResolvedRefs", ("False", "SecretNotFound")).await;
    assert_eq!(gateway.published().await, before);
    let log = gateway.operator.log().join("\n");
    assert!(!log.contains("planted") && !gateway.operator.page("/metrics").await.unwrap().1.contains("planted"));
}

#[tokio::test]
async fn what_others_change_of_what_is_published_is_put_right() {
    let gateway = Gateway::start().await;
    gateway.apply(&format!("{POOL}---{ROUTE}")).await;
    let good = gateway.until("both", |all| all.len() == 2).await;
    let name = good.keys().last().unwrap().clone();
    let maps: Api<ConfigMap> = Api::namespaced(gateway.client.clone(), &gateway.namespace);
    maps.delete(&name, &Default::default()).await.unwrap();
    gateway.until("the deleted one", |all| *all == good).await;
    for patch in [
        json!({"data": {"compiled.json": "{}"}}),
        json!({"metadata": {"labels": {"sluicegate.dev/content": "pool"}}}),
        json!({"metadata": {"labels": {"sluicegate.dev/gateway": null}}}),
        json!({"metadata": {"annotations": {"sluicegate.dev/object": "a/b", "sluicegate.dev/revision": null}}}),
    ] {
        let before = maps.get(&name).await.unwrap();
        maps.patch(&name, &PatchParams::default(), &Patch::Merge(&patch)).await.unwrap();
        let mut rounds = 0;
        loop {
            let map = maps.get(&name).await.unwrap();
            let meta = |map: &ConfigMap| (map.metadata.labels.clone(), map.metadata.annotations.clone());
            if map.data == before.data && meta(&map) == meta(&before) {
                break;
            }
            rounds += 1;
            assert!(rounds < 1500, "{patch} was not put right: {map:#?}");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
    // A stranger that carries our labels, and is of nothing, goes; one that nobody of ours made stays.
    let stray = |name: &str, by: &str| {
        let labels = json!({"sluicegate.dev/gateway": "gw", "app.kubernetes.io/managed-by": by});
        json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "labels": labels}}).to_string()
    };
    gateway.apply(&stray("foreign", "somebody")).await;
    gateway.apply(&stray("gw.route.none.none", "sluicegate-operator")).await;
    gateway.until("the stray's end", |all| all.len() == 3 && all.contains_key("foreign")).await;
}

/// So many routes to one pool, as YAML.
fn many(routes: usize) -> String {
    let route = |number: usize| ROUTE.replace("name: chat", &format!("name: r{number:04}"));
    (0..routes).map(route).fold(POOL.to_owned(), |all, route| format!("{all}---{route}"))
}

/// Waits until a replica has nothing to do any more.
async fn idle(operator: &Operator) {
    let mut rounds = 0;
    loop {
        let leads = operator.metric("sluicegate_operator_is_leader", &[]).await.unwrap() > 0.0;
        let turned = operator.metric("sluicegate_operator_reconcile_duration_seconds_count", &[]).await.unwrap() > 0.0;
        let queued = operator.metric("sluicegate_operator_queued_objects", &[]).await.unwrap();
        if leads && turned && queued < 1.0 {
            return;
        }
        rounds += 1;
        assert!(rounds < 3000, "it has no end of work: {}", operator.log().join("\n"));
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test]
async fn an_operator_killed_in_mid_publish_ends_in_the_same_bytes_and_a_restart_writes_nothing() {
    const ROUTES: usize = 200;
    let (client, namespace) = Gateway::namespace().await;
    manifests::apply(&client, &namespace, &many(ROUTES)).await.unwrap();
    let alone = ["--leader-elect", "false"];
    let killed = Gateway::operator(&client, &namespace, &alone).await;
    let mut rounds = 0;
    while published(&client, &namespace).await.len() < 10 {
        rounds += 1;
        assert!(rounds < 3000, "nothing is published: {}", killed.log().join("\n"));
    }
    drop(killed);
    let half = published(&client, &namespace).await;

    let gateway = Gateway {
        operator: Gateway::operator(&client, &namespace, &alone).await,
        client: client.clone(),
        namespace: namespace.clone(),
    };
    let whole = gateway.until("all of them", |all| all.len() == ROUTES + 1).await;
    assert!(half.iter().all(|(name, text)| whole[name] == *text));
    // The statuses too, so that the next start has nothing left to say.
    gateway.condition("LLMRoute", "r0199", "Programmed", ("False", "NoProxies")).await;
    gateway.condition("LLMRoute", "r0000", "Programmed", ("False", "NoProxies")).await;
    let mut settled = 0;
    while settled < 20 {
        let before = gateway.operator.writes("").await.unwrap();
        tokio::time::sleep(Duration::from_millis(50)).await;
        settled = if gateway.operator.writes("").await.unwrap() == before { settled + 1 } else { 0 };
    }
    assert!(gateway.operator.stop().await.unwrap().success());

    let again = Gateway::operator(&client, &namespace, &alone).await;
    again.ready().await.unwrap();
    idle(&again).await;
    // Longer than a status waits for proxies.
    tokio::time::sleep(Duration::from_secs(4)).await;
    assert_eq!(again.writes("").await.unwrap(), 0, "{}", again.page("/metrics").await.unwrap().1);
    assert_eq!(published(&client, &namespace).await, whole);
}

#[tokio::test]
async fn of_two_operators_one_writes_and_the_other_takes_over() {
    let (client, namespace) = Gateway::namespace().await;
    let first = Gateway::operator(&client, &namespace, &[]).await;
    first.ready().await.unwrap();
    leads(&first).await;
    let second = Gateway::operator(&client, &namespace, &[]).await;
    second.ready().await.unwrap();
    let gateway = Gateway { client, namespace: namespace.clone(), operator: second };
    gateway.apply(&many(20)).await;
    gateway.until("all of them", |all| all.len() == 21).await;
    assert_eq!(first.writes("configmaps").await.unwrap(), 21);
    assert_eq!(gateway.operator.writes("").await.unwrap(), 0);
    // Its end hands over at once: a lease that runs out would take fifteen seconds.
    let ending = std::time::Instant::now();
    assert!(first.stop().await.unwrap().success());
    gateway.apply(&ROUTE.replace("name: chat", "name: later")).await;
    gateway.until("the later one", |all| all.len() == 22).await;
    assert!(ending.elapsed() < Duration::from_secs(14), "nobody handed over");
    assert_eq!(gateway.operator.writes("configmaps").await.unwrap(), 1);
}

/// Waits until a replica leads.
async fn leads(operator: &Operator) {
    for _ in 0..3000 {
        if operator.metric("sluicegate_operator_is_leader", &[]).await.unwrap() > 0.0 {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("nobody leads: {}", operator.log().join("\n"));
}

#[tokio::test]
async fn roles_in_the_watched_namespaces_are_all_the_rights_it_needs() {
    let (client, namespace) = Gateway::namespace().await;
    let team = manifests::namespace(&client, "team", &[("team", "a")]).await.unwrap();
    let config = rights(&client, &namespace, &[&team]).await;
    // A namespace that is not there, and one that is and may not be read, are in nobody's way.
    let watched = format!("{team},{namespace},not-there");
    let flags = ["--watch-namespaces", &watched];
    let operator = Operator::start(&config, ("gw", &namespace), &flags).unwrap();
    let gateway = Gateway { client: client.clone(), namespace: namespace.clone(), operator };
    let shared = POOL.replace(
        "spec: {",
        "spec: {allowedRoutes: {namespaces: {from: Selector, selector: {matchLabels: {team: a}}}}, ",
    );
    manifests::apply(&client, &namespace, &shared).await.unwrap();
    let abroad = ROUTE.replace("{name: sim}", &format!("{{name: sim, namespace: {namespace}}}"));
    manifests::apply(&client, &team, &abroad).await.unwrap();
    gateway.until("both", |all| all.len() == 2 && all.values().last().unwrap().contains("/sim")).await;
    gateway.operator.ready().await.unwrap();
    let (_, text) = gateway.operator.page("/readyz").await.unwrap();
    assert!(text.contains("nothing may be read in not-there"), "{text}");
}

#[tokio::test]
async fn without_the_right_to_list_pods_it_is_not_ready_and_says_why() {
    let (client, namespace) = Gateway::namespace().await;
    let mut grants = account::of_operator(("gw", &namespace), &[&namespace]).unwrap();
    for grant in &mut grants {
        let (Grant::In { rules, .. } | Grant::Everywhere { rules }) = grant;
        rules.retain(|rule| rule.resources.iter().flatten().all(|resource| resource != "pods"));
    }
    let admin = ControlPlane::shared().unwrap().kubeconfig();
    let kubeconfig = account::create(&client, admin, (&namespace, "blind"), &grants).await.unwrap();
    let operator = Operator::start(&kubeconfig, ("gw", &namespace), &["--watch-namespaces", &namespace]).unwrap();
    let mut said = (0, String::new());
    for _ in 0..300 {
        said = operator.page("/readyz").await.unwrap_or_default();
        if said.1.starts_with("these lists have not been read yet: pods\n") && said.1.contains("pods is forbidden") {
            assert_eq!(said.0, 503);
            return;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("{said:?}: {}", operator.log().join("\n"));
}

/// On an API server of its own: it looks at everything there is.
#[tokio::test]
async fn the_cluster_role_of_the_chart_is_all_the_rights_it_needs_to_watch_everywhere() {
    let cluster = ControlPlane::start_with(Options { controllers: false }).unwrap();
    let client = cluster.client().await.unwrap();
    manifests::install_crds(&client).await.unwrap();
    let namespace = manifests::namespace(&client, "gateway", &[]).await.unwrap();
    let pools = manifests::namespace(&client, "pools", &[]).await.unwrap();
    let team = manifests::namespace(&client, "team", &[("team", "a")]).await.unwrap();
    let grants = account::of_operator(("gw", &namespace), &[]).unwrap();
    let config = account::create(&client, cluster.kubeconfig(), (&namespace, "operator"), &grants).await.unwrap();
    let operator = Operator::start(&config, ("gw", &namespace), &[]).unwrap();
    operator.ready().await.unwrap();
    let gateway = Gateway { client: client.clone(), namespace: namespace.clone(), operator };
    let service = "apiVersion: v1\nkind: Service\nmetadata: {name: local}\nspec: {ports: [{port: 80}]}\n---\n";
    let shared = KEYED.replace(
        "spec:\n  providers:",
        "spec:\n  allowedRoutes: {namespaces: {from: Selector, selector: {matchLabels: {team: a}}}}\n  providers:\n  \
         - {name: local, type: OpenAICompatible, serviceRef: {name: local, port: 80}}",
    );
    manifests::apply(&client, &pools, &format!("{service}{}\n---\n{shared}", secret("sk-one"))).await.unwrap();
    let abroad = ROUTE.replace("{name: sim}", &format!("{{name: keyed, namespace: {pools}}}"));
    manifests::apply(&client, &team, &abroad).await.unwrap();
    gateway.until("all of them", |all| all.len() == 3 && all.values().last().unwrap().contains("/keyed")).await;
    // Statuses and events as well: none of the Service's pods is ready.
    let api = object_api(&client, &pools, "ProviderPool");
    let mut rounds = 0;
    while !api.get("keyed").await.unwrap().data["status"].to_string().contains("NoEndpoints") {
        rounds += 1;
        assert!(rounds < 1500, "{}", gateway.operator.log().join("\n"));
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    object_api(&client, &team, "LLMRoute").delete("chat", &Default::default()).await.unwrap();
    api.delete("keyed", &Default::default()).await.unwrap();
    gateway.until("their end", BTreeMap::is_empty).await;
    let log = gateway.operator.log().join("\n");
    assert!(!log.contains("forbidden") && !log.contains("(403)"), "{log}");
}

/// What is not watched any longer is withdrawn with its keys, although the Secrets that it names can be read no longer either.
#[tokio::test]
async fn a_namespace_that_is_watched_no_longer_leaves_nothing_behind() {
    let (client, namespace) = Gateway::namespace().await;
    let team = manifests::namespace(&client, "team", &[]).await.unwrap();
    let config = rights(&client, &namespace, &[&team]).await;
    let both = format!("{team},{namespace}");
    let operator = Operator::start(&config, ("gw", &namespace), &["--watch-namespaces", &both]).unwrap();
    let gateway = Gateway { client: client.clone(), namespace: namespace.clone(), operator };
    let secret =
        "apiVersion: v1\nkind: Secret\nmetadata: {name: key}\nstringData: {token: a-key-of-the-teams-provider}\n---\n";
    manifests::apply(&client, &team, &(secret.to_owned() + KEYED)).await.unwrap();
    gateway.apply(POOL).await;
    let there = |all: &BTreeMap<String, String>| all.keys().filter(|name| name.contains(&team)).count();
    gateway.until("both pools", |all| all.len() == 3 && there(all) == 2).await;
    let secrets: Api<Secret> = Api::namespaced(client.clone(), &namespace);
    let of_team = async || {
        let all = secrets.list(&ListParams::default()).await.unwrap().items;
        all.iter().filter(|secret| secret.metadata.name.as_ref().is_some_and(|name| name.contains(&team))).count()
    };
    assert_eq!(of_team().await, 1);
    let Gateway { operator, .. } = gateway;
    assert!(operator.stop().await.unwrap().success());
    // As an upgrade of the chart does: the rights go with the namespace's name.
    let bindings: Api<RoleBinding> = Api::namespaced(client.clone(), &team);
    for binding in bindings.list(&ListParams::default()).await.unwrap().items {
        bindings.delete(&binding.metadata.name.unwrap(), &Default::default()).await.unwrap();
    }
    let operator = Operator::start(&config, ("gw", &namespace), &["--watch-namespaces", &namespace]).unwrap();
    let gateway = Gateway { client: client.clone(), namespace: namespace.clone(), operator };
    gateway.until("what is withdrawn", |all| all.len() == 1 && there(all) == 0).await;
    for _ in 0..500 {
        if of_team().await == 0 {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("the team's credentials stay: {}", gateway.operator.log().join("\n"));
}
