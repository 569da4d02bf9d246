//! The engine of a stream whose provider speaks another dialect than the caller, or that goes on where another one broke off: bytes,
//! events, and bytes again.

use bytes::Bytes;
use sluicegate_dialects::continuation::{RestOfAnswer, SaidSoFar};
use sluicegate_dialects::hub::{Delta, Event, PartKind, ProviderError, Usage};
use sluicegate_dialects::{RepeatedBeginning, SignatureMark, StreamDecoder, StreamEncoder, ToolNames, call_id};

use crate::cache::Recorder;

use super::provider_secret::ProviderSecret;
use super::sealed_stream::{Keep, last_answer};
use super::write_buffer::WriteBuffer;

/// Bytes → events → bytes.
pub(super) struct Translated {
    pub(super) decoder: StreamDecoder,
    pub(super) encoder: StreamEncoder,
    /// True if what is written is no text: then it ends between two events, always.
    pub(super) binary: bool,
    /// True if the caller is not told that its provider is alive: each word of that would be an event, which some of its clients do not know
    /// and OpenAI says in long silences alone.
    pub(super) skips_pings: bool,
    pub(super) events: Vec<Event>,
    pub(super) first_token: bool,
    /// True if thoughts have begun.
    pub(super) thought: bool,
    /// True if its provider has said that an answer begins.
    pub(super) begun: bool,
    pub(super) ended: bool,
    pub(super) usage: Option<Usage>,
    pub(super) model: Option<String>,
    pub(super) error: Option<ProviderError>,
    /// Of the answer itself, so far.
    pub(super) text: u64,
    /// The id and the model that an answer is told by whose provider names neither.
    pub(super) names: (String, String),
    /// The names of tools that went out as others.
    pub(super) tools: ToolNames,
    /// Marks the signatures of its model's thoughts, where callers could not tell whose they are.
    pub(super) mark: Option<SignatureMark>,
    /// Takes out what it says once more of the caller's own words.
    pub(super) echo: Option<RepeatedBeginning>,
    /// Keeps the answer, and the id that it is told by then.
    pub(super) keep: Option<(Keep, String)>,
    /// The answer so far, where somebody else may have to go on with it.
    pub(super) followed: Option<Box<FollowedAnswer>>,
    /// The events themselves, where they are the rest of an answer: whoever tells that writes them.
    pub(super) gathered: Option<Vec<Event>>,
    /// The thing that its provider is called with, which no error tells.
    pub(super) secret: ProviderSecret,
}

/// An answer that somebody else may have to go on with, or does.
#[derive(Default)]
pub(super) struct FollowedAnswer {
    pub(super) said: SaidSoFar,
    /// The engine that makes the rest of the answer a part of it, where another provider had begun.
    pub(super) rest: Option<RestOfAnswer>,
    /// True if the provider has said an error that has not been told.
    pub(super) holds_error: bool,
}

/// The rest of an answer as far as it has come, and the reader of what is still to come.
pub(super) struct RestSoFar {
    pub(super) decoder: StreamDecoder,
    pub(super) events: Vec<Event>,
    /// The thing that whoever gives it is called with.
    pub(super) secret: ProviderSecret,
}

pub(super) fn fill(empty: &mut String, text: &str) {
    if empty.is_empty() {
        text.clone_into(empty);
    }
}

fn record(recorder: Option<&mut Recorder>, text: Option<&[u8]>) {
    if let Some((recorder, text)) = recorder.zip(text.filter(|text| !text.is_empty())) {
        recorder.push(&Bytes::copy_from_slice(text));
    }
}

impl Translated {
    pub(super) fn write(&mut self, out: &mut WriteBuffer, recorder: Option<&mut Recorder>) {
        if self.events.is_empty() {
            return;
        }
        let mut events = std::mem::take(&mut self.events);
        if let Some(echo) = &mut self.echo {
            let mut sifted = Vec::with_capacity(events.len());
            events.drain(..).for_each(|event| echo.sift(event, &mut sifted));
            events = sifted;
        }
        for event in &mut events {
            if let Event::Error(error) = event {
                *error = self.secret.out_of_error(error.clone());
            }
            if let Event::PartStart { kind: PartKind::ToolCall { name, .. }, .. } = event {
                self.tools.give_back(name);
            }
            self.mark.iter_mut().for_each(|mark| mark.see(event));
        }
        if self.gathered.is_some() {
            events.iter().for_each(|event| self.note(event));
            self.gathered.iter_mut().for_each(|gathered| gathered.append(&mut events));
            return;
        }
        let text = out.rest();
        let before = text.len();
        let (mut recorder, mut recorded) = (recorder, before);
        for mut event in events.drain(..) {
            let (is_alive, at) = (matches!(event, Event::Alive), text.len());
            if is_alive && self.skips_pings {
                continue;
            }
            self.note(&event);
            if let Event::Start { id, model, .. } = &mut event {
                self.keep.iter().for_each(|(_, own)| own.clone_into(id));
                fill(id, &self.names.0);
                fill(model, &self.names.1);
            }
            if let Event::PartStart { kind: PartKind::ToolCall { id, .. }, .. } = &mut event {
                call_id::tell_apart(id, &self.names.0);
            }
            match &mut self.followed {
                None => self.encoder.push(&event, text),
                Some(followed) => followed.tell(event, &mut self.encoder, text),
            }
            if is_alive {
                // It says nothing to whoever is told the answer later.
                record(recorder.as_deref_mut(), text.get(recorded..at));
                recorded = text.len();
            }
        }
        self.events = events;
        if let Some((keep, own)) = &self.keep
            && let Some(answer) = last_answer(text.get(before..).unwrap_or_default())
        {
            keep(own, answer);
        }
        record(recorder, text.get(recorded..));
    }

