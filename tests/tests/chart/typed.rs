//! Reads a document as the type of its kind, writes it again, and says what was lost on the way: fields that the kind does
//! not have, or not there.

use k8s_openapi::api::apps::v1::{Deployment, StatefulSet};
use k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscaler;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{ConfigMap, Pod, Service, ServiceAccount};
use k8s_openapi::api::networking::v1::NetworkPolicy;
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use k8s_openapi::api::rbac::v1::{ClusterRole, ClusterRoleBinding, Role, RoleBinding};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

/// The paths that the type of the document's kind does not have.
pub(crate) fn lost(document: &Value) -> Result<Vec<String>, String> {
    let word = |name: &str| document[name].as_str().unwrap_or_default();
    let again = match (word("apiVersion"), word("kind")) {
        ("apps/v1", "Deployment") => through::<Deployment>(document),
        ("apps/v1", "StatefulSet") => through::<StatefulSet>(document),
        ("autoscaling/v2", "HorizontalPodAutoscaler") => through::<HorizontalPodAutoscaler>(document),
        ("batch/v1", "Job") => through::<Job>(document),
        ("v1", "ConfigMap") => through::<ConfigMap>(document),
        ("v1", "Pod") => through::<Pod>(document),
        ("v1", "Service") => through::<Service>(document),
        ("v1", "ServiceAccount") => through::<ServiceAccount>(document),
        ("networking.k8s.io/v1", "NetworkPolicy") => through::<NetworkPolicy>(document),
        ("policy/v1", "PodDisruptionBudget") => through::<PodDisruptionBudget>(document),
        ("rbac.authorization.k8s.io/v1", "ClusterRole") => through::<ClusterRole>(document),
        ("rbac.authorization.k8s.io/v1", "ClusterRoleBinding") => through::<ClusterRoleBinding>(document),
        ("rbac.authorization.k8s.io/v1", "Role") => through::<Role>(document),
        ("rbac.authorization.k8s.io/v1", "RoleBinding") => through::<RoleBinding>(document),
        ("apiextensions.k8s.io/v1", "CustomResourceDefinition") => through::<CustomResourceDefinition>(document),
        // Their own definitions judge them: projects.rs.
        ("monitoring.coreos.com/v1" | "keda.sh/v1alpha1" | "cert-manager.io/v1", _) => return Ok(Vec::new()),
        (version, kind) => return Err(format!("no type is known for {version} {kind}")),
    };
    let mut found = Vec::new();
    compare(document, &again?, &mut String::new(), &mut found);
    Ok(found)
}

fn through<T: DeserializeOwned + Serialize>(document: &Value) -> Result<Value, String> {
    let read: T = serde_json::from_value(document.clone()).map_err(|error| error.to_string())?;
    serde_json::to_value(read).map_err(|error| error.to_string())
}

fn compare(wanted: &Value, got: &Value, path: &mut String, found: &mut Vec<String>) {
    let length = path.len();
    match (wanted, got) {
        (Value::Object(wanted), Value::Object(got)) => {
            for (key, value) in wanted {
                path.push('/');
                path.push_str(key);
                match got.get(key) {
                    Some(got) => compare(value, got, path, found),
                    None => found.push(path.clone()),
                }
                path.truncate(length);
            }
        }
        (Value::Array(wanted), Value::Array(got)) if wanted.len() == got.len() => {
            for (at, (wanted, got)) in wanted.iter().zip(got).enumerate() {
                path.push_str(&format!("/{at}"));
                compare(wanted, got, path, found);
                path.truncate(length);
            }
        }
        // A bound of a schema is 1 here and 1.0 there.
        (Value::Number(wanted), Value::Number(got)) if wanted.as_f64() == got.as_f64() => {}
        (wanted, got) if wanted == got => {}
        _ => found.push(path.clone()),
    }
}

#[test]
fn a_misspelt_field_is_found() {
    let mut document =
        crate::helm::find(&crate::cases::case("default").documents, "Deployment/sluicegate-proxy").clone();
    assert_eq!(lost(&document), Ok(Vec::new()));
    document["spec"]["template"]["spec"]["containers"][0]["readynessProbe"] = serde_json::json!({});
    assert_eq!(lost(&document), Ok(vec!["/spec/template/spec/containers/0/readynessProbe".to_owned()]));
}
