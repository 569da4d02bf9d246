//! Google's Gemini API as its SDKs know it.

mod content;
pub(crate) mod embeddings;
pub(crate) mod error;
mod field;
pub(crate) mod reply;
pub(crate) mod request;
pub(crate) mod stream;
