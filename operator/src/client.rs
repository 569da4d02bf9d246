//! The client of the API server, which counts the writes that go through it, and those that come to nothing.

use std::error::Error;
use std::net::IpAddr;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use anyhow::Context as _;
use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full};
use kube::client::{Body, ClientBuilder, DynBody};
use kube::core::Status;
use kube::runtime::watcher;
use kube::{Client, Config};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use sluicegate_config::api_server::{SILENCE, WATCH_SECONDS};
use tower::layer::layer_fn;
use tower::{BoxError, Service};

use crate::metrics::{ApiWrite, Metrics};

/// The configuration of the environment: a service account's, or a kubeconfig's.
///
/// # Errors
/// If there is neither, or it cannot be read.
pub async fn configuration() -> anyhow::Result<Config> {
    let config = Config::infer().await;
    let mut config =
        config.context("no way to the API server: neither a service account nor a kubeconfig was found")?;
    // It is the cluster's own: a proxy on the way out (`HTTPS_PROXY`) is not on the way there.
    config.proxy_url = None;
    // Nobody waits for ever on a connection that has died without a word.
    (config.read_timeout, config.reset_reader_on_write) = (Some(SILENCE), true);
    Ok(config)
}

/// The settings that all watches begin with.
#[must_use]
pub fn watch_settings() -> watcher::Config {
    watcher::Config::default().timeout(WATCH_SECONDS)
}

/// The API server's address, where its URL names one rather than a host.
#[must_use]
pub fn address(config: &Config) -> Option<IpAddr> {
    config.cluster_url.host()?.trim_start_matches('[').trim_end_matches(']').parse().ok()
}

/// A client whose writes are counted.
///
/// # Errors
/// If the configuration does not make a client: certificates that cannot be read, for example.
pub fn counting(config: Config, metrics: &Rc<Metrics>) -> anyhow::Result<Client> {
    let (writes, failures) = (metrics.api_writes.clone(), metrics.api_write_failures.clone());
    let count = layer_fn(move |inner| Counted { inner, writes: writes.clone(), failures: failures.clone() });
    Ok(ClientBuilder::try_from(config).context("no client for the API server")?.with_layer(&count).build())
}

/// Counts what goes through it to the API server.
#[derive(Clone)]
struct Counted<S> {
    inner: S,
    writes: Family<ApiWrite, Counter>,
    failures: Family<ApiWrite, Counter>,
}

type AnswerFuture = Pin<Box<dyn Future<Output = Result<Answer, BoxError>> + Send>>;
type Answer = Response<Box<DynBody>>;

impl<S> Service<Request<Body>> for Counted<S>
where
    S: Service<Request<Body>, Response = Answer, Error = BoxError>,
    S::Future: Send + 'static,
{
    type Response = Answer;
    type Error = BoxError;
    type Future = AnswerFuture;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<Body>) -> AnswerFuture {
        let write = write(request.method(), request.uri().path());
        if let Some(write) = &write {
            self.writes.get_or_create_owned(write).inc();
        }
        let (answer, failures) = (self.inner.call(request), self.failures.clone());
        Box::pin(async move {
            let answer = answer.await;
            let Some(write) = write else { return answer };
            let status = answer.as_ref().ok().map(Response::status);
            let (answer, is_needless) = match answer {
                Ok(answer) if write.verb == "create" && status == Some(StatusCode::FORBIDDEN) => {
                    let (answer, why) = read(answer).await;
                    (answer, why.is_some_and(|why| is_of_leaving_namespace(&why)))
                }
                answer => (answer, false),
            };
            if !is_needless && is_lost(write.verb, status) {
                failures.get_or_create_owned(&write).inc();
            }
            answer
        })
    }
}

/// A refusal, and what it says: a few lines, which the client would read next.
async fn read(answer: Answer) -> (Result<Answer, BoxError>, Option<Status>) {
    let (head, body) = answer.into_parts();
    match body.collect().await {
        Ok(body) => {
            let body = body.to_bytes();
            let why = serde_json::from_slice(&body).ok();
            let body: Box<DynBody> = Box::new(Full::new(body).map_err(|never| match never {}));
            (Ok(Response::from_parts(head, body)), why)
        }
        Err(error) => (Err(error), None),
    }
}

/// True if a write came to nothing: no answer, or a refusal. That another was faster is no failure, and what is gone
/// already needs no deletion.
fn is_lost(verb: &str, status: Option<StatusCode>) -> bool {
    match status {
        None => true,
        Some(StatusCode::CONFLICT) => false,
        Some(StatusCode::NOT_FOUND) => verb != "delete",
        Some(status) => !status.is_success(),
    }
}

/// True if something was not made because its namespace is being deleted: it would have gone with that.
pub(crate) fn is_of_leaving_namespace(refusal: &Status) -> bool {
    let causes = refusal.details.iter().flat_map(|details| &details.causes);
    causes.into_iter().any(|cause| cause.reason == "NamespaceTerminating")
}

/// An error in few words: the API server's own where it answered, else the chain of causes, of which kube's own words
/// often name only the last.
#[must_use]
pub fn error_text(error: &(dyn Error + 'static)) -> String {
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

/// The write that a request is, if it is one.
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
    fn a_write_that_another_did_is_not_lost() {
        let lost = |verb, status| is_lost(verb, StatusCode::from_u16(status).ok());
        assert!(is_lost("patch", None) && lost("patch", 403) && lost("create", 500) && lost("patch", 404));
        assert!(!lost("patch", 200) && !lost("create", 201) && !lost("update", 409) && !lost("delete", 404));
    }

    #[tokio::test]
    async fn what_a_namespace_that_goes_does_not_take_is_no_failure() {
        let metrics = Rc::new(Metrics::default());
        let answers = |body: &'static str| {
            let inner = tower::service_fn(move |_: Request<Body>| async move {
                let body: Box<DynBody> = Box::new(Full::from(body).map_err(|never| match never {}));
                Ok::<_, BoxError>(Response::builder().status(403).body(body)?)
            });
            let (writes, failures) = (metrics.api_writes.clone(), metrics.api_write_failures.clone());
            Counted { inner, writes, failures }
        };
        let leaving = r#"{"kind":"Status","status":"Failure","reason":"Forbidden","code":403,"message":"being terminated",
            "details":{"causes":[{"reason":"NamespaceTerminating","message":"namespace a is being terminated","field":"metadata.namespace"}]}}"#;
        let quota = r#"{"kind":"Status","status":"Failure","reason":"Forbidden","code":403,"message":"exceeded quota","details":{}}"#;
        let counted = ApiWrite { resource: "events".to_owned(), verb: "create" };
        for (said, failures) in [(leaving, 0), (quota, 1), ("no JSON", 2)] {
            let request = Request::post("/apis/events.k8s.io/v1/namespaces/a/events").body(Body::empty()).unwrap();
            let answer = answers(said).call(request).await.unwrap();
            assert_eq!(answer.into_body().collect().await.unwrap().to_bytes(), said, "the client reads it as it came");
            assert_eq!(metrics.api_write_failures.get_or_create_owned(&counted).get(), failures, "{said}");
        }
        assert_eq!(metrics.api_writes.get_or_create_owned(&counted).get(), 3);
    }

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
