//! The neutral shape in the middle: what a call, a reply and a stream event mean, whichever dialect spoke them.
//!
//! Every spoke translates its own wire into these types and out of them. A spoke destructures without `..`, so that
//! a new field here does not compile until each spoke has decided what to do with it.

mod error;
mod usage;

use serde_json::value::RawValue;
use std::collections::BTreeMap;

use crate::dialect::Dialect;

pub use error::CONTEXT_OVERFLOW;
pub use error::{ErrorKind, ProviderError};
pub use usage::{ServiceTier, Usage};

/// Raw JSON carried through untouched (number forms and key order stay as they were).
pub type Raw = Box<RawValue>;

/// Fields the hub has no word for, by name, in the words of the dialect that `Call::extra` or `Reply::extra` names.
pub type Fields = BTreeMap<String, Raw>;

/// One conversation turn request, neutral.
#[derive(Debug, Clone)]
pub struct Call {
    /// The model name as the caller wrote it (the target's name after routing).
    pub model: String,
    /// System and developer instructions that stand before the conversation, in order.
    pub system: Vec<SystemPart>,
    /// The conversation, oldest first. Tool results are parts of a `User` turn. Turns of the same role may follow
    /// one another.
    pub messages: Vec<Message>,
    /// The tools that the model may call.
    pub tools: Vec<Tool>,
    /// The tool that it must, may or must not call.
    pub tool_choice: Option<ToolChoice>,
    /// True if several tools may be called in one turn; `None`: the dialect's default (yes).
    pub parallel_tools: Option<bool>,
    /// The most tokens to answer with.
    pub max_tokens: Option<u64>,
    /// Sampling settings.
    pub sampling: Sampling,
    /// Texts that end the answer.
    pub stop: Vec<String>,
    /// The shape that the answer must have.
    pub format: Option<Format>,
    /// The thinking that the model may do first.
    pub reasoning: Option<Reasoning>,
    /// True if the caller asks to be told of the thoughts, or a summary of them, where that has to be asked for.
    pub thoughts_told: bool,
    /// True if the answer is streamed.
    pub stream: bool,
    /// True if the caller asked for usage in the stream (always so in dialects that always send it).
    pub stream_usage: bool,
    /// An opaque id of the end user, for the provider's abuse detection.
    pub end_user: Option<String>,
    /// Top-level fields the hub has no word for, as the caller's dialect wrote them. A target of the same dialect
    /// takes them all; another takes those its own table knows.
    pub extra: Extra,
}

/// Fields the hub has no word for, with the dialect whose words they are.
#[derive(Debug, Clone)]
pub struct Extra {
    /// The dialect that they are words of.
    pub dialect: Dialect,
    /// Field name to raw value.
    pub fields: Fields,
}

impl Extra {
    /// No fields, in this dialect.
    #[must_use]
    pub fn none(dialect: Dialect) -> Self {
        Self { dialect, fields: Fields::new() }
    }
}

/// Sampling settings; numbers keep the text they were written in.
#[derive(Debug, Clone, Default)]
pub struct Sampling {
    /// 0 to 2 (OpenAI) or 0 to 1 (Anthropic).
    pub temperature: Option<serde_json::Number>,
    /// Nucleus sampling.
    pub top_p: Option<serde_json::Number>,
    /// Only the k likeliest tokens.
    pub top_k: Option<u64>,
    /// Repeatable sampling.
    pub seed: Option<i64>,
    /// −2 to 2.
    pub frequency_penalty: Option<serde_json::Number>,
    /// −2 to 2.
    pub presence_penalty: Option<serde_json::Number>,
    /// The number of answers.
    pub choices: Option<u32>,
}

/// A part of the instructions.
#[derive(Debug, Clone, Default)]
pub struct SystemPart {
    /// The text.
    pub text: String,
    /// A prompt-caching marker on it.
    pub cache: Option<CacheMark>,
    /// True if it was given in the `developer` role, where the dialect tells it from `system`.
    pub developer: bool,
    /// The participant's name, where the dialect has one.
    pub name: Option<String>,
    /// Fields of the part the hub has no word for.
    pub extra: Fields,
}

