//! The account of a call, counted once: the ledger, the metrics it feeds, the access log.
//!
//! A worker opens one [`LedgerEntry`] per call from its own [`Ledger`], fills it along the way, and closes it (or drops it,
//! which closes it too). Closing adds to counters that only this worker writes, so the hot path takes no lock and no
//! atomic read-modify-write; a scrape adds the workers up.

mod access_log;
mod attempt;
mod cells;
mod consumer;
mod endpoint_stats;
mod expose;
mod file_stat;
mod held;
mod histogram;
mod inflight;
mod ledger;
mod logging;
mod metrics;
pub mod names;
mod naming;
mod outcome;
mod page;
mod process;
mod record;
mod table;
mod timestamp;

pub use access_log::{LogQueue, LogSettings, LogThread, LogWriter};
pub use attempt::AttemptEntry;
pub use consumer::ConsumerName;
pub use endpoint_stats::{CircuitStat, EndpointStat, PoolStat};
pub use file_stat::FileStat;
pub use held::{Costs, Held, Settlement};
pub use ledger::{Ledger, LedgerEntry};
pub use logging::{LogFormat, check as check_log_filter, init as init_logging};
pub use metrics::{
    CacheStat, ConfigEvent, DiscoveryStat, FlightStat, JwksStat, KeyStat, LearningStat, LimitStat, MemoryStat, Metrics,
    Objects, RemoteStat, TokenStat,
};
pub use naming::Naming;
pub use outcome::{AttemptEnd, CacheLayer, CacheStatus, End, ErrorSource, Operation};
pub use record::{ModelName, Record};
pub use table::{ModelIx, NameTable, ProviderIx, RouteIx};
