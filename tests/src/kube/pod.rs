//! Pods without a kubelet: objects whose status a test writes, for a process that it runs itself.

use std::net::SocketAddr;

use anyhow::Context as _;
use k8s_openapi::api::core::v1::{Pod, ServiceAccount};
use k8s_openapi::jiff::Timestamp;
use kube::Client;
use kube::api::{Api, DeleteParams, Patch, PatchParams, PostParams};
use serde_json::{Value, json};

use super::manifests::MANAGER;

/// Makes a pod that looks as if it ran at this address: `podIP` is its IP, and its container's port named `admin` its
/// port. It is bound to no node, so nobody else takes it for lost.
///
/// # Errors
/// It is refused.
pub async fn create(
    client: &Client,
    (namespace, name): (&str, &str),
    labels: &Value,
    admin: SocketAddr,
) -> anyhow::Result<Pod> {
    // A pod is refused before its namespace has its ServiceAccount, which controllers make a moment later, if they run.
    let accounts: Api<ServiceAccount> = Api::namespaced(client.clone(), namespace);
    let account = json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "default"}});
    accounts.patch("default", &PatchParams::apply(MANAGER).force(), &Patch::Apply(&account)).await?;
    let pod: Pod = serde_json::from_value(json!({
        "metadata": {"name": name, "labels": labels},
        "spec": {"automountServiceAccountToken": false, "containers": [{
            "name": "proxy", "image": "not-run", "ports": [{"name": "admin", "containerPort": admin.port()}],
        }]},
    }))?;
    let pods: Api<Pod> = Api::namespaced(client.clone(), namespace);
    pods.create(&PostParams::default(), &pod).await.context("creating the pod")?;
    let ip = admin.ip();
    write(&pods, name, &json!({"phase": "Running", "podIP": ip, "podIPs": [{"ip": ip}]})).await?;
    set_ready(client, (namespace, name), true).await
}

/// Writes its condition `Ready`.
///
/// # Errors
/// It is not there.
pub async fn set_ready(client: &Client, (namespace, name): (&str, &str), ready: bool) -> anyhow::Result<Pod> {
    let status = if ready { "True" } else { "False" };
    let condition = json!({"type": "Ready", "status": status, "lastTransitionTime": Timestamp::now()});
    let pods: Api<Pod> = Api::namespaced(client.clone(), namespace);
    write(&pods, name, &json!({"conditions": [condition]})).await
}

/// Deletes it. Without a kubelet there is no grace: it is gone at once, unless it has a finalizer.
///
/// # Errors
/// It is not there.
pub async fn delete(client: &Client, (namespace, name): (&str, &str)) -> anyhow::Result<()> {
    let pods: Api<Pod> = Api::namespaced(client.clone(), namespace);
    pods.delete(name, &DeleteParams::default().grace_period(0)).await?;
    Ok(())
}

async fn write(pods: &Api<Pod>, name: &str, status: &Value) -> anyhow::Result<Pod> {
    let patch = Patch::Strategic(json!({"status": status}));
    Ok(pods.patch_status(name, &PatchParams::default(), &patch).await?)
}
