//! Identical calls share one flight: the first to come leads it, from inside and with no caller's connection, and all of them read
//! its answer, each in its own form.

use std::future::poll_fn;
use std::pin::pin;
use std::rc::Rc;
use std::task::Poll;
use std::time::Instant;

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderValue, StatusCode};
use sluicegate_dialects::Dialect;

use crate::account::{CacheLayer, CacheStatus, End};
use crate::cache::{Key, Lead};
use crate::coalescing::{
    Begun, ExpectedFlight, FlightClose, FlightHead, FlightReader, Joined, Part, Publisher, WholeAnswer, take_part,
};
use crate::errors::Problem;
use crate::state::Rule;

use super::answer_stream::AnswerStream;
use super::cache_lookup::{self, CacheOutcome, X_SLUICEGATE_CACHE};
use super::context::CallContext;
use super::exchange::{Exchange, Whole};
use super::inbound::InboundCall;
use super::stream_source::StreamSource;
use super::stream_terms::StreamTerms;
use super::transcoder::{self, Transcoder};
use super::{access, failure, plan, resume};

/// A call whose flight gives it no answer that it can be given joins another one, so many times; then it goes alone.
const ROUNDS: usize = 3;

/// An answer to a call that may share it with others: as the leader of a flight, or as one who reads along.
///
/// # Errors
/// As those of [`resume::exchange`]; who reads along is told what its leader was.
pub(super) async fn exchange(
    call: &Rc<InboundCall>,
    rule: &Rule,
    key: Key,
    (mut lead, mut expected): (Option<Lead>, Option<ExpectedFlight>),
) -> Result<Exchange, Problem> {
    let worker = &call.context.worker;
    let flights = &worker.shared.flights;
    for round in 0..ROUNDS {
        if let Some(plan) = rule.cache.as_ref().filter(|_| round > 0) {
            // Who led the last one may have found it kept.
            match cache_lookup::look(call, rule, plan).await {
                CacheOutcome::Hit(answer) => return Ok(answer),
                CacheOutcome::Fetch(again, asked) => (lead, expected) = (again, asked),
            }
        }
        let (reader, leads) = match flights.join(key, worker.memory.nothing()) {
            Joined::Full => break,
            Joined::Follow(reader) => {
                // Somebody else has begun it meanwhile.
                expected = None;
                (reader, false)
            }
            Joined::Lead(publisher, reader) => {
                let lead = lead.take().map(|lead| lead.seated(publisher.seat()));
                call.shares(true);
                let shared = rule.coalesce.as_ref().is_some_and(|coalesce| coalesce.with_proxies);
                let with = shared.then(|| (key, expected.take()));
                let until = Instant::now() + plan::longest(call, rule);
                worker.background.fly(take_off(Rc::clone(call), lead, (publisher, with, until)));
                (reader, true)
            }
        };
        let until = Instant::now() + plan::longest(call, rule);
        call.context.tell_client(|client| client.last_until(until));
        let mut passenger = Passenger { call, reader, leads, until, answered: false };
        if let Some(answer) = passenger.answer().await {
            passenger.answered = true;
            return answer;
        }
        passenger.answered = true;
    }
    flights.alone.add();
    call.shares(false);
    resume::exchange(call, rule, lead).await
}

/// The key by which proxies share a flight, and what of it has been asked for.
type SharedFlight = (Key, Option<ExpectedFlight>);

/// Leads a flight, or reads along for those who wait here, where another proxy leads it. `with`: proxies share it.
async fn take_off(
    call: Rc<InboundCall>,
    lead: Option<Lead>,
    (flight, with, until): (Publisher, Option<SharedFlight>, Instant),
) {
    let worker = Rc::clone(&call.context.worker);
    let flights = &worker.shared.flights;
    let flight = match (with, &worker.remote_flights) {
        (Some((key, expected)), Some(remote)) => {
            let place = lead.as_ref().and_then(Lead::free_place);
            match take_part(remote, &key, (flight, expected), (place.as_deref(), until.into())).await {
                Part::Kept => return,
                Part::Landed => return flights.joined.add(),
                Part::Leads(flight, relay) => {
                    relay.into_iter().for_each(|relay| worker.background.fly(relay.run()));
                    flight
                }
            }
        }
        _ => flight,
    };
    flights.led.add();
    fly(call, lead, flight).await;
}

