//! A bare reverse proxy on hyper: what any HTTP proxy must pay. The bench's unit of measure.
//!
//! One runtime per worker, hyper's server, hyper-util's pooled client, hop-by-hop headers left alone, nothing looked at.

use std::convert::Infallible;
use std::net::SocketAddr;

use clap::Parser;
use http::uri::{Authority, PathAndQuery, Scheme};
use http::{Request, Response, StatusCode, Uri};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Empty};
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use sluicegate_tests::listen::reuse_port;

#[derive(Parser)]
struct Settings {
    /// Where to listen.
    #[arg(long)]
    listen: SocketAddr,
    /// Where calls go.
    #[arg(long)]
    upstream: Authority,
}

type Reply = Response<BoxBody<Bytes, hyper::Error>>;

fn main() -> anyhow::Result<()> {
    let settings = Settings::parse();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    tokio::task::LocalSet::new().block_on(&runtime, serve(settings))
}

async fn serve(settings: Settings) -> anyhow::Result<()> {
    let listener = reuse_port(settings.listen)?;
    let mut connector = HttpConnector::new();
    connector.set_nodelay(true);
    let client: Client<_, Incoming> =
        Client::builder(TokioExecutor::new()).pool_timer(TokioTimer::new()).build(connector);
    loop {
        let (socket, _) = listener.accept().await?;
        socket.set_nodelay(true)?;
        let (client, upstream) = (client.clone(), settings.upstream.clone());
        tokio::task::spawn_local(async move {
            let service = service_fn(move |call| forward(client.clone(), upstream.clone(), call));
            hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(socket), service).await
        });
    }
}

async fn forward(
    client: Client<HttpConnector, Incoming>,
    upstream: Authority,
    call: Request<Incoming>,
) -> Result<Reply, Infallible> {
    let (mut head, body) = call.into_parts();
    let mut uri = head.uri.into_parts();
    uri.scheme = Some(Scheme::HTTP);
    uri.authority = Some(upstream);
    uri.path_and_query.get_or_insert_with(|| PathAndQuery::from_static("/"));
    head.uri = match Uri::from_parts(uri) {
        Ok(uri) => uri,
        Err(_) => return Ok(bad_gateway()),
    };
    match client.request(Request::from_parts(head, body)).await {
        Ok(reply) => Ok(reply.map(BodyExt::boxed)),
        Err(_) => Ok(bad_gateway()),
    }
}

fn bad_gateway() -> Reply {
    let mut reply = Response::new(Empty::new().map_err(|never| match never {}).boxed());
    *reply.status_mut() = StatusCode::BAD_GATEWAY;
    reply
}
