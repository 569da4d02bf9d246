//! A stream from its source to whoever listens: the caller, the cache, those who share a flight, the attempt's meter. No channel;
//! it is polled by whoever writes the answer; where others listen and no caller does, by the worker's background.
//!
//! Everything that is counted rides in here and is given back when the stream ends, is cut, or is dropped: the attempt with its
//! permit and its entry, the connection, the cache's lead.

mod without_caller;

use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use sluicegate_config::RetryOn;
use sluicegate_dialects::hub::{ErrorKind, ProviderError, Usage};
use sluicegate_dialects::{AnsweredBy, Dialect, RefusalWatch};

use crate::account::{AttemptEnd, End, ErrorSource};
use crate::cache::Lead;
use crate::coalescing::Publisher;
use crate::endpoint::Outcome;
use crate::memory::{Charge, Exhausted, Purpose};

use super::cache_listener::CacheListener;
use super::context::CallContext;
use super::continuation::{BrokenOff, Continuation, RestBegun, RestState};
use super::open_attempt::OpenAttempt;
use super::retry_policy;
use super::stream_source::StreamSource;
use super::stream_terms::{FirstToken, Polled, StreamPiece, StreamTerms};
use super::stream_timer::{Due, StreamTimer};
use super::transcoder::Transcoder;
use super::write_buffer::WriteBuffer;

/// The time that the usage of a refusal may take to come behind it.
pub(super) const LAST_WORDS: Duration = Duration::from_millis(500);

/// Frames that are ready together go out as one, up to about this size.
const ENOUGH: usize = 32 << 10;
/// A stream's beginning is held back for its first token up to this size.
const MOST_HELD: usize = 256 << 10;
/// So much of what a stream holds is counted with its call.
const CALLS_OWN: usize = 8 << 10;
/// A provider that has said that the answer is whole, or failed, has this long to end its body.
const CLOSING_GRACE: Duration = Duration::from_secs(1);
/// A provider whose answers have all finished has this long to say what they used, and that this was all.
const USAGE_GRACE: Duration = Duration::from_secs(3);

/// A stream on its way.
pub(super) struct AnswerStream {
    context: Rc<CallContext>,
    source: StreamSource,
    transcoder: Transcoder,
    out: WriteBuffer,
    /// True if the caller listens still.
    caller: bool,
    /// True if nobody listens any longer but for the provider's own count.
    drains: bool,
    /// True if callers who share a flight listen.
    in_flight: bool,
    /// The cache as a listener, if it listens.
    cache: CacheListener,
    /// The memory of what is held back.
    held: Charge,
    /// The rest of what is being handed out.
    going: Bytes,
    clock: StreamTimer,
    /// The time that the source is still listened to: without end, until it has said that it is done.
    timeout: Duration,
    over: Option<StreamEnd>,
    /// Looks whether its beginning is a content filter's refusal, where that is not the caller's yet.
    pub(super) refusals: Option<Box<RefusalWatch>>,
    /// True if it is the rest of an answer.
    is_rest: bool,
    /// True if somebody else may have to go on with it.
    is_followed: bool,
    /// The end that came with the first token, before it was known who would go on.
    early_end: Option<Polled>,
    /// The means to go on elsewhere.
    continuation: Option<Box<Continuation>>,
}

/// The end of the provider's side.
enum StreamEnd {
    Whole,
    /// It failed, and the caller has been told.
    Told,
    /// It failed, and the caller can not be told.
    Cut,
}

impl AnswerStream {
    pub(super) fn new(terms: StreamTerms, source: StreamSource, transcoder: Transcoder) -> Self {
        let StreamTerms { context, idle, deadline, recorded, is_followed, is_rest } = terms;
        let keep_alive = context.comments();
        let [held, recorded_bytes] = [context.worker.memory.nothing(), context.worker.memory.nothing()];
        let cache = CacheListener::new(recorded && transcoder.needs_early(), recorded_bytes);
        Self {
            context,
            source,
            transcoder,
            out: WriteBuffer::default(),
            caller: true,
            drains: false,
            in_flight: false,
            cache,
            held,
            going: Bytes::new(),
            clock: StreamTimer::new((idle, deadline), keep_alive),
            timeout: Duration::MAX,
            over: None,
            refusals: None,
            is_rest,
            is_followed,
            early_end: None,
            continuation: None,
        }
    }

