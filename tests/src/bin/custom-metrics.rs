//! A metrics adapter in small: the API custom.metrics.k8s.io over what the pods' own `/metrics` say now.
//!
//! It serves one question, a metric of all pods with some labels in a namespace, which is what a HorizontalPodAutoscaler
//! asks. <https://github.com/kubernetes/metrics/tree/master/pkg/apis/custom_metrics/v1beta2>

use std::io::Write as _;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use clap::Parser;
use http::{Request, Response, StatusCode, Uri};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::jiff::Timestamp;
use kube::Client;
use kube::api::{Api, ListParams};
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use serde_json::{Value, json};
use sluicegate_tests::client;
use sluicegate_tests::proxy::Metrics;

/// A pod that takes longer has no figure.
const PATIENCE: Duration = Duration::from_secs(2);
const VERSION: &str = "custom.metrics.k8s.io/v1beta2";

/// Serves pods' metrics as custom.metrics.k8s.io.
#[derive(Parser)]
struct Settings {
    /// Where it listens, with TLS.
    #[arg(long)]
    listen: SocketAddr,
    /// The port on which pods have their metrics.
    #[arg(long, default_value_t = 9090)]
    port: u16,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let settings = Settings::parse();
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let kube = Client::try_default().await?;
    let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(certificate()?));
    let listener = tokio::net::TcpListener::bind(settings.listen).await?;
    writeln!(std::io::stdout(), "listening on {}", listener.local_addr()?)?;
    let serving = async {
        loop {
            let (socket, _) = listener.accept().await?;
            let (acceptor, kube) = (acceptor.clone(), kube.clone());
            tokio::task::spawn_local(async move {
                let stream = acceptor.accept(socket).await?;
                let service = service_fn(move |request| answer(kube.clone(), settings.port, request));
                let server = auto::Builder::new(TokioExecutor::new());
                let served = server.serve_connection(TokioIo::new(stream), service).await;
                served.map_err(|error| anyhow::anyhow!("{error}"))
            });
        }
    };
    tokio::task::LocalSet::new().run_until(serving).await
}

/// One that nobody needs to trust.
fn certificate() -> anyhow::Result<rustls::ServerConfig> {
    let made = rcgen::generate_simple_self_signed(vec!["custom-metrics".to_owned()])?;
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(made.signing_key.serialize_der()));
    let config = rustls::ServerConfig::builder().with_no_client_auth();
    let mut config = config.with_single_cert(vec![made.cert.der().clone()], key)?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(config)
}

async fn answer(kube: Client, port: u16, request: Request<Incoming>) -> anyhow::Result<Response<Full<Bytes>>> {
    let (status, body) = match found(&kube, port, request.uri()).await {
        Ok(Some(body)) => (StatusCode::OK, body),
        Ok(None) => (StatusCode::NOT_FOUND, status("NotFound", "no such resource")),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, status("InternalError", &format!("{error:#}"))),
    };
    let response = Response::builder().status(status).header("content-type", "application/json");
    Ok(response.body(Full::from(body.to_string()))?)
}

fn status(reason: &str, message: &str) -> Value {
    json!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": reason, "message": message})
}

async fn found(kube: &Client, port: u16, uri: &Uri) -> anyhow::Result<Option<Value>> {
    let Some(path) = uri.path().strip_prefix("/apis/custom.metrics.k8s.io/v1beta2") else { return Ok(None) };
    // The asterisk of "all pods" comes escaped.
    let path = decoded(path);
    let parts: Vec<&str> = path.split('/').skip(1).collect();
    match parts.as_slice() {
        [] => Ok(Some(json!({"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": VERSION, "resources": [
            {"name": "pods/any", "singularName": "", "namespaced": true, "kind": "MetricValueList", "verbs": ["get"]},
        ]}))),
        ["namespaces", namespace, "pods", "*", metric] => {
            let mut pairs = uri.query().unwrap_or_default().split('&');
            let selector = pairs.find_map(|pair| pair.strip_prefix("labelSelector=")).unwrap_or_default();
            let pods: Api<Pod> = Api::namespaced(kube.clone(), namespace);
            let pods = pods.list(&ListParams::default().labels(&decoded(selector))).await?;
            let mut items = Vec::new();
            for pod in pods {
                items.extend(value(&pod, namespace, metric, port).await);
            }
            let list = json!({"kind": "MetricValueList", "apiVersion": VERSION, "metadata": {}, "items": items});
            Ok(Some(list))
        }
        _ => Ok(None),
    }
}

/// A pod's figure; none of a pod that does not answer.
async fn value(pod: &Pod, namespace: &str, metric: &str, port: u16) -> Option<Value> {
    let address = pod.status.as_ref()?.pod_ip.as_deref()?.parse().ok()?;
    let pod_client = client::Client::new(SocketAddr::new(address, port));
    let page = tokio::time::timeout(PATIENCE, pod_client.get("/metrics")).await.ok()?.ok()?;
    Some(json!({
        "describedObject": {"kind": "Pod", "apiVersion": "v1", "namespace": namespace, "name": pod.metadata.name},
        "metric": {"name": metric},
        "timestamp": Timestamp::now(),
        "value": format!("{:.0}", Metrics(page.text()).sum(metric, &[])),
    }))
}

/// A text as it was before it was put into a URL.
fn decoded(text: &str) -> String {
    let mut parts = text.split('%');
    let mut whole = parts.next().unwrap_or_default().as_bytes().to_vec();
    for part in parts {
        let (digits, rest) = part.split_at_checked(2).unwrap_or((part, ""));
        whole.extend(u8::from_str_radix(digits, 16));
        whole.extend(rest.bytes());
    }
    String::from_utf8_lossy(&whole).into_owned()
}
