//! Changes of what is to run, each of one resource.

use std::sync::Arc;

use sluicegate_config::compile::Credentials;
use sluicegate_config::{ObjectId, Pool, Route};

/// A change of what is to run.
#[derive(Debug, PartialEq, Eq)]
pub enum Change {
    /// A pool, new or in another form, with the credentials it names.
    Pool(Arc<ObjectId>, Box<(Pool, Credentials)>),
    /// A pool that is gone.
    PoolGone(Arc<ObjectId>),
    /// A route, new or in another form.
    Route(Arc<ObjectId>, Box<Route>),
    /// A route that is gone.
    RouteGone(Arc<ObjectId>),
}
