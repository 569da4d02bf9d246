//! A stream from a provider to a caller: no task, no channel; polled by whoever writes the answer.
//!
//! Everything that is counted rides in here and is given back when the stream ends, is cut, or is dropped: the permit,
//! the ledger's entry, the connection, the cache's lead.

use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http_body::Body;
use sluicegate_config::{Price, RetryOn};
use sluicegate_dialects::hub::{ErrorKind, ProviderError};
use tokio::time::Sleep;

use crate::account::{AttemptEnd, End, ErrorSource};
use crate::cache::{Lead, Recorder};
use crate::endpoint::{Outcome, Permit};
use crate::memory::{Charge, Exhausted, Purpose};
use crate::state::Provider;
use crate::upstream::UpstreamBody;

use super::context::{COMMENT, CallContext};
use super::estimate;
use super::event_tail::ends_event;
use super::retry_policy::{self, RetryDecision};
use super::transcoder::Transcoder;
use super::write_buffer::WriteBuffer;

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
pub(super) struct UpstreamStream {
    context: Rc<CallContext>,
    provider: Arc<Provider>,
    price: Option<Price>,
    upstream: UpstreamBody,
    transcoder: Transcoder,
    out: WriteBuffer,
    permit: Permit,
    recorder: Option<Recorder>,
    /// What came before the first token, for the cache; `None`: nobody wants it.
    early: Option<Vec<u8>>,
    /// How much came.
    came: usize,
    /// The memory of what is held back, and of what the recorder holds.
    held: Charge,
    recorded: Charge,
    /// The rest of what is being handed out.
    going: Bytes,
    clock: StreamTimer,
    /// How long the provider is still listened to: without end, until it has said that it is done.
    timeout: Duration,
    retry_on: RetryOn,
    /// The tokens of the prompt, roughly.
    prompt: u64,
    over: Option<StreamEnd>,
}

/// The terms of the attempt that a stream belongs to.
pub(super) struct StreamTerms {
    pub(super) context: Rc<CallContext>,
    pub(super) provider: Arc<Provider>,
    pub(super) price: Option<Price>,
    /// The longest silence.
    pub(super) idle: Duration,
    /// When the whole call has to be over.
    pub(super) deadline: Instant,
    pub(super) retry_on: RetryOn,
    /// The tokens of the prompt, roughly: for a stream that ends before its provider says them.
    pub(super) prompt: u64,
    /// Whether the cache wants the answer.
    pub(super) recorded: bool,
}

/// The outcome of the wait for a stream's first token.
pub(super) enum FirstToken {
    /// It is there (or the whole answer is).
    Ready,
    /// It will not come.
    Broken(RetryDecision, String),
    /// There is no memory to wait for it.
    Full(Exhausted),
    /// The provider said an error in its place.
    Said(ProviderError),
}

/// The next piece for the caller.
pub(super) enum StreamPiece {
    /// These bytes.
    Bytes(Bytes),
    /// Nothing: the answer is whole.
    End,
    /// Nothing: the answer broke in the middle of an event, so that no error could be said.
    Cut,
}

/// The end of the provider's side.
enum StreamEnd {
    Whole,
    /// It failed, and the caller has been told.
    Told,
    /// It failed, and the caller can not be told.
    Cut,
}

/// One look at the provider.
enum Polled {
    Some,
    Nothing,
    End,
    Broken(String),
    Full(Exhausted),
}

impl UpstreamStream {
    pub(super) fn new(terms: StreamTerms, upstream: UpstreamBody, transcoder: Transcoder, permit: Permit) -> Self {
        let keep_alive = terms.context.comments();
        let StreamTerms { context, provider, price, idle, deadline, retry_on, prompt, recorded } = terms;
        let early = (recorded && transcoder.needs_early()).then(Vec::new);
        let [held, recorded] = [context.worker.memory.nothing(), context.worker.memory.nothing()];
        Self {
            context,
            provider,
            price,
            upstream,
            transcoder,
            out: WriteBuffer::default(),
            permit,
            recorder: None,
            early,
            came: 0,
            held,
            recorded,
            going: Bytes::new(),
            clock: StreamTimer::new((idle, deadline), keep_alive),
            timeout: Duration::MAX,
            retry_on,
            prompt,
            over: None,
        }
    }

    /// The cache keeps the answer if it comes whole.
    pub(super) fn record(&mut self, lead: Lead) {
        let mut recorder = lead.recorder();
        let early = self.early.take().unwrap_or_default();
        self.transcoder.catch_up(early, &mut self.out, &mut recorder);
        self.recorder = Some(recorder);
        self.charge_recorder(self.came);
    }

