//! Bad manifests, and what the API server says to each; and those that it cannot know to be bad, of which the status speaks.
//! The tables are in `crds/testdata`; standalone mode is held against the same.

use k8s_openapi::jiff::Timestamp;
use kube::Client;
use serde_json::{Value, json};
use sluicegate_config::ObjectId;
use sluicegate_config::compile::{Inputs, Kind, Resource, SecretValue, Source, Spec, Verdict, compile, steps};
use sluicegate_tests::kube::{ControlPlane, manifests};

/// A client to an API server that has the kinds, and a namespace of its own.
async fn prepared(prefix: &str) -> (Client, String) {
    let client = ControlPlane::shared().unwrap().client().await.unwrap();
    manifests::install_crds(&client).await.unwrap();
    let namespace = manifests::namespace(&client, prefix, &[]).await.unwrap();
    (client, namespace)
}

fn table(name: &str) -> Vec<Value> {
    let path = format!("{}/../crds/testdata/{name}.yaml", env!("CARGO_MANIFEST_DIR"));
    let cases: Vec<Value> = serde_saphyr::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    assert!(cases.len() >= 10, "only {} cases in {name}", cases.len());
    cases
}

fn text<'a>(case: &'a Value, field: &str) -> &'a str {
    case.get(field).and_then(Value::as_str).unwrap_or_else(|| panic!("{case} has no {field}"))
}

/// Creates an object as `kubectl apply` does, unknown fields refused, and takes it back: what it became, or why not.
async fn create(client: &Client, namespace: &str, kind: &str, spec: Option<&Value>) -> Result<Value, String> {
    let mut object = json!({"apiVersion": "sluicegate.dev/v1alpha1", "kind": kind, "metadata": {"name": "x"}});
    if let Some((object, spec)) = object.as_object_mut().zip(spec) {
        object.insert("spec".to_owned(), spec.clone());
    }
    let plural = format!("{}s", kind.to_lowercase());
    let path = format!(
        "/apis/sluicegate.dev/v1alpha1/namespaces/{namespace}/{plural}?fieldValidation=Strict&dryRun=All&fieldManager=tests"
    );
    let request = http::Request::post(path).header("content-type", "application/json");
    let request = request.body(serde_json::to_vec(&object).unwrap()).unwrap();
    client.request(request).await.map_err(|error| match error {
        kube::Error::Api(status) => status.message,
        other => panic!("{other}"),
    })
}

#[tokio::test]
async fn every_rule_is_said_by_the_api_server() {
    let (client, namespace) = prepared("rules").await;
    for case in table("refused") {
        let said = create(&client, &namespace, text(&case, "kind"), case.get("spec")).await.expect_err("refused");
        assert!(said.contains(text(&case, "message")), "{case}\nsaid: {said}");
        // One mistake, one complaint.
        assert!(!said.contains("[spec"), "{case}\nsaid: {said}");
    }
}

