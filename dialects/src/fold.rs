//! A streamed answer folded into a whole one, and a whole one told as a stream: for the cache and for tests.

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::dialect::Dialect;
use crate::hub::{
    Choice, Content, Delta, Event, Extra, Fields, Part, PartKind, ProviderError, Raw, Reply, Stop, ToolCall,
};

/// Why a stream could not be folded.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unfolded {
    /// It stopped before its end.
    #[error("the stream was cut")]
    Cut,
    /// It is larger than the bound.
    #[error("the answer is larger than {0} bytes")]
    TooLarge(usize),
    /// It holds what only its own dialect can put together.
    #[error("the stream holds events that can not be folded")]
    Unknown,
    /// The provider failed in mid-stream.
    #[error("the provider failed: {}", .0.message)]
    Failed(ProviderError),
}

/// Folds one stream.
#[derive(Debug)]
pub struct Fold {
    reply: Reply,
    choices: Vec<FoldChoice>,
    bytes: usize,
    max_bytes: usize,
    ended: bool,
    given_up: Option<Unfolded>,
}

#[derive(Debug, Default)]
struct FoldChoice {
    parts: Vec<FoldPart>,
    stop: Option<Stop>,
    logprobs: Vec<Raw>,
}

#[derive(Debug)]
struct FoldPart {
    part: u32,
    kind: PartKind,
    text: String,
    signature: Option<String>,
    citations: Vec<Raw>,
}

/// What one event's bookkeeping costs, so that many empty ones are bounded too.
const COST: usize = 64;

impl Fold {
    /// A fold of a stream in this dialect's words that gives up beyond `max_bytes` of content.
    #[must_use]
    pub fn new(dialect: Dialect, max_bytes: usize) -> Self {
        let reply = Reply {
            id: String::new(),
            model: String::new(),
            created: None,
            choices: Vec::new(),
            usage: None,
            extra: Extra::none(dialect),
        };
        Self { reply, choices: Vec::new(), bytes: 0, max_bytes, ended: false, given_up: None }
    }

    /// Takes the next event. Once given up nothing more is kept.
    pub fn push(&mut self, event: &Event) {
        if self.given_up.is_some() {
            return;
        }
        if let Err(unfolded) = self.take(event) {
            self.given_up = Some(unfolded);
            self.choices = Vec::new();
        }
    }

    /// The whole answer. Errors: the stream was cut, failed, too large, or can not be folded.
    pub fn finish(self) -> Result<Reply, Unfolded> {
        let Self { mut reply, choices, ended, given_up, .. } = self;
        if let Some(unfolded) = given_up {
            return Err(unfolded);
        }
        if !ended || choices.is_empty() {
            return Err(Unfolded::Cut);
        }
        reply.choices = choices.into_iter().map(FoldChoice::finish).collect::<Result<_, _>>()?;
        Ok(reply)
    }

    fn grow(&mut self, bytes: usize) -> Result<(), Unfolded> {
        self.bytes = self.bytes.saturating_add(bytes).saturating_add(COST);
        if self.bytes > self.max_bytes { Err(Unfolded::TooLarge(self.max_bytes)) } else { Ok(()) }
    }

    fn take(&mut self, event: &Event) -> Result<(), Unfolded> {
        match event {
            Event::Start { id, model, created } => {
                self.grow(id.len() + model.len())?;
                self.reply.id.clone_from(id);
                self.reply.model.clone_from(model);
                self.reply.created = *created;
            }
            Event::PartStart { choice, part, kind } => {
                self.grow(match kind {
                    PartKind::ToolCall { id, name } => id.len() + name.len(),
                    PartKind::RedactedThinking(data) => data.len(),
                    PartKind::Other { raw, .. } => raw.get().len(),
                    PartKind::Text | PartKind::Refusal | PartKind::Thinking => 0,
                })?;
                let (text, citations) = (String::new(), Vec::new());
                let begun = FoldPart { part: *part, kind: kind.clone(), text, signature: None, citations };
                self.choice(*choice)?.parts.push(begun);
            }
            Event::Delta { choice, part, delta } => self.delta(*choice, *part, delta)?,
            Event::Finish { choice, stop } => self.choice(*choice)?.stop = Some(stop.clone()),
            Event::Usage(usage) => self.reply.usage = Some(*usage),
            Event::Error(error) => return Err(Unfolded::Failed(error.clone())),
            Event::End => self.ended = true,
            Event::PartEnd { .. } | Event::Alive | Event::Other { .. } => {}
        }
        Ok(())
    }

    fn choice(&mut self, choice: u32) -> Result<&mut FoldChoice, Unfolded> {
        let place = choice as usize;
        while self.choices.len() <= place {
            self.grow(0)?;
            self.choices.push(FoldChoice::default());
        }
        self.choices.get_mut(place).ok_or(Unfolded::Unknown)
    }

    fn delta(&mut self, choice: u32, part: u32, delta: &Delta) -> Result<(), Unfolded> {
        self.grow(match delta {
            Delta::Text(text) | Delta::Arguments(text) | Delta::Signature(text) => text.len(),
            Delta::Citation(raw) | Delta::Logprobs(raw) => raw.get().len(),
            Delta::Other { .. } => return Err(Unfolded::Unknown),
        })?;
        let choice = self.choice(choice)?;
        if let Delta::Logprobs(raw) = delta {
            choice.logprobs.push(raw.clone());
            return Ok(());
        }
        let part = choice.parts.iter_mut().rev().find(|open| open.part == part).ok_or(Unfolded::Unknown)?;
        match delta {
            Delta::Text(text) | Delta::Arguments(text) => part.text.push_str(text),
            Delta::Signature(text) => part.signature.get_or_insert_default().push_str(text),
            Delta::Citation(raw) => part.citations.push(raw.clone()),
            Delta::Logprobs(_) | Delta::Other { .. } => {}
        }
        Ok(())
    }
}

