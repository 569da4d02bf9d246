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
use crate::listener::{Connection, RequestBody};
use crate::models::ListFilter;
use crate::worker::own::Worker;

use super::caller::{self, Addressed, Caller};
use super::context::CallContext;
use super::exchange::{Exchange, Whole};
use super::hops::Hops;
use super::inbound::{InboundCall, Received};
use super::response_body::ResponseBody;
use super::{
    access, answering, batch, coding, compress, cors, count, framing, intake, keys, named_path, reply, stored_exchange,
};

/// The time after which a caller is to come again that asked before there was a configuration.
const UNCONFIGURED_PAUSE: Duration = Duration::from_secs(1);

/// Answers one call: Caller → InboundCall → Rule → CacheOutcome → Exchange → ResponseBody.
pub(crate) async fn handle(
    worker: Rc<Worker>,
    request: Request<Incoming>,
    from: Rc<Connection>,
    peer: SocketAddr,
) -> Response<ResponseBody> {
    let (head, body) = request.into_parts();
    let (dialect, addressed) = caller::addressed(&head.method, head.uri.path(), &head.headers);
    let addressed = named_path::addressed(&worker, &head, addressed);
    let addressed = framing::check(head.version, &head.headers, worker.limits.header_count).and(addressed);
    let array = addressed.as_ref().is_ok_and(|to| caller::wants_array(to, dialect, head.uri.query()));
    let caller = Caller {
        dialect,
        array,
        request_id: caller::request_id(&head.headers, || worker.ids.fresh()),
        address: caller::address(&head.headers, peer.ip(), &worker.shared.settings),
        origin: cors::allowed(&head.headers, &worker.shared.settings.cors_origins),
        accepts: compress::accepted(&head.headers, &worker.shared.settings),
        hops: Hops::of(&head.headers),
    };
    let busy = from.call();
    if head.method == Method::HEAD {
        busy.without_body();
    }
    let body = busy.body(body);
    let operation = addressed.as_ref().map_or(Operation::Unknown, |addressed| addressed.operation);
    let context = CallContext::open(worker, caller, operation, Some(busy));
    let version = head.version;
    let addressed = addressed.and_then(|addressed| known(&context, addressed));
    let addressed = match addressed {
        Ok(addressed) => access::identify(&context, addressed, &head).await,
        Err(problem) => Err(problem),
    };
    match addressed {
        Ok(addressed) if operation.is_forwarded() => {
            let answering = Box::pin(forward(Rc::clone(&context), addressed, head, (body, from)));
            reply::answer(context, version, answering).await
        }
        Ok(addressed) => {
            let said = say(&context, &addressed, &head);
            reply::put_together(&context, version, compress::answer(&context, said).await)
        }
        // Nobody reads what such a request still brings.
        Err(problem) => {
            let problem = access::hidden(&context, &head, problem);
            let problem = if body.is_end_stream() { problem } else { problem.closing() };
            reply::put_together(&context, version, Err(problem))
        }
    }
}

/// Without a configuration nothing can be said of models, not even that one is not there: the caller comes again.
fn known(context: &CallContext, addressed: Addressed) -> Result<Addressed, Problem> {
    if context.ready.is_configured() || matches!(addressed.operation, Operation::Options | Operation::Root) {
        return Ok(addressed);
    }
    let message = "This gateway has no configuration yet; try again in a moment.";
    Err(Problem::gateway(ErrorKind::Unavailable, message).retry(true, Some(UNCONFIGURED_PAUSE)))
}

/// An answer of a provider.
async fn forward(
    context: Rc<CallContext>,
    mut addressed: Addressed,
    head: request::Parts,
    (body, from): (RequestBody, Rc<Connection>),
) -> Result<Exchange, Problem> {
    caller::check_body_kind(addressed.operation, &head.headers)?;
    let codings = coding::named(&head.headers)?;
    let intake::ReceivedBody { body, charge, waited } =
        intake::read(&head.headers, body, &context.worker, &from).await?;
    // Behind its body, so that the refusal is not lost with a connection that is closed under it.
    context.caller.hops.check()?;
    let body = if codings.is_empty() {
        body
    } else {
        // Boxed: most calls come plain.
        Box::pin(coding::decode(body, &codings, (&context.worker.memory, context.worker.limits.body_limit))).await?
    };
    if addressed.operation == Operation::Batch {
        drop(from);
        let answer = Box::pin(batch::exchange(&context, head, body)).await;
        drop(charge);
        return answer;
    }
    let at = if waited { Instant::now() } else { context.arrived };
    let (dialect, body) = count::asked(context.caller.dialect, &mut addressed, body)?;
    let received = Received { dialect, headers: head.headers, uri: head.uri, body, charge, at };
    let call = InboundCall::read(&context, &addressed, received)?;
    drop((context, from));
    match &addressed.stored {
        // Boxed: most calls are about no such thing.
        Some(stored) => Box::pin(stored_exchange::exchange(&call, stored)).await,
        None if addressed.operation == Operation::NamedPath => Box::pin(named_path::exchange(&call)).await,
        None => answering::answered(&call).await,
    }
}

/// Answers what the gateway knows by itself.
fn say(context: &CallContext, addressed: &Addressed, head: &request::Parts) -> Result<Exchange, Problem> {
    let dialect = context.caller.dialect;
    let (mut headers, allow) = (HeaderMap::new(), addressed.methods);
    let body = match addressed.operation {
        Operation::Root => Bytes::from_static(b"{\"object\":\"gateway\",\"name\":\"sluicegate\"}"),
        Operation::Options if cors::is_preflight(&head.method, &head.headers) => {
            headers = cors::preflight(&head.headers, context.caller.origin.as_ref(), allow)?;
            Bytes::new()
        }
        Operation::Options => {
            headers.insert(ALLOW, HeaderValue::from_static(allow));
            Bytes::new()
        }
        Operation::GetModel => {
            let id = addressed.model.as_deref().unwrap_or_default();
            let sent_a_key = || keys::keys(&head.headers, head.uri.query()).next().is_some();
            let found = context.ready.model(id, context.consumer());
            let found = found.ok_or_else(|| access::refusal(context, id, false, sent_a_key))?;
            dialect.model(&found, addressed.envelope.is_some())
        }
        _ => {
            let (query, publisher) = (head.uri.query(), addressed.envelope.is_some());
            let filter = ListFilter::read(query)?;
            match context.ready.models_for(context.consumer(), filter.as_ref()) {
                Some(own) => own.list(dialect, query, publisher)?,
                None => context.ready.models().list(dialect, query, publisher)?,
            }
        }
    };
    let status = if body.is_empty() { StatusCode::NO_CONTENT } else { StatusCode::OK };
    if !body.is_empty() {
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    }
    Ok(Exchange::Whole(Whole { status, headers, body, end: End::Done }))
}
