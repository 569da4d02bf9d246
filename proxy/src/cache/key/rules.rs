//! The parts of a request that do not count in its key, and the strings in it that are texts that people wrote.

use sluicegate_config::CacheKey;

/// More decimals than a temperature has.
const MAX_DECIMALS: u32 = 9;

/// The parts of a body that do not count.
#[derive(Debug, Clone)]
pub(super) struct Rules {
    pub(super) trim: bool,
    pub(super) lowercase: bool,
    pub(super) decimals: Option<u32>,
    ignore: Vec<String>,
}

impl Rules {
    pub(super) fn new(key: &CacheKey) -> Self {
        Self {
            trim: key.trim,
            lowercase: key.lowercase,
            decimals: key.temperature_decimals.map(|d| d.min(MAX_DECIMALS)),
            ignore: key.ignore.clone(),
        }
    }

    /// True if all of a body counts.
    pub(super) fn are_none(&self) -> bool {
        !self.trim && !self.lowercase && self.decimals.is_none() && self.ignore.is_empty()
    }

    /// The rules themselves, as bytes: answers kept under other rules are not found under these.
    pub(super) fn fingerprint(&self, out: &mut Vec<u8>) {
        out.push(u8::from(self.trim) | (u8::from(self.lowercase) << 1));
        out.push(self.decimals.map_or(0xff, |d| u8::try_from(d).unwrap_or(0xfe)));
        for name in &self.ignore {
            put(out, name.as_bytes());
        }
        out.push(0xff);
    }

    /// True if a top-level member does not count.
    pub(super) fn skips(&self, name: &str) -> bool {
        matches!(name, "stream" | "stream_options") || self.ignore.iter().any(|i| i == name)
    }
}

/// The place of a value in the request: it decides whether a string is a text that people wrote.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum FieldPlace {
    /// The request itself.
    Top,
    /// Top-level `temperature`.
    Temperature,
    /// Top-level fields by which the provider is asked to keep something, goes on with what it keeps and changes that, or lets tools act.
    Store,
    /// `messages`.
    Turns,
    /// One of them.
    Turn,
    /// A turn's `role`.
    Role,
    /// In `messages` or `system`.
    Talk,
    /// A string here is a text; an array or object is talk.
    Text,
    /// The same, of instructions.
    Instructions,
    /// A block of those.
    InstructionsBlock,
    /// `tools`.
    Tools,
    /// One of them.
    Tool,
    /// The `type` of one.
    ToolType,
    /// Names, ids, data, tool arguments: nothing about them may be changed.
    Exact,
}

impl FieldPlace {
    /// The place of a member's value. `instructs`: the turn that it is a member of is one of instructions.
    pub(super) fn of_member(self, name: &str, instructs: bool) -> Self {
        match (self, name) {
            (Self::Top, "messages") => Self::Turns,
            (Self::Top, "system") => Self::Instructions,
            (Self::Top, "tools") => Self::Tools,
            (Self::Top, "temperature") => Self::Temperature,
            (Self::Top, "store" | "thread" | "conversation" | "background" | "container" | "mcp_servers") => {
                Self::Store
            }
            (Self::Tool, "type") => Self::ToolType,
            (Self::Turn, "role") => Self::Role,
            (Self::Turn, "content") if instructs => Self::Instructions,
            (Self::InstructionsBlock, "text") => Self::Instructions,
            (place, "content" | "text") if place.is_talk() => Self::Text,
            (place, "input" | "arguments" | "source" | "function" | "tool_calls") if place.is_talk() => Self::Exact,
            (place, _) if place.is_talk() => Self::Talk,
            _ => Self::Exact,
        }
    }

    pub(super) fn of_element(self) -> Self {
        match self {
            Self::Turns => Self::Turn,
            Self::Instructions => Self::InstructionsBlock,
            Self::Talk | Self::Text => Self::Talk,
            Self::Tools => Self::Tool,
            Self::Store => Self::Store,
            _ => Self::Exact,
        }
    }

    /// True if a member of this name is a marker for the provider's prompt cache: it changes no answer. Deeper in a
    /// tool or in its arguments it is somebody's own field.
    pub(super) fn marks(self, name: &str) -> bool {
        name == "cache_control" && (self.is_talk() || matches!(self, Self::Top | Self::Tool))
    }

    /// True if words that people say stand here.
    fn is_talk(self) -> bool {
        matches!(self, Self::Turn | Self::Talk | Self::Text | Self::Instructions | Self::InstructionsBlock)
    }
}

/// Appends a text with its length, so that no two lists of texts run together into the same bytes.
pub(super) fn put(out: &mut Vec<u8>, bytes: &[u8]) {
    out.extend_from_slice(&u64::try_from(bytes.len()).unwrap_or(u64::MAX).to_le_bytes());
    out.extend_from_slice(bytes);
}
