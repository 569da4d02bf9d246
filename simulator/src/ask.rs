//! The request, whichever vendor's words it came in: as much as the model needs to answer.

use serde_json::Value;

/// A request, understood.
#[derive(Debug, Default)]
pub(crate) struct Ask {
    /// The model's name, as asked for.
    pub(crate) model: String,
    /// System and developer instructions, together.
    pub(crate) system: String,
    /// The conversation.
    pub(crate) turns: Vec<Turn>,
    /// The tools that may be called.
    pub(crate) tools: Vec<Tool>,
    /// The tools that must be called.
    pub(crate) choice: Choice,
    /// True if several tools may be called at once.
    pub(crate) parallel: bool,
    /// The most tokens to answer with.
    pub(crate) max_tokens: Option<u64>,
    /// Texts that end the answer.
    pub(crate) stop: Vec<String>,
    /// The number of answers.
    pub(crate) answers: u32,
    /// The format that the answer must have.
    pub(crate) format: Format,
    /// Thinking before the answer.
    pub(crate) thinking: Thinking,
    /// True if the answer goes on from a prompt, in the words of legacy Completions.
    pub(crate) completes: bool,
    /// True if the answer is streamed.
    pub(crate) stream: bool,
    /// True if the stream ends with what was used.
    pub(crate) stream_usage: bool,
    /// Tokens of the prompt.
    pub(crate) input_tokens: u64,
    /// Beginnings of the prompt that the prompt cache may know, shortest first.
    pub(crate) beginnings: Vec<Beginning>,
    /// Tools of free text, by name.
    pub(crate) custom: Vec<String>,
    /// The fields that an answer repeats, in dialects whose answers do.
    pub(crate) repeated: serde_json::Map<String, Value>,
}

/// A beginning of a prompt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Beginning {
    /// Its hash.
    pub(crate) hash: u64,
    /// Its tokens.
    pub(crate) tokens: u64,
}

/// One turn.
#[derive(Debug)]
pub(crate) struct Turn {
    /// True if the caller speaks (or its tools).
    pub(crate) user: bool,
    /// The text.
    pub(crate) parts: Vec<Part>,
}

/// A piece of a turn.
#[derive(Debug)]
pub(crate) enum Part {
    /// Text.
    Text(String),
    /// A picture, sound or document, described: `an image/png image of 68 bytes`.
    Media(String),
    /// A tool was called.
    Call {
        /// The call's id.
        id: String,
    },
    /// A tool answered.
    Result {
        /// The call that it answers.
        id: String,
        /// Its result.
        text: String,
        /// True if it failed.
        failed: bool,
    },
    /// The model thought.
    Thought,
}

/// The tools that may be called.
#[derive(Debug)]
pub(crate) struct Tool {
    /// Its name.
    pub(crate) name: String,
    /// JSON Schema of its arguments.
    pub(crate) schema: Value,
}

/// The tools that must be called.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) enum Choice {
    /// The model decides.
    #[default]
    Auto,
    /// Nothing.
    None,
    /// Something.
    Required,
    /// This.
    Named(String),
}

/// The format that the answer must have.
#[derive(Debug, Default)]
pub(crate) enum Format {
    /// Text.
    #[default]
    Text,
    /// Any JSON object.
    Json,
    /// JSON of a schema.
    Schema(Value),
}

/// Thinking before the answer.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) enum Thinking {
    /// None.
    #[default]
    Off,
    /// Told in blocks of the answer.
    Shown,
    /// Blocks whose text is withheld.
    Withheld,
    /// Counted in the usage, this many tokens, and not shown.
    Counted(u64),
}

impl Ask {
    /// The caller's last message, its texts together.
    pub(crate) fn last_words(&self) -> String {
        let Some(turn) = self.turns.iter().rev().find(|turn| turn.user) else { return String::new() };
        let texts = turn.parts.iter().filter_map(|part| match part {
            Part::Text(text) => Some(text.as_str()),
            _ => None,
        });
        texts.collect::<Vec<_>>().join("\n")
    }

    /// The pieces of the last turn, when it is the caller's.
    pub(crate) fn last_parts(&self) -> &[Part] {
        self.turns.last().filter(|turn| turn.user).map_or(&[], |turn| &turn.parts)
    }
}
