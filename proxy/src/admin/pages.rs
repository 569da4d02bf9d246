//! The answer of each admin path.

use std::sync::Arc;
use std::time::Instant;

use axum::extract::State;
use axum::http::header::{ACCEPT, CACHE_CONTROL, CONTENT_TYPE};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use serde::Serialize;
use sluicegate_config::rollout::PATH;

use crate::endpoint::{KeyStanding, LiveKey, LiveKeyId, Registry};
use crate::identity::keeper::TokenStanding;

use super::exposition::{Format, to_prometheus};
use super::rollout;
use super::state::Admin;

/// The admin pages.
pub fn router(admin: Admin) -> Router {
    let streams = rollout::Streams::default();
    Router::new()
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/readyz", get(ready))
        .route("/metrics", get(metrics))
        .route("/config", get(config))
        .route("/status", get(status))
        .route(PATH, get(move |admin, life, headers| rollout::stream(admin, life, headers, streams)))
        .fallback(|| async {
            (StatusCode::NOT_FOUND, "there are /healthz /readyz /metrics /config /status /rollout\n")
        })
        .with_state(admin)
}

async fn ready(State(admin): State<Admin>) -> Response {
    match admin.unready() {
        None => "ok\n".into_response(),
        Some(why) => (StatusCode::SERVICE_UNAVAILABLE, format!("{why}\n")).into_response(),
    }
}

async fn metrics(State(admin): State<Admin>, headers: HeaderMap) -> Response {
    let format = Format::of(headers.get(ACCEPT).and_then(|accept| accept.to_str().ok()));
    let mut text = String::new();
    if admin.metrics.write(&mut text).is_err() {
        return StatusCode::INTERNAL_SERVER_ERROR.into_response();
    }
    let text = if format == Format::Prometheus { to_prometheus(&text) } else { text };
    ([(CONTENT_TYPE, format.content_type())], text).into_response()
}

async fn config(State(admin): State<Admin>) -> Response {
    let report = Arc::clone(&admin.report.borrow());
    ([(CACHE_CONTROL, "no-store")], Json(report)).into_response()
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Status {
    version: &'static str,
    ready: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    why_not: Option<String>,
    draining: bool,
    in_flight: u64,
    revision: Option<String>,
    rejected: usize,
    #[serde(skip_serializing_if = "is_none")]
    partial: usize,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    cloud_tokens: Vec<TokenStanding>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    provider_keys: Vec<KeyRow>,
}

/// One of several keys of a provider: its name, and how it stands.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct KeyRow {
    pool: String,
    provider: String,
    key: String,
    state: &'static str,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks so")]
const fn is_none(count: &usize) -> bool {
    *count == 0
}

fn provider_keys(registry: &Registry) -> Vec<KeyRow> {
    let (now, mut keys) = (Instant::now(), registry.keys());
    keys.sort_by(|(one, _), (other, _)| one.cmp(other));
    let row = |(id, key): (LiveKeyId, Arc<LiveKey>)| {
        let state = match key.standing(now) {
            _ if key.is_refused() => "refused",
            KeyStanding::Usable => "usable",
            KeyStanding::CoolingDown(_) | KeyStanding::Refused(_) => "limited",
        };
        KeyRow { pool: id.pool.0, provider: id.provider, key: id.key, state }
    };
    keys.into_iter().map(row).collect()
}

async fn status(State(admin): State<Admin>) -> Response {
    let report = Arc::clone(&admin.report.borrow());
    let why_not = admin.unready();
    let status = Status {
        version: env!("CARGO_PKG_VERSION"),
        ready: why_not.is_none(),
        why_not,
        draining: *admin.draining.borrow(),
        in_flight: admin.metrics.in_flight(),
        revision: report.revision.clone(),
        rejected: report.refused(),
        partial: report.partial(),
        cloud_tokens: admin.tokens.standings(),
        provider_keys: provider_keys(&admin.registry),
    };
    ([(CACHE_CONTROL, "no-store")], Json(status)).into_response()
}