    /// Waits for the first token; everything before it is held.
    pub(super) fn poll_first_token(&mut self, cx: &mut Context<'_>) -> Poll<FirstToken> {
        loop {
            let pulled = self.pull(cx);
            if let Some(error) = self.transcoder.error().filter(|_| !self.transcoder.first_token()) {
                return Poll::Ready(FirstToken::Said(error.clone()));
            }
            let token = self.transcoder.first_token();
            // Comments and what has no end count too.
            let waits = !token && self.came <= MOST_HELD;
            match pulled {
                Polled::Full(full) => return Poll::Ready(FirstToken::Full(full)),
                Polled::End if !token => return Poll::Ready(self.ended_before_first_token()),
                Polled::Broken(what) if !token => {
                    return Poll::Ready(FirstToken::Broken(retry_policy::cut(&self.retry_on), what));
                }
                Polled::Some if waits => {}
                Polled::Nothing if waits => return Poll::Pending,
                pulled => {
                    self.conclude(pulled);
                    return Poll::Ready(FirstToken::Ready);
                }
            }
        }
    }

    /// A body that ended: cut, or whole without a token or a reason to end, which is no answer either.
    fn ended_before_first_token(&mut self) -> FirstToken {
        match self.transcoder.finish(&mut self.out, self.recorder.as_mut()) {
            Ok(true) => FirstToken::Broken(retry_policy::malformed(), "a stream without an answer in it".to_owned()),
            Ok(false) => FirstToken::Broken(
                retry_policy::cut(&self.retry_on),
                "the stream ended before its first token".to_owned(),
            ),
            Err(what) => FirstToken::Broken(retry_policy::malformed(), what),
        }
    }

    /// The attempt's place at its endpoint.
    pub(super) fn permit(&mut self) -> &mut Permit {
        &mut self.permit
    }

    /// What goes to the caller next.
    pub(super) fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<StreamPiece> {
        while self.going.is_empty() && self.over.is_none() && self.out.len() < ENOUGH {
            match self.pull(cx) {
                // A provider that always has something, and a caller that is slow, have the call's time and no more.
                Polled::Some if self.clock.total_is_over() => self.late(),
                Polled::Some => {}
                Polled::Nothing if !self.out.is_empty() => break,
                Polled::Nothing => match std::task::ready!(self.clock.poll(cx, self.timeout)) {
                    Due::Late => self.late(),
                    Due::Comment => {
                        self.context.note(|entry| entry.bytes_out(COMMENT.len() as u64));
                        return Poll::Ready(StreamPiece::Bytes(COMMENT));
                    }
                },
                ended => self.conclude(ended),
            }
        }
        Poll::Ready(self.hand_out())
    }

