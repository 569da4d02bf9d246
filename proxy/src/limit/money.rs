//! The money that a call has used of what it reserved, for budgets and for limits of cost alike.

use crate::account::{Costs, Settlement};

/// So many picodollars were used, by all attempts of the call together. What nobody knows the usage of counts as it was reserved; an
/// answer that nobody knows the price of, too, unless those are free.
pub(super) fn used(reserved: u64, unpriced_is_free: bool, by: Settlement, costs: Costs) -> u64 {
    let unpriced = if unpriced_is_free { 0 } else { reserved };
    let others = unpriced.saturating_mul(costs.others_unpriced.into()).saturating_add(costs.others.0);
    let others = others.saturating_add(reserved.saturating_mul(costs.others_unknown.into()));
    match by {
        Settlement::Unasked => 0,
        Settlement::Kept | Settlement::Used(None) => others,
        Settlement::Used(Some(_)) => costs.answer.map_or(unpriced, |cost| cost.0).saturating_add(others),
        Settlement::Unknown => reserved.saturating_add(others),
    }
}
