//! Vectors of texts in neutral words: what is asked for, and what is answered.

use super::{Raw, Usage};

/// A call for vectors.
#[derive(Debug, Clone)]
pub(crate) struct EmbeddingCall {
    /// The texts, one vector each.
    pub(crate) inputs: Vec<String>,
    /// The length that the vectors are to have; `None`: as long as the model makes them.
    pub(crate) dimensions: Option<u64>,
    /// Fields of the call that only its own dialect has words for, by name.
    pub(crate) beside: Vec<String>,
}

/// An answer.
#[derive(Debug, Clone)]
pub(crate) struct EmbeddingReply {
    /// The model that answered, where it is said.
    pub(crate) model: Option<String>,
    /// The vectors, each as the list of numbers that it was written as.
    pub(crate) vectors: Vec<Raw>,
    /// The tokens used, where it is said.
    pub(crate) usage: Option<Usage>,
}
