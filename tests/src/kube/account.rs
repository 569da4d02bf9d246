//! ServiceAccounts for what is tested, so that it runs with the rights it says it needs and no others.

use std::io::Write as _;
use std::net::{SocketAddr, ToSocketAddrs as _};
use std::path::Path;

use anyhow::Context as _;
use k8s_openapi::api::authentication::v1::{TokenRequest, TokenRequestSpec};
use k8s_openapi::api::core::v1::ServiceAccount;
use k8s_openapi::api::rbac::v1::PolicyRule;
use kube::Client;
use kube::api::{Api, PostParams};
use serde_json::{Value, json};
use tempfile::TempPath;

use super::manifests::apply;

/// How long a token is good for, in seconds: longer than any run.
const VALID: i64 = 24 * 3600;

/// What an account may do.
#[derive(Debug, Clone)]
pub enum Grant {
    /// Within one namespace: a Role and its binding.
    In {
        /// Which.
        namespace: String,
        /// What.
        rules: Vec<PolicyRule>,
    },
    /// In all of them: a ClusterRole and its binding.
    Everywhere {
        /// What.
        rules: Vec<PolicyRule>,
    },
}

/// A rule: these verbs on these resources of one API group (`""` is the core).
#[must_use]
pub fn rule(group: &str, resources: &[&str], verbs: &[&str]) -> PolicyRule {
    let owned = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
    PolicyRule {
        api_groups: Some(owned(&[group])),
        resources: Some(owned(resources)),
        verbs: owned(verbs),
        ..PolicyRule::default()
    }
}

/// What the chart lets a role do, such as `Role/sluicegate-operator`, as it is rendered in one of the cases of its tests.
/// Names of single objects are exchanged for these.
///
/// # Errors
/// There is no such role.
fn of_chart(case: &str, role: &str, names: &[(&str, &str)]) -> anyhow::Result<Vec<PolicyRule>> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/chart/golden/{case}.yaml"));
    let documents: Vec<Value> = serde_saphyr::from_multiple(&std::fs::read_to_string(path)?)?;
    let is_it = |document: &&Value| {
        let text = |at: &str| document.pointer(at).and_then(Value::as_str).unwrap_or_default();
        format!("{}/{}", text("/kind"), text("/metadata/name")) == role
    };
    let found = documents.iter().find(is_it).with_context(|| format!("the chart has no {role}"))?;
    let mut rules: Vec<PolicyRule> = serde_json::from_value(found.get("rules").cloned().unwrap_or_default())?;
    for name in rules.iter_mut().flat_map(|rule| rule.resource_names.iter_mut().flatten()) {
        if let Some((_, own)) = names.iter().find(|(rendered, _)| rendered == name) {
            (*own).clone_into(name);
        }
    }
    Ok(rules)
}

/// What the chart lets the operator of a gateway do, in the gateway's namespace and in those that it watches; empty: it
/// watches all.
///
/// # Errors
/// The chart has no such roles.
pub fn of_operator((gateway, namespace): (&str, &str), watched: &[&str]) -> anyhow::Result<Vec<Grant>> {
    let lease = format!("sluicegate-operator-{gateway}");
    let case = if watched.is_empty() { "default" } else { "namespaced" };
    let rules = of_chart(case, "Role/sluicegate-operator", &[("sluicegate-operator-sluicegate", &lease)])?;
    let mut grants = vec![Grant::In { namespace: namespace.to_owned(), rules }];
    for watched in watched {
        let rules = of_chart(case, "Role/sluicegate-operator-reading", &[("team-a", watched)])?;
        grants.push(Grant::In { namespace: (*watched).to_owned(), rules });
    }
    if watched.is_empty() {
        grants.push(Grant::Everywhere { rules: of_chart(case, "ClusterRole/gateways:sluicegate-operator", &[])? });
    }
    Ok(grants)
}

/// What the chart lets an operator do in a namespace whose consumers' keys it makes, beside [`of_operator`].
///
/// # Errors
/// There is no such role.
pub fn of_key_generator(watched: &str) -> anyhow::Result<Grant> {
    let rules = of_chart("everything", "ClusterRole/gateways:sluicegate-operator", &[])?;
    Ok(Grant::In { namespace: watched.to_owned(), rules })
}

