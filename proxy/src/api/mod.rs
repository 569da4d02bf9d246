//! The APIs on both sides of the gateway, as tables of data: what callers may address, what providers offer, and which bodies pass unread.
//!
//! A dialect's grammar is in the crate `dialects`. Which paths lead to it, who offers it and how a provider is to be
//! authenticated with stands here, and nowhere else.

pub(crate) mod limit_headers;
pub(crate) mod model_lists;
pub(crate) mod named_paths;
pub(crate) mod passed;
pub(crate) mod profiles;
pub(crate) mod stored_paths;
pub(crate) mod surfaces;