impl FoldChoice {
    fn finish(self) -> Result<Choice, Unfolded> {
        let Self { parts, stop, logprobs } = self;
        Ok(Choice {
            parts: parts.into_iter().map(FoldPart::finish).collect::<Result<_, _>>()?,
            stop: stop.ok_or(Unfolded::Cut)?,
            logprobs: joined_logprobs(&logprobs)?,
            extra: Fields::new(),
        })
    }
}

impl FoldPart {
    fn finish(self) -> Result<Part, Unfolded> {
        let Self { part: _, kind, text, signature, citations } = self;
        let content = match kind {
            PartKind::Text => {
                let citations = if citations.is_empty() { None } else { Some(raw_of(&citations)?) };
                Content::Text { text, citations }
            }
            PartKind::Refusal => Content::Refusal(text),
            PartKind::Thinking => Content::Thinking { text, signature },
            PartKind::RedactedThinking(data) => Content::RedactedThinking(data),
            PartKind::ToolCall { id, name } => Content::ToolCall(ToolCall { id, name, arguments: text }),
            PartKind::Other { dialect, raw } if text.is_empty() => Content::Other { dialect, raw },
            PartKind::Other { dialect: dialect @ Dialect::AnthropicMessages, raw } => {
                // A tool the provider runs itself: what streamed is its `input`.
                let mut block: Fields = serde_json::from_str(raw.get()).map_err(|_| Unfolded::Unknown)?;
                block.insert("input".to_owned(), RawValue::from_string(text).map_err(|_| Unfolded::Unknown)?);
                Content::Other { dialect, raw: raw_of(&block)? }
            }
            PartKind::Other { .. } => return Err(Unfolded::Unknown),
        };
        Ok(Part::new(content))
    }
}

fn raw_of(value: &impl serde::Serialize) -> Result<Raw, Unfolded> {
    serde_json::value::to_raw_value(value).map_err(|_| Unfolded::Unknown)
}

/// OpenAI's log probabilities come in pieces of `{"content":[…],"refusal":[…]}`.
fn joined_logprobs(pieces: &[Raw]) -> Result<Option<Raw>, Unfolded> {
    #[derive(Deserialize, serde::Serialize, Default)]
    struct Lists {
        content: Option<Vec<Raw>>,
        refusal: Option<Vec<Raw>>,
    }
    if pieces.is_empty() {
        return Ok(None);
    }
    let mut whole = Lists::default();
    for piece in pieces {
        let Lists { content, refusal } = serde_json::from_str(piece.get()).map_err(|_| Unfolded::Unknown)?;
        for (list, more) in [(&mut whole.content, content), (&mut whole.refusal, refusal)] {
            if let Some(more) = more {
                list.get_or_insert_default().extend(more);
            }
        }
    }
    raw_of(&whole).map(Some)
}

/// Tells a whole answer as a stream: each part in one delta.
#[must_use]
pub fn unfold(reply: &Reply) -> Vec<Event> {
    // What a stream has no place for (a reply's extra fields) is left out.
    let Reply { id, model, created, choices, usage, extra: _ } = reply;
    let mut events = vec![Event::Start { id: id.clone(), model: model.clone(), created: *created }];
    for (choice, Choice { parts, stop, logprobs, extra: _ }) in (0..).zip(choices) {
        for (part, told) in (0..).zip(parts) {
            unfold_part(choice, part, &told.content, &mut events);
            if part == 0 {
                let delta = logprobs.clone().map(Delta::Logprobs);
                events.extend(delta.map(|delta| Event::Delta { choice, part, delta }));
            }
            events.push(Event::PartEnd { choice, part });
        }
        events.push(Event::Finish { choice, stop: stop.clone() });
    }
    events.extend(usage.map(Event::Usage));
    events.push(Event::End);
    events
}

fn unfold_part(choice: u32, part: u32, content: &Content, events: &mut Vec<Event>) {
    let text = |text: &String| (!text.is_empty()).then(|| Delta::Text(text.clone()));
    let (kind, deltas): (PartKind, Vec<Delta>) = match content {
        Content::Text { text: said, citations } => {
            let citations: Vec<Raw> =
                citations.as_ref().and_then(|raw| serde_json::from_str(raw.get()).ok()).unwrap_or_default();
            (PartKind::Text, text(said).into_iter().chain(citations.into_iter().map(Delta::Citation)).collect())
        }
        Content::Refusal(said) => (PartKind::Refusal, text(said).into_iter().collect()),
        Content::Thinking { text: said, signature } => {
            let signature = signature.clone().map(Delta::Signature);
            (PartKind::Thinking, text(said).into_iter().chain(signature).collect())
        }
        Content::RedactedThinking(data) => (PartKind::RedactedThinking(data.clone()), Vec::new()),
        Content::ToolCall(ToolCall { id, name, arguments }) => {
            let arguments = (!arguments.is_empty()).then(|| Delta::Arguments(arguments.clone()));
            let kind = PartKind::ToolCall { id: id.clone(), name: name.clone() };
            (kind, arguments.into_iter().collect())
        }
        Content::Other { dialect, raw } => (PartKind::Other { dialect: *dialect, raw: raw.clone() }, Vec::new()),
        // A caller's words; no answer holds them.
        Content::Image { .. } | Content::Document { .. } | Content::Audio { .. } | Content::ToolResult { .. } => {
            (PartKind::Text, Vec::new())
        }
    };
    events.push(Event::PartStart { choice, part, kind });
    events.extend(deltas.into_iter().map(|delta| Event::Delta { choice, part, delta }));
}

#[cfg(test)]
mod tests;