    fn note(&mut self, event: &Event) {
        match event {
            Event::Start { model, .. } => {
                self.begun = true;
                self.model = Some(model.clone()).filter(|model| !model.is_empty());
            }
            Event::Delta { delta, .. } => {
                self.first_token = true;
                if let Delta::Text(text) | Delta::Arguments(text) = delta {
                    self.text += text.len() as u64;
                }
            }
            Event::PartStart { kind: PartKind::Thinking | PartKind::RedactedThinking(_), .. } => self.thought = true,
            Event::Finish { .. } | Event::PartStart { kind: PartKind::Picture { .. }, .. } => self.first_token = true,
            Event::Usage(usage) => self.usage = Some(*usage),
            Event::Error(error) => self.error = Some(error.clone()),
            Event::End => self.ended = true,
            Event::PartStart { .. } | Event::PartEnd { .. } | Event::Alive | Event::Other { .. } => {}
        }
    }
}

impl Translated {
    /// Takes the rest of an answer that it has gathered, and leaves another reader.
    pub(super) fn take_rest(&mut self, another: StreamDecoder) -> Option<RestSoFar> {
        let events = self.gathered.take()?;
        let decoder = std::mem::replace(&mut self.decoder, another);
        Some(RestSoFar { decoder, events, secret: std::mem::take(&mut self.secret) })
    }

    /// One that stands behind a stream that has passed.
    pub(super) fn behind((encoder, said): (StreamEncoder, SaidSoFar), fresh: Self) -> Self {
        let followed = FollowedAnswer { said, ..FollowedAnswer::default() };
        Self { encoder, followed: Some(Box::new(followed)), ..fresh }
    }

    /// The same for another attempt.
    pub(super) fn afresh(self, fresh: Self) -> Self {
        let Self { encoder, followed, keep, .. } = self;
        Self { encoder, followed, keep, ..fresh }
    }

    /// Goes on with the rest of the answer.
    pub(super) fn go_on(&mut self, rest: RestSoFar, asked: bool, before: Option<Usage>) {
        let RestSoFar { decoder, events, secret } = rest;
        (self.decoder, self.events, self.secret) = (decoder, events, secret);
        if let Some(followed) = &mut self.followed {
            followed.rest = Some(RestOfAnswer::new(&followed.said, asked, before));
            followed.holds_error = false;
        }
    }

    /// True if its provider has said an error that has not been told.
    pub(super) fn error_is_held(&self) -> bool {
        self.followed.as_ref().is_some_and(|followed| followed.holds_error)
    }

    /// Tells the error that was held.
    pub(super) fn tell_held_error(&mut self, out: &mut WriteBuffer) {
        if let Some(error) = &self.error {
            self.encoder.error(error, out.rest());
        }
    }

    /// The memory that unfinished events take, and what somebody else would need.
    pub(super) fn held(&self) -> usize {
        let followed = self
            .followed
            .as_ref()
            .map_or(0, |followed| followed.said.held() + followed.rest.as_ref().map_or(0, RestOfAnswer::held));
        self.decoder.held() + self.encoder.held() + followed
    }
}

impl FollowedAnswer {
    fn tell(&mut self, event: Event, encoder: &mut StreamEncoder, text: &mut Vec<u8>) {
        // Nothing stands behind an error, and as long as somebody else may go on it is not told.
        if self.holds_error {
            return;
        }
        if matches!(event, Event::Error(_)) && self.said.text().is_some() {
            self.holds_error = true;
            return;
        }
        let Some(rest) = &mut self.rest else {
            self.said.note(&event);
            return encoder.push(&event, text);
        };
        let mut told = Vec::new();
        rest.push(event, &mut told);
        for event in told {
            self.said.note(&event);
            encoder.push(&event, text);
        }
    }
}
