//! Budgets: what calls may cost within a period of the calendar, counted in Redis for all proxies together, or in this process where
//! there is none.
//!
//! A call reserves what it may cost of all of its budgets together and is settled at its end by what it cost. In Redis each
//! reservation stands under the call's own name until its deadline, and what is told of calls is told in numbered batches: each
//! is booked once, whatever is sent again, and what a master lost on its way to a replica is told again.

mod ahead;
mod batches;
mod counts;
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) mod fuzzing;
mod hold;
mod keeper;
mod later;
mod leases;
mod period;
mod prepared;
mod script;
mod subjects;

pub use counts::SharedBudgets;
pub(crate) use hold::BudgetHolds;
pub(crate) use keeper::{BudgetDemand, BudgetKeeper, BudgetRefusal, BudgetTold};
pub(crate) use prepared::PreparedBudget;
pub(crate) use script::MOST_OF_CALL;
pub(crate) use subjects::SUBJECT_MARK;
