//! An answer that passes piece by piece and is no conversation: sound, a text, or events of which only the usage is read.

use bytes::Bytes;
use memchr::memmem;
use sluicegate_config::PicoUsd;
use sluicegate_dialects::hub::{ProviderError, Usage};
use sluicegate_dialects::side::{self, SideOutput};
use sluicegate_dialects::sse::SseDecoder;
use sluicegate_dialects::{Dialect, StreamOptions};

use crate::state::Provider;

use super::batch_usage::BatchUsage;
use super::event_tail::{EventTail, ends_event};
use super::inbound::InboundCall;
use super::provider_secret::ProviderSecret;
use super::sealed_stream::SealedStream;
use super::stored_object::StoredObject;
use super::write_buffer::WriteBuffer;

/// Events beyond this are not looked at: a picture's are large, and say their usage in the last one, which is one too.
const MOST_LOOKED_AT: usize = 16 << 20;

/// An answer that passes.
pub(super) struct PassedStream {
    dialect: Dialect,
    /// The reader of its events, where it has any.
    events: Option<SseDecoder>,
    /// The kind of its output.
    made: SideOutput,
    began: bool,
    /// True if nothing is an answer, too: a file may be empty.
    may_be_empty: bool,
    /// True if nothing is used for it.
    is_free: bool,
    usage: Option<Usage>,
    /// The reader of what a batch used, where its results are the answer.
    batch: Option<BatchUsage>,
    /// The engine that seals the ids in its events, where it tells of what was answered before. Its usage is none.
    sealed: Option<SealedStream>,
    /// The beginning of an event whose end is still to come: it may turn out to be an error.
    tail: EventTail,
    /// True if the beginning of an event has passed, as it was too long to be held, and its end has not.
    amid: bool,
    /// The thing that the provider is called with, which no error tells.
    secret: ProviderSecret,
}

impl PassedStream {
    /// At its beginning.
    pub(super) fn new(call: &InboundCall, has_events: bool, provider: &Provider) -> Self {
        Self {
            dialect: call.dialect(),
            // What was answered before was paid for then, and of what nobody has read nobody says more.
            events: (has_events && call.object().is_none() && call.named().is_none())
                .then(|| SseDecoder::lenient(MOST_LOOKED_AT)),
            made: call.operation.makes(),
            began: false,
            may_be_empty: call.named().is_some() || call.object().is_some_and(StoredObject::is_bytes),
            usage: None,
            batch: call.object().and_then(|object| object.usage(call.dialect(), provider)),
            is_free: call.object().is_some(),
            sealed: call.object().and_then(StoredObject::sealed_stream),
            tail: EventTail::default(),
            amid: false,
            secret: ProviderSecret::default(),
        }
    }

    /// Takes from the provider's errors what that is called with.
    pub(super) fn keep_secret(&mut self, secret: ProviderSecret) {
        self.secret = secret;
    }

    /// The provider's next bytes with sealed ids in them, where it has any.
    pub(super) fn sealed(&mut self, data: Bytes) -> Bytes {
        match &mut self.sealed {
            Some(sealed) => sealed.pass(data),
            None => data,
        }
    }

    /// The bytes that were held, where it is the stream's end.
    pub(super) fn rest(&mut self) -> Bytes {
        self.sealed.as_mut().map_or_else(Bytes::new, SealedStream::rest)
    }

    /// The provider's next bytes.
    pub(super) fn feed(&mut self, data: Bytes, out: &mut WriteBuffer) {
        self.began |= !data.is_empty();
        self.batch.iter_mut().for_each(|batch| batch.feed(&data));
        let Self { events, usage, made, .. } = self;
        if let Some(events) = events {
            // It refuses nothing: what is too large goes by.
            let _ = events.push(&data, |event| {
                if let Ok(Some(said)) = side::usage_of(event.data, *made) {
                    *usage = Some(said);
                }
                Ok(())
            });
            if let Some(whole) = self.tail.pass(data) {
                self.give(whole, out);
            }
            return;
        }
        out.push(data);
    }

    /// Gives events, an error among them without the provider's secret.
    fn give(&mut self, events: Bytes, out: &mut WriteBuffer) {
        self.amid = !ends_event(&events);
        let may_fail = memmem::find(&events, b"error").is_some();
        out.push(if may_fail { self.secret.out_of(events) } else { events });
    }

    /// It has come whole.
    pub(super) fn finish(&mut self, out: &mut WriteBuffer) {
        let rest = self.tail.take();
        if !rest.is_empty() {
            self.give(rest, out);
        }
        self.began |= self.may_be_empty;
        self.batch.iter_mut().for_each(BatchUsage::finish);
    }

    /// True if nothing is used for it that its provider could leave unsaid.
    pub(super) const fn is_free(&self) -> bool {
        self.is_free
    }

    /// The cost of what was used, where it is the sum of several answers.
    pub(super) fn summed(&self) -> Option<(Usage, Option<PicoUsd>)> {
        let used = self.batch.as_ref().map(BatchUsage::so_far);
        used.filter(|(usage, _)| usage.input > 0 || usage.output > 0)
    }

    /// True if what a batch used is added up as it comes.
    pub(super) const fn adds_up(&self) -> bool {
        self.batch.is_some()
    }

    /// True if something of it has come.
    pub(super) const fn began(&self) -> bool {
        self.began
    }

    /// The usage, by what the provider has said so far.
    pub(super) const fn usage(&self) -> Option<Usage> {
        self.usage
    }

    /// The memory that an unfinished event takes.
    pub(super) fn held(&self) -> usize {
        self.batch.as_ref().map_or(0, BatchUsage::held)
            + self.events.as_ref().map_or(0, SseDecoder::held)
            + self.tail.held()
            + self.sealed.as_ref().map_or(0, SealedStream::held)
    }

    /// Adds an error event; `false`: there is no place for one.
    pub(super) fn write_error(&self, error: &ProviderError, out: &mut WriteBuffer) -> bool {
        // What is held of an event is none.
        let between = self.events.is_some() && !self.amid;
        if between {
            self.dialect.stream_encoder(StreamOptions::default()).error(error, out.rest());
        }
        between
    }
}