impl SystemPart {
    /// Plain instructions.
    #[must_use]
    pub fn new(text: impl Into<String>) -> Self {
        Self { text: text.into(), ..Self::default() }
    }
}

/// A prompt-caching marker (Anthropic `cache_control`), raw so that new lifetimes pass.
#[derive(Debug, Clone)]
pub struct CacheMark(pub Raw);

/// The speaker of a turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// The caller, or a tool's result.
    User,
    /// The model.
    Assistant,
    /// Instructions in mid-conversation, where the dialect allows them there.
    System,
    /// The same in OpenAI's `developer` role.
    Developer,
}

/// One turn.
#[derive(Debug, Clone)]
pub struct Message {
    /// The speaker.
    pub role: Role,
    /// The participant's name where the dialect has one.
    pub name: Option<String>,
    /// The pieces that are said, in order.
    pub parts: Vec<Part>,
    /// Fields of the turn the hub has no word for.
    pub extra: Fields,
    /// The index of the caller's message that it is, from 0; the first of them where several became one turn.
    pub at: usize,
}

impl Message {
    /// A turn with no name and no extra fields.
    #[must_use]
    pub fn new(role: Role, parts: Vec<Part>) -> Self {
        Self { role, name: None, parts, extra: Fields::new(), at: 0 }
    }
}

/// A piece of a turn.
#[derive(Debug, Clone)]
pub struct Part {
    /// The content.
    pub content: Content,
    /// A prompt-caching marker on it.
    pub cache: Option<CacheMark>,
    /// Fields of the piece the hub has no word for.
    pub extra: Fields,
}

impl Part {
    /// A piece with no marker and no extra fields.
    #[must_use]
    pub fn new(content: Content) -> Self {
        Self { content, cache: None, extra: Fields::new() }
    }

    /// Plain text.
    #[must_use]
    pub fn text(text: impl Into<String>) -> Self {
        Self::new(Content::Text { text: text.into(), citations: None })
    }
}

/// The content of a piece of a turn.
#[derive(Debug, Clone)]
pub enum Content {
    /// Text, with its annotations or citations raw where there are any.
    Text {
        /// The text.
        text: String,
        /// Citations or annotations, in the dialect's own words.
        citations: Option<Raw>,
    },
    /// A refusal the model gave instead of an answer.
    Refusal(String),
    /// A picture.
    Image {
        /// The place that it is at.
        source: Source,
        /// `low`, `high` or `auto`, where the dialect has it.
        detail: Option<String>,
    },
    /// A document (PDF, plain text).
    Document {
        /// The place that it is at.
        source: Source,
        /// File name or title.
        name: Option<String>,
        /// Its settings, raw: citations and others.
        settings: Fields,
    },
    /// Sound.
    Audio {
        /// Base64.
        data: String,
        /// `wav`, `mp3`.
        format: String,
    },
    /// The model calls a tool.
    ToolCall(ToolCall),
    /// The answer of a tool.
    ToolResult {
        /// The call that it answers.
        call_id: String,
        /// Its pieces: text, images, documents.
        parts: Vec<Part>,
        /// True if the tool failed.
        is_error: bool,
    },
    /// The model's thoughts.
    Thinking {
        /// The text, possibly empty when withheld.
        text: String,
        /// The provider's signature over it, which must come back unchanged.
        signature: Option<String>,
    },
    /// Thoughts the provider has encrypted.
    RedactedThinking(String),
    /// A block the hub has no word for, in its dialect's own words.
    Other {
        /// The dialect of the words.
        dialect: Dialect,
        /// The block whole.
        raw: Raw,
    },
}

/// The place of a picture or document.
#[derive(Debug, Clone)]
pub enum Source {
    /// A URL the provider fetches.
    Url(String),
    /// Inline.
    Base64 {
        /// `image/png`, `application/pdf` …
        media_type: String,
        /// The bytes.
        data: String,
    },
    /// Inline plain text (documents only).
    Text(String),
    /// An id of the provider's file store.
    File(String),
}

