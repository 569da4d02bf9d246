//! What of a request does not count in its key, and which of its strings are texts that people wrote.

use sluicegate_config::CacheKey;

/// More decimals than a temperature has.
const MAX_DECIMALS: u32 = 9;

/// What of a body does not count.
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

    /// The rules themselves, as bytes: answers kept under other rules are not found under these.
    pub(super) fn fingerprint(&self, out: &mut Vec<u8>) {
        out.push(u8::from(self.trim) | (u8::from(self.lowercase) << 1));
        out.push(self.decimals.map_or(0xff, |d| u8::try_from(d).unwrap_or(0xfe)));
        for name in &self.ignore {
            put(out, name.as_bytes());
        }
        out.push(0xff);
    }

    /// Whether a top-level member does not count.
    pub(super) fn skips(&self, name: &str) -> bool {
        matches!(name, "stream" | "stream_options") || self.ignore.iter().any(|i| i == name)
    }
}

/// Where in the request a value stands: it decides whether a string is a text that people wrote.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// The request itself.
    Top,
    /// Top-level `temperature`.
    Temperature,
    /// Top-level `store`, and Anthropic's `thread`: what the provider is asked to keep.
    Store,
    /// In `messages` or `system`.
    Talk,
    /// A string here is a text; an array or object is talk.
    Text,
    /// Names, ids, data, tool arguments: nothing about them may be changed.
    Exact,
}

impl Place {
    pub(super) fn of_member(self, name: &str) -> Self {
        match (self, name) {
            (Self::Top, "messages") => Self::Talk,
            (Self::Top, "system") => Self::Text,
            (Self::Top, "temperature") => Self::Temperature,
            (Self::Top, "store" | "thread") => Self::Store,
            (Self::Talk | Self::Text, "content" | "text") => Self::Text,
            (Self::Talk | Self::Text, "input" | "arguments" | "source" | "function" | "tool_calls") => Self::Exact,
            (Self::Talk | Self::Text, _) => Self::Talk,
            _ => Self::Exact,
        }
    }

    pub(super) fn of_element(self) -> Self {
        match self {
            Self::Talk | Self::Text => Self::Talk,
            _ => Self::Exact,
        }
    }
}

/// Appends a text with its length, so that no two lists of texts run together into the same bytes.
pub(super) fn put(out: &mut Vec<u8>, bytes: &[u8]) {
    out.extend_from_slice(&u64::try_from(bytes.len()).unwrap_or(u64::MAX).to_le_bytes());
    out.extend_from_slice(bytes);
}
