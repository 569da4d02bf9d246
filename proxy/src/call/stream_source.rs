//! The source of a stream's bytes: a provider, by an attempt; a flight that somebody else leads; an answer that is here already.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http_body::Body;
use sluicegate_config::{Price, RetryOn};
use sluicegate_dialects::hub::{ProviderError, Usage};
use sluicegate_dialects::{UnseenUsage, estimate};

use crate::account::AttemptEnd;
use crate::coalescing::FlightReader;
use crate::endpoint::Outcome;
use crate::state::Provider;
use crate::upstream::UpstreamBody;

use super::open_attempt::OpenAttempt;
use super::part_prices::PartPrices;
use super::provider_secret::ProviderSecret;
use super::retry_policy;
use super::transcoder::Transcoder;

/// The source of a stream.
#[expect(clippy::large_enum_variant, reason = "most streams are a provider's, and a stream is boxed as a whole")]
pub(super) enum StreamSource {
    /// A provider is asked for it.
    Provider(ProviderSource),
    /// Another call is given it, and this one reads along.
    Flight(FlightReader),
    /// It is here, to its end.
    Kept(Bytes),
}

/// A provider that answers an attempt: what is counted of it rides in here.
pub(super) struct ProviderSource {
    pub(super) body: UpstreamBody,
    /// The handle, which is also what meters the stream.
    pub(super) attempt: OpenAttempt,
    pub(super) provider: Arc<Provider>,
    /// The thing that it is called with.
    pub(super) secret: ProviderSecret,
    pub(super) price: Option<Arc<Price>>,
    pub(super) retry_on: RetryOn,
    /// The tokens of the prompt, roughly: for a stream that ends before its provider says them.
    pub(super) prompt: u64,
    /// The usage that the stream may leave unsaid until its end.
    pub(super) unseen: UnseenUsage,
    /// The prices of the models that may have a part in it, where there are others than its own.
    pub(super) parts: Option<Box<PartPrices>>,
}

