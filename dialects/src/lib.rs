//! The wire languages of LLM APIs, sans-IO: one neutral hub, one spoke per dialect, never a converter per pair.
//!
//! Nothing here reads a clock, the environment or a socket. Bytes in, values out, and back.

mod account_trouble;
mod anthropic_messages;
mod bedrock_converse;
mod bedrock_invoke;
mod call_arguments;
pub mod call_id;
mod codec;
mod cohere_chat;
mod content_policy;
pub mod continuation;
pub mod conversation;
mod data_url;
mod dialect;
mod dispatch;
mod embeddings;
pub mod estimate;
mod event_stream;
pub mod fold;
pub mod form;
mod format_in_words;
mod frames;
#[cfg(any(test, feature = "fuzzing"))]
#[expect(clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "a check says what it expects")]
pub mod fuzzing;
mod gemini;
mod grammar;
pub mod hub;
mod json;
mod json_array;
mod left_out;
mod mark;
mod meaning;
mod model_list;
mod named_files;
mod object_list;
pub mod observe;
mod openai_chat;
mod openai_completions;
mod openai_responses;
mod other_models;
mod overflow;
mod refusal_watch;
mod scan;
mod schema_root;
mod server_tools;
mod shadow;
mod shape;
pub mod side;
mod spoke;
pub mod sse;
mod text;
mod thoughts;
mod token_count;
mod tool_names;
mod tool_results;
mod unseen;
pub mod vendors;
pub mod verbatim;

pub use bedrock_invoke::Reframer;
pub use codec::{AnswerName, Encoded, EncodedReply, Malformed, ProviderProfile, Refusal, ServerTools, StreamOptions};
pub use dialect::Dialect;
pub use dispatch::{StreamDecoder, StreamEncoder};
pub use embeddings::EmbeddingAnswer;
pub use mark::SeenMarks;
pub use model_list::{ListedModel, Modality, ModelCapability, ModelPage, TokenPrices};
pub use named_files::{named_files, renamed_files};
pub use openai_responses::stored;
pub use other_models::other_models;
pub use refusal_watch::RefusalWatch;
pub use shadow::StreamShadow;
pub use shape::RequestShape;
pub use spoke::{ErrorHeader, ErrorName, Habits, SettingsWithin, SystemPlace};
pub use tool_names::{ToolNameRule, ToolNames};
pub use unseen::{StreamSoFar, UnseenUsage};