/// Makes a ServiceAccount with these rights; its kubeconfig, as [`kubeconfig`] gives it.
///
/// # Errors
/// Something of it is refused.
pub async fn create(
    client: &Client,
    admin: &Path,
    (namespace, name): (&str, &str),
    grants: &[Grant],
) -> anyhow::Result<TempPath> {
    let subject = json!({"kind": "ServiceAccount", "name": name, "namespace": namespace});
    let account = json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": name}});
    apply(client, namespace, &account.to_string()).await?;
    for (at, grant) in grants.iter().enumerate() {
        let (kind, of, rules) = match grant {
            Grant::In { namespace, rules } => ("Role", Some(namespace), rules),
            Grant::Everywhere { rules } => ("ClusterRole", None, rules),
        };
        // Of all namespaces' accounts there is one ClusterRole of that name.
        let metadata = json!({"name": format!("{namespace}-{name}-{at}"), "namespace": of});
        let api = "rbac.authorization.k8s.io";
        let role = json!({"apiVersion": format!("{api}/v1"), "kind": kind, "metadata": metadata, "rules": rules});
        let binding = json!({
            "apiVersion": format!("{api}/v1"), "kind": format!("{kind}Binding"), "metadata": metadata,
            "roleRef": {"apiGroup": api, "kind": kind, "name": metadata.get("name")}, "subjects": [subject],
        });
        apply(client, namespace, &role.to_string()).await?;
        apply(client, namespace, &binding.to_string()).await?;
    }
    kubeconfig(client, admin, (namespace, name)).await
}

/// A kubeconfig of a ServiceAccount that exists (a chart's, say), made from the administrator's: same server, a token
/// of the account. The file goes with the value.
///
/// # Errors
/// There is no such account, or the administrator's kubeconfig is not as expected.
pub async fn kubeconfig(client: &Client, admin: &Path, (namespace, name): (&str, &str)) -> anyhow::Result<TempPath> {
    let accounts: Api<ServiceAccount> = Api::namespaced(client.clone(), namespace);
    let spec = TokenRequestSpec { expiration_seconds: Some(VALID), ..TokenRequestSpec::default() };
    let request = TokenRequest { spec, ..TokenRequest::default() };
    let made = accounts.create_token_request(name, &PostParams::default(), &request).await;
    let made = made.with_context(|| format!("a token for {namespace}/{name}"))?;
    let token = made.status.context("a token request without an answer")?.token;

    let mut config: Value = serde_saphyr::from_str(&std::fs::read_to_string(admin)?)?;
    let user = config.pointer_mut("/users/0/user").context("the kubeconfig has a user")?;
    *user = json!({"token": token});
    // Tools look for a namespace here when they are told none.
    let context = config.pointer_mut("/contexts/0/context").and_then(Value::as_object_mut);
    context.context("the kubeconfig has a context")?.insert("namespace".to_owned(), json!(namespace));
    write(&config)
}

/// A kubeconfig that goes to the same server by another address, such as that of a [`crate::forwarder::Forwarder`].
///
/// # Errors
/// It is not as expected.
pub fn through(kubeconfig: &Path, address: SocketAddr) -> anyhow::Result<TempPath> {
    let mut config: Value = serde_saphyr::from_str(&std::fs::read_to_string(kubeconfig)?)?;
    let host = server(&config)?.host().unwrap_or_default().to_owned();
    let cluster = config.pointer_mut("/clusters/0/cluster").and_then(Value::as_object_mut);
    let cluster = cluster.context("the kubeconfig has a cluster")?;
    cluster.insert("server".to_owned(), json!(format!("https://{address}")));
    // The certificate is the server's.
    cluster.insert("tls-server-name".to_owned(), json!(host));
    write(&config)
}

/// Where a kubeconfig's server is.
///
/// # Errors
/// It is not as expected, or has a name that nobody knows.
pub fn address(kubeconfig: &Path) -> anyhow::Result<SocketAddr> {
    let server = server(&serde_saphyr::from_str(&std::fs::read_to_string(kubeconfig)?)?)?;
    let host = server.host().context("the server has a host")?;
    let mut found = (host, server.port_u16().unwrap_or(443)).to_socket_addrs()?;
    found.next().context("the server has an address")
}

fn server(config: &Value) -> anyhow::Result<http::Uri> {
    let server = config.pointer("/clusters/0/cluster/server").and_then(Value::as_str);
    Ok(server.context("the kubeconfig has a server")?.parse()?)
}

fn write(config: &Value) -> anyhow::Result<TempPath> {
    let mut file = tempfile::Builder::new().prefix("sluicegate-kubeconfig-").tempfile()?;
    file.write_all(&serde_json::to_vec_pretty(config)?)?;
    Ok(file.into_temp_path())
}