/// A call of a tool by the model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ToolCall {
    /// The call's id.
    pub id: String,
    /// The tool's name.
    pub name: String,
    /// The arguments as JSON text; models are known to write broken JSON, so it is not parsed.
    pub arguments: String,
}

/// A tool that the model may call.
#[derive(Debug, Clone)]
pub enum Tool {
    /// A function of the caller's.
    Function {
        /// Its name.
        name: String,
        /// Its description.
        description: Option<String>,
        /// JSON Schema of its arguments, raw.
        parameters: Option<Raw>,
        /// True if arguments must match the schema exactly.
        strict: Option<bool>,
        /// A prompt-caching marker on it.
        cache: Option<CacheMark>,
        /// Fields of the tool the hub has no word for.
        extra: Fields,
    },
    /// A tool the provider runs itself (web search, computer use), in its dialect's own words.
    Other {
        /// The dialect of the words.
        dialect: Dialect,
        /// The tool whole.
        raw: Raw,
    },
}

/// The tool that must, may or must not be called.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ToolChoice {
    /// The model decides.
    Auto,
    /// None.
    None,
    /// At least one.
    Required,
    /// This one.
    Named(String),
}

impl ToolChoice {
    /// True if a tool has to be called: nothing can be left out then without changing what is asked for.
    #[must_use]
    pub fn is_a_must(&self) -> bool {
        match self {
            Self::Required | Self::Named(_) => true,
            Self::Auto | Self::None => false,
        }
    }
}

/// The shape that an answer must have.
#[derive(Debug, Clone)]
pub enum Format {
    /// Any JSON object.
    Json,
    /// JSON of this schema.
    Schema {
        /// The schema's name.
        name: Option<String>,
        /// Its description.
        description: Option<String>,
        /// JSON Schema, raw.
        schema: Raw,
        /// True if the answer must match exactly.
        strict: Option<bool>,
    },
}

/// The thinking that a model may do before it answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reasoning {
    /// Not at all.
    Off,
    /// As much as it finds right.
    Adaptive,
    /// By effort: `minimal`, `low`, `medium`, `high` …
    Effort(String),
    /// By a budget of tokens.
    Budget(u64),
}

/// A whole answer, neutral.
#[derive(Debug, Clone)]
pub struct Reply {
    /// The provider's id of it.
    pub id: String,
    /// The model that answered, as the provider names it.
    pub model: String,
    /// Seconds since 1970, where the dialect says it.
    pub created: Option<u64>,
    /// The answers; one unless more were asked for.
    pub choices: Vec<Choice>,
    /// The tokens used; `None`: the provider did not say.
    pub usage: Option<Usage>,
    /// Top-level fields the hub has no word for.
    pub extra: Extra,
}

impl Reply {
    /// Names the tool calls that have no name of their answer's, by what is told apart from all other answers.
    pub fn tell_calls_apart(&mut self, by: &str) {
        for part in self.choices.iter_mut().flat_map(|choice| &mut choice.parts) {
            if let Content::ToolCall(call) = &mut part.content {
                crate::call_id::tell_apart(&mut call.id, by);
            }
        }
    }

    /// The length of all that it says, in bytes.
    #[must_use]
    pub fn text_bytes(&self) -> u64 {
        let parts = self.choices.iter().flat_map(|choice| &choice.parts);
        let lengths = parts.map(|part| match &part.content {
            Content::Text { text, .. } | Content::Refusal(text) | Content::Thinking { text, .. } => text.len(),
            Content::ToolCall(call) => call.name.len() + call.arguments.len(),
            _ => 0,
        });
        lengths.map(|length| length as u64).sum()
    }

    /// True if something is said in it and no error stands beside that: nobody need look whether it is an answer.
    #[must_use]
    pub fn says_something(&self) -> bool {
        self.choices.iter().any(|choice| !choice.parts.is_empty()) && !self.extra.fields.contains_key("error")
    }
}

