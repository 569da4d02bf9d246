//! The place of a budget's count: which budget, and which of its periods.

use sluicegate_config::compile::Period;

use super::super::prepared::LimitKey;

/// The place of a budget's count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct BudgetPlace {
    pub(super) key: LimitKey,
    pub(super) period: Period,
}
