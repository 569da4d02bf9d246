//! The gateway's own identity towards clouds: requests that are signed, or carry a token that is kept fresh, instead of a key.

pub(crate) mod aws;
mod aws_chain;
mod azure;
pub(crate) mod environment;
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) mod fuzzing;
mod gcp;
mod gcp_file;
pub(crate) mod keeper;
mod openai;
pub(crate) mod sigv4;
mod source;
mod sts;
pub(crate) mod token;
pub(crate) mod token_client;
