//! One attempt at one provider: sent, judged, and held back until it is known to be good.

use std::future::poll_fn;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::header::{CONTENT_ENCODING, CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderMap, HeaderValue, Response, StatusCode, response};
use http_body_util::BodyExt;
use sluicegate_config::Price;
use sluicegate_dialects::hub::{ErrorKind, ProviderError, Usage};
use sluicegate_dialects::{Dialect, Refusal, fold, tap};
use tokio::time::timeout_at;

use crate::account::{AttemptEnd, End, Fault};
use crate::cache::Lead;
use crate::endpoint::{Outcome, Permit};
use crate::errors::{Problem, X_REQUEST_ID, X_SHOULD_RETRY};
use crate::memory::{Charge, Exhausted, Purpose, UNCOUNTED};
use crate::state::{Pool, Provider, Rule, Target};
use crate::upstream::{Kind, SendLimits, UpstreamBody};

use super::asked::Asked;
use super::caller::{Errand, comes_back};
use super::exchange::{Exchange, Whole};
use super::flow::{Flow, Held, Terms};
use super::gather::Gather;
use super::judge::{self, Retry, Verdict};
use super::lane::Lane;
use super::outgoing::{self, Outgoing};

/// A translated call is there so many times more: in neutral words twice, and once in the provider's.
const CALL_TRANSLATED: usize = 3;
/// While a whole answer is translated it is there so many times more.
const TRANSLATED: usize = 2;
/// A whole answer larger than this is refused: it would be held here in one piece.
const LARGEST_ANSWER: usize = 64 << 20;
/// The most of a provider's error body that is read, and how long it may take.
const LARGEST_ERROR: usize = 256 << 10;
const ERROR_PATIENCE: Duration = Duration::from_secs(5);
/// When a caller is to come again whose call the gateway itself had no means for.
const OWN_PAUSE: Duration = Duration::from_secs(1);
/// The id that the provider gave the call, where it has one; ours is in `x-request-id`.
const X_UPSTREAM_REQUEST_ID: http::HeaderName = http::HeaderName::from_static("x-upstream-request-id");

/// The timeouts of a pool under a rule.
#[derive(Debug, Clone, Copy)]
pub(super) struct Times {
    pub(super) connect: Duration,
    pub(super) first_token: Duration,
    pub(super) idle: Duration,
    pub(super) total: Duration,
}

impl Times {
    pub(super) fn of(rule: &Rule, pool: &Pool) -> Self {
        Self {
            connect: pool.timeouts.connect.get(),
            first_token: rule.timeouts.first_token.unwrap_or(pool.timeouts.first_token).get(),
            idle: rule.timeouts.idle.unwrap_or(pool.timeouts.idle).get(),
            total: rule.timeouts.total.unwrap_or(pool.timeouts.total).get(),
        }
    }
}

/// An attempt.
pub(super) struct Once<'a> {
    pub(super) asked: &'a Asked<'a>,
    pub(super) target: Target<'a>,
    pub(super) provider: &'a Arc<Provider>,
    pub(super) times: Times,
    /// When it begins.
    pub(super) now: Instant,
    /// When the whole call has to be over.
    pub(super) deadline: Instant,
}

/// What went wrong with an attempt.
pub(super) struct Failure {
    pub(super) retry: Retry,
    said: Said,
}

enum Said {
    /// The provider answered with an error.
    Error { dialect: Dialect, status: StatusCode, headers: HeaderMap, body: Bytes, provider: Arc<Provider> },
    /// The provider gave no answer.
    Nothing(Problem),
    /// The call can not be put into the provider's dialect.
    Refused(Refusal),
}

