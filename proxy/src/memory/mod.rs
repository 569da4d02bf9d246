//! The memory that calls hold, bounded in sum: bodies being read, answers being read or written, streams held back.
//!
//! One [`MemoryBudget`] per process, whose size is a share of what the process may use (`limit`). Each worker takes from it in
//! blocks ([`Allowance`]), so a small call touches nothing that other workers do. Whoever holds bytes has a [`Charge`],
//! which goes with them and gives back on drop. The answer cache has a bound of its own and is not counted here.

mod budget;
mod charge;
mod limit;

pub use budget::{MemoryBudget, Purpose};
pub use charge::{Allowance, Charge, Exhausted, UNCOUNTED};
pub use limit::default_budget;
