//! A simulated provider in this process: the same HTTP as over a socket, through a pipe in memory.

use std::sync::Arc;

use sluicegate_config::Simulated;

use super::origin::Serve;

/// What serves the far end of a connection to a provider that behaves so.
pub(super) fn server(_behaviour: Option<&Simulated>) -> Serve {
    Arc::new(drop)
}
