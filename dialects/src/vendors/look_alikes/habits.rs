//! The ways in which look-alikes differ, each a word for a row.

/// The use of keys at a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyUse {
    /// It asks for one, as a bearer.
    Needed,
    /// It asks for none, or for one that whoever runs it has set.
    Optional,
}

/// An operation beside Chat Completions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SideOperation {
    /// Legacy Completions.
    Completions,
    /// Embeddings.
    Embeddings,
    /// Files, and batches of the requests in them.
    Files,
    /// Images of a text.
    ImageGenerations,
    /// Images of images and a text.
    ImageEdits,
    /// Images like an image.
    ImageVariations,
    /// Speech of a text.
    Speech,
    /// The text of speech.
    Transcriptions,
    /// The text of speech, in English.
    Translations,
    /// A judgement on texts and images.
    Moderations,
    /// Texts in the order in which they answer a question, in Jina's form.
    Rerank,
}

/// The way in which the model's earlier thoughts go back to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReasoningBack {
    /// No.
    Never,
    /// They go back where the caller has them.
    Sent,
    /// They go back where the caller has them, and empty in turns that call tools where he has not: the server refuses
    /// such a turn without the field.
    Required,
}

/// The place of the signatures that Google's and Anthropic's models want back with the calls that they have made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SignaturePlace {
    /// There is none.
    Nowhere,
    /// Google's stand on the call (`extra_content`).
    OnCalls,
    /// They stand in a list of the turn's (`reasoning_details`).
    InDetails,
}

/// The word by which a model that thinks unasked is told not to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OffWord {
    /// `thinking: {"type": "disabled"}`.
    Thinking,
    /// `enable_thinking: false`.
    EnableThinking,
    /// `reasoning: {"enabled": false}`.
    Reasoning,
}

impl OffWord {
    /// The field, and its JSON.
    pub(crate) const fn member(self) -> (&'static str, &'static str) {
        match self {
            Self::Thinking => ("thinking", r#"{"type":"disabled"}"#),
            Self::EnableThinking => ("enable_thinking", "false"),
            Self::Reasoning => ("reasoning", r#"{"enabled":false}"#),
        }
    }
}

/// The fields of messages that a server knows, where it refuses others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MessageFields {
    /// Those of instructions.
    pub instructions: &'static [&'static str],
    /// Those of a turn of the user's.
    pub user: &'static [&'static str],
    /// Those of a turn of the model's.
    pub assistant: &'static [&'static str],
    /// Those of a tool's result.
    pub tool: &'static [&'static str],
    /// Those of a call in the model's turn.
    pub calls: &'static [&'static str],
}

/// The place that instructions in mid-conversation go to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SystemMessages {
    /// Into the one message at the beginning: many prompt templates take no other.
    First,
    /// They stay where they are.
    InPlace,
}

/// The way in which streams say what was used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UsageHabit {
    /// The last chunk says it, where `stream_options` asks for it.
    WhenAsked,
    /// The last chunk says it, asked or not; `stream_options` is left out.
    AtTheEnd,
    /// Every chunk says what has been used so far, asked or not; `stream_options` is left out.
    InEveryChunk,
}

/// The ids of tool calls that a server takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CallIds {
    /// Any.
    Any,
    /// Nine letters and digits; a call with another id is refused.
    NineLetters,
}

/// A difference of tool calls in a stream from OpenAI's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CallHabit {
    /// A call comes whole, in one chunk.
    Whole,
    /// All calls have index 0, or none.
    NoIndex,
    /// Later pieces of a call have an empty id.
    EmptyId,
}

/// The way in which a model is made to go on with a last turn of its own, where it does not do so by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PrefillMark {
    /// The field of that turn which says so (`true`).
    pub field: &'static str,
    /// True if the answer says that turn once more at its beginning.
    pub echoes: bool,
}

/// A row's rule for a field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HostFieldRule {
    /// It is left out: the server refuses it, and it only steers.
    Drop,
    /// A call that has it is not sent: the server refuses it, or reads past what decides the answer.
    Refuse,
    /// The server has another name for it.
    Rename(&'static str),
}
