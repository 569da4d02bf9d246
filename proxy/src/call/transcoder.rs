//! The transcoder of a stream on its way back: bytes pass as they are, or are put into the caller's dialect.

use std::time::{SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use sluicegate_config::PicoUsd;
use sluicegate_dialects::hub::{Event, ProviderError, Reply, ServiceTier, Usage};
use sluicegate_dialects::observe::ObserverMode;
use sluicegate_dialects::{AnsweredBy, Dialect, Reframer, RepeatedBeginning, StreamOptions, StreamShadow, StreamSoFar};

use crate::cache::Recorder;
use crate::state::Provider;

use super::custom_tools;
use super::event_tail::{EventTail, ends_event};
use super::inbound::InboundCall;
use super::passed_stream::PassedStream;
use super::provider_secret::ProviderSecret;
use super::sealed_stream::{Keep, SealedStream};
use super::translated_stream::{RestSoFar, Translated, fill};
use super::verbatim_stream::{Shadowed, Verbatim};
use super::write_buffer::WriteBuffer;

/// The engine that turns the provider's bytes into the caller's.
pub(super) enum Transcoder {
    /// The provider speaks the caller's dialect.
    Verbatim(Box<Verbatim>),
    /// It does not.
    Translated(Box<Translated>),
    /// It is no conversation.
    Passed(Box<PassedStream>),
}

/// The form in which the caller's dialect is written.
pub(super) fn options(call: &InboundCall) -> StreamOptions {
    let body = call.dialect().repeats_the_call().then(|| call.body.clone());
    let array = call.context.caller.array;
    StreamOptions {
        include_usage: call.passes_usage(),
        created: now(),
        array,
        goes_on: None,
        call: body,
        prompt: None,
        answer: None,
    }
}

/// The same of an answer whose provider speaks another dialect: what nobody has counted yet is told by the gateway's own estimate.
fn translated_options(call: &InboundCall) -> StreamOptions {
    let prompt = call.dialect().habits().counts_prompt_first.then(|| call.prompt_tokens());
    StreamOptions { prompt, ..options(call) }
}

/// The answer that a provider gives in another dialect than the caller's: without what it says of the caller's own, its signatures marked.
pub(super) fn own(call: &InboundCall, reply: &mut Reply, (spoken, model, provider): (Dialect, &str, &Provider)) {
    spoken.signature_mark(model).into_iter().for_each(|mark| mark.put(reply));
    echo(call, provider).into_iter().for_each(|echo| echo.strip(reply));
    name(call, reply);
}

/// Finds in an answer the caller's own words that its provider says once more.
fn echo(call: &InboundCall, provider: &Provider) -> Option<RepeatedBeginning> {
    let row = provider.defaults.look_alike.as_ref().filter(|row| row.prefill.is_some_and(|mark| mark.echoes))?;
    call.with_neutral(|neutral, _| Ok(RepeatedBeginning::of(neutral, row))).ok().flatten()
}

/// Names an answer whose provider does not: by the call's id, and the model as the caller calls it.
pub(super) fn name(call: &InboundCall, reply: &mut Reply) {
    let own = call.context.caller.request_id.to_str().unwrap_or_default();
    reply.tell_calls_apart(own);
    call.tool_names().give_back_in(reply);
    fill(&mut reply.id, own);
    fill(&mut reply.model, call.model());
}

/// Seconds since 1970.
pub(super) fn now() -> Option<u64> {
    SystemTime::now().duration_since(UNIX_EPOCH).ok().map(|since| since.as_secs())
}

impl Transcoder {
    /// Of an answer in this dialect, by this model of a provider's.
    pub(super) fn new(
        call: &InboundCall,
        (spoken, model, provider): (Dialect, &str, &Provider),
        usage_is_ours: bool,
    ) -> Self {
        let caller = call.dialect();
        if !spoken.is_kin(caller) {
            let (mark, echo) = (spoken.signature_mark(model), echo(call, provider));
            return Self::Translated(Box::new(Translated { mark, echo, ..Self::translated(call, spoken) }));
        }
        let mut passes = Self::verbatim(call, usage_is_ours && !call.passes_usage(), spoken.reframer(caller));
        if let Self::Verbatim(transcoder) = &mut passes
            && provider.defaults.look_alike.is_some_and(|row| row.thinks_in_content())
        {
            transcoder.flat = Some(Box::default());
        }
        if let Self::Verbatim(transcoder) = &mut passes {
            transcoder.custom = custom_tools::calls(call, provider).map(Box::new);
        }
        passes
    }

    /// Of the rest of an answer: its events are gathered for whoever tells that.
    pub(super) fn of_rest(call: &InboundCall, provider: Dialect) -> Self {
        Self::Translated(Box::new(Translated { gathered: Some(Vec::new()), ..Self::translated(call, provider) }))
    }

    fn translated(call: &InboundCall, provider: Dialect) -> Translated {
        let caller = call.dialect();
        Translated {
            decoder: provider.stream_decoder(),
            encoder: caller.stream_encoder(translated_options(call)),
            binary: caller.habits().is_binary,
            skips_pings: caller.habits().needs_events,
            events: Vec::new(),
            first_token: false,
            thought: false,
            begun: false,
            ended: false,
            usage: None,
            model: None,
            error: None,
            text: 0,
            names: (call.context.caller.request_id.to_str().unwrap_or_default().to_owned(), call.model().to_owned()),
            tools: call.tool_names(),
            mark: None,
            echo: None,
            keep: None,
            followed: None,
            gathered: None,
            secret: ProviderSecret::default(),
        }
    }

    /// Follows what is said, so that somebody else can go on with it.
    pub(super) fn follow(&mut self, call: &InboundCall) {
        match self {
            Self::Verbatim(transcoder) => {
                let shadow = StreamShadow::new(call.dialect(), options(call));
                let shadowed = Shadowed { shadow, early: EventTail::default(), holds_error: false };
                transcoder.shadow = Some(Box::new(shadowed));
            }
            Self::Translated(transcoder) => transcoder.followed = Some(Box::default()),
            Self::Passed(_) => {}
        }
    }

    /// The text that somebody else would have to go on with; `None`: nobody could.
    pub(super) fn said(&self) -> Option<&str> {
        match self {
            Self::Verbatim(transcoder) => transcoder.shadow.as_ref().filter(|_| !transcoder.amid)?.shadow.said().text(),
            Self::Translated(transcoder) => transcoder.followed.as_ref()?.said.text(),
            Self::Passed(_) => None,
        }
    }

    /// True if the provider has said an error that the caller has not been told.
    pub(super) fn error_is_held(&self) -> bool {
        match self {
            Self::Verbatim(transcoder) => transcoder.error_is_held(),
            Self::Translated(transcoder) => transcoder.error_is_held(),
            Self::Passed(_) => false,
        }
    }

    /// Takes the rest of an answer that it has gathered.
    pub(super) fn take_rest(&mut self, caller: Dialect) -> Option<RestSoFar> {
        match self {
            Self::Translated(transcoder) => transcoder.take_rest(caller.stream_decoder()),
            Self::Verbatim(_) | Self::Passed(_) => None,
        }
    }

    /// The rest of an answer that was told whole, in the caller's dialect.
    pub(super) fn rest_of_whole(call: &InboundCall) -> RestSoFar {
        RestSoFar { decoder: call.dialect().stream_decoder(), events: Vec::new(), secret: ProviderSecret::default() }
    }

    /// Goes on with the rest of the answer. `asked`: whoever gives it was asked to go on; `before`: what was used until here.
    pub(super) fn go_on(
        &mut self,
        call: &InboundCall,
        (rest, asked): (RestSoFar, bool),
        before: Option<Usage>,
        out: &mut WriteBuffer,
    ) {
        let fresh = Box::new(Self::translated(call, call.dialect()));
        let mut fresh = match std::mem::replace(self, Self::Translated(fresh)) {
            Self::Verbatim(transcoder) => match transcoder.shadow {
                Some(shadowed) => {
                    Translated::behind(shadowed.shadow.into_writer(), Self::translated(call, call.dialect()))
                }
                None => return *self = Self::Verbatim(transcoder),
            },
            Self::Translated(transcoder) => transcoder.afresh(Self::translated(call, call.dialect())),
            passed @ Self::Passed(_) => return *self = passed,
        };
        fresh.go_on(rest, asked, before);
        fresh.write(out, None);
        *self = Self::Translated(Box::new(fresh));
    }

    /// Of an answer that passes unread.
    pub(super) fn passed(call: &InboundCall, has_events: bool, provider: &Provider) -> Self {
        Self::Passed(Box::new(PassedStream::new(call, has_events, provider)))
    }

    /// True if nothing is used for it that its provider could leave unsaid.
    pub(super) fn is_free(&self) -> bool {
        if let Self::Passed(stream) = self { stream.is_free() } else { false }
    }

    /// The usage that is the sum of several answers', and what it costs.
    pub(super) fn summed(&self) -> Option<(Usage, Option<PicoUsd>)> {
        if let Self::Passed(stream) = self { stream.summed() } else { None }
    }

    /// True if it is added up to its end, whoever reads it.
    pub(super) fn adds_up(&self) -> bool {
        if let Self::Passed(stream) = self { stream.adds_up() } else { false }
    }

    /// True if nothing is known of its text.
    pub(super) const fn passes_unread(&self) -> bool {
        matches!(self, Self::Passed(_))
    }

    fn verbatim(call: &InboundCall, drops_usage: bool, reframer: Option<Reframer>) -> Self {
        let (dialect, array) = (call.dialect(), call.context.caller.array);
        let raw = array || dialect.habits().is_binary;
        let mode = match (raw, drops_usage) {
            (true, _) => ObserverMode::HoldEvents,
            (false, true) => ObserverMode::DropUsage,
            (false, false) => ObserverMode::Watch,
        };
        Self::Verbatim(Box::new(Verbatim {
            dialect,
            observer: dialect.observer(mode),
            pieces: Vec::new(),
            tail: EventTail::default(),
            amid: false,
            array,
            raw,
            reframer: reframer.map(Box::new),
            flat: None,
            custom: None,
            sealed: None,
            shadow: None,
            secret: ProviderSecret::default(),
        }))
    }

    /// Of an answer that stands in the caller's dialect already, with its usage in it.
    pub(super) fn shared(call: &InboundCall) -> Self {
        Self::verbatim(call, !call.sees_usage(), None)
    }

    /// Of an answer to another call, which stands in that one's dialect with its usage in it.
    pub(super) fn shared_in(call: &InboundCall, dialect: Dialect) -> Self {
        if dialect == call.dialect() {
            return Self::shared(call);
        }
        let options = StreamOptions { include_usage: call.sees_usage(), ..translated_options(call) };
        let encoder = call.dialect().stream_encoder(options);
        Self::Translated(Box::new(Translated { encoder, ..Self::translated(call, dialect) }))
    }

    /// The provider's bytes in the caller's framing, where the two speak of the same events, and what is wrong behind them, if they
    /// are not what the provider's framing allows.
    pub(super) fn reframed(&mut self, data: Bytes) -> (Bytes, Result<(), String>) {
        if let Self::Passed(stream) = self {
            return (stream.sealed(data), Ok(()));
        }
        let Self::Verbatim(transcoder) = self else { return (data, Ok(())) };
        if let Some(sealed) = &mut transcoder.sealed {
            return (sealed.pass(data), Ok(()));
        }
        let Some(reframer) = &mut transcoder.reframer else { return (transcoder.as_clients_know(data, false), Ok(())) };
        let mut out = Vec::with_capacity(data.len() * 2);
        let read = reframer.push(&data, &mut out).map_err(|error| error.message);
        (out.into(), read)
    }

    /// The provider's last bytes, where they were held until their event is whole.
    pub(super) fn held_back(&mut self) -> Bytes {
        if let Self::Passed(stream) = self {
            return stream.rest();
        }
        let Self::Verbatim(transcoder) = self else { return Bytes::new() };
        let mut out = Vec::new();
        transcoder.reframer.iter_mut().for_each(|reframer| reframer.finish(&mut out));
        if let Some(sealed) = &mut transcoder.sealed {
            return sealed.rest();
        }
        transcoder.as_clients_know(out.into(), true)
    }

    /// Seals the ids in a stream that passes.
    pub(super) fn seal(&mut self, sealed: Option<Box<SealedStream>>) {
        if let Self::Verbatim(transcoder) = self {
            transcoder.sealed = sealed;
        }
    }

    /// Takes from the provider's errors what that is called with.
    pub(super) fn keep_secret(&mut self, secret: ProviderSecret) {
        match self {
            Self::Verbatim(transcoder) => transcoder.secret = secret,
            Self::Translated(transcoder) => transcoder.secret = secret,
            Self::Passed(stream) => stream.keep_secret(secret),
        }
    }

    /// Keeps an answer that is translated, under an id of the gateway's own.
    pub(super) fn keep(&mut self, keep: Option<Keep>, own: Option<&str>) {
        if let Self::Translated(transcoder) = self {
            transcoder.keep = keep.zip(own.map(str::to_owned));
        }
    }

    /// Adds what tells the caller of a silent stream that it goes on; `false`: its writer has nothing of its own to say.
    pub(super) fn keep_alive(&mut self, out: &mut Vec<u8>) -> bool {
        if let Self::Translated(transcoder) = self {
            transcoder.encoder.push(&Event::Alive, out);
        }
        !out.is_empty()
    }

    /// True if nothing of an event is left open behind these bytes, which go out.
    pub(super) fn is_between(&self, out: &[u8]) -> bool {
        match self {
            Self::Verbatim(transcoder) if transcoder.raw => !transcoder.amid,
            Self::Translated(transcoder) if transcoder.binary => true,
            Self::Passed(_) => false,
            _ => ends_event(out),
        }
    }

    /// Takes the provider's next bytes and adds what goes to the caller.
    ///
    /// # Errors
    /// They are not what the provider's dialect allows.
    pub(super) fn feed(
        &mut self,
        data: Bytes,
        out: &mut WriteBuffer,
        recorder: Option<&mut Recorder>,
    ) -> Result<(), String> {
        match self {
            Self::Verbatim(transcoder) => {
                recorder.into_iter().for_each(|recorder| recorder.push(&data));
                transcoder.feed(data, out);
                transcoder.observer.damage().map_or(Ok(()), |damage| Err(damage.message.clone()))
            }
            Self::Translated(transcoder) => {
                let read = transcoder.decoder.push(&data, &mut transcoder.events);
                transcoder.write(out, recorder);
                read.map_err(|error| error.message)
            }
            Self::Passed(stream) => {
                stream.feed(data, out);
                Ok(())
            }
        }
    }

    /// True if a recorder that begins later needs the provider's bytes from before.
    pub(super) const fn needs_early(&self) -> bool {
        matches!(self, Self::Verbatim(_))
    }

    /// Gives a recorder what passed before it began.
    pub(super) fn catch_up(&self, early: Vec<u8>, out: &mut WriteBuffer, recorder: &mut Recorder) {
        match self {
            Self::Verbatim(_) | Self::Passed(_) => recorder.push(&early.into()),
            // Nothing has gone out yet: what is there is everything.
            Self::Translated(_) => recorder.push(&Bytes::copy_from_slice(out.rest())),
        }
    }

    /// The provider's bytes have come to their clean end. Says whether the answer is whole.
    ///
    /// # Errors
    /// They end in the middle of something.
    pub(super) fn finish(&mut self, out: &mut WriteBuffer, recorder: Option<&mut Recorder>) -> Result<bool, String> {
        match self {
            Self::Verbatim(transcoder) => Ok(transcoder.finish(out)),
            Self::Translated(transcoder) => {
                let read = transcoder.decoder.finish(&mut transcoder.events);
                transcoder.write(out, recorder);
                read.map_err(|error| error.message)?;
                Ok(transcoder.ended)
            }
            // HTTP's own end is all that says it.
            Self::Passed(stream) => {
                stream.finish(out);
                Ok(stream.began())
            }
        }
    }

    /// True if something of the answer itself has come.
    pub(super) fn first_token(&self) -> bool {
        match self {
            Self::Verbatim(transcoder) => transcoder.observer.first_token_seen(),
            Self::Translated(transcoder) => transcoder.first_token,
            Self::Passed(stream) => stream.began(),
        }
    }

    /// True if its provider has said that an answer begins, whatever has come of it.
    pub(super) fn has_begun(&self) -> bool {
        match self {
            Self::Verbatim(transcoder) => transcoder.observer.answer_name().is_some(),
            Self::Translated(transcoder) => transcoder.begun,
            Self::Passed(_) => false,
        }
    }

    /// The stream as far as it has come, by what is told in it.
    pub(super) fn so_far(&self) -> StreamSoFar {
        let has_thought = match self {
            Self::Verbatim(transcoder) => transcoder.observer.thought_seen(),
            Self::Translated(transcoder) => transcoder.thought,
            Self::Passed(_) => false,
        };
        StreamSoFar { has_begun: self.first_token(), has_thought, is_counted: self.usage().is_some() }
    }

    /// True if the provider has said that the answer is whole.
    pub(super) fn ended(&self) -> bool {
        match self {
            Self::Verbatim(transcoder) => transcoder.observer.ended(),
            Self::Translated(transcoder) => transcoder.ended,
            Self::Passed(_) => false,
        }
    }

    /// True if every answer in the stream has said why it ended: what is still to come is no more than its usage.
    pub(super) fn finished(&self) -> bool {
        match self {
            Self::Verbatim(transcoder) => transcoder.observer.finished(),
            Self::Translated(transcoder) => transcoder.decoder.is_finished(),
            Self::Passed(_) => false,
        }
    }

    /// Ends a stream whose answers have all finished and whose provider does not say so.
    pub(super) fn complete(&mut self, out: &mut WriteBuffer, recorder: Option<&mut Recorder>) {
        match self {
            Self::Verbatim(transcoder) => transcoder.complete(out),
            Self::Translated(transcoder) => {
                // Half an event behind the answers' end changes nothing.
                let _ = transcoder.decoder.finish(&mut transcoder.events);
                if !transcoder.ended && !matches!(transcoder.events.last(), Some(Event::End)) {
                    transcoder.events.push(Event::End);
                }
                transcoder.write(out, recorder);
            }
            Self::Passed(_) => {}
        }
    }

    /// The error that the provider said in mid-stream.
    pub(super) fn error(&self) -> Option<&ProviderError> {
        match self {
            Self::Verbatim(transcoder) => transcoder.observer.error(),
            Self::Translated(transcoder) => transcoder.error.as_ref(),
            Self::Passed(_) => None,
        }
    }

    pub(super) fn usage(&self) -> Option<Usage> {
        match self {
            Self::Verbatim(transcoder) => transcoder.observer.usage(),
            Self::Translated(transcoder) => transcoder.usage,
            Self::Passed(stream) => stream.usage(),
        }
    }

    /// True if the provider has said what was used at the answer's beginning alone: how long the answer would be nobody knew then.
    pub(super) fn usage_is_early(&self) -> bool {
        match self {
            Self::Verbatim(transcoder) => transcoder.observer.usage_is_early(),
            Self::Translated(transcoder) => transcoder.decoder.usage_is_early(),
            Self::Passed(_) => false,
        }
    }

    /// The service tier that answers, where the provider says it apart from its usage.
    pub(super) fn tier(&self) -> ServiceTier {
        match self {
            Self::Verbatim(transcoder) => transcoder.observer.tier(),
            Self::Translated(transcoder) => transcoder.decoder.tier(),
            Self::Passed(_) => ServiceTier::Unsaid,
        }
    }

    /// The length of the answer's own text so far, in bytes, roughly.
    pub(super) fn text_bytes(&self) -> u64 {
        match self {
            Self::Verbatim(transcoder) => transcoder.observer.text_bytes(),
            Self::Translated(transcoder) => transcoder.text,
            Self::Passed(_) => 0,
        }
    }

    /// The model as the provider names it, where it was read.
    pub(super) fn model(&self) -> Option<&str> {
        match self {
            Self::Verbatim(_) | Self::Passed(_) => None,
            Self::Translated(transcoder) => transcoder.model.as_deref(),
        }
    }

    /// Watches for the models behind the answer.
    pub(super) fn watch_models(&mut self) {
        if let Self::Verbatim(transcoder) = self {
            transcoder.observer.watch_models();
        }
    }

    /// The models behind the answer as far as it has come, where they are watched for.
    pub(super) fn answered_by(&self) -> Option<AnsweredBy> {
        match self {
            Self::Verbatim(transcoder) => transcoder.observer.answered_by().cloned(),
            Self::Translated(transcoder) => Some(AnsweredBy { model: transcoder.model.clone(), beside: Vec::new() }),
            Self::Passed(_) => None,
        }
    }

    /// The number of parts that the caller was not given: its dialect has no words for them.
    pub(super) fn skipped(&self) -> usize {
        match self {
            Self::Verbatim(_) | Self::Passed(_) => 0,
            Self::Translated(transcoder) => transcoder.encoder.skipped(),
        }
    }

    /// The memory that unfinished events take.
    pub(super) fn held(&self) -> usize {
        match self {
            Self::Verbatim(transcoder) => {
                let reframed = transcoder.reframer.as_ref().map_or(0, |reframer| reframer.held())
                    + transcoder.flat.as_ref().map_or(0, |flat| flat.held())
                    + transcoder.custom.as_ref().map_or(0, |custom| custom.held());
                let sealed = transcoder.sealed.as_ref().map_or(0, |sealed| sealed.held());
                let shadow = transcoder.shadow.as_ref().map_or(0, |shadowed| shadowed.held());
                transcoder.observer.held() + transcoder.tail.held() + reframed + sealed + shadow
            }
            Self::Translated(transcoder) => transcoder.held(),
            Self::Passed(stream) => stream.held(),
        }
    }

    /// Ends a stream whose provider said an error that has passed: nothing of what stood behind it has, and where the stream is an
    /// array that lacks its bracket.
    pub(super) fn close_after_error(&mut self, out: &mut WriteBuffer) {
        match self {
            Self::Verbatim(transcoder) if transcoder.error_is_held() => return transcoder.tell_held_error(out),
            Self::Translated(transcoder) if transcoder.error_is_held() => return transcoder.tell_held_error(out),
            _ => {}
        }
        if let Self::Verbatim(transcoder) = self
            && transcoder.array
            && !transcoder.amid
        {
            out.push(Bytes::from_static(b"]"));
        }
    }

    /// Adds the caller's dialect's error event; `false`: it can not be said, as half an event has passed.
    pub(super) fn write_error(&mut self, error: &ProviderError, out: &mut WriteBuffer) -> bool {
        match self {
            Self::Verbatim(transcoder) if transcoder.amid => return false,
            Self::Verbatim(transcoder) => {
                let mut encoder = transcoder.rest(transcoder.observer.number().map(|last| last.saturating_add(1)));
                encoder.error(error, out.rest());
            }
            Self::Translated(transcoder) => transcoder.encoder.error(error, out.rest()),
            Self::Passed(stream) => return stream.write_error(error, out),
        }
        true
    }
}
