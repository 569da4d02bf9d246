//! Manifests applied as `kubectl apply --server-side` does, and the kinds of `crds/manifests` installed.

use std::path::Path;
use std::time::Duration;

use anyhow::Context as _;
use k8s_openapi::api::core::v1::Namespace;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{Api, DynamicObject, ObjectMeta, Patch, PatchParams, PostParams, TypeMeta};
use kube::core::GroupVersionKind;
use kube::runtime::conditions::is_crd_established;
use kube::runtime::wait::await_condition;
use kube::{Client, ResourceExt as _};

/// Who the tests are to the API server's field management.
pub const MANAGER: &str = "sluicegate-tests";
/// How long a kind may take to be served.
const PATIENCE: Duration = Duration::from_secs(30);

/// Applies every document of a YAML text, those without a namespace to this one; what the API server made of them.
///
/// # Errors
/// The first document that is no object, of no known kind, or refused; the API server's words are in the message.
pub async fn apply(client: &Client, namespace: &str, yaml: &str) -> anyhow::Result<Vec<DynamicObject>> {
    let mut applied = Vec::new();
    for document in serde_saphyr::from_multiple::<serde_json::Value>(yaml)? {
        if document.is_null() {
            continue;
        }
        let object: DynamicObject = serde_json::from_value(document).context("a document that is no object")?;
        let name = object.metadata.name.clone().context("an object without a name")?;
        let types = object.types.clone().unwrap_or_default();
        let of = object.metadata.namespace.clone().unwrap_or_else(|| namespace.to_owned());
        let api = api_of(client, &types, &of).await?;
        let patched = api.patch(&name, &PatchParams::apply(MANAGER).force(), &Patch::Apply(&object)).await;
        applied.push(patched.with_context(|| format!("applying {} {name}", types.kind))?);
    }
    Ok(applied)
}

/// The API of a kind, in a namespace where it has any.
async fn api_of(client: &Client, types: &TypeMeta, namespace: &str) -> anyhow::Result<Api<DynamicObject>> {
    let kind = GroupVersionKind::try_from(types)?;
    let found = kube::discovery::pinned_kind(client, &kind).await;
    let (resource, has) = found.with_context(|| format!("{} {} is not served", types.api_version, types.kind))?;
    Ok(match has.scope {
        kube::discovery::Scope::Cluster => Api::all_with(client.clone(), &resource),
        kube::discovery::Scope::Namespaced => Api::namespaced_with(client.clone(), namespace, &resource),
    })
}

/// Installs the kinds of `crds/manifests` and waits until they are served. May be done by many tests at once.
///
/// # Errors
/// One is refused, or not served in time.
pub async fn install_crds(client: &Client) -> anyhow::Result<()> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../crds/manifests");
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        let applied = apply(client, "", &std::fs::read_to_string(&path)?).await;
        for definition in applied.with_context(|| path.display().to_string())? {
            let api: Api<CustomResourceDefinition> = Api::all(client.clone());
            let name = definition.name_any();
            let established = await_condition(api, &name, is_crd_established());
            let in_time = tokio::time::timeout(PATIENCE, established).await;
            in_time.with_context(|| format!("{name} is not established in time"))??;
        }
    }
    Ok(())
}

/// Creates a namespace whose name begins so, and gives its whole name: nobody else has it.
///
/// # Errors
/// It is refused.
pub async fn namespace(client: &Client, prefix: &str, labels: &[(&str, &str)]) -> anyhow::Result<String> {
    let labels = labels.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
    let metadata =
        ObjectMeta { generate_name: Some(format!("{prefix}-")), labels: Some(labels), ..ObjectMeta::default() };
    let wanted = Namespace { metadata, ..Namespace::default() };
    Ok(Api::all(client.clone()).create(&PostParams::default(), &wanted).await?.name_any())
}