/// One of the answers.
#[derive(Debug, Clone)]
pub struct Choice {
    /// The pieces that were said.
    pub parts: Vec<Part>,
    /// The reason why it ended.
    pub stop: Stop,
    /// Log probabilities, raw.
    pub logprobs: Option<Raw>,
    /// Fields of the answer the hub has no word for.
    pub extra: Fields,
}

/// The reason why an answer ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Stop {
    /// The model was done.
    End,
    /// The token limit.
    Length,
    /// The model calls tools.
    Tools,
    /// One of the caller's stop texts, which where it is known.
    Sequence(Option<String>),
    /// The model or a filter refused.
    Refusal,
    /// The provider paused a long turn.
    Pause,
    /// The conversation is longer than the model's context.
    ContextLength,
    /// A word the hub does not know, as the provider wrote it.
    Other(String),
}

/// An event of a streamed answer, neutral; they come in order.
///
/// `Start`, then for each choice its parts one after another (`PartStart`, deltas, `PartEnd`), `Finish` for each
/// choice, `Usage` at any time (the last one counts), `End` last. A stream that stops without `End` was cut.
#[derive(Debug, Clone)]
pub enum Event {
    /// The answer begins.
    Start {
        /// The provider's id of it.
        id: String,
        /// The model as the provider names it.
        model: String,
        /// Seconds since 1970, where the dialect says it.
        created: Option<u64>,
    },
    /// A part begins.
    PartStart {
        /// The answer's index, from 0.
        choice: u32,
        /// The index of the part in the answer, from 0, rising.
        part: u32,
        /// The kind of part.
        kind: PartKind,
    },
    /// More of a part.
    Delta {
        /// The answer's index.
        choice: u32,
        /// The part's index.
        part: u32,
        /// The addition.
        delta: Delta,
    },
    /// A part is whole.
    PartEnd {
        /// The answer's index.
        choice: u32,
        /// The part's index.
        part: u32,
    },
    /// An answer is whole.
    Finish {
        /// The answer's index.
        choice: u32,
        /// The reason.
        stop: Stop,
    },
    /// The tokens used so far; each replaces the one before.
    Usage(Usage),
    /// The provider is still there (`ping`); carries nothing.
    Alive,
    /// The provider says that it failed in mid-stream.
    Error(ProviderError),
    /// The stream is whole.
    End,
    /// Something the hub has no word for: the event's name, where the dialect has one, and its data.
    Other {
        /// The dialect of the words.
        dialect: Dialect,
        /// The SSE event name.
        name: Option<String>,
        /// The data, raw.
        data: String,
    },
}

/// The kind of a streamed part.
#[derive(Debug, Clone)]
pub enum PartKind {
    /// Text.
    Text,
    /// A refusal.
    Refusal,
    /// Thoughts.
    Thinking,
    /// Thoughts the provider has encrypted, whole.
    RedactedThinking(String),
    /// A picture, whole.
    Picture {
        /// `image/png`.
        media_type: String,
        /// Base64.
        data: String,
    },
    /// A tool call; its arguments come as deltas.
    ToolCall {
        /// The call's id.
        id: String,
        /// The tool's name.
        name: String,
    },
    /// A block the hub has no word for, as its dialect began it.
    Other {
        /// The dialect of the words.
        dialect: Dialect,
        /// The block's beginning.
        raw: Raw,
    },
}

/// An addition to a streamed part.
#[derive(Debug, Clone)]
pub enum Delta {
    /// Text, of a text, refusal or thinking part.
    Text(String),
    /// JSON text of a tool call's arguments.
    Arguments(String),
    /// The signature of a thinking part.
    Signature(String),
    /// A citation of a text part, raw.
    Citation(Raw),
    /// Log probabilities of this piece, raw.
    Logprobs(Raw),
    /// A delta the hub has no word for.
    Other {
        /// The dialect of the words.
        dialect: Dialect,
        /// The delta whole.
        raw: Raw,
    },
}
