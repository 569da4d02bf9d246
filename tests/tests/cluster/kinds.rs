//! The kinds as the API server takes them: every rule is affordable, every example is accepted, nothing is lost, and
//! people see what they need.

use std::path::{Path, PathBuf};
use std::process::Command;

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{CustomResourceDefinition, JSONSchemaProps};
use kube::api::{Api, DynamicObject};
use kube::{Client, ResourceExt as _};
use sluicegate_tests::kube::{ControlPlane, assets, manifests};

async fn client() -> Client {
    let client = ControlPlane::shared().unwrap().client().await.unwrap();
    manifests::install_crds(&client).await.unwrap();
    client
}

async fn definitions(client: &Client) -> Vec<CustomResourceDefinition> {
    let api: Api<CustomResourceDefinition> = Api::all(client.clone());
    let all = api.list(&Default::default()).await.unwrap().items;
    all.into_iter().filter(|definition| definition.spec.group == "sluicegate.dev").collect()
}

fn kubectl(arguments: &[&str]) -> String {
    let mut command = Command::new(assets().unwrap().join("kubectl"));
    command.arg("--kubeconfig").arg(ControlPlane::shared().unwrap().kubeconfig()).args(arguments);
    let output = command.output().unwrap();
    assert!(output.status.success(), "kubectl {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

fn examples() -> Vec<PathBuf> {
    let mut found = Vec::new();
    for folder in std::fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("../crds/examples")).unwrap() {
        let folder = folder.unwrap().path();
        if folder.is_dir() {
            found.extend(std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()));
        }
    }
    found.sort();
    found.retain(|path| path.extension().is_some_and(|ending| ending == "yaml"));
    found
}

#[tokio::test]
async fn the_kinds_are_accepted_whole() {
    let client = client().await;
    let definitions = definitions(&client).await;
    assert_eq!(definitions.len(), sluicegate_config::Kind::ALL.len(), "{definitions:?}");
    for definition in definitions {
        for condition in definition.status.unwrap().conditions.unwrap() {
            // NonStructuralSchema and the like are told here, not refused at apply.
            let good =
                matches!(condition.type_.as_str(), "NamesAccepted" | "Established") && condition.status == "True";
            assert!(good, "{condition:?}");
        }
    }
}

#[tokio::test]
async fn every_example_is_accepted_and_nothing_of_it_is_lost() {
    let client = client().await;
    let examples = examples();
    assert!(examples.len() >= 8, "{examples:?}");
    for path in examples {
        let namespace = manifests::namespace(&client, "example", &[]).await.unwrap();
        let text = std::fs::read_to_string(&path).unwrap();
        let applied = manifests::apply(&client, &namespace, &text).await;
        let applied = applied.unwrap_or_else(|error| panic!("{}: {error:#}", path.display()));
        let written: Vec<serde_json::Value> = serde_saphyr::from_multiple(&text).unwrap();
        for (object, written) in applied.iter().zip(&written) {
            let kind = object.types.as_ref().unwrap().kind.as_str();
            if sluicegate_config::Kind::parse(kind).is_some() {
                let label = format!("{}: {kind} {}", path.display(), object.name_any());
                contains(&label, &object.data["spec"], &written["spec"], false);
            }
        }
    }
}

#[tokio::test]
async fn what_is_written_stays_as_it_is_written() {
    let client = client().await;
    let namespace = manifests::namespace(&client, "written", &[]).await.unwrap();
    // Each of these could be written in another way.
    let text = r#"
apiVersion: sluicegate.dev/v1alpha1
kind: ProviderPool
metadata: {name: models}
spec:
  timeouts: {connect: 1000ms, firstToken: 90s, idle: 120s, total: 1h}
  providers:
  - name: a
    type: OpenAICompatible
    url: https://API.Example.com:443/v1/
    connection: {idleTimeout: 60s, tcpKeepalive: 0s, dnsTTL: 1m30s}
    models: [{name: m, price: {inputPerMillion: "2.50", outputPerMillion: "10.0"}}]
    defaults: {temperature: "1.0"}
"#;
    let written: serde_json::Value = serde_saphyr::from_str(text).unwrap();
    let applied = manifests::apply(&client, &namespace, text).await.unwrap();
    contains("ProviderPool models", &applied[0].data["spec"], &written["spec"], false);
}