    /// The next piece of what is ready.
    fn hand_out(&mut self) -> StreamPiece {
        if self.going.is_empty() && !self.out.is_empty() {
            self.going = self.context.worker.memory.nothing().hold(self.out.take());
            self.clock.between = ends_event(&self.going);
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

    /// Whether there is nothing more to come.
    pub(super) fn is_over(&self) -> bool {
        self.going.is_empty() && self.out.is_empty() && matches!(self.over, Some(StreamEnd::Whole | StreamEnd::Told))
    }

    fn pull(&mut self, cx: &mut Context<'_>) -> Polled {
        if self.over.is_some() {
            return Polled::Nothing;
        }
        match Pin::new(&mut self.upstream).poll_frame(cx) {
            Poll::Pending => Polled::Nothing,
            Poll::Ready(None) => Polled::End,
            Poll::Ready(Some(Err(error))) => Polled::Broken(error.to_string()),
            Poll::Ready(Some(Ok(frame))) => {
                self.clock.heard();
                let Ok(data) = frame.into_data() else { return Polled::Some };
                self.early.iter_mut().for_each(|early| early.extend_from_slice(&data));
                self.came = self.came.saturating_add(data.len());
                self.charge_recorder(data.len());
                let fed = self.transcoder.feed(data, &mut self.out, self.recorder.as_mut());
                self.notice_the_end();
                match fed {
                    Ok(()) => self.charge_held().map_or_else(Polled::Full, |()| Polled::Some),
                    Err(what) => Polled::Broken(what),
                }
            }
        }
    }

    /// Counts what is held back: unfinished events, the beginning of a stream.
    fn charge_held(&mut self) -> Result<(), Exhausted> {
        let early = self.early.as_ref().map_or(0, Vec::capacity);
        let held = self.transcoder.held() + self.out.held() + early;
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

    /// Counts what the recorder is given. Without room it is given up, and the call goes on.
    fn charge_recorder(&mut self, bytes: usize) {
        if self.recorder.is_some() && self.recorded.grow(bytes, Purpose::Optional).is_err() {
            self.recorder.take().into_iter().for_each(Recorder::give_up);
            let _ = self.recorded.set(0, Purpose::Optional);
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
                self.permit.outcome(Outcome::Neutral, Instant::now());
                return self.cut(ErrorKind::Overloaded, AttemptEnd::Cancelled, full.to_string());
            }
            Polled::Broken(what) => Some(what),
            Polled::End => match self.transcoder.finish(&mut self.out, self.recorder.as_mut()) {
                Ok(true) => None,
                Ok(false) => Some("the stream stopped before its end".to_owned()),
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
        let end =
            self.transcoder.error().map_or(AttemptEnd::Reset, |error| retry_policy::said(error, &self.retry_on).end);
        if matches!(end, AttemptEnd::ClientError | AttemptEnd::RateLimited) {
            self.permit.outcome(Outcome::Neutral, Instant::now());
        }
        self.cut(ErrorKind::BadGateway, end, what);
    }

    /// The provider was silent for too long, or the call's whole time is over.
    fn late(&mut self) {
        if self.transcoder.error().is_some() {
            return self.cut_or_said(String::new());
        }
        if self.transcoder.ended() {
            return self.whole();
        }
        if self.transcoder.finished() {
            return self.complete();
        }
        if self.clock.idle_is_over() {
            return self.cut(
                ErrorKind::Timeout,
                AttemptEnd::TimedOut,
                "the provider fell silent in mid-answer".to_owned(),
            );
        }
        // It spoke until the caller's time was over: that says nothing against it.
        self.permit.outcome(Outcome::Neutral, Instant::now());
        let what = "the call took longer than its total timeout";
        self.cut(ErrorKind::Timeout, AttemptEnd::TimedOut, what.to_owned());
    }

    /// All is there, and the provider does not say that it is.
    fn complete(&mut self) {
        self.transcoder.complete(&mut self.out, self.recorder.as_mut());
        self.whole();
    }

    fn whole(&mut self) {
        self.settle(Outcome::Success, AttemptEnd::Success);
        if let Some(mut recorder) = self.recorder.take() {
            // This caller may not have asked for it; the next one may.
            self.transcoder.usage().into_iter().for_each(|usage| recorder.usage(usage));
            recorder.finish();
        }
        self.over = Some(StreamEnd::Whole);
    }

    fn cut(&mut self, kind: ErrorKind, end: AttemptEnd, what: String) {
        self.settle(Outcome::Failure, end);
        self.recorder = None;
        // An error that the provider said itself has passed already.
        let told = self.transcoder.error().is_some() || {
            let message = format!("The answer of provider `{}` broke off: {what}.", self.provider.name);
            let error = ProviderError { kind, message, r#type: None, code: None, param: None };
            self.transcoder.write_error(&error, &mut self.out)
        };
        self.over = Some(if told { StreamEnd::Told } else { StreamEnd::Cut });
        let fault = if kind == ErrorKind::Overloaded { ErrorSource::Gateway } else { ErrorSource::Upstream };
        let pending = self.out.len() as u64;
        self.context.note(|entry| {
            entry.bytes_out(pending);
            entry.error(fault, kind, Some(what.into()));
        });
        self.context.close(if end == AttemptEnd::TimedOut { End::TimedOut } else { End::UpstreamCut });
    }

    /// The one place where a stream's attempt is counted.
    fn settle(&mut self, outcome: Outcome, end: AttemptEnd) {
        self.permit.outcome(outcome, Instant::now());
        self.note_usage(end == AttemptEnd::Success);
        self.context.note(|entry| entry.attempt_ended(end));
    }

    fn note_usage(&self, whole: bool) {
        let (said, model) = (self.transcoder.usage(), self.transcoder.model());
        let text = self.transcoder.first_token().then(|| self.transcoder.text_bytes()).filter(|_| !whole);
        let guess = text.and_then(|text| estimate::so_far(said, self.prompt, text));
        self.context.note(|entry| {
            match guess {
                Some(usage) => entry.estimated_usage(usage, self.price.as_ref()),
                None => said.into_iter().for_each(|usage| entry.usage(usage, self.price.as_ref())),
            }
            model.into_iter().for_each(|model| entry.answered_model(model));
        });
    }
}

impl Drop for UpstreamStream {
    fn drop(&mut self) {
        // The caller left: what was used until then is still counted, when the context closes the entry.
        if self.over.is_none() {
            self.note_usage(self.transcoder.ended());
        }
    }
}

/// Idle and total time of a stream, and the comments in its silences, on one timer that is set at most once per pause.
struct StreamTimer {
    idle: Duration,
    total: Instant,
    /// How often the caller is to hear something; `None`: not at all.
    keep_alive: Option<Duration>,
    heard: Instant,
    /// When the caller was last kept company, or would have been.
    kept: Instant,
    /// What the caller has ends with an event.
    between: bool,
    /// Set when something came: until the next pause nobody needs to look at the timer.
    fresh: bool,
    sleep: Option<Pin<Box<Sleep>>>,
}

/// What is due.
enum Due {
    /// It is too late.
    Late,
    /// A comment.
    Comment,
}

impl StreamTimer {
    fn new((idle, total): (Duration, Instant), keep_alive: Option<Duration>) -> Self {
        let now = Instant::now();
        Self { idle, total, keep_alive, heard: now, kept: now, between: false, fresh: true, sleep: None }
    }

    fn heard(&mut self) {
        self.heard = Instant::now();
        self.fresh = true;
    }

    /// As of the last time that something came.
    fn total_is_over(&self) -> bool {
        self.heard >= self.total
    }

    /// No more than this is left, from now on.
    fn at_most(&mut self, left: Duration) {
        self.total = self.total.min(Instant::now() + left);
    }

    fn idle_is_over(&self) -> bool {
        Instant::now() >= self.heard + self.idle
    }

    /// When it is too late, and when the timer goes off next: for a comment too, wherever the stream stands now, so that
    /// the timer that runs is never later than needed.
    fn due(&self, at_most: Duration) -> (Instant, Instant) {
        let late = self.total.min(self.heard + self.idle.min(at_most));
        // The answer's end is said: nothing stands behind it.
        let comment = self.keep_alive.filter(|_| at_most == Duration::MAX);
        (late, comment.map_or(late, |every| late.min(self.heard.max(self.kept) + every)))
    }

    /// Ready when something is to be done. `at_most` shortens the idle time.
    fn poll(&mut self, cx: &mut Context<'_>, at_most: Duration) -> Poll<Due> {
        // The timer that is running goes off no later than needed, with the same waker: it is looked at when it wakes us.
        if std::mem::take(&mut self.fresh) && self.sleep.is_some() && at_most == Duration::MAX {
            return Poll::Pending;
        }
        let (_, first) = self.due(at_most);
        let mut sleep = self.sleep.take().unwrap_or_else(|| Box::pin(tokio::time::sleep_until(first.into())));
        if sleep.deadline().into_std() > first {
            sleep.as_mut().reset(first.into());
        }
        let tick = loop {
            if sleep.as_mut().poll(cx).is_pending() {
                break Poll::Pending;
            }
            let (late, next) = self.due(at_most);
            let now = Instant::now();
            if now >= late {
                break Poll::Ready(Due::Late);
            }
            if now >= next {
                self.kept = now;
                if self.between {
                    break Poll::Ready(Due::Comment);
                }
            }
            sleep.as_mut().reset(self.due(at_most).1.into());
        };
        self.sleep = Some(sleep);
        tick
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_silence_is_filled_between_events_and_never_made_longer() {
        let ms = Duration::from_millis;
        for between in [true, false] {
            let mut clock = StreamTimer::new((ms(200), Instant::now() + ms(10_000)), Some(ms(20)));
            clock.between = between;
            let mut comments = 0;
            while let Due::Comment = std::future::poll_fn(|cx| clock.poll(cx, Duration::MAX)).await {
                comments += 1;
            }
            assert!(clock.idle_is_over());
            assert_eq!(comments > 0, between, "{comments}");
        }
    }

    #[tokio::test]
    async fn a_total_that_is_over_is_not_a_silence() {
        let mut clock = StreamTimer::new((Duration::from_secs(60), Instant::now()), None);
        assert!(matches!(std::future::poll_fn(|cx| clock.poll(cx, Duration::MAX)).await, Due::Late));
        assert!(!clock.idle_is_over());
    }
}
