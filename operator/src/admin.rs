//! The admin address: `/healthz`, `/readyz`, `/metrics`. Few connections, small requests, nobody waits for ever.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use prometheus_client::encoding::text::encode;
use prometheus_client::registry::Registry;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;

/// Connections at once.
const MOST_CONNECTIONS: usize = 32;
/// A request's head must be there within this time, and be this small.
const HEAD_WITHIN: Duration = Duration::from_secs(5);
const MOST_HEAD: usize = 16 * 1024;
/// A connection ends after this, whatever it does.
const MOST_LIFE: Duration = Duration::from_secs(30);

/// The operator's health, as a page asks for it.
#[derive(Debug, Clone, Default)]
pub struct Health {
    /// Lists that have not been read yet.
    pub missing: Vec<String>,
    /// Namespaces in which nothing may be read.
    pub closed: Vec<String>,
    /// The reason why the proxies' pods can not be seen.
    pub unseen: Option<String>,
    /// The reason why nothing may be published.
    pub unpublishable: Option<String>,
}

/// Somebody asks. The operator answers from what it knows; gauges that are counted only then are brought up to date.
pub type Question = oneshot::Sender<Health>;

/// The state that pages answer from.
#[derive(Clone)]
struct Pages {
    questions: mpsc::Sender<Question>,
    registry: Arc<Registry>,
}

impl Pages {
    /// `None`: the operator is too busy to say, or gone.
    async fn health(&self) -> Option<Health> {
        let (answer, health) = oneshot::channel();
        let asked = async {
            self.questions.send(answer).await.ok()?;
            health.await.ok()
        };
        tokio::time::timeout(HEAD_WITHIN, asked).await.ok().flatten()
    }
}

/// Serves until the task is dropped.
pub async fn serve(listener: TcpListener, registry: Arc<Registry>, questions: mpsc::Sender<Question>) {
    let router = Router::new()
        .route("/healthz", get(healthz))
        .route("/readyz", get(readyz))
        .route("/metrics", get(metrics))
        .with_state(Pages { questions, registry });
    let mut connections = JoinSet::new();
    loop {
        if connections.len() >= MOST_CONNECTIONS {
            connections.join_next().await;
        }
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => drop(connections.spawn(connection(stream, router.clone()))),
                Err(error) => {
                    tracing::warn!(%error, "admin: accept failed");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            },
            Some(_) = connections.join_next() => {}
        }
    }
}

async fn connection(stream: TcpStream, router: Router) {
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .keep_alive(false)
        .header_read_timeout(HEAD_WITHIN)
        .max_buf_size(MOST_HEAD)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(router));
    if let Ok(Err(error)) = tokio::time::timeout(MOST_LIFE, served).await {
        tracing::debug!(%error, "admin: connection ended badly");
    }
}

/// Alive as long as the thread that does the work answers.
async fn healthz(State(pages): State<Pages>) -> Response {
    match pages.health().await {
        Some(_) => "ok\n".into_response(),
        None => (StatusCode::SERVICE_UNAVAILABLE, "the operator does not answer\n").into_response(),
    }
}

/// Ready once every list has been read and what is published has its owner, leading or not.
async fn readyz(State(pages): State<Pages>) -> Response {
    match pages.health().await {
        Some(health) => match unready(&health) {
            None => ready(&health).into_response(),
            Some(why) => (StatusCode::SERVICE_UNAVAILABLE, why).into_response(),
        },
        None => (StatusCode::SERVICE_UNAVAILABLE, "the operator does not answer\n").into_response(),
    }
}

/// The words of one that is not ready.
fn unready(health: &Health) -> Option<String> {
    let Health { missing, unseen, unpublishable, .. } = health;
    if missing.is_empty() {
        return unpublishable.as_ref().map(|why| format!("{why}\n"));
    }
    let unseen =
        unseen.as_ref().map(|why| format!("\nthe proxies' pods can not be seen, and no status is written: {why}"));
    Some(format!("these lists have not been read yet: {}{}\n", missing.join(", "), unseen.unwrap_or_default()))
}

/// The words of one that is ready.
fn ready(health: &Health) -> String {
    let Health { closed, unseen, .. } = health;
    let mut faults = Vec::new();
    if !closed.is_empty() {
        let closed = closed.join(", ");
        faults.push(format!(
            "nothing may be read in {closed}: the namespace has gone, or the Role that lets the operator read it"
        ));
    }
    faults.extend(
        unseen
            .as_ref()
            .map(|why| format!("the proxies' pods can not be seen, and statuses tell of those that were known: {why}")),
    );
    if faults.is_empty() { "ok\n".to_owned() } else { format!("ok, but {}\n", faults.join("; and ")) }
}

async fn metrics(State(pages): State<Pages>) -> Response {
    pages.health().await;
    let mut text = String::new();
    match encode(&mut text, &pages.registry) {
        Ok(()) => {
            let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
            ([(header::CONTENT_TYPE, kind)], text).into_response()
        }
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_can_not_be_read_is_told_ready_or_not() {
        let well = Health::default();
        assert_eq!((unready(&well), ready(&well)), (None, "ok\n".to_owned()));
        let blind = Health { unseen: Some("pods is forbidden (403)".to_owned()), ..Health::default() };
        assert!(unready(&blind).is_none(), "what was seen stands");
        assert!(
            ready(&blind).starts_with("ok, but the proxies' pods can not be seen") && ready(&blind).contains("403")
        );
        let unlisted = Health { missing: vec!["pods".to_owned()], ..blind };
        let why = unready(&unlisted).unwrap();
        assert!(why.starts_with("these lists have not been read yet: pods\n") && why.contains("forbidden"), "{why}");
        let closed = Health { closed: vec!["a".to_owned()], ..Health::default() };
        assert!(ready(&closed).starts_with("ok, but nothing may be read in a: "));
        let unowned = Health { unpublishable: Some("no owner".to_owned()), ..Health::default() };
        assert_eq!(unready(&unowned).as_deref(), Some("no owner\n"));
    }
}