impl StreamSource {
    /// The next bytes; none at all where something came that is no part of the answer. An error says what broke.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, String>>> {
        match self {
            Self::Provider(source) => match std::task::ready!(Pin::new(&mut source.body).poll_frame(cx)) {
                None => Poll::Ready(None),
                Some(Err(error)) => Poll::Ready(Some(Err(error.to_string()))),
                Some(Ok(frame)) => Poll::Ready(Some(Ok(frame.into_data().unwrap_or_default()))),
            },
            Self::Flight(reader) => {
                let piece = std::task::ready!(reader.poll_piece(cx));
                Poll::Ready(piece.map(|piece| piece.map_err(|_| "it ended without its last event".to_owned())))
            }
            Self::Kept(answer) if answer.is_empty() => Poll::Ready(None),
            Self::Kept(answer) => Poll::Ready(Some(Ok(std::mem::take(answer)))),
        }
    }

    /// The attempt that it belongs to, where a provider is asked.
    pub(super) fn attempt(&mut self) -> Option<&mut OpenAttempt> {
        match self {
            Self::Provider(source) => Some(&mut source.attempt),
            Self::Flight(_) | Self::Kept(_) => None,
        }
    }

    /// True if its answer is another call's.
    pub(super) const fn is_shared(&self) -> bool {
        matches!(self, Self::Flight(_))
    }

    /// Notes what it says about its endpoint; only the first word counts.
    pub(super) fn outcome(&mut self, outcome: Outcome) {
        self.attempt().into_iter().for_each(|attempt| attempt.outcome(outcome, Instant::now()));
    }

    /// The one place where a stream's attempt is counted. Says what it used.
    pub(super) fn settle(&mut self, outcome: Outcome, end: AttemptEnd, transcoder: &Transcoder) -> Option<Usage> {
        self.outcome(outcome);
        let used = self.note_usage(transcoder, end == AttemptEnd::Success);
        self.attempt().into_iter().for_each(|attempt| attempt.close(end));
        used
    }

    /// The end of an attempt whose stream said this error, or broke.
    pub(super) fn end_of(&self, said: Option<&ProviderError>) -> AttemptEnd {
        match (self, said) {
            (Self::Provider(source), Some(error)) => retry_policy::said(error, &source.retry_on).end,
            _ => AttemptEnd::Reset,
        }
    }

    /// The words for an answer that broke off.
    pub(super) fn broke_off(&self, what: &str) -> String {
        match self {
            Self::Provider(source) => format!("The answer of provider `{}` broke off: {what}.", source.provider.name),
            Self::Flight(_) | Self::Kept(_) => format!("The answer broke off: {what}."),
        }
    }

    /// The words for a fault of it, without the provider's secret.
    pub(super) fn wrong(&self, what: String) -> String {
        match self {
            Self::Provider(source) => source.secret.out_of_words(what),
            Self::Flight(_) | Self::Kept(_) => what,
        }
    }

    /// True if nobody knows what was used until here: what the provider has said of it is not its last word.
    pub(super) fn hides_usage(&self, transcoder: &Transcoder) -> bool {
        let Self::Provider(source) = self else { return false };
        let said_last = transcoder.ended() || (transcoder.finished() && transcoder.usage().is_some());
        !said_last && !transcoder.passes_unread() && source.unseen.hides(transcoder.so_far())
    }

    /// Notes what was used. Where the provider has not said it and the answer is not whole, it is estimated, where that can be.
    pub(super) fn note_usage(&mut self, transcoder: &Transcoder, whole: bool) -> Option<Usage> {
        let hidden = !whole && self.hides_usage(transcoder);
        let Self::Provider(source) = self else { return None };
        let (said, model) = (transcoder.usage(), transcoder.model());
        let is_text = transcoder.first_token() && !transcoder.passes_unread();
        let text = is_text.then(|| transcoder.text_bytes());
        // Whoever has said something, and says that it was nothing, has not counted.
        let is_uncounted = said.is_some_and(|said| said.is_nothing()) && text.is_some_and(|text| text > 0);
        let said = said.filter(|_| !is_uncounted);
        // What stands at an answer's beginning is no count of it.
        let is_early = said.is_some() && transcoder.usage_is_early() && text.is_some_and(|text| text > 0);
        let text = text.filter(|_| !whole || is_uncounted || is_early);
        let guess = text.and_then(|text| estimate::used_so_far(said, source.prompt, text));
        let (price, entry) = (source.price.as_deref(), source.attempt.entry());
        entry.tier(transcoder.tier());
        if let Some((usage, cost)) = transcoder.summed() {
            entry.summed_usage(usage, cost);
        }
        match (guess.or(said), &source.parts) {
            _ if hidden => entry.unknown_usage(),
            (None, _) => {}
            (Some(usage), Some(parts)) => {
                parts.count(entry, (usage, guess.is_some()), transcoder.answered_by().as_ref());
            }
            (Some(usage), None) if guess.is_some() => entry.estimated_usage(usage, price),
            (Some(usage), None) => entry.usage(usage, price),
        }
        // Of sound that was cut nobody says what it cost.
        if transcoder.passes_unread() && !transcoder.is_free() && transcoder.first_token() {
            entry.unknown_usage();
        }
        model.into_iter().for_each(|model| entry.answered_model(model));
        entry.skipped_parts(transcoder.skipped());
        guess.or(said)
    }

    /// The time that it is listened to for its provider's own count once its caller has left, where it is.
    pub(super) fn drain(&self) -> Option<Duration> {
        self.provider().and_then(|provider| provider.drain_abandoned)
    }

    /// The provider that is asked.
    pub(super) const fn provider(&self) -> Option<&Arc<Provider>> {
        match self {
            Self::Provider(source) => Some(&source.provider),
            Self::Flight(_) | Self::Kept(_) => None,
        }
    }
}
