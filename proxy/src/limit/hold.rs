//! The parts of limits that a call has taken, until they are settled.

use std::fmt;
use std::rc::Rc;

use sluicegate_config::LimitUnit;

use super::money;
use super::pending::SharedSlot;
use super::prepared::LimitKey;
use super::window::Terms;
use crate::account::{Costs, Held, Settlement};

/// The most of money that one call counts as, a million dollars: sums of it are exact in Redis.
const MOST_OF_MONEY: u64 = 1_000_000_000_000_000;

/// The part that was taken of one limit.
#[derive(Debug, Clone, Copy)]
pub(super) struct Hold {
    pub(super) key: LimitKey,
    pub(super) unit: LimitUnit,
    pub(super) cost: u64,
    /// An answer whose cost nobody knows counts as nothing; else as it was taken.
    pub(super) unpriced_is_free: bool,
    /// The terms of the count of this process, and the slot there.
    pub(super) local: (Terms, Option<u64>),
    /// The terms of the count in Redis, and the slot there.
    pub(super) shared: (Terms, SharedPart),
}

/// Its place in Redis.
#[derive(Debug, Clone, Copy)]
pub(super) enum SharedPart {
    /// Nowhere: there is no Redis.
    None,
    /// In this slot.
    Slot(SharedSlot),
    /// It is yet to be told.
    Untold,
}

/// The keeper that it is given back to.
pub(super) trait HoldKeeper {
    /// So much of it was used.
    fn settle(&self, hold: &Hold, used: u64);

    /// A call's answer had so many tokens.
    fn learn(&self, hold: &Hold, output: u64);
}

/// All that a call has taken.
pub(crate) struct Holds {
    keeper: Rc<dyn HoldKeeper>,
    holds: Vec<Hold>,
}

impl fmt::Debug for Holds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Holds").field(&self.holds).finish()
    }
}

impl Holds {
    pub(super) fn new(keeper: Rc<dyn HoldKeeper>) -> Self {
        Self { keeper, holds: Vec::new() }
    }

    pub(super) fn add(&mut self, hold: Hold) {
        self.holds.push(hold);
    }

    /// The call, or the attempt, is over.
    pub(crate) fn settle(mut self, by: Settlement, costs: Costs) {
        for hold in std::mem::take(&mut self.holds) {
            self.keeper.settle(&hold, used(&hold, by, costs));
            // Of one that was left before it began to answer nothing is learnt of answers.
            if let Settlement::Used(Some(usage)) = by
                && hold.unit != LimitUnit::Requests
                && usage.output > 0
            {
                self.keeper.learn(&hold, usage.output);
            }
        }
    }
}

impl Held for Holds {
    fn settle(self: Box<Self>, by: Settlement, costs: Costs) {
        Self::settle(*self, by, costs);
    }
}

impl Drop for Holds {
    fn drop(&mut self) {
        for hold in std::mem::take(&mut self.holds) {
            self.keeper.settle(&hold, 0);
        }
    }
}

/// So much of it was used.
fn used(hold: &Hold, by: Settlement, costs: Costs) -> u64 {
    match (hold.unit, by) {
        (LimitUnit::Cost, by) => {
            let reserved = hold.cost.saturating_mul(LimitUnit::PICODOLLARS);
            // Rounded up: never more within a window than the amount.
            let used = money::used(reserved, hold.unpriced_is_free, by, costs).div_ceil(LimitUnit::PICODOLLARS);
            used.min(MOST_OF_MONEY)
        }
        (_, Settlement::Unasked) => 0,
        (LimitUnit::Requests, _) | (_, Settlement::Unknown) => hold.cost,
        (_, Settlement::Kept | Settlement::Used(None)) => 0,
        (LimitUnit::Tokens, Settlement::Used(Some(usage))) => usage.input.saturating_add(usage.output),
        (LimitUnit::InputTokens, Settlement::Used(Some(usage))) => usage.input,
        (LimitUnit::OutputTokens, Settlement::Used(Some(usage))) => usage.output,
    }
}