    /// A content filter's refusal in place of an answer of this dialect's is not the caller's yet.
    pub(super) fn catch_refusals(&mut self, provider: Dialect) {
        self.refusals = Some(Box::new(RefusalWatch::new(provider)));
    }

    /// The cache keeps the answer if it comes whole.
    pub(super) fn record(&mut self, lead: Lead) {
        self.cache.begin(lead, &self.transcoder, &mut self.out);
    }

    /// True if what has come is told, though no token is in it: the caller, kept waiting, hears no comment. Nobody else can give the answer
    /// then; but as long as its beginning may be a refusal it is held.
    fn tells_early(&self) -> bool {
        self.context.wants_events() && self.transcoder.has_begun() && self.refusals.is_none() && !self.is_rest
    }

    /// Waits for the first token; everything before it is held.
    pub(super) fn poll_first_token(&mut self, retry_on: &RetryOn, cx: &mut Context<'_>) -> Poll<FirstToken> {
        loop {
            let pulled = self.pull(cx);
            if let Some(error) = self.transcoder.error().filter(|_| !self.transcoder.first_token()) {
                return Poll::Ready(FirstToken::Said(error.clone()));
            }
            if self.refusals.as_ref().is_some_and(|watch| watch.is_refusal()) {
                return Poll::Ready(FirstToken::Said(ProviderError::content_refusal()));
            }
            let token = self.transcoder.first_token() && !self.refusals.as_ref().is_some_and(|watch| watch.is_open());
            // Comments and what has no end count too.
            let waits = !token && self.cache.total() <= MOST_HELD && !self.tells_early();
            match pulled {
                Polled::Full(full) => return Poll::Ready(FirstToken::Full(full)),
                Polled::End if !token => return Poll::Ready(self.ended_before_first_token(retry_on)),
                Polled::Broken(what) if !token => {
                    return Poll::Ready(FirstToken::Broken(retry_policy::cut(retry_on), what));
                }
                Polled::Some if waits => {}
                Polled::Nothing if waits => return Poll::Pending,
                pulled => {
                    match pulled {
                        Polled::Some | Polled::Nothing => {}
                        ended if self.is_followed => self.early_end = Some(ended),
                        ended => self.conclude(ended),
                    }
                    return Poll::Ready(FirstToken::Ready);
                }
            }
        }
    }

    /// A body that ended: cut, or whole without a token or a reason to end, which is no answer either.
    fn ended_before_first_token(&mut self, retry_on: &RetryOn) -> FirstToken {
        let finished = self.finish();
        if let Some(watch) = &mut self.refusals {
            watch.finish();
            if watch.is_refusal() {
                return FirstToken::Said(ProviderError::content_refusal());
            }
        }
        match finished {
            // The reason to end is all that it says, and it is told at the end: the prompt was refused, or thoughts took all tokens.
            Ok(true) if self.transcoder.first_token() && self.transcoder.error().is_none() => {
                self.whole();
                FirstToken::Ready
            }
            Ok(true) => FirstToken::Broken(retry_policy::malformed(), "a stream without an answer in it".to_owned()),
            Ok(false) => {
                FirstToken::Broken(retry_policy::cut(retry_on), "the stream ended before its first token".to_owned())
            }
            Err(what) => FirstToken::Broken(retry_policy::malformed(), what),
        }
    }

