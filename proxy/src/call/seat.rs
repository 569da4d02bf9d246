//! What the cache has for a call: an answer, the lead to fetch one and keep it, or nothing to do with it.

use std::sync::Arc;

use http::header::{AGE, CONTENT_TYPE};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};

use crate::account::{CacheLayer, CacheStatus, End};
use crate::cache::{self, Hit, Layer, Lead};

use super::asked::Asked;
use super::caller::Errand;
use super::exchange::{Exchange, Whole};

const X_SLUICEGATE_CACHE: HeaderName = HeaderName::from_static("x-sluicegate-cache");

/// A call's place at the cache.
pub(super) enum Seat {
    /// The answer is here.
    Hit(Exchange),
    /// The answer is to be fetched; the lead, where there is one, keeps it.
    Fetch(Option<Lead>),
}

/// Takes a call's seat. Waits for Redis at most, and not for long.
pub(super) async fn take(asked: &Asked<'_>, plan: &Arc<cache::Plan>) -> Seat {
    if *asked.errand != Errand::Generate {
        return Seat::Fetch(None);
    }
    let wanted = cache::Asked {
        dialect: asked.dialect(),
        caller: asked.identity(),
        headers: asked.headers,
        body: asked.body,
        stream: asked.streams(),
        stream_usage: asked.sees_usage(),
    };
    let seat = asked.ticket.worker.cache.seat(plan, &wanted).await;
    asked.ticket.cache_said(seat.as_str());
    let (status, taken) = match seat {
        cache::Seat::Hit(hit) => (CacheStatus::Hit(layer(hit.layer)), Seat::Hit(answer(hit))),
        cache::Seat::Lead(lead) => (CacheStatus::Miss, Seat::Fetch(Some(lead))),
        cache::Seat::Bypass(_) => (CacheStatus::Bypass, Seat::Fetch(None)),
    };
    asked.ticket.note(|entry| entry.cache(status));
    taken
}

fn layer(layer: Layer) -> CacheLayer {
    match layer {
        Layer::Memory => CacheLayer::Memory,
        Layer::Redis => CacheLayer::Redis,
    }
}

fn answer(hit: Hit) -> Exchange {
    let kind = if hit.stream { "text/event-stream" } else { "application/json" };
    let mut headers = HeaderMap::with_capacity(8);
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    headers.insert(X_SLUICEGATE_CACHE, HeaderValue::from_static(hit.layer.as_str()));
    headers.insert(AGE, HeaderValue::from(hit.age.as_secs()));
    Exchange::Whole(Whole { status: StatusCode::OK, headers, body: hit.body, end: End::Done })
}
