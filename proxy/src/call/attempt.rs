//! One attempt at one provider: sent, held back until it is known to be good, and given to the retry policy if it is not.

use std::cell::RefCell;
use std::future::poll_fn;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use bytes::Bytes;
use http::header::{CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderMap, HeaderValue, Response, response};
use http_body_util::BodyExt;
use sluicegate_dialects::Dialect;
use sluicegate_dialects::hub::{ErrorKind, ProviderError, ServiceTier};
use tokio::time::timeout_at;

use crate::account::{AttemptEnd, End, ErrorSource, LedgerEntry};
use crate::cache::Lead;
use crate::endpoint::{Outcome, Permit, model_number};
use crate::errors::{self, Problem};
use crate::limit::Holds;
use crate::memory::{Charge, Exhausted, Purpose, UNCOUNTED};
use crate::state::{Credential, Provider, RouteTarget, SentWith};
use crate::upstream::{SendError, SendErrorKind, SendLimits, Sent, UpstreamBody};

use super::affinity::ConversationSeat;
use super::answer_head::{Collected, is_answer, media_type, no_answer_by_head, passes_in_pieces, without_mark};
use super::answer_stream::{AnswerStream, LAST_WORDS};
use super::exchange::{Exchange, Whole};
use super::failure::{self, ErrorAnswer, Failure, SaidError};
use super::inbound::InboundCall;
use super::open_attempt::OpenAttempt;
use super::outgoing::{self, Outgoing};
use super::provider_secret::ProviderSecret;
use super::retry_policy::{self, Cooldown, Retry, RetryDecision};
use super::stream_source::{ProviderSource, StreamSource};
use super::stream_terms::{FirstToken, StreamTerms};
use super::suspects::Suspects;
use super::times::Times;
use super::transcoder::Transcoder;
use super::write_buffer::WriteBuffer;
use super::{
    background, compress_request, foreign_thoughts, headers, provider_keys, repeat, retry_after, stored, vendor_limits,
    weigh,
};

/// While a whole answer is translated it is there so many times more.
const TRANSLATED: usize = 2;
/// A whole answer larger than this is refused: it would be held here in one piece.
const LARGEST_ANSWER: usize = 64 << 20;
/// The most of a provider's error body that is read, and how long it may take.
const LARGEST_ERROR: usize = 256 << 10;
const ERROR_TIMEOUT: Duration = Duration::from_secs(5);
/// The time after which a caller is to come again whose call the gateway itself had no means for.
const OWN_PAUSE: Duration = Duration::from_secs(1);

/// An attempt.
pub(super) struct Attempt<'a> {
    pub(super) call: &'a Rc<InboundCall>,
    pub(super) target: RouteTarget<'a>,
    pub(super) provider: &'a Arc<Provider>,
    pub(super) times: Times,
    /// The key or the token that it is sent with.
    pub(super) sent: SentWith,
    /// The right to keep the answer, taken by the one that is given.
    pub(super) lead: &'a RefCell<Option<Lead>>,
    /// The endpoints that failed the call in a way that it may have provoked.
    pub(super) suspects: &'a RefCell<Suspects>,
    /// True if an answer that is nothing but a content filter's refusal is not the caller's yet.
    pub(super) refusals: bool,
    /// The time when it begins.
    pub(super) now: Instant,
    /// True if another one goes on meanwhile.
    pub(super) beside: bool,
    /// The time when the whole call has to be over.
    pub(super) deadline: Instant,
    /// The call's place in its conversation.
    pub(super) seat: Option<Rc<ConversationSeat>>,
}

