//! Amazon Bedrock: InvokeModel as it serves Anthropic's models, and Converse, whole and streamed.

pub(crate) mod converse;
pub(crate) mod converse_request;
pub(crate) mod error;
pub(crate) mod invoke;
pub(crate) mod message;