    /// Waits for the usage of an answer that is given up, or for its end.
    pub(super) fn poll_usage(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            match self.pull(cx) {
                Polled::Some if self.usage(false).is_none() => {}
                Polled::Nothing => return Poll::Pending,
                _ => return Poll::Ready(()),
            }
        }
    }

    /// The usage that the provider has said so far; `last`: where it may have used no more than that.
    pub(super) fn usage(&self, last: bool) -> Option<Usage> {
        self.transcoder.usage().filter(|_| !last || !self.source.hides_usage(&self.transcoder))
    }

    /// The models behind the answer as far as it has come, where they are watched for.
    pub(super) fn answered_by(&self) -> Option<AnsweredBy> {
        self.transcoder.answered_by()
    }

    /// It can go on elsewhere by these means.
    pub(super) fn may_go_on(&mut self, continuation: Box<Continuation>) {
        self.continuation = Some(continuation);
    }

    /// The rest of an answer, for the stream that tells it.
    pub(super) fn into_rest(mut self: Box<Self>) -> Option<RestBegun> {
        let state = match self.over.replace(StreamEnd::Told) {
            None => RestState::GoesOn,
            Some(StreamEnd::Whole) => RestState::Whole,
            Some(StreamEnd::Told | StreamEnd::Cut) => RestState::Cut,
        };
        let source = std::mem::replace(&mut self.source, StreamSource::Kept(Bytes::new()));
        let rest = self.transcoder.take_rest(self.context.caller.dialect)?;
        Some(RestBegun { source, rest, asked: false, state })
    }

    /// The attempt that it belongs to, where a provider is asked for it.
    pub(super) fn attempt(&mut self) -> Option<&mut OpenAttempt> {
        self.source.attempt()
    }

    /// True if it is another call's answer, read along.
    pub(super) const fn is_shared(&self) -> bool {
        self.source.is_shared()
    }

    /// Gives what goes out to those who share the flight, if there is one. Without memory for them it is cut.
    fn hand_over(&mut self, flight: &mut Option<Publisher>) {
        let out = self.out.take();
        if flight.as_ref().is_some_and(|flight| flight.push(out).is_err()) {
            *flight = None;
        }
        self.note_held();
    }

    /// The next bytes for the caller.
    pub(super) fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<StreamPiece> {
        if self.over.is_none() && self.context.worker.ledger.is_cutting() {
            self.late();
        }
        while self.going.is_empty() && self.over.is_none() && self.out.len() < ENOUGH {
            match self.pull(cx) {
                // A provider that always has something, and a caller that is slow, have the call's time and no more.
                Polled::Some if self.clock.total_is_over() => self.late(),
                Polled::Some => {}
                Polled::Nothing if !self.out.is_empty() => break,
                Polled::Nothing => match std::task::ready!(self.clock.poll(cx, self.timeout)) {
                    Due::Late => self.late(),
                    Due::Comment => {
                        let comment = self.keep_alive();
                        self.context.note(|entry| entry.bytes_out(comment.len() as u64));
                        return Poll::Ready(StreamPiece::Bytes(comment));
                    }
                },
                ended => self.conclude(ended),
            }
        }
        Poll::Ready(self.hand_out())
    }

    /// The bytes that tell a caller that a silent stream goes on.
    fn keep_alive(&mut self) -> Bytes {
        let mut comment = Vec::new();
        if self.transcoder.keep_alive(&mut comment) { comment.into() } else { self.context.keep_alive() }
    }

    /// The next piece of what is ready.
    fn hand_out(&mut self) -> StreamPiece {
        if self.going.is_empty() && !self.out.is_empty() {
            self.going = self.context.worker.memory.nothing().hold(self.out.take());
            self.clock.told(self.transcoder.is_between(&self.going));
            self.note_held();
        }
        let piece = self.going.split_to(self.going.len().min(ENOUGH));
        self.context.note(|entry| entry.bytes_out(piece.len() as u64));
        match self.over {
            _ if !piece.is_empty() => StreamPiece::Bytes(piece),
            Some(StreamEnd::Cut) => StreamPiece::Cut,
            _ => StreamPiece::End,
        }
    }

    /// True if there is nothing more to come.
    pub(super) fn is_over(&self) -> bool {
        self.going.is_empty() && self.out.is_empty() && matches!(self.over, Some(StreamEnd::Whole | StreamEnd::Told))
    }

    fn pull(&mut self, cx: &mut Context<'_>) -> Polled {
        if self.over.is_some() {
            return Polled::Nothing;
        }
        if let Some(end) = self.early_end.take() {
            return end;
        }
        if let Some(continuation) = self.continuation.as_mut().filter(|continuation| continuation.is_asking()) {
            return match continuation.poll(cx) {
                Poll::Pending => Polled::Nothing,
                Poll::Ready(begun) => self.resumed(begun),
            };
        }
        match self.source.poll(cx) {
            Poll::Pending => Polled::Nothing,
            Poll::Ready(None) => Polled::End,
            Poll::Ready(Some(Err(what))) => Polled::Broken(what),
            Poll::Ready(Some(Ok(data))) => {
                self.clock.heard();
                if data.is_empty() {
                    return Polled::Some;
                }
                self.refusals.iter_mut().for_each(|watch| watch.push(&data));
                let (data, reframed) = self.transcoder.reframed(data);
                let fed = self.feed(data).and(reframed);
                if self.transcoder.error_is_held() {
                    return Polled::Broken("the provider said an error in mid-answer".to_owned());
                }
                self.notice_the_end();
                match fed {
                    Ok(()) => self.charge_held().map_or_else(Polled::Full, |()| Polled::Some),
                    Err(what) => Polled::Broken(self.source.wrong(what)),
                }
            }
        }
    }

    /// Takes bytes as the caller is given them, and whoever else listens.
    fn feed(&mut self, data: Bytes) -> Result<(), String> {
        if data.is_empty() {
            return Ok(());
        }
        self.cache.came(&data);
        self.transcoder.feed(data, &mut self.out, self.cache.recorder())
    }

    /// The provider's bytes have come to their clean end. Says whether the answer is whole.
    fn finish(&mut self) -> Result<bool, String> {
        let rest = self.transcoder.held_back();
        self.feed(rest)?;
        let finished = self.transcoder.finish(&mut self.out, self.cache.recorder());
        finished.map_err(|what| self.source.wrong(what))
    }

    /// Counts what is held back: unfinished events, the beginning of a stream.
    fn charge_held(&mut self) -> Result<(), Exhausted> {
        let held = self.transcoder.held() + self.out.held() + self.cache.held();
        if held <= CALLS_OWN && self.held.bytes() == 0 {
            return Ok(());
        }
        self.held.set(held, Purpose::of(held))
    }

    /// Less is held: that is never refused.
    fn note_held(&mut self) {
        if self.held.bytes() > 0 {
            let _ = self.charge_held();
        }
    }

    /// Once the provider has said that it is done, its time is short.
    fn notice_the_end(&mut self) {
        let timeout = match () {
            () if self.transcoder.ended() || self.transcoder.error().is_some() => CLOSING_GRACE,
            () if self.transcoder.finished() => USAGE_GRACE,
            () => return,
        };
        if timeout < self.timeout {
            self.timeout = timeout;
            self.clock.at_most(timeout);
        }
    }

    /// The provider's side has ended, after the first token.
    fn conclude(&mut self, pulled: Polled) {
        let broken = match pulled {
            Polled::Some | Polled::Nothing => return,
            Polled::Full(full) => {
                self.source.outcome(Outcome::Neutral);
                return self.cut(ErrorKind::Overloaded, AttemptEnd::Cancelled, full.to_string());
            }
            Polled::Broken(what) => Some(what),
            Polled::End => match self.finish() {
                Ok(true) => None,
                Ok(false) => Some("the stream ended without its last event".to_owned()),
                Err(what) => Some(what),
            },
        };
        match broken {
            None if self.transcoder.error().is_none() => self.whole(),
            // What was cut after the provider had said that the answer is whole, is whole.
            Some(_) if self.transcoder.ended() && self.transcoder.error().is_none() => self.whole(),
            Some(_) if self.transcoder.finished() && self.transcoder.error().is_none() => self.complete(),
            broken => self.cut_or_said(broken.unwrap_or_default()),
        }
    }

    /// The stream broke, or said an error: a limit or the caller's own mistake does not count against its endpoint.
    fn cut_or_said(&mut self, what: String) {
        let end = self.source.end_of(self.transcoder.error());
        if matches!(end, AttemptEnd::ClientError | AttemptEnd::RateLimited) {
            self.source.outcome(Outcome::Neutral);
        }
        self.break_off(ErrorKind::BadGateway, end, what);
    }

    /// The provider's side broke off: somebody else is asked to go on, where that may be; else the stream is cut.
    fn break_off(&mut self, kind: ErrorKind, end: AttemptEnd, what: String) {
        // Whom nobody listens to any longer, nobody goes on for.
        let may = self.caller || self.in_flight;
        let said = self.transcoder.said().filter(|_| may);
        let call = self.continuation.as_ref().zip(said).and_then(|(means, said)| means.call_for_rest(said));
        let Some((call, mut continuation)) = call.and_then(|call| Some((call, self.continuation.take()?))) else {
            return self.cut(kind, end, what);
        };
        let (message, broke) = (self.source.broke_off(&what), self.source.provider().cloned());
        continuation.used(self.source.settle(Outcome::Failure, end, &self.transcoder));
        // Of two halves that two models have said the cache keeps nothing.
        self.cache.cut();
        self.source = StreamSource::Kept(Bytes::new());
        continuation.begin(call, broke, BrokenOff { kind, end, what, message });
        self.continuation = Some(continuation);
        self.timeout = Duration::MAX;
        self.clock.heard();
    }

    /// Somebody gives the rest, or nobody does.
    fn resumed(&mut self, begun: Result<RestBegun, Option<BrokenOff>>) -> Polled {
        let begun = match begun {
            Ok(begun) => begun,
            Err(was) => {
                was.into_iter().for_each(|was| self.give_up(was));
                return Polled::Some;
            }
        };
        let Some((call, before)) =
            self.continuation.as_ref().map(|means| (Rc::clone(means.call()), means.used_before()))
        else {
            return Polled::Nothing;
        };
        let RestBegun { source, rest, asked, state } = begun;
        self.transcoder.go_on(&call, (rest, asked), before, &mut self.out);
        self.source = source;
        self.clock.heard();
        match state {
            RestState::GoesOn => {
                self.notice_the_end();
                self.charge_held().map_or_else(Polled::Full, |()| Polled::Some)
            }
            RestState::Whole => Polled::End,
            RestState::Cut => Polled::Broken("the stream ended without its last event".to_owned()),
        }
    }

    /// Nobody goes on: the stream ends as it broke off.
    fn give_up(&mut self, was: BrokenOff) {
        let BrokenOff { kind, end, what, message } = was;
        self.end_cut((kind, end), what, message);
    }

    /// The provider was silent for too long, or the call's whole time is over.
    fn late(&mut self) {
        if let Some(was) = self.continuation.as_mut().and_then(|continuation| continuation.give_up()) {
            return self.give_up(was);
        }
        if self.transcoder.error().is_some() {
            return self.cut_or_said(String::new());
        }
        if self.transcoder.ended() {
            return self.whole();
        }
        if self.transcoder.finished() {
            return self.complete();
        }
        if self.context.worker.ledger.is_cutting() {
            self.source.outcome(Outcome::Neutral);
            return self.cut(ErrorKind::Overloaded, AttemptEnd::TimedOut, "the gateway stopped".to_owned());
        }
        if self.clock.idle_is_over() {
            return self.break_off(
                ErrorKind::Timeout,
                AttemptEnd::TimedOut,
                "timeout, the provider fell silent in mid-answer".to_owned(),
            );
        }
        // It spoke until the caller's time was over: that says nothing against it.
        self.source.outcome(Outcome::Neutral);
        let what = "the call took longer than its total timeout";
        self.cut(ErrorKind::Timeout, AttemptEnd::TimedOut, what.to_owned());
    }

    /// All is there, and the provider does not say that it is.
    fn complete(&mut self) {
        if self.transcoder.usage().is_none() {
            // It was about to say what it has used.
            self.source.note_usage(&self.transcoder, false);
        }
        self.transcoder.complete(&mut self.out, self.cache.recorder());
        self.whole();
    }

    fn whole(&mut self) {
        self.source.settle(Outcome::Success, AttemptEnd::Success, &self.transcoder);
        self.cache.finish(self.transcoder.usage());
        self.over = Some(StreamEnd::Whole);
    }

    fn cut(&mut self, kind: ErrorKind, end: AttemptEnd, what: String) {
        let message = self.source.broke_off(&what);
        self.source.settle(Outcome::Failure, end, &self.transcoder);
        self.end_cut((kind, end), what, message);
    }

    /// It ends here, and is not whole: the caller is told so.
    fn end_cut(&mut self, (kind, end): (ErrorKind, AttemptEnd), what: String, message: String) {
        if self.is_rest {
            self.over = Some(StreamEnd::Cut);
            return;
        }
        self.cache.cut();
        // An error that the provider said itself has passed already.
        let told = if self.transcoder.error().is_some() {
            self.transcoder.close_after_error(&mut self.out);
            true
        } else {
            let error = ProviderError { kind, message, r#type: None, code: None, param: None };
            self.transcoder.write_error(&error, &mut self.out)
        };
        self.over = Some(if told { StreamEnd::Told } else { StreamEnd::Cut });
        let fault = if kind == ErrorKind::Overloaded { ErrorSource::Gateway } else { ErrorSource::Upstream };
        let pending = if self.caller { self.out.len() as u64 } else { 0 };
        self.context.note(|entry| {
            entry.bytes_out(pending);
            entry.error(fault, kind, Some(what.into()));
        });
        self.context.close(if end == AttemptEnd::TimedOut { End::TimedOut } else { End::UpstreamCut });
    }
}

impl Drop for AnswerStream {
    fn drop(&mut self) {
        // Nobody listens any longer: what was used until then is still counted.
        if self.over.is_none() {
            self.source.note_usage(&self.transcoder, self.transcoder.ended());
        }
    }
}
