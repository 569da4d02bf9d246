//! The values that every spoke takes and gives beside the hub's: targets, encodings, refusals.

use std::collections::BTreeMap;

use crate::hub::ErrorKind;
use crate::vendors::{FieldPolicy, LookAlike, UsageHabit};

/// The code by which Anthropic's SDKs learn that they have to go on without a message thread.
pub(crate) const NO_THREADS: &str = "thread_unsupported_request";

/// The refusal of Anthropic's `thread`: a conversation that the vendor holds, of which only what came last is in the body.
/// SDKs that try it first go on without when they are told so in these words.
pub(crate) fn no_threads() -> Refusal {
    Refusal::field("thread", "message threads are not available at this provider").code(NO_THREADS)
}

/// The refusal of a call that has to use a tool where the provider is given none: there are none, or all were left out.
pub(crate) fn no_tool_to_call() -> Refusal {
    Refusal::field("tool_choice", "a tool must be called, and there is none that this provider can be given")
}

/// A call that is wrong, or that a target can not express: the caller's fault.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Refusal {
    /// Nearly always `InvalidRequest`.
    pub kind: ErrorKind,
    /// The mistake, naming the field; safe to show to the caller.
    pub message: String,
    /// The field at fault (`messages[2].content[0]`).
    pub param: Option<String>,
    /// The caller's own vendor's code for it, where its SDKs act on one.
    pub code: Option<&'static str>,
}

impl Refusal {
    /// A wrong field; the message begins with the field's path.
    #[must_use]
    pub fn field(path: impl Into<String>, what: impl std::fmt::Display) -> Self {
        let path = path.into();
        Self { kind: ErrorKind::InvalidRequest, message: format!("{path}: {what}"), param: Some(path), code: None }
    }

    /// A wrong body, no single field of it being at fault.
    #[must_use]
    pub fn body(what: impl Into<String>) -> Self {
        Self { kind: ErrorKind::InvalidRequest, message: what.into(), param: None, code: None }
    }

    /// The same refusal by the caller's own name of the field, where `words` has one.
    #[must_use]
    pub(crate) fn in_words(self, words: &[(&str, &str)]) -> Self {
        let Some(param) = &self.param else { return self };
        let renamed = words.iter().find_map(|(known, own)| match known.strip_suffix("[]") {
            Some(list) => {
                let rest = param.strip_prefix(list)?.strip_prefix('[')?;
                rest.split_once(']').map(|_| (*own).to_owned())
            }
            None => {
                let rest = param.strip_prefix(known)?;
                (rest.is_empty() || rest.starts_with(['.', '['])).then(|| format!("{own}{rest}"))
            }
        });
        let Some(renamed) = renamed else { return self };
        let message = match self.message.strip_prefix(param.as_str()) {
            Some(rest) => format!("{renamed}{rest}"),
            None => self.message.clone(),
        };
        Self { message, param: Some(renamed), ..self }
    }

    /// Adds the code that the caller's SDK acts on.
    #[must_use]
    pub fn code(self, code: &'static str) -> Self {
        Self { code: Some(code), ..self }
    }
}

/// An answer that is not what its dialect allows: the provider's fault.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Malformed {
    /// The mistake; holds none of the answer's text.
    pub message: String,
    /// The byte offset in the body or event, where known.
    pub at: Option<usize>,
}

impl Malformed {
    /// Something wrong at no particular offset.
    #[must_use]
    pub fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), at: None }
    }
}

/// The reason why a stream could not be folded into a whole answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Unfolded {
    /// It stopped before its end.
    #[error("the stream was cut")]
    Cut,
    /// It is larger than the bound.
    #[error("the answer is larger than {0} bytes")]
    TooLarge(usize),
    /// It holds what nobody here knows how to put together.
    #[error("the stream holds what can not be folded")]
    Unknown,
    /// It is not what the dialect allows.
    #[error("the stream is malformed")]
    Malformed,
    /// The provider failed in mid-stream.
    #[error("the provider failed")]
    Failed,
}

/// The policy for tools that a vendor runs itself, where the provider has none of the kind.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum ServerTools {
    /// The call is refused, but for a search of the web that OpenAI would run and the model need not use: agents offer that with
    /// every call, and it is left out.
    #[default]
    RefuseButSearch,
    /// The call is refused.
    Refuse,
    /// They are left out.
    Drop,
}

/// The facts that an encoder must know of the provider it writes for.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ProviderProfile {
    /// The most tokens to ask for where the caller says nothing.
    pub default_max_tokens: Option<u64>,
    /// The temperature to ask for where the caller says nothing.
    pub default_temperature: Option<serde_json::Number>,
    /// The way to speak to it where it only looks like the dialect's own vendor (a self-hosted or third-party server),
    /// and so knows the older words only: `max_tokens`, no `developer` role. `None`: it is the vendor.
    pub look_alike: Option<LookAlike>,
    /// The most tokens that its models answer with, by the provider's own names of them. What is not here is as the
    /// tables in `vendors` say.
    pub max_output: BTreeMap<String, u64>,
    /// The same, as a price list says it: nobody is held to it, but a caller who names no limit may be answered with as many.
    pub known_output: BTreeMap<String, u64>,
    /// The policy for top-level fields that a rule of the translation would leave out, or refuse.
    pub fields: FieldPolicy,
    /// The policy for tools that a vendor runs itself where the provider has none.
    pub server_tools: ServerTools,
}

impl ProviderProfile {
    /// True if it only looks like the dialect's own vendor.
    #[must_use]
    pub fn compatible(&self) -> bool {
        self.look_alike.is_some()
    }

    /// True if its streams say what was used only where they are asked for it.
    #[must_use]
    pub fn asks_for_usage(&self) -> bool {
        self.look_alike.is_none_or(|row| row.usage == UsageHabit::WhenAsked)
    }
}

/// A call in a target's words.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Encoded {
    /// The JSON body.
    pub body: Vec<u8>,
    /// Paths of the fields left out, each by a rule of docs/dialects.md.
    pub dropped: Vec<String>,
    /// Headers the body needs beside it (`anthropic-beta`).
    pub headers: Vec<(String, String)>,
    /// The most tokens asked for, where the caller asked for more than the model can answer with.
    pub clamped: Option<u64>,
}

/// A whole answer in a caller's words.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct EncodedReply {
    /// The JSON body.
    pub body: Vec<u8>,
    /// The number of parts that the caller's dialect has no words for: they are left out.
    pub skipped: usize,
}

/// The form in which a stream is written.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StreamOptions {
    /// True if the caller asked for usage in the stream (OpenAI `stream_options.include_usage`).
    pub include_usage: bool,
    /// Seconds since 1970 to write where the provider's dialect does not say when it answered (nothing here reads a
    /// clock).
    pub created: Option<u64>,
    /// True if it is a JSON array that grows, and not server-sent events (Gemini, without `alt=sse`).
    pub array: bool,
    /// The number of its first event, where events stand before it that another has written: dialects that number theirs go on from there.
    pub goes_on: Option<u64>,
    /// The caller's own body, where its dialect's answers repeat some of it.
    pub call: Option<bytes::Bytes>,
    /// The tokens of the prompt, about, for a dialect that says them before anybody has counted.
    pub prompt: Option<u64>,
    /// The answer that it goes on telling of, where events stand before it that have named one.
    pub answer: Option<AnswerName>,
}

/// The words by which a stream's events name their answer.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AnswerName {
    /// Its id.
    pub id: String,
    /// The model that answers.
    pub model: String,
    /// Seconds since 1970.
    pub created: Option<u64>,
}
