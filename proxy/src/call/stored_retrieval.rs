//! One thing that a provider keeps, fetched as a part of something else: a list.

use std::rc::Rc;

use http::header::HOST;
use http::{HeaderName, HeaderValue};

use crate::errors::Problem;

use super::caller::{self, StoredAddress};
use super::exchange::Exchange;
use super::inbound::InboundCall;
use super::stored_object::{StoredObject, not_there};
use super::{cache_lookup, failover};

const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");

/// Asks who keeps a thing about it, under no limits.
///
/// # Errors
/// It is not there for this caller, or its keeper gave no answer.
pub(super) async fn retrieved(call: &Rc<InboundCall>, address: &StoredAddress) -> Result<Exchange, Problem> {
    let Some(file) = &call.context.worker.shared.response_keys else {
        return Err(caller::without_keys(call.path()));
    };
    let of = (cache_lookup::caller(call).unwrap_or_default(), file.current());
    let object = StoredObject::of(address, of, (None, base(call)))?;
    let (ready, consumer, target) = (&call.context.ready, call.context.consumer(), object.target());
    let found = ready.find_keeper(&|provider| Some(provider.stands_for) == target, consumer);
    let (route, at, rule) = found.ok_or_else(|| not_there(object.row, object.sealed()))?;
    call.context.note(|entry| entry.route(route, at));
    call.is_about(object);
    let changed = call.changed_by(rule)?;
    failover::exchange(changed.as_ref().unwrap_or(call), rule, None).await
}

/// The address of the gateway, as its caller knows it; empty: it does not say.
pub(super) fn base(call: &InboundCall) -> String {
    let said = |name| call.headers.get(name).and_then(|value: &HeaderValue| value.to_str().ok());
    let host = call.host().or_else(|| said(HOST)).unwrap_or_default();
    let settings = &call.context.worker.shared.settings;
    let is_covered = settings.tls_cert.is_some() && settings.tls_listen.is_none();
    let scheme = said(X_FORWARDED_PROTO).filter(|scheme| matches!(*scheme, "http" | "https"));
    let scheme = scheme.unwrap_or(if is_covered { "https" } else { "http" });
    if host.is_empty() { String::new() } else { format!("{scheme}://{host}") }
}
