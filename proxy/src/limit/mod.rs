//! Rate limits and budgets, counted in Redis for all proxies together, or in this process where there is none: limits in sliding
//! windows, budgets by the calendar.
//!
//! A call takes from all of its limits together and holds what it took until its end; then it is settled by what was used. What
//! Redis does not answer in time this process decides alone, by its share, and tells Redis of it later.

mod beat;
mod budget;
mod clock;
mod fleet;
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) mod fuzzing;
mod heat;
mod hold;
mod key_map;
mod leases;
mod limiter;
mod local;
mod money;
mod of_attempts;
mod pending;
mod prepared;
mod prompts;
mod script;
mod window;

pub(crate) use budget::SUBJECT_MARK;
pub use budget::SharedBudgets;
pub(crate) use budget::{BudgetDemand, BudgetHolds, BudgetRefusal, BudgetTold, MOST_OF_CALL, PreparedBudget};
pub(crate) use hold::Holds;
pub(crate) use limiter::{Demand, LimitRefusal, Limiter, Told};
pub(crate) use local::FIRST_TYPICAL;
pub use local::SharedLimits;
pub(crate) use of_attempts::{AttemptLimit, AttemptLimits};
pub(crate) use prepared::{LimitKey, LimitScope, Per, PreparedLimit};
pub(crate) use prompts::GuessedPrompt;