/// Leads a flight: the call as any other, but for its listeners. It ends when nobody reads any longer, and goes on while the cache
/// still listens to a stream.
async fn fly(call: Rc<InboundCall>, lead: Option<Lead>, flight: Publisher) {
    let answering = async {
        let (_, _, rule) = access::permitted(&call)?;
        resume::exchange(&call, rule, lead).await
    };
    let outcome = {
        let mut answering = pin!(answering);
        let next = poll_fn(|cx| match answering.as_mut().poll(cx) {
            Poll::Ready(outcome) => Poll::Ready(Some(outcome)),
            Poll::Pending if flight.is_deserted(cx) => Poll::Ready(None),
            Poll::Pending => Poll::Pending,
        });
        next.await
    };
    let (clamped, dialect) = (call.context.clamped(), Some(call.dialect()));
    match outcome {
        // Nor is a batch identical to another one.
        None | Some(Ok(Exchange::Lines(..))) => {}
        Some(Err(problem)) => flight.fail(problem),
        Some(Ok(Exchange::Whole(Whole { status, headers, body, end }))) => {
            // Asked for a stream, its provider answered whole, and that was told as one.
            if call.streams() && status == StatusCode::OK {
                flight.begin(FlightHead { headers, clamped, is_remote: false, dialect });
                if flight.push(body).is_ok() {
                    flight.finish(FlightClose::Whole);
                }
            } else {
                flight.whole(WholeAnswer { status, headers, body, end, clamped, is_remote: false, dialect });
            }
        }
        Some(Ok(Exchange::Stream(headers, stream))) => {
            flight.begin(FlightHead { headers, clamped, is_remote: false, dialect });
            stream.go_on(Some(flight)).await;
        }
    }
}

/// A call that reads a flight.
struct Passenger<'a> {
    call: &'a Rc<InboundCall>,
    reader: FlightReader,
    /// True if it is its own answer that it reads: it has led the flight.
    leads: bool,
    /// The time when it has to be over.
    until: Instant,
    /// False as long as its caller may leave unanswered.
    answered: bool,
}

