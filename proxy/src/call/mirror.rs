//! Copies of calls to another pool: made beside the call, waited for by nobody, their answers read to the end and thrown away.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Instant;

use rand::RngExt;
use sluicegate_dialects::verbatim::PathSays;
use sluicegate_dialects::{RequestShape, effects};

use crate::account::End;
use crate::endpoint::MirrorPlace;
use crate::state::{PreparedMirror, Rule};

use super::context::CallContext;
use super::exchange::{Exchange, Whole, end_of, note_problem};
use super::failover;
use super::inbound::InboundCall;
use super::stream_terms::StreamPiece;

/// Sends a copy of the call, if it is one of those that are copied. What would leave something behind twice never is.
pub(super) fn send(call: &InboundCall, rule: &Rule) {
    let Some(mirror) = rule.mirror.as_ref().filter(|_| call.operation.generates()) else { return };
    let (context, worker) = (&call.context, &call.context.worker);
    let is_drawn = mirror.percent >= 100 || worker.rng.borrow_mut().random_range(0..100) < mirror.percent;
    if !is_drawn || call.is_bound() || effects::effects(&call.body).any() {
        return;
    }
    let target = mirror.rule.targets.first().and_then(|target| context.ready.target(target));
    let Some(place) = target.and_then(|target| target.pool.state.mirrors.take()) else { return };
    let own = CallContext::open(Rc::clone(worker), context.caller.copied(), call.operation, None);
    own.note(crate::account::LedgerEntry::aside);
    if let Some(copy) = call.again(&own).ok().and_then(unkept) {
        worker.background.fly(ask(copy, Arc::clone(mirror), place));
    }
}

/// A copy whose answer its provider keeps for nobody, where one that says nothing of it would be kept.
fn unkept(mut call: Rc<InboundCall>) -> Option<Rc<InboundCall>> {
    let dialect = call.dialect();
    if dialect.habits().keeps_answers {
        let shape =
            RequestShape { defaults: vec![("store".to_owned(), "false".to_owned())], ..RequestShape::default() };
        let path = PathSays { model: None, stream: Some(call.streams()) };
        let body = dialect.shape(&call.body, path, &shape).ok()?;
        let peek = dialect.peek(&body, path).ok()?;
        let call = Rc::get_mut(&mut call)?;
        (call.body, call.peek) = (body, peek);
    }
    Some(call)
}

/// Asks for the answer, and throws it away.
async fn ask(call: Rc<InboundCall>, mirror: Arc<PreparedMirror>, place: MirrorPlace) {
    let context = &call.context;
    let mut asking = pin!(failover::ask(&call, &mirror.rule, None));
    let outcome = poll_fn(|cx| {
        let polled = asking.as_mut().poll(cx);
        if context.was_asked() {
            place.sent();
        }
        polled
    })
    .await;
    match outcome {
        Ok(Exchange::Whole(Whole { status, end, .. })) => {
            context.note(|entry| entry.answered(status.as_u16(), Instant::now()));
            context.close(end);
        }
        Ok(Exchange::Stream(_, mut stream)) => {
            context.note(|entry| entry.answered(200, Instant::now()));
            while let StreamPiece::Bytes(_) = poll_fn(|cx| stream.poll_next(cx)).await {}
            // Where it was cut, its entry is closed already.
            context.close(End::Done);
        }
        // No batch is copied.
        Ok(Exchange::Lines(..)) => context.close(End::Done),
        Err(problem) => {
            note_problem(context, &problem);
            let status = problem.status_in(call.dialect());
            context.note(|entry| entry.answered(status.as_u16(), Instant::now()));
            context.close(end_of(&problem));
        }
    }
    drop(place);
}
