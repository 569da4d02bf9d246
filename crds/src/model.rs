//! Facts about a model that lists of models tell: what it reads and writes, what it can do; and the asking of a provider for them.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::rules::{self, validations};
use crate::scalar::Duration;

/// A form in which a model reads or writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub enum Modality {
    /// Text.
    Text,
    /// Pictures.
    Image,
    /// Sound.
    Audio,
    /// Moving pictures.
    Video,
    /// Documents, such as PDF.
    File,
}

/// An ability of a model.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
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

/// The asking of a provider for the list of its models.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(extend("x-kubernetes-validations" = validations(&[rules::DISCOVERY_INTERVAL])))]
pub struct Discovery {
    /// The list is asked for anew after this, from `10s` to `24h`. Default: `5m`.
    #[serde(default = "five_minutes")]
    pub interval: Duration,
}

fn five_minutes() -> Duration {
    "5m".into()
}
