//! Limits of concurrency: how many calls providers work on at once, and the queues of those that wait for a place.
//!
//! A place is held from before a provider is asked to the last byte of its answer, and given back however that ends. All workers
//! share one count per limit. Where there is a Redis, proxies have leases of each limit there, a few places at a time: none waits
//! for a round trip as long as it has some. A limit may find itself (`adaptive`) below the one that is written.

mod active;
mod adaptive;
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) mod fuzzing;
mod gate;
mod gates;
mod keeper;
mod lease;
mod totals;
mod wait_queue;

pub(crate) use gate::{CallPlace, NoPlace, PlaceRefusal};
pub use gates::Gates;
pub(crate) use gates::{GateScope, PreparedGate};
pub(crate) use keeper::LeaseKeeper;
pub use totals::ConcurrencyStat;
pub(crate) use wait_queue::{Applicant, Flow};
