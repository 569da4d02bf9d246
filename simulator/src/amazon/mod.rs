//! Amazon Bedrock, as it serves Anthropic's models: InvokeModel, whole and streamed.

pub(crate) mod error;
pub(crate) mod invoke;
pub(crate) mod message;
