//! The gateway's own identity towards clouds: requests that are signed instead of carrying a key.

pub(crate) mod aws;
pub(crate) mod sigv4;