impl Once<'_> {
    /// Runs the attempt. The lead is taken by the answer that is given.
    ///
    /// # Errors
    /// It gave no answer that the caller can have.
    pub(super) async fn run(self, mut permit: Permit, lead: &mut Option<Lead>) -> Result<Exchange, Failure> {
        let model = outgoing::model(self.asked, self.target, self.provider);
        self.asked.ticket.busy.last_until(self.deadline);
        let outgoing = self.write(model, &mut permit)?;
        self.asked.ticket.note(|entry| {
            entry.attempt(self.provider.ix, self.now);
            entry.sent(Some(&self.provider.address), outgoing.dialect, model);
            entry.dropped_fields(outgoing.dropped);
        });
        self.asked.ticket.clamp(outgoing.clamped);
        let Outgoing { dialect, usage_is_ours, .. } = outgoing;
        let until = self.deadline.min(self.now + self.times.first_token);
        let limits = SendLimits { connect: self.times.connect, until, now: self.now };
        let make = || outgoing.request(self.asked, self.provider);
        let response = match self.asked.ticket.worker.client.send(&self.provider.origin, make, limits).await {
            Ok(response) => response,
            Err(error) if error.kind == Kind::Late => return Err(self.silent(&mut permit, "no answer")),
            Err(error) => {
                let verdict = judge::send(&error, &self.target.pool.retry.on);
                tracing::debug!(provider = self.provider.name, %error, "an attempt failed");
                if error.kind == Kind::Exhausted {
                    self.asked.ticket.worker.shed();
                }
                let what = match error.kind {
                    // What came was no HTTP, and what was wrong with it says more than that.
                    Kind::Protocol => format!("its answer can not be read ({})", error.detail),
                    kind => format!("{} {}", error.phase.as_str(), kind.as_str()),
                };
                return Err(self.failed(&mut permit, verdict, &what));
            }
        };
        if response.status() != StatusCode::OK {
            // Boxed: every call's future would have room for it.
            return Err(Box::pin(self.error_answer(response, dialect, &mut permit)).await);
        }
        // Clients read a stream whatever it is called, and some providers call theirs plain text, or nothing.
        let streamed = self.asked.streams() && !is_json(response.headers());
        if streamed {
            let lane = Lane::new(self.asked, dialect, usage_is_ours);
            Box::pin(self.stream(response, lane, (permit, until), lead)).await
        } else {
            self.whole(response, dialect, permit, lead).await
        }
    }

    /// The request, whose copies of the caller's body are counted.
    fn write(&self, model: &str, permit: &mut Permit) -> Result<Outgoing, Failure> {
        let translated = self.provider.speaks(self.asked.dialect()) != self.asked.dialect();
        let room = if translated { self.asked.charge_copies(CALL_TRANSLATED) } else { Ok(()) };
        room.map_err(|full| self.no_room(permit, full))?;
        let outgoing = outgoing::write(self.asked, model, self.provider)
            .map_err(|refusal| Failure { retry: Retry::Elsewhere, said: Said::Refused(refusal) })?;
        let room = if outgoing.is_copy(self.asked) { self.asked.charge_copies(1) } else { Ok(()) };
        room.map_err(|full| self.no_room(permit, full))?;
        Ok(outgoing)
    }

    /// A stream is given to the caller from its first token on; until then it is held, and its failure saved.
    async fn stream(
        self,
        response: Response<UpstreamBody>,
        lane: Lane,
        (permit, until): (Permit, Instant),
        lead: &mut Option<Lead>,
    ) -> Result<Exchange, Failure> {
        let (head, body) = response.into_parts();
        let mut flow = Box::new(Flow::new(self.terms(lead.is_some()), body, lane, permit));
        let held = timeout_at(until.into(), poll_fn(|cx| flow.poll_first_token(cx))).await;
        let failed = match held {
            Ok(Held::Ready) => {
                let now = Instant::now();
                self.asked.ticket.note(|entry| {
                    entry.upstream_head(now);
                    entry.first_token(now);
                });
                lead.take().into_iter().for_each(|lead| flow.record(lead));
                let mut headers = answer_headers(head.headers);
                if !is_event_stream(&headers) {
                    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
                }
                return Ok(Exchange::Stream(headers, flow));
            }
            Err(_) => None,
            Ok(Held::Broken(verdict, what)) => Some((verdict, what)),
            Ok(Held::Full(full)) => return Err(self.no_room(flow.permit(), full)),
        };
        Err(match failed {
            None => self.silent(flow.permit(), "no first token"),
            Some((verdict, what)) => self.failed(flow.permit(), verdict, &what),
        })
    }

    /// A whole answer is read to its end before the caller sees any of it: until then it can be asked for elsewhere.
    async fn whole(
        self,
        response: Response<UpstreamBody>,
        dialect: Dialect,
        mut permit: Permit,
        lead: &mut Option<Lead>,
    ) -> Result<Exchange, Failure> {
        let now = Instant::now();
        self.asked.ticket.note(|entry| entry.upstream_head(now));
        let (head, body) = response.into_parts();
        let (body, mut charge) = match self.collect(body, LARGEST_ANSWER).await {
            Ok(collected) => collected,
            Err(Collected::Full(full)) => return Err(self.no_room(&mut permit, full)),
            Err(Collected::Silent) => return Err(self.silent(&mut permit, "the answer stopped coming")),
            Err(Collected::Broken(what)) => {
                let verdict = judge::cut(&self.target.pool.retry.on);
                return Err(self.failed(&mut permit, verdict, &what));
            }
        };
        let translated = dialect != self.asked.dialect() || self.asked.streams();
        if translated && body.len() > UNCOUNTED {
            let bytes = body.len() * TRANSLATED;
            if let Err(full) = charge.grow(bytes, Purpose::of(bytes)) {
                return Err(self.no_room(&mut permit, full));
            }
        }
        let said = self.read_whole(dialect, &body);
        let (ours, streamed) = match said {
            Ok(ours) => ours,
            Err(what) => {
                let what = format!("an answer that is not its dialect's: {what}");
                return Err(self.failed(&mut permit, judge::malformed(), &what));
            }
        };
        // The window of a circuit is of seconds: the time of the answer's head is near enough.
        permit.outcome(Outcome::Success, now);
        self.asked.ticket.note(|entry| entry.attempt_ended(AttemptEnd::Success));
        if let Some(lead) = lead.take()
            && !streamed
        {
            lead.whole(head.status.as_u16(), &ours);
        }
        let mut headers = answer_headers(head.headers);
        headers.insert(
            CONTENT_TYPE,
            HeaderValue::from_static(if streamed { "text/event-stream" } else { "application/json" }),
        );
        // What the translation took is given back; what goes out is counted until it has.
        let _ = charge.set(body.len().min(charge.bytes()), Purpose::Call);
        drop(body);
        Ok(Exchange::Whole(Whole { status: head.status, headers, body: charge.hold(ours), end: End::Done }))
    }

    /// The answer in the caller's dialect, and whether it is an event stream. Usage is counted on the way.
    fn read_whole(&self, dialect: Dialect, body: &Bytes) -> Result<(Bytes, bool), String> {
        let asked = self.asked;
        if *asked.errand == Errand::CountTokens {
            return Ok((body.clone(), false));
        }
        if dialect == asked.dialect() && !asked.streams() {
            let usage = tap::usage_of_whole(dialect, body).map_err(|error| error.message)?;
            // What says no usage may be no answer, but an error under status 200.
            if usage.is_none() {
                tap::is_answer(dialect, body).map_err(|error| error.message)?;
            }
            self.count(usage, None);
            return Ok((body.clone(), false));
        }
        let mut reply = dialect.decode_reply(body).map_err(|error| {
            // A provider's error under status 200 says more than what is missing in it.
            tap::is_answer(dialect, body).err().unwrap_or(error).message
        })?;
        // Where the provider's dialect has no word for it, it is made now.
        reply.created = reply.created.or_else(super::lane::now);
        self.count(reply.usage, Some(&reply.model));
        if !asked.streams() {
            return Ok((asked.dialect().encode_reply(&reply).into(), false));
        }
        // Asked for a stream, this provider answered whole.
        let tell = |whole: &[u8]| fold::tell(asked.dialect(), whole, asked.sees_usage());
        let told = if dialect == asked.dialect() { tell(body) } else { None };
        let told = told.or_else(|| tell(&asked.dialect().encode_reply(&reply)));
        told.map(|told| (told.into(), true)).ok_or_else(|| "a stream has no words for it".to_owned())
    }

    fn count(&self, usage: Option<Usage>, model: Option<&str>) {
        let price = self.price();
        self.asked.ticket.note(|entry| {
            model.into_iter().for_each(|model| entry.answered_model(model));
            usage.into_iter().for_each(|usage| entry.usage(usage, price));
        });
    }

    fn price(&self) -> Option<&Price> {
        self.provider.models.get(outgoing::routed_model(self.asked, self.target))?.price.as_ref()
    }

    /// The provider's error, read as far as is reasonable.
    async fn error_answer(&self, response: Response<UpstreamBody>, dialect: Dialect, permit: &mut Permit) -> Failure {
        let (response::Parts { status, headers, .. }, body) = response.into_parts();
        let verdict = judge::status(status, &headers, &self.target.pool.retry.on);
        let read = tokio::time::timeout(ERROR_PATIENCE, self.collect(body, LARGEST_ERROR)).await;
        let body = read.ok().and_then(Result::ok).map(|(body, charge)| charge.hold(body)).unwrap_or_default();
        let error = dialect.decode_error(status.as_u16(), &body);
        self.settle(permit, verdict);
        let detail = format!("provider `{}` answered {}", self.provider.name, status.as_u16());
        let fault = if verdict.retry == Retry::No { Fault::Client } else { Fault::Upstream };
        self.asked.ticket.note(|entry| entry.error(fault, error.kind, Some(detail.into())));
        let headers = answer_headers(headers);
        let provider = Arc::clone(self.provider);
        Failure { retry: verdict.retry, said: Said::Error { dialect, status, headers, body, provider } }
    }

    async fn collect(&self, mut body: UpstreamBody, most: usize) -> Result<(Bytes, Charge), Collected> {
        let (mut gather, mut charge) = (Gather::default(), self.asked.ticket.worker.memory.nothing());
        loop {
            let frame = match futures_util::FutureExt::now_or_never(body.frame()) {
                Some(frame) => frame,
                None => {
                    let until = self.deadline.min(Instant::now() + self.times.idle);
                    Box::pin(timeout_at(until.into(), body.frame())).await.map_err(|_| Collected::Silent)?
                }
            };
            match frame {
                None => return Ok((gather.take(), charge)),
                Some(Err(error)) => return Err(Collected::Broken(error.to_string())),
                Some(Ok(frame)) => {
                    if let Ok(data) = frame.into_data() {
                        gather.push(data);
                    }
                }
            }
            let held = gather.held();
            if held > UNCOUNTED && held > charge.bytes() {
                charge.set(held, Purpose::of(held)).map_err(Collected::Full)?;
            }
            if gather.len() > most {
                return Err(Collected::Broken(format!("an answer of more than {most} bytes")));
            }
        }
    }

    fn silent(&self, permit: &mut Permit, what: &str) -> Failure {
        let total = Instant::now() >= self.deadline;
        let mut verdict = judge::silence(&self.target.pool.retry.on);
        if total {
            // The call's own time is over: that is not this provider's failure alone.
            verdict.retry = Retry::Anywhere;
        }
        self.failed(permit, verdict, &format!("{what} in time"))
    }

    fn failed(&self, permit: &mut Permit, verdict: Verdict, what: &str) -> Failure {
        self.settle(permit, verdict);
        let (name, kind) = (&self.provider.name, judge::kind(verdict.end));
        let (fault, problem) = if verdict.end == AttemptEnd::Gateway {
            let message = format!("The gateway can not reach provider `{name}` now: {what}.");
            (Fault::Gateway, Problem::gateway(kind, message).retry(true, Some(OWN_PAUSE)))
        } else {
            (Fault::Upstream, Problem::upstream(kind, format!("Provider `{name}` failed: {what}.")))
        };
        self.asked.ticket.note(|entry| entry.error(fault, problem.kind, Some(problem.message.clone())));
        Failure { retry: verdict.retry, said: Said::Nothing(problem) }
    }

    /// The gateway has no memory for what it would hold: no provider's fault, and no other one would help.
    fn no_room(&self, permit: &mut Permit, full: Exhausted) -> Failure {
        permit.outcome(Outcome::Neutral, Instant::now());
        self.asked.ticket.note(|entry| entry.attempt_ended(AttemptEnd::Cancelled));
        Failure { retry: Retry::No, said: Said::Nothing(full.into()) }
    }

    fn settle(&self, permit: &mut Permit, verdict: Verdict) {
        let now = Instant::now();
        let outcome = match (verdict.blame, verdict.end) {
            (true, _) => Outcome::Failure,
            (false, AttemptEnd::ClientError) => Outcome::Success,
            (false, _) => Outcome::Neutral,
        };
        permit.outcome(outcome, now);
        if let Some(pause) = verdict.pause {
            permit.endpoint().cool_down(now + pause);
        }
        self.asked.ticket.note(|entry| entry.attempt_ended(verdict.end));
    }

    fn terms(&self, recorded: bool) -> Terms {
        Terms {
            ticket: self.ticket(),
            provider: Arc::clone(self.provider),
            price: self.price().copied(),
            idle: self.times.idle,
            deadline: self.deadline,
            retry_on: self.target.pool.retry.on.clone(),
            recorded,
        }
    }

    fn ticket(&self) -> Rc<super::ticket::Ticket> {
        Rc::clone(self.asked.ticket)
    }
}

