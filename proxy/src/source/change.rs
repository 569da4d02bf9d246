//! Changes of what is to run, each of one resource.

use std::sync::Arc;

use sluicegate_config::compile::Credentials;
use sluicegate_config::{CompiledObject, Kind, ObjectId};

/// A change of what is to run.
#[derive(Debug, PartialEq, Eq)]
pub enum Change {
    /// A resource, new or in another form, with the credentials it names.
    Put(Arc<ObjectId>, CompiledObject, Credentials),
    /// A resource that is gone.
    Gone(Kind, Arc<ObjectId>),
}
