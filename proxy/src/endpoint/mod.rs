//! The facts known of an endpoint: circuit, cooldown, calls in flight. Shared by all workers, survives reloads.
//!
//! Health belongs to an endpoint (pool, provider, address), never to a route: two routes to one endpoint share
//! what was learnt. `live` is one endpoint, `breaker` its circuit's state machine on a sliding `window`, `latency` the time that
//! it lets callers wait, told by an attempt's `clock`; `budget` bounds retries and second attempts (`answer_times` says when those are due), `mirrors` counts copies of calls, `seats` the calls of a conversation that are
//! under way, `cooldown` the times
//! in which others go first, `scarce` those in which they do for one model, `server_load` is what a model server has told of itself, `provider_key` is one of several keys of a provider, `news` what other proxies ought to know, `registry` keeps everything by stable id.

mod answer_times;
mod breaker;
mod budget;
mod clock;
mod compressed;
mod cooldown;
mod heard;
mod latency;
mod live;
mod mirrors;
mod news;
mod provider_key;
mod registry;
mod scarce;
mod seats;
mod server_load;
mod window;

#[cfg(test)]
mod tests;

pub use answer_times::AnswerTimes;
pub use breaker::{CircuitState, Outcome};
pub use budget::{HedgeBounds, HedgeBudget, RetryBudget};
pub use clock::LatencyClock;
pub use compressed::TakesCompressed;
pub use latency::{Latency, TimedAnswer};
pub use live::{Admission, CountedFailure, Endpoint, Health, Permit};
pub use mirrors::{MirrorPlace, Mirrors};
pub use news::{EndpointName, KeyValue, News, NewsQueue, Subject};
pub use provider_key::{KeyInUse, KeyStanding, LiveKey};
pub use registry::{EndpointKey, LiveKeyId, LivePool, Registry};
pub use scarce::model_number;
pub use seats::{ConversationPlace, Seats};
pub use server_load::ServerLoad;
