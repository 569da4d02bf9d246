//! Answers whose streams go on elsewhere should they break half-way, where their rule says so.

use std::rc::Rc;
use std::sync::Arc;

use bytes::Bytes;
use http::StatusCode;

use crate::cache::Lead;
use crate::errors::Problem;
use crate::state::{Provider, Rule};

use super::continuation::{AskingForRest, Continuation, RestBegun, RestState};
use super::exchange::{Exchange, Whole};
use super::inbound::InboundCall;
use super::stream_source::StreamSource;
use super::transcoder::Transcoder;
use super::{access, failover};

/// Gets an answer, as [`failover::exchange`] does. A stream of a rule that says so can go on elsewhere.
///
/// # Errors
/// As those of [`failover::exchange`].
pub(super) async fn exchange(call: &Rc<InboundCall>, rule: &Rule, lead: Option<Lead>) -> Result<Exchange, Problem> {
    let settings = rule.stream_failover.filter(|_| call.streams());
    call.follows(settings.is_some());
    let mut exchange = failover::exchange(call, rule, lead).await?;
    if let (Some(settings), Exchange::Stream(_, stream)) = (settings, &mut exchange) {
        stream.may_go_on(Box::new(Continuation::new(Rc::clone(call), settings, ask)));
    }
    Ok(exchange)
}

/// Asks for the rest of an answer.
fn ask(call: Rc<InboundCall>, broke: Vec<Arc<Provider>>) -> AskingForRest {
    Box::pin(async move {
        let (_, _, rule) = access::permitted(&call).ok()?;
        call.leave_out(&broke);
        let begun = match failover::ask(&call, rule, None).await.ok()? {
            Exchange::Stream(_, stream) => stream.into_rest()?,
            // Asked for a stream, its provider answered whole: that was told as one, in the caller's dialect.
            Exchange::Whole(Whole { status: StatusCode::OK, body, .. }) => whole(&call, body),
            Exchange::Whole(_) | Exchange::Lines(..) => return None,
        };
        call.context.note(crate::account::LedgerEntry::went_on);
        Some(RestBegun { asked: call.asks_to_go_on(), ..begun })
    })
}

fn whole(call: &InboundCall, body: Bytes) -> RestBegun {
    let rest = Transcoder::rest_of_whole(call);
    RestBegun { source: StreamSource::Kept(body), rest, asked: false, state: RestState::GoesOn }
}
