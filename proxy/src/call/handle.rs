//! The life of a call, as a table of contents.

use std::net::SocketAddr;
use std::rc::Rc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::header::{ALLOW, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, request};
use hyper::body::{Body as _, Incoming};
use sluicegate_dialects::hub::ErrorKind;

use crate::account::{End, Operation};
use crate::errors::Problem;
use crate::listener::Connection;
use crate::worker::own::Worker;

use super::asked::Asked;
use super::caller::{self, Caller, Errand};
use super::exchange::{Exchange, Whole};
use super::pump::Pump;
use super::seat::{self, Seat};
use super::ticket::Ticket;
use super::{attempt, coding, cors, framing, intake, models, reply};

/// When a caller is to come again that asked before there was a configuration.
const UNCONFIGURED_PAUSE: Duration = Duration::from_secs(1);

/// Answers one call: Caller → Asked → Rule → Seat → Exchange → Reply.
pub(crate) async fn handle(
    worker: Rc<Worker>,
    request: Request<Incoming>,
    from: Rc<Connection>,
    peer: SocketAddr,
) -> Response<Pump> {
    let (head, body) = request.into_parts();
    let (dialect, errand) = caller::errand(&head.method, head.uri.path(), &head.headers);
    let errand = framing::check(head.version, &head.headers).and(errand);
    let caller = Caller {
        dialect,
        request_id: caller::request_id(&head.headers, || worker.ids.fresh()),
        address: caller::address(&head.headers, peer.ip(), &worker.shared.settings),
        origin: cors::allowed(&head.headers, &worker.shared.settings.cors_origins),
    };
    let busy = from.call();
    if head.method == Method::HEAD {
        busy.without_body();
    }
    let ticket = Ticket::open(worker, caller, operation(&errand), busy);
    let version = head.version;
    match errand.and_then(|errand| known(&ticket, errand)) {
        Ok(errand @ (Errand::Generate | Errand::CountTokens)) => {
            let answering = Box::pin(generate(Rc::clone(&ticket), errand, head, body));
            reply::answer(ticket, version, answering).await
        }
        Ok(errand) => reply::put_together(&ticket, version, say(&ticket, errand, &head)),
        // Nobody reads what such a request still brings.
        Err(problem) => {
            let problem = if body.is_end_stream() { problem } else { problem.closing() };
            reply::put_together(&ticket, version, Err(problem))
        }
    }
}

/// Without a configuration nothing can be said of models, not even that one is not there: the caller comes again.
fn known(ticket: &Ticket, errand: Errand) -> Result<Errand, Problem> {
    if ticket.ready.is_configured() || matches!(errand, Errand::Options(_) | Errand::Root) {
        return Ok(errand);
    }
    let message = "This gateway has no configuration yet; try again in a moment.";
    Err(Problem::gateway(ErrorKind::Unavailable, message).retry(true, Some(UNCONFIGURED_PAUSE)))
}

/// An answer of a model.
async fn generate(
    ticket: Rc<Ticket>,
    errand: Errand,
    head: request::Parts,
    body: Incoming,
) -> Result<Exchange, Problem> {
    caller::check_body_kind(&head.headers)?;
    let codings = coding::named(&head.headers)?;
    let received = intake::read(&head.headers, body, &ticket.worker, ticket.busy.connection()).await?;
    // The charge lives as long as the call's future does.
    let intake::Received { body, charge: _charge, waited } = received;
    let body = if codings.is_empty() {
        body
    } else {
        // Boxed: most calls come plain.
        Box::pin(coding::decode(body, &codings, (&ticket.worker.memory, ticket.worker.limits.body_limit))).await?
    };
    let received = if waited { Instant::now() } else { ticket.arrived };
    let asked = Asked::read((&ticket, &errand), &head, &body, received)?;
    let found = ticket.ready.find(&asked.peek.model, asked.headers);
    let (route, at, rule) = found.ok_or_else(|| models::unknown(&asked.peek.model))?;
    ticket.note(|entry| entry.route(route, at));
    let lead = match &rule.cache {
        None => None,
        // Boxed: a call without a cache has no use for the room.
        Some(plan) => match Box::pin(seat::take(&asked, rule, plan)).await {
            Seat::Hit(answer) => return Ok(answer),
            Seat::Fetch(lead) => lead,
        },
    };
    attempt::exchange(&asked, rule, lead).await
}

/// What the gateway knows by itself.
fn say(ticket: &Ticket, errand: Errand, head: &request::Parts) -> Result<Exchange, Problem> {
    let dialect = ticket.caller.dialect;
    let mut headers = HeaderMap::new();
    let body = match errand {
        Errand::Root => Bytes::from_static(b"{\"object\":\"gateway\",\"name\":\"sluicegate\"}"),
        Errand::Options(allow) if cors::is_preflight(&head.method, &head.headers) => {
            headers = cors::preflight(&head.headers, ticket.caller.origin.as_ref(), allow)?;
            Bytes::new()
        }
        Errand::Options(allow) => {
            headers.insert(ALLOW, HeaderValue::from_static(allow));
            Bytes::new()
        }
        Errand::Model(id) => {
            let created = ticket.ready.model(&id).ok_or_else(|| models::unknown(&id))?;
            models::Models::one(dialect, &id, created)
        }
        _ => ticket.ready.models().list(dialect, head.uri.query())?,
    };
    let status = if body.is_empty() { StatusCode::NO_CONTENT } else { StatusCode::OK };
    if !body.is_empty() {
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    }
    Ok(Exchange::Whole(Whole { status, headers, body, end: End::Done }))
}

fn operation(errand: &Result<Errand, Problem>) -> Operation {
    match errand {
        Ok(Errand::Generate) => Operation::Chat,
        Ok(Errand::CountTokens) => Operation::CountTokens,
        Ok(Errand::Models | Errand::Model(_)) => Operation::ListModels,
        Ok(Errand::Options(_) | Errand::Root) | Err(_) => Operation::Unknown,
    }
}