impl Passenger<'_> {
    /// Its answer; `None`: this flight has none for it.
    async fn answer(&mut self) -> Option<Result<Exchange, Problem>> {
        let begun = poll_fn(|cx| self.reader.poll_begun(cx)).await;
        // Another proxy's answer is not its own, though it would have led.
        self.leads &= !begun.is_remote();
        match begun {
            Begun::Abandoned => None,
            Begun::Failed(problem) => Some(Err(problem)),
            Begun::Whole(answer) => self.whole(answer).map(Ok),
            Begun::Stream(head) if self.call.streams() => Some(Ok(self.stream(head))),
            Begun::Stream(head) => self.folded(head).await.map(Ok),
        }
    }

    /// A whole answer, as it is or as a stream.
    fn whole(&self, answer: WholeAnswer) -> Option<Exchange> {
        let WholeAnswer { status, headers, body, end, clamped, is_remote: _, dialect } = answer;
        let dialect = self.told_in(dialect);
        if !status.is_success() {
            let told = Whole { status, headers, body, end };
            let is_own = dialect == self.call.dialect();
            return Some(Exchange::Whole(if is_own { told } else { failure::retold(self.call, dialect, told) }));
        }
        let body = self.retold(dialect, body)?;
        if !self.call.streams() {
            let headers = self.headers(headers, "application/json");
            self.joined(clamped);
            return Some(Exchange::Whole(Whole { status, headers, body, end }));
        }
        let told = self.call.dialect().stream_of_whole(&body, true)?;
        let told = self.call.context.worker.memory.nothing().hold(told.into());
        self.joined(clamped);
        Some(self.exchange((headers, self.call.dialect()), StreamSource::Kept(told)))
    }

    /// A stream, read along from its beginning.
    fn stream(&mut self, head: FlightHead) -> Exchange {
        self.joined(head.clamped);
        // This one stays where it is until it is dropped, which is when the stream has the flight by itself.
        let source = StreamSource::Flight(self.reader.again());
        self.exchange((head.headers, self.told_in(head.dialect)), source)
    }

    /// A stream, as the whole answer that it adds up to.
    async fn folded(&mut self, head: FlightHead) -> Option<Exchange> {
        let pieces = poll_fn(|cx| self.reader.poll_all(cx)).await?;
        let (context, dialect) = (&self.call.context, self.told_in(head.dialect));
        // Once, in the words that it was told in.
        let body = self.reader.folded(|| {
            let mut fold = dialect.stream_fold(usize::MAX);
            pieces.iter().try_for_each(|piece| fold.push(piece)).ok()?;
            let whole = Bytes::from(fold.finish(None).ok()?);
            Some(context.worker.memory.nothing().hold(whole))
        })?;
        let body = self.retold(dialect, body)?;
        self.joined(head.clamped);
        let headers = self.headers(head.headers, "application/json");
        Some(Exchange::Whole(Whole { status: StatusCode::OK, headers, body, end: End::Done }))
    }

    /// The dialect that an answer is told in.
    fn told_in(&self, dialect: Option<Dialect>) -> Dialect {
        dialect.unwrap_or(self.call.dialect())
    }

    /// A whole answer in the caller's dialect; `None`: it can not be read.
    fn retold(&self, from: Dialect, body: Bytes) -> Option<Bytes> {
        let call = self.call;
        if from == call.dialect() {
            return Some(body);
        }
        let mut reply = from.decode_reply(&body).ok()?;
        reply.created = reply.created.or_else(transcoder::now);
        transcoder::name(call, &mut reply);
        let told = call.dialect().encode_reply(&reply, &call.body).body;
        Some(call.context.worker.memory.nothing().hold(told.into()))
    }

    fn exchange(&self, (headers, dialect): (HeaderMap, Dialect), source: StreamSource) -> Exchange {
        let context = &self.call.context;
        let headers = self.headers(headers, context.stream_type());
        if !self.leads {
            context.note(|entry| entry.first_token(Instant::now()));
        }
        let idle = self.until.saturating_duration_since(Instant::now());
        let (context, deadline) = (Rc::clone(context), self.until);
        let terms = StreamTerms { context, idle, deadline, recorded: false, is_followed: false, is_rest: false };
        Exchange::Stream(headers, Box::new(AnswerStream::new(terms, source, Transcoder::shared_in(self.call, dialect))))
    }

    /// The headers of its answer: the provider's own are for who has led, as with any kept answer.
    fn headers(&self, provider: HeaderMap, kind: &'static str) -> HeaderMap {
        if self.leads {
            return provider;
        }
        let mut headers = HeaderMap::with_capacity(8);
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
        headers.insert(X_SLUICEGATE_CACHE, HeaderValue::from_static(CacheLayer::Flight.label()));
        headers
    }

    /// It has another call's answer, which is no call to a provider: a hit.
    fn joined(&self, clamped: Option<u64>) {
        let context = &self.call.context;
        context.clamp(clamped);
        if !self.leads {
            context.cache_said("hit");
            context.note(|entry| entry.cache(CacheStatus::Hit(CacheLayer::Flight)));
        }
    }
}

impl Drop for Passenger<'_> {
    fn drop(&mut self) {
        // Its call may go on without it.
        if !self.answered {
            CallContext::leave(&self.call.context);
        }
    }
}
