//! Vectors of texts between dialects: the part of a spoke that reads and writes them, and what is left out on the way.

use crate::codec::{Encoded, Malformed, Refusal};
use crate::estimate;
use crate::hub::{Raw, Usage};
use crate::left_out::LeftOut;

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
    /// Its id; empty where the provider says none and nobody has named it yet.
    pub(crate) id: String,
    /// The model that answered, where it is said.
    pub(crate) model: Option<String>,
    /// The vectors, each as the list of numbers that it was written as.
    pub(crate) vectors: Vec<Raw>,
    /// The tokens used, where it is said.
    pub(crate) usage: Option<Usage>,
}

/// The part of a dialect's folder that is for vectors.
pub(crate) struct Embeddings {
    /// A caller's call. Errors: it is not what the dialect allows, or only its own vendor can read it.
    pub(crate) decode_call: fn(&[u8]) -> Result<EmbeddingCall, Refusal>,
    /// A provider's call; the model is the provider's own.
    pub(crate) encode_call: fn(&EmbeddingCall, &str) -> Vec<u8>,
    /// An answer. Errors: it is none.
    pub(crate) decode_reply: fn(&[u8]) -> Result<EmbeddingReply, Malformed>,
    /// An answer, written for who sent this body; what was used is known or estimated.
    pub(crate) encode_reply: fn(&EmbeddingReply, &[u8], Usage) -> Vec<u8>,
}

/// An answer in a caller's words.
#[derive(Debug)]
pub struct EmbeddingAnswer {
    /// The body.
    pub body: Vec<u8>,
    /// The model that answered, where the provider says it.
    pub model: Option<String>,
    /// The tokens used, where the provider says it.
    pub usage: Option<Usage>,
}

/// A call in a provider's words.
pub(crate) fn call(from: &Embeddings, to: &Embeddings, body: &[u8], model: &str) -> Result<Encoded, Refusal> {
    let call = (from.decode_call)(body)?;
    let body = (to.encode_call)(&call, model);
    let mut dropped = LeftOut::default();
    call.beside.iter().for_each(|name| dropped.add(name));
    Ok(Encoded { body, dropped: dropped.into_names(), headers: Vec::new(), clamped: None })
}

/// An answer in the caller's words; one without an id is told by the call's.
pub(crate) fn answer(
    from: &Embeddings,
    to: &Embeddings,
    body: &[u8],
    (asked, call_id): (&[u8], &str),
) -> Result<EmbeddingAnswer, Malformed> {
    let mut reply = (from.decode_reply)(body)?;
    if reply.id.is_empty() {
        call_id.clone_into(&mut reply.id);
    }
    let known = reply.usage.unwrap_or_else(|| estimated(asked));
    let body = (to.encode_reply)(&reply, asked, known);
    Ok(EmbeddingAnswer { body, model: reply.model, usage: reply.usage })
}

/// The tokens that a call for vectors uses, by its texts.
pub(crate) fn estimated(asked: &[u8]) -> Usage {
    const TEXTS: [&str; 4] = ["input", "content", "requests", "texts"];
    let input = estimate::tokens_of_messages(asked, &TEXTS).unwrap_or(0);
    Usage { input, ..Usage::default() }
}