#[tokio::test]
async fn the_schema_is_said_by_the_api_server() {
    let (client, namespace) = prepared("schema").await;
    let mut wrong = Vec::new();
    for case in table("malformed") {
        let said = create(&client, &namespace, text(&case, "kind"), case.get("spec")).await;
        let right = said
            .as_ref()
            .is_err_and(|said| said.contains(text(&case, "path")) && said.contains(text(&case, "message")))
            // What is spelt wrong is one complaint: rules that compute with it keep silent.
            && said.as_ref().is_err_and(|said| !said.contains("[spec") || !text(&case, "message").starts_with("write "));
        if !right {
            wrong.push(format!("{case}\n    said: {said:?}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// The verdicts on an object as the API server keeps it, in the company of a good pool and a good key.
fn judged(object: &Value) -> Vec<Verdict> {
    let text = |pointer: &str| object.pointer(pointer).and_then(Value::as_str).unwrap().to_owned();
    let (kind, namespace) = (Kind::parse(&text("/kind")).unwrap(), text("/metadata/namespace"));
    let id = |name: &str| ObjectId(format!("{namespace}/{name}"));
    let created = text("/metadata/creationTimestamp").parse::<Timestamp>().unwrap().as_second();
    assert!(created > 0);
    let mut inputs = Inputs { services: Some(Default::default()), ..Inputs::default() };
    let key = SecretValue::new(b"a-key-that-nobody-can-guess".to_vec());
    inputs.secrets.insert(id("s"), [("api-key".to_owned(), key)].into());
    let mut give = |kind: Kind, name: &str, created: i64, spec: &Value| {
        let resource = Resource { id: id(name), created, source: Source::default(), spec: Spec::Tree(spec.clone()) };
        steps(kind).give(&mut inputs, resource);
    };
    if kind != Kind::ProviderPool {
        let good = json!({"providers": [{"name": "a", "type": "Simulated", "models": [{"name": "m"}]}]});
        give(Kind::ProviderPool, "p", 0, &good);
    }
    give(kind, "x", created, &object["spec"]);
    compile(&inputs).verdicts.of(kind, &id("x")).cloned().collect()
}

#[tokio::test]
async fn what_the_api_server_cannot_see_is_accepted_and_told_by_the_compiler() {
    let (client, namespace) = prepared("told").await;
    for case in table("told") {
        let created = create(&client, &namespace, text(&case, "kind"), case.get("spec")).await;
        let object = created.unwrap_or_else(|said| panic!("{case}\nrefused: {said}"));
        let said = judged(&object);
        let right = matches!(said.as_slice(), [verdict] if verdict.path == text(&case, "path")
            && verdict.reason.as_str() == text(&case, "reason")
            && verdict.message.contains(text(&case, "message")));
        assert!(right, "{case}\nsaid: {said:?}");
    }
}

/// As many of everything as the bounds allow, which is the most that rules may have to look at.
#[tokio::test]
async fn the_largest_objects_are_not_too_much_for_the_rules() {
    let (client, namespace) = prepared("large").await;
    let headers = json!({
        "set": (0..32).map(|i| json!({"name": format!("x-set-{i}"), "value": "v"})).collect::<Vec<_>>(),
        "remove": (0..32).map(|i| format!("x-remove-{i}")).collect::<Vec<_>>(),
    });
    let models: Vec<Value> = (0..128).map(|i| json!({"name": format!("model-{i}")})).collect();
    let providers: Vec<Value> = (0..64)
        .map(|i| json!({"name": format!("p{i}"), "type": "OpenAI", "url": "https://x", "headers": headers, "models": models}))
        .collect();
    let expressions: Vec<Value> = (0..16)
        .map(|i| json!({"key": format!("k{i}"), "operator": "In", "values": (0..64).map(|v| format!("v{v}")).collect::<Vec<_>>()}))
        .collect();
    let pool = json!({
        "providers": providers,
        "allowedRoutes": {"namespaces": {"from": "Selector", "selector": {"matchExpressions": expressions}}},
    });
    create(&client, &namespace, "ProviderPool", Some(&pool)).await.unwrap();
    let names: Vec<String> = (0..64).map(|i| format!("c{i}")).collect();
    let namespaces: Vec<String> = (0..16).map(|i| format!("n{i}")).collect();
    let selector = json!({"names": names, "namespaces": namespaces, "matchExpressions": expressions});
    let keys: Vec<Value> = (0..16)
        .map(|i| json!({"name": format!("k{i}"), "secretRef": {"name": "s"}, "expiresAt": "2027-01-31T00:00:00Z"}))
        .collect();
    let allow: Vec<Value> = (0..64).map(|i| json!({"regex": format!("m{i}.*")})).collect();
    let consumer = json!({"keys": keys, "models": {"allow": allow}});
    create(&client, &namespace, "LLMConsumer", Some(&consumer)).await.unwrap();
    let matches: Vec<Value> = (0..16)
        .map(|i| {
            let headers: Vec<Value> = (0..16).map(|h| json!({"name": format!("x-{h}"), "regex": "a+"})).collect();
            json!({"model": {"regex": format!("m{i}.*")}, "headers": headers, "consumers": {"names": names.get(..8)}})
        })
        .collect();
    let targets: Vec<Value> = (0..16).map(|i| json!({"poolRef": {"name": format!("p{i}")}})).collect();
    let rules: Vec<Value> =
        (0..64).map(|i| json!({"name": format!("r{i}"), "matches": matches, "targets": targets})).collect();
    create(
        &client,
        &namespace,
        "LLMRoute",
        Some(&json!({"rules": rules, "access": {"from": "Selector", "selector": selector}})),
    )
    .await
    .unwrap();
}