/// What was written is still there. The API server may have added defaults, but not within a list: an item with more in it
/// is another one for whoever compares a cluster with what is written.
fn contains(at: &str, kept: &serde_json::Value, written: &serde_json::Value, listed: bool) {
    use serde_json::Value::{Array, Object};
    match (kept, written) {
        (Object(kept), Object(written)) => {
            for (key, value) in written {
                let found = kept.get(key).unwrap_or_else(|| panic!("{at}: {key} was pruned"));
                contains(&format!("{at}.{key}"), found, value, listed);
            }
            let more: Vec<&String> = kept.keys().filter(|key| listed && !written.contains_key(*key)).collect();
            assert!(more.is_empty(), "{at}: {more:?} were added");
        }
        (Array(kept), Array(written)) => {
            assert_eq!(kept.len(), written.len(), "{at}");
            kept.iter().zip(written).enumerate().for_each(|(i, (k, w))| contains(&format!("{at}[{i}]"), k, w, true));
        }
        _ => assert_eq!(kept, written, "{at}"),
    }
}

#[tokio::test]
async fn every_field_explains_itself() {
    let client = client().await;
    for definition in definitions(&client).await {
        for version in &definition.spec.versions {
            let schema = version.schema.as_ref().unwrap().open_api_v3_schema.as_ref().unwrap();
            let mut silent = Vec::new();
            undescribed(&definition.spec.names.kind, schema, &mut silent);
            assert!(silent.is_empty(), "`kubectl explain` says nothing of {silent:?}");
        }
        let told = kubectl(&["explain", "--recursive", &definition.spec.names.plural]);
        assert!(told.contains("FIELDS:") && told.contains("conditions") && told.contains("spec"), "{told}");
    }
}

fn undescribed(at: &str, schema: &JSONSchemaProps, silent: &mut Vec<String>) {
    for (name, field) in schema.properties.iter().flatten() {
        let at = format!("{at}.{name}");
        if field.description.as_deref().unwrap_or_default().is_empty() {
            silent.push(at.clone());
        }
        undescribed(&at, field, silent);
    }
    if let Some(items) = schema.items.as_ref().and_then(|items| serde_json::to_value(items).ok()) {
        // One schema or several in the type, always one in a structural schema.
        let items: JSONSchemaProps = serde_json::from_value(items).unwrap();
        undescribed(&format!("{at}[]"), &items, silent);
    }
}

#[tokio::test]
async fn a_listing_shows_the_columns_of_its_kind() {
    let client = client().await;
    let namespace = manifests::namespace(&client, "columns", &[]).await.unwrap();
    let text = std::fs::read_to_string(examples().iter().find(|path| path.ends_with("consumers.yaml")).unwrap());
    let applied: Vec<DynamicObject> = manifests::apply(&client, &namespace, &text.unwrap()).await.unwrap();
    for definition in definitions(&client).await {
        let (names, version) = (&definition.spec.names, &definition.spec.versions[0]);
        let told = kubectl(&["get", &names.plural, "-n", &namespace]);
        let (head, rows) = told.split_once('\n').expect("a head and rows");
        let wanted =
            version.additional_printer_columns.iter().flatten().filter(|column| column.priority.unwrap_or(0) == 0);
        for column in wanted {
            assert!(head.contains(&column.name.to_uppercase()), "{head}");
        }
        let object = applied.iter().find(|object| object.types.as_ref().unwrap().kind == names.kind).unwrap();
        assert!(rows.contains(&object.name_any()), "{told}");
        for name in names.short_names.iter().chain(&names.categories).flatten() {
            assert!(kubectl(&["get", name, "-n", &namespace]).contains(&object.name_any()), "{name}");
        }
    }
}