impl Attempt<'_> {
    /// Runs the attempt.
    ///
    /// # Errors
    /// It gave no answer that the caller can have.
    pub(super) async fn run(
        &self,
        outgoing: &mut Outgoing,
        (permit, holds): (Permit, Option<Holds>),
    ) -> Result<Exchange, Failure> {
        let model = self.model();
        self.call.context.tell_client(|client| client.last_until(self.deadline));
        let mut open = OpenAttempt::begin(self.call, self.provider, permit, (self.now, self.beside));
        holds.into_iter().for_each(|holds| open.hold(holds));
        if self.target.pool.measures_latency() {
            open.measure(weigh::form(self.call), self.now);
        }
        let hint = self.seat.as_ref().filter(|_| self.provider.defaults.compatible()).map(|seat| seat.hint());
        self.seat.clone().into_iter().for_each(|seat| open.sit(seat));
        open.entry().sent(Some(&self.provider.address), outgoing.dialect, model);
        open.asks(self.call, outgoing.dialect, (outgoing::routed_model(self.call, self.target), self.price()));
        open.entry().dropped_fields(outgoing.dropped);
        self.call.context.clamp(outgoing.clamped);
        let Outgoing { dialect, usage_is_ours, .. } = *outgoing;
        let limits = self.send_limits(outgoing.is_whole);
        let send = async |outgoing: &Outgoing| self.send(outgoing, (hint.as_deref(), limits)).await;
        let sent = match compress_request::is_wanted(self.provider, outgoing.body().len(), self.now) {
            // Boxed: it is rare.
            true => Box::pin(compress_request::send(self.call, self.provider, outgoing, send)).await,
            false => self.send(outgoing, (hint.as_deref(), limits)).await,
        };
        let response = match sent {
            Ok(sent) => sent.response,
            Err(error) if error.kind == SendErrorKind::AttemptTimeout => {
                return Err(self.silent(&mut open, "no answer"));
            }
            Err(error) => {
                let decision = repeat::after_send(self.call, &error, &self.target.pool.retry.on);
                tracing::debug!(provider = self.provider.name, %error, "an attempt failed");
                if error.kind == SendErrorKind::Exhausted {
                    self.call.context.worker.shed();
                }
                return Err(self.failed(&mut open, decision, &error.in_words()));
            }
        };
        self.look_at_limits(response.headers(), &open, model);
        if !is_answer(self.call, response.status()) {
            // Boxed: every call's future would have room for it.
            return Err(Box::pin(self.error_answer(response, dialect, &mut open)).await);
        }
        open.has_head();
        if let Some(what) = no_answer_by_head(self.call.operation, response.headers()) {
            return Err(self.failed(&mut open, repeat::bounded(self.call, retry_policy::malformed()), &what));
        }
        let tier = dialect.habits().tier_header.and_then(|name| response.headers().get(name)?.to_str().ok());
        open.entry().tier(tier.map_or(ServiceTier::Unsaid, ServiceTier::of));
        // Clients read a stream whatever it is called, and some providers call theirs plain text, or nothing.
        let array = self.call.context.caller.array && dialect == self.call.dialect();
        let streamed =
            passes_in_pieces(self.call, (response.status(), response.headers())) || (self.call.streams() && array);
        if streamed {
            let transcoder = self.transcoder(response.headers(), (dialect, usage_is_ours));
            let (mut head, body) = response.into_parts();
            head.headers = headers::back(head.headers, (dialect, self.call.dialect()));
            let response = Response::from_parts(head, body);
            Box::pin(self.stream(response, transcoder, (open, dialect, limits.until))).await
        } else {
            self.whole(response, dialect, &mut open).await
        }
    }

    fn send_limits(&self, is_whole: bool) -> SendLimits {
        // The model of a whole answer may say nothing until it is ready.
        let first = if self.call.streams() && !is_whole { self.now + self.times.first_token } else { self.deadline };
        let resend = self.target.pool.retry.on.reset && self.call.may_be_repeated();
        SendLimits { connect: self.times.connect, until: self.deadline.min(first), now: self.now, resend }
    }

    /// Takes note of what the provider says of its own limits. Those of a caller's own key are that caller's, and one of several
    /// keys rests when it is told so.
    fn look_at_limits(&self, headers: &HeaderMap, open: &OpenAttempt, model: &str) {
        if let Some(wait) = vendor_limits::nearly_used_up(headers, SystemTime::now)
            && !self.provider.takes_callers_key()
            && self.provider.keys.is_empty()
        {
            let now = Instant::now();
            open.endpoint().nearly_used_up(model_number(model), now + wait, now);
        }
    }

    /// Sends the request as it is.
    async fn send(&self, outgoing: &Outgoing, (hint, limits): (Option<&str>, SendLimits)) -> Result<Sent, SendError> {
        let make = || outgoing.request(self.call, (self.provider, self.sent.key), hint);
        let sent = self.call.context.worker.client.send(&self.provider.origin, make, limits).await;
        if sent.as_ref().map_or_else(|error| error.resent, |sent| sent.resent) {
            self.call.context.note(LedgerEntry::resent);
        }
        sent
    }

    /// The engine of an answer that comes in pieces, under this head.
    fn transcoder(&self, head: &HeaderMap, (dialect, usage_is_ours): (Dialect, bool)) -> Transcoder {
        let mut transcoder = if self.call.passes() {
            Transcoder::passed(self.call, media_type(head) == b"text/event-stream", self.provider)
        } else if self.call.is_for_rest() {
            Transcoder::of_rest(self.call, dialect)
        } else {
            self.answers_transcoder((dialect, usage_is_ours))
        };
        transcoder.keep_secret(self.secret());
        transcoder
    }

    /// That of an answer from its beginning.
    fn answers_transcoder(&self, (dialect, usage_is_ours): (Dialect, bool)) -> Transcoder {
        let mut transcoder = Transcoder::new(self.call, (dialect, self.model(), &**self.provider), usage_is_ours);
        if self.call.is_followed() {
            transcoder.follow(self.call);
        }
        transcoder.seal(stored::sealed_stream(self.call, self.provider));
        if self.call.others().are_priced() {
            transcoder.watch_models();
        }
        transcoder.keep(stored::keeper(self.call, self.provider.stands_for), self.call.own_name());
        transcoder
    }

    /// A stream is given to the caller from its first token on; until then it is held, and its failure saved. Its head is the caller's.
    async fn stream(
        &self,
        response: Response<UpstreamBody>,
        transcoder: Transcoder,
        (open, dialect, until): (OpenAttempt, Dialect, Instant),
    ) -> Result<Exchange, Failure> {
        let (head, body) = response.into_parts();
        let source = StreamSource::Provider(self.source(body, open, dialect));
        let mut stream = Box::new(AnswerStream::new(self.terms(self.lead.borrow().is_some()), source, transcoder));
        if self.refusals && self.call.operation.generates() {
            stream.catch_refusals(dialect);
        }
        let held = timeout_at(until.into(), poll_fn(|c| stream.poll_first_token(&self.target.pool.retry.on, c))).await;
        // A token that waits for what follows it has come in time.
        let has_text = stream.refusals.as_ref().is_some_and(|watch| watch.has_text());
        let held = if held.is_err() && has_text { Ok(FirstToken::Ready) } else { held };
        if matches!(held, Ok(FirstToken::Said(_))) && self.refusals && stream.usage(false).is_none() {
            // What a refusal has used most vendors say right behind it.
            let _ = tokio::time::timeout(LAST_WORDS, poll_fn(|cx| stream.poll_usage(cx))).await;
        }
        let used = stream.usage(!matches!(held, Ok(FirstToken::Said(_))));
        let by = if matches!(held, Ok(FirstToken::Ready)) { None } else { stream.answered_by() };
        // A stream of a provider's has one.
        let Some(open) = stream.attempt() else { return Ok(Exchange::Stream(head.headers, stream)) };
        match held {
            Ok(FirstToken::Ready) => {
                let now = Instant::now();
                open.has_begun();
                open.entry().upstream_head(now);
                open.answered();
                self.call.context.tell_client(|client| client.last_until(self.flows_until()));
                if !self.call.passes() {
                    self.call.context.note(|entry| entry.first_token(now));
                }
                self.lead.take().into_iter().for_each(|lead| stream.record(lead));
                let mut headers = head.headers;
                let kind = self.call.context.stream_type();
                if media_type(&headers) != kind.as_bytes() && !self.call.passes() {
                    headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
                }
                Ok(Exchange::Stream(headers, stream))
            }
            lost => {
                // An answer that nobody can use is paid for as well.
                let used = used.filter(|used| !used.is_nothing());
                self.count(open, dialect, used, || by.unwrap_or_default());
                Err(match lost {
                    Ok(FirstToken::Broken(decision, what)) => self.failed(open, decision, &what),
                    Ok(FirstToken::Full(full)) => self.no_room(open, full),
                    Ok(FirstToken::Said(error)) => self.said(open, error),
                    _ => self.silent(open, "no first token"),
                })
            }
        }
    }

    /// A whole answer is read to its end before the caller sees any of it: until then it can be asked for elsewhere.
    async fn whole(
        &self,
        response: Response<UpstreamBody>,
        dialect: Dialect,
        open: &mut OpenAttempt,
    ) -> Result<Exchange, Failure> {
        let now = Instant::now();
        open.entry().upstream_head(now);
        let (head, body) = response.into_parts();
        let (body, mut charge) = match self.collect(body, LARGEST_ANSWER).await {
            Ok((body, charge)) if self.call.operation.passes() => (body, charge),
            Ok((body, charge)) => (without_mark(body), charge),
            Err(why) => return Err(self.not_collected(open, why)),
        };
        let translated = !dialect.is_kin(self.call.dialect()) || self.call.streams();
        if translated && body.len() > UNCOUNTED {
            let bytes = body.len() * TRANSLATED;
            if let Err(full) = charge.grow(bytes, Purpose::of(bytes)) {
                return Err(self.no_room(open, full));
            }
        }
        if self.refusals
            && let Some(error) = dialect.refusal_of_whole(&body)
        {
            self.count_whole(open, dialect, &body);
            return Err(self.said(open, error));
        }
        let (ours, streamed) = match self.read_whole(dialect, &body, open) {
            Ok(ours) => ours,
            Err(what) => {
                // An answer that nobody can use is paid for as well.
                if self.call.operation.generates() && !open.entry().has_usage() {
                    self.count_whole(open, dialect, &body);
                }
                // A failed answer says why, as a stream does that begins with it.
                if let Some(error) = dialect.error_of_whole(&body).filter(|_| self.call.object().is_none()) {
                    return Err(self.said(open, error));
                }
                return Err(self.failed(
                    open,
                    retry_policy::malformed(),
                    &format!("an answer that is not its dialect's: {what}"),
                ));
            }
        };
        if self.call.object().is_some() {
            // Boxed: most calls have no use for the room.
            Box::pin(background::count(self.call, self.provider, &body, open.entry())).await;
        }
        open.answered();
        // The window of a circuit is of seconds: the time of the answer's head is near enough.
        open.outcome(Outcome::Success, now);
        open.close(AttemptEnd::Success);
        if let Some(lead) = self.lead.take().filter(|_| !streamed) {
            lead.whole(head.status.as_u16(), &ours);
        }
        stored::keep_whole(self.call, self.provider, (&body, &ours)).await;
        let mut headers = headers::back(head.headers, (dialect, self.call.dialect()));
        if self.call.named().is_none() {
            let kind = if streamed { self.call.context.stream_type() } else { "application/json" };
            headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
        }
        // What the translation took is given back; what goes out is counted until it has.
        let _ = charge.set(body.len().min(charge.bytes()), Purpose::Call);
        drop(body);
        Ok(Exchange::Whole(Whole { status: head.status, headers, body: charge.hold(ours), end: End::Done }))
    }

    /// The provider's error, read as far as is reasonable.
    async fn error_answer(
        &self,
        response: Response<UpstreamBody>,
        dialect: Dialect,
        open: &mut OpenAttempt,
    ) -> Failure {
        let (response::Parts { status, mut headers, .. }, body) = response.into_parts();
        let secret = self.secret();
        secret.leave_headers(&mut headers);
        let coding = headers::unasked_coding(&headers);
        let read = tokio::time::timeout(ERROR_TIMEOUT, self.collect(body, LARGEST_ERROR)).await;
        // What can not be read is told by its status.
        let read = read.ok().and_then(Result::ok).filter(|_| coding.is_none());
        let body = read.map(|(body, charge)| charge.hold(body)).unwrap_or_default();
        // As others may see it: under its caller's own names, and without what only the gateway may know.
        let body = secret.out_of(self.call.object().map_or_else(|| body.clone(), |object| object.renamed(&body)));
        let error = secret.out_of_error(failure::read(dialect, (status, &headers), &body));
        let decision = retry_policy::status(status, &headers, (&error, &body), &self.target.pool.retry.on);
        let is_for_anybody = self.call.operation.generates() && !self.call.is_bound();
        let decision =
            retry_policy::of_missing_model(decision, (retry_policy::meant(status, error.kind), is_for_anybody));
        let decision = foreign_thoughts::judged(self.call, decision, (status, &error));
        let decision = self.decided(decision, error.kind);
        let decision = self.call.context.caller.hops.judged(decision, status);
        let key = open.key().cloned();
        self.settle_answered(open, decision, status.as_u16());
        let of_coding = coding.map(|coding| format!(" in `{coding}`, which nobody asked for")).unwrap_or_default();
        let detail = format!("provider `{}` answered {}{of_coding}", self.provider.name, status.as_u16());
        let is_about_us = retry_policy::is_credential(retry_policy::meant(status, error.kind));
        let fault = retry_policy::fault_of(decision.end, is_about_us && !self.provider.takes_callers_key());
        self.note_error(fault, error.kind, detail);
        // Keys that are over are refused by Amazon with 403.
        if let (401 | 403, Some(Credential::Token(token))) =
            (retry_policy::meant(status, error.kind).as_u16(), self.provider.credential_of(self.sent.key))
            && self.is_sent_as_held()
            && self.call.named().is_none()
        {
            token.refused(open.endpoint());
        }
        let now = SystemTime::now();
        let after = vendor_limits::told(error.kind, &headers, &body, now);
        let mut headers = headers::back(headers, (dialect, self.call.dialect()));
        retry_after::drop_nonsense(&mut headers, now);
        if let Some(after) = after.filter(|_| !headers.contains_key(RETRY_AFTER)) {
            // Said in the body alone, as Google does, or in words: clients look at the headers.
            errors::say_when(&mut headers, after);
        }
        let said = Box::new(SaidError { error, after });
        let answer = ErrorAnswer { dialect, status, headers, body, said };
        Failure::answered(&decision, (answer, is_about_us), self.provider).with_key(&decision, key.as_ref())
    }

    /// The decision about an error, by whose key it is about.
    fn decided(&self, decision: RetryDecision, kind: ErrorKind) -> RetryDecision {
        let callers = self.provider.takes_callers_key();
        let decision = if callers { retry_policy::with_callers_key(decision, kind) } else { decision };
        repeat::answered(self.call, decision, kind)
    }

    /// The provider said an error where its stream should begin.
    fn said(&self, open: &mut OpenAttempt, error: ProviderError) -> Failure {
        let error = self.secret().out_of_error(error);
        let decision = self.decided(retry_policy::said(&error, &self.target.pool.retry.on), error.kind);
        self.settle_answered(open, decision, self.call.dialect().status(error.kind));
        let detail = format!("provider `{}` said an error where its answer should begin", self.provider.name);
        self.note_error(retry_policy::fault(decision.end), error.kind, detail);
        Failure::in_stream(&decision, error, self.provider).with_key(&decision, open.key())
    }

    fn note_error(&self, fault: ErrorSource, kind: ErrorKind, detail: String) {
        self.call.context.note(|entry| entry.error(fault, kind, Some(detail.into())));
    }

    async fn collect(&self, mut body: UpstreamBody, most: usize) -> Result<(Bytes, Charge), Collected> {
        let (mut buffer, mut charge) = (WriteBuffer::of(&body, most), self.call.context.worker.memory.nothing());
        loop {
            let frame = match futures_util::FutureExt::now_or_never(body.frame()) {
                Some(frame) => frame,
                None => {
                    // A head may come long before the answer behind it is ready.
                    let idle = if buffer.is_empty() { self.deadline } else { Instant::now() + self.times.idle };
                    let until = self.deadline.min(idle);
                    Box::pin(timeout_at(until.into(), body.frame())).await.map_err(|_| Collected::Silent)?
                }
            };
            match frame {
                None => return Ok((buffer.take(), charge)),
                Some(Err(error)) => return Err(Collected::Broken(error.to_string())),
                Some(Ok(frame)) => {
                    if let Ok(data) = frame.into_data() {
                        buffer.push(data);
                    }
                }
            }
            let held = buffer.held();
            if held > UNCOUNTED && held > charge.bytes() {
                charge.set(held, Purpose::of(held)).map_err(Collected::Full)?;
            }
            if buffer.len() > most {
                return Err(Collected::TooLarge);
            }
        }
    }

    /// The failure of a whole answer that was not read to its end.
    fn not_collected(&self, open: &mut OpenAttempt, why: Collected) -> Failure {
        match why {
            Collected::Full(full) => self.no_room(open, full),
            Collected::Silent => self.silent(open, "the answer stopped coming"),
            Collected::TooLarge => {
                let what = format!("an answer of more than {LARGEST_ANSWER} bytes, which is held here in one piece");
                self.failed(open, retry_policy::too_large(), &what)
            }
            Collected::Broken(what) => {
                let decision = repeat::bounded(self.call, retry_policy::cut(&self.target.pool.retry.on));
                self.failed(open, decision, &what)
            }
        }
    }

    fn silent(&self, open: &mut OpenAttempt, what: &str) -> Failure {
        let mut decision = retry_policy::silence(&self.target.pool.retry.on);
        if Instant::now() >= self.deadline {
            // The call's own time is over: that is not this provider's failure alone, and none at all where it has answered
            // others lately.
            decision.retry = Retry::Anywhere;
            let lately = Instant::now().checked_sub(self.times.first_token).unwrap_or(self.now);
            decision.counts_against_circuit = !open.endpoint().has_answered_since(lately);
        }
        self.failed(open, repeat::bounded(self.call, decision), &format!("{what} in time"))
    }

    fn failed(&self, open: &mut OpenAttempt, decision: RetryDecision, what: &str) -> Failure {
        let what = self.secret().out_of_words(what.to_owned());
        self.settle(open, decision);
        // Nothing of the call has reached it.
        if decision.counts_against_circuit && decision.end == AttemptEnd::ConnectFailed {
            open.endpoint().failed_by_itself(Instant::now());
        }
        let (name, kind) = (&self.provider.name, retry_policy::kind(decision.end));
        let (fault, problem) = if decision.end == AttemptEnd::Gateway {
            let message = format!("The gateway can not reach provider `{name}` now: {what}.");
            (ErrorSource::Gateway, Problem::gateway(kind, message).retry(true, Some(OWN_PAUSE)))
        } else {
            (ErrorSource::Upstream, Problem::upstream(kind, format!("Provider `{name}` failed: {what}.")))
        };
        self.call.context.note(|entry| entry.error(fault, problem.kind, Some(problem.message.clone())));
        Failure::nothing(&decision, problem)
    }

    /// The gateway has no memory for what it would hold: no provider's fault, and no other one would help.
    fn no_room(&self, open: &mut OpenAttempt, full: Exhausted) -> Failure {
        open.outcome(Outcome::Neutral, Instant::now());
        open.close(AttemptEnd::Cancelled);
        Failure::no_room(full)
    }

    /// Settles what the provider answered with an error.
    fn settle_answered(&self, open: &mut OpenAttempt, decision: RetryDecision, status: u16) {
        if decision.counts_against_circuit && retry_policy::may_be_provoked(status) {
            self.suspects.borrow_mut().add(open, Instant::now());
        }
        self.settle(open, decision);
        open.tell_of_load(decision, status);
    }

    fn settle(&self, open: &mut OpenAttempt, decision: RetryDecision) {
        let now = Instant::now();
        // A caller's mistake says nothing about the endpoint: with enough of them a circuit would neither open nor close.
        open.outcome(if decision.counts_against_circuit { Outcome::Failure } else { Outcome::Neutral }, now);
        // What is said of a token of before does not stand against the one that is held by now.
        if decision.cooldown != Cooldown::CredentialRefused || self.is_sent_as_held() {
            provider_keys::rest((self.provider, open), decision, now);
        }
        open.close(decision.counted());
    }

    /// True if its provider is still called with what it was sent with.
    fn is_sent_as_held(&self) -> bool {
        self.provider.sent_with(self.sent.key) == self.sent
    }

    /// The time when an answer that flows has to be over.
    fn flows_until(&self) -> Instant {
        self.call.context.arrived + self.times.flowing
    }

    fn terms(&self, recorded: bool) -> StreamTerms {
        let (is_followed, is_rest) = (self.call.is_followed(), self.call.is_for_rest());
        let (idle, deadline) = (self.times.idle, self.flows_until());
        StreamTerms { context: Rc::clone(&self.call.context), idle, deadline, recorded, is_followed, is_rest }
    }

    /// The thing that the provider is called with, which nobody is told.
    fn secret(&self) -> ProviderSecret {
        ProviderSecret::of(self.provider, self.sent.key)
    }

    fn source(&self, body: UpstreamBody, mut attempt: OpenAttempt, dialect: Dialect) -> ProviderSource {
        let unseen = attempt.unseen_usage();
        let parts = self.parts(&mut attempt, dialect);
        ProviderSource {
            body,
            attempt,
            unseen,
            parts,
            provider: Arc::clone(self.provider),
            secret: self.secret(),
            price: self.price().cloned(),
            retry_on: self.target.pool.retry.on.clone(),
            prompt: self.call.prompt_tokens(),
        }
    }
}