/// Why a body was not read to its end.
enum Collected {
    Silent,
    Full(Exhausted),
    Broken(String),
}

impl Failure {
    /// What the caller is told. `exhausted`: the gateway has tried what it could, and its caller's SDK need not.
    ///
    /// # Errors
    /// There is no provider's answer to pass on.
    pub(super) fn into_answer(self, asked: &Asked<'_>, exhausted: bool) -> Result<Exchange, Problem> {
        match self.said {
            Said::Nothing(problem) => Err(problem),
            Said::Refused(refusal) => Err(refusal.into()),
            Said::Error { status, provider, .. } if matches!(status.as_u16(), 401..=403) => {
                let message = format!(
                    "Provider `{}` refused the gateway's credential (status {}); the operator of this gateway has to look after it.",
                    provider.name,
                    status.as_u16()
                );
                Err(Problem::gateway(ErrorKind::BadGateway, message).retry(false, None))
            }
            // Only an error is passed on: a redirect would send the caller, and its key, somewhere else.
            Said::Error { status, provider, .. } if !(status.is_client_error() || status.is_server_error()) => {
                let message = format!(
                    "Provider `{}` answered with status {}, which is neither an answer nor an error.",
                    provider.name,
                    status.as_u16()
                );
                Err(Problem::upstream(ErrorKind::BadGateway, message))
            }
            Said::Error { dialect, status, headers, body, .. } => {
                Ok(pass_on(asked, (dialect, status, headers, body), exhausted))
            }
        }
    }
}

