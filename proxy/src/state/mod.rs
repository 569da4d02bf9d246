//! The configuration made ready to run: handles resolved, routes indexed, header values written.
//!
//! A [`Builder`] makes one [`Ready`] after the other on the control thread, each from the one before: what did not
//! change is shared. A call holds the one it began under to its end. What must outlive a configuration (circuits,
//! connections, cached answers, counters) is held elsewhere by stable ids, and only looked up here.

mod builder;
mod configured;
mod current_limits;
mod exact_models;
mod listing;
mod profile;
mod provider_key;
mod reasons;
mod resolve;

pub use builder::Builder;
pub use configured::Ready;
pub(crate) use configured::{
    EndpointQuestion, OfferAt, Permission, Pool, PreparedAffinity, PreparedChanges, PreparedMirror, Provider,
    RouteTarget, Rule, TargetRef,
};
pub(crate) use provider_key::{Credential, PreparedKey, SentWith};
pub(crate) use reasons::Reasons;
pub use resolve::Lasting;
