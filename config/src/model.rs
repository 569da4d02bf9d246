//! All that is known of a model beside its price, compiled: what lists of models tell, and calls are sent by.

use serde::{Deserialize, Serialize};

/// All that is known of a model; empty where nobody has said it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Default)]
#[serde(rename_all = "camelCase")]
pub struct ModelFacts {
    /// The most tokens that a prompt and its answer may have together.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub context_window: Option<u64>,
    /// The most tokens that it answers with, as it is told; no call is bounded by it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_output: Option<u64>,
    /// The forms that it reads, sorted.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub input: Vec<Modality>,
    /// The forms that it writes, sorted.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub output: Vec<Modality>,
    /// Its abilities, sorted.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub capabilities: Vec<ModelCapability>,
}

impl ModelFacts {
    /// True if nobody has said anything.
    #[must_use]
    pub fn is_none(&self) -> bool {
        *self == Self::default()
    }

    /// Its own facts, and the other's where it has none.
    #[must_use]
    pub fn over(self, other: &Self) -> Self {
        let or = |own: Vec<Modality>, other: &Vec<Modality>| if own.is_empty() { other.clone() } else { own };
        Self {
            context_window: self.context_window.or(other.context_window),
            max_output: self.max_output.or(other.max_output),
            input: or(self.input, &other.input),
            output: or(self.output, &other.output),
            capabilities: if self.capabilities.is_empty() { other.capabilities.clone() } else { self.capabilities },
        }
    }
}

/// A form in which a model reads or writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Modality {
    /// Text.
    Text,
    /// Pictures.
    Image,
    /// Sound.
    Audio,
    /// Moving pictures.
    Video,
    /// Documents.
    File,
}

/// An ability of a model.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum ModelCapability {
    /// It calls tools.
    Tools,
    /// It keeps to a JSON schema.
    StructuredOutput,
    /// It thinks before it answers.
    Thinking,
    /// It makes vectors of texts, and no answers.
    Embeddings,
}
