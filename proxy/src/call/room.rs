//! The room that a call needs in a model's context window, where it is known.

use crate::state::Provider;

/// The tokens that a call needs in a window; `None`: any window will do, or none has room, so that all are asked: what an estimate
/// says is no reason to ask nobody.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Room(pub(super) Option<u64>);

impl Room {
    /// True if a provider's model has it, as far as anybody knows.
    pub(super) fn lets(self, provider: &Provider, routed: &str) -> bool {
        self.0.is_none_or(|needed| provider.window(routed).is_none_or(|window| needed <= window))
    }
}
