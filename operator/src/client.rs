//! The client of the API server, which counts the writes that go through it.

use std::error::Error;
use std::rc::Rc;

use anyhow::Context as _;
use http::{Method, Request};
use kube::client::{Body, ClientBuilder};
use kube::{Client, Config};
use tower::util::MapRequestLayer;

use crate::metrics::{ApiWrite, Metrics};

/// The configuration of the environment: a service account's, or a kubeconfig's.
///
/// # Errors
/// If there is neither, or it cannot be read.
pub async fn configuration() -> anyhow::Result<Config> {
    Config::infer().await.context("no way to the API server: neither a service account nor a kubeconfig was found")
}

/// A client whose writes are counted.
///
/// # Errors
/// If the configuration does not make a client: certificates that cannot be read, for example.
pub fn counting(config: Config, metrics: &Rc<Metrics>) -> anyhow::Result<Client> {
    let writes = metrics.api_writes.clone();
    let count = MapRequestLayer::new(move |request: Request<Body>| {
        if let Some(write) = write(request.method(), request.uri().path()) {
            writes.get_or_create_owned(&write).inc();
        }
        request
    });
    Ok(ClientBuilder::try_from(config).context("no client for the API server")?.with_layer(&count).build())
}

/// An error in few words: the API server's own where it answered, else the chain of causes, of which kube's own words
/// often name only the last.
#[must_use]
pub fn told(error: &(dyn Error + 'static)) -> String {
    let mut text = String::new();
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(kube::Error::Api(status)) = error.downcast_ref() {
            return format!("{} ({})", status.message, status.code);
        }
        let own = error.to_string();
        if text.is_empty() {
            text = own;
        } else if !text.contains(&own) {
            text = format!("{text}: {own}");
        }
        next = error.source();
    }
    text
}

/// What a request writes, if it does.
fn write(method: &Method, path: &str) -> Option<ApiWrite> {
    let verb = match *method {
        Method::POST => "create",
        Method::PUT => "update",
        Method::PATCH => "patch",
        Method::DELETE => "delete",
        _ => return None,
    };
    // `/api/v1/…` or `/apis/GROUP/VERSION/…`, then `namespaces/NS/` where there is one, then `RESOURCE/NAME/SUBRESOURCE`.
    let mut parts = path.split('/').filter(|part| !part.is_empty());
    let prefix = if parts.next()? == "api" { 1 } else { 2 };
    let mut parts: Vec<&str> = parts.skip(prefix).collect();
    if parts.len() > 2 && parts.first() == Some(&"namespaces") {
        parts.drain(..2);
    }
    let resource = match (parts.first(), parts.get(2)) {
        (Some(resource), Some(subresource)) => format!("{resource}/{subresource}"),
        (Some(resource), None) => (*resource).to_owned(),
        (None, _) => return None,
    };
    Some(ApiWrite { resource, verb })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writes_are_told_by_resource_and_verb() {
        let told = |method, path| write(&method, path).map(|write| (write.resource, write.verb));
        let is = |resource: &str, verb| Some((resource.to_owned(), verb));
        assert_eq!(told(Method::PATCH, "/api/v1/namespaces/gw/configmaps/a"), is("configmaps", "patch"));
        let status = "/apis/sluicegate.dev/v1alpha1/namespaces/a/llmroutes/chat/status";
        assert_eq!(told(Method::PATCH, status), is("llmroutes/status", "patch"));
        assert_eq!(told(Method::POST, "/apis/events.k8s.io/v1/namespaces/a/events"), is("events", "create"));
        assert_eq!(told(Method::PUT, "/apis/coordination.k8s.io/v1/namespaces/gw/leases/x"), is("leases", "update"));
        assert_eq!(told(Method::DELETE, "/api/v1/namespaces/a"), is("namespaces", "delete"));
        assert_eq!(told(Method::GET, "/api/v1/namespaces/gw/configmaps/a"), None);
    }
}