/// A provider's error in the caller's dialect: its own bytes where that is the same.
fn pass_on(
    asked: &Asked<'_>,
    (dialect, status, mut headers, body): (Dialect, StatusCode, HeaderMap, Bytes),
    exhausted: bool,
) -> Exchange {
    let same = dialect == asked.dialect() && !body.is_empty();
    let error: ProviderError = dialect.decode_error(status.as_u16(), &body);
    let (status, body) = if same {
        (status, body)
    } else {
        let id = asked.ticket.caller.request_id.to_str().unwrap_or_default();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.remove(CONTENT_ENCODING);
        let code = asked.dialect().status(error.kind);
        (StatusCode::from_u16(code).unwrap_or(status), asked.dialect().encode_error(&error, id).into())
    };
    // When the provider says when to come again, the SDK may; else the gateway's own retries were enough.
    if exhausted && !headers.contains_key(RETRY_AFTER) {
        headers.insert(X_SHOULD_RETRY, HeaderValue::from_static("false"));
    }
    let end = if exhausted { End::Failed } else { End::Refused };
    Exchange::Whole(Whole { status, headers, body, end })
}

/// The provider's headers, less what belongs to its connection.
fn answer_headers(mut from: HeaderMap) -> HeaderMap {
    if let Some(id) = from.remove(X_REQUEST_ID) {
        from.insert(X_UPSTREAM_REQUEST_ID, id);
    }
    // There are few such names, and each goes with all of its values.
    while let Some(stays) = from.keys().find(|name| !comes_back(name)).cloned() {
        from.remove(stays);
    }
    from
}

fn is_event_stream(headers: &HeaderMap) -> bool {
    media_type(headers).eq_ignore_ascii_case(b"text/event-stream")
}

fn is_json(headers: &HeaderMap) -> bool {
    let kind = media_type(headers);
    let end = kind.get(kind.len().saturating_sub(4)..).unwrap_or_default();
    end.eq_ignore_ascii_case(b"json")
}

/// The content type without its parameters; empty when none is said.
fn media_type(headers: &HeaderMap) -> &[u8] {
    let kind = headers.get(CONTENT_TYPE).map(HeaderValue::as_bytes).unwrap_or_default();
    kind.split(|byte| *byte == b';').next().unwrap_or_default().trim_ascii()
}
