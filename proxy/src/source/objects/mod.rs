//! One published resource by itself: what of it runs, what would, and what it waits for. Each kind in a file of its own,
//! behind one trait.

mod lone;
mod object;
mod pool;
mod route;

use sluicegate_config::{Consumer, Kind};

#[cfg(test)]
pub(super) use object::PENDING_LIMIT;
pub(super) use object::{PublishedObject, StepOutcome, Surroundings};

/// A resource of a kind, of which nothing is known yet: the kind's row.
pub(super) fn blank(kind: Kind) -> Box<dyn PublishedObject> {
    match kind {
        Kind::ProviderPool => Box::<pool::PoolObject>::default(),
        Kind::LlmConsumer => Box::<lone::LoneObject<Consumer>>::default(),
        Kind::LlmRoute => Box::<route::RouteObject>::default(),
    }
}
